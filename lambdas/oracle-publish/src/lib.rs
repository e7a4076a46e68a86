//! Publishes one slot: asks the sources of every feed before it, and signs and
//! writes one reading a feed at it, never before it.
//!
//! The machine `oracle-minute` starts a run a moment before its slot. A slot
//! ends where the next one begins; a run that comes later publishes nothing.

mod cache;
mod error;
mod sources;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::{Coded, chain};
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_oracle::{
    Aggregate, Feed, FeedId, Interval, Kind, LeftOut, NotPublished, Reading, SigningKey, Slot,
    aggregate,
};
use offchain_outbound::{Outbound, Reach};
use offchain_store::keys::{EpochKeys, KeyEpoch, KeyEpochs};
use offchain_store::oracle::{Feeds, InvalidFeed, Missed, Readings};
use offchain_store::secret::Secret;
use offchain_store::{Moment, StoreError};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
pub use crate::error::PublishError;
use crate::sources::Sources;

/// What a run may start earlier than its head start, where the clocks of Step
/// Functions and of this function differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);
/// What is left between the sources' deadline and the slot, to aggregate in.
const BEFORE_SLOT: SignedDuration = SignedDuration::from_millis(25);
/// With less time than this before the slot, a reading is better late than missed.
const TOO_SHORT: SignedDuration = SignedDuration::from_millis(250);
/// What a late run leaves before the slot's end, to write in.
const BEFORE_END: SignedDuration = SignedDuration::from_millis(250);
/// How long one attempt of a call to DynamoDB may take, and how long the next one
/// waits at first.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);
const BACK_OFF: Duration = Duration::from_millis(50);
/// The key of an epoch never changes.
const KEEP_KEY: Duration = Duration::from_secs(3600);

/// The numbers of a demo feed.
const DEMO_RANGE: RangeInclusive<u16> = 0..=1000;

/// Which slot to publish.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    slot: Slot,
}

/// What became of the slot's feeds.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Readings written.
    published: u32,
    /// Feeds that have no reading, for a reason that their record tells.
    missed: u32,
    /// Feeds whose record was there before.
    existing: u32,
}

struct Config {
    readings_table: String,
    feeds_table: String,
    keys_table: String,
    key_secret: String,
    headers_secret: String,
    interval: Interval,
    head_start: u32,
    retention_days: u32,
    secret_cache: u32,
    allow_private: bool,
}

type AllFeeds = Arc<BTreeMap<FeedId, Result<Feed, InvalidFeed>>>;

/// Publishes the slots.
pub struct Publisher {
    readings: Readings,
    feeds: Feeds,
    known_feeds: Cache<AllFeeds>,
    epochs: KeyEpochs,
    known_epochs: Cache<Arc<Vec<KeyEpoch>>>,
    keys: EpochKeys<SigningKey>,
    sources: Sources,
    interval: Interval,
    head_start: SignedDuration,
    retention: SignedDuration,
}

/// How a feed's record came to be.
enum Outcome {
    Published,
    Missed,
    Existing,
}

