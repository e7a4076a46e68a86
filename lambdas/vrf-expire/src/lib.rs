//! Closes requests that will never have a value, so that every request ends
//! in a visible state.
//!
//! The fulfilment machine calls it at a request's deadline. A schedule calls it
//! to sweep: a request whose execution is gone, or never was, is closed some
//! time after its deadline, and the dead-letter queue is told.

use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::queue::Queue;
use offchain_store::vrf::{Requests, Status};
use offchain_store::{Moment, StoreError};
use serde::{Deserialize, Serialize};

/// How long after its deadline the sweep leaves a request to its execution.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Requests closed in one sweep; the next sweep takes the rest.
const SWEEP_LIMIT: i32 = 100;
/// The reason of a request that no execution ended.
const STALLED: &str = "FulfilmentStalled";

/// The reason of a request whose items are not what this version writes.
const UNREADABLE: &str = "RecordInvalid";

/// What to close.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Expire {
    /// One request, with the error that its last run failed with.
    Request {
        /// The request's id.
        request_id: String,
        /// The error's code.
        error: String,
        /// The error's text, for the log.
        #[serde(default)]
        cause: String,
    },
    /// Every open request that is past its deadline.
    Sweep {
        /// Always true; `false` is refused.
        sweep: bool,
    },
}

/// What this run did.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Closed {
    /// One request: how it stands now.
    Request {
        /// `fulfilled` where a value was written before, else `expired`.
        status: &'static str,
    },
    /// A sweep.
    Sweep(Swept),
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Requests closed without a value.
    expired: u32,
    /// Requests found closed, and taken out of the index of open ones.
    tidied: u32,
}

/// Why a request could not be closed.
#[derive(Debug, thiserror::Error)]
pub enum ExpireError {
    /// The event is `{"sweep": false}`.
    #[error("expected {{\"sweep\": true}}")]
    NoSweep,
    /// There is no such request.
    #[error("there is no request {0}")]
    NotFound(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for ExpireError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSweep => "InputInvalid",
            Self::NotFound(_) => "RequestNotFound",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NoSweep | Self::NotFound(_) => false,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// The message that tells the dead-letter queue of a stalled request.
#[derive(Serialize)]
struct Stalled<'a> {
    request_id: &'a str,
    deadline: Moment,
}

struct Config {
    table: String,
    dlq_url: String,
}

/// Closes the requests.
pub struct Expirer {
    requests: Requests,
    dlq: Queue,
}

impl Expirer {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            dlq_url: required "VRF_EXECUTIONS_DLQ_URL", "a queue URL",
        })?;
        Ok(Self {
            requests: Requests::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            dlq: Queue::new(aws_sdk_sqs::Client::new(sdk), config.dlq_url),
        })
    }

    async fn one(&self, id: String, reason: &str) -> Result<Closed, ExpireError> {
        let Some(record) = self.requests.load(&id).await? else {
            return Err(ExpireError::NotFound(id));
        };
        let now = Moment::from(Timestamp::now());
        let expired = self
            .requests
            .expire(&id, now, reason, record.request.expiration)
            .await?;
        // Where the condition did not hold, the reason may be a value whose
        // reply was lost. The items were read before, so they are read again.
        let fulfilled = !expired
            && self
                .requests
                .load(&id)
                .await?
                .is_some_and(|record| record.status(now) == Status::Fulfilled);
        self.requests.close(&id).await?;
        Ok(Closed::Request {
            status: if fulfilled { "fulfilled" } else { "expired" },
        })
    }

    async fn sweep(&self) -> Result<Closed, ExpireError> {
        let now = Timestamp::now();
        let mut swept = Swept::default();
        let overdue = self
            .requests
            .overdue((now - GRACE).into(), SWEEP_LIMIT)
            .await?;
        for request in overdue {
            let id = &request.unique_identifier;
            // What cannot be read can never be fulfilled.
            let (pending, reason) = match self.requests.load(id).await {
                Err(StoreError::Item(_)) => (true, UNREADABLE),
                record => (
                    record?.is_none_or(|record| {
                        matches!(record.status(now.into()), Status::Pending { .. })
                    }),
                    STALLED,
                ),
            };
            if pending {
                // The queue is told before the item is closed: told twice is
                // better than never.
                let message = serde_json::to_string(&Stalled {
                    request_id: id,
                    deadline: request.deadline,
                })
                .map_err(StoreError::Message)?;
                self.dlq
                    .bury(
                        &message,
                        reason,
                        "no execution closed the request by its deadline",
                    )
                    .await?;
            }
            // It may have been fulfilled since it was read.
            let expired = pending
                && self
                    .requests
                    .expire(id, now.into(), reason, request.expiration)
                    .await?;
            self.requests.close(id).await?;
            swept.expired += u32::from(expired);
            swept.tidied += u32::from(!expired);
        }
        if swept != Swept::default() {
            tracing::warn!(
                swept.expired,
                swept.tidied,
                "the sweep found overdue requests"
            );
        }
        Ok(Closed::Sweep(swept))
    }
}

impl Handler for Expirer {
    const EXPECTS: &'static str = "{request_id, error, cause} or {\"sweep\": true}";
    type Event = Expire;
    type Reply = Closed;
    type Error = ExpireError;

    async fn handle(&self, event: Expire, _: &str) -> Result<Closed, ExpireError> {
        match event {
            Expire::Request {
                request_id,
                error,
                cause,
            } => {
                tracing::warn!(request_id, error, cause, "the request expires");
                self.one(request_id, &error).await
            }
            Expire::Sweep { sweep: true } => self.sweep().await,
            Expire::Sweep { sweep: false } => Err(ExpireError::NoSweep),
        }
    }
}

#[cfg(test)]
mod tests;
