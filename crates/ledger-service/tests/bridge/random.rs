//! Whatever happens in whatever order: everybody is told of all that they are to
//! be told of, and what is known in the end is what the chain says.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use offchain_store::ledger::Cursor;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::chain::Flow;
use crate::post::Mood;
use crate::weather::{Actor, Plan};
use crate::world::{Bridge, OTHER, PICKY, SUITE, at_once};

/// How long seeds are tried, unless `BRIDGE_SEEDS` says which: `7` or `0..5000`.
const TIME: Duration = Duration::from_secs(20);
/// How many seeds are tried at most.
const SEEDS: u64 = 300;

struct Run {
    bridge: Bridge,
    daemons: Vec<oneshot::Sender<()>>,
    mishaps: [u64; 14],
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut bridge = Bridge::new(seed);
        let (once_in, weights, mishaps) = bridge.weather.chance(|dice| {
            let weight = |dice: &mut crate::dice::Dice| dice.one(&[0, 1, 1, 6]);
            (
                dice.one(&[8, 30, 150]),
                [(); 7].map(|()| weight(dice)),
                [(); 14].map(|()| weight(dice)),
            )
        });
        bridge.settings.concurrency = bridge.weather.chance(|dice| dice.one(&[1, 2, 8]));
        bridge.settings.run_seconds = bridge.weather.chance(|dice| dice.one(&[10, 30, 90]));
        bridge.settings.max_kept = bridge.weather.chance(|dice| dice.one(&[1, 5, 1000]));
        bridge.weather.plan(Plan::Now { once_in, weights });
        bridge.weather.note(format_args!(
            "once in {once_in}: {weights:?}, {mishaps:?}, {:?}",
            bridge.settings
        ));
        Self {
            bridge,
            daemons: Vec::new(),
            mishaps,
        }
    }

    fn chance(&self, below: u64) -> u64 {
        self.bridge.weather.chance(|dice| dice.below(below))
    }

    /// Something happens.
    async fn mishap(&mut self) {
        let kind = self
            .bridge
            .weather
            .chance(|dice| dice.weighed(&self.mishaps));
        let lie = self.chance(30);
        let weather = self.bridge.weather.clone();
        let note = |what: &str| weather.note(what);
        match kind {
            0 => {
                note("the node is gone");
                self.bridge.ledger.net().fail();
                sleep(Duration::from_secs(1 + self.chance(20))).await;
                note("the node is back");
                self.bridge.ledger.net().up = true;
            }
            1 => {
                note("the streams break");
                self.bridge.ledger.net().cut();
            }
            2 => {
                let flow = self
                    .bridge
                    .weather
                    .chance(|dice| dice.one(&[Flow::Open, Flow::Starved, Flow::Closed]));
                note(&format!("the stream is {flow:?}"));
                let mut net = self.bridge.ledger.net();
                net.flow = flow;
                if flow == Flow::Closed {
                    net.cut();
                }
            }
            3 => {
                note("nonsense");
                self.bridge.ledger.net().babble();
            }
            4 => {
                note("a lie");
                let mut net = self.bridge.ledger.net();
                let height = net.height().saturating_sub(5) + lie;
                net.lie(if lie == 29 { u64::MAX } else { height });
            }
            5 => {
                let behind = self.chance(2);
                note(&format!("the node is {behind} behind"));
                self.bridge.ledger.net().behind = usize::try_from(behind).unwrap();
            }
            6 => {
                let slow = Duration::from_millis(
                    self.bridge
                        .weather
                        .chance(|dice| dice.one(&[0, 0, 300, 2000])),
                );
                note(&format!("the node takes {slow:?}"));
                self.bridge.ledger.net().slow = slow;
            }
            7..=9 => {
                let (name, mood) = self.bridge.weather.chance(|dice| {
                    let slow = Duration::from_secs(1 + dice.below(20));
                    let moods = [
                        Mood::Open,
                        Mood::Refuses,
                        Mood::Slow(slow),
                        Mood::Mute,
                        Mood::Gone,
                    ];
                    (dice.one(&[SUITE, OTHER, PICKY]), dice.one(&moods))
                });
                note(&format!("{name} is {mood:?}"));
                self.bridge.town.mood(name, mood);
            }
            10 => {
                let holder = self.bridge.holder();
                // Some are older than those that run.
                let holder = holder - self.chance(4);
                drop(self.bridge.machine("machine", holder));
            }
            11 => {
                let height = self.chance(self.bridge.ledger.net().height() + 1);
                let height = height.min(self.bridge.cursor());
                note(&format!("the cursor is set to {height}"));
                let cursor = Cursor { height, mark: None };
                self.bridge.feed().rewind(&cursor).await.unwrap();
            }
            12 if self.daemons.len() < 2 => {
                let holder = self.bridge.holder();
                let (stop, stopped) = oneshot::channel::<()>();
                let actor = Actor::new("daemon", &self.bridge.weather);
                note(&format!("a daemon {holder}"));
                drop(
                    self.bridge
                        .stand_by(&actor, holder, async { drop(stopped.await) }),
                );
                self.daemons.push(stop);
            }
            13 => {
                note("a daemon stops");
                self.daemons.pop();
            }
            _ => {}
        }
    }

    async fn go(&mut self) {
        self.bridge.record();
        let holder = self.bridge.holder();
        drop(self.bridge.machine("machine", holder));
        for _ in 0..10 + self.chance(30) {
            for _ in 0..self.chance(3) {
                let times = self.chance(4);
                self.bridge.trade(times);
                let height = self.bridge.ledger.net().height();
                self.bridge
                    .weather
                    .note(format_args!("block {height}: {times}"));
            }
            if self.chance(2) == 0 {
                self.mishap().await;
            }
            let wait = self.chance(2500);
            sleep(Duration::from_millis(wait)).await;
        }
        let holder = self.bridge.holder() + 10;
        drop(self.bridge.machine("last", holder));
        self.bridge.settle().await;
        self.bridge.holds().await;
    }
}

fn try_seed(seed: u64) {
    at_once(async {
        let mut run = Run::new(seed);
        let outcome = AssertUnwindSafe(run.go()).catch_unwind().await;
        if outcome.is_err() {
            panic!("BRIDGE_SEEDS={seed}:\n{}", run.bridge.weather.trace());
        }
    });
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
                while began.elapsed() < time {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    try_seed(seed);
                }
            });
        }
    });
    let tried = next.into_inner().min(seeds.end) - seeds.start;
    eprintln!("{tried} seeds in {} s", began.elapsed().as_secs());
}

#[test]
fn whatever_happens_everybody_is_told_of_everything() {
    let Ok(seeds) = std::env::var("BRIDGE_SEEDS") else {
        return some(0..SEEDS, TIME);
    };
    let number = |text: &str| text.parse().expect("BRIDGE_SEEDS is 7 or 0..5000");
    match seeds.split_once("..") {
        Some((from, to)) => some(number(from)..number(to), Duration::MAX),
        None => some(number(&seeds)..number(&seeds) + 1, Duration::MAX),
    }
}
