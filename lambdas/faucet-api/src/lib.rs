//! Takes claims over HTTP, answers for them, and shows the page. What it does
//! is [`offchain_faucet_service::Intake`]; `offchain faucet serve` does the
//! same without Lambda.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_types::SdkConfig;
use offchain_chains::{ChainSettings, Network};
use offchain_faucet::IntakePolicy;
use offchain_faucet_service::{
    Intake, IntakeError, IntakeParts, IntakeSecret, TableNames, Tables, Wake,
};
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_outbound::{Outbound, Reach};
use offchain_store::queue::Queue;

struct Config {
    network: String,
    environment: String,
    claims: String,
    limits: String,
    locks: String,
    chain: ChainSettings,
    policy: IntakePolicy,
    queue_url: String,
    secret_arn: String,
}

/// Takes claims.
pub struct Api {
    intake: Intake<Network>,
}

impl Api {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            network: required "FAUCET_NETWORK", "the network's name",
            environment: required "FAUCET_ENVIRONMENT", "the suite's name",
            claims: required "FAUCET_TABLE", "a table name",
            limits: required "FAUCET_LIMITS_TABLE", "a table name",
            locks: required "FAUCET_LOCKS_TABLE", "a table name",
            chain: required "FAUCET_CHAIN", "a chain's settings as JSON",
            policy: required "FAUCET_POLICY", "the intake's policy as JSON",
            queue_url: required "FAUCET_QUEUE_URL", "a queue URL",
            secret_arn: required "FAUCET_INTAKE_SECRET_ARN", "the ARN of a secret",
        })?;
        let chain = Network::new(&config.chain)
            .map_err(|error| ConfigError::unusable("FAUCET_CHAIN", &error))?;
        // A captcha's provider is a public server, unless a test names its own.
        let reach = match &config.policy.captcha {
            Some(captcha) if captcha.verify_url.is_some() => Reach::Any,
            _ => Reach::Public,
        };
        let outbound =
            Outbound::new(reach).map_err(|error| ConfigError::unusable("FAUCET_POLICY", &error))?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let tables = TableNames {
            claims: config.claims,
            limits: config.limits,
            locks: config.locks,
            // It has no business with payouts.
            payouts: String::new(),
        };
        Ok(Self {
            intake: Intake::new(IntakeParts {
                chain,
                tables: Tables::new(&dynamodb, tables, &config.environment, &config.network),
                policy: config.policy,
                network: config.network,
                secret: IntakeSecret::new(
                    aws_sdk_secretsmanager::Client::new(sdk),
                    config.secret_arn,
                ),
                wake: Wake::Queue(Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url)),
                outbound,
            }),
        })
    }
}

impl Handler for Api {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = IntakeError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        Ok(self.intake.answer(&request).await)
    }
}

#[cfg(test)]
mod tests;
