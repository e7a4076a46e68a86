//! Delivers one webhook that the listener had given up: a redrive of its
//! dead-letter queue invokes this. What it does is
//! [`offchain_ledger_service::Deliverer`].

use aws_types::SdkConfig;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_ledger_service::{
    Courier, DeliverError, Delivered, Deliverer, Letter, Subscribers, WebhookTimeout,
};
use offchain_outbound::Reach;

struct Config {
    allow_private: bool,
    subscribers: Subscribers,
    timeout: WebhookTimeout,
}

/// Delivers.
pub struct Deliver {
    deliverer: Deliverer<Courier>,
}

impl Deliver {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            allow_private: required "LEDGER_ALLOW_PRIVATE", "true or false",
            subscribers: required "LEDGER_SUBSCRIBERS", "the subscribers as JSON",
            timeout: required "LEDGER_TIMEOUT_SECONDS", "seconds that one webhook may take",
        })?;
        let Subscribers(subscribers) = config.subscribers;
        let WebhookTimeout(timeout) = config.timeout;
        Ok(Self {
            deliverer: Deliverer {
                carrier: Courier::new(
                    Reach::new(config.allow_private),
                    timeout,
                    &aws_sdk_secretsmanager::Client::new(sdk),
                    &subscribers,
                )
                .map_err(|error| ConfigError::unusable("LEDGER_SUBSCRIBERS", &error))?,
                subscribers,
            },
        })
    }
}

impl Handler for Deliver {
    const EXPECTS: &'static str = "{subscriber: a name, event: {height, asset_id, transaction_id}}";
    type Event = Letter;
    type Reply = Delivered;
    type Error = DeliverError;

    async fn handle(&self, letter: Letter, _: &str) -> Result<Delivered, DeliverError> {
        self.deliverer.deliver(&letter).await
    }
}

#[cfg(test)]
mod tests;
