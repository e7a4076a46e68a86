//! Requests a random value on a schedule, with random bounds and a random due
//! time, each drawn from a range of the schedule's input.

use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::keys::KeyEpochs;
use offchain_store::queue::{MAX_DELAY_SECONDS, Queue};
use offchain_store::vrf::{Origin, RequestItem, Requests, Submitted, Windows, submit};
use offchain_store::{Moment, StoreError, scheduled_id};
use offchain_vrf::{Bounds, BoundsError, Due, DueTime, RequestTerms, TermError};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// An inclusive range to draw from.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range<T> {
    min: T,
    max: T,
}

/// The schedule's input.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The time that the schedule meant, as Scheduler tells it. Whatever
    /// delivers the event again, a redrive included, asks for the same request.
    #[serde(default)]
    scheduled_time: Option<Timestamp>,
    /// How long the message stays in the queue, in seconds.
    queue_delay_seconds: Range<u32>,
    /// How many blocks ahead the value is due.
    target_blocks: Range<u32>,
    /// The length of a block, in seconds.
    block_seconds: u32,
    /// Both bounds are drawn from it.
    bounds: Range<i64>,
}

/// What was drawn from a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Draw {
    delay_seconds: u32,
    target_blocks: u32,
    bounds: Bounds,
}

/// The reply: the request's id.
#[derive(Debug, Serialize)]
pub struct Requested {
    request_id: String,
}

/// Why no request was made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A range of the schedule is empty or too large.
    #[error("the schedule's {0}")]
    Schedule(&'static str),
    /// The drawn bounds are unusable.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// The drawn terms are unusable.
    #[error(transparent)]
    Terms(#[from] TermError),
    /// No key has been published, or none is active yet.
    #[error("no key epoch is active yet")]
    NoKey,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RequestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Schedule(_) | Self::Bounds(_) | Self::Terms(_) => "InputInvalid",
            Self::NoKey => "KeyUnavailable",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Schedule(_) | Self::Bounds(_) | Self::Terms(_) => false,
            Self::NoKey => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

impl Schedule {
    /// The id hangs on the scheduled time; of an event without one, on Lambda's
    /// id, which a retry keeps as well.
    fn request_id(&self, invocation: &str) -> String {
        self.scheduled_time.map_or_else(
            || invocation.to_owned(),
            |time| scheduled_id("vrf-request", time),
        )
    }

    fn check(&self) -> Result<(), RequestError> {
        let expected = |holds: bool, text| holds.then_some(()).ok_or(RequestError::Schedule(text));
        let delay = self.queue_delay_seconds;
        expected(
            delay.min <= delay.max && delay.max <= MAX_DELAY_SECONDS,
            "queue_delay_seconds: expected min <= max <= 900",
        )?;
        expected(
            self.target_blocks.min <= self.target_blocks.max,
            "target_blocks: expected min <= max",
        )?;
        expected(
            u64::from(self.target_blocks.max) * u64::from(self.block_seconds) <= 31_536_000,
            "target_blocks: expected at most a year of blocks",
        )?;
        expected(
            self.bounds.min < self.bounds.max,
            "bounds: expected min < max",
        )
    }

    fn draw(&self, rng: &mut impl Rng) -> Result<Draw, RequestError> {
        self.check()?;
        let one = rng.random_range(self.bounds.min..=self.bounds.max);
        let other = loop {
            let other = rng.random_range(self.bounds.min..=self.bounds.max);
            if other != one {
                break other;
            }
        };
        let (delay, target) = (self.queue_delay_seconds, self.target_blocks);
        Ok(Draw {
            delay_seconds: rng.random_range(delay.min..=delay.max),
            target_blocks: rng.random_range(target.min..=target.max),
            bounds: Bounds::new(one.min(other), one.max(other))?,
        })
    }
}

struct Config {
    table: String,
    keys_table: String,
    queue_url: String,
    fulfil_window: u32,
    retention_days: u32,
}

/// Makes the requests.
pub struct Requester {
    requests: Requests,
    keys: KeyEpochs,
    queue: Queue,
    windows: Windows,
}

impl Requester {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            keys_table: required "VRF_KEYS_TABLE", "a table name",
            queue_url: required "VRF_QUEUE_URL", "a queue URL",
            fulfil_window: required "VRF_FULFIL_WINDOW_SECONDS", "seconds",
            retention_days: required "VRF_RETENTION_DAYS", "days",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let fulfil = SignedDuration::from_secs(config.fulfil_window.into());
        Ok(Self {
            requests: Requests::new(dynamodb.clone(), config.table),
            keys: KeyEpochs::vrf(dynamodb, config.keys_table),
            queue: Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url),
            windows: Windows {
                fulfil,
                // The schedule's requests are never due at a height.
                height: fulfil,
                retention: SignedDuration::from_hours(24 * i64::from(config.retention_days)),
            },
        })
    }
}

impl Handler for Requester {
    const EXPECTS: &'static str =
        "{queue_delay_seconds, target_blocks, bounds: each {min, max}, block_seconds}";
    type Event = Schedule;
    type Reply = Requested;
    type Error = RequestError;

    async fn handle(
        &self,
        schedule: Schedule,
        invocation: &str,
    ) -> Result<Requested, RequestError> {
        let draw = schedule.draw(&mut rand::rng())?;
        let now = Moment::from(Timestamp::now());
        let wait = i64::from(draw.delay_seconds)
            + i64::from(draw.target_blocks) * i64::from(schedule.block_seconds);
        let due = now.timestamp() + SignedDuration::from_secs(wait);
        let terms = RequestTerms {
            request_id: schedule.request_id(invocation).parse()?,
            bounds: draw.bounds,
            due: Due::At(DueTime::try_from(due)?),
            seed: None,
        };
        let key = self.keys.active_at(now).await?.ok_or(RequestError::NoKey)?;
        let mut item = RequestItem::new(&terms, now, self.windows, key.epoch, Origin::Schedule);
        item.target_block_in_the_future = draw.target_blocks;
        let submitted = submit(&self.requests, &self.queue, &item, draw.delay_seconds).await?;
        let request_id = match submitted {
            Submitted::New => item.unique_identifier,
            Submitted::Existing(record) => record.request.unique_identifier,
        };
        Ok(Requested { request_id })
    }
}

#[cfg(test)]
mod tests;
