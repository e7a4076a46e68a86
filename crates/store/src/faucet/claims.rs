//! The table of claims. A claim waits, belongs to a payout, and ends.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::Timestamp;
use offchain_faucet::{ClaimStatus, Waiting};
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_item, to_item};

use crate::error::made;
use crate::item::{get, number, text};
use crate::{Moment, StoreError};

/// The sparse index of the claims that wait.
pub(crate) const OPEN_CLAIMS: &str = "open-claims";
const OPEN: &str = "claim";

/// A claim, as its item has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What it is known by.
    pub claim_id: String,
    /// Who is paid.
    pub address: String,
    /// How much, in the smallest unit.
    pub amount: String,
    /// Where it is.
    pub status: ClaimStatus,
    /// Why it is there: a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sequence number of the payout that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The transaction's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The height of the block that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// How many of its transactions failed.
    pub attempts: u32,
    /// When it came.
    pub created_time: Moment,
    /// When it last changed.
    pub updated_time: Moment,
    /// Until when it waits.
    pub deadline: Moment,
    /// What was reserved for it; nothing once that was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Given>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expiration: i64,
}

/// The limits that a claim was counted in, by their keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The address's cooldown.
    pub address: String,
    /// The source's count.
    pub source: String,
    /// The day's budget.
    pub budget: String,
}

impl Claim {
    /// The amount as a number.
    #[must_use]
    pub fn units(&self) -> u128 {
        self.amount.parse().unwrap_or(0)
    }
}

/// A claim that waits, in the order in which claims came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenClaim {
    /// What planning looks at.
    pub waiting: Waiting,
    /// When it came.
    pub created_time: Moment,
    /// Until when it waits.
    pub deadline: Moment,
    /// Why it waits.
    pub reason: Option<String>,
}

/// What becomes of a claim when its payout ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// A block has its transaction, but may still lose it.
    Committed {
        /// The transaction.
        hash: &'a str,
        /// The block.
        height: u64,
    },
    /// It was paid for good.
    Paid {
        /// The transaction.
        hash: &'a str,
        /// The block.
        height: u64,
    },
    /// No block has its transaction any more.
    Sent,
    /// It waits again, for another payout.
    Again {
        /// Whether its transaction failed.
        failed: bool,
        /// Why it waits.
        reason: &'a str,
    },
}

/// The table.
#[derive(Clone, Debug)]
pub struct Claims {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Claims {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The item of a new claim, which waits.
    pub(super) fn item(claim: &Claim) -> Result<HashMap<String, AttributeValue>, StoreError> {
        let mut item: HashMap<_, _> = to_item(claim).map_err(StoreError::Item)?;
        item.insert("open".to_owned(), text(OPEN));
        Ok(item)
    }

    /// The claim with this id, read consistently.
    pub async fn get(&self, id: &str) -> Result<Option<Claim>, StoreError> {
        get(&self.client, &self.table, [("claim_id", text(id))]).await
    }

