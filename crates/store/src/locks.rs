//! A table of locks, as the original faucet has it (`Name`, `LockerID`,
//! `LastWrite`, `Value`), and one attribute more: `Token`, which grows whenever
//! a lock changes hands. Whoever writes under a lock names its token, so that a
//! holder whose lock was taken over meanwhile changes nothing.
//!
//! Whether a lock expired is told by the clocks of two machines. Where they
//! differ, a lock is taken over early or late; what is written under it is
//! right all the same.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, TransactWriteItem, Update};
use jiff::Timestamp;
use offchain_codes::Coded;
use serde::Deserialize;
use serde_dynamo::from_item;

use crate::error::made;
use crate::item::{number, text};
use crate::{StoreError, clock};

/// The holder of a lock that nobody holds.
const FREE: u64 = 0;
/// How often a lock that is held is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The lock's name.
    pub name: String,
    /// Who holds it.
    pub holder: u64,
    /// The fencing token: how often the lock changed hands.
    pub token: u64,
    /// What the last holder left.
    pub value: Option<String>,
}

/// Why a lock was not taken or released.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("the lock {0} is held by another")]
    Held(String),
    /// It was taken over by somebody else.
    #[error("the lock {0} was taken over by another")]
    Lost(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for LockError {
    fn code(&self) -> &'static str {
        match self {
            Self::Held(_) => "LeaseHeld",
            Self::Lost(_) => "LeaseLost",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Held(_) | Self::Lost(_) => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// A lock, as its item has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockState {
    /// Who holds it, where somebody does. It may have expired.
    pub holder: Option<u64>,
    /// When it was last written.
    pub written: Timestamp,
    /// The fencing token.
    pub token: u64,
    /// What the last holder left.
    pub value: Option<String>,
}

impl LockState {
    /// Who holds it at `now`, where it expires `expiry` after it was last written.
    #[must_use]
    pub fn holder_at(&self, now: Timestamp, expiry: Duration) -> Option<u64> {
        // One that was written by a clock ahead of this one has not expired.
        let age = Duration::try_from(now.duration_since(self.written)).unwrap_or_default();
        self.holder.filter(|_| age <= expiry)
    }
}

#[derive(Deserialize)]
struct Held {
    #[serde(rename = "Token")]
    token: u64,
    #[serde(rename = "Value")]
    value: Option<String>,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Locks {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl Locks {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Takes a lock that is absent, free, held by `holder` already, or was not
    /// written for `expiry`.
    pub async fn acquire(
        &self,
        name: &str,
        holder: u64,
        expiry: Duration,
    ) -> Result<Lease, LockError> {
        self.take(name, holder, expiry, "LockerID = :me").await
    }

    /// As [`Locks::acquire`], and also from a holder that is older: its number
    /// is lower. So a successor need not wait until its predecessor ends.
    pub async fn take_over(
        &self,
        name: &str,
        holder: u64,
        expiry: Duration,
    ) -> Result<Lease, LockError> {
        self.take(name, holder, expiry, "LockerID <= :me").await
    }

    async fn take(
        &self,
        name: &str,
        holder: u64,
        expiry: Duration,
        mine: &str,
    ) -> Result<Lease, LockError> {
        let now = nanoseconds(clock::now());
        let reply = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression("SET LockerID = :me, LastWrite = :now ADD #token :one")
            .condition_expression(format!(
                "attribute_not_exists(#name) OR attribute_not_exists(LockerID) \
                 OR LockerID = :free OR {mine} OR LastWrite < :expired"
            ))
            .expression_attribute_names("#name", "Name")
            .expression_attribute_names("#token", "Token")
            .expression_attribute_values(":me", number(holder))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":free", number(FREE))
            .expression_attribute_values(
                ":expired",
                number(now.saturating_sub_unsigned(expiry.as_nanos())),
            )
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                return Err(LockError::Held(name.to_owned()));
            }
            Err(error) => return Err(StoreError::from(error).into()),
        };
        let held: Held =
            from_item(reply.attributes.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok(Lease {
            name: name.to_owned(),
            holder,
            token: held.token,
            value: held.value,
        })
    }

    /// Takes a lock, and waits for it up to `timeout` while it is held.
    pub async fn acquire_within(
        &self,
        name: &str,
        holder: u64,
        expiry: Duration,
        timeout: Duration,
    ) -> Result<Lease, LockError> {
        let began = std::time::Instant::now();
        loop {
            match self.acquire(name, holder, expiry).await {
                Err(LockError::Held(_)) if began.elapsed() < timeout => {
                    tokio::time::sleep(AGAIN).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Gives a lock back. Where it was taken over meanwhile, nothing changes.
    /// With `value`, the next holder finds that.
    pub async fn release(&self, lease: &Lease, value: Option<&str>) -> Result<(), LockError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(&lease.name))
            .condition_expression("LockerID = :me AND #token = :token")
            .expression_attribute_names("#token", "Token")
            .expression_attribute_values(":me", number(lease.holder))
            .expression_attribute_values(":token", number(lease.token))
            .expression_attribute_values(":free", number(FREE))
            .expression_attribute_values(":now", number(nanoseconds(clock::now())));
        let mut set = "SET LockerID = :free, LastWrite = :now".to_owned();
        if let Some(value) = value {
            set.push_str(", #value = :value");
            update = update
                .expression_attribute_names("#value", "Value")
                .expression_attribute_values(":value", text(value));
        }
        let outcome = update.update_expression(set).send().await;
        if made(outcome)? {
            Ok(())
        } else {
            Err(LockError::Lost(lease.name.clone()))
        }
    }

    /// Keeps a lock, and leaves `value` for the next holder.
    pub async fn renew(&self, lease: &Lease, value: &str) -> Result<(), LockError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(&lease.name))
            .update_expression("SET LastWrite = :now, #value = :value")
            .condition_expression("LockerID = :me AND #token = :token")
            .expression_attribute_names("#token", "Token")
            .expression_attribute_names("#value", "Value")
            .expression_attribute_values(":me", number(lease.holder))
            .expression_attribute_values(":token", number(lease.token))
            .expression_attribute_values(":value", text(value))
            .expression_attribute_values(":now", number(nanoseconds(clock::now())))
            .send()
            .await;
        if made(outcome)? {
            Ok(())
        } else {
            Err(LockError::Lost(lease.name.clone()))
        }
    }

    /// Takes a lock from whoever has it, leaves it free, and leaves `value` for
    /// the next holder. The present one finds its lock lost.
    pub async fn seize(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression(
                "SET LockerID = :free, LastWrite = :now, #value = :value ADD #token :one",
            )
            .expression_attribute_names("#token", "Token")
            .expression_attribute_names("#value", "Value")
            .expression_attribute_values(":free", number(FREE))
            .expression_attribute_values(":now", number(nanoseconds(clock::now())))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":value", text(value))
            .send()
            .await?;
        Ok(())
    }

    /// What is known of a lock; nothing before it was ever taken.
    pub async fn look(&self, name: &str) -> Result<Option<LockState>, StoreError> {
        #[derive(Deserialize)]
        struct Item {
            #[serde(rename = "LockerID")]
            holder: u64,
            #[serde(rename = "Token")]
            token: u64,
            #[serde(rename = "Value")]
            value: Option<String>,
        }
        let reply = self.item(name).await?;
        let Some(item) = reply else { return Ok(None) };
        let written = item
            .get("LastWrite")
            .and_then(|written| written.as_n().ok())
            .and_then(|written| written.parse().ok())
            .and_then(|written| Timestamp::from_nanosecond(written).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let item: Item = from_item(item).map_err(StoreError::Item)?;
        Ok(Some(LockState {
            holder: (item.holder != FREE).then_some(item.holder),
            written,
            token: item.token,
            value: item.value,
        }))
    }

    /// The part of a transaction that holds only while `lease` does. It also
    /// renews the lease, and leaves `value` for the next holder.
    pub(crate) fn fence(
        &self,
        lease: &Lease,
        value: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("Name", text(&lease.name))
            .update_expression("SET LastWrite = :now, #value = :value")
            .condition_expression("LockerID = :me AND #token = :token")
            .expression_attribute_names("#token", "Token")
            .expression_attribute_names("#value", "Value")
            .expression_attribute_values(":me", number(lease.holder))
            .expression_attribute_values(":token", number(lease.token))
            .expression_attribute_values(":value", text(value))
            .expression_attribute_values(":now", number(nanoseconds(clock::now())))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(crate) async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let item = self.item(name).await?;
        item.map(from_item).transpose().map_err(StoreError::Item)
    }

    async fn item(
        &self,
        name: &str,
    ) -> Result<Option<HashMap<String, AttributeValue>>, StoreError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .consistent_read(true)
            .send()
            .await?;
        Ok(reply.item)
    }
}

fn nanoseconds(time: Timestamp) -> i128 {
    time.as_nanosecond()
}

#[cfg(test)]
mod tests;
