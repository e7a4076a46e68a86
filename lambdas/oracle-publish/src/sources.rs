//! Asks a feed's sources, all at the same time.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use offchain_codes::{Coded, chain};
use offchain_oracle::{Answer, Fault, HttpFeed, Observation, Source};
use offchain_outbound::{Get, Outbound, OutboundError};
use offchain_store::secret::{Secret, SecretError, SecretText};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::cache::Cache;

/// The largest answer of a source, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Why a source took no part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceFault {
    /// It was not reached, or not in time, or it refused.
    #[error(transparent)]
    Remote(#[from] OutboundError),
    /// Its address is none, which the feed's definition should not have let pass.
    #[error("the URL is not one")]
    Url,
    /// Its answer holds no number where one is expected.
    #[error(transparent)]
    Answer(#[from] offchain_oracle::SourceError),
    /// The secret with the headers could not be read.
    #[error("the secret with the sources' headers could not be read")]
    HeadersUnread(#[from] SecretError),
    /// The secret was not read in time.
    #[error("the secret with the sources' headers was not read in time")]
    HeadersLate,
    /// The secret is no JSON object of texts. The cause is not kept, because
    /// it could quote the secret.
    #[error("expected the secret with the sources' headers to be a JSON object of texts")]
    HeadersInvalid,
    /// The secret has no such key.
    #[error("the secret with the sources' headers has no key {0:?}")]
    HeaderMissing(String),
}

impl Coded for SourceFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Remote(error) => error.code(),
            Self::Url => "UrlInvalid",
            Self::Answer(error) => error.code(),
            Self::HeadersUnread(error) => error.code(),
            Self::HeadersLate => "SecretUnavailable",
            Self::HeadersInvalid => "HeadersInvalid",
            Self::HeaderMissing(_) => "HeaderMissing",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Remote(error) => error.retryable(),
            Self::HeadersUnread(error) => error.retryable(),
            Self::HeadersLate => true,
            Self::Url | Self::Answer(_) | Self::HeadersInvalid | Self::HeaderMissing(_) => false,
        }
    }
}

/// What asks the sources.
pub(crate) struct Sources {
    outbound: Outbound,
    headers: Secret,
    kept: Cache<SecretText>,
}

impl Sources {
    /// `headers` is read again after `keep`, however long it keeps itself.
    pub(crate) fn new(outbound: Outbound, headers: Secret, keep: Duration) -> Self {
        Self {
            outbound,
            headers,
            kept: Cache::new(keep),
        }
    }

    /// What every source of a feed answers within `time`, and when it did.
    pub(crate) async fn ask(&self, feed: &HttpFeed, time: Duration) -> Vec<(Answer, Timestamp)> {
        let deadline = Instant::now() + time;
        join_all(feed.sources.iter().map(|source| async move {
            let outcome = self.ask_one(feed, source, deadline).await;
            let answered = Timestamp::now();
            let answer = Answer {
                source: source.name.clone(),
                outcome: outcome.map_err(|fault| {
                    // Somebody else's server is not our failure: the record tells of it.
                    tracing::warn!(
                        source = source.name.as_str(),
                        code = fault.code(),
                        error = chain(&fault),
                        "a source takes no part"
                    );
                    Fault::of(&fault)
                }),
            };
            (answer, answered)
        }))
        .await
    }

    async fn ask_one(
        &self,
        feed: &HttpFeed,
        source: &Source,
        deadline: Instant,
    ) -> Result<Observation, SourceFault> {
        let url = source.url.parse().map_err(|_| SourceFault::Url)?;
        let own = Duration::from_millis(source.timeout_ms.into());
        let value = match &source.header {
            // A secret that is long in coming costs its own sources, not the others.
            Some(header) => Some(
                timeout_at(deadline, self.header(&header.secret_key))
                    .await
                    .map_err(|_| SourceFault::HeadersLate)??,
            ),
            None => None,
        };
        let header = source
            .header
            .as_ref()
            .zip(value.as_ref())
            .map(|(header, value)| (header.name.as_str(), value.as_str()));
        let get = Get {
            url: &url,
            header,
            timeout: own.min(deadline.duration_since(Instant::now())),
            limit: BODY_LIMIT,
        };
        let body = self.outbound.get(&get).await?;
        Ok(source.read(feed, &body, Timestamp::now())?)
    }

    async fn header(&self, key: &str) -> Result<Zeroizing<String>, SourceFault> {
        let text = self.kept.get(self.headers.at_stage("AWSCURRENT")).await?;
        let mut headers: HashMap<String, Zeroizing<String>> =
            serde_json::from_str(text.expose()).map_err(|_| SourceFault::HeadersInvalid)?;
        headers
            .remove(key)
            .ok_or_else(|| SourceFault::HeaderMissing(key.to_owned()))
    }
}
