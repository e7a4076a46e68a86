//! What a sweep tells of a feed as metrics.

use jiff::{SignedDuration, Timestamp};
use offchain_function::metrics::{MAX_VALUES, Metric, emit};
use offchain_oracle::FeedId;
use offchain_store::oracle::Kept;
use serde_json::json;

const NAMESPACE: &str = "offchain/oracle";
/// A reading that is written later than this is late.
const LATE: i64 = 100;

/// What a sweep counted of one feed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// From the slot to the write, in milliseconds, of every reading.
    lateness: Vec<i64>,
    missed: usize,
    /// In seconds.
    staleness: i64,
}

impl Metrics {
    /// The records that the sweep found, those that it wrote, and the age of
    /// the newest reading.
    pub(crate) fn new(kept: &[Kept], found_missing: u32, staleness: SignedDuration) -> Self {
        let lateness: Vec<i64> = kept
            .iter()
            .filter_map(|kept| Some((kept.slot, kept.written?)))
            .map(|(slot, written)| {
                written.timestamp().as_millisecond() - slot.timestamp().as_millisecond()
            })
            .collect();
        Self {
            missed: kept.len() - lateness.len() + found_missing as usize,
            lateness,
            staleness: staleness.as_secs(),
        }
    }

    /// Writes the lines to standard output.
    pub(crate) fn emit(&self, suite: &str, feed: &FeedId, now: Timestamp) {
        let dimensions = [("Suite", suite), ("Feed", feed.as_str())];
        for metrics in self.lines() {
            emit(NAMESPACE, &dimensions, metrics, now);
        }
    }

    /// The metrics of each line.
    fn lines(&self) -> Vec<Vec<Metric>> {
        let count =
            |holds: fn(i64) -> bool| self.lateness.iter().filter(|late| holds(**late)).count();
        let first = vec![
            ("SlotsPublished", "Count", json!(self.lateness.len())),
            ("SlotsMissed", "Count", json!(self.missed)),
            ("SlotsEarly", "Count", json!(count(|late| late < 0))),
            ("SlotsLate", "Count", json!(count(|late| late > LATE))),
            ("Staleness", "Seconds", json!(self.staleness)),
        ];
        let lateness = self
            .lateness
            .chunks(MAX_VALUES)
            .map(|values| vec![("Lateness", "Milliseconds", json!(values))]);
        std::iter::once(first).chain(lateness).collect()
    }
}

#[cfg(test)]
mod tests {
    use offchain_oracle::Slot;
    use offchain_store::Moment;

    use super::*;

    /// The record of a slot whose reading was written so many milliseconds
    /// after it, or not at all.
    fn kept(late: Option<i64>) -> Kept {
        let slot: Slot = "2026-11-21T11:00:02Z".parse().unwrap();
        let written = |late| slot.timestamp() + SignedDuration::from_millis(late);
        Kept {
            slot,
            written: late.map(|late| Moment::from(written(late))),
        }
    }

    fn lines(kept: &[Kept], found_missing: u32) -> Vec<Vec<Metric>> {
        let staleness = SignedDuration::from_millis(122_900);
        Metrics::new(kept, found_missing, staleness).lines()
    }

    #[test]
    fn slots_are_counted_and_how_late_each_was_is_listed() {
        let kept = [None, Some(-1), Some(0), Some(100), Some(101), Some(2500)].map(kept);
        let counts = vec![
            ("SlotsPublished", "Count", json!(5)),
            // The one that the sweep found, and the two that it wrote.
            ("SlotsMissed", "Count", json!(3)),
            ("SlotsEarly", "Count", json!(1)),
            ("SlotsLate", "Count", json!(2)),
            ("Staleness", "Seconds", json!(122)),
        ];
        let lateness = json!([-1, 0, 100, 101, 2500]);
        assert_eq!(
            lines(&kept, 2),
            [counts, vec![("Lateness", "Milliseconds", lateness)]]
        );
    }

    #[test]
    fn a_line_has_at_most_a_hundred_values_and_none_is_lost() {
        for (published, sizes) in [
            (100, vec![100]),
            (101, vec![100, 1]),
            (250, vec![100, 100, 50]),
        ] {
            let kept: Vec<Kept> = (0..published).map(|late| kept(Some(late))).collect();
            let lines = lines(&kept, 0);
            assert_eq!(lines[0][0].2, json!(published));
            let chunks: Vec<Vec<i64>> = lines[1..]
                .iter()
                .map(|line| serde_json::from_value(line[0].2.clone()).unwrap())
                .collect();
            let found: Vec<usize> = chunks.iter().map(Vec::len).collect();
            assert_eq!(found, sizes);
            assert_eq!(chunks.concat(), (0..published).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_reading_there_is_no_lateness() {
        for (kept, missed) in [(vec![], 7), (vec![kept(None)], 8)] {
            let lines = lines(&kept, 7);
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0][0], ("SlotsPublished", "Count", json!(0)));
            assert_eq!(lines[0][1], ("SlotsMissed", "Count", json!(missed)));
            assert_eq!(lines[0][4], ("Staleness", "Seconds", json!(122)));
        }
    }
}
