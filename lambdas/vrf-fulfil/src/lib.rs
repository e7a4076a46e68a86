//! Proves a request's value and writes it once.

use std::time::Duration;

use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::{Coded, chain};
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::StoreError;
use offchain_store::keys::{EpochKeyError, EpochKeys, KeyEpochs};
use offchain_store::secret::Secret;
use offchain_store::vrf::{Proved, Record, RecordError, Requests};
use offchain_vrf::{HashToCurveError, InvalidBundle, ProofBundle, RequestTerms, SecretKey};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// A run that starts this much before the due time waits; an earlier one fails.
/// Step Functions and this function read different clocks.
const EARLY: SignedDuration = SignedDuration::from_secs(1);

/// Which request to fulfil.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fulfil {
    request_id: String,
}

/// The reply: what is written now. The proof stays in the table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Fulfilled {
    request_id: String,
    /// As text, because JSON numbers lose precision beyond 2^53.
    value: String,
}

/// Why a request was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum FulfilError {
    /// There is no such request.
    #[error("there is no request {0}")]
    NotFound(String),
    /// The request has expired.
    #[error("the request {0} is closed without a value")]
    Closed(String),
    /// Its time or height has not come.
    #[error("the request {0} is not due yet")]
    NotDue(String),
    /// The simulated failure, as often as `VRF_SIMULATED_FAILURE_RATE` says.
    #[error("this failure is simulated")]
    Simulated,
    /// The key cannot be had now, or not at all.
    #[error("the key of epoch {epoch} cannot be used")]
    Key {
        /// The epoch that the request is bound to.
        epoch: u64,
        /// Why.
        source: EpochKeyError,
    },
    /// The stored items contradict each other.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No point was found for these terms: practically impossible.
    #[error(transparent)]
    Prove(#[from] HashToCurveError),
    /// The fresh proof does not verify: the hardware or the build is broken.
    #[error("the fresh proof does not verify")]
    SelfCheck(#[source] InvalidBundle),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for FulfilError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "RequestNotFound",
            Self::Closed(_) => "RequestClosed",
            Self::NotDue(_) => "RequestNotDue",
            Self::Simulated => "SimulatedFailure",
            Self::Key { source, .. } => source.code(),
            Self::Record(_) => "RecordInvalid",
            Self::Prove(_) | Self::SelfCheck(_) => "ProofFailed",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NotDue(_) | Self::Simulated => true,
            Self::NotFound(_)
            | Self::Closed(_)
            | Self::Record(_)
            | Self::Prove(_)
            | Self::SelfCheck(_) => false,
            Self::Key { source, .. } => source.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}

/// A probability from 0 to 1.
#[derive(Clone, Copy, Debug)]
struct Rate(f64);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
        if (0.0..=1.0).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err("it is outside 0 to 1".to_owned())
        }
    }
}

struct Config {
    table: String,
    keys_table: String,
    secret: String,
    failure_rate: Rate,
}

/// Fulfils the requests.
pub struct Fulfiller {
    requests: Requests,
    keys: EpochKeys<SecretKey>,
    failure_rate: Rate,
}

