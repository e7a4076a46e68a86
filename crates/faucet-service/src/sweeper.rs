//! Looks after whatever was forgotten: payouts that nobody follows, claims
//! that nobody was woken for, and those that waited too long. It also counts.

use jiff::Timestamp;
use offchain_chains::Chain;
use offchain_codes::{Coded, chain as causes};
use offchain_faucet::{ClaimStatus, budget_day};
use serde::Serialize;

use crate::{ConfirmError, Confirmer, Reason, WakeMessage, account};

/// How many payouts one run looks at.
const PAYOUTS: i32 = 50;
/// How many claims one run looks at.
const CLAIMS: usize = 1000;

/// What a sweep found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Claims that wait.
    pub waiting: usize,
    /// How long the oldest claim that is not paid has waited, in seconds.
    pub oldest_unpaid_seconds: i64,
    /// Claims that this run ended because they waited too long.
    pub expired: usize,
    /// Payouts that have not ended.
    pub open_payouts: usize,
    /// Why the payer is broken, where it is.
    pub broken: Option<String>,
    /// What the account has, where the chain says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<u128>,
    /// What was given out today.
    pub spent_today: u128,
}

/// Sweeps.
pub struct Sweeper<C> {
    /// Looks at payouts.
    pub confirmer: Confirmer<C>,
}

impl<C: Chain> Sweeper<C> {
    /// Looks at everything once. What fails for one payout is no reason to
    /// leave the others out.
    pub async fn sweep(&self) -> Result<Census, ConfirmError> {
        let tables = &self.confirmer.tables;
        let open = tables.payouts.open(PAYOUTS).await?;
        let mut oldest = None;
        for (account, sequence) in &open {
            if let Some(payout) = tables.payouts.get(account, *sequence).await? {
                let since = payout.created_time.timestamp();
                oldest = Some(oldest.map_or(since, |oldest: Timestamp| oldest.min(since)));
            }
            if let Err(error) = self.confirmer.look(account, *sequence).await {
                tracing::warn!(
                    code = error.code(),
                    sequence,
                    error = causes(&error),
                    "a payout could not be looked at"
                );
            }
        }
        let now = Timestamp::now();
        let waiting = tables.desk.claims.waiting(CLAIMS).await?;
        let mut expired = 0;
        for claim in waiting
            .iter()
            .filter(|claim| claim.deadline.timestamp() <= now)
        {
            if self.expire(&claim.waiting.claim_id).await? {
                expired += 1;
            }
        }
        let first = waiting.first().map(|claim| claim.created_time.timestamp());
        let oldest = [oldest, first].into_iter().flatten().min();
        if waiting.len() > expired {
            let message = WakeMessage::Sweep {
                waiting: waiting.len(),
            };
            self.confirmer.wake.send(&message).await?;
        }
        let broken = tables.locks.broken(&tables.names.broken).await?;
        Ok(Census {
            waiting: waiting.len() - expired,
            oldest_unpaid_seconds: oldest
                .map_or(0, |oldest| now.duration_since(oldest).as_secs().max(0)),
            expired,
            open_payouts: open.len(),
            broken: broken.map(|broken| broken.code),
            balance: self.balance().await?,
            spent_today: tables.desk.limits.spent(&budget_day(now)).await?,
        })
    }

    async fn expire(&self, id: &str) -> Result<bool, ConfirmError> {
        let desk = &self.confirmer.tables.desk;
        match desk.claims.get(id).await? {
            Some(claim) if claim.status == ClaimStatus::Queued => {
                let reason = claim.reason.clone();
                let reason = reason.as_deref().unwrap_or(Reason::NotPaidInTime.as_str());
                Ok(desk.give_up(&claim, ClaimStatus::Expired, reason).await?)
            }
            _ => Ok(false),
        }
    }

    /// What the account has; where the chain does not answer, nothing.
    async fn balance(&self) -> Result<Option<u128>, ConfirmError> {
        let tables = &self.confirmer.tables;
        let Some(known) = tables.locks.account(&tables.names.account).await? else {
            return Ok(None);
        };
        match self.confirmer.chain.account(&known.address, 0).await {
            Ok(seen) => {
                account::note(tables, &known.address, &seen).await?;
                Ok(Some(seen.balance))
            }
            Err(fault) if fault.code() == "AccountUnknown" => Ok(Some(0)),
            Err(fault) => {
                tracing::warn!(error = causes(&fault), "the account could not be looked at");
                Ok(None)
            }
        }
    }
}
