//! Tells what became of a payout, and settles it: its claims get their fate
//! first, one by one, and the payout ends last. A run that dies in between is
//! made good by the next, which sees the same chain.

use jiff::Timestamp;
use offchain_chains::{Broadcast, Chain, Refusal, TxStatus};
use offchain_codes::chain as causes;
use offchain_faucet::{ClaimStatus, PayoutPolicy, PayoutStatus};
use offchain_store::faucet::{Fate, Payout};
use serde::Serialize;

use crate::{ConfirmError, Reason, Tables, Wake, WakeMessage};

/// Blocks after which a number that another transaction used is given up, at
/// least: a node's index of transactions may be later than its accounts.
const INDEX_BLOCKS: u64 = 2;

/// What was seen of a payout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// `pending`, `committed`, `paid`, `failed` or `lost`.
    pub status: &'static str,
    /// Why: a code, or the chain's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Confirms.
pub struct Confirmer<C> {
    /// The chain.
    pub chain: C,
    /// The tables.
    pub tables: Tables,
    /// How many confirmations, how many attempts.
    pub policy: PayoutPolicy,
    /// How the payer hears that there is room again.
    pub wake: Wake,
}

/// What the chain says of a payout's versions.
enum Seen {
    Included {
        hash: String,
        height: u64,
        confirmations: u64,
        failure: Option<String>,
    },
    Pending,
    Unknown,
}

impl<C: Chain> Confirmer<C> {
    /// Looks at one payout, and settles it where its end is certain.
    pub async fn look(&self, account: &str, sequence: u64) -> Result<Look, ConfirmError> {
        let Some(mut payout) = self.tables.payouts.get(account, sequence).await? else {
            return Err(ConfirmError::NotFound(sequence));
        };
        if payout.status.is_final() {
            return Ok(look(&payout));
        }
        let seen = self.seen(&payout, 0).await?;
        if !matches!(seen, Seen::Unknown) {
            self.number_is_its_own(&mut payout).await?;
        }
        match seen {
            Seen::Included {
                hash,
                height,
                confirmations,
                failure,
            } => {
                let certain = confirmations >= self.policy.confirmations;
                match failure {
                    Some(why) if certain => {
                        self.failed(&mut payout, &hash, height, &why).await?;
                    }
                    Some(_) => {}
                    None => {
                        payout.hash = Some(hash.clone());
                        payout.height = Some(height);
                        if certain {
                            self.paid(&mut payout, &hash, height).await?;
                        } else {
                            self.committed(&mut payout, &hash, height).await?;
                        }
                    }
                }
            }
            Seen::Pending => self.hurry(&mut payout).await?,
            Seen::Unknown => self.missing(&mut payout).await?,
        }
        Ok(look(&payout))
    }

    async fn seen(&self, payout: &Payout, at_least: u64) -> Result<Seen, ConfirmError> {
        let mut pending = false;
        let mut failed = None;
        // The newest version is the likeliest.
        for version in payout.versions.iter().rev() {
            match self.chain.status(&version.hash, at_least).await? {
                TxStatus::Included {
                    height,
                    confirmations,
                    failure,
                } => {
                    let seen = Seen::Included {
                        hash: version.hash.clone(),
                        height,
                        confirmations,
                        failure: failure.clone(),
                    };
                    if failure.is_none() {
                        return Ok(seen);
                    }
                    failed.get_or_insert(seen);
                }
                TxStatus::Pending => pending = true,
                TxStatus::Unknown => {}
            }
        }
        Ok(match failed {
            Some(failed) => failed,
            None if pending => Seen::Pending,
            None => Seen::Unknown,
        })
    }

    async fn paid(&self, payout: &mut Payout, hash: &str, height: u64) -> Result<(), ConfirmError> {
        self.decide(payout, &Fate::Paid { hash, height }).await?;
        self.end(payout, PayoutStatus::Paid, None).await
    }

    async fn committed(
        &self,
        payout: &mut Payout,
        hash: &str,
        height: u64,
    ) -> Result<(), ConfirmError> {
        if payout.status == PayoutStatus::Committed {
            return Ok(());
        }
        self.decide(payout, &Fate::Committed { hash, height })
            .await?;
        payout.status = PayoutStatus::Committed;
        payout.reason = Some(Reason::Confirming.as_str().to_owned());
        payout.wants_version = false;
        self.tables.payouts.note(payout).await?;
        self.tell(payout).await;
        Ok(())
    }

