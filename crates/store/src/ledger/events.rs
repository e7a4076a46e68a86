//! The table of events: one item a transaction, stored once however often it
//! is delivered, and what became of it.

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use offchain_ledger::{Event, Id, PublicKey};
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_items, to_item};

use crate::error::made;
use crate::item::{get, number, text};
use crate::{Moment, StoreError};

/// The index of an asset's events, by their position in the chain.
pub(crate) const BY_ASSET: &str = "by-asset";

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It is stored; its transaction is yet to be fetched.
    Received,
    /// Its transaction counts.
    Recorded,
    /// Its transaction can never count, for a reason.
    Rejected,
}

/// An event, as its item has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventItem {
    /// What was delivered.
    #[serde(flatten)]
    pub event: Event,
    /// Where it stands among its asset's, as text that sorts.
    pub position: String,
    /// What became of it.
    pub status: EventStatus,
    /// The newest timestamp of the webhooks that brought it, in Unix seconds.
    pub webhook_timestamp: i64,
    /// When it was stored.
    pub received_time: Moment,
    /// When its transaction was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Moment>,
    /// `CREATE` or `TRANSFER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Who gave.
    #[serde(default)]
    pub from: Vec<PublicKey>,
    /// Who got.
    #[serde(default)]
    pub to: Vec<PublicKey>,
    /// Why it was rejected: a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EventItem {
    /// A new event, brought by a webhook of that timestamp.
    #[must_use]
    pub fn new(event: Event, webhook_timestamp: i64, now: Timestamp) -> Self {
        Self {
            position: position(&event),
            event,
            status: EventStatus::Received,
            webhook_timestamp,
            received_time: now.into(),
            recorded_time: None,
            operation: None,
            from: Vec::new(),
            to: Vec::new(),
            reason: None,
        }
    }
}

/// Events of the 1.x generation have no height, and come first.
fn position(event: &Event) -> String {
    format!(
        "{:020}.{}",
        event.height.unwrap_or_default(),
        event.transaction_id
    )
}

/// What a webhook met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: the event is stored now.
    New,
    /// The same event. Whether it is yet to be recorded.
    Known {
        /// Its transaction does not count yet.
        open: bool,
    },
    /// The same event, brought by a webhook that is not older.
    Replayed,
    /// Another event of the same transaction.
    Conflict,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Events {
    client: Client,
    table: String,
}

impl Events {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Stores an event, unless it is there.
    pub async fn store(&self, item: &EventItem) -> Result<Stored, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(item).map_err(StoreError::Item)?))
            .condition_expression("attribute_not_exists(transaction_id)")
            .send()
            .await;
        if made(put)? {
            return Ok(Stored::New);
        }
        let Some(known) = self.load(&item.event.transaction_id).await? else {
            // Somebody deletes items; the next delivery stores it anew.
            return Ok(Stored::Conflict);
        };
        if known.event != item.event {
            return Ok(Stored::Conflict);
        }
        let newer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("transaction_id", text(&item.event.transaction_id))
            .update_expression("SET webhook_timestamp = :time")
            .condition_expression("webhook_timestamp < :time")
            .expression_attribute_values(":time", number(item.webhook_timestamp))
            .send()
            .await;
        Ok(if made(newer)? {
            Stored::Known {
                open: known.status == EventStatus::Received,
            }
        } else {
            Stored::Replayed
        })
    }

    /// An event.
    pub async fn load(&self, transaction: &Id) -> Result<Option<EventItem>, StoreError> {
        let key = [("transaction_id", text(transaction))];
        get(&self.client, &self.table, key).await
    }

    /// Notes that an event's transaction cannot count. False where it does.
    pub async fn reject(&self, transaction: &Id, code: &str) -> Result<bool, StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("transaction_id", text(transaction))
            .update_expression("SET #status = :rejected, reason = :code")
            .condition_expression("#status <> :recorded")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":rejected", text("rejected"))
            .expression_attribute_values(":recorded", text("recorded"))
            .expression_attribute_values(":code", text(code))
            .send()
            .await;
        made(outcome)
    }

    /// The newest events of an asset, those before `after` where it is given,
    /// and whether there are more.
    pub async fn of_asset(
        &self,
        asset: &Id,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<EventItem>, bool), StoreError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_ASSET)
            .expression_attribute_values(":asset", text(asset))
            .scan_index_forward(false)
            .limit(limit.cast_signed());
        query = match after {
            None => query.key_condition_expression("asset_id = :asset"),
            Some(after) => query
                .key_condition_expression("asset_id = :asset AND #position < :after")
                .expression_attribute_names("#position", "position")
                .expression_attribute_values(":after", text(after)),
        };
        let reply = query.send().await?;
        let more = reply.last_evaluated_key.is_some();
        let events = from_items(reply.items.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok((events, more))
    }

    /// Events, in no order, until there are `limit` of them, and whether there
    /// are more. Meant for a person's overview: it reads the table from its start.
    pub async fn scan(&self, limit: usize) -> Result<(Vec<EventItem>, bool), StoreError> {
        super::scan(&self.client, &self.table, limit).await
    }
}
