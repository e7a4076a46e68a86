//! The listener's cursor: the value of its lease. Whoever moves it names the
//! lease's token, so that of two listeners only one ever does.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use serde_dynamo::to_item;

use super::{Deliveries, Delivery};
use crate::StoreError;
use crate::locks::{Lease, LockError, LockState, Locks};
use crate::transact::transact;

/// The most items of one transaction is 100, and one is the lease's.
const PUTS: usize = 99;

/// Up to where everything is delivered, or kept for its retry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The height.
    pub height: u64,
    /// What tells the chain from another one; none where the cursor was set by
    /// hand, or nothing but empty blocks was read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// The newest block up to a cursor that is not empty: all empty ones are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its height.
    pub height: u64,
    /// A digest of it.
    pub digest: String,
}

/// The lease, the cursor and the deliveries of one listener.
#[derive(Clone, Debug)]
pub struct Feed {
    client: Client,
    locks: Locks,
    name: String,
    /// The deliveries that wait.
    pub deliveries: Deliveries,
}

impl Feed {
    /// The listener of the suite `environment`.
    #[must_use]
    pub fn new(client: &Client, locks: String, deliveries: String, environment: &str) -> Self {
        Self {
            client: client.clone(),
            locks: Locks::new(client.clone(), locks),
            name: format!("{environment}-ledger-listener"),
            deliveries: Deliveries::new(client.clone(), deliveries),
        }
    }

    /// Takes the lease, where it is free or expired.
    pub async fn acquire(&self, holder: u64, expiry: Duration) -> Result<Lease, LockError> {
        self.locks.acquire(&self.name, holder, expiry).await
    }

    /// Takes the lease, from an older holder too.
    pub async fn take_over(&self, holder: u64, expiry: Duration) -> Result<Lease, LockError> {
        self.locks.take_over(&self.name, holder, expiry).await
    }

    /// Where the holder of `lease` begins; nothing before the first listener.
    pub fn cursor(lease: &Lease) -> Result<Option<Cursor>, StoreError> {
        lease.value.as_deref().map(read).transpose()
    }

    /// Moves the cursor, renews the lease, and keeps `deliveries`: all of it or
    /// nothing. Where there are more than one transaction takes, the cursor
    /// moves with the last of them.
    pub async fn checkpoint(
        &self,
        lease: &Lease,
        before: &Cursor,
        cursor: &Cursor,
        deliveries: &[Delivery],
    ) -> Result<(), LockError> {
        let chunks = deliveries.chunks(PUTS);
        let Some(last) = chunks.len().checked_sub(1) else {
            return self.locks.renew(lease, &written(cursor)?).await;
        };
        for (index, chunk) in chunks.enumerate() {
            let value = if index == last { cursor } else { before };
            let mut items = vec![self.locks.fence(lease, &written(value)?)?];
            for delivery in chunk {
                let put = Put::builder()
                    .table_name(self.deliveries.table())
                    .set_item(Some(to_item(delivery).map_err(StoreError::Item)?))
                    .build()
                    .map_err(StoreError::unbuilt)?;
                items.push(TransactWriteItem::builder().put(put).build());
            }
            // Only the lease has a condition.
            if transact(&self.client, items).await?.is_some() {
                return Err(LockError::Lost(self.name.clone()));
            }
        }
        Ok(())
    }

    /// Gives the lease back, with the cursor for the next holder.
    pub async fn release(&self, lease: &Lease, cursor: &Cursor) -> Result<(), LockError> {
        self.locks.release(lease, Some(&written(cursor)?)).await
    }

    /// Gives the lease back as it was taken.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), LockError> {
        self.locks.release(lease, None).await
    }

    /// Sets the cursor, whoever listens: the present holder loses the lease.
    pub async fn rewind(&self, cursor: &Cursor) -> Result<(), StoreError> {
        self.locks.seize(&self.name, &written(cursor)?).await
    }

    /// Who listens, and where the cursor is; nothing before the first listener.
    pub async fn look(&self) -> Result<Option<(LockState, Option<Cursor>)>, StoreError> {
        let Some(state) = self.locks.look(&self.name).await? else {
            return Ok(None);
        };
        let cursor = state.value.as_deref().map(read).transpose()?;
        Ok(Some((state, cursor)))
    }
}

fn written(cursor: &Cursor) -> Result<String, StoreError> {
    serde_json::to_string(cursor).map_err(StoreError::Message)
}

fn read(text: &str) -> Result<Cursor, StoreError> {
    serde_json::from_str(text).map_err(StoreError::Value)
}
