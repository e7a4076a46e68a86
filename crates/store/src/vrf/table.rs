//! The operations on the table, each a conditional write or a read.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use offchain_vrf::ProofBundle;
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_item, from_items, to_item};

use super::{FulfilItem, Record, RequestItem};
use crate::error::made;
use crate::item::{number, text};
use crate::{Moment, StoreError};

const REQUEST: &str = "request";
const FULFIL: &str = "fulfill";
/// The sparse index of the requests that are not closed.
pub(crate) const OPEN_REQUESTS: &str = "open-requests";
const OPEN: &str = "open";

/// A request is closed by exactly one of these two.
const STILL_PENDING: &str =
    "attribute_not_exists(vrf_value) AND attribute_not_exists(expired_time)";

/// The table.
#[derive(Clone, Debug)]
pub struct Requests {
    client: Client,
    table: String,
}

/// What became of a submitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It was written.
    New,
    /// An item with this id was there before and stays as it is.
    Existing(Box<Record>),
}

/// A proved value, ready to be written.
#[derive(Clone, Debug)]
pub struct Proved<'a> {
    /// The proof.
    pub bundle: &'a ProofBundle,
    /// When it was made.
    pub at: Moment,
    /// The epoch of the key that made it.
    pub key_epoch: u64,
    /// Failed runs before this one.
    pub failed: u32,
    /// When DynamoDB may delete the item, in seconds since 1970.
    pub expiration: i64,
}

/// A request that is open past its deadline: no more of its item than the index
/// guarantees, so that an item which nobody can read does not hide the others.
#[derive(Clone, Debug, Deserialize)]
pub struct Overdue {
    /// The request's id.
    pub unique_identifier: String,
    /// When it should have ended.
    pub deadline: Moment,
    /// When DynamoDB may delete it, in seconds since 1970.
    #[serde(default)]
    pub expiration: i64,
}

#[derive(Serialize)]
struct NewRequest<'a> {
    action: &'static str,
    open: &'static str,
    #[serde(flatten)]
    request: &'a RequestItem,
}

#[derive(Deserialize)]
struct ItemKey {
    unique_identifier: String,
    action: String,
}

impl Requests {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Writes a request where its id is free.
    pub async fn insert(&self, request: &RequestItem) -> Result<Submitted, StoreError> {
        let item = to_item(NewRequest {
            action: REQUEST,
            open: OPEN,
            request,
        })
        .map_err(StoreError::Item)?;
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(unique_identifier)")
            .send()
            .await;
        if made(outcome)? {
            return Ok(Submitted::New);
        }
        let existing = self.load(&request.unique_identifier).await?;
        // Only the time-to-live can have taken it since.
        Ok(existing.map_or(Submitted::New, |record| {
            Submitted::Existing(Box::new(record))
        }))
    }

    /// Both items of a request, read consistently.
    pub async fn load(&self, id: &str) -> Result<Option<Record>, StoreError> {
        let reply = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("unique_identifier = :id")
            .expression_attribute_values(":id", text(id))
            .consistent_read(true)
            .send()
            .await?;
        let (mut request, mut fulfilment) = (None, None);
        for item in reply.items.unwrap_or_default() {
            let key: ItemKey = from_item(item.clone()).map_err(StoreError::Item)?;
            match key.action.as_str() {
                REQUEST => request = Some(from_item(item).map_err(StoreError::Item)?),
                FULFIL => {
                    fulfilment = Some(from_item::<_, FulfilItem>(item).map_err(StoreError::Item)?);
                }
                _ => {}
            }
        }
        Ok(request.map(|request| Record {
            request,
            fulfilment,
        }))
    }

    /// Notes that the queue's message arrived. A second arrival changes nothing.
    pub async fn begin(
        &self,
        id: &str,
        received: Moment,
        expiration: i64,
    ) -> Result<(), StoreError> {
        let outcome = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("unique_identifier", text(id))
            .item("action", text(FULFIL))
            .item("received_time", text(received))
            .item("failed_fulfill_attempts", number(0))
            .item("expiration", number(expiration))
            .condition_expression("attribute_not_exists(unique_identifier)")
            .send()
            .await;
        made(outcome).map(drop)
    }

    /// Notes the height at which the chain was last seen.
    pub async fn observe_height(&self, id: &str, height: u64) -> Result<(), StoreError> {
        let update = self
            .update(id, FULFIL)
            .update_expression("SET observed_height = :height")
            .condition_expression("attribute_exists(unique_identifier)")
            .expression_attribute_values(":height", number(height));
        apply(update).await.map(drop)
    }

