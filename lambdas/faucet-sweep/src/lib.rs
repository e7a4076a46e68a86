//! Watches over the faucet, each minute: payouts that nobody follows, claims
//! that nobody was woken for or that waited too long, and the account. Then it
//! writes one line of metrics.

mod metrics;

use aws_types::SdkConfig;
use jiff::Timestamp;
use offchain_chains::{ChainSettings, Network};
use offchain_faucet::PayoutPolicy;
use offchain_faucet_service::{Census, ConfirmError, Confirmer, Sweeper, TableNames, Tables, Wake};
use offchain_function::config::{ConfigError, Env};
use offchain_function::metrics::emit;
use offchain_function::{Handler, config};
use offchain_store::queue::Queue;
use serde::Deserialize;

/// What to do: there is one thing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action", deny_unknown_fields)]
pub enum Order {
    /// Look at everything once.
    Sweep {},
}

struct Config {
    network: String,
    environment: String,
    claims: String,
    limits: String,
    locks: String,
    payouts: String,
    chain: ChainSettings,
    policy: PayoutPolicy,
    queue_url: String,
}

/// Sweeps.
pub struct Sweep {
    sweeper: Sweeper<Network>,
    suite: String,
    network: String,
}

impl Sweep {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            network: required "FAUCET_NETWORK", "the network's name",
            environment: required "FAUCET_ENVIRONMENT", "the suite's name",
            claims: required "FAUCET_TABLE", "a table name",
            limits: required "FAUCET_LIMITS_TABLE", "a table name",
            locks: required "FAUCET_LOCKS_TABLE", "a table name",
            payouts: required "FAUCET_PAYOUTS_TABLE", "a table name",
            chain: required "FAUCET_CHAIN", "a chain's settings as JSON",
            policy: required "FAUCET_PAYOUT", "the payouts' policy as JSON",
            queue_url: required "FAUCET_QUEUE_URL", "a queue URL",
        })?;
        let chain = Network::new(&config.chain)
            .map_err(|error| ConfigError::unusable("FAUCET_CHAIN", &error))?;
        let tables = TableNames {
            claims: config.claims,
            limits: config.limits,
            locks: config.locks,
            payouts: config.payouts,
        };
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        Ok(Self {
            sweeper: Sweeper {
                confirmer: Confirmer {
                    chain,
                    tables: Tables::new(&dynamodb, tables, &config.environment, &config.network),
                    policy: config.policy,
                    wake: Wake::Queue(Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url)),
                },
            },
            suite: config.environment,
            network: config.network,
        })
    }
}

impl Handler for Sweep {
    const EXPECTS: &'static str = "{action: \"sweep\"}";
    type Event = Order;
    type Reply = Census;
    type Error = ConfirmError;

    async fn handle(&self, order: Order, _: &str) -> Result<Census, ConfirmError> {
        let Order::Sweep {} = order;
        let census = self.sweeper.sweep().await?;
        let decimals = self.sweeper.confirmer.policy.decimals;
        let dimensions = [
            ("Suite", self.suite.as_str()),
            ("Network", self.network.as_str()),
        ];
        emit(
            metrics::NAMESPACE,
            &dimensions,
            metrics::of(&census, decimals),
            Timestamp::now(),
        );
        Ok(census)
    }
}

#[cfg(test)]
mod tests;