impl Publisher {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            readings_table: required "ORACLE_READINGS_TABLE", "a table name",
            feeds_table: required "ORACLE_FEEDS_TABLE", "a table name",
            keys_table: required "ORACLE_KEYS_TABLE", "a table name",
            key_secret: required "ORACLE_KEY_SECRET_ARN", "the ARN of a secret",
            headers_secret: required "ORACLE_HEADERS_SECRET_ARN", "the ARN of a secret",
            interval: required "ORACLE_INTERVAL_SECONDS", "a divisor of 60 from 1",
            head_start: required "ORACLE_HEAD_START_SECONDS", "seconds",
            retention_days: required "ORACLE_RETENTION_DAYS", "days",
            secret_cache: required "ORACLE_SECRET_CACHE_SECONDS", "seconds",
            allow_private: required "ORACLE_ALLOW_PRIVATE_SOURCES", "true or false",
        })?;
        let outbound = Outbound::new(Reach::new(config.allow_private))
            .map_err(|error| ConfigError::unusable("ORACLE_ALLOW_PRIVATE_SOURCES", &error))?;
        let dynamodb = aws_sdk_dynamodb::Client::new(&quick(sdk));
        let secrets = aws_sdk_secretsmanager::Client::new(sdk);
        let keep = Duration::from_secs(config.secret_cache.into());
        let epochs = KeyEpochs::oracle(dynamodb.clone(), config.keys_table);
        Ok(Self {
            readings: Readings::new(dynamodb.clone(), config.readings_table),
            feeds: Feeds::new(dynamodb, config.feeds_table),
            known_feeds: Cache::new(keep),
            epochs: epochs.clone(),
            known_epochs: Cache::new(keep),
            keys: EpochKeys::new(
                epochs,
                Secret::new(secrets.clone(), config.key_secret, KEEP_KEY),
            ),
            sources: Sources::new(
                outbound,
                Secret::new(secrets, config.headers_secret, Duration::ZERO),
                keep,
            ),
            interval: config.interval,
            head_start: SignedDuration::from_secs(config.head_start.into()),
            retention: SignedDuration::from_hours(24 * i64::from(config.retention_days)),
        })
    }

    async fn publish(&self, slot: Slot) -> Result<Published, PublishError> {
        self.check(slot)?;
        let (feeds, key) = tokio::join!(
            self.known_feeds
                .get(async { self.feeds.all().await.map(Arc::new) }),
            self.key_at(slot),
        );
        let (feeds, (epoch, key)) = (feeds?, key?);
        let outcomes = join_all(
            feeds
                .iter()
                .map(|(id, feed)| self.publish_feed(id, feed, slot, epoch, &key)),
        )
        .await;
        let mut published = Published::default();
        let mut failure: Option<StoreError> = None;
        for outcome in outcomes {
            match outcome {
                Ok(Outcome::Published) => published.published += 1,
                Ok(Outcome::Missed) => published.missed += 1,
                Ok(Outcome::Existing) => published.existing += 1,
                // Another try writes what is missing, and finds the rest: an
                // error that promises nothing must not hide one that does.
                Err(error) => {
                    failure = failure.filter(Coded::retryable).or(Some(error));
                }
            }
        }
        failure.map_or(Ok(published), |error| Err(error.into()))
    }

    /// Whether this is the time to publish the slot.
    fn check(&self, slot: Slot) -> Result<(), PublishError> {
        if !self.interval.contains(slot) {
            return Err(PublishError::Invalid {
                slot,
                interval: self.interval,
            });
        }
        let now = Timestamp::now();
        if now >= self.end(slot) {
            return Err(PublishError::Passed(slot));
        }
        let ahead = slot.timestamp().duration_since(now);
        let limit = self.head_start + CLOCK_SKEW;
        if ahead > limit {
            return Err(PublishError::NotDue { slot, ahead, limit });
        }
        Ok(())
    }

    fn end(&self, slot: Slot) -> Timestamp {
        self.interval.next(slot).timestamp()
    }

    /// The key that is active at the slot, and its epoch.
    async fn key_at(&self, slot: Slot) -> Result<(u64, SigningKey), PublishError> {
        let epochs = self
            .known_epochs
            .get(async {
                match self.epochs.all().await {
                    // The first key may be published at any moment.
                    Ok(epochs) if epochs.is_empty() => Err(PublishError::NoKey(slot)),
                    epochs => Ok(Arc::new(epochs?)),
                }
            })
            .await?;
        // Newest first.
        let epoch = epochs
            .iter()
            .find(|epoch| epoch.active_from.timestamp() <= slot.timestamp())
            .ok_or(PublishError::NoKey(slot))?;
        Ok((epoch.epoch, self.keys.secret_key_of(epoch).await?))
    }

    async fn publish_feed(
        &self,
        id: &FeedId,
        feed: &Result<Feed, InvalidFeed>,
        slot: Slot,
        epoch: u64,
        key: &SigningKey,
    ) -> Result<Outcome, StoreError> {
        let feed = match feed {
            Ok(feed) => feed,
            Err(error) => return self.miss(id, slot, error, Vec::new()).await,
        };
        let aggregate = self.observe(feed, slot).await;
        wait_until(slot.timestamp()).await;
        let written = Timestamp::now();
        if written >= self.end(slot) {
            // The tables or the secret took so long. It is no reading of this slot any more.
            let reason = PublishError::Passed(slot);
            return self.miss(id, slot, &reason, Vec::new()).await;
        }
        let (aggregate, observed) = match aggregate {
            Ok(observed) => observed,
            Err(reason) => return self.miss(id, slot, &reason, reason.left_out()).await,
        };
        let reading = Reading {
            feed: id.clone(),
            slot,
            observed,
            written,
            value: aggregate.value,
            exponent: feed.exponent(),
            spread: aggregate.spread,
            sources: aggregate.sources,
            left_out: aggregate.left_out,
            key_epoch: epoch,
        }
        .sign(key);
        let write = self.readings.publish(&reading, self.expiration(slot));
        let left = Duration::try_from(self.end(slot).duration_since(written)).unwrap_or_default();
        match tokio::time::timeout(left, write).await {
            Ok(made) => {
                if !made? {
                    return Ok(Outcome::Existing);
                }
            }
            // The write may have landed all the same: then its record stays.
            Err(_) => {
                let reason = PublishError::Passed(slot);
                return self.miss(id, slot, &reason, Vec::new()).await;
            }
        }
        tracing::info!(
            feed = id.as_str(),
            %slot,
            acknowledged_ms_after = Timestamp::now()
                .duration_since(slot.timestamp())
                .as_millis(),
            "a slot is published"
        );
        Ok(Outcome::Published)
    }

    /// What the sources say before the slot, or, where the run came late, before
    /// the slot ends; and when the last answer of those that count was in.
    async fn observe(
        &self,
        feed: &Feed,
        slot: Slot,
    ) -> Result<(Aggregate, Timestamp), NotPublished> {
        let feed = match &feed.kind {
            Kind::Demo => {
                let number = rand::rng().random_range(DEMO_RANGE);
                let now = Timestamp::now();
                return Ok((Aggregate::demo(number, now), now));
            }
            Kind::Http(feed) => feed,
        };
        let now = Timestamp::now();
        let mut left = (slot.timestamp() - BEFORE_SLOT).duration_since(now);
        if left < TOO_SHORT {
            left = (self.end(slot) - BEFORE_END).duration_since(now);
        }
        let time = Duration::try_from(left).unwrap_or_default();
        let (answers, times): (Vec<_>, Vec<_>) =
            self.sources.ask(feed, time).await.into_iter().unzip();
        let arrived: BTreeMap<_, _> = answers
            .iter()
            .map(|answer| answer.source.clone())
            .zip(times)
            .collect();
        let aggregate = aggregate(feed, slot, Timestamp::now(), answers)?;
        let used = aggregate.sources.iter();
        let observed = used.filter_map(|part| arrived.get(&part.source)).max();
        let observed = observed.copied().unwrap_or_else(Timestamp::now);
        Ok((aggregate, observed))
    }

    async fn miss(
        &self,
        feed: &FeedId,
        slot: Slot,
        reason: &(dyn Coded + Sync),
        left_out: Vec<LeftOut>,
    ) -> Result<Outcome, StoreError> {
        wait_until(slot.timestamp()).await;
        let missed = Missed {
            feed: feed.clone(),
            slot,
            reason: reason.code().to_owned(),
            left_out,
            recorded: Moment::from(Timestamp::now()),
        };
        let detail = chain(reason);
        tracing::warn!(
            feed = feed.as_str(),
            %slot,
            code = reason.code(),
            error = detail,
            "a slot is missed"
        );
        let expiration = self.expiration(slot);
        Ok(if self.readings.miss(missed, &detail, expiration).await? {
            Outcome::Missed
        } else {
            Outcome::Existing
        })
    }

    fn expiration(&self, slot: Slot) -> i64 {
        (slot.timestamp() + self.retention).as_second()
    }
}

