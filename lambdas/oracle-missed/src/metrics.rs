//! Metrics in the embedded metric format: a line of JSON on standard output
//! that CloudWatch turns into metrics (AWS page "Specification: Embedded
//! metric format"). A line costs its bytes; a call of the metrics API would
//! cost time and a permission as well.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::FeedId;
use offchain_store::oracle::Kept;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "offchain/oracle";
/// A reading that is written later than this is late.
const LATE: i64 = 100;
/// The most values that one metric of a line may have.
const MAX_VALUES: usize = 100;

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
        let mut out = std::io::stdout().lock();
        for line in self.lines(suite, feed, now) {
            // Without standard output there is nobody to tell that it fails.
            let _ = writeln!(out, "{line}");
        }
    }

    fn lines(&self, suite: &str, feed: &FeedId, now: Timestamp) -> Vec<Value> {
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
        std::iter::once(first)
            .chain(lateness)
            .map(|metrics| line(suite, feed, now, metrics))
            .collect()
    }
}

fn line(
    suite: &str,
    feed: &FeedId,
    now: Timestamp,
    metrics: Vec<(&'static str, &'static str, Value)>,
) -> Value {
    let names: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = Map::from_iter(
        metrics
            .into_iter()
            .map(|(name, _, value)| (name.to_owned(), value)),
    );
    line.insert("Suite".to_owned(), suite.into());
    line.insert("Feed".to_owned(), feed.as_str().into());
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Suite", "Feed"]],
                "Metrics": names,
            }],
        }),
    );
    line.into()
}

#[cfg(test)]
mod tests {
    use offchain_oracle::Slot;
    use offchain_store::Moment;

    use super::*;

    const NOW: &str = "2026-11-21T11:05:00.250Z";

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

    fn lines(kept: &[Kept], found_missing: u32) -> Vec<Value> {
        let staleness = SignedDuration::from_millis(122_900);
        let now: Timestamp = NOW.parse().unwrap();
        Metrics::new(kept, found_missing, staleness).lines(
            "offchain",
            &"demo".parse().unwrap(),
            now,
        )
    }

    #[test]
    fn the_lines_are_those_of_the_embedded_metric_format() {
        let kept = [None, Some(-1), Some(0), Some(100), Some(101), Some(2500)].map(kept);
        let counts = json!({
            "_aws": {
                "Timestamp": 1_795_259_100_250_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "offchain/oracle",
                    "Dimensions": [["Suite", "Feed"]],
                    "Metrics": [
                        { "Name": "SlotsPublished", "Unit": "Count" },
                        { "Name": "SlotsMissed", "Unit": "Count" },
                        { "Name": "SlotsEarly", "Unit": "Count" },
                        { "Name": "SlotsLate", "Unit": "Count" },
                        { "Name": "Staleness", "Unit": "Seconds" },
                    ],
                }],
            },
            "Suite": "offchain",
            "Feed": "demo",
            "SlotsPublished": 5,
            // The one that the sweep found, and the two that it wrote.
            "SlotsMissed": 3,
            "SlotsEarly": 1,
            "SlotsLate": 2,
            "Staleness": 122,
        });
        let lateness = json!({
            "_aws": {
                "Timestamp": 1_795_259_100_250_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "offchain/oracle",
                    "Dimensions": [["Suite", "Feed"]],
                    "Metrics": [{ "Name": "Lateness", "Unit": "Milliseconds" }],
                }],
            },
            "Suite": "offchain",
            "Feed": "demo",
            "Lateness": [-1, 0, 100, 101, 2500],
        });
        assert_eq!(lines(&kept, 2), [counts, lateness]);
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
            assert_eq!(lines[0]["SlotsPublished"], published);
            let chunks: Vec<_> = lines[1..]
                .iter()
                .map(|line| line["Lateness"].as_array().unwrap().clone())
                .collect();
            let found: Vec<usize> = chunks.iter().map(Vec::len).collect();
            assert_eq!(found, sizes);
            let all: Vec<i64> = chunks
                .concat()
                .iter()
                .map(|value| value.as_i64().unwrap())
                .collect();
            assert_eq!(all, (0..published).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_reading_there_is_no_lateness() {
        for (kept, missed) in [(vec![], 7), (vec![kept(None)], 8)] {
            let lines = lines(&kept, 7);
            assert_eq!(lines.len(), 1);
            assert_eq!(lines[0]["SlotsPublished"], 0);
            assert_eq!(lines[0]["SlotsMissed"], missed);
            assert_eq!(lines[0]["Staleness"], 122);
        }
    }
}
