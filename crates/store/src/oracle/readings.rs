//! The table of readings: one record a slot and feed, written once. Beside
//! them it keeps how far the sweep for missing records has come.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use offchain_codes::chain;
use offchain_oracle::{FeedId, LeftOut, SignedReading, Slot};
use serde::{Deserialize, Serialize, Serializer};
use serde_dynamo::{from_item, to_item};

use crate::error::made;
use crate::item::{get, number, text};
use crate::{Moment, StoreError};

const FEED: &str = "feed";
const SLOT: &str = "slot";
const STATUS: &str = "status";
const PUBLISHED: &str = "published";
const MISSED: &str = "missed";
const DETAIL: &str = "detail";
const EXPIRATION: &str = "expiration";
const SWEPT_UNTIL: &str = "swept_until";
/// The hash key of the sweep's progress. It is no feed's name.
const SWEEP: &str = "#sweep";

/// A slot that has no reading, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The feed.
    pub feed: FeedId,
    /// The slot.
    pub slot: Slot,
    /// The stable code of the reason.
    pub reason: String,
    /// The sources that took no part, where they are the reason.
    pub left_out: Vec<LeftOut>,
    /// When this was written.
    pub recorded: Moment,
}

/// How a slot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// With a reading.
    Published(Box<SignedReading>),
    /// Without one.
    Missed(Missed),
}

impl Record {
    /// The slot.
    #[must_use]
    pub fn slot(&self) -> Slot {
        match self {
            Self::Published(reading) => reading.reading().slot,
            Self::Missed(missed) => missed.slot,
        }
    }
}

impl Serialize for Record {
    /// The record as the API shows it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithStatus<'a> {
            status: &'static str,
            #[serde(flatten)]
            missed: &'a Missed,
        }
        match self {
            Self::Published(reading) => reading.serialize(serializer),
            Self::Missed(missed) => WithStatus {
                status: MISSED,
                missed,
            }
            .serialize(serializer),
        }
    }
}

/// What the sweep needs to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Kept {
    /// The slot.
    pub slot: Slot,
    /// When the write of its reading was sent; `None` where it was missed.
    pub written: Option<Moment>,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Readings {
    client: Client,
    table: String,
}

type Item = HashMap<String, AttributeValue>;

impl Readings {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes a reading where its slot has no record; `false` where it has one.
    /// DynamoDB may delete it at `expiration`, in seconds since 1970.
    pub async fn publish(
        &self,
        reading: &SignedReading,
        expiration: i64,
    ) -> Result<bool, StoreError> {
        let item = to_item(reading).map_err(StoreError::Item)?;
        self.insert(item, expiration).await
    }

    /// Writes that a slot was missed, where it has no record; `false` where it
    /// has one. `detail` is for the operator, who reads the table; no reply
    /// shows it, because it may name what is private.
    pub async fn miss(
        &self,
        missed: Missed,
        detail: &str,
        expiration: i64,
    ) -> Result<bool, StoreError> {
        let mut item: Item = to_item(Record::Missed(missed)).map_err(StoreError::Item)?;
        item.insert(DETAIL.to_owned(), text(detail));
        self.insert(item, expiration).await
    }

    async fn insert(&self, mut item: Item, expiration: i64) -> Result<bool, StoreError> {
        item.insert(EXPIRATION.to_owned(), number(expiration));
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(slot)")
            .send()
            .await;
        made(outcome)
    }

    /// The first `limit` records from `from` on and before `to`, ascending.
    pub async fn range(
        &self,
        feed: &FeedId,
        from: Slot,
        to: Slot,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let mut start = None;
        // DynamoDB refuses bounds that are not in order.
        if to <= from {
            return Ok(records);
        }
        while records.len() < limit {
            let left = i32::try_from(limit - records.len()).unwrap_or(i32::MAX);
            let page = self
                .between(feed, from, to)
                .limit(left)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                records.push(record(item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(records)
    }

    /// The newest reading from `from` on and before `to`.
    pub async fn newest(
        &self,
        feed: &FeedId,
        from: Slot,
        to: Slot,
    ) -> Result<Option<SignedReading>, StoreError> {
        let mut start = None;
        if to <= from {
            return Ok(None);
        }
        loop {
            let page = self
                .between(feed, from, to)
                .scan_index_forward(false)
                .filter_expression("#status = :published")
                .expression_attribute_names("#status", STATUS)
                .expression_attribute_values(":published", text(PUBLISHED))
                // Where all is well, the first record is the one.
                .limit(if start.is_none() { 5 } else { 1000 })
                .set_exclusive_start_key(start)
                .send()
                .await?;
            if let Some(item) = page.items.unwrap_or_default().into_iter().next() {
                return reading(item).map(Some);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(None);
            }
        }
    }

    /// Which slots have a record, from `from` on and before `to`, ascending. A
    /// record that cannot be read is left out; writing its slot again finds it.
    pub async fn kept(&self, feed: &FeedId, from: Slot, to: Slot) -> Result<Vec<Kept>, StoreError> {
        let mut kept = Vec::new();
        let mut start = None;
        if to <= from {
            return Ok(kept);
        }
        loop {
            let page = self
                .between(feed, from, to)
                .consistent_read(true)
                .projection_expression("slot, written")
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                match from_item(item) {
                    Ok(one) => kept.push(one),
                    // What somebody spoilt must not stop the sweep for ever.
                    Err(error) => tracing::warn!(
                        feed = feed.as_str(),
                        error = chain(&error),
                        "a record cannot be read and is left out"
                    ),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(kept);
            }
        }
    }

    /// The first slot of a feed that was never swept; `None` before the first sweep.
    pub async fn swept_until(&self, feed: &FeedId) -> Result<Option<Slot>, StoreError> {
        #[derive(Deserialize)]
        struct Progress {
            swept_until: Slot,
        }
        let key = [(FEED, text(SWEEP)), (SLOT, text(feed.as_str()))];
        let progress: Option<Progress> = get(&self.client, &self.table, key).await?;
        Ok(progress.map(|progress| progress.swept_until))
    }

    /// Notes that every slot of a feed before `until` has a record; `false`
    /// where another sweep has come further.
    pub async fn set_swept_until(&self, feed: &FeedId, until: Slot) -> Result<bool, StoreError> {
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(FEED, text(SWEEP))
            .item(SLOT, text(feed.as_str()))
            .item(SWEPT_UNTIL, text(until))
            .condition_expression("attribute_not_exists(swept_until) OR swept_until < :until")
            .expression_attribute_values(":until", text(until))
            .send()
            .await;
        made(outcome)
    }

    fn between(&self, feed: &FeedId, from: Slot, to: Slot) -> QueryFluentBuilder {
        // Slots are whole seconds, and BETWEEN includes both ends.
        let last = to.timestamp() - SignedDuration::from_secs(1);
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("feed = :feed AND slot BETWEEN :from AND :last")
            .expression_attribute_values(":feed", text(feed.as_str()))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":last", text(last))
    }
}

fn record(item: Item) -> Result<Record, StoreError> {
    if item.get(STATUS) == Some(&text(PUBLISHED)) {
        return reading(item).map(|reading| Record::Published(Box::new(reading)));
    }
    from_item(item)
        .map(Record::Missed)
        .map_err(StoreError::Item)
}

/// A reading refuses fields that it does not know, which the time to live is.
fn reading(mut item: Item) -> Result<SignedReading, StoreError> {
    item.remove(EXPIRATION);
    from_item(item).map_err(StoreError::Item)
}