/// A slot may last no longer than a second: a call that goes astray is made
/// again soon, so that one lost packet does not cost the slot.
fn quick(sdk: &SdkConfig) -> SdkConfig {
    let attempt = sdk
        .timeout_config()
        .and_then(TimeoutConfig::operation_attempt_timeout)
        .map_or(ATTEMPT_TIMEOUT, |usual| usual.min(ATTEMPT_TIMEOUT));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt);
    let retries = sdk.retry_config().cloned();
    let retries = retries.unwrap_or_else(RetryConfig::standard);
    sdk.to_builder()
        .timeout_config(timeouts.build())
        .retry_config(retries.with_initial_backoff(BACK_OFF))
        .build()
}

/// Returns at `time` or after it, by the clock that the readings are stamped with.
async fn wait_until(time: Timestamp) {
    // The timer runs by another clock, which may be ahead of this one.
    while let Ok(left) = Duration::try_from(time.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left).await;
    }
}

impl Handler for Publisher {
    const EXPECTS: &'static str = "{\"slot\": \"2026-01-31T12:00:02Z\"}";
    type Event = Publish;
    type Reply = Published;
    type Error = PublishError;

    async fn handle(&self, event: Publish, _: &str) -> Result<Published, PublishError> {
        self.publish(event.slot).await
    }
}

#[cfg(test)]
mod tests;
