//! Following a feed: every slot in its turn.

use std::collections::{BTreeMap, BTreeSet};
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

    /// What there is to tell, at least one slot. Without an answer it tries
    /// again, except at the first time.
    pub(crate) async fn next(&mut self, output: &Output) -> Result<Vec<Record>, CliError> {
        let mut failing: Option<Instant> = None;
        loop {
            tokio::time::sleep(self.wait).await;
            let from = self.ledger.first_wanted().map(Slot::timestamp);
            match pages::all(self.api, &self.ledger.feed, from, None).await {
                Ok(records) => {
                    failing = None;
                    let news = self.ledger.take(records, Instant::now());
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

/// How long later slots are held back for one that has no record yet: a missed
/// slot is often recorded after the next one was published.
const HOLD: Duration = Duration::from_secs(10);
/// How far behind the newest slot a record is still looked for. The oracle's
/// own sweep records what nobody else did after two to three minutes.
const GIVE_UP: SignedDuration = SignedDuration::from_mins(5);

/// Which slots have been told of. Each is told of in its turn, and one that
/// was absent in its turn once more when its record appears.
struct Ledger {
    feed: FeedId,
    interval: Interval,
    /// The first slot not told of; `None` before the first record.
    next: Option<Slot>,
    newest: Option<Slot>,
    /// Records after `next`, and since when they are held back.
    held: BTreeMap<Slot, (Record, Instant)>,
    /// Slots told of as absent.
    absent: BTreeSet<Slot>,
}

impl Ledger {
    fn new(feed: FeedId, interval: Interval) -> Self {
        Self {
            feed,
            interval,
            next: None,
            newest: None,
            held: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    /// The first slot whose record would be news.
    fn first_wanted(&self) -> Option<Slot> {
        self.absent.first().copied().or(self.next)
    }

    /// What there is to tell after reading ascending records.
    fn take(&mut self, mut records: Vec<Record>, now: Instant) -> Vec<Record> {
        let last = records.last().map(Record::slot);
        self.newest = self.newest.max(last);
        let Some(mut next) = self.next.or(last) else {
            return Vec::new();
        };
        if self.next.is_none() {
            // Of what was before, the newest is enough.
            records = records.split_off(records.len() - 1);
        }
        let mut news = Vec::new();
        for record in records {
            let slot = record.slot();
            if slot >= next {
                self.held.entry(slot).or_insert((record, now));
            } else if self.absent.remove(&slot) {
                news.push(record);
            }
        }
        while let Some(held) = self.held.first_entry() {
            let first = *held.key();
            let waited = now.saturating_duration_since(held.get().1);
            if first > next && waited < HOLD {
                break;
            }
            while next < first {
                self.absent.insert(next);
                news.push(Record::Absent {
                    feed: self.feed.clone(),
                    slot: next,
                });
                next = self.interval.next(next);
            }
            news.push(held.remove().0);
            // Also right after a slot that is on no grid of this interval.
            next = self.interval.next(first);
        }
        self.next = Some(next);
        if let Some(newest) = self.newest {
            let behind = |slot: &Slot| newest.timestamp().duration_since(slot.timestamp());
            self.absent.retain(|slot| behind(slot) <= GIVE_UP);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::stub::Stub;
    use crate::oracle::record::tests::{absent, interval, missed, published, slot};

    fn ledger() -> Ledger {
        Ledger::new("demo".parse().unwrap(), interval())
    }

    fn slots(records: &[Record]) -> Vec<Slot> {
        records.iter().map(Record::slot).collect()
    }

    #[test]
    fn following_begins_with_the_newest_record() {
        let (mut ledger, now) = (ledger(), Instant::now());
        assert!(ledger.take(Vec::new(), now).is_empty());
        assert_eq!(ledger.first_wanted(), None);
        let records = vec![published(0, 5), published(1, 5)];
        assert_eq!(slots(&ledger.take(records, now)), [slot(1)]);
        assert_eq!(ledger.first_wanted(), Some(slot(2)));
        assert!(ledger.take(vec![published(1, 5)], now).is_empty());
    }

    #[test]
    fn slots_are_told_of_in_their_order_though_a_missed_one_is_recorded_late() {
        let (mut ledger, now) = (ledger(), Instant::now());
        ledger.take(vec![published(0, 5)], now);
        assert!(ledger.take(vec![published(2, 5)], now).is_empty());
        assert_eq!(ledger.first_wanted(), Some(slot(1)));
        let all = vec![missed(1), published(2, 5), published(3, 5)];
        let told = ledger.take(all.clone(), now + HOLD / 2);
        assert_eq!(told, all);
        assert_eq!(ledger.first_wanted(), Some(slot(4)));
    }

    #[test]
    fn an_absent_slot_does_not_hold_the_others_back_for_long() {
        let (mut ledger, now) = (ledger(), Instant::now());
        ledger.take(vec![published(0, 5)], now);
        assert!(ledger.take(vec![published(3, 5)], now).is_empty());
        // The gap after slot 3 is younger.
        let later = vec![published(3, 5), published(5, 5)];
        let told = ledger.take(later.clone(), now + HOLD);
        assert_eq!(told, [absent(1), absent(2), published(3, 5)]);
        let told = ledger.take(later, now + HOLD * 2);
        assert_eq!(told, [absent(4), published(5, 5)]);
        // Their records are still asked for, and told of.
        assert_eq!(ledger.first_wanted(), Some(slot(1)));
        let swept = vec![missed(1), missed(2), missed(4), published(6, 5)];
        assert_eq!(ledger.take(swept.clone(), now + HOLD * 2), swept);
        assert_eq!(ledger.first_wanted(), Some(slot(7)));
    }

    #[test]
    fn an_absent_slot_is_given_up_after_five_minutes() {
        let (mut ledger, now) = (ledger(), Instant::now());
        ledger.take(vec![published(0, 5)], now);
        ledger.take(vec![published(2, 5)], now);
        ledger.take(Vec::new(), now + HOLD);
        let records: Vec<_> = (3..=151).map(|number| published(number, 5)).collect();
        assert_eq!(ledger.take(records, now + HOLD).len(), 149);
        assert_eq!(ledger.first_wanted(), Some(slot(1)));
        ledger.take(vec![published(152, 5)], now + HOLD);
        assert_eq!(ledger.first_wanted(), Some(slot(153)));
    }

    #[test]
    fn a_changed_interval_stops_nothing() {
        let (mut ledger, now) = (ledger(), Instant::now());
        ledger.take(vec![published(0, 5)], now);
        let five = Interval::new(5).unwrap();
        let odd = Record::Absent {
            feed: "demo".parse().unwrap(),
            slot: five.next(slot(0)),
        };
        assert!(ledger.take(vec![odd.clone()], now).is_empty());
        let told = ledger.take(Vec::new(), now + HOLD);
        assert_eq!(told, [absent(1), absent(2), odd]);
        assert_eq!(ledger.next, Some(slot(3)));
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
