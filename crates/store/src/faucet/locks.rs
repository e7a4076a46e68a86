//! The table of locks, as the original has it (`Name`, `LockerID`, `LastWrite`,
//! `Value`), and one attribute more: `Token`, which grows whenever a lock
//! changes hands. Whoever writes under a lock names its token, so that a
//! holder whose lock was taken over meanwhile changes nothing.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem, Update};
use jiff::Timestamp;
use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use serde_dynamo::from_item;

use super::{number, text};
use crate::error::made;
use crate::{Moment, StoreError};

/// The holder of a lock that nobody holds.
const FREE: u64 = 0;
/// How often a lock that is held is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// The names of a faucet's locks.
#[derive(Clone, Debug)]
pub struct LockNames {
    /// The lease of whoever pays; its value is the next sequence number.
    pub sequence: String,
    /// What is known of the account.
    pub account: String,
    /// Why the payer is broken, where it is.
    pub broken: String,
}

impl LockNames {
    /// The names of one environment's faucet for one network.
    #[must_use]
    pub fn new(environment: &str, network: &str) -> Self {
        let name = |lock| format!("{environment}-{network}-{lock}");
        Self {
            sequence: name("sequence"),
            account: name("accountnumber"),
            broken: name("brokenflag"),
        }
    }
}

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

/// What was last seen of the account that pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its address.
    pub address: String,
    /// Its number on a Cosmos chain.
    #[serde(rename = "Value")]
    pub number: String,
    /// What it has, in the smallest unit.
    pub balance: String,
    /// What it has of the coin that fees are paid in.
    pub fee_balance: String,
    /// Its next sequence number.
    pub sequence: u64,
    /// The chain's height then.
    pub height: u64,
    /// When.
    pub observed_time: Moment,
}

/// Why the payer is broken, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// A code.
    #[serde(rename = "Value")]
    pub code: String,
    /// What happened.
    pub reason: String,
    /// Since when.
    pub since: Moment,
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
    client: Client,
    table: String,
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
        let now = nanoseconds(Timestamp::now());
        let reply = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression("SET LockerID = :me, LastWrite = :now ADD #token :one")
            .condition_expression(
                "attribute_not_exists(#name) OR attribute_not_exists(LockerID) \
                 OR LockerID = :free OR LockerID = :me OR LastWrite < :expired",
            )
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
            .expression_attribute_values(":now", number(nanoseconds(Timestamp::now())));
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

    /// The part of a transaction that holds only while `lease` does. It also
    /// renews the lease, and leaves `value` for the next holder.
    pub(super) fn fence(
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
            .expression_attribute_values(":now", number(nanoseconds(Timestamp::now())))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Notes what was seen of the account.
    pub async fn note_account(&self, name: &str, seen: &AccountRecord) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression(
                "SET address = :address, #value = :number, balance = :balance, \
                 fee_balance = :fee_balance, #sequence = :sequence, height = :height, \
                 observed_time = :time",
            )
            .expression_attribute_names("#value", "Value")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_values(":address", text(&seen.address))
            .expression_attribute_values(":number", text(&seen.number))
            .expression_attribute_values(":balance", text(&seen.balance))
            .expression_attribute_values(":fee_balance", text(&seen.fee_balance))
            .expression_attribute_values(":sequence", number(seen.sequence))
            .expression_attribute_values(":height", number(seen.height))
            .expression_attribute_values(":time", text(seen.observed_time.to_string()))
            .send()
            .await?;
        Ok(())
    }

    /// What was last seen of the account; nothing before the first look.
    pub async fn account(&self, name: &str) -> Result<Option<AccountRecord>, StoreError> {
        self.read(name).await
    }

    /// Raises the broken flag. One that is raised already keeps its time.
    pub async fn set_broken(&self, name: &str, code: &str, reason: &str) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression(
                "SET #value = :code, reason = :reason, since = if_not_exists(since, :now)",
            )
            .expression_attribute_names("#value", "Value")
            .expression_attribute_values(":code", text(code))
            .expression_attribute_values(":reason", text(reason))
            .expression_attribute_values(":now", text(Moment::from(Timestamp::now()).to_string()))
            .send()
            .await?;
        Ok(())
    }

    /// Takes the broken flag down.
    pub async fn clear_broken(&self, name: &str) -> Result<(), StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .update_expression("SET #value = :none REMOVE reason, since")
            // Nothing is written where nothing is broken.
            .condition_expression("attribute_exists(since)")
            .expression_attribute_names("#value", "Value")
            .expression_attribute_values(":none", text(""))
            .send()
            .await;
        made(outcome)?;
        Ok(())
    }

    /// Why the payer is broken, where it is.
    pub async fn broken(&self, name: &str) -> Result<Option<Broken>, StoreError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Flag {
            Up(Broken),
            Down {},
        }
        Ok(match self.read(name).await? {
            Some(Flag::Up(broken)) => Some(broken),
            Some(Flag::Down {}) | None => None,
        })
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("Name", text(name))
            .consistent_read(true)
            .send()
            .await?;
        reply
            .item
            .map(from_item)
            .transpose()
            .map_err(StoreError::Item)
    }
}

fn nanoseconds(time: Timestamp) -> i128 {
    time.as_nanosecond()
}