    /// A block has the transaction, and its transfers were not made. On a
    /// Cosmos chain that need not have used the sequence number: what fails
    /// before its messages (too late, or without its fee) leaves it unused, and
    /// the payout is then as open as before.
    async fn failed(
        &self,
        payout: &mut Payout,
        hash: &str,
        height: u64,
        why: &str,
    ) -> Result<(), ConfirmError> {
        let account = self.chain.account(&payout.account, height).await?;
        if account.sequence > payout.sequence {
            payout.hash = Some(hash.to_owned());
            payout.height = Some(height);
            return self.fail(payout, why).await;
        }
        match payout.last().map(|version| version.hash.clone()) {
            Some(last) if last != hash => match self.chain.status(&last, 0).await? {
                TxStatus::Unknown => self.missing(payout).await,
                TxStatus::Pending | TxStatus::Included { .. } => self.hurry(payout).await,
            },
            _ => self.want_version(payout).await,
        }
    }

    /// Claims that may be tried again wait again, each for a transaction of
    /// its own; the others fail, and what was reserved for them is given back.
    async fn fail(&self, payout: &mut Payout, why: &str) -> Result<(), ConfirmError> {
        let desk = &self.tables.desk;
        for transfer in &payout.transfers {
            let Some(claim) = desk.claims.get(&transfer.claim_id).await? else {
                continue;
            };
            if claim.sequence != Some(payout.sequence) || !claim.status.is_open() {
                continue;
            }
            if claim.attempts + 1 >= self.policy.attempts {
                desk.give_up(&claim, ClaimStatus::Failed, Reason::TransferFailed.as_str())
                    .await?;
            } else {
                let fate = Fate::Again {
                    failed: true,
                    reason: Reason::Retrying.as_str(),
                };
                desk.claims
                    .decide(&claim.claim_id, payout.sequence, &fate)
                    .await?;
            }
        }
        tracing::warn!(
            why,
            sequence = payout.sequence,
            "the payout failed in its block"
        );
        self.end(payout, PayoutStatus::Failed, Some(why.to_owned()))
            .await
    }

    /// The transaction waits in a mempool. After a time it is to offer more.
    async fn hurry(&self, payout: &mut Payout) -> Result<(), ConfirmError> {
        self.uncommitted(payout).await?;
        let since = payout
            .last()
            .map_or(payout.created_time, |version| version.created_time);
        let waited = Timestamp::now().duration_since(since.timestamp()).as_secs();
        let patience = i64::try_from(self.policy.bump_seconds).unwrap_or(i64::MAX);
        if waited >= patience {
            self.want_version(payout).await?;
        }
        Ok(())
    }

