//! Takes signed webhooks over HTTP and stores each event once. What it does is
//! [`offchain_ledger_service::Receiver`].

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_types::SdkConfig;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_ledger_service::{ReceiveError, Receiver};
use offchain_store::ledger::Events;
use offchain_store::queue::Queue;
use offchain_store::secret::Secret;

/// How long the secret is remembered. One that proves wrong is read again sooner.
const REMEMBERED: Duration = Duration::from_secs(60);

struct Config {
    events: String,
    queue_url: String,
    secret_arn: String,
}

/// Takes webhooks.
pub struct Webhook {
    receiver: Receiver,
}

impl Webhook {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            events: required "LEDGER_EVENTS_TABLE", "a table name",
            queue_url: required "LEDGER_QUEUE_URL", "a queue URL",
            secret_arn: required "LEDGER_WEBHOOK_SECRET_ARN", "the ARN of a secret",
        })?;
        Ok(Self {
            receiver: Receiver {
                events: Events::new(aws_sdk_dynamodb::Client::new(sdk), config.events),
                queue: Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url),
                secret: Secret::new(
                    aws_sdk_secretsmanager::Client::new(sdk),
                    config.secret_arn,
                    REMEMBERED,
                ),
            },
        })
    }
}

impl Handler for Webhook {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = ReceiveError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, ReceiveError> {
        Ok(self.receiver.answer(&request).await)
    }
}

#[cfg(test)]
mod tests;
