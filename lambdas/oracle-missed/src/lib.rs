//! Records slots that have no reading, so that no slot is silent.
//!
//! The machine `oracle-minute` calls it for a slot that could not be
//! published. A schedule calls it to sweep: slots that nobody recorded, because
//! their trigger never came or their execution was ended, are recorded then,
//! and the slots that were looked at are counted as metrics.

mod metrics;

use std::collections::BTreeSet;

use aws_types::SdkConfig;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_oracle::{FeedId, Interval, Slot};
use offchain_store::oracle::{Feeds, Kept, Missed, Readings};
use offchain_store::{Moment, StoreError};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// How long after its end the sweep leaves a slot to its execution, which
/// knows a better reason.
const GRACE: SignedDuration = SignedDuration::from_secs(120);
/// Slots of a feed in one sweep; the next sweeps take the rest.
const SWEEP_LIMIT: SignedDuration = SignedDuration::from_mins(15);
/// How far back a reading is looked for that tells how stale a feed is.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(1);
/// Writes at the same time.
const WRITES: usize = 16;
/// The reason of a slot that nobody recorded.
const UNRECORDED: &str = "SlotUnrecorded";

/// What to record.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Miss {
    /// One slot, with the error that its last run failed with.
    Slot {
        /// The slot.
        slot: Slot,
        /// The error's code.
        error: String,
        /// The error's text.
        #[serde(default)]
        cause: String,
    },
    /// Every slot that nobody recorded.
    Sweep {
        /// Always true; `false` is refused.
        sweep: bool,
    },
}

/// What this run did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Records written.
    missed: u32,
    /// Slots looked at that had a record.
    existing: u32,
}

/// Why slots could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum MissError {
    /// The event is `{"sweep": false}`.
    #[error("expected {{\"sweep\": true}}")]
    NoSweep,
    /// The slot is not on the grid.
    #[error("{slot} is no slot: expected a whole multiple of {interval} s since 1970")]
    Invalid {
        /// What was asked for.
        slot: Slot,
        /// The grid's interval.
        interval: Interval,
    },
    /// The slot has not begun: it may yet be published.
    #[error("the slot {0} has not begun")]
    NotDue(Slot),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for MissError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSweep => "InputInvalid",
            Self::Invalid { .. } => "SlotInvalid",
            Self::NotDue(_) => "SlotNotDue",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NoSweep | Self::Invalid { .. } => false,
            Self::NotDue(_) => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

struct Config {
    suite: String,
    readings_table: String,
    feeds_table: String,
    interval: Interval,
    retention_days: u32,
}

/// Records the slots.
pub struct Recorder {
    readings: Readings,
    feeds: Feeds,
    suite: String,
    interval: Interval,
    retention: SignedDuration,
}

