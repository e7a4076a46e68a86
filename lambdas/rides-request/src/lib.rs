//! Takes a ride: asks the fleet's function for a unicorn, publishes the ride,
//! and answers with what it published.
//!
//! The fleet is invoked directly. By way of the gateway the same call would
//! cost the gateway's price and its time as well.
//!
//! A ride that the topic does not take is kept in a dead-letter queue, from
//! which a redrive publishes it: the unicorn is on its way, whatever becomes
//! of the record. Only where that fails too is there no ride.

mod error;

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HeaderValue,
};
use aws_sdk_lambda::primitives::Blob;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use jiff::Timestamp;
use offchain_codes::chain;
use offchain_function::config::{ConfigError, Env};
use offchain_function::http::{body, json, problem};
use offchain_function::{Handler, config};
use offchain_rides::{Ride, RideId, RideRequest, Unicorn};
use offchain_store::AwsError;
use offchain_store::queue::Queue;
use serde::Deserialize;
use serde_json::Map;

pub use crate::error::IntakeError;

/// The largest body, in bytes.
const BODY_LIMIT: usize = 4096;
/// How long an invoked function may take.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(4);
/// How often a call is tried. Where every service is silent, the attempts
/// together stay within the function's time, so that the caller has an answer.
const ATTEMPTS: u32 = 2;
/// The code of a ride that is kept because the topic did not take it.
const PUBLISH_FAILED: &str = "PublishFailed";

/// How a ride becomes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publish {
    /// By the topic; nobody waits for the recorder.
    Sns,
    /// By the recorder's HTTP function; without it there is no ride.
    Http,
}

impl std::str::FromStr for Publish {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sns" => Ok(Self::Sns),
            "http" => Ok(Self::Http),
            _ => Err("neither sns nor http"),
        }
    }
}

struct Config {
    fleet_function: String,
    publish: Publish,
    topic: String,
    record_function: String,
    unsent_url: String,
}

/// What an invoked function said.
enum Said {
    /// Its reply.
    Reply(Vec<u8>),
    /// Its error.
    Error(FunctionError),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

/// The part of the recorder's HTTP response that is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    status_code: u16,
    #[serde(default)]
    body: Option<String>,
}

/// Takes the rides.
pub struct Intake {
    lambda: aws_sdk_lambda::Client,
    sns: aws_sdk_sns::Client,
    unsent: Queue,
    fleet_function: String,
    publish: Publish,
    topic: String,
    record_function: String,
}

