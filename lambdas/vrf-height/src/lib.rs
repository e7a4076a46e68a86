//! Tells whether the chain has reached a request's height, and notes the
//! height on the request, so that anyone can see why it is pending.

use aws_types::SdkConfig;
use offchain_chains::{ChainError, ChainKind, HeightSource};
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::StoreError;
use offchain_store::vrf::Requests;
use serde::{Deserialize, Serialize};

/// The request and the height it waits for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    request_id: String,
    target_height: u64,
}

/// Where the chain is.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    reached: bool,
    height: u64,
}

/// Why the height is not known.
#[derive(Debug, thiserror::Error)]
pub enum HeightError {
    /// The deployment knows no chain.
    #[error("no chain is configured, so no height is ever reached")]
    NoChain,
    /// The chain gave no height.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for HeightError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoChain => "ChainNotConfigured",
            Self::Chain(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NoChain => false,
            Self::Chain(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// A chain, or the word that there is none.
enum Kind {
    None,
    Of(ChainKind),
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            other => other.parse().map(Self::Of),
        }
    }
}

struct Config {
    table: String,
    kind: Kind,
    url: Option<reqwest::Url>,
}

/// Looks at the chain.
pub struct Height {
    requests: Requests,
    source: Option<HeightSource>,
}

impl Height {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            kind: required "VRF_CHAIN_KIND", "none, evm or cometbft",
            url: optional "VRF_CHAIN_RPC_URL", "an http or https URL",
        })?;
        let source = match (config.kind, config.url) {
            (Kind::None, _) => None,
            (Kind::Of(_), None) => return Err(ConfigError::missing("VRF_CHAIN_RPC_URL")),
            (Kind::Of(kind), Some(url)) => Some(
                HeightSource::new(kind, url)
                    .map_err(|error| ConfigError::unusable("VRF_CHAIN_RPC_URL", &error))?,
            ),
        };
        Ok(Self {
            requests: Requests::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            source,
        })
    }
}

impl Handler for Height {
    const EXPECTS: &'static str = "{request_id, target_height}";
    type Event = Target;
    type Reply = Reached;
    type Error = HeightError;

    async fn handle(&self, target: Target, _: &str) -> Result<Reached, HeightError> {
        let source = self.source.as_ref().ok_or(HeightError::NoChain)?;
        let height = source.height().await?;
        self.requests
            .observe_height(&target.request_id, height)
            .await?;
        Ok(Reached {
            reached: height >= target.target_height,
            height,
        })
    }
}

#[cfg(test)]
mod tests;
