//! The HTTP API of the VRF: request a value, look at a request, list the keys.

mod error;
mod submission;
mod tokens;
mod view;

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::header::{HeaderValue, LOCATION};
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_function::config::{ConfigError, Env};
use offchain_function::http::{self, json, problem};
use offchain_function::{Handler, config};
use offchain_store::Moment;
use offchain_store::keys::KeyEpochs;
use offchain_store::queue::Queue;
use offchain_store::secret::Secret;
use offchain_store::vrf::{Origin, Record, RequestItem, Requests, Submitted, Windows, submit};
use offchain_vrf::RequestTerms;

use crate::error::ApiError;
use crate::submission::{IdempotencyKey, Limits, Submission};
use crate::tokens::Tokens;
use crate::view::{Keys, RequestView};

/// The largest body taken, in bytes. The largest sensible one has about 300.
const BODY_LIMIT: usize = 4096;
/// How long the tokens are remembered: a revoked one works that much longer.
const KEEP_TOKENS: Duration = Duration::from_secs(60);

struct Config {
    table: String,
    keys_table: String,
    queue_url: String,
    tokens_secret: String,
    fulfil_window: u32,
    height_window: u32,
    retention_days: u32,
    max_delay: u32,
    chain_url: Option<String>,
}

/// Answers the requests.
pub struct Api {
    requests: Requests,
    keys: KeyEpochs,
    queue: Queue,
    tokens: Tokens,
    windows: Windows,
    limits: Limits,
}

impl Api {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            keys_table: required "VRF_KEYS_TABLE", "a table name",
            queue_url: required "VRF_QUEUE_URL", "a queue URL",
            tokens_secret: required "VRF_API_TOKENS_SECRET_ARN", "the ARN of a secret",
            fulfil_window: required "VRF_FULFIL_WINDOW_SECONDS", "seconds",
            height_window: required "VRF_HEIGHT_WINDOW_SECONDS", "seconds",
            retention_days: required "VRF_RETENTION_DAYS", "days",
            max_delay: required "VRF_MAX_DELAY_SECONDS", "seconds",
            chain_url: optional "VRF_CHAIN_RPC_URL", "a URL",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let tokens = Secret::new(
            aws_sdk_secretsmanager::Client::new(sdk),
            config.tokens_secret,
            KEEP_TOKENS,
        );
        Ok(Self {
            requests: Requests::new(dynamodb.clone(), config.table),
            keys: KeyEpochs::vrf(dynamodb, config.keys_table),
            queue: Queue::new(aws_sdk_sqs::Client::new(sdk), config.queue_url),
            tokens: Tokens::new(tokens),
            windows: Windows {
                fulfil: SignedDuration::from_secs(config.fulfil_window.into()),
                height: SignedDuration::from_secs(config.height_window.into()),
                retention: SignedDuration::from_hours(24 * i64::from(config.retention_days)),
            },
            limits: Limits {
                max_delay: SignedDuration::from_secs(config.max_delay.into()),
                heights: config.chain_url.is_some(),
            },
        })
    }

    async fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let route = request.route_key.as_deref().unwrap_or_default();
        match route {
            "POST /v1/vrf/requests" => self.post(request).await,
            "GET /v1/vrf/requests/{id}" => self.get(request).await,
            "GET /v1/vrf/keys" => self.keys().await,
            _ => Err(ApiError::Route(route.to_owned())),
        }
    }

    async fn post(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        // Nothing of the request is looked at before its sender is known.
        let caller = self.tokens.caller(http::bearer(request)).await?;
        let key: IdempotencyKey = http::header(request, "idempotency-key").try_into()?;
        let now = Moment::from(Timestamp::now());
        let submission = Submission::parse(&http::body(request, BODY_LIMIT)?)?;
        let id = key.request_id(&caller)?;
        let digest = submission.digest()?;
        let bounds = submission.bounds()?;
        let item = match submission.due(now, self.limits) {
            Ok(due) => {
                let terms = RequestTerms {
                    request_id: id,
                    bounds,
                    due,
                    seed: submission.seed(),
                };
                let epoch = self.keys.active_at(now).await?.ok_or(ApiError::NoKey)?;
                RequestItem {
                    submission: Some(digest),
                    ..RequestItem::new(&terms, now, self.windows, epoch.epoch, Origin::Api)
                }
            }
            // A repeated submission may come long after its due time.
            Err(error) => match self.requests.load(id.as_str()).await? {
                Some(record) if record.request.submission == Some(digest) => record.request,
                _ => return Err(error),
            },
        };
        let record = match submit(&self.requests, &self.queue, &item, 0).await? {
            Submitted::New => Record {
                request: item,
                fulfilment: None,
            },
            Submitted::Existing(record) if record.request.submission == item.submission => *record,
            Submitted::Existing(_) => return Err(ApiError::KeyReused),
        };
        let mut reply = view(&record, 202)?;
        let location = format!("/v1/vrf/requests/{}", record.request.unique_identifier);
        if let Ok(location) = HeaderValue::try_from(location) {
            reply.headers.insert(LOCATION, location);
        }
        Ok(reply)
    }

    async fn get(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let id = request
            .path_parameters
            .get("id")
            .ok_or(ApiError::NotFound)?;
        // An id that no request can have is not worth a read.
        let id: offchain_vrf::RequestId = id.parse().map_err(|_| ApiError::NotFound)?;
        let record = self
            .requests
            .load(id.as_str())
            .await?
            .ok_or(ApiError::NotFound)?;
        view(&record, 200)
    }

    async fn keys(&self) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let keys = self.keys.all().await?;
        Ok(json(200, &Keys { keys }))
    }
}

fn view(record: &Record, status: u16) -> Result<ApiGatewayV2httpResponse, ApiError> {
    let view = RequestView::new(record, Timestamp::now().into())?;
    Ok(json(status, &view))
}

impl Handler for Api {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = ApiError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        Ok(self
            .answer(&request)
            .await
            .unwrap_or_else(|error| problem(&error)))
    }
}

#[cfg(test)]
mod tests;