impl Intake {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            fleet_function: required "RIDES_FLEET_FUNCTION", "a function's name",
            publish: required "RIDES_PUBLISH", "sns or http",
            topic: required "RIDES_TOPIC_ARN", "the ARN of a topic",
            record_function: required "RIDES_RECORD_FUNCTION", "a function's name",
            unsent_url: required "RIDES_UNSENT_QUEUE_URL", "a queue URL",
        })?;
        let retry = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let sdk = &sdk.to_builder().retry_config(retry).build();
        let lambda = aws_sdk_lambda::config::Builder::from(sdk)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(1))
                    .operation_attempt_timeout(INVOCATION_TIMEOUT)
                    .build(),
            )
            .build();
        Ok(Self {
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            sns: aws_sdk_sns::Client::new(sdk),
            unsent: Queue::new(aws_sdk_sqs::Client::new(sdk), config.unsent_url),
            fleet_function: config.fleet_function,
            publish: config.publish,
            topic: config.topic,
            record_function: config.record_function,
        })
    }

    async fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        match request.route_key.as_deref().unwrap_or_default() {
            "POST /ride" => self.ride(request).await,
            "OPTIONS /ride" => Ok(preflight()),
            route => Err(IntakeError::Route(route.to_owned())),
        }
    }

    async fn ride(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let asked = RideRequest::from_json(&body(request, BODY_LIMIT)?)?;
        let unicorn = self.unicorn().await?;
        let now = Timestamp::now();
        let ride = Ride {
            ride_id: RideId::v7(now, rand::random()),
            unicorn,
            request_time: now.into(),
            pickup_location: Some(asked.pickup_location),
            other: Map::new(),
        };
        match self.publish {
            Publish::Sns => self.publish_or_keep(&ride).await?,
            Publish::Http => self.record(&ride).await?,
        }
        Ok(json(201, &ride))
    }

    async fn unicorn(&self) -> Result<Unicorn, IntakeError> {
        let said = self
            .invoke(&self.fleet_function, "{}".to_owned())
            .await
            .map_err(IntakeError::FleetUnavailable)?;
        let reply = match said {
            Said::Reply(reply) => reply,
            Said::Error(error) if error.error_type == "FleetEmpty" => {
                return Err(IntakeError::FleetEmpty);
            }
            Said::Error(error) => {
                return Err(IntakeError::FleetFailed {
                    code: error.error_type,
                    message: error.error_message,
                });
            }
        };
        serde_json::from_slice(&reply).map_err(|error| IntakeError::FleetFailed {
            code: "UnicornInvalid".to_owned(),
            message: error.to_string(),
        })
    }

    async fn publish_or_keep(&self, ride: &Ride) -> Result<(), IntakeError> {
        let message = ride.to_json();
        let published = self
            .sns
            .publish()
            .topic_arn(&self.topic)
            .message(&message)
            .send()
            .await;
        let Err(error) = published else { return Ok(()) };
        let error = AwsError::from(error);
        let reason = chain(&error);
        tracing::error!(
            code = PUBLISH_FAILED,
            ride_id = ride.ride_id.to_string(),
            error = reason,
            "the topic did not take the ride; it is kept to be sent later"
        );
        self.unsent
            .bury(&message, PUBLISH_FAILED, &reason)
            .await
            .map_err(IntakeError::NotKept)
    }

    async fn record(&self, ride: &Ride) -> Result<(), IntakeError> {
        let event = serde_json::json!({
            "version": "2.0",
            "routeKey": "POST /record",
            "headers": { "content-type": "application/json" },
            "requestContext": { "http": { "method": "POST", "path": "/record" } },
            "body": ride.to_json(),
            "isBase64Encoded": false,
        });
        let said = self
            .invoke(&self.record_function, event.to_string())
            .await
            .map_err(IntakeError::RecordUnavailable)?;
        let reply = match said {
            Said::Reply(reply) => reply,
            Said::Error(error) => {
                let FunctionError {
                    error_type,
                    error_message,
                } = error;
                return Err(IntakeError::RecordFailed(format!(
                    "{error_type}: {error_message}"
                )));
            }
        };
        match serde_json::from_slice::<Recorded>(&reply) {
            Ok(Recorded {
                status_code: 201, ..
            }) => Ok(()),
            Ok(Recorded { status_code, body }) => Err(IntakeError::RecordFailed(format!(
                "status {status_code}: {}",
                body.unwrap_or_default()
            ))),
            Err(error) => Err(IntakeError::RecordFailed(error.to_string())),
        }
    }

    async fn invoke(&self, function: &str, payload: String) -> Result<Said, AwsError> {
        let output = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload))
            .send()
            .await?;
        let reply = output.payload.map(Blob::into_inner).unwrap_or_default();
        Ok(if output.function_error.is_some() {
            Said::Error(serde_json::from_slice(&reply).unwrap_or_default())
        } else {
            Said::Reply(reply)
        })
    }
}

/// The answer to a browser that asks first.
fn preflight() -> ApiGatewayV2httpResponse {
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = 204;
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST,OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (ACCESS_CONTROL_MAX_AGE, "3600"),
    ] {
        reply.headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

impl Handler for Intake {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = IntakeError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, IntakeError> {
        let mut reply = self
            .answer(&request)
            .await
            .unwrap_or_else(|error| problem(&error));
        // A page of any origin may ask for a ride, and read why it got none.
        reply
            .headers
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        Ok(reply)
    }
}

#[cfg(test)]
mod tests;
