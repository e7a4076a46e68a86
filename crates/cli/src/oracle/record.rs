//! How a slot of a feed ended.

use jiff::Timestamp;
use offchain_oracle::{FeedId, Interval, SignedReading, Slot};
use offchain_store::oracle::{self, Missed};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::percentiles::Percentiles;

/// A slot as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// It has a reading.
    Published(Box<SignedReading>),
    /// It has none, and the oracle says why.
    Missed(Missed),
    /// The oracle says nothing of it. The API never shows this.
    Absent { feed: FeedId, slot: Slot },
}

impl Record {
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::Published(reading) => reading.reading().slot,
            Self::Missed(missed) => missed.slot,
            Self::Absent { slot, .. } => *slot,
        }
    }

    pub(crate) fn reading(&self) -> Option<&SignedReading> {
        match self {
            Self::Published(reading) => Some(reading),
            Self::Missed(_) | Self::Absent { .. } => None,
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Published(reading) => reading.serialize(to),
            Self::Missed(missed) => oracle::Record::Missed(missed.clone()).serialize(to),
            Self::Absent { feed, slot } => {
                json!({"feed": feed, "slot": slot, "status": "absent"}).serialize(to)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let missed = value.get("status").and_then(Value::as_str) == Some("missed");
        let read = if missed {
            Missed::deserialize(value).map(Self::Missed)
        } else {
            SignedReading::deserialize(value).map(|reading| Self::Published(Box::new(reading)))
        };
        read.map_err(D::Error::custom)
    }
}

/// Milliseconds from a slot to when its reading was written.
pub(crate) fn lateness(reading: &SignedReading) -> i128 {
    let reading = reading.reading();
    let slot: Timestamp = reading.slot.timestamp();
    reading.written.duration_since(slot).as_millis()
}

/// How the slots of a stretch of time ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) published: usize,
    pub(crate) missed: usize,
    /// Slots between the first and the last record that have none.
    pub(crate) absent: usize,
    /// Readings written before their slot.
    pub(crate) early: usize,
    pub(crate) lateness: Option<Percentiles>,
}

impl Summary {
    /// Of ascending records.
    pub(crate) fn of(records: &[Record], interval: Interval) -> Self {
        let late: Vec<_> = records
            .iter()
            .filter_map(Record::reading)
            .map(lateness)
            .collect();
        let on_grid = match (records.first(), records.last()) {
            (Some(first), Some(last)) => {
                let (first, last) = (first.slot(), last.slot());
                interval.slots(first.timestamp(), last.timestamp()).count() + 1
            }
            _ => 0,
        };
        Self {
            published: late.len(),
            missed: records.len() - late.len(),
            absent: on_grid.saturating_sub(records.len()),
            early: late.iter().filter(|late| **late < 0).count(),
            lateness: Percentiles::of(late),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} published \u{b7} {} missed \u{b7} {} early",
            self.published, self.missed, self.early
        )?;
        if self.absent > 0 {
            write!(f, " \u{b7} {} without a record", self.absent)?;
        }
        if let Some(late) = &self.lateness {
            write!(f, " \u{b7} lateness {late}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use offchain_oracle::{Aggregate, LeftOut, Reading, SigningKey};

    use super::*;

    pub(crate) const SLOT: &str = "2026-11-21T11:00:00Z";

    pub(crate) fn slot(number: i64) -> Slot {
        let first: Timestamp = SLOT.parse().unwrap();
        Slot::try_from(first + jiff::SignedDuration::from_secs(2 * number)).unwrap()
    }

    pub(crate) fn interval() -> Interval {
        Interval::new(2).unwrap()
    }

    /// The reading of the slot of that number, written so much after it.
    pub(crate) fn reading(number: i64, late_ms: i64) -> SignedReading {
        reading_of(number, late_ms, 537, 1)
    }

    pub(crate) fn reading_of(number: i64, late_ms: i64, value: u16, key: u8) -> SignedReading {
        let slot = slot(number);
        let at = |ms| slot.timestamp() + jiff::SignedDuration::from_millis(ms);
        let aggregate = Aggregate::demo(value, at(-400));
        Reading {
            feed: "demo".parse().unwrap(),
            slot,
            observed: at(-400),
            written: at(late_ms),
            value: aggregate.value,
            exponent: 0,
            spread: aggregate.spread,
            sources: aggregate.sources,
            left_out: aggregate.left_out,
            key_epoch: 1,
        }
        .sign(&SigningKey::from_bytes(&[key; 32]))
    }

    pub(crate) fn published(number: i64, late_ms: i64) -> Record {
        Record::Published(Box::new(reading(number, late_ms)))
    }

    pub(crate) fn missed(number: i64) -> Record {
        let stale = LeftOut {
            source: "coinbase".parse().unwrap(),
            reason: "SourceStale".parse().unwrap(),
        };
        Record::Missed(Missed {
            feed: "demo".parse().unwrap(),
            slot: slot(number),
            reason: "QuorumNotReached".to_owned(),
            left_out: vec![stale],
            recorded: slot(number + 1).timestamp().into(),
        })
    }

    pub(crate) fn absent(number: i64) -> Record {
        Record::Absent {
            feed: "demo".parse().unwrap(),
            slot: slot(number),
        }
    }

    #[test]
    fn a_record_is_read_and_written_as_the_api_shows_it() {
        for record in [published(0, 12), missed(1)] {
            let json = serde_json::to_string(&record).unwrap();
            let read: Record = serde_json::from_str(&json).unwrap();
            assert_eq!(read, record);
        }
        assert_eq!(
            serde_json::to_value(absent(3)).unwrap(),
            json!({"feed": "demo", "slot": "2026-11-21T11:00:06Z", "status": "absent"})
        );
        assert!(serde_json::from_value::<Record>(json!({"status": "lost"})).is_err());
    }

    #[test]
    fn a_summary_counts_every_slot_between_the_first_and_the_last() {
        let records = [published(0, 10), missed(1), published(4, 30)];
        let summary = Summary::of(&records, interval());
        assert_eq!(
            summary.to_string(),
            "2 published \u{b7} 1 missed \u{b7} 0 early \u{b7} 2 without a record \u{b7} \
             lateness p50 10 ms, p99 30 ms, max 30 ms"
        );
        assert_eq!(Summary::of(&[published(0, -1)], interval()).early, 1);
        let nothing = Summary::of(&[], interval());
        assert_eq!(
            nothing.to_string(),
            "0 published \u{b7} 0 missed \u{b7} 0 early"
        );
    }
}
