//! A faucet on a chain and tables of its own, its actors, and what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use offchain_chains::AccountKey;
use offchain_faucet::{ClaimStatus, PayoutPolicy, PayoutStatus, budget_day};
use offchain_faucet_service::{Confirmer, Payer, Sweeper, TableNames, Tables, Wake};
use offchain_store::faucet::{Claim, Counted, Payout, Reservation, Reserved};
use offchain_store::test_util::memory::Memory;
use tokio::sync::Notify;

use crate::dynamo::{CLAIMS, LIMITS, LOCKS, PAYOUTS, tables};
use crate::gate::{Fate, Gate, TEST};
use crate::model::{Habits, Model, SENDER};

/// What each claim is paid.
pub(crate) const AMOUNT: u128 = 100;
/// Rounds after which all that waits has to have ended, once all is well.
const PATIENCE: usize = 60;
/// Calls that one run makes at most.
const MOST_CALLS: usize = 2000;

/// What an actor came to: `Ok` with what it did, `Err` with a code.
pub(crate) type End = Result<String, String>;
type Actor = Pin<Box<dyn Future<Output = End>>>;

pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) dynamo: Memory,
    pub(crate) chain: Model,
    pub(crate) tables: Tables,
    pub(crate) policy: PayoutPolicy,
    pub(crate) claims: Vec<String>,
    actors: BTreeMap<usize, Actor>,
    next_actor: usize,
    began: Timestamp,
}

pub(crate) fn policy() -> PayoutPolicy {
    PayoutPolicy {
        batch: 3,
        in_flight: 3,
        confirmations: 2,
        attempts: 3,
        bump_seconds: 3600,
        // Whoever comes may have the lease: a holder is never sure of it.
        lease_seconds: 0,
        settle_deadline_seconds: 3600,
        low_balance: 0,
        amount: AMOUNT,
        retention_days: 1,
        decimals: 18,
    }
}

impl World {
    pub(crate) fn new(habits: Habits, policy: PayoutPolicy, balance: u128) -> Self {
        let gate = Gate::default();
        let dynamo = tables(&gate);
        let client = aws_sdk_dynamodb::Client::new(&dynamo.sdk_config());
        let names = TableNames {
            claims: CLAIMS.to_owned(),
            limits: LIMITS.to_owned(),
            locks: LOCKS.to_owned(),
            payouts: PAYOUTS.to_owned(),
        };
        Self {
            chain: Model::new(gate.clone(), habits, balance),
            tables: Tables::new(&client, names, "test", "testnet"),
            gate,
            dynamo,
            policy,
            claims: Vec::new(),
            actors: BTreeMap::new(),
            next_actor: TEST + 1,
            began: Timestamp::now(),
        }
    }

    /// A new claim of an address of its own, which waits so long for a payout.
    pub(crate) async fn claim(&mut self, patience: SignedDuration) -> String {
        self.gate.act_as(TEST);
        let number = self.claims.len();
        let (id, address) = (format!("claim-{number:03}"), format!("address-{number:03}"));
        let milliseconds = i64::try_from(number).unwrap();
        let asked = Reservation {
            claim_id: &id,
            address: &address,
            amount: AMOUNT,
            now: self.began + SignedDuration::from_millis(milliseconds),
            patience,
            retention: SignedDuration::from_hours(24),
            limits: Some(Counted {
                source: "source",
                address_cooldown: Duration::from_secs(86_400),
                source_claims: 1000,
                source_window: Duration::from_secs(86_400),
                daily_budget: 1_000_000,
            }),
            challenge: None,
        };
        let reserved = self.tables.desk.reserve(&asked).await.unwrap();
        assert!(matches!(reserved, Reserved::New(_)), "{reserved:?}");
        self.dynamo.catch_up();
        self.claims.push(id.clone());
        id
    }

    /// So many claims that wait long.
    pub(crate) async fn claim_times(&mut self, times: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..times {
            ids.push(self.claim(SignedDuration::from_hours(1)).await);
        }
        ids
    }

    fn confirmer(&self) -> Confirmer<Model> {
        Confirmer {
            chain: self.chain.clone(),
            tables: self.tables.clone(),
            policy: self.policy.clone(),
            wake: Wake::Local(Arc::new(Notify::new())),
        }
    }

    /// Begins a run of the payer.
    pub(crate) fn begin_pay(&mut self) -> usize {
        let payer = Payer {
            chain: self.chain.clone(),
            tables: self.tables.clone(),
            policy: self.policy.clone(),
        };
        self.begin(async move {
            let key = AccountKey::from_bytes(&[1; 32]).unwrap();
            match payer.run(&key).await {
                Ok(report) => Ok(format!("{report:?}")),
                Err(error) => Err(offchain_codes::Coded::code(&error).to_owned()),
            }
        })
    }

