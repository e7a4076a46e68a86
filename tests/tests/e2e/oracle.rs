//! What the tests of the oracle need: feeds that come and go, the records of
//! slots, and minutes that are started by hand.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Interval, PublicKey, SignedReading, Slot};
use offchain_store::keys::KeyEpoch;
use offchain_store::oracle::{Missed, Record};
use serde_json::{Value, json};

use crate::harness::{SOON, Undo, World, unique, until};

/// How long oracle-publish may go on with what it read before: the feeds, the
/// key epochs, the headers. tests/stack.tfvars says 2 s, a run starts 1 s
/// before its slot, and reading takes its time.
pub(crate) const SETTLED: SignedDuration = SignedDuration::from_secs(5);
/// How long a minute takes at most, from its trigger to its last slot's end.
pub(crate) const MINUTE: Duration = Duration::from_secs(240);

/// A feed that is gone when this is dropped; its records stay.
pub(crate) struct TestFeed {
    pub(crate) id: FeedId,
    /// From this slot on every slot has a record.
    pub(crate) since: Slot,
    _gone: Undo,
}

/// The definition of a feed of two decimals. Change what should be otherwise.
pub(crate) fn http_feed(quorum: u8, sources: &Value) -> Value {
    json!({
        "kind": "http",
        "decimals": 2,
        "quorum": quorum,
        "max_age_seconds": 60,
        "max_spread_bps": 200,
        "sources": sources,
    })
}

/// The definition of a source. Change what should be otherwise.
pub(crate) fn http_source(url: &str, pointer: &str) -> Value {
    json!({
        "url": url,
        "pointer": pointer,
        "time_pointer": null,
        "scale": 0,
        "timeout_ms": 800,
        "header": null,
    })
}

/// The same with another value of a field.
pub(crate) fn with(mut definition: Value, field: &str, value: Value) -> Value {
    definition[field] = value;
    definition
}

/// The feed that every stack has.
pub(crate) fn demo() -> FeedId {
    "demo".parse().unwrap()
}

/// A reading; panics where the slot was missed.
pub(crate) fn published(record: &Record) -> &SignedReading {
    match record {
        Record::Published(reading) => reading,
        Record::Missed(missed) => panic!("expected a reading, found {missed:?}"),
    }
}

/// A missed slot; panics where it has a reading.
pub(crate) fn missed(record: &Record) -> &Missed {
    match record {
        Record::Missed(missed) => missed,
        Record::Published(reading) => panic!("expected a missed slot, found {reading:?}"),
    }
}

/// Who was left out of a record and why, as `name reason`, sorted by name.
pub(crate) fn left_out(record: &Record) -> Vec<String> {
    let left_out = match record {
        Record::Published(reading) => &reading.reading().left_out,
        Record::Missed(missed) => &missed.left_out,
    };
    let texts = left_out
        .iter()
        .map(|one| format!("{} {}", one.source, one.reason));
    texts.collect()
}

/// Verifies a reading with the key that is published for its epoch, and that
/// the epoch is the newest one that was active at its slot.
pub(crate) fn verify(reading: &SignedReading, keys: &[KeyEpoch]) {
    let slot = reading.reading().slot.timestamp();
    let active = keys.iter().find(|key| key.active_from.timestamp() <= slot);
    let key = active.unwrap_or_else(|| panic!("no key is active at {slot}: {keys:?}"));
    assert_eq!(reading.reading().key_epoch, key.epoch, "{reading:?}");
    let key = PublicKey::from_hex(&key.public_key).unwrap();
    reading
        .verify_with_key(&key)
        .unwrap_or_else(|error| panic!("{error}: {reading:?}"));
}

impl World {
    pub(crate) fn interval(&self) -> Interval {
        Interval::new(self.stack.oracle.interval_seconds).unwrap()
    }

    /// The first slot at `after` from now, or later.
    pub(crate) fn slot_in(&self, after: SignedDuration) -> Slot {
        self.interval().at_or_after(Timestamp::now() + after)
    }

    /// The first slot whose run knows everything that is set by now.
    pub(crate) fn settled_slot(&self) -> Slot {
        self.slot_in(SETTLED)
    }

    /// Adds a feed under a name of its own until the returned value is dropped.
    pub(crate) async fn feed(&self, definition: &Value) -> TestFeed {
        self.feed_as_text(&definition.to_string()).await
    }

