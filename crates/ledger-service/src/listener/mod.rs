//! Follows a chain and brings what happens on it to subscribers.
//!
//! The blocks are what counts; the stream only says that there is another. So
//! a stream that breaks, starves or says nonsense costs time and nothing else,
//! and a gap is closed as everything is read: height by height.
//!
//! The cursor moves over a height once each of its events is delivered, or kept
//! in the table of deliveries. It is the value of the listener's lease and
//! moves under the lease's fencing token.

mod lanes;
mod run;
mod window;

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use offchain_codes::{Coded, chain};
use offchain_ledger::{Event, Subscriber};
use offchain_store::ledger::{Cursor, Feed};
use offchain_store::locks::{Lease, LockError};
use offchain_store::queue::Queue;
use offchain_store::{StoreError, clock};
use serde::Serialize;
use tokio::time::Instant;

use crate::contents::{self, Contents};
use crate::courier::Carrier;
use crate::node::{Chain, NodeError};
use crate::settings::ListenSettings;

/// The longest pause between two tries to reach a node.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How soon a node that is behind is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// What a listener needs.
pub struct Listener<C, P> {
    /// The node.
    pub chain: C,
    /// Who brings webhooks.
    pub carrier: P,
    /// The lease, the cursor and the deliveries that wait.
    pub feed: Feed,
    /// The dead-letter queue of deliveries.
    pub dead_letters: Queue,
    /// Who is told.
    pub subscribers: Vec<Subscriber>,
    /// How to listen.
    pub settings: ListenSettings,
    /// Told every few seconds how it goes.
    pub watch: Box<dyn Fn(&Beat) + Send + Sync>,
}

/// How it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Whether the node answered within the last minute.
    pub listening: bool,
    /// Up to where everything is delivered or kept.
    pub height: u64,
    /// How far that is behind the chain, in heights.
    pub lag: u64,
    /// What was delivered since the last time.
    pub delivered: u64,
    /// How many deliveries wait for a retry.
    pub kept: usize,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A younger one listens.
    HandedOver,
    /// It has listened for as long as it was to.
    TimeUp,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Why it ended.
    pub outcome: Outcome,
    /// Where the cursor was.
    pub height: u64,
    /// How many webhooks were taken.
    pub delivered: u64,
    /// How many wait for a retry.
    pub kept: usize,
}

impl Report {
    /// Of a run that never came to listen.
    fn handed_over(height: u64) -> Self {
        Self {
            outcome: Outcome::HandedOver,
            height,
            delivered: 0,
            kept: 0,
        }
    }
}

/// Why nothing can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The tables.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain is not the one that the cursor is on.
    #[error(
        "the chain is another than at height {cursor}, where the cursor is: {found}; \
         `offchain ledger rewind` sets the cursor"
    )]
    Reset {
        /// Where the cursor is.
        cursor: u64,
        /// What was found instead.
        found: String,
    },
}

impl Coded for ListenError {
    fn code(&self) -> &'static str {
        match self {
            Self::Node(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Reset { .. } => "ChainReset",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Node(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
            Self::Reset { .. } => false,
        }
    }
}

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// How many heights were read.
    pub heights: u64,
    /// How many webhooks were taken.
    pub delivered: u64,
    /// Those that were not, each with its subscriber and a code.
    pub failed: Vec<(String, Event, &'static str)>,
}

impl<C: Chain, P: Carrier> Listener<C, P> {
    /// Listens for as long as a function may, unless a younger run does.
    /// `holder` is the time that this one was meant for, in milliseconds: it
    /// takes over from any older one at once, which then ends.
    pub async fn run(&self, holder: u64) -> Result<Report, ListenError> {
        let until = Instant::now() + Duration::from_secs(self.settings.run_seconds);
        let lease = match self.feed.take_over(holder, self.settings.lease()).await {
            Ok(lease) => lease,
            Err(LockError::Held(_) | LockError::Lost(_)) => {
                return Ok(Report::handed_over(0));
            }
            Err(LockError::Store(error)) => return Err(error.into()),
        };
        let mut report = self.listen(lease, tokio::time::sleep_until(until)).await?;
        if report.outcome == Outcome::HandedOver && !self.another_listens(holder).await? {
            // Whoever moved the cursor by hand does not listen.
            report.outcome = Outcome::TimeUp;
        }
        Ok(report)
    }

    async fn another_listens(&self, holder: u64) -> Result<bool, StoreError> {
        let Some((state, _)) = self.feed.look().await? else {
            return Ok(false);
        };
        let listens = state.holder_at(clock::now(), self.settings.lease());
        Ok(listens.is_some_and(|other| other >= holder))
    }

