//! Records the rides of a topic: straight from it, or by way of a queue that
//! is subscribed to it.
//!
//! The contract with the topic: a notification that fails fails the
//! invocation; Lambda tries it twice more and then hands it to the dead-letter
//! queue. The contract with the queue: a message that can never be used goes
//! to the dead-letter queue with its reason and is acknowledged; one that may
//! be used later fails alone, and on its last delivery goes there as well.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_types::SdkConfig;
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::sqs::{each_record, receives};
use offchain_function::{Handler, config};
use offchain_rides::{Ride, RideError};
use offchain_store::StoreError;
use offchain_store::queue::Queue;
use offchain_store::rides::{RecordError, Rides};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a ride was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordSnsError {
    /// The event is neither a topic's nor a queue's.
    #[error("expected an SNS event or an SQS event")]
    Event(#[source] serde_json::Error),
    /// The message of a queue is no notification.
    #[error("expected an SNS notification, as the topic sends it without raw delivery")]
    Notification(#[source] serde_json::Error),
    /// The notification is no ride.
    #[error(transparent)]
    Ride(#[from] RideError),
    /// It could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The dead-letter queue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RecordSnsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Event(_) => "InputInvalid",
            Self::Notification(_) => "MessageInvalid",
            Self::Ride(error) => error.code(),
            Self::Record(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// Whether a later delivery may succeed. A denied call may: policies are
    /// mended while messages wait.
    fn retryable(&self) -> bool {
        match self {
            Self::Event(_)
            | Self::Notification(_)
            | Self::Ride(_)
            | Self::Record(RecordError::Conflict(_)) => false,
            Self::Record(RecordError::Store(_)) | Self::Store(_) => true,
        }
    }
}

/// What SNS sends to a function: of each record, what is used.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsEvent {
    records: Vec<SnsRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsRecord {
    sns: Notification,
}

/// A notification: to a queue it is the whole body.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    message: String,
}

/// The reply to a topic, and to a queue.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// How many rides were recorded.
    Topic {
        /// The number.
        recorded: usize,
    },
    /// The messages that failed.
    Queue(SqsBatchResponse),
}

struct Config {
    table: String,
    dlq_url: Option<String>,
    max_receives: Option<u32>,
}

/// Records the rides.
pub struct Recorder {
    rides: Rides,
    /// Where a queue is subscribed: its dead-letter queue, and its
    /// maxReceiveCount.
    refused: Option<(Queue, u32)>,
}

impl Recorder {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "RIDES_TABLE", "a table name",
            dlq_url: optional "RIDES_EVENTS_DLQ_URL", "a queue URL, where a queue is subscribed",
            max_receives: optional "RIDES_MAX_RECEIVES", "the queue's maxReceiveCount",
        })?;
        let refused = match (config.dlq_url, config.max_receives) {
            (None, None) => None,
            (None, Some(_)) => return Err(ConfigError::missing("RIDES_EVENTS_DLQ_URL")),
            (Some(_), None) => return Err(ConfigError::missing("RIDES_MAX_RECEIVES")),
            (Some(url), Some(receives)) => {
                Some((Queue::new(aws_sdk_sqs::Client::new(sdk), url), receives))
            }
        };
        Ok(Self {
            rides: Rides::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            refused,
        })
    }

    async fn record(&self, message: &str) -> Result<(), RecordSnsError> {
        self.rides.record(&Ride::from_json(message)?).await?;
        Ok(())
    }

    async fn notifications(&self, event: Value) -> Result<Reply, RecordSnsError> {
        let event = SnsEvent::deserialize(event).map_err(RecordSnsError::Event)?;
        // SNS sends one record; a failure has them all delivered again, which
        // changes nothing for those that are written.
        for record in &event.records {
            self.record(&record.sns.message).await?;
        }
        Ok(Reply::Topic {
            recorded: event.records.len(),
        })
    }

    async fn messages(&self, event: Value) -> Result<Reply, RecordSnsError> {
        let event = SqsEvent::deserialize(event).map_err(RecordSnsError::Event)?;
        let response = each_record(&event, |message| self.deliver(message)).await;
        Ok(Reply::Queue(response))
    }

    async fn deliver(&self, message: &SqsMessage) -> Result<(), RecordSnsError> {
        let body = message.body.as_deref().unwrap_or_default();
        let outcome = match serde_json::from_str::<Notification>(body) {
            Ok(notification) => self.record(&notification.message).await,
            Err(error) => Err(RecordSnsError::Notification(error)),
        };
        match &self.refused {
            Some((dlq, limit)) => dlq.settle(body, receives(message), *limit, outcome).await,
            None => outcome,
        }
    }
}

impl Handler for Recorder {
    const EXPECTS: &'static str = "an SNS event or an SQS event";
    type Event = Value;
    type Reply = Reply;
    type Error = RecordSnsError;

    async fn handle(&self, event: Value, _: &str) -> Result<Reply, RecordSnsError> {
        // The one spells it EventSource, the other eventSource.
        if event.pointer("/Records/0/eventSource") == Some(&Value::from("aws:sqs")) {
            self.messages(event).await
        } else {
            self.notifications(event).await
        }
    }
}

#[cfg(test)]
mod tests;
