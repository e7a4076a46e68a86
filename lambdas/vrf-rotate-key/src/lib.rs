//! Creates the VRF's keys and publishes their epochs.

use aws_types::SdkConfig;
use jiff::SignedDuration;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::keys::{Action, KeyEpochs, Newest, RotateError, Rotator};
use offchain_vrf::{SecretKey, Suite};

struct Config {
    keys_table: String,
    secret: String,
    suite: Suite,
    activation_delay: u32,
}

/// Keeps the keys.
pub struct KeyRotator(Rotator<SecretKey>);

impl KeyRotator {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            keys_table: required "VRF_KEYS_TABLE", "a table name",
            secret: required "VRF_KEY_SECRET_ARN", "the ARN of a secret",
            suite: required "VRF_SUITE", "ECVRF-EDWARDS25519-SHA512-TAI or ECVRF-P256-SHA256-TAI",
            activation_delay: required "VRF_KEY_ACTIVATION_DELAY_SECONDS", "seconds",
        })?;
        Ok(Self(Rotator::new(
            KeyEpochs::vrf(aws_sdk_dynamodb::Client::new(sdk), config.keys_table),
            aws_sdk_secretsmanager::Client::new(sdk),
            config.secret,
            config.suite,
            SignedDuration::from_secs(config.activation_delay.into()),
        )))
    }
}

impl Handler for KeyRotator {
    const EXPECTS: &'static str = Action::EXPECTS;
    type Event = Action;
    type Reply = Newest;
    type Error = RotateError;

    async fn handle(&self, action: Action, invocation: &str) -> Result<Newest, RotateError> {
        self.0.run(action, invocation).await
    }
}

#[cfg(test)]
mod tests;