    /// Listens until `stop`, whenever nobody else does: several may stand by.
    /// What may pass is waited for.
    pub async fn stand_by(
        &self,
        holder: u64,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ListenError> {
        // A run may end for another reason just when it is to stop.
        let stop = Box::pin(stop).shared();
        let mut failures = 0;
        loop {
            let pause = match self.feed.acquire(holder, self.settings.lease()).await {
                Ok(lease) => match self.listen(lease, stop.clone()).await {
                    Ok(report) if report.outcome == Outcome::TimeUp => return Ok(()),
                    Ok(_) => {
                        tracing::warn!("another listens now; standing by");
                        failures = 0;
                        self.settings.beat()
                    }
                    Err(error) if error.retryable() => {
                        tracing::warn!(code = error.code(), error = chain(&error), "trying again");
                        failures += 1;
                        pause(failures)
                    }
                    Err(error) => return Err(error),
                },
                Err(LockError::Held(_) | LockError::Lost(_)) => self.settings.beat(),
                Err(LockError::Store(error)) if error.retryable() => {
                    tracing::warn!(code = error.code(), error = chain(&error), "trying again");
                    failures += 1;
                    pause(failures)
                }
                Err(LockError::Store(error)) => return Err(error.into()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.clone() => return Ok(()),
            }
        }
    }

    async fn listen(
        &self,
        lease: Lease,
        stop: impl Future<Output = ()>,
    ) -> Result<Report, ListenError> {
        let mut begin = Box::pin(run::Run::begin(self, &lease));
        let mut beat = tokio::time::interval(self.settings.beat());
        beat.reset();
        let begun = loop {
            tokio::select! {
                begun = &mut begin => break begun,
                // However slow the node is, nobody else would be faster.
                _ = beat.tick() => if let Some(report) = self.stay(&lease).await? {
                    return Ok(report);
                },
            }
        };
        match begun {
            Ok(run) => run.listen(stop).await,
            Err(error) => {
                // The next one need not wait until the lease expires.
                let _ = self.feed.give_back(&lease).await;
                Err(error)
            }
        }
    }

    /// Renews the lease of who has not begun yet. Returns how that ends where
    /// it is lost.
    async fn stay(&self, lease: &Lease) -> Result<Option<Report>, ListenError> {
        let cursor = self.start(lease)?;
        match self.feed.checkpoint(lease, &cursor, &cursor, &[]).await {
            Ok(()) => Ok(None),
            Err(LockError::Held(_) | LockError::Lost(_)) => {
                Ok(Some(Report::handed_over(cursor.height)))
            }
            Err(LockError::Store(error)) if error.retryable() => {
                tracing::warn!(
                    code = error.code(),
                    error = chain(&error),
                    "the lease was not renewed"
                );
                Ok(None)
            }
            Err(LockError::Store(error)) => Err(error.into()),
        }
    }

    fn start(&self, lease: &Lease) -> Result<Cursor, StoreError> {
        Ok(Feed::cursor(lease)?.unwrap_or(Cursor {
            height: self.settings.from_height - 1,
            mark: None,
        }))
    }

    /// Where a listener that has the lease begins, and the chain's height: the
    /// chain has to be the one that the cursor is on.
    async fn begin(&self, lease: &Lease) -> Result<(Cursor, u64), ListenError> {
        let cursor = self.start(lease)?;
        let began = Instant::now();
        loop {
            let top = self.chain.height().await?;
            let found = match self.is_on(&cursor).await? {
                Some(true) => return Ok((cursor, top)),
                Some(false) => "another block is there".to_owned(),
                // It may be a node that is behind another one.
                None if began.elapsed() < self.settings.stall() => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                None => format!("its height is {top}"),
            };
            let cursor = cursor.height;
            return Err(ListenError::Reset { cursor, found });
        }
    }

    /// Whether the chain is the one that a cursor is on, if it has come that far.
    async fn is_on(&self, cursor: &Cursor) -> Result<Option<bool>, ListenError> {
        let Some(mark) = &cursor.mark else {
            return Ok(Some(true));
        };
        if self.chain.block(cursor.height).await?.is_none() {
            return Ok(None);
        }
        let found = self.chain.block(mark.height).await?;
        Ok(found.map(|block| Contents::of(&block).digest().as_ref() == Some(&mark.digest)))
    }

    /// Brings the events of these heights once more, to one subscriber or to
    /// all of them. The cursor has no part in it.
    pub async fn replay(
        &self,
        from: u64,
        to: u64,
        only: Option<&str>,
        mut progress: impl FnMut(u64),
    ) -> Result<Replayed, ListenError> {
        let mut replayed = Replayed::default();
        let to = to.min(self.chain.height().await?);
        for height in from..=to {
            let block = self.chain.block(height).await?;
            let contents = block.as_ref().map(Contents::of).unwrap_or_default();
            for transaction in &contents.transactions {
                let event = contents::event(transaction, height);
                for subscriber in &self.subscribers {
                    if only.is_some_and(|only| only != subscriber.name)
                        || !subscriber.takes(transaction)
                    {
                        continue;
                    }
                    match self.insist(subscriber, &event).await {
                        Ok(()) => replayed.delivered += 1,
                        Err(code) => {
                            let failed = (subscriber.name.clone(), event.clone(), code);
                            replayed.failed.push(failed);
                        }
                    }
                }
            }
            replayed.heights += 1;
            progress(height);
        }
        Ok(replayed)
    }

    /// A few tries, for whoever watches.
    async fn insist(&self, subscriber: &Subscriber, event: &Event) -> Result<(), &'static str> {
        let mut tries = 0;
        loop {
            match self.carrier.carry(subscriber, event).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tries += 1;
                    if tries == 5 || !error.retryable() {
                        return Err(error.code());
                    }
                    // A webhook's time counts in seconds: one sent twice within
                    // the same second is a replay.
                    tokio::time::sleep(Duration::from_millis(1100)).await;
                }
            }
        }
    }
}

/// How long to wait after so many failures in a row: twice as long each time,
/// and half of it by chance, so that many do not come back at once.
fn pause(failures: u32) -> Duration {
    let most = LONGEST_PAUSE.min(Duration::from_millis(250) * 2_u32.pow(failures.min(10)));
    most.mul_f64(rand::random_range(0.5..1.0))
}
