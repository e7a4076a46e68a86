//! Following a feed: every slot once, whenever its record appears.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Interval, Slot};

use crate::api::Api;
use crate::error::CliError;
use crate::oracle::{Record, pages};
use crate::output::Output;

/// How long the API may fail before that is the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The least and the longest wait from one look to the next.
const SOONEST: Duration = Duration::from_millis(200);
const LATEST: Duration = Duration::from_secs(1);
/// What a reading takes to appear after its slot when all is well.
const USUAL: SignedDuration = SignedDuration::from_millis(50);

/// A feed that is followed from its newest record on.
pub(crate) struct Follow<'a> {
    api: &'a Api,
    ledger: Ledger,
    wait: Duration,
}

impl<'a> Follow<'a> {
    pub(crate) fn new(api: &'a Api, feed: FeedId, interval: Interval) -> Self {
        Self {
            api,
            ledger: Ledger::new(feed, interval),
            wait: Duration::ZERO,
        }
    }

    /// The records that have appeared, at least one. Without an answer it
    /// tries again, except at the first time.
    pub(crate) async fn next(&mut self, output: &Output) -> Result<Vec<Record>, CliError> {
        let mut failing: Option<Instant> = None;
        loop {
            tokio::time::sleep(self.wait).await;
            let from = self.ledger.next.map(Slot::timestamp);
            match pages::all(self.api, &self.ledger.feed, from, None).await {
                Ok(records) => {
                    failing = None;
                    let news = self.ledger.take(records);
                    self.wait = self.next_look(!news.is_empty());
                    if !news.is_empty() {
                        return Ok(news);
                    }
                }
                Err(error) if self.ledger.newest.is_none() => return Err(error),
                Err(error) => {
                    self.wait = LATEST;
                    let since = *failing.get_or_insert_with(|| {
                        output.note(format!("{error}; trying again"));
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn next_look(&self, found: bool) -> Duration {
        match self.ledger.newest {
            Some(newest) if found => {
                let due = self.ledger.interval.next(newest).timestamp() + USUAL;
                let wait = Duration::try_from(due.duration_since(Timestamp::now()));
                let interval = Duration::from_secs(self.ledger.interval.seconds().into());
                wait.unwrap_or(SOONEST).clamp(SOONEST, interval.max(LATEST))
            }
            _ => (self.wait * 2).clamp(SOONEST, LATEST),
        }
    }
}

/// How far behind the newest slot a slot without a record is given up. The
/// oracle's own sweep records such slots after two to three minutes.
const GIVE_UP: SignedDuration = SignedDuration::from_mins(5);

/// Which slots have been told of. A missed slot is often recorded after later
/// ones were published, so what is asked for begins at the first gap.
struct Ledger {
    feed: FeedId,
    interval: Interval,
    /// The first slot not told of; `None` before the first record.
    next: Option<Slot>,
    newest: Option<Slot>,
    /// Slots after `next` that have been told of.
    told: BTreeSet<Slot>,
}

impl Ledger {
    fn new(feed: FeedId, interval: Interval) -> Self {
        Self {
            feed,
            interval,
            next: None,
            newest: None,
            told: BTreeSet::new(),
        }
    }

    /// Those of ascending records that are news, and the slots given up.
    fn take(&mut self, mut records: Vec<Record>) -> Vec<Record> {
        let Some(last) = records.last().map(Record::slot) else {
            return Vec::new();
        };
        let mut next = match self.next {
            Some(next) => next,
            // Of what was before, the newest is enough.
            None => {
                records = records.split_off(records.len() - 1);
                last
            }
        };
        let newest = self.newest.map_or(last, |newest| newest.max(last));
        records.retain(|record| record.slot() >= next && self.told.insert(record.slot()));
        let mut news = Vec::new();
        while next <= newest {
            if !self.told.remove(&next) {
                let behind = newest.timestamp().duration_since(next.timestamp());
                if behind <= GIVE_UP {
                    break;
                }
                news.push(Record::Absent {
                    feed: self.feed.clone(),
                    slot: next,
                });
            }
            next = self.interval.next(next);
        }
        // What is left of it is not on the grid, as after a change of the interval.
        self.told = self.told.split_off(&next);
        self.next = Some(next);
        self.newest = Some(newest);
        news.append(&mut records);
        news
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::stub::Stub;
    use crate::oracle::record::tests::{interval, missed, published, slot};

    fn ledger() -> Ledger {
        Ledger::new("demo".parse().unwrap(), interval())
    }

    fn slots(records: &[Record]) -> Vec<Slot> {
        records.iter().map(Record::slot).collect()
    }

    #[test]
    fn following_begins_with_the_newest_record() {
        let mut ledger = ledger();
        assert!(ledger.take(Vec::new()).is_empty());
        let records = vec![published(0, 5), published(1, 5)];
        assert_eq!(slots(&ledger.take(records)), [slot(1)]);
        assert_eq!(ledger.next, Some(slot(2)));
    }

    #[test]
    fn a_slot_is_told_of_once_and_a_gap_is_asked_for_until_it_is_filled() {
        let mut ledger = ledger();
        ledger.take(vec![published(0, 5)]);
        assert_eq!(slots(&ledger.take(vec![published(2, 5)])), [slot(2)]);
        assert_eq!(ledger.next, Some(slot(1)));
        let again = vec![published(2, 5), published(3, 5)];
        assert_eq!(slots(&ledger.take(again)), [slot(3)]);
        let late = vec![missed(1), published(2, 5), published(3, 5)];
        assert_eq!(slots(&ledger.take(late)), [slot(1)]);
        assert_eq!(ledger.next, Some(slot(4)));
        assert!(ledger.told.is_empty());
        assert!(ledger.take(vec![published(3, 5)]).is_empty());
    }

    #[test]
    fn a_slot_that_is_never_recorded_is_told_of_as_absent() {
        let mut ledger = ledger();
        ledger.take(vec![published(0, 5)]);
        // Slot 1 is exactly five minutes behind slot 151.
        let records = (2..=151).map(|number| published(number, 5)).collect();
        assert_eq!(ledger.take(records).len(), 150);
        assert_eq!(ledger.next, Some(slot(1)));
        let news = ledger.take(vec![published(152, 5)]);
        assert_eq!(slots(&news), [slot(1), slot(152)]);
        assert!(matches!(news[0], Record::Absent { .. }));
        assert_eq!(ledger.next, Some(slot(153)));
    }

    #[tokio::test]
    async fn following_survives_a_failing_api_but_not_a_refused_start() {
        let page = |records: Vec<Record>| json!({"readings": records, "next": null});
        let stub = Stub::answering(vec![
            (200, page(vec![published(0, 5)])),
            (502, json!({"message": "bad gateway"})),
            (200, page(vec![])),
            (200, page(vec![published(1, 5)])),
        ]);
        let api = stub.api();
        let output = Output::new(true);
        let mut follow = Follow::new(&api, "demo".parse().unwrap(), interval());
        assert_eq!(slots(&follow.next(&output).await.unwrap()), [slot(0)]);
        assert_eq!(slots(&follow.next(&output).await.unwrap()), [slot(1)]);
        let next = "/v1/feeds/demo/readings?limit=1000&from=2026-11-21T11%3A00%3A02Z";
        assert_eq!(stub.asked()[1..], [next; 3]);

        let problem = json!({"title": "FeedNotFound", "detail": "there is no feed \"demo\""});
        let stub = Stub::answering(vec![(404, problem)]);
        let api = stub.api();
        let mut follow = Follow::new(&api, "demo".parse().unwrap(), interval());
        let error = follow.next(&output).await.unwrap_err();
        assert!(matches!(error, CliError::Refused { .. }), "{error}");
    }
}
