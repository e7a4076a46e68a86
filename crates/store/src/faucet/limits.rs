//! The table of limits: throttle, cooldowns, counts, the budget, and the
//! challenges that were used. What it counts survives a restart, and is the
//! same for every instance.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{Gcra, Judgement};
use serde::Deserialize;
use serde_dynamo::from_item;

use super::Claim;
use crate::StoreError;
use crate::error::made;
use crate::item::{number, text};

/// How often a throttle that others write at the same moment is tried.
const TRIES: u32 = 8;

/// How far apart the clocks of two instances may be.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// Seconds that a throttle's item outlives its use.
const KEPT: i64 = 3600;

fn milliseconds(interval: SignedDuration) -> SignedDuration {
    let up = i64::from(interval.subsec_nanos() % 1_000_000 != 0);
    SignedDuration::from_millis(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX - 1) + up)
}

fn arrival(item: Option<HashMap<String, AttributeValue>>) -> Result<Option<Timestamp>, StoreError> {
    #[derive(Deserialize)]
    struct Arrival {
        arrival_ms: Option<i64>,
    }
    let arrival: Arrival = from_item(item.unwrap_or_default()).map_err(StoreError::Item)?;
    Ok(arrival
        .arrival_ms
        .and_then(|ms| Timestamp::from_millisecond(ms).ok()))
}

/// The table.
#[derive(Clone, Debug)]
pub struct Limits {
    client: Client,
    table: String,
}

impl Limits {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Counts a request of `source`, unless it is one too many.
    ///
    /// Two conditional writes say what the rule says: while the theoretical
    /// arrival lies ahead, it is moved on by one interval; once it has passed,
    /// it begins anew. Requests at the same moment so need no reading first.
    pub async fn throttle(
        &self,
        source: &str,
        gcra: &Gcra,
        now: Timestamp,
    ) -> Result<Judgement, StoreError> {
        let key = format!("throttle#{source}");
        // Kept in milliseconds, the interval rounded up: no more may pass.
        let interval = milliseconds(gcra.interval());
        for _ in 0..TRIES {
            let ahead = match self.move_on(&key, gcra, now).await? {
                Ok(arrival) => return Ok(gcra.judge(Some(arrival - interval), now)),
                Err(ahead) => ahead,
            };
            if let Some(arrival) = ahead
                && arrival > now
                && arrival <= gcra.latest(now) + gcra.interval() + SLACK
            {
                return Ok(gcra.judge(Some(arrival), now));
            }
            if self.begin(&key, gcra, now).await? {
                return Ok(gcra.judge(None, now));
            }
        }
        // Whoever loses that many races sends too many at one moment.
        Ok(gcra.judge(Some(gcra.latest(now) + gcra.interval()), now))
    }

    /// Moves the arrival on where it lies ahead, and not too far; else what it is.
    async fn move_on(
        &self,
        key: &str,
        gcra: &Gcra,
        now: Timestamp,
    ) -> Result<Result<Timestamp, Option<Timestamp>>, StoreError> {
        let latest = gcra.latest(now);
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("limit", text(key))
            .update_expression("SET expiration = :expiration ADD arrival_ms :interval")
            .condition_expression("arrival_ms > :now AND arrival_ms <= :latest")
            .expression_attribute_values(
                ":interval",
                number(milliseconds(gcra.interval()).as_millis()),
            )
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":latest", number(latest.as_millisecond()))
            .expression_attribute_values(":expiration", number(latest.as_second() + KEPT))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match outcome {
            Ok(reply) => Ok(arrival(reply.attributes)?.ok_or(None)),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Err(arrival(failed.item.clone())?))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Begins anew where the arrival has passed, or lies further ahead than
    /// any request can have put it: a clock was wrong.
    async fn begin(&self, key: &str, gcra: &Gcra, now: Timestamp) -> Result<bool, StoreError> {
        let next = now + milliseconds(gcra.interval());
        let absurd = gcra.latest(now) + gcra.interval() + SLACK;
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("limit", text(key))
            .update_expression("SET arrival_ms = :next, expiration = :expiration")
            .condition_expression(
                "attribute_not_exists(arrival_ms) OR arrival_ms <= :now OR arrival_ms > :absurd",
            )
            .expression_attribute_values(":next", number(next.as_millisecond()))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":absurd", number(absurd.as_millisecond()))
            .expression_attribute_values(":expiration", number(next.as_second() + KEPT))
            .send()
            .await;
        made(outcome)
    }

    /// What was given out on a day, in the smallest unit.
    pub async fn spent(&self, day: &str) -> Result<u128, StoreError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("limit", text(budget_key(day)))
            .send()
            .await?;
        // Read by hand: a sum may be larger than what serde_dynamo reads.
        let spent = reply.item.as_ref().and_then(|item| item.get("spent"));
        Ok(spent
            .and_then(|spent| spent.as_n().ok())
            .and_then(|spent| spent.parse().ok())
            .unwrap_or(0))
    }

    pub(super) fn cool_down(
        &self,
        key: &str,
        claim_id: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<TransactWriteItem, StoreError> {
        let until = now.as_second().saturating_add_unsigned(length.as_secs());
        let update = Update::builder()
            .table_name(&self.table)
            .key("limit", text(key))
            .update_expression("SET claim_id = :claim, #until = :until, expiration = :until")
            .condition_expression("attribute_not_exists(#until) OR #until <= :now")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":claim", text(claim_id))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now.as_second()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Adds to a sum that may not pass `most`.
    pub(super) fn add(
        &self,
        key: &str,
        units: u128,
        most: u128,
        expiration: i64,
    ) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .key("limit", text(key))
            .update_expression("SET expiration = :expiration ADD spent :units")
            .condition_expression(
                "(attribute_not_exists(spent) AND :units <= :most) OR spent <= :room",
            )
            .expression_attribute_values(":units", number(units))
            .expression_attribute_values(":most", number(most))
            // Below zero there is no room at all, and no sum is below zero.
            .expression_attribute_values(
                ":room",
                most.checked_sub(units).map_or_else(|| number(-1), number),
            )
            .expression_attribute_values(":expiration", number(expiration))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(super) fn take_back(
        &self,
        key: &str,
        units: u128,
    ) -> Result<TransactWriteItem, StoreError> {
        let soon = Timestamp::now().as_second() + KEPT;
        let update = Update::builder()
            .table_name(&self.table)
            .key("limit", text(key))
            // What the time-to-live took already comes back for a moment only.
            .update_expression("SET expiration = if_not_exists(expiration, :soon) ADD spent :units")
            .expression_attribute_values(":units", AttributeValue::N(format!("-{units}")))
            .expression_attribute_values(":soon", number(soon))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    pub(super) fn use_up(
        &self,
        challenge: &str,
        until: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.table)
            .item("limit", text(format!("challenge#{challenge}")))
            .item("expiration", number(until.as_second() + 3600))
            .condition_expression("attribute_not_exists(#limit)")
            .expression_attribute_names("#limit", "limit")
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Ends the cooldown that `claim` began, and no other's.
    pub(super) fn warm_up(
        &self,
        key: &str,
        claim: &Claim,
    ) -> Result<TransactWriteItem, StoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("limit", text(key))
            .condition_expression("claim_id = :claim")
            .expression_attribute_values(":claim", text(&claim.claim_id))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

/// The key of a day's budget.
pub(super) fn budget_key(day: &str) -> String {
    format!("budget#{day}")
}
