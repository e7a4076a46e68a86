//! The table of payouts: one item a sequence number, with every version of the
//! transaction that was signed for it. An item is written before anything is
//! sent, under the fencing token of the lease.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use jiff::Timestamp;
use offchain_faucet::PayoutStatus;
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_items, to_attribute_value, to_item};

use super::{Claims, Lease, LockError, Locks};
use crate::error::made;
use crate::item::{get, number, text};
use crate::transact::transact;
use crate::{Moment, StoreError};

/// The sparse index of the payouts that have not ended.
pub(crate) const OPEN_PAYOUTS: &str = "open-payouts";
const OPEN: &str = "payout";

/// One transfer of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The claim that it pays.
    pub claim_id: String,
    /// Who is paid.
    pub address: String,
    /// How much, in the smallest unit.
    pub amount: String,
}

/// One signed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutVersion {
    /// Its hash.
    pub hash: String,
    /// Its bytes, in hexadecimal.
    pub bytes: String,
    /// Its terms, as JSON.
    pub terms: String,
    /// When it was signed.
    pub created_time: Moment,
}

/// A payout, as its item has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payout {
    /// The address that pays.
    pub account: String,
    /// The sequence number that it owns.
    pub sequence: u64,
    /// Where it is.
    pub status: PayoutStatus,
    /// Its transfers, in order: those of every version.
    pub transfers: Vec<Transferred>,
    /// Every version, the oldest first.
    pub versions: Vec<PayoutVersion>,
    /// What it waits for, or why it ended: a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The hash of the version that a block has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// That block's height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The height at which its number was first seen used by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_height: Option<u64>,
    /// Whether the next version is wanted, signed on better terms.
    #[serde(default)]
    pub wants_version: bool,
    /// When it was first signed.
    pub created_time: Moment,
    /// When it last changed.
    pub updated_time: Moment,
    /// When somebody should look at it.
    pub deadline: Moment,
}

impl Payout {
    /// The version that was signed last.
    #[must_use]
    pub fn last(&self) -> Option<&PayoutVersion> {
        self.versions.last()
    }
}

/// What became of a payout that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It is stored.
    Stored,
    /// These claims were not waiting any more; nothing is stored.
    Taken(Vec<String>),
}

/// The table.
#[derive(Clone, Debug)]
pub struct Payouts {
    client: Client,
    table: String,
}

impl Payouts {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Stores a new payout with its first version: under the lease, whose value
    /// becomes the next number; and every claim of it becomes its own. All of
    /// it or nothing.
    pub async fn store(
        &self,
        payout: &Payout,
        lease: &Lease,
        locks: &Locks,
        claims: &Claims,
    ) -> Result<StoreOutcome, LockError> {
        let Some(version) = payout.last() else {
            return Ok(StoreOutcome::Stored);
        };
        let mut item: HashMap<_, _> = to_item(payout).map_err(StoreError::Item)?;
        item.insert("open".to_owned(), text(OPEN));
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#sequence)")
            .expression_attribute_names("#sequence", "sequence")
            .build()
            .map_err(StoreError::unbuilt)?;
        let next = (payout.sequence + 1).to_string();
        let mut items = vec![
            locks.fence(lease, &next)?,
            TransactWriteItem::builder().put(put).build(),
        ];
        for transfer in &payout.transfers {
            items.push(claims.assign(&transfer.claim_id, payout.sequence, &version.hash)?);
        }
        let reasons = match self.transact(items).await? {
            None => return Ok(StoreOutcome::Stored),
            Some(reasons) => reasons,
        };
        match reasons.as_slice() {
            // The number is stored already, by one who held the lease since.
            [fence, put, ..] if *fence || *put => Err(LockError::Lost(lease.name.clone())),
            [_, _, claims @ ..] => Ok(StoreOutcome::Taken(
                std::iter::zip(&payout.transfers, claims)
                    .filter(|(_, failed)| **failed)
                    .map(|(transfer, _)| transfer.claim_id.clone())
                    .collect(),
            )),
            _ => Err(LockError::Lost(lease.name.clone())),
        }
    }

