//! Signs and sends what waits, under the lease.
//!
//! A payout owns one sequence number of the account. It is stored, with the
//! signed bytes, before anything is sent, in a transaction that holds only
//! while the lease does. From then on every step may be done twice, by anyone:
//! the same bytes may be sent again, and of all versions that are signed for
//! one number a chain takes at most one.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use offchain_chains::{
    Account, AccountKey, Broadcast, Chain, ChainFault, Refusal, Terms, Transfer,
};
use offchain_codes::chain as causes;
use offchain_faucet::{ClaimStatus, PayoutPolicy, PayoutStatus, Waiting, plan};
use offchain_store::faucet::{Lease, Payout, PayoutVersion, StoreOutcome, Transferred};

use crate::{PayError, Reason, Tables, account};

/// How long the lease is waited for.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often one run signs again what nodes refuse.
const VERSIONS_A_RUN: u32 = 3;
/// How many versions a payout may have: its item has room for no more.
const MOST_VERSIONS: usize = 24;
/// Blocks after which a version that expired may be forgotten.
const FORGOTTEN: u64 = 100;
/// How many payouts that the chain has lost one run sends again.
const MOST_LOST: usize = 256;
/// How many claims that wait are told why.
const EXPLAINED: usize = 200;

/// A payout that somebody should follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPayout {
    /// The address that pays.
    pub account: String,
    /// Its number.
    pub sequence: u64,
    /// The hash of its newest version.
    pub hash: String,
    /// When somebody should look at it.
    pub deadline: Timestamp,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// New payouts, in order.
    pub payouts: Vec<SentPayout>,
    /// Claims that they pay.
    pub claims: usize,
    /// Why the run stopped while there was more to pay.
    pub stopped: Option<&'static str>,
}

/// Pays.
pub struct Payer<C> {
    /// The chain.
    pub chain: C,
    /// The tables.
    pub tables: Tables,
    /// How much at once, how often, how long.
    pub policy: PayoutPolicy,
}

/// What one run knows.
struct Run<'a> {
    key: &'a AccountKey,
    sender: String,
    lease: Lease,
    account: Account,
    next: u64,
}

/// How a transaction went out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// A node has it.
    Done,
    /// No node has it; the payout says why, and a later run goes on with it.
    Stuck(Reason),
}

impl<C: Chain> Payer<C> {
    /// Takes the lease, sends again what may not have arrived, and pays what
    /// waits, as far as the window of payouts in flight goes.
    pub async fn run(&self, key: &AccountKey) -> Result<Report, PayError> {
        let holder = rand::random_range(1..=u64::from(u32::MAX)) << 16
            | u64::from(std::process::id() & 0xffff);
        let lease = self
            .tables
            .locks
            .acquire_within(
                &self.tables.names.sequence,
                holder,
                Duration::from_secs(u64::from(self.policy.lease_seconds)),
                PATIENCE,
            )
            .await?;
        let outcome = self.pay(key, &lease).await;
        // What cannot be given back expires.
        if let Err(error) = self.tables.locks.release(&lease, None).await {
            tracing::warn!(error = causes(&error), "the lease was not given back");
        }
        outcome
    }

    async fn pay(&self, key: &AccountKey, lease: &Lease) -> Result<Report, PayError> {
        let sender = self.chain.sender(key);
        let account = match self.chain.account(&sender, 0).await {
            Ok(account) => account,
            Err(fault) => {
                self.explain(Reason::of_fault(&fault)).await?;
                return Err(fault.into());
            }
        };
        // What the last one left is the next number of the account that it noted:
        // after a change of keys that is another one.
        let noted = self
            .tables
            .locks
            .account(&self.tables.names.account)
            .await?;
        let left = lease
            .value
            .as_deref()
            .filter(|_| noted.is_none_or(|noted| noted.address == sender))
            .and_then(|value| value.parse().ok());
        account::note(&self.tables, &sender, &account).await?;
        let mut run = Run {
            key,
            next: account.sequence.max(left.unwrap_or(0)),
            sender,
            lease: lease.clone(),
            account,
        };
        let mut report = Report::default();
        let broken = self.tables.locks.broken(&self.tables.names.broken).await?;
        if let Delivery::Stuck(reason) = self.resync(&mut run, broken.is_some()).await? {
            self.explain(reason).await?;
            report.stopped = Some(reason.as_str());
            return Ok(report);
        }
        if broken.is_some() {
            self.tables
                .locks
                .clear_broken(&self.tables.names.broken)
                .await?;
        }
        self.pay_waiting(&mut run, &mut report).await?;
        Ok(report)
    }

