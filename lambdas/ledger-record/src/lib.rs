//! Makes the transactions of stored events count. What it does is
//! [`offchain_ledger_service::Recorder`].
//!
//! The contract with the queue: a message names a stored event. One that can
//! never count goes to the dead-letter queue with its reason; what may pass
//! fails, and is delivered again, soon at first.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_types::SdkConfig;
use offchain_codes::{Coded, chain};
use offchain_function::config::{ConfigError, Env};
use offchain_function::sqs::{each_record, receives};
use offchain_function::{Handler, config};
use offchain_ledger_service::{Node, RecordMessage, Recorder, RecorderError};
use offchain_outbound::Reach;
use offchain_store::StoreError;
use offchain_store::ledger::{Assets, Events};
use offchain_store::queue::Queue;

/// How long the node may take for an answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that failed the first time is delivered again after so long, and three
/// times as long after each further time.
const AGAIN_SECONDS: u32 = 5;
/// But never later than after the queue's visibility timeout.
const LATEST_SECONDS: u32 = 180;

/// Why a message did not make a transaction count.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It names no event.
    #[error("expected {{\"transaction_id\": …}}")]
    Malformed(#[source] serde_json::Error),
    /// Its event's transaction does not count.
    #[error(transparent)]
    Record(#[from] RecorderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for MessageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "MessageInvalid",
            Self::Record(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) => false,
            Self::Record(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

struct Config {
    node: String,
    allow_private: bool,
    events: String,
    assets: String,
    drivers: String,
    queue_url: String,
    dlq_url: String,
    max_receives: u32,
}

/// Records.
pub struct Record {
    recorder: Recorder<Node>,
    queue: Queue,
    dlq: Queue,
    max_receives: u32,
}

impl Record {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            node: required "LEDGER_NODE", "the URL of a node",
            allow_private: required "LEDGER_ALLOW_PRIVATE", "true or false",
            events: required "LEDGER_EVENTS_TABLE", "a table name",
            assets: required "LEDGER_ASSETS_TABLE", "a table name",
            drivers: required "LEDGER_DRIVERS_TABLE", "a table name",
            queue_url: required "LEDGER_QUEUE_URL", "a queue URL",
            dlq_url: required "LEDGER_QUEUE_DLQ_URL", "a queue URL",
            max_receives: required "LEDGER_MAX_RECEIVES", "the queue's maxReceiveCount",
        })?;
        let reach = Reach::new(config.allow_private);
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let sqs = aws_sdk_sqs::Client::new(sdk);
        let events = Events::new(dynamodb.clone(), config.events);
        Ok(Self {
            recorder: Recorder {
                chain: Node::new(&config.node, reach, NODE_TIMEOUT)
                    .map_err(|error| ConfigError::unusable("LEDGER_NODE", &error))?,
                events: events.clone(),
                assets: Assets::new(dynamodb, events, config.assets, config.drivers),
            },
            queue: Queue::new(sqs.clone(), config.queue_url),
            dlq: Queue::new(sqs, config.dlq_url),
            max_receives: config.max_receives,
        })
    }

    async fn message(&self, message: &SqsMessage) -> Result<(), MessageError> {
        let body = message.body.as_deref().unwrap_or_default();
        let receives = receives(message);
        let outcome = self.record(body).await;
        let settled = self
            .dlq
            .settle(body, receives, self.max_receives, outcome)
            .await;
        if settled.is_err() {
            self.deliver_again(message, receives).await;
        }
        settled
    }

    /// A node that was away for a moment need not make its transactions wait for
    /// minutes.
    async fn deliver_again(&self, message: &SqsMessage, receives: u32) {
        let Some(receipt) = &message.receipt_handle else {
            return;
        };
        let seconds = again_in(receives);
        // Else it is delivered again when the visibility timeout is over.
        if let Err(error) = self.queue.deliver_again_in(receipt, seconds).await {
            tracing::warn!(
                code = error.code(),
                error = chain(&error),
                "the message is delivered again later than it could be"
            );
        }
    }

    async fn record(&self, body: &str) -> Result<(), MessageError> {
        let message: RecordMessage = serde_json::from_str(body).map_err(MessageError::Malformed)?;
        Ok(self.recorder.record(&message.transaction_id).await?)
    }
}

/// How many seconds after its delivery number `receives` a message comes again.
fn again_in(receives: u32) -> u32 {
    let times = 3_u32.saturating_pow(receives.saturating_sub(1));
    AGAIN_SECONDS.saturating_mul(times).min(LATEST_SECONDS)
}

impl Handler for Record {
    const EXPECTS: &'static str = "an SQS event";
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;
    type Error = MessageError;

    async fn handle(&self, event: SqsEvent, _: &str) -> Result<SqsBatchResponse, MessageError> {
        Ok(each_record(&event, |message| self.message(message)).await)
    }
}

#[cfg(test)]
mod tests;