    /// Counts one failed run: the one that found `seen` failures before it.
    /// The count is set, not added to, so that a repeated call counts once.
    pub async fn record_failure(&self, id: &str, seen: u32, code: &str) -> Result<(), StoreError> {
        let update = self
            .update(id, FULFIL)
            .update_expression("SET failed_fulfill_attempts = :next, last_error = :code")
            .condition_expression(format!(
                "{STILL_PENDING} AND failed_fulfill_attempts = :seen"
            ))
            .expression_attribute_values(":next", number(seen.saturating_add(1)))
            .expression_attribute_values(":seen", number(seen))
            .expression_attribute_values(":code", text(code));
        apply(update).await.map(drop)
    }

    /// Writes the value and its proof; `false` where the request was closed before.
    pub async fn fulfil(&self, id: &str, proved: &Proved<'_>) -> Result<bool, StoreError> {
        let bundle = proved.bundle;
        let update = self
            .update(id, FULFIL)
            .update_expression(
                "SET vrf_value = :value, fulfill_time_actual = :at, suite = :suite, \
                 public_key = :key, proof = :proof, beta = :beta, key_epoch = :epoch, \
                 failed_fulfill_attempts = :failed, fulfill_attempts = :attempts, \
                 expiration = :expiration REMOVE last_error",
            )
            .condition_expression(STILL_PENDING)
            .expression_attribute_values(":value", number(bundle.value))
            .expression_attribute_values(":at", text(proved.at))
            .expression_attribute_values(":suite", text(bundle.suite))
            .expression_attribute_values(":key", text(hex::encode(&bundle.public_key)))
            .expression_attribute_values(":proof", text(hex::encode(&bundle.proof)))
            .expression_attribute_values(":beta", text(hex::encode(&bundle.beta)))
            .expression_attribute_values(":epoch", number(proved.key_epoch))
            .expression_attribute_values(":failed", number(proved.failed))
            .expression_attribute_values(":attempts", number(proved.failed.saturating_add(1)))
            .expression_attribute_values(":expiration", number(proved.expiration));
        apply(update).await
    }

    /// Closes a request without a value; `false` where it was closed before.
    pub async fn expire(
        &self,
        id: &str,
        at: Moment,
        reason: &str,
        expiration: i64,
    ) -> Result<bool, StoreError> {
        let update = self
            .update(id, FULFIL)
            .update_expression(
                "SET expired_time = :at, expired_reason = :reason, expiration = :expiration",
            )
            .condition_expression(STILL_PENDING)
            .expression_attribute_values(":at", text(at))
            .expression_attribute_values(":reason", text(reason))
            .expression_attribute_values(":expiration", number(expiration));
        apply(update).await
    }

    /// Takes a closed request out of the index of open ones. Where this is
    /// lost, the sweep does it: the `fulfill` item alone says what is closed.
    pub async fn close(&self, id: &str) -> Result<(), StoreError> {
        let update = self
            .update(id, REQUEST)
            .update_expression("REMOVE #open")
            .condition_expression("attribute_exists(unique_identifier)")
            .expression_attribute_names("#open", OPEN);
        apply(update).await.map(drop)
    }

    /// The requests that are not closed and whose deadline was before `time`,
    /// the oldest first, at most `limit`.
    pub async fn overdue(&self, time: Moment, limit: i32) -> Result<Vec<Overdue>, StoreError> {
        let reply = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_REQUESTS)
            .key_condition_expression("#open = :open AND deadline < :time")
            .expression_attribute_names("#open", OPEN)
            .expression_attribute_values(":open", text(OPEN))
            .expression_attribute_values(":time", text(time))
            .limit(limit)
            .send()
            .await?;
        from_items(reply.items.unwrap_or_default()).map_err(StoreError::Item)
    }

    /// Up to `limit` items of the table as requests, in no order. Meant for a
    /// person's overview: it reads the table from its start.
    pub async fn scan(&self, limit: usize) -> Result<Vec<Record>, StoreError> {
        let mut requests = Vec::<RequestItem>::new();
        let mut fulfilments = HashMap::<String, FulfilItem>::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                let key: ItemKey = from_item(item.clone()).map_err(StoreError::Item)?;
                match key.action.as_str() {
                    REQUEST => requests.push(from_item(item).map_err(StoreError::Item)?),
                    FULFIL => {
                        let fulfilment = from_item(item).map_err(StoreError::Item)?;
                        fulfilments.insert(key.unique_identifier, fulfilment);
                    }
                    _ => {}
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() || requests.len() + fulfilments.len() >= limit {
                break;
            }
        }
        Ok(requests
            .into_iter()
            .map(|request| Record {
                fulfilment: fulfilments.remove(&request.unique_identifier),
                request,
            })
            .collect())
    }

    fn update(&self, id: &str, action: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("unique_identifier", text(id))
            .key("action", text(action))
    }
}

/// Makes a conditional update; `false` where its condition did not hold.
async fn apply(update: UpdateItemFluentBuilder) -> Result<bool, StoreError> {
    made(update.send().await)
}
