//! Whatever happens in whatever order: each claim is paid at most once, and in
//! the end everything has ended as the chain has it.

use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::SignedDuration;

use crate::gate::Fate;
use crate::model::Habits;
use crate::world::{World, policy};

/// How long seeds are tried, unless `FAUCET_SEEDS` says which: `7` or `0..5000`.
const TIME: Duration = Duration::from_secs(20);
/// How many seeds are tried at most.
const SEEDS: u64 = 1500;

/// Splitmix64: a seed is a run, on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn weight(&mut self) -> u64 {
        [0, 1, 1, 6][usize::try_from(self.below(4)).unwrap()]
    }

    /// One of these, each as likely as its weight says.
    fn weighed(&mut self, weights: &[u64]) -> usize {
        let mut point = self.below(weights.iter().sum::<u64>().max(1));
        let found = weights
            .iter()
            .position(|weight| match point.checked_sub(*weight) {
                Some(left) => {
                    point = left;
                    false
                }
                None => true,
            });
        found.unwrap_or(0)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let count = u64::try_from(of.len()).unwrap();
        (count > 0).then(|| of[usize::try_from(self.below(count)).unwrap()])
    }
}

struct Run {
    dice: Dice,
    world: World,
    habits: Habits,
    /// How often something goes wrong: once in so many calls.
    calm: u64,
    /// What goes wrong then, and what happens to the chain: each run has its own
    /// mixture, or what is rare would never happen twice in one.
    faults: [u64; 5],
    mishaps: [u64; 7],
    trace: String,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let habits = Habits {
            evm: dice.once_in(2),
            keeps_gaps: dice.once_in(2),
            timeout_blocks: 1 + dice.below(6),
            estimates: dice.once_in(2),
            late_index: dice.below(5).saturating_sub(2),
        };
        let mut policy = policy();
        policy.batch = 1 + u32::try_from(dice.below(5)).unwrap();
        policy.in_flight = 1 + u32::try_from(dice.below(4)).unwrap();
        policy.confirmations = 1 + dice.below(4);
        policy.attempts = 1 + u32::try_from(dice.below(3)).unwrap();
        if dice.once_in(4) {
            policy.bump_seconds = 0;
        }
        let balance = if dice.once_in(4) { 500 } else { 100_000 };
        let calm = [4, 10, 40][usize::try_from(dice.below(3)).unwrap()];
        let faults = [(); 5].map(|()| dice.weight());
        let mishaps = [(); 7].map(|()| dice.weight());
        let world = World::new(habits, policy, balance);
        let trace = format!("{habits:?} {:?}\n", world.policy);
        Self {
            dice,
            world,
            habits,
            calm,
            faults,
            mishaps,
            trace,
        }
    }

    fn fate(&mut self) -> Fate {
        if !self.dice.once_in(self.calm) {
            return Fate::Done;
        }
        let blocks = 1 + self.dice.below(2);
        match self.dice.weighed(&self.faults) {
            0 => Fate::Refused,
            1 => Fate::Unanswered,
            2 => Fate::Fatal,
            3 => Fate::Behind(blocks),
            _ => Fate::LateIndex(blocks),
        }
    }

    /// One thing happens.
    async fn something(&mut self) {
        let confirmations = self.world.policy.confirmations;
        match self.dice.below(16) {
            0 => self.world.dynamo.fall_behind(),
            1..5 => self.world.dynamo.catch_up(),
            _ => {}
        }
        let actors = self.world.actors();
        match self.dice.below(100) {
            0..70 => {
                let Some(actor) = self.dice.one(&actors) else {
                    return;
                };
                let fate = self.fate();
                let call = self.world.call(actor);
                let end = self.world.step(actor, fate).await;
                let _ = writeln!(self.trace, "{actor} {call} {fate:?} {end:?}");
            }
            70..78 if actors.len() < 3 => {
                let actor = self.world.begin_pay();
                let _ = writeln!(self.trace, "{actor} pays");
            }
            78..86 if actors.len() < 3 => {
                let next = self.world.chain.net().sequence();
                let sequence = (next + 2).saturating_sub(self.dice.below(6));
                let actor = self.world.begin_look(sequence);
                let _ = writeln!(self.trace, "{actor} looks at {sequence}");
            }
            86 if actors.len() < 3 => {
                let actor = self.world.begin_sweep();
                let _ = writeln!(self.trace, "{actor} sweeps");
            }
            87..92 => {
                let most = usize::try_from(self.dice.below(4)).unwrap();
                self.world.chain.net().mine(most, confirmations);
                self.note("a block");
            }
            92..95 if self.world.claims.len() < 15 => {
                let hours = if self.dice.once_in(8) { 0 } else { 1 };
                let id = self.world.claim(SignedDuration::from_hours(hours)).await;
                self.note(&id);
            }
            95.. => self.mishap(confirmations),
            _ => {}
        }
        self.world.never_twice();
    }

    /// Something happens to the chain.
    fn mishap(&mut self, confirmations: u64) {
        let kind = self.dice.weighed(&self.mishaps);
        let sum = u128::from(self.dice.below(3)) * 400;
        let address = format!("address-{:03}", self.dice.below(15));
        let forgotten = {
            let waiting = self.world.chain.net().waiting();
            self.dice.one(&waiting)
        };
        let (blocks, remembered) = (1 + self.dice.below(4), self.dice.once_in(2));
        let base_fee = 1 + self.dice.below(200);
        let mut net = self.world.chain.net();
        let what = match kind {
            0 => {
                net.steal(sum, confirmations);
                format!("another takes a number and {sum}")
            }
            1 if self.habits.evm => {
                let gone = net.reorganise(blocks, remembered);
                format!("{gone} blocks are taken back, remembered: {remembered}")
            }
            2 => {
                if let Some(number) = forgotten {
                    net.forget(number);
                }
                format!("{forgotten:?} is forgotten")
            }
            3 => {
                net.base_fee = u128::from(base_fee);
                format!("the base fee is {base_fee}")
            }
            4 => {
                net.refund(sum);
                format!("there is {sum} more")
            }
            5 => {
                let new = net.closed.insert(address.clone());
                if !new {
                    net.closed.remove(&address);
                }
                format!("{address} takes nothing: {new}")
            }
            _ => "nothing happens".to_owned(),
        };
        drop(net);
        self.note(&what);
    }

    fn note(&mut self, what: &str) {
        let net = self.world.chain.net();
        let _ = writeln!(
            self.trace,
            "{what}; height {}, next {}, waiting {:?}, balance {}",
            net.height(),
            net.sequence(),
            net.waiting(),
            net.balance(),
        );
    }

    async fn go(&mut self) {
        let first = 1 + usize::try_from(self.dice.below(5)).unwrap();
        self.world.claim_times(first).await;
        for _ in 0..150 + self.dice.below(450) {
            self.something().await;
        }
        self.trace.push_str("all is well from here on\n");
        self.world.settle().await;
    }
}

async fn try_seed(seed: u64) {
    let mut run = Run::new(seed);
    let outcome = AssertUnwindSafe(run.go()).catch_unwind().await;
    if outcome.is_err() {
        panic!("FAUCET_SEEDS={seed}:\n{}", run.trace);
    }
}

/// Tries seeds on every core, one after another, and fails with the first that
/// fails.
fn some(seeds: std::ops::Range<u64>, time: Duration) {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                while began.elapsed() < time {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    runtime.block_on(try_seed(seed));
                }
            });
        }
    });
    let tried = next.into_inner().min(seeds.end) - seeds.start;
    eprintln!("{tried} seeds in {} s", began.elapsed().as_secs());
}

#[test]
fn whatever_happens_each_claim_is_paid_once_or_not_at_all() {
    let Ok(seeds) = std::env::var("FAUCET_SEEDS") else {
        return some(0..SEEDS, TIME);
    };
    let number = |text: &str| text.parse().expect("FAUCET_SEEDS is 7 or 0..5000");
    match seeds.split_once("..") {
        Some((from, to)) => some(number(from)..number(to), Duration::MAX),
        None => some(number(&seeds)..number(&seeds) + 1, Duration::MAX),
    }
}