    /// Brings the chain to what the table says: whatever was signed and may
    /// not have arrived is sent again, in order, and signed again where it
    /// must be. After an unknown outcome (`all`), that is everything from the
    /// chain's next number on, payouts that the chain has lost again as well.
    async fn resync(&self, run: &mut Run<'_>, all: bool) -> Result<Delivery, PayError> {
        let seen = i32::try_from(self.policy.in_flight.saturating_mul(2)).unwrap_or(i32::MAX);
        let payouts = self.tables.payouts.newest(&run.sender, seen).await?;
        if let Some(newest) = payouts.last() {
            // A lease whose value was lost is mended by the table.
            run.next = run.next.max(newest.sequence + 1);
        }
        let lost = payouts
            .iter()
            .any(|payout| payout.sequence >= run.account.sequence && payout.status.is_final());
        let all = all || lost;
        for mut payout in self.unsettled(run, payouts).await? {
            match payout.status {
                // Its claims wait again, or were paid by another: these bytes
                // may not pay them.
                PayoutStatus::Failed | PayoutStatus::Lost => continue,
                PayoutStatus::Paid if !all => continue,
                PayoutStatus::Paid => {}
                PayoutStatus::Signed | PayoutStatus::Sent | PayoutStatus::Committed => {
                    let expired = payout
                        .last()
                        .and_then(|version| terms_of(&version.terms))
                        .and_then(|terms| terms.timeout_height())
                        .is_some_and(|height| run.account.height >= height);
                    if payout.wants_version || expired {
                        self.sign_again(run, &mut payout, !expired).await?;
                    } else if !(all || payout.status == PayoutStatus::Signed) {
                        continue;
                    }
                }
            }
            let delivery = self.send(run, &mut payout).await?;
            if delivery != Delivery::Done {
                return Ok(delivery);
            }
        }
        Ok(Delivery::Done)
    }

    /// The payouts of the numbers that the chain has not used, in order. Where
    /// its next number lies before the payouts that were read, the chain has
    /// lost blocks: those in between are read as well. A number without a
    /// payout was used by another, in a block that the chain has lost since: it
    /// is filled, or no later one would ever be used.
    async fn unsettled(&self, run: &Run<'_>, newest: Vec<Payout>) -> Result<Vec<Payout>, PayError> {
        let mut payouts: BTreeMap<u64, Payout> = newest
            .into_iter()
            .map(|payout| (payout.sequence, payout))
            .filter(|(sequence, _)| *sequence >= run.account.sequence)
            .collect();
        let end = payouts
            .last_key_value()
            .map_or(run.account.sequence, |(last, _)| *last);
        for sequence in (run.account.sequence..end).take(MOST_LOST) {
            if payouts.contains_key(&sequence) {
                continue;
            }
            let payout = match self.tables.payouts.get(&run.sender, sequence).await? {
                Some(payout) => payout,
                None => self.fill(run, sequence).await?,
            };
            payouts.insert(sequence, payout);
        }
        Ok(payouts.into_values().collect())
    }

    /// Stores a payout that pays nobody: the smallest sum, to the account
    /// itself.
    async fn fill(&self, run: &Run<'_>, sequence: u64) -> Result<Payout, PayError> {
        tracing::warn!(
            sequence,
            "a number is used by nobody any more; it is filled"
        );
        let transfers = [to_itself(run)];
        let terms = self
            .chain
            .terms(&run.sender, &run.account, &transfers, None)
            .await?;
        let payout = self.signed(run, sequence, &transfers, &[], &terms)?;
        let Tables {
            payouts,
            locks,
            desk,
            ..
        } = &self.tables;
        payouts
            .store(&payout, &run.lease, locks, &desk.claims)
            .await?;
        Ok(payout)
    }

