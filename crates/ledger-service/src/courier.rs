//! Signs webhooks and sends them.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use offchain_codes::{Coded, chain};
use offchain_ledger::{Envelope, Event, Keys, Subscriber, sign};
use offchain_outbound::{Outbound, OutboundError, Post, Reach, Url};
use offchain_store::clock;
use offchain_store::secret::{Secret, SecretError};

/// How long a subscriber's secret is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// What of an answer is read: nothing of it is needed.
const LIMIT: usize = 64 * 1024;

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The subscriber did not answer, or not with success.
    #[error("the subscriber did not take it")]
    Refused(#[source] OutboundError),
    /// The subscriber's secret could not be had.
    #[error("the subscriber's secret cannot be read")]
    Secret(#[from] SecretError),
    /// The subscriber's secret is no such thing.
    #[error("the subscriber's secret is unusable")]
    Keys(#[source] offchain_ledger::WebhookKeyError),
    /// The event could not be written as JSON.
    #[error("the event cannot be written")]
    Written(#[source] serde_json::Error),
    /// The subscriber's URL is none.
    #[error("the subscriber's URL cannot be used")]
    Url,
}

impl DeliveryError {
    /// Whether nobody answered at all: then nobody will in the next moment.
    #[must_use]
    pub fn unanswered(&self) -> bool {
        matches!(
            self,
            Self::Refused(
                OutboundError::TimedOut | OutboundError::Unreachable(_) | OutboundError::Tls(_)
            )
        )
    }
}

impl Coded for DeliveryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Keys(error) => error.code(),
            Self::Written(_) => "EventInvalid",
            Self::Url => "UrlInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.retryable(),
            Self::Secret(error) => error.retryable(),
            // Whoever put it there may put another.
            Self::Keys(_) => true,
            Self::Written(_) | Self::Url => false,
        }
    }
}

/// Whoever brings events to subscribers.
pub trait Carrier: Send + Sync + 'static {
    /// Brings one event to one subscriber, once.
    fn carry(
        &self,
        subscriber: &Subscriber,
        event: &Event,
    ) -> impl Future<Output = Result<(), DeliveryError>> + Send;
}

/// Brings them over HTTP, as Standard Webhooks 1.0 has it.
pub struct Courier {
    outbound: Outbound,
    timeout: Duration,
    secrets: HashMap<String, Secret>,
}

impl Courier {
    /// A courier to these subscribers, as far as they are within `reach`.
    pub fn new(
        reach: Reach,
        timeout: Duration,
        client: &aws_sdk_secretsmanager::Client,
        subscribers: &[Subscriber],
    ) -> Result<Self, OutboundError> {
        let secret = |arn: &String| Secret::new(client.clone(), arn.clone(), REMEMBERED);
        Ok(Self {
            outbound: Outbound::new(reach)?,
            timeout,
            secrets: subscribers
                .iter()
                .map(|subscriber| (subscriber.name.clone(), secret(&subscriber.secret_arn)))
                .collect(),
        })
    }

    async fn keys(&self, subscriber: &Subscriber) -> Result<Keys, DeliveryError> {
        let Some(secret) = self.secrets.get(&subscriber.name) else {
            return Err(SecretError::Absent.into());
        };
        let text = secret.at_stage("AWSCURRENT").await?;
        match text.expose().parse() {
            Ok(keys) => Ok(keys),
            Err(_) => {
                let text = secret.again_at_stage("AWSCURRENT").await?;
                text.expose().parse().map_err(DeliveryError::Keys)
            }
        }
    }
}

impl Carrier for Courier {
    async fn carry(&self, subscriber: &Subscriber, event: &Event) -> Result<(), DeliveryError> {
        let keys = self.keys(subscriber).await?;
        let url = Url::parse(&subscriber.url).map_err(|_| DeliveryError::Url)?;
        let now = clock::now();
        let body = serde_json::to_vec(&Envelope::new(event.clone(), now))
            .map_err(DeliveryError::Written)?;
        let (id, timestamp) = (event.webhook_id(), now.as_second());
        let signature = sign(&keys, &id, timestamp, &body);
        let timestamp = timestamp.to_string();
        let outcome = self
            .outbound
            .notify(&Post {
                url: &url,
                content_type: "application/json",
                headers: &[
                    ("webhook-id", &id),
                    ("webhook-timestamp", &timestamp),
                    ("webhook-signature", &signature),
                ],
                body: &body,
                timeout: self.timeout,
                limit: LIMIT,
            })
            .await;
        if let Err(error) = &outcome {
            tracing::warn!(
                subscriber = subscriber.name,
                event = id,
                code = error.code(),
                error = chain(error),
                "a webhook was not taken"
            );
            if matches!(error, OutboundError::Status(401))
                && let Some(secret) = self.secrets.get(&subscriber.name)
            {
                // The secret may have been rotated since it was read.
                let _ = secret.again_at_stage("AWSCURRENT").await;
            }
        }
        outcome.map_err(DeliveryError::Refused)
    }
}

#[cfg(test)]
mod tests;
