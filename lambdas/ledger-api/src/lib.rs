//! Shows assets over HTTP. What it does is [`offchain_ledger_service::AssetApi`].

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_types::SdkConfig;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_ledger_service::{AssetApi, AssetApiError};
use offchain_store::ledger::{Assets, Events};

struct Config {
    events: String,
    assets: String,
    drivers: String,
}

/// Shows assets.
pub struct Api {
    api: AssetApi,
}

impl Api {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            events: required "LEDGER_EVENTS_TABLE", "a table name",
            assets: required "LEDGER_ASSETS_TABLE", "a table name",
            drivers: required "LEDGER_DRIVERS_TABLE", "a table name",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let events = Events::new(dynamodb.clone(), config.events);
        Ok(Self {
            api: AssetApi {
                events: events.clone(),
                assets: Assets::new(dynamodb, events, config.assets, config.drivers),
            },
        })
    }
}

impl Handler for Api {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = AssetApiError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, AssetApiError> {
        Ok(self.api.answer(&request).await)
    }
}

#[cfg(test)]
mod tests;
