//! Tells the machine `faucet-payout` what became of a payout, and settles it
//! where its end is certain. What it does is
//! [`offchain_faucet_service::Confirmer`].

use aws_types::SdkConfig;
use offchain_chains::{ChainSettings, Network};
use offchain_faucet::PayoutPolicy;
use offchain_faucet_service::{ConfirmError, Confirmer, Look, TableNames, Tables, Wake};
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::queue::Queue;
use serde::Deserialize;

/// Which payout.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    account: String,
    sequence: u64,
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

/// Confirms.
pub struct Confirm {
    confirmer: Confirmer<Network>,
}

impl Confirm {
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
            confirmer: Confirmer {
                chain,
                tables: Tables::new(&dynamodb, tables, &config.environment, &config.network),
                policy: config.policy,
                wake: Wake::Queue(Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url)),
            },
        })
    }
}

impl Handler for Confirm {
    const EXPECTS: &'static str = "{account, sequence}";
    type Event = Target;
    type Reply = Look;
    type Error = ConfirmError;

    async fn handle(&self, target: Target, _: &str) -> Result<Look, ConfirmError> {
        self.confirmer.look(&target.account, target.sequence).await
    }
}

#[cfg(test)]
mod tests;