impl Recorder {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            suite: required "ORACLE_SUITE", "the suite's name",
            readings_table: required "ORACLE_READINGS_TABLE", "a table name",
            feeds_table: required "ORACLE_FEEDS_TABLE", "a table name",
            interval: required "ORACLE_INTERVAL_SECONDS", "a divisor of 60 from 1",
            retention_days: required "ORACLE_RETENTION_DAYS", "days",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        Ok(Self {
            readings: Readings::new(dynamodb.clone(), config.readings_table),
            feeds: Feeds::new(dynamodb, config.feeds_table),
            suite: config.suite,
            interval: config.interval,
            retention: SignedDuration::from_hours(24 * i64::from(config.retention_days)),
        })
    }

    /// Records one slot of every feed that has no record of it.
    async fn slot(&self, slot: Slot, error: &str, cause: &str) -> Result<Recorded, MissError> {
        if !self.interval.contains(slot) {
            return Err(MissError::Invalid {
                slot,
                interval: self.interval,
            });
        }
        if Timestamp::now() < slot.timestamp() {
            return Err(MissError::NotDue(slot));
        }
        let feeds = self.feeds.all().await?;
        let slots = feeds.into_keys().map(|feed| (feed, slot)).collect();
        self.record(slots, error, cause).await
    }

    /// Records the slots of these feeds as missed, where they have no record.
    async fn record(
        &self,
        slots: Vec<(FeedId, Slot)>,
        reason: &str,
        detail: &str,
    ) -> Result<Recorded, MissError> {
        let outcomes: Vec<bool> = stream::iter(slots)
            .map(|(feed, slot)| {
                let missed = Missed {
                    feed,
                    slot,
                    reason: reason.to_owned(),
                    left_out: Vec::new(),
                    recorded: Moment::from(Timestamp::now()),
                };
                let expiration = (slot.timestamp() + self.retention).as_second();
                self.readings.miss(missed, detail, expiration)
            })
            .buffer_unordered(WRITES)
            .try_collect()
            .await?;
        let count = |made| {
            let found = outcomes.iter().filter(|outcome| **outcome == made);
            u32::try_from(found.count()).unwrap_or(u32::MAX)
        };
        Ok(Recorded {
            missed: count(true),
            existing: count(false),
        })
    }

    async fn sweep(&self) -> Result<Recorded, MissError> {
        let mut swept = Recorded::default();
        let mut failure = None;
        for feed in self.feeds.all().await?.keys() {
            match self.sweep_feed(feed).await {
                Ok(recorded) => {
                    swept.missed += recorded.missed;
                    swept.existing += recorded.existing;
                }
                // One feed's trouble is not the others'.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(swept), Err)
    }

    async fn sweep_feed(&self, feed: &FeedId) -> Result<Recorded, MissError> {
        let now = Timestamp::now();
        let ripe = self.interval.at_or_before(now - GRACE);
        let from = match self.readings.swept_until(feed).await? {
            Some(slot) => slot,
            None => {
                let first = self.first_slot(feed, now).await?;
                self.readings.set_swept_until(feed, first).await?;
                first
            }
        };
        let until = ripe.min(self.interval.at_or_before(from.timestamp() + SWEEP_LIMIT));
        let kept = self.readings.kept(feed, from, until).await?;
        let known: BTreeSet<Slot> = kept.iter().map(|kept| kept.slot).collect();
        let silent = self
            .interval
            .slots(from.timestamp(), until.timestamp())
            .filter(|slot| !known.contains(slot))
            .map(|slot| (feed.clone(), slot))
            .collect();
        let recorded = self
            .record(silent, UNRECORDED, "no run recorded how the slot ended")
            .await?;
        if recorded.missed > 0 {
            tracing::warn!(
                feed = feed.as_str(),
                missed = recorded.missed,
                "the sweep found slots without a record"
            );
        }
        self.measure(feed, now, &kept, &recorded)
            .await?
            .emit(&self.suite, feed, now);
        if until > from {
            // Metrics that are told twice are better than none, so this is last.
            self.readings.set_swept_until(feed, until).await?;
        }
        Ok(Recorded {
            missed: recorded.missed,
            existing: recorded.existing + u32::try_from(kept.len()).unwrap_or(u32::MAX),
        })
    }

    /// Where the sweep of a feed begins: at its first record; or, where it has
    /// none yet, once its first minute can have been triggered.
    async fn first_slot(&self, feed: &FeedId, now: Timestamp) -> Result<Slot, StoreError> {
        let since = self.interval.at_or_before(now - LOOK_BACK);
        let until = self.interval.at_or_after(now);
        let first = self.readings.range(feed, since, until, 1).await?;
        Ok(first.first().map_or_else(
            || self.interval.at_or_after(now + GRACE),
            |record| record.slot(),
        ))
    }

    /// How the swept slots ended, and how old the newest reading is.
    async fn measure(
        &self,
        feed: &FeedId,
        now: Timestamp,
        kept: &[Kept],
        recorded: &Recorded,
    ) -> Result<Metrics, StoreError> {
        let since = self.interval.at_or_before(now - LOOK_BACK);
        let until = self.interval.at_or_after(now);
        let newest = self.readings.newest(feed, since, until).await?;
        let newest = newest.map_or(since, |reading| reading.reading().slot);
        Ok(Metrics::new(
            kept,
            recorded.missed,
            now.duration_since(newest.timestamp()),
        ))
    }
}

impl Handler for Recorder {
    const EXPECTS: &'static str = "{slot, error, cause} or {\"sweep\": true}";
    type Event = Miss;
    type Reply = Recorded;
    type Error = MissError;

    async fn handle(&self, event: Miss, _: &str) -> Result<Recorded, MissError> {
        match event {
            Miss::Slot { slot, error, cause } => {
                tracing::warn!(%slot, error, cause, "the slot is missed");
                self.slot(slot, &error, &cause).await
            }
            Miss::Sweep { sweep: true } => self.sweep().await,
            Miss::Sweep { sweep: false } => Err(MissError::NoSweep),
        }
    }
}

#[cfg(test)]
mod tests;
