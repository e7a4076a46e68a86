//! What becomes of each call that leaves a process, and of the processes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use offchain_store::test_util::memory;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dice::Dice;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Store,
    Chain,
    Post,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Done,
    /// It is not done, and the caller is told so.
    Refused,
    /// It is done, and the caller hears nothing.
    Unanswered,
    /// The caller hears nothing, and it is done seconds later.
    Late,
    /// The caller dies before it calls.
    DiesBefore,
    /// The caller dies before it hears of it.
    DiesAfter,
    /// The caller stands still for so long before it calls.
    Pauses(Duration),
    /// It takes so long.
    Slow(Duration),
}

/// What is to go wrong.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// Nothing.
    Calm,
    /// The `nth` call of an actor, from 1 on.
    At {
        actor: &'static str,
        nth: usize,
        fate: Fate,
    },
    /// One call in so many, each kind of fate as often as it weighs.
    Now { once_in: u64, weights: [u64; 7] },
}

#[derive(Debug)]
struct State {
    dice: Dice,
    plan: Plan,
    calls: BTreeMap<String, usize>,
    trace: Vec<String>,
    /// Who called last.
    caller: String,
    /// What must not be.
    wrongs: Vec<String>,
}

/// The weather.
#[derive(Clone, Debug)]
pub(crate) struct Weather(Arc<Mutex<State>>);

impl Weather {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice: Dice::new(seed),
            plan: Plan::Calm,
            calls: BTreeMap::new(),
            trace: Vec::new(),
            caller: String::new(),
            wrongs: Vec::new(),
        })))
    }

    pub(crate) fn plan(&self, plan: Plan) {
        self.0.lock().unwrap().plan = plan;
    }

    /// How many calls an actor made.
    pub(crate) fn calls(&self, actor: &str) -> usize {
        let state = self.0.lock().unwrap();
        state.calls.get(actor).copied().unwrap_or_default()
    }

    pub(crate) fn caller(&self) -> String {
        self.0.lock().unwrap().caller.clone()
    }

    pub(crate) fn note(&self, what: impl std::fmt::Display) {
        let time = offchain_store::clock::now();
        let mut state = self.0.lock().unwrap();
        state.trace.push(format!("{time:.3} {what}"));
    }

    /// Something must not be. Whoever finds out may be a task that nobody asks.
    pub(crate) fn wrong(&self, what: String) {
        self.note(format_args!("WRONG: {what}"));
        self.0.lock().unwrap().wrongs.push(what);
    }

    /// That nothing was that must not be.
    pub(crate) fn is_right(&self) {
        let wrongs = self.0.lock().unwrap().wrongs.clone();
        assert!(wrongs.is_empty(), "{wrongs:#?}");
    }

    /// What happened last.
    pub(crate) fn trace(&self) -> String {
        let state = self.0.lock().unwrap();
        let from = state.trace.len().saturating_sub(400);
        state.trace[from..].join("\n")
    }

    pub(crate) fn chance<T>(&self, of: impl FnOnce(&mut Dice) -> T) -> T {
        of(&mut self.0.lock().unwrap().dice)
    }

    fn next(&self, actor: &str) -> (Fate, Duration) {
        let mut state = self.0.lock().unwrap();
        let calls = state.calls.entry(actor.to_owned()).or_default();
        *calls += 1;
        let number = *calls;
        let latency = Duration::from_millis(1 + state.dice.below(8));
        let fate = match state.plan.clone() {
            Plan::At {
                actor: unlucky,
                nth,
                fate,
            } if unlucky == actor && nth == number => fate,
            Plan::Now { once_in, weights } if state.dice.once_in(once_in) => {
                let seconds = Duration::from_millis(500 + state.dice.below(12_000));
                match state.dice.weighed(&weights) {
                    0 => Fate::Refused,
                    1 => Fate::Unanswered,
                    2 => Fate::Late,
                    3 => Fate::DiesBefore,
                    4 => Fate::DiesAfter,
                    5 => Fate::Pauses(seconds),
                    _ => Fate::Slow(seconds),
                }
            }
            _ => Fate::Done,
        };
        (fate, latency)
    }
}

#[derive(Debug, Default)]
struct Life {
    dead: bool,
    still_until: Option<Instant>,
}

/// A process that makes calls.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    weather: Weather,
    life: Arc<Mutex<Life>>,
}

impl Actor {
    pub(crate) fn new(name: &str, weather: &Weather) -> Self {
        Self {
            name: name.to_owned(),
            weather: weather.clone(),
            life: Arc::default(),
        }
    }

    pub(crate) fn weather(&self) -> &Weather {
        &self.weather
    }

    pub(crate) fn kill(&self) {
        self.life.lock().unwrap().dead = true;
    }

    pub(crate) fn pause(&self, time: Duration) {
        self.life.lock().unwrap().still_until = Some(Instant::now() + time);
    }

    /// A call, up to the moment at which it is done.
    pub(crate) async fn call(&self, kind: Kind, what: &str) -> Fate {
        let (fate, latency) = self.weather.next(&self.name);
        sleep(latency).await;
        if fate != Fate::Done {
            self.weather
                .note(format_args!("{} {kind:?} {what}: {fate:?}", self.name));
        }
        match fate {
            Fate::DiesBefore | Fate::DiesAfter => self.kill(),
            Fate::Pauses(time) => {
                self.pause(time);
                sleep(time).await;
            }
            Fate::Slow(time) => sleep(time).await,
            Fate::Done | Fate::Refused | Fate::Unanswered | Fate::Late => {}
        }
        self.weather.0.lock().unwrap().caller.clone_from(&self.name);
        fate
    }

    /// What a store's calls pass.
    pub(crate) fn gate(&self) -> memory::Gate {
        let this = self.clone();
        Arc::new(move |operation| {
            let (this, operation) = (this.clone(), operation.to_owned());
            Box::pin(async move {
                match this.call(Kind::Store, &operation).await {
                    Fate::Done | Fate::Slow(_) | Fate::Pauses(_) => memory::Fate::Done,
                    Fate::Refused => memory::Fate::Refused,
                    Fate::Unanswered => memory::Fate::Unanswered,
                    Fate::Late => {
                        let after = this.weather.chance(|dice| 1 + dice.below(6));
                        memory::Fate::Late(Duration::from_secs(after))
                    }
                    Fate::DiesBefore => memory::Fate::Unsent,
                    Fate::DiesAfter => memory::Fate::Unheard,
                }
            })
        })
    }

    /// Runs until the end, or until death: then it comes to nothing.
    pub(crate) async fn live<T>(&self, run: impl Future<Output = T>) -> Option<T> {
        let mut run = pin!(run);
        let mut still = None;
        poll_fn(|context| {
            loop {
                let until = self.life.lock().unwrap().still_until;
                if let Some(until) = until {
                    let still = still.get_or_insert_with(|| Box::pin(sleep_until(until)));
                    if Instant::now() < until {
                        // A later end than the one that was waited for.
                        still.as_mut().reset(until);
                        if still.as_mut().poll(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    self.life.lock().unwrap().still_until = None;
                }
                still = None;
                if self.life.lock().unwrap().dead {
                    return Poll::Ready(None);
                }
                let polled = run.as_mut().poll(context);
                let life = self.life.lock().unwrap();
                if life.dead {
                    return Poll::Ready(None);
                }
                if life.still_until.is_some() && polled.is_pending() {
                    continue;
                }
                return polled.map(Some);
            }
        })
        .await
    }
}
