//! Chooses a unicorn of the fleet: for `GET /unicorn`, or for a function that
//! invokes this one directly and saves the way through the gateway.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_types::SdkConfig;
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::http::{Public, json, our_fault, problem};
use offchain_function::{Handler, config};
use offchain_rides::Unicorn;
use offchain_store::StoreError;
use offchain_store::rides::Fleet;
use rand::seq::IteratorRandom;
use serde::Serialize;
use serde_json::{Map, Value};

/// Why there is no unicorn.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The table has none.
    #[error("the fleet has no unicorn")]
    Empty,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for FleetError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "FleetEmpty",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // Somebody may add one.
            Self::Empty => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

impl Public for FleetError {
    fn status(&self) -> u16 {
        match self {
            Self::Empty => 503,
            Self::Store(error) if error.retryable() => 503,
            Self::Store(_) => 500,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Empty => self.to_string(),
            Self::Store(error) => our_fault(error.retryable()).to_owned(),
        }
    }
}

/// The reply: a unicorn as it stands, or as an HTTP response.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To a function.
    Unicorn(Unicorn),
    /// To the gateway.
    Http(Box<ApiGatewayV2httpResponse>),
}

struct Config {
    table: String,
}

/// Chooses the unicorns.
pub struct Dispatcher {
    fleet: Fleet,
}

impl Dispatcher {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "RIDES_FLEET_TABLE", "a table name",
        })?;
        Ok(Self {
            fleet: Fleet::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
        })
    }

    async fn choose(&self) -> Result<Unicorn, FleetError> {
        let fleet = self.fleet.all().await?;
        fleet
            .into_iter()
            .choose(&mut rand::rng())
            .ok_or(FleetError::Empty)
    }
}

impl Handler for Dispatcher {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0) or an object";
    type Event = Map<String, Value>;
    type Reply = Reply;
    type Error = FleetError;

    async fn handle(&self, event: Map<String, Value>, _: &str) -> Result<Reply, FleetError> {
        let unicorn = self.choose().await;
        if !event.contains_key("requestContext") {
            return unicorn.map(Reply::Unicorn);
        }
        // The gateway sends one route here.
        let reply = match unicorn {
            Ok(unicorn) => json(200, &unicorn),
            Err(error) => problem(&error),
        };
        Ok(Reply::Http(Box::new(reply)))
    }
}

#[cfg(test)]
mod tests;