    /// Likewise, whatever the definition is.
    pub(crate) async fn feed_as_text(&self, definition: &str) -> TestFeed {
        let name = format!("test-{}", &unique()[..13]);
        let table = self.stack.oracle.feeds_table.clone();
        self.dynamodb
            .put_item()
            .table_name(&table)
            .item("feed", AttributeValue::S(name.clone()))
            .item("definition", AttributeValue::S(definition.to_owned()))
            .send()
            .await
            .unwrap();
        let id = name.parse().unwrap();
        let since = self.settled_slot();
        let gone = self.undo(move |config| {
            Box::pin(async move {
                aws_sdk_dynamodb::Client::new(&config)
                    .delete_item()
                    .table_name(table)
                    .key("feed", AttributeValue::S(name))
                    .send()
                    .await
                    .unwrap();
            })
        });
        TestFeed {
            id,
            since,
            _gone: gone,
        }
    }

    /// The record of a slot, where it has one.
    pub(crate) async fn slot(&self, feed: &FeedId, slot: Slot) -> Option<Record> {
        let next = self.interval().next(slot);
        let found = self.readings.range(feed, slot, next, 2).await.unwrap();
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    }

    /// Waits for the record of a slot.
    pub(crate) async fn recorded(&self, feed: &FeedId, slot: Slot) -> Record {
        let what = format!("the record of {feed} at {slot}");
        until(&what, self.limit(slot), async || {
            self.slot(feed, slot).await
        })
        .await
    }

    /// Waits until every slot from `from` on and before `to` has a record, and
    /// returns all records of that time, ascending.
    pub(crate) async fn recorded_between(
        &self,
        feed: &FeedId,
        from: Slot,
        to: Slot,
    ) -> Vec<Record> {
        let slots = self.interval().slots(from.timestamp(), to.timestamp());
        let expected: Vec<_> = slots.collect();
        let what = format!("the records of {feed} from {from} to {to}");
        until(&what, self.limit(to), async || {
            let found = self.records(feed, from, to).await;
            let complete = expected
                .iter()
                .all(|slot| found.iter().any(|record| record.slot() == *slot));
            complete.then_some(found)
        })
        .await
    }

    /// All records that there are from `from` on and before `to`, ascending.
    pub(crate) async fn records(&self, feed: &FeedId, from: Slot, to: Slot) -> Vec<Record> {
        let found = self.readings.range(feed, from, to, usize::MAX).await;
        found.unwrap()
    }

    /// From now until some time after the slot.
    fn limit(&self, slot: Slot) -> Duration {
        let left = slot.timestamp().duration_since(Timestamp::now());
        SOON + Duration::try_from(left).unwrap_or_default()
    }

    /// A slot's item, as DynamoDB holds it.
    pub(crate) async fn slot_item(
        &self,
        feed: &FeedId,
        slot: Slot,
    ) -> Option<HashMap<String, AttributeValue>> {
        self.dynamodb
            .get_item()
            .table_name(&self.stack.oracle.table)
            .key("feed", AttributeValue::S(feed.to_string()))
            .key("slot", AttributeValue::S(slot.to_string()))
            .consistent_read(true)
            .send()
            .await
            .unwrap()
            .item
    }

    /// What the operator finds of why a slot was missed.
    pub(crate) async fn detail(&self, feed: &FeedId, slot: Slot) -> String {
        let item = self.slot_item(feed, slot).await.unwrap();
        item["detail"].as_s().unwrap().clone()
    }

    /// Has the next sweep of a feed begin at a slot.
    pub(crate) async fn sweep_from(&self, feed: &FeedId, slot: Slot) {
        self.dynamodb
            .put_item()
            .table_name(&self.stack.oracle.table)
            .item("feed", AttributeValue::S("#sweep".to_owned()))
            .item("slot", AttributeValue::S(feed.to_string()))
            .item("swept_until", AttributeValue::S(slot.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// Triggers a minute as the schedule does, and returns the execution's ARN.
    pub(crate) async fn start_minute(&self, scheduled_time: Timestamp) -> String {
        let input = json!({"scheduled_time": scheduled_time.to_string()});
        self.sfn
            .start_execution()
            .state_machine_arn(&self.stack.oracle.state_machine_arn)
            .input(input.to_string())
            .send()
            .await
            .unwrap()
            .execution_arn
    }

    /// Waits until a minute has ended. The emulator describes executions of
    /// Express machines, too; of those AWS has no more than a log.
    pub(crate) async fn minute_ended(&self, execution: &str) -> DescribeExecutionOutput {
        until("the minute to end", MINUTE, async || {
            let reply = self
                .sfn
                .describe_execution()
                .execution_arn(execution)
                .send()
                .await
                .unwrap();
            (reply.status != ExecutionStatus::Running).then_some(reply)
        })
        .await
    }
}
