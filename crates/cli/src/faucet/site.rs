//! A faucet that can be asked: its tables, its chain, its secrets.

use aws_config::SdkConfig;
use offchain_chains::{ChainFault, Network};
use offchain_faucet_service::Tables;

use crate::aws;
use crate::error::CliError;
use crate::faucet::settings::{Config, Settings};
use crate::secret::Secret;
use crate::stack::Stack;

pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) sdk: SdkConfig,
    pub(crate) tables: Tables,
    pub(crate) chain: Network,
    /// The queue that wakes the payer, where functions pay.
    pub(crate) queue_url: Option<String>,
}

impl Site {
    /// The stack's faucet.
    pub(crate) async fn of_stack(stack: &Stack) -> Result<Self, CliError> {
        let faucet = stack.faucet()?;
        let config = Settings::of_stack(&faucet.environment).config()?;
        Ok(Self {
            queue_url: Some(faucet.queue_url.clone()),
            ..Self::new(config, aws::config(stack).await)?
        })
    }

    pub(crate) fn new(config: Config, sdk: SdkConfig) -> Result<Self, CliError> {
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        let tables = Tables::new(
            &client,
            config.tables.clone(),
            &config.environment,
            &config.network,
        );
        Ok(Self {
            chain: Network::new(&config.chain).map_err(unusable)?,
            config,
            sdk,
            tables,
            queue_url: None,
        })
    }

    /// The secret with the key of the account.
    pub(crate) fn key_secret(&self) -> Secret {
        Secret::of(&self.sdk, &self.config.key_secret_arn)
    }

    /// The secret with what the intake needs.
    pub(crate) fn intake_secret(&self) -> Secret {
        Secret::of(&self.sdk, &self.config.intake_secret_arn)
    }
}

/// Settings that no chain is made of.
pub(crate) fn unusable(fault: ChainFault) -> CliError {
    CliError::Input(format!("FAUCET_CHAIN: {}", offchain_codes::chain(&fault)))
}