    /// Claims that wait, the oldest first, at most `limit`. The index may be a
    /// moment late in both directions.
    pub async fn waiting(&self, limit: usize) -> Result<Vec<OpenClaim>, StoreError> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(OPEN_CLAIMS)
                .key_condition_expression("#open = :open")
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":open", text(OPEN))
                .limit(i32::try_from(limit - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                let claim: Claim = from_item(item).map_err(StoreError::Item)?;
                found.push(OpenClaim {
                    waiting: Waiting {
                        amount: claim.units(),
                        claim_id: claim.claim_id,
                        address: claim.address,
                        attempts: claim.attempts,
                    },
                    created_time: claim.created_time,
                    deadline: claim.deadline,
                    reason: claim.reason,
                });
            }
            start = page.last_evaluated_key;
            if start.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// Says why a claim goes on waiting.
    pub async fn explain(&self, id: &str, reason: &str) -> Result<(), StoreError> {
        let outcome = self
            .update(id)
            .update_expression("SET reason = :reason, updated_time = :now")
            .condition_expression(
                "#status = :queued AND (attribute_not_exists(reason) OR reason <> :reason)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":queued", text(ClaimStatus::Queued))
            .expression_attribute_values(":reason", text(reason))
            .send()
            .await;
        made(outcome)?;
        Ok(())
    }

    /// The part of a transaction by which a claim that waits becomes a
    /// payout's.
    pub(super) fn assign(
        &self,
        id: &str,
        sequence: u64,
        hash: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("claim_id", text(id))
            .update_expression(
                "SET #status = :sent, #sequence = :sequence, #hash = :hash, updated_time = :now \
                 REMOVE #open, reason",
            )
            .condition_expression("#status = :queued")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_names("#hash", "hash")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":queued", text(ClaimStatus::Queued))
            .expression_attribute_values(":sent", text(ClaimStatus::Sent))
            .expression_attribute_values(":sequence", number(sequence))
            .expression_attribute_values(":hash", text(hash))
            .expression_attribute_values(":now", now())
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Gives a claim of the payout `sequence` its fate. One that belongs to
    /// another payout by now, or has ended, stays as it is.
    pub async fn decide(
        &self,
        id: &str,
        sequence: u64,
        fate: &Fate<'_>,
    ) -> Result<bool, StoreError> {
        let mut update = self
            .update(id)
            .condition_expression("#sequence = :sequence AND #status IN (:sent, :committed)")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_values(":sequence", number(sequence))
            .expression_attribute_values(":sent", text(ClaimStatus::Sent))
            .expression_attribute_values(":committed", text(ClaimStatus::Committed))
            .expression_attribute_values(":status", text(fate.status()));
        let expression = match fate {
            Fate::Committed { hash, height } | Fate::Paid { hash, height } => {
                update = update
                    .expression_attribute_names("#hash", "hash")
                    .expression_attribute_values(":hash", text(*hash))
                    .expression_attribute_values(":height", number(height));
                "SET #status = :status, #hash = :hash, height = :height, updated_time = :now"
            }
            Fate::Sent => "SET #status = :status, updated_time = :now REMOVE height",
            Fate::Again { failed, reason } => {
                update = update
                    .expression_attribute_names("#open", "open")
                    .expression_attribute_names("#hash", "hash")
                    .expression_attribute_values(":open", text(OPEN))
                    .expression_attribute_values(":reason", text(*reason))
                    .expression_attribute_values(":failed", number(u32::from(*failed)));
                "SET #status = :status, #open = :open, reason = :reason, \
                 attempts = attempts + :failed, updated_time = :now \
                 REMOVE #sequence, #hash, height"
            }
        };
        made(update.update_expression(expression).send().await)
    }

    /// The part of a transaction that ends a claim without a payout: one of
    /// the payout `sequence`, or one that waits.
    pub(super) fn end(
        &self,
        claim: &Claim,
        status: ClaimStatus,
        reason: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("claim_id", text(&claim.claim_id))
            .update_expression(
                "SET #status = :status, reason = :reason, updated_time = :now \
                 REMOVE #open, reserved",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#open", "open")
            .expression_attribute_values(":was", text(claim.status))
            .expression_attribute_values(":status", text(status))
            .expression_attribute_values(":reason", text(reason))
            .expression_attribute_values(":now", now());
        let condition = match claim.sequence {
            Some(sequence) => {
                update = update
                    .expression_attribute_names("#sequence", "sequence")
                    .expression_attribute_values(":sequence", number(sequence));
                "#status = :was AND #sequence = :sequence"
            }
            None => "#status = :was",
        };
        let update = update
            .condition_expression(condition)
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("claim_id", text(id))
            .expression_attribute_values(":now", now())
    }
}

impl Fate<'_> {
    fn status(&self) -> ClaimStatus {
        match self {
            Self::Committed { .. } => ClaimStatus::Committed,
            Self::Paid { .. } => ClaimStatus::Paid,
            Self::Sent => ClaimStatus::Sent,
            Self::Again { .. } => ClaimStatus::Queued,
        }
    }
}

fn now() -> AttributeValue {
    text(Moment::from(Timestamp::now()))
}