    async fn pay_waiting(&self, run: &mut Run<'_>, report: &mut Report) -> Result<(), PayError> {
        let in_flight = u64::from(self.policy.in_flight);
        let mut gone: HashSet<String> = HashSet::new();
        let mut alone = false;
        let mut spent = self.promised(run).await?;
        while run.next.saturating_sub(run.account.sequence) < in_flight {
            let limit = if alone { 1 } else { self.batch() };
            let waiting = self.waiting(limit, &gone).await?;
            let plan = plan(&waiting, limit, run.account.balance.saturating_sub(spent));
            if plan.claims.is_empty() {
                if plan.short {
                    report.stopped = Some(Reason::FaucetEmpty.as_str());
                    self.explain(Reason::FaucetEmpty).await?;
                }
                return Ok(());
            }
            let transfers: Vec<Transfer> = plan
                .claims
                .iter()
                .map(|claim| Transfer {
                    to: claim.address.clone(),
                    amount: claim.amount,
                })
                .collect();
            let terms = match self
                .chain
                .terms(&run.sender, &run.account, &transfers, None)
                .await
            {
                Ok(terms) => terms,
                Err(ChainFault::Impossible(why)) if transfers.len() > 1 => {
                    tracing::warn!(why, "the batch cannot be made; the next claim goes alone");
                    alone = true;
                    continue;
                }
                Err(ChainFault::Impossible(why)) => {
                    let claim = plan.claims[0];
                    tracing::warn!(
                        why,
                        claim_id = claim.claim_id,
                        "the transfer cannot be made"
                    );
                    self.give_up(claim, Reason::TransferImpossible).await?;
                    gone.insert(claim.claim_id.clone());
                    alone = false;
                    continue;
                }
                Err(fault) => {
                    let reason = Reason::of_fault(&fault);
                    self.explain(reason).await?;
                    report.stopped = Some(reason.as_str());
                    // A fee that is too high now is no error: it will fall.
                    return if reason == Reason::FeeTooHigh {
                        Ok(())
                    } else {
                        Err(fault.into())
                    };
                }
            };
            if !affordable(&run.account, spent, plan.total, &terms) {
                if transfers.len() > 1 {
                    alone = true;
                    continue;
                }
                report.stopped = Some(Reason::FaucetEmpty.as_str());
                self.explain(Reason::FaucetEmpty).await?;
                return Ok(());
            }
            let mut payout = self.signed(run, run.next, &transfers, &plan.claims, &terms)?;
            let claims = plan.claims.len();
            match self
                .tables
                .payouts
                .store(
                    &payout,
                    &run.lease,
                    &self.tables.locks,
                    &self.tables.desk.claims,
                )
                .await?
            {
                StoreOutcome::Stored => {}
                StoreOutcome::Taken(taken) => {
                    gone.extend(taken);
                    continue;
                }
            }
            spent = spent
                .saturating_add(plan.total)
                .saturating_add(terms.most());
            gone.extend(
                payout
                    .transfers
                    .iter()
                    .map(|transfer| transfer.claim_id.clone()),
            );
            run.next += 1;
            alone = false;
            report.claims += claims;
            report.payouts.push(SentPayout {
                account: payout.account.clone(),
                sequence: payout.sequence,
                hash: payout
                    .last()
                    .map(|version| version.hash.clone())
                    .unwrap_or_default(),
                deadline: payout.deadline.timestamp(),
            });
            if let Delivery::Stuck(reason) = self.send(run, &mut payout).await? {
                report.stopped = Some(reason.as_str());
                self.explain(reason).await?;
                return Ok(());
            }
        }
        Ok(())
    }

    fn batch(&self) -> usize {
        usize::try_from(self.policy.batch)
            .unwrap_or(usize::MAX)
            .min(self.chain.batch_limit())
    }

    /// Claims that wait, without those that are gone: the index is late.
    async fn waiting(
        &self,
        limit: usize,
        gone: &HashSet<String>,
    ) -> Result<Vec<Waiting>, PayError> {
        let open = self.tables.desk.claims.waiting(limit + gone.len()).await?;
        Ok(open
            .into_iter()
            .map(|claim| claim.waiting)
            .filter(|claim| !gone.contains(&claim.claim_id))
            .collect())
    }

    /// What payouts that no block has yet will take from the balance.
    async fn promised(&self, run: &Run<'_>) -> Result<u128, PayError> {
        if run.next == run.account.sequence {
            return Ok(0);
        }
        let seen = i32::try_from(self.policy.in_flight.saturating_mul(2)).unwrap_or(i32::MAX);
        let payouts = self.tables.payouts.newest(&run.sender, seen).await?;
        Ok(payouts
            .iter()
            .filter(|payout| payout.sequence >= run.account.sequence)
            .map(|payout| {
                let fee = payout
                    .last()
                    .and_then(|version| terms_of(&version.terms))
                    .map_or(0, |terms| terms.most());
                payout.transfers.iter().fold(fee, |sum, transfer| {
                    sum.saturating_add(transfer.amount.parse().unwrap_or(0))
                })
            })
            .fold(0, u128::saturating_add))
    }

