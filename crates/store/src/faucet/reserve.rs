//! How a claim comes in and how it ends without a payout: in one transaction
//! with everything that was reserved for it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{ClaimStatus, budget_day, budget_resets};
use serde::Deserialize;
use serde_dynamo::from_item;

use super::limits::budget_key;
use super::{Claim, Claims, Given, Limits};
use crate::transact::transact;
use crate::{Moment, StoreError};

/// What is asked to be reserved.
#[derive(Clone, Copy, Debug)]
pub struct Reservation<'a> {
    /// What the claim will be known by.
    pub claim_id: &'a str,
    /// Who is paid.
    pub address: &'a str,
    /// How much, in the smallest unit.
    pub amount: u128,
    /// When.
    pub now: Timestamp,
    /// How long the claim may wait for a payout.
    pub patience: SignedDuration,
    /// How long it is kept after that.
    pub retention: SignedDuration,
    /// The limits that it is counted in; none where there are no limits.
    pub limits: Option<Counted<'a>>,
    /// The challenge that was solved for it, and when that expires.
    pub challenge: Option<(&'a str, Timestamp)>,
}

/// The limits that a claim is counted in.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// Where it comes from.
    pub source: &'a str,
    /// How long an address waits for its next claim.
    pub address_cooldown: Duration,
    /// Claims of one source in one window.
    pub source_claims: u32,
    /// The length of that window.
    pub source_window: Duration,
    /// What may be given out a day.
    pub daily_budget: u128,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The claim is written, and everything is reserved.
    New(Box<Claim>),
    /// The claim was there before, as it is.
    Existing(Box<Claim>),
    /// Nothing was written.
    Refused(Refusal),
}

/// Why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The address was served, and waits until then.
    Address(Timestamp),
    /// The source had its claims, and waits until then.
    Source(Timestamp),
    /// The day's budget is given out; the next day begins then.
    Budget(Timestamp),
    /// The challenge was used before.
    Challenge,
}

/// Where claims come in and go out: the two tables that change together.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The claims.
    pub claims: Claims,
    /// What they are counted in.
    pub limits: Limits,
}

/// What each part of the transaction stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Claim,
    Address,
    Source,
    Budget,
    Challenge,
}

impl Desk {
    /// Writes a claim and reserves what it needs: all of it or nothing.
    pub async fn reserve(&self, asked: &Reservation<'_>) -> Result<Reserved, StoreError> {
        let deadline = asked.now + asked.patience;
        let mut claim = Claim {
            claim_id: asked.claim_id.to_owned(),
            address: asked.address.to_owned(),
            amount: asked.amount.to_string(),
            status: ClaimStatus::Queued,
            reason: None,
            sequence: None,
            hash: None,
            height: None,
            attempts: 0,
            created_time: asked.now.into(),
            updated_time: asked.now.into(),
            deadline: Moment::from(deadline),
            reserved: None,
            expiration: (deadline + asked.retention).as_second(),
        };
        let mut parts = vec![Part::Claim];
        let mut items = Vec::new();
        if let Some(limits) = &asked.limits {
            let window = SourceWindow::at(asked.now, limits.source_window);
            let given = Given {
                address: format!("address#{}", asked.address),
                source: format!("source#{}#{}", limits.source, window.index),
                budget: budget_key(&budget_day(asked.now)),
            };
            items.push(self.limits.cool_down(
                &given.address,
                asked.claim_id,
                asked.now,
                limits.address_cooldown,
            )?);
            items.push(self.limits.add(
                &given.source,
                1,
                u128::from(limits.source_claims),
                window.end.as_second(),
            )?);
            items.push(self.limits.add(
                &given.budget,
                asked.amount,
                limits.daily_budget,
                budget_resets(asked.now).as_second() + 86_400,
            )?);
            parts.extend([Part::Address, Part::Source, Part::Budget]);
            claim.reserved = Some(given);
        }
        if let Some((id, expires)) = asked.challenge {
            items.push(self.limits.use_up(id, expires)?);
            parts.push(Part::Challenge);
        }
        items.insert(0, self.put(&claim)?);
        let Some(failed) = transact(&self.claims.client, items).await? else {
            return Ok(Reserved::New(Box::new(claim)));
        };
        let failed: HashMap<usize, _> = failed
            .into_iter()
            .enumerate()
            .filter_map(|(at, item)| Some((at, item?)))
            .collect();
        // The claim comes first: one that is there explains all the rest.
        let Some((at, item)) = (0..parts.len()).find_map(|at| Some((at, failed.get(&at)?))) else {
            return Ok(Reserved::New(Box::new(claim)));
        };
        Ok(match parts[at] {
            Part::Claim => match self.claims.get(asked.claim_id).await? {
                Some(claim) => Reserved::Existing(Box::new(claim)),
                // Only the time-to-live can have taken it since.
                None => Reserved::New(Box::new(claim)),
            },
            Part::Address => Reserved::Refused(Refusal::Address(until(item, asked))),
            Part::Source => Reserved::Refused(Refusal::Source(match &asked.limits {
                Some(limits) => SourceWindow::at(asked.now, limits.source_window).end,
                None => asked.now,
            })),
            Part::Budget => Reserved::Refused(Refusal::Budget(budget_resets(asked.now))),
            Part::Challenge => Reserved::Refused(Refusal::Challenge),
        })
    }

    fn put(&self, claim: &Claim) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(&self.claims.table)
            .set_item(Some(Claims::item(claim)?))
            .condition_expression("attribute_not_exists(claim_id)")
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Ends a claim that no transaction pays, and gives back what was reserved
    /// for it. Done twice, it changes nothing the second time.
    pub async fn give_up(
        &self,
        claim: &Claim,
        status: ClaimStatus,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let mut items = vec![self.claims.end(claim, status, reason)?];
        let Some(given) = &claim.reserved else {
            return Ok(transact(&self.claims.client, items).await?.is_none());
        };
        items.push(self.limits.take_back(&given.source, 1)?);
        items.push(self.limits.take_back(&given.budget, claim.units())?);
        let without = items.clone();
        items.push(self.limits.warm_up(&given.address, claim)?);
        let failed = match transact(&self.claims.client, items).await? {
            None => return Ok(true),
            Some(failed) => failed,
        };
        if matches!(failed.first(), Some(Some(_))) {
            return Ok(false);
        }
        // The cooldown has passed, or is another claim's by now.
        Ok(transact(&self.claims.client, without).await?.is_none())
    }
}

/// The window of a source's count that a moment lies in.
struct SourceWindow {
    index: i64,
    end: Timestamp,
}

impl SourceWindow {
    fn at(now: Timestamp, length: Duration) -> Self {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX).max(1);
        let index = now.as_second().div_euclid(seconds);
        let end = (index + 1).saturating_mul(seconds);
        Self {
            index,
            end: Timestamp::from_second(end).unwrap_or(Timestamp::MAX),
        }
    }
}

/// Until when the address waits.
fn until(item: &HashMap<String, AttributeValue>, asked: &Reservation<'_>) -> Timestamp {
    #[derive(Deserialize)]
    struct Cooldown {
        until: i64,
    }
    let stored = from_item(item.clone())
        .ok()
        .and_then(|cooldown: Cooldown| Timestamp::from_second(cooldown.until).ok());
    stored.unwrap_or(asked.now)
}
