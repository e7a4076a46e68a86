//! Follows the ledger for a bounded time, under the lease. What it does is
//! [`offchain_ledger_service::Listener`]; `offchain ledger listen` does the same
//! without Lambda.

mod metrics;

use std::time::Duration;

use aws_types::SdkConfig;
use jiff::Timestamp;
use offchain_function::config::{ConfigError, Env};
use offchain_function::metrics::emit;
use offchain_function::{Handler, config};
use offchain_ledger_service::{
    Courier, ListenError, ListenSettings, Listener, Node, Report, Subscribers,
};
use offchain_outbound::Reach;
use offchain_store::ledger::Feed;
use offchain_store::queue::Queue;
use serde::Deserialize;

/// How long the node may take for an answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// The run that the schedule asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// The time that it was meant for: a younger one takes over.
    pub scheduled_time: Timestamp,
}

struct Config {
    suite: String,
    node: String,
    allow_private: bool,
    locks: String,
    deliveries: String,
    subscribers: Subscribers,
    settings: ListenSettings,
    dead_letters: String,
}

/// Listens.
pub struct Listen {
    listener: Listener<Node, Courier>,
}

impl Listen {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            suite: required "LEDGER_ENVIRONMENT", "the suite's name",
            node: required "LEDGER_NODE", "the URL of a node",
            allow_private: required "LEDGER_ALLOW_PRIVATE", "true or false",
            locks: required "LEDGER_LOCKS_TABLE", "a table name",
            deliveries: required "LEDGER_DELIVERIES_TABLE", "a table name",
            subscribers: required "LEDGER_SUBSCRIBERS", "the subscribers as JSON",
            settings: required "LEDGER_LISTEN", "the listener's settings as JSON",
            dead_letters: required "LEDGER_DELIVERIES_DLQ_URL", "a queue URL",
        })?;
        let reach = Reach::new(config.allow_private);
        let Subscribers(subscribers) = config.subscribers;
        let secrets = aws_sdk_secretsmanager::Client::new(sdk);
        let timeout = Duration::from_secs(config.settings.timeout_seconds);
        let suite = config.suite.clone();
        Ok(Self {
            listener: Listener {
                chain: Node::new(&config.node, reach, NODE_TIMEOUT)
                    .map_err(|error| ConfigError::unusable("LEDGER_NODE", &error))?,
                carrier: Courier::new(reach, timeout, &secrets, &subscribers)
                    .map_err(|error| ConfigError::unusable("LEDGER_SUBSCRIBERS", &error))?,
                feed: Feed::new(
                    &aws_sdk_dynamodb::Client::new(sdk),
                    config.locks,
                    config.deliveries,
                    &config.suite,
                ),
                dead_letters: Queue::new(aws_sdk_sqs::Client::new(sdk), config.dead_letters),
                subscribers,
                settings: config.settings,
                watch: Box::new(move |beat| {
                    emit(
                        metrics::NAMESPACE,
                        &[("Suite", &suite)],
                        metrics::of(beat),
                        Timestamp::now(),
                    );
                }),
            },
        })
    }
}

impl Handler for Listen {
    const EXPECTS: &'static str = "{scheduled_time: a time of RFC 3339}";
    type Event = Shift;
    type Reply = Report;
    type Error = ListenError;

    async fn handle(&self, shift: Shift, _: &str) -> Result<Report, ListenError> {
        let meant = shift.scheduled_time.as_millisecond();
        // 0 would be nobody.
        let holder = u64::try_from(meant).unwrap_or_default().max(1);
        self.listener.run(holder).await
    }
}

#[cfg(test)]
mod tests;
