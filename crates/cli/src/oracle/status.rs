//! The oracle's part of `offchain status`.

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{Feed, FeedId, Interval, Kind, SignedReading, Slot};
use offchain_store::oracle::{Feeds, InvalidFeed, Readings, Record};
use serde::Serialize;

use crate::error::CliError;
use crate::oracle::line::cut;
use crate::oracle::record::lateness;
use crate::output::{Output, bad};
use crate::percentiles::Percentiles;
use crate::stack::Stack;

/// What the counts are of.
const STRETCH: SignedDuration = SignedDuration::from_mins(5);
/// How far back a feed's last reading is looked for.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(1);
/// More records than a stretch has.
const ALL: usize = 1000;
/// The age at which a reading of a feed without a maximum age is stale.
const OTHER_MAX_AGE: u32 = 60;

#[derive(Serialize)]
pub(crate) struct OracleReport {
    interval_seconds: u32,
    feeds: Vec<FeedReport>,
}

#[derive(Debug, Serialize)]
struct FeedReport {
    feed: FeedId,
    /// Why its definition cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
    last_slot: Option<Slot>,
    age_seconds: Option<i64>,
    stale: bool,
    /// Of the last five minutes, as are the others below.
    published: usize,
    missed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    lateness: Option<Percentiles>,
    key_epoch: Option<u64>,
}

/// `None` where the deployment has no oracle.
pub(crate) async fn report(
    stack: &Stack,
    config: &SdkConfig,
) -> Result<Option<OracleReport>, CliError> {
    let Some(oracle) = &stack.oracle else {
        return Ok(None);
    };
    let client = aws_sdk_dynamodb::Client::new(config);
    let feeds = Feeds::new(client.clone(), oracle.feeds_table.clone());
    let readings = Readings::new(client, oracle.table.clone());
    let interval = oracle.interval_seconds;
    let mut reports = Vec::new();
    for (id, feed) in feeds.all().await? {
        let now = Timestamp::now();
        let end = interval.next(interval.at_or_before(now));
        let since = |back| interval.at_or_after(now - back);
        let records = readings.range(&id, since(STRETCH), end, ALL).await?;
        let last = match newest(&records) {
            Some(reading) => Some(reading.clone()),
            None => readings.newest(&id, since(LOOK_BACK), end).await?,
        };
        reports.push(FeedReport::of(
            id,
            &feed,
            &records,
            last.as_ref(),
            interval,
            now,
        ));
    }
    Ok(Some(OracleReport {
        interval_seconds: interval.seconds(),
        feeds: reports,
    }))
}

fn newest(records: &[Record]) -> Option<&SignedReading> {
    records.iter().rev().find_map(|record| match record {
        Record::Published(reading) => Some(&**reading),
        Record::Missed(_) => None,
    })
}

impl FeedReport {
    fn of(
        id: FeedId,
        feed: &Result<Feed, InvalidFeed>,
        records: &[Record],
        last: Option<&SignedReading>,
        interval: Interval,
        now: Timestamp,
    ) -> Self {
        let late: Vec<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Published(reading) => Some(lateness(reading)),
                Record::Missed(_) => None,
            })
            .collect();
        let max_age = match feed {
            Ok(Feed {
                kind: Kind::Http(http),
                ..
            }) => http.max_age_seconds,
            Ok(_) | Err(_) => OTHER_MAX_AGE,
        };
        // Between two slots every reading is as old as the interval.
        let max_age = i64::from(max_age.max(interval.seconds()));
        let age = last.map(|reading| {
            let slot = reading.reading().slot.timestamp();
            now.duration_since(slot).as_secs()
        });
        Self {
            feed: id,
            unusable: feed
                .as_ref()
                .err()
                .map(|error| offchain_codes::chain(error)),
            last_slot: last.map(|reading| reading.reading().slot),
            age_seconds: age,
            stale: age.is_none_or(|age| age > max_age),
            published: late.len(),
            missed: records.len() - late.len(),
            lateness: Percentiles::of(late),
            key_epoch: last.map(|reading| reading.reading().key_epoch),
        }
    }

    fn row(&self) -> [String; 7] {
        let age = match self.age_seconds {
            None => bad("none for 1 h"),
            Some(age) if self.stale => bad(format!("{age} s")),
            Some(age) => format!("{age} s"),
        };
        let missed = match self.missed {
            0 => "0".to_owned(),
            missed => bad(missed),
        };
        let none = || "-".to_owned();
        [
            self.feed.to_string(),
            // Beside its age, its day is known.
            self.last_slot.map_or_else(none, |slot| {
                slot.timestamp().strftime("%H:%M:%SZ").to_string()
            }),
            age,
            self.published.to_string(),
            missed,
            self.lateness
                .map_or_else(none, |late| format!("{}, {} ms", late.p50_ms, late.p99_ms)),
            self.key_epoch.map_or_else(none, |epoch| epoch.to_string()),
        ]
    }
}

impl OracleReport {
    pub(crate) fn print(&self, name: &str, output: &Output) {
        output.title(format!(
            "{name} oracle, a slot every {} s, the last 5 minutes",
            self.interval_seconds
        ));
        let rows = self.feeds.iter().map(FeedReport::row).collect();
        output.table(
            [
                "feed",
                "last slot",
                "age",
                "published",
                "missed",
                "p50, p99",
                "epoch",
            ],
            rows,
        );
        for feed in &self.feeds {
            if let Some(reason) = &feed.unusable {
                output.line(bad(cut(reason, output.width())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::oracle::Missed;

    use super::*;
    use crate::oracle::record::tests::{interval, reading, slot};

    fn published(number: i64, late_ms: i64) -> Record {
        Record::Published(Box::new(reading(number, late_ms)))
    }

    fn missed(number: i64) -> Record {
        Record::Missed(Missed {
            feed: "demo".parse().unwrap(),
            slot: slot(number),
            reason: "SlotPassed".to_owned(),
            left_out: Vec::new(),
            recorded: slot(number + 1).timestamp().into(),
        })
    }

    fn report(records: &[Record], last: Option<&SignedReading>, age: i64) -> FeedReport {
        let feed = Feed::parse("demo", r#"{"kind":"demo"}"#).unwrap();
        let id = feed.id.clone();
        let now = slot(2).timestamp() + SignedDuration::from_secs(age);
        FeedReport::of(id, &Ok(feed), records, last, interval(), now)
    }

    #[test]
    fn a_feed_is_counted_over_the_last_minutes() {
        let records = [published(0, 10), missed(1), published(2, 30)];
        let last = newest(&records).unwrap();
        let report = report(&records, Some(last), 3);
        assert_eq!((report.published, report.missed), (2, 1));
        assert_eq!(report.row()[1], "11:00:04Z");
        assert_eq!(report.last_slot, Some(slot(2)));
        assert_eq!((report.age_seconds, report.stale), (Some(3), false));
        assert_eq!(report.key_epoch, Some(1));
        let late = report.lateness.unwrap();
        assert_eq!((late.p50_ms, late.p99_ms), (10, 30));
    }

    #[test]
    fn a_feed_without_a_young_reading_is_stale() {
        let last = reading(2, 10);
        assert!(!report(&[], Some(&last), 60).stale);
        assert!(report(&[], Some(&last), 61).stale);
        let silent = report(&[], None, 0);
        assert!(silent.stale);
        assert_eq!(silent.row()[1], "-");
    }
}