    /// No node knows the transaction: it is on its way, was dropped, or can no
    /// longer come.
    async fn missing(&self, payout: &mut Payout) -> Result<(), ConfirmError> {
        self.uncommitted(payout).await?;
        let account = self.chain.account(&payout.account, 0).await?;
        if account.sequence > payout.sequence {
            return self.number_used(payout, account.height).await;
        }
        self.number_is_its_own(payout).await?;
        let expired = payout
            .last()
            .and_then(|version| serde_json::from_str::<offchain_chains::Terms>(&version.terms).ok())
            .and_then(|terms| terms.timeout_height())
            .is_some_and(|height| account.height >= height);
        if expired {
            return self.want_version(payout).await;
        }
        // The same bytes again change nothing where they arrived before.
        let Some(bytes) = payout
            .last()
            .and_then(|version| hex::decode(&version.bytes).ok())
        else {
            return Ok(());
        };
        match self.chain.broadcast(&bytes).await {
            Ok(Broadcast::Accepted | Broadcast::Known) => {
                if payout.status == PayoutStatus::Signed {
                    payout.status = PayoutStatus::Sent;
                    payout.reason = None;
                    self.tables.payouts.note(payout).await?;
                }
                // A node that knows a transaction may yet never put it in a
                // block.
                self.hurry(payout).await
            }
            Ok(Broadcast::Refused {
                refusal: Refusal::Fee | Refusal::Expired | Refusal::Gas,
                ..
            }) => self.want_version(payout).await,
            Ok(Broadcast::SequenceUsed | Broadcast::SequenceAhead | Broadcast::Refused { .. }) => {
                self.tell(payout).await;
                Ok(())
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// The account's next number is higher, and no node knows a version of
    /// this payout: another transaction has the number. That is believed when
    /// it still is so blocks later, of a node that has them, and was so already
    /// in a block that stays.
    async fn number_used(&self, payout: &mut Payout, height: u64) -> Result<(), ConfirmError> {
        let Some(seen) = payout.used_height else {
            payout.used_height = Some(height);
            payout.reason = Some(Reason::SequenceUnclear.as_str().to_owned());
            self.tables.payouts.note(payout).await?;
            return Ok(());
        };
        let depth = self.policy.confirmations.max(INDEX_BLOCKS);
        if height < seen + depth {
            return Ok(());
        }
        // Whatever used it then may have been taken back, and what uses it now
        // be the payout's own. What so many blocks have followed stays.
        let account = &payout.account;
        let settled = self.chain.sequence_at(account, height - depth).await?;
        if settled <= payout.sequence || !matches!(self.seen(payout, height).await?, Seen::Unknown)
        {
            return Ok(());
        }
        // Nor was a version added meanwhile, which that may be.
        if !self.tables.payouts.note(payout).await? {
            return Ok(());
        }
        let fate = Fate::Again {
            failed: false,
            reason: Reason::Retrying.as_str(),
        };
        self.decide(payout, &fate).await?;
        tracing::warn!(
            sequence = payout.sequence,
            "another transaction has the payout's number; its claims wait again"
        );
        self.end(
            payout,
            PayoutStatus::Lost,
            Some(Reason::NumberUsed.as_str().to_owned()),
        )
        .await
    }

    /// The number is free, or a version of the payout has it. Where another
    /// transaction seemed to have it before, that block is gone: the next time,
    /// blocks have to follow again.
    async fn number_is_its_own(&self, payout: &mut Payout) -> Result<(), ConfirmError> {
        if payout.used_height.take().is_some() {
            payout.reason = None;
            self.tables.payouts.note(payout).await?;
        }
        Ok(())
    }

    /// Where a block had the transaction before, it has it no more.
    async fn uncommitted(&self, payout: &mut Payout) -> Result<(), ConfirmError> {
        if payout.status == PayoutStatus::Committed {
            tracing::warn!(sequence = payout.sequence, "the payout's block is gone");
            self.decide(payout, &Fate::Sent).await?;
            payout.status = PayoutStatus::Sent;
            payout.reason = None;
            payout.hash = None;
            payout.height = None;
            self.tables.payouts.note(payout).await?;
        }
        Ok(())
    }

    async fn want_version(&self, payout: &mut Payout) -> Result<(), ConfirmError> {
        payout.wants_version = true;
        self.tables.payouts.note(payout).await?;
        self.tell(payout).await;
        Ok(())
    }

    async fn decide(&self, payout: &Payout, fate: &Fate<'_>) -> Result<(), ConfirmError> {
        for transfer in &payout.transfers {
            self.tables
                .desk
                .claims
                .decide(&transfer.claim_id, payout.sequence, fate)
                .await?;
        }
        Ok(())
    }

    async fn end(
        &self,
        payout: &mut Payout,
        status: PayoutStatus,
        reason: Option<String>,
    ) -> Result<(), ConfirmError> {
        payout.status = status;
        payout.reason = reason;
        payout.wants_version = false;
        self.tables.payouts.end(payout).await?;
        self.tell(payout).await;
        Ok(())
    }

    /// A wake that is lost is made good by the sweep.
    async fn tell(&self, payout: &Payout) {
        let message = WakeMessage::Payout {
            sequence: payout.sequence,
        };
        if let Err(error) = self.wake.send(&message).await {
            tracing::warn!(error = causes(&error), "the payer was not woken");
        }
    }
}

fn look(payout: &Payout) -> Look {
    let status = match payout.status {
        PayoutStatus::Signed | PayoutStatus::Sent => "pending",
        PayoutStatus::Committed => "committed",
        PayoutStatus::Paid => "paid",
        PayoutStatus::Failed => "failed",
        PayoutStatus::Lost => "lost",
    };
    Look {
        status,
        reason: payout.reason.clone(),
    }
}