    /// Begins a look at a payout.
    pub(crate) fn begin_look(&mut self, sequence: u64) -> usize {
        let confirmer = self.confirmer();
        self.begin(async move {
            match confirmer.look(SENDER, sequence).await {
                Ok(look) => Ok(format!("{look:?}")),
                Err(error) => Err(offchain_codes::Coded::code(&error).to_owned()),
            }
        })
    }

    /// Begins a sweep.
    pub(crate) fn begin_sweep(&mut self) -> usize {
        let sweeper = Sweeper {
            confirmer: self.confirmer(),
        };
        self.begin(async move {
            match sweeper.sweep().await {
                Ok(census) => Ok(format!("{census:?}")),
                Err(error) => Err(offchain_codes::Coded::code(&error).to_owned()),
            }
        })
    }

    fn begin(&mut self, run: impl Future<Output = End> + 'static) -> usize {
        let actor = self.next_actor;
        self.next_actor += 1;
        self.actors.insert(actor, Box::pin(run));
        actor
    }

    pub(crate) fn actors(&self) -> Vec<usize> {
        self.actors.keys().copied().collect()
    }

    /// Lets an actor go on to its next call, the one that it waits with having
    /// this fate, and returns its end.
    pub(crate) async fn step(&mut self, actor: usize, fate: Fate) -> Option<End> {
        if self.gate.arrived(actor).is_some() {
            self.gate.grant(actor, fate);
        }
        loop {
            self.gate.act_as(actor);
            let run = self.actors.get_mut(&actor).expect("an actor");
            let polled = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.gate.act_as(TEST);
            if let Poll::Ready(end) = polled {
                self.actors.remove(&actor);
                return Some(end);
            }
            if fate == Fate::Fatal && self.gate.arrived(actor).is_none() {
                self.kill(actor);
                return Some(Err("dead".to_owned()));
            }
            if self.gate.arrived(actor).is_some() {
                return None;
            }
            // It waits for a lock that is held, for a moment.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The call that an actor waits with.
    pub(crate) fn call(&self, actor: usize) -> String {
        self.gate.arrived(actor).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self, actor: usize) {
        self.actors.remove(&actor);
        self.gate.forget(actor);
    }

    /// Lets an actor go on until it is to make this call for the nth time, from
    /// 1 on. Its end is a failure of the test.
    pub(crate) async fn up_to(&mut self, actor: usize, call: &str, nth: usize) {
        let mut seen = 0;
        loop {
            let ended = self.step(actor, Fate::Done).await;
            assert!(ended.is_none(), "ended before {call}: {ended:?}");
            seen += usize::from(self.call(actor) == call);
            if seen == nth {
                return;
            }
        }
    }

    /// Lets an actor go on to its end.
    pub(crate) async fn through(&mut self, actor: usize) -> End {
        let mut calls = Vec::new();
        while calls.len() < MOST_CALLS {
            if let Some(end) = self.step(actor, Fate::Done).await {
                return end;
            }
            calls.push(self.call(actor));
        }
        panic!(
            "it makes call after call: {:?}",
            &calls[calls.len() - 100..]
        );
    }

    pub(crate) async fn pay(&mut self) -> End {
        let actor = self.begin_pay();
        self.through(actor).await
    }

    pub(crate) async fn look(&mut self, sequence: u64) -> End {
        let actor = self.begin_look(sequence);
        self.through(actor).await
    }

    pub(crate) async fn sweep(&mut self) -> End {
        let actor = self.begin_sweep();
        self.through(actor).await
    }

    pub(crate) fn mine(&self) {
        self.chain.net().mine(usize::MAX, self.policy.confirmations);
        self.never_twice();
    }

    pub(crate) async fn of(&self, id: &str) -> Claim {
        self.gate.act_as(TEST);
        self.tables.desk.claims.get(id).await.unwrap().unwrap()
    }

    /// How many claims are paid.
    pub(crate) fn paid(&self) -> usize {
        let claims = self.dynamo.items(CLAIMS);
        let paid = claims.iter().filter(|item| item["status"]["S"] == "paid");
        paid.count()
    }

    pub(crate) async fn payouts(&self) -> Vec<Payout> {
        self.gate.act_as(TEST);
        self.tables.payouts.newest(SENDER, 10_000).await.unwrap()
    }

    pub(crate) async fn broken(&self) -> Option<String> {
        self.gate.act_as(TEST);
        let broken = self.tables.locks.broken(&self.tables.names.broken).await;
        broken.unwrap().map(|broken| broken.code)
    }

    /// No address is ever paid twice.
    pub(crate) fn never_twice(&self) {
        let net = self.chain.net();
        for number in 0..self.claims.len() {
            let paid = net.paid(&format!("address-{number:03}"));
            assert!(paid <= 1, "claim {number} is paid {paid} times");
        }
    }

    /// From here on all is well: in the end nothing is open, and all of it is as
    /// it must be.
    pub(crate) async fn settle(&mut self) {
        for actor in self.actors() {
            self.kill(actor);
        }
        {
            let mut net = self.chain.net();
            net.base_fee = 1;
            net.refund(1_000_000);
        }
        self.dynamo.catch_up();
        for _ in 0..PATIENCE {
            self.pay().await.unwrap();
            self.mine();
            self.sweep().await.unwrap();
            if self.is_settled() {
                // The last payout's end wakes the payer once more.
                self.pay().await.unwrap();
                return self.holds().await;
            }
        }
        let mut claims = Vec::new();
        for id in &self.claims {
            let claim = self.of(id).await;
            if claim.status.is_open() {
                claims.push(claim);
            }
        }
        let payouts = self.payouts().await;
        let open: Vec<_> = payouts
            .iter()
            .filter(|payout| payout.status.is_open())
            .collect();
        let broken = self.broken().await;
        let net = self.chain.net();
        let (next, waiting) = (net.sequence(), net.waiting());
        drop(net);
        panic!("not settled: {next} is next, {waiting:?}, {broken:?}, {claims:#?}, {open:#?}");
    }

    fn is_settled(&self) -> bool {
        let payouts = self.dynamo.items(PAYOUTS);
        payouts.iter().all(|item| !item.contains_key("open"))
            && self.dynamo.items(CLAIMS).iter().all(|item| {
                let status = item["status"]["S"].as_str().unwrap();
                ["paid", "failed", "expired"].contains(&status)
            })
    }

    /// Each claim was paid once or not at all, as its status says; each number
    /// was used by what its payout says; and what was reserved is what was paid.
    async fn holds(&self) {
        self.never_twice();
        let mut given = 0;
        let mut cooling = BTreeSet::new();
        for id in &self.claims {
            let claim = self.of(id).await;
            let paid = self.chain.net().paid(&claim.address);
            match claim.status {
                ClaimStatus::Paid => {
                    assert_eq!(paid, 1, "{claim:?}");
                    given += AMOUNT;
                    cooling.insert(format!("address#{}", claim.address));
                    let net = self.chain.net();
                    let found = net.mined().find(|(_, mined)| {
                        let transfers = &mined.tx.transfers;
                        mined.failure.is_none()
                            && transfers.iter().any(|(to, _)| *to == claim.address)
                    });
                    let (height, mined) = found.unwrap();
                    assert_eq!(claim.height, Some(height), "{claim:?}");
                    assert_eq!(claim.hash, Some(mined.tx.hash()), "{claim:?}");
                }
                ClaimStatus::Failed | ClaimStatus::Expired => {
                    assert_eq!(paid, 0, "{claim:?}");
                    assert!(
                        claim.reason.is_some() && claim.reserved.is_none(),
                        "{claim:?}"
                    );
                }
                other => panic!("{other}: {claim:?}"),
            }
        }
        let day = budget_day(self.began);
        assert_eq!(self.tables.desk.limits.spent(&day).await.unwrap(), given);
        let limits = self.dynamo.items(LIMITS);
        let cooldowns: BTreeSet<_> = limits
            .iter()
            .map(|item| item["limit"]["S"].as_str().unwrap().to_owned())
            .filter(|key| key.starts_with("address#"))
            .collect();
        assert_eq!(cooldowns, cooling);

        let payouts = self.payouts().await;
        let payouts: BTreeMap<u64, &Payout> = payouts
            .iter()
            .map(|payout| (payout.sequence, payout))
            .collect();
        {
            let net = self.chain.net();
            let mut numbers = 0..;
            for (_, mined) in net.mined() {
                let number = numbers.next().unwrap();
                assert_eq!(mined.tx.sequence, number);
                let payout = payouts.get(&number);
                match payout.map(|payout| payout.status) {
                    None | Some(PayoutStatus::Lost) => assert!(mined.tx.is_foreign(), "{payout:?}"),
                    Some(PayoutStatus::Paid) => assert!(
                        !mined.tx.is_foreign() && mined.failure.is_none(),
                        "{payout:?}"
                    ),
                    Some(PayoutStatus::Failed) => assert!(
                        !mined.tx.is_foreign() && mined.failure.is_some(),
                        "{payout:?}"
                    ),
                    Some(other) => panic!("{other}: {payout:?}"),
                }
            }
            assert_eq!(numbers.start, net.sequence());
            assert!(payouts.keys().all(|number| *number < net.sequence()));
        }
        assert_eq!(self.broken().await, None);
    }
}
