//! How the listener is to listen: what Terraform writes, and the command line
//! reads as well.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use offchain_ledger::{Schedule, Subscriber, SubscriberError};
use serde::Deserialize;

/// How many seconds one webhook may be given.
const TIMEOUTS: RangeInclusive<u64> = 1..=30;

/// Settings of a listener. Durations are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// The first height of all, where there is no cursor yet.
    pub from_height: u64,
    /// Between two looks at the chain's height.
    pub poll_seconds: u64,
    /// How long the stream may fall behind the chain before it is opened anew.
    pub stall_seconds: u64,
    /// After this a listener that is gone is replaced.
    pub lease_seconds: u64,
    /// How long one run listens.
    pub run_seconds: u64,
    /// How many webhooks of one subscriber are under way at once.
    pub concurrency: usize,
    /// With so many deliveries waiting for a retry, no further block is read.
    pub max_kept: usize,
    /// From each failed try to the next.
    pub retry_schedule: Schedule,
    /// How long one webhook may take.
    pub timeout_seconds: u64,
}

/// Settings that nothing can listen by.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not the JSON of settings.
    #[error("expected the settings of a listener: {0}")]
    Malformed(serde_json::Error),
    /// A value out of its range.
    #[error("{0}")]
    Range(&'static str),
}

impl FromStr for ListenSettings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_json::from_str(text).map_err(SettingsError::Malformed)?;
        let ranges = [
            (
                settings.from_height >= 1,
                "from_height must be a height, from 1",
            ),
            (
                (1..=300).contains(&settings.poll_seconds),
                "poll_seconds must be 1 to 300",
            ),
            (
                (1..=3600).contains(&settings.stall_seconds),
                "stall_seconds must be 1 to 3600",
            ),
            (
                (2..=60).contains(&settings.lease_seconds),
                "lease_seconds must be 2 to 60",
            ),
            (
                (10..=870).contains(&settings.run_seconds),
                "run_seconds must be 10 to 870: Lambda ends a function after 900 seconds",
            ),
            (
                (1..=200).contains(&settings.concurrency),
                "concurrency must be 1 to 200",
            ),
            (
                (1..=1_000_000).contains(&settings.max_kept),
                "max_kept must be 1 to 1000000",
            ),
            (
                TIMEOUTS.contains(&settings.timeout_seconds),
                "timeout_seconds must be 1 to 30",
            ),
        ];
        match ranges.into_iter().find(|(holds, _)| !holds) {
            Some((_, expected)) => Err(SettingsError::Range(expected)),
            None => Ok(settings),
        }
    }
}

impl ListenSettings {
    /// After this a listener that is gone is replaced.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// Between two renewals of the lease, and so between two moves of the cursor.
    #[must_use]
    pub fn beat(&self) -> Duration {
        self.lease() / 4
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_seconds)
    }

    pub(crate) fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_seconds)
    }
}

/// How long one webhook may take, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookTimeout(pub Duration);

impl FromStr for WebhookTimeout {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let seconds = text.parse().ok();
        seconds
            .filter(|seconds| TIMEOUTS.contains(seconds))
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or(SettingsError::Range("expected 1 to 30 seconds"))
    }
}

/// The subscribers, as JSON has them.
#[derive(Clone, Debug)]
pub struct Subscribers(pub Vec<Subscriber>);

impl FromStr for Subscribers {
    type Err = SubscriberError;

    fn from_str(text: &str) -> Result<Self, SubscriberError> {
        Subscriber::list(text).map(Self)
    }
}

#[cfg(test)]
mod tests;