impl Fulfiller {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            keys_table: required "VRF_KEYS_TABLE", "a table name",
            secret: required "VRF_KEY_SECRET_ARN", "the ARN of a secret",
            failure_rate: required "VRF_SIMULATED_FAILURE_RATE", "a number from 0 to 1",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let secret = Secret::new(
            aws_sdk_secretsmanager::Client::new(sdk),
            config.secret,
            // The key of an epoch never changes.
            Duration::from_secs(3600),
        );
        Ok(Self {
            requests: Requests::new(dynamodb.clone(), config.table),
            keys: EpochKeys::new(KeyEpochs::vrf(dynamodb, config.keys_table), secret),
            failure_rate: config.failure_rate,
        })
    }

    async fn fulfil(&self, id: &str) -> Result<Fulfilled, FulfilError> {
        let record = self
            .requests
            .load(id)
            .await?
            .ok_or_else(|| FulfilError::NotFound(id.to_owned()))?;
        if let Some(done) = closed(id, &record)? {
            // An earlier run may have died before this.
            self.requests.close(id).await?;
            return Ok(done);
        }
        wait_until_due(id, &record).await?;
        let failed = record
            .fulfilment
            .as_ref()
            .map_or(0, |item| item.failed_fulfill_attempts);
        match self.prove(&record).await {
            Ok(bundle) => self.write(id, &record, &bundle, failed).await,
            Err(error) => {
                if let Err(lost) = self.requests.record_failure(id, failed, error.code()).await {
                    // The run fails either way; only its count is lost.
                    tracing::warn!(error = chain(&lost), "a failure was not counted");
                }
                Err(error)
            }
        }
    }

    async fn prove(&self, record: &Record) -> Result<ProofBundle, FulfilError> {
        if self.failure_rate.0 > 0.0 && rand::rng().random_bool(self.failure_rate.0) {
            return Err(FulfilError::Simulated);
        }
        let terms: RequestTerms = record.request.terms()?;
        let epoch = record.request.key_epoch;
        let key = self
            .keys
            .secret_key(epoch)
            .await
            .map_err(|source| FulfilError::Key { epoch, source })?;
        let bundle = ProofBundle::prove(&key, &terms)?;
        bundle.verify().map_err(FulfilError::SelfCheck)?;
        Ok(bundle)
    }

    async fn write(
        &self,
        id: &str,
        record: &Record,
        bundle: &ProofBundle,
        failed: u32,
    ) -> Result<Fulfilled, FulfilError> {
        let proved = Proved {
            bundle,
            at: Timestamp::now().into(),
            key_epoch: record.request.key_epoch,
            failed,
            expiration: record.request.expiration,
        };
        let fulfilled = if self.requests.fulfil(id, &proved).await? {
            fulfilled(id, bundle.value)
        } else {
            // Somebody else closed it in between. What is written stands.
            let record = self.requests.load(id).await?;
            record
                .as_ref()
                .map(|record| closed(id, record))
                .transpose()?
                .flatten()
                .ok_or_else(|| FulfilError::NotFound(id.to_owned()))?
        };
        self.requests.close(id).await?;
        Ok(fulfilled)
    }
}

/// The reply for a request that is closed already; `None` while it is pending.
fn closed(id: &str, record: &Record) -> Result<Option<Fulfilled>, FulfilError> {
    let Some(item) = &record.fulfilment else {
        return Ok(None);
    };
    if item.expired_time.is_some() {
        return Err(FulfilError::Closed(id.to_owned()));
    }
    Ok(item.vrf_value.map(|value| fulfilled(id, value)))
}

fn fulfilled(id: &str, value: i64) -> Fulfilled {
    Fulfilled {
        request_id: id.to_owned(),
        value: value.to_string(),
    }
}

/// A value must not exist before its request is due.
async fn wait_until_due(id: &str, record: &Record) -> Result<(), FulfilError> {
    let not_due = || FulfilError::NotDue(id.to_owned());
    if let Some(due) = record.request.fulfill_time_expected {
        let left = due.timestamp().duration_since(Timestamp::now());
        if left > EARLY {
            return Err(not_due());
        }
        if let Ok(left) = Duration::try_from(left) {
            tokio::time::sleep(left).await;
        }
    }
    let observed = record
        .fulfilment
        .as_ref()
        .and_then(|item| item.observed_height);
    if record.request.target_height > observed {
        return Err(not_due());
    }
    Ok(())
}

impl Handler for Fulfiller {
    const EXPECTS: &'static str = "{request_id}";
    type Event = Fulfil;
    type Reply = Fulfilled;
    type Error = FulfilError;

    async fn handle(&self, event: Fulfil, _: &str) -> Result<Fulfilled, FulfilError> {
        self.fulfil(&event.request_id).await
    }
}

#[cfg(test)]
mod tests;
