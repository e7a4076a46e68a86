//! What the faucet keeps in its table of locks beside the lease: what is known
//! of the account that pays, and whether the payer is broken.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::made;
use crate::item::{number, text};
use crate::locks::Locks;
use crate::{Moment, StoreError};

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

impl Locks {
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
            .expression_attribute_values(":time", text(seen.observed_time))
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
            .expression_attribute_values(":now", text(Moment::from(Timestamp::now())))
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
}
