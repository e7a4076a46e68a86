//! Takes webhooks: verifies, stores each event once, and tells the recorder.

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::header::{HeaderValue, WWW_AUTHENTICATE};
use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_function::http::{self, BodyError, Public};
use offchain_ledger::{Envelope, EventError, Headers, Id, Keys, WebhookError, verify};
use offchain_store::ledger::{EventItem, Events, Stored};
use offchain_store::queue::Queue;
use offchain_store::secret::{Secret, SecretError, SecretText};
use offchain_store::{StoreError, clock};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The largest body that is read.
pub const BODY_LIMIT: usize = 64 * 1024;

/// How far a webhook's timestamp may be off.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Its body is too large, or no text.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is not signed, or not by the sender, or not now.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// It was taken before.
    #[error("the webhook was taken before: a retry has a newer timestamp")]
    Replayed,
    /// It is no event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// Its id is not the event's.
    #[error("expected webhook-id {0}, after the event's transaction")]
    OtherId(String),
    /// There is another event of its transaction.
    #[error("the transaction is stored with another asset or place")]
    Conflict,
    /// The secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret is no such thing.
    #[error("the webhook secret is unusable")]
    Keys(#[source] offchain_ledger::WebhookKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for ReceiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Body(error) => error.code(),
            Self::Webhook(error) => error.code(),
            Self::Replayed => "WebhookReplayed",
            Self::Event(error) => error.code(),
            Self::OtherId(_) => "EventInvalid",
            Self::Conflict => "EventConflict",
            Self::Secret(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Body(_)
            | Self::Webhook(_)
            | Self::Replayed
            | Self::Event(_)
            | Self::OtherId(_)
            | Self::Conflict => false,
            Self::Secret(error) => error.retryable(),
            Self::Keys(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

impl Public for ReceiveError {
    fn status(&self) -> u16 {
        match self {
            Self::Body(error) => error.status(),
            Self::Webhook(_) | Self::Replayed => 401,
            Self::Event(_) | Self::OtherId(_) => 400,
            Self::Conflict => 409,
            Self::Secret(_) | Self::Keys(_) | Self::Store(_) if self.retryable() => 503,
            Self::Secret(_) | Self::Keys(_) | Self::Store(_) => 500,
        }
    }
}

/// What the recorder is told: which event to look at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordMessage {
    /// Its transaction.
    pub transaction_id: Id,
}

/// Takes webhooks.
pub struct Receiver {
    /// Where events are stored.
    pub events: Events,
    /// What the recorder reads.
    pub queue: Queue,
    /// What the sender signs with.
    pub secret: Secret,
}

impl Receiver {
    /// The answer to a request.
    pub async fn answer(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        match self.receive(request, clock::now()).await {
            Ok(stored @ "stored") => http::json(202, &json!({ "status": stored })),
            Ok(status) => http::json(200, &json!({ "status": status })),
            Err(error) => {
                if error.status() < 500 {
                    tracing::warn!(
                        code = error.code(),
                        error = offchain_codes::chain(&error),
                        "a webhook was refused"
                    );
                }
                let mut reply = http::problem(&error);
                if error.status() == 401 {
                    let scheme = HeaderValue::from_static("StandardWebhooks");
                    reply.headers.insert(WWW_AUTHENTICATE, scheme);
                }
                reply
            }
        }
    }

    /// The size comes first, as it bounds the work on what anybody may send;
    /// then the signature with its age; only then is the body read.
    async fn receive(
        &self,
        request: &ApiGatewayV2httpRequest,
        now: Timestamp,
    ) -> Result<&'static str, ReceiveError> {
        let body = http::body(request, BODY_LIMIT)?;
        let headers = Headers {
            id: http::header(request, "webhook-id"),
            timestamp: http::header(request, "webhook-timestamp"),
            signature: http::header(request, "webhook-signature"),
        };
        let timestamp = self.verify(headers, &body, now).await?;
        let envelope = Envelope::parse(&body)?;
        let event = envelope.data;
        let id = event.webhook_id();
        if headers.id != Some(id.as_str()) {
            return Err(ReceiveError::OtherId(id));
        }
        let transaction_id = event.transaction_id.clone();
        let item = EventItem::new(event, timestamp, now);
        let status = match self.events.store(&item).await? {
            Stored::New => "stored",
            // Whoever stored it may not have come to tell the recorder.
            Stored::Known { open: true } => "duplicate",
            Stored::Known { open: false } => return Ok("duplicate"),
            Stored::Replayed => return Err(ReceiveError::Replayed),
            Stored::Conflict => return Err(ReceiveError::Conflict),
        };
        self.queue
            .send(&RecordMessage { transaction_id }, 0)
            .await?;
        Ok(status)
    }

    async fn verify(
        &self,
        headers: Headers<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<i64, ReceiveError> {
        let check = |secret: SecretText| {
            let keys: Keys = secret.expose().parse().map_err(ReceiveError::Keys)?;
            Ok(verify(
                &keys.verifying(),
                headers,
                body,
                now.as_second(),
                TOLERANCE,
            )?)
        };
        match check(self.secret.at_stage("AWSCURRENT").await?) {
            // The secret may have been rotated, or mended, since it was read.
            Err(ReceiveError::Webhook(WebhookError::SignatureInvalid) | ReceiveError::Keys(_)) => {
                check(self.secret.again_at_stage("AWSCURRENT").await?)
            }
            checked => checked,
        }
    }
}

#[cfg(test)]
mod tests;