    /// Adds a version to a payout that has not ended, under the lease.
    pub async fn add_version(
        &self,
        payout: &Payout,
        version: &PayoutVersion,
        lease: &Lease,
        locks: &Locks,
        next: u64,
    ) -> Result<(), LockError> {
        let version = to_attribute_value(version).map_err(StoreError::Item)?;
        let update = Update::builder()
            .table_name(&self.table)
            .key("account", text(&payout.account))
            .key("sequence", number(payout.sequence))
            .update_expression(
                "SET versions = list_append(versions, :version), #status = :signed, \
                 wants_version = :no, updated_time = :now REMOVE reason",
            )
            .condition_expression("attribute_exists(#open) AND size(versions) = :count")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":version", AttributeValue::L(vec![version]))
            .expression_attribute_values(":signed", text(PayoutStatus::Signed))
            .expression_attribute_values(":no", AttributeValue::Bool(false))
            .expression_attribute_values(":now", now())
            .expression_attribute_values(":count", number(payout.versions.len()))
            .build()
            .map_err(StoreError::unbuilt)?;
        let items = vec![
            locks.fence(lease, &next.to_string())?,
            TransactWriteItem::builder().update(update).build(),
        ];
        match self.transact(items).await? {
            None => Ok(()),
            Some(_) => Err(LockError::Lost(lease.name.clone())),
        }
    }

    /// Forgets all versions of a payout but the newest ones, under the lease. Of
    /// the others it must be certain that no block has or takes them.
    pub async fn forget_versions(
        &self,
        payout: &Payout,
        newest: usize,
        lease: &Lease,
        locks: &Locks,
        next: u64,
    ) -> Result<(), LockError> {
        let forgotten = payout.versions.len().saturating_sub(newest);
        let kept = to_attribute_value(&payout.versions[forgotten..]).map_err(StoreError::Item)?;
        let update = Update::builder()
            .table_name(&self.table)
            .key("account", text(&payout.account))
            .key("sequence", number(payout.sequence))
            .update_expression("SET versions = :kept, updated_time = :now")
            .condition_expression("attribute_exists(#open) AND size(versions) = :count")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":kept", kept)
            .expression_attribute_values(":now", now())
            .expression_attribute_values(":count", number(payout.versions.len()))
            .build()
            .map_err(StoreError::unbuilt)?;
        let items = vec![
            locks.fence(lease, &next.to_string())?,
            TransactWriteItem::builder().update(update).build(),
        ];
        match self.transact(items).await? {
            None => Ok(()),
            Some(_) => Err(LockError::Lost(lease.name.clone())),
        }
    }

    /// Makes a transaction; where a condition did not hold, which ones.
    async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
    ) -> Result<Option<Vec<bool>>, StoreError> {
        transact(&self.client, items)
            .await
            .map(|failed| failed.map(|failed| failed.iter().map(Option::is_some).collect()))
    }

    /// A payout, read consistently.
    pub async fn get(&self, account: &str, sequence: u64) -> Result<Option<Payout>, StoreError> {
        let key = [("account", text(account)), ("sequence", number(sequence))];
        get(&self.client, &self.table, key).await
    }

    /// The newest payouts of an account, read consistently, the oldest of them
    /// first.
    pub async fn newest(&self, account: &str, limit: i32) -> Result<Vec<Payout>, StoreError> {
        let reply = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("account = :account")
            .expression_attribute_values(":account", text(account))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(limit)
            .send()
            .await?;
        let mut payouts: Vec<Payout> =
            from_items(reply.items.unwrap_or_default()).map_err(StoreError::Item)?;
        payouts.reverse();
        Ok(payouts)
    }

    /// The sequence numbers of payouts that have not ended, the lowest first,
    /// at most `limit`, with their accounts. The index may be a moment late.
    pub async fn open(&self, limit: i32) -> Result<Vec<(String, u64)>, StoreError> {
        #[derive(Deserialize)]
        struct Key {
            account: String,
            sequence: u64,
        }
        let reply = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(OPEN_PAYOUTS)
            .key_condition_expression("#open = :open")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":open", text(OPEN))
            .limit(limit)
            .send()
            .await?;
        let keys: Vec<Key> =
            from_items(reply.items.unwrap_or_default()).map_err(StoreError::Item)?;
        Ok(keys
            .into_iter()
            .map(|key| (key.account, key.sequence))
            .collect())
    }

    /// Notes where an open payout is. One that has ended stays as it is.
    pub async fn note(&self, payout: &Payout) -> Result<bool, StoreError> {
        self.write(payout, false).await
    }

    /// Ends a payout, once all its claims have their fate.
    pub async fn end(&self, payout: &Payout) -> Result<bool, StoreError> {
        self.write(payout, true).await
    }

    /// Writes everything but the versions, which only the lease's holder adds;
    /// and only where there are as many as were seen, so that what was seen of
    /// an older version does not hide a newer one.
    async fn write(&self, payout: &Payout, ends: bool) -> Result<bool, StoreError> {
        let mut set =
            "SET #status = :status, wants_version = :wants, updated_time = :now".to_owned();
        let mut remove = Vec::new();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("account", text(&payout.account))
            .key("sequence", number(payout.sequence))
            .condition_expression("attribute_exists(#open) AND size(versions) = :count")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":status", text(payout.status))
            .expression_attribute_values(":wants", AttributeValue::Bool(payout.wants_version))
            .expression_attribute_values(":count", number(payout.versions.len()))
            .expression_attribute_values(":now", now());
        for (name, value) in [
            ("reason", payout.reason.as_ref().map(text)),
            ("hash", payout.hash.as_ref().map(text)),
            ("height", payout.height.map(number)),
            ("used_height", payout.used_height.map(number)),
        ] {
            let placeholder = format!("#{name}");
            match value {
                Some(value) => {
                    set.push_str(&format!(", {placeholder} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), value);
                }
                None => remove.push(placeholder.clone()),
            }
            update = update.expression_attribute_names(placeholder, name);
        }
        if ends {
            remove.push("#open".to_owned());
        }
        if !remove.is_empty() {
            set.push_str(" REMOVE ");
            set.push_str(&remove.join(", "));
        }
        made(update.update_expression(set).send().await)
    }
}

fn now() -> AttributeValue {
    text(Moment::from(Timestamp::now()))
}