    fn signed(
        &self,
        run: &Run<'_>,
        sequence: u64,
        transfers: &[Transfer],
        claims: &[&Waiting],
        terms: &Terms,
    ) -> Result<Payout, PayError> {
        let now = Timestamp::now();
        let patience = i64::try_from(self.policy.settle_deadline_seconds).unwrap_or(i64::MAX);
        Ok(Payout {
            account: run.sender.clone(),
            sequence,
            status: PayoutStatus::Signed,
            transfers: claims
                .iter()
                .map(|claim| Transferred {
                    claim_id: claim.claim_id.clone(),
                    address: claim.address.clone(),
                    amount: claim.amount.to_string(),
                })
                .collect(),
            versions: vec![self.version(run, sequence, transfers, terms)?],
            reason: None,
            hash: None,
            height: None,
            used_height: None,
            wants_version: false,
            created_time: now.into(),
            updated_time: now.into(),
            deadline: now
                .saturating_add(SignedDuration::from_secs(patience))
                .unwrap_or(Timestamp::MAX)
                .into(),
        })
    }

    fn version(
        &self,
        run: &Run<'_>,
        sequence: u64,
        transfers: &[Transfer],
        terms: &Terms,
    ) -> Result<PayoutVersion, PayError> {
        let signed = self.chain.sign(run.key, sequence, transfers, terms)?;
        Ok(PayoutVersion {
            hash: signed.hash,
            bytes: hex::encode(signed.bytes),
            terms: serde_json::to_string(terms).unwrap_or_default(),
            created_time: Timestamp::now().into(),
        })
    }

    /// Signs another version of a payout, on terms that nodes take now; where
    /// `dearer`, on terms for which they give the last version up.
    async fn sign_again(
        &self,
        run: &Run<'_>,
        payout: &mut Payout,
        dearer: bool,
    ) -> Result<(), PayError> {
        if payout.versions.len() >= MOST_VERSIONS && !self.make_room(run, payout).await? {
            return Ok(());
        }
        let mut transfers: Vec<Transfer> = payout
            .transfers
            .iter()
            .map(|transfer| Transfer {
                to: transfer.address.clone(),
                amount: transfer.amount.parse().unwrap_or(0),
            })
            .collect();
        if transfers.is_empty() {
            transfers.push(to_itself(run));
        }
        let last = payout.last().and_then(|version| terms_of(&version.terms));
        let terms = match self
            .chain
            .terms(
                &run.sender,
                &run.account,
                &transfers,
                last.as_ref().filter(|_| dearer),
            )
            .await
        {
            Ok(terms) => terms,
            // The last version stays the best offer.
            Err(ChainFault::TooDear { .. } | ChainFault::Impossible(_)) => return Ok(()),
            Err(fault) => return Err(fault.into()),
        };
        let version = self.version(run, payout.sequence, &transfers, &terms)?;
        if payout
            .versions
            .iter()
            .any(|known| known.hash == version.hash)
        {
            return Ok(());
        }
        self.tables
            .payouts
            .add_version(payout, &version, &run.lease, &self.tables.locks, run.next)
            .await?;
        payout.versions.push(version);
        payout.status = PayoutStatus::Signed;
        payout.wants_version = false;
        payout.reason = None;
        Ok(())
    }

    /// Forgets the older half of a payout's versions, where all of them expired
    /// so long ago that every node knows that no block has them.
    async fn make_room(&self, run: &Run<'_>, payout: &mut Payout) -> Result<bool, PayError> {
        let older = payout.versions.len() / 2;
        let expired = payout.versions[..older].iter().all(|version| {
            terms_of(&version.terms)
                .and_then(|terms| terms.timeout_height())
                .is_some_and(|height| height.saturating_add(FORGOTTEN) < run.account.height)
        });
        if expired {
            let newest = payout.versions.len() - older;
            let Tables { payouts, locks, .. } = &self.tables;
            payouts
                .forget_versions(payout, newest, &run.lease, locks, run.next)
                .await?;
            payout.versions.drain(..older);
        }
        Ok(expired)
    }

