//! The table of deliveries that failed and wait for their retry, and of those
//! behind them that must not overtake them. Each is put there with the move of
//! the cursor over it, and leaves when it is delivered or given up. One that came by
//! the stream of a node without heights is put there when its run ends.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use offchain_ledger::{Event, Id};
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_items, to_item};

use crate::error::made;
use crate::item::{number, text};
use crate::{Moment, StoreError};

/// One event that a subscriber has yet to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The subscriber's name.
    pub subscriber: String,
    /// Where it stands among the subscriber's, as text that sorts.
    pub position: String,
    /// What is delivered.
    pub event: Event,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, at the earliest.
    pub next_attempt: Moment,
    /// Why the last try failed: a code; none where it waits behind another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Delivery {
    /// The position of the `index`th event of the block at `height`. One that
    /// came without a height is numbered by its time of arrival.
    #[must_use]
    pub fn position(height: u64, index: u64, transaction: &Id) -> String {
        format!("{height:020}.{index:015}.{transaction}")
    }
}

/// What of a delivery says whose it is.
#[derive(Deserialize)]
struct Key {
    subscriber: String,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Deliveries {
    client: Client,
    table: String,
}

impl Deliveries {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Those of a subscriber, in their order.
    pub async fn waiting(&self, subscriber: &str) -> Result<Vec<Delivery>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("subscriber = :subscriber")
            .expression_attribute_values(":subscriber", text(subscriber))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let items = page?.items.unwrap_or_default();
            found.extend(from_items::<_, Delivery>(items).map_err(StoreError::Item)?);
        }
        Ok(found)
    }

    /// For whom else something waits than for these subscribers, and how much:
    /// for who was taken out of the configuration.
    pub async fn waiting_for_others(
        &self,
        subscribers: &[&str],
    ) -> Result<BTreeMap<String, usize>, StoreError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .projection_expression("subscriber")
            .into_paginator()
            .send();
        let mut others = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let items = page?.items.unwrap_or_default();
            for Key { subscriber } in from_items(items).map_err(StoreError::Item)? {
                if !subscribers.contains(&subscriber.as_str()) {
                    *others.entry(subscriber).or_default() += 1;
                }
            }
        }
        Ok(others)
    }

    /// Puts one there by itself, without the move of a cursor.
    pub async fn keep(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(to_item(delivery).map_err(StoreError::Item)?))
            .send()
            .await?;
        Ok(())
    }

    /// Notes that another try failed, and when the next is due. One that is
    /// gone meanwhile stays gone.
    pub async fn postpone(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("subscriber", text(&delivery.subscriber))
            .key("position", text(&delivery.position))
            .update_expression("SET attempts = :attempts, next_attempt = :next, reason = :reason")
            .condition_expression("attribute_exists(subscriber)")
            .expression_attribute_values(":attempts", number(delivery.attempts))
            .expression_attribute_values(":next", text(delivery.next_attempt))
            .expression_attribute_values(
                ":reason",
                text(delivery.reason.as_deref().unwrap_or_default()),
            )
            .send()
            .await;
        made(outcome)?;
        Ok(())
    }

    /// Takes out one that is delivered, or given up.
    pub async fn remove(&self, subscriber: &str, position: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("subscriber", text(subscriber))
            .key("position", text(position))
            .send()
            .await?;
        Ok(())
    }
}
