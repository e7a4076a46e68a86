//! Records a ride that comes over HTTP. The write is the one that
//! rides-record-sns makes too: whatever door a ride comes by, its item is the
//! same.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_types::SdkConfig;
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::http::{BodyError, Public, body, json, problem};
use offchain_function::{Handler, config};
use offchain_rides::{Ride, RideError};
use offchain_store::rides::{RecordError, Rides};
use serde::Serialize;

/// The largest body, in bytes.
const BODY_LIMIT: usize = 4096;

/// Why a ride was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordHttpError {
    /// The body cannot be taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not text.
    #[error("the body is not UTF-8")]
    NotText,
    /// The body is no ride.
    #[error(transparent)]
    Ride(#[from] RideError),
    /// It could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Coded for RecordHttpError {
    fn code(&self) -> &'static str {
        match self {
            Self::Body(error) => error.code(),
            Self::NotText => "BodyInvalid",
            Self::Ride(error) => error.code(),
            Self::Record(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Body(error) => error.retryable(),
            Self::NotText => false,
            Self::Ride(error) => error.retryable(),
            Self::Record(error) => error.retryable(),
        }
    }
}

impl Public for RecordHttpError {
    fn status(&self) -> u16 {
        match self {
            Self::Body(error) => error.status(),
            Self::NotText | Self::Ride(_) => 400,
            Self::Record(RecordError::Conflict(_)) => 409,
            Self::Record(RecordError::Store(error)) if error.retryable() => 503,
            Self::Record(RecordError::Store(_)) => 500,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Record(RecordError::Store(error)) if error.retryable() => {
                "the ride cannot be recorded now; the same request may succeed later".to_owned()
            }
            Self::Record(RecordError::Store(_)) => {
                "the ride cannot be recorded; the service's operator finds the reason in the log"
                    .to_owned()
            }
            Self::Body(_)
            | Self::NotText
            | Self::Ride(_)
            | Self::Record(RecordError::Conflict(_)) => self.to_string(),
        }
    }
}

/// The reply, in the original's shape.
#[derive(Serialize)]
struct Recorded {
    success: bool,
}

struct Config {
    table: String,
}

/// Records the rides.
pub struct Recorder {
    rides: Rides,
}

impl Recorder {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "RIDES_TABLE", "a table name",
        })?;
        Ok(Self {
            rides: Rides::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
        })
    }

    async fn record(&self, request: &ApiGatewayV2httpRequest) -> Result<(), RecordHttpError> {
        let bytes = body(request, BODY_LIMIT)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| RecordHttpError::NotText)?;
        self.rides.record(&Ride::from_json(text)?).await?;
        Ok(())
    }
}

impl Handler for Recorder {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = RecordHttpError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, RecordHttpError> {
        // The gateway sends one route here.
        Ok(match self.record(&request).await {
            Ok(()) => json(201, &Recorded { success: true }),
            Err(error) => problem(&error),
        })
    }
}

#[cfg(test)]
mod tests;