    /// Sends a payout's newest version; of one that ended, the version that
    /// counted.
    async fn send(&self, run: &Run<'_>, payout: &mut Payout) -> Result<Delivery, PayError> {
        for round in 0..=VERSIONS_A_RUN {
            let Some(bytes) = bytes_of(payout) else {
                return Ok(Delivery::Done);
            };
            let (code, reason, why) = match self.chain.broadcast(&bytes).await {
                Ok(Broadcast::Accepted | Broadcast::Known) => {
                    if payout.status == PayoutStatus::Signed {
                        payout.status = PayoutStatus::Sent;
                        payout.reason = None;
                        self.tables.payouts.note(payout).await?;
                    }
                    return Ok(Delivery::Done);
                }
                // A node that was behind has caught up.
                Ok(Broadcast::SequenceUsed) if payout.status.is_final() => {
                    return Ok(Delivery::Done);
                }
                // Its own block may have come meanwhile: faucet-confirm tells.
                Ok(Broadcast::SequenceUsed) => {
                    ("SequenceUsed", Reason::SequenceUnclear, String::new())
                }
                Ok(Broadcast::SequenceAhead) => {
                    ("SequenceAhead", Reason::SequenceUnclear, String::new())
                }
                Ok(Broadcast::Refused { refusal, reason }) => match refusal {
                    Refusal::Fee | Refusal::Gas | Refusal::Expired | Refusal::Signature
                        if round < VERSIONS_A_RUN && payout.status.is_open() =>
                    {
                        tracing::warn!(
                            ?refusal,
                            reason,
                            sequence = payout.sequence,
                            "a node refuses the transaction"
                        );
                        let dearer = matches!(refusal, Refusal::Fee);
                        let before = payout.versions.len();
                        self.sign_again(run, payout, dearer).await?;
                        if payout.versions.len() > before {
                            continue;
                        }
                        ("TransactionRefused", refused(refusal), reason)
                    }
                    Refusal::Funds => ("AccountEmpty", Reason::FaucetEmpty, reason),
                    refusal => ("TransactionRefused", refused(refusal), reason),
                },
                Err(fault) => {
                    let why = causes(&fault);
                    self.break_off(payout, "BroadcastUnknown", Reason::OutcomeUnknown, &why)
                        .await?;
                    return Err(fault.into());
                }
            };
            self.break_off(payout, code, reason, &why).await?;
            return Ok(Delivery::Stuck(reason));
        }
        Ok(Delivery::Stuck(Reason::Refused))
    }

    /// Raises the broken flag, so that the next run looks at the chain before
    /// it signs.
    async fn break_off(
        &self,
        payout: &mut Payout,
        code: &str,
        reason: Reason,
        why: &str,
    ) -> Result<(), PayError> {
        tracing::warn!(
            code,
            why,
            sequence = payout.sequence,
            "the payout is not delivered"
        );
        let text = format!("payout {}: {why}", payout.sequence);
        self.tables
            .locks
            .set_broken(&self.tables.names.broken, code, &text)
            .await?;
        payout.reason = Some(reason.as_str().to_owned());
        self.tables.payouts.note(payout).await?;
        Ok(())
    }

    /// Tells claims that wait why they do.
    async fn explain(&self, reason: Reason) -> Result<(), PayError> {
        let claims = &self.tables.desk.claims;
        for claim in claims.waiting(EXPLAINED).await? {
            if claim.reason.as_deref() != Some(reason.as_str()) {
                claims
                    .explain(&claim.waiting.claim_id, reason.as_str())
                    .await?;
            }
        }
        Ok(())
    }

    async fn give_up(&self, claim: &Waiting, reason: Reason) -> Result<(), PayError> {
        let desk = &self.tables.desk;
        if let Some(claim) = desk.claims.get(&claim.claim_id).await?
            && claim.status == ClaimStatus::Queued
        {
            desk.give_up(&claim, ClaimStatus::Failed, reason.as_str())
                .await?;
        }
        Ok(())
    }
}

/// The transfer of a payout that pays nobody.
fn to_itself(run: &Run<'_>) -> Transfer {
    Transfer {
        to: run.sender.clone(),
        amount: 1,
    }
}

fn refused(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::Fee => Reason::FeeTooHigh,
        Refusal::Funds => Reason::FaucetEmpty,
        Refusal::Gas
        | Refusal::Recipient
        | Refusal::Signature
        | Refusal::Expired
        | Refusal::Other => Reason::Refused,
    }
}

/// Whether the account can pay the transfers and the fee beside what is
/// promised. Where the two balances are equal, they are taken for one coin.
fn affordable(account: &Account, promised: u128, total: u128, terms: &Terms) -> bool {
    let one_coin = account.balance == account.fee_balance;
    let needed = promised.saturating_add(total);
    if one_coin {
        needed.saturating_add(terms.most()) <= account.balance
    } else {
        needed <= account.balance && terms.most() <= account.fee_balance
    }
}

fn terms_of(text: &str) -> Option<Terms> {
    serde_json::from_str(text).ok()
}

fn bytes_of(payout: &Payout) -> Option<Vec<u8>> {
    let counted = payout
        .versions
        .iter()
        .find(|version| payout.hash.as_ref() == Some(&version.hash));
    hex::decode(&counted.or(payout.last())?.bytes).ok()
}
