//! Creates the VRF's keys and publishes their epochs.
//!
//! The secret is the only place a secret key is in; this function is the only
//! writer. `reconcile` makes the table of epochs agree with the secret's current
//! version: it creates the first key, and it turns a version that somebody
//! put there by other means into the next epoch. `rotate` puts a new key there
//! and reconciles.

use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::{Handler, config};
use offchain_store::key_epochs::{KeyEpoch, KeyEpochs};
use offchain_store::vrf_key::{self, KeyTextError, stage};
use offchain_store::{AwsError, Moment, StoreError};
use offchain_vrf::{PublicKey, SecretKey, Suite};
use serde::{Deserialize, Serialize};

const CURRENT: &str = "AWSCURRENT";

/// Epochs whose secret key is kept. A request is bound to the epoch that was
/// active when it was made, so this many rotations may happen before it is due.
/// Each has a label, and the AWS page "AWS Secrets Manager quotas" allows 20 in
/// a secret: these, the next one, and those that AWS sets itself.
const KEPT_EPOCHS: u64 = 16;

/// The version of the first key. Its name is fixed, so that of two runs that
/// find no key at the same time only one writes a key.
const FIRST_VERSION: &str = "offchain-vrf-key-first-version-01";

/// What to do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Make the published epochs agree with the secret.
    Reconcile,
    /// Start a new epoch with a new key.
    Rotate,
}

/// The newest epoch.
#[derive(Debug, Serialize)]
pub struct Newest {
    /// Whether this run published it.
    published: bool,
    #[serde(flatten)]
    epoch: KeyEpoch,
}

/// Why the keys could not be brought in order.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Secrets Manager did not do what was asked.
    #[error("the secret could not be read or written")]
    Secret(#[source] AwsError),
    /// The current version of the secret is no key.
    #[error("the current version of the secret is unusable")]
    Text(#[from] KeyTextError),
    /// Another run published an epoch at the same time.
    #[error("another run published epoch {0} at the same time")]
    Raced(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for RotateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Secret(_) => "KeyUnavailable",
            Self::Text(_) => "KeyInvalid",
            Self::Raced(_) => "EpochRaced",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Secret(error) => error.retryable(),
            Self::Text(_) => false,
            Self::Raced(_) => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

struct Config {
    keys_table: String,
    secret: String,
    suite: Suite,
    activation_delay: u32,
}

/// Keeps the keys.
pub struct KeyRotator {
    epochs: KeyEpochs,
    secrets: Client,
    secret: String,
    suite: Suite,
    activation_delay: SignedDuration,
}

/// The current version of the secret.
struct Current {
    version: String,
    public_key: PublicKey,
}

impl KeyRotator {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            keys_table: required "VRF_KEYS_TABLE", "a table name",
            secret: required "VRF_KEY_SECRET_ARN", "the ARN of a secret",
            suite: required "VRF_SUITE", "ECVRF-EDWARDS25519-SHA512-TAI or ECVRF-P256-SHA256-TAI",
            activation_delay: required "VRF_KEY_ACTIVATION_DELAY_SECONDS", "seconds",
        })?;
        Ok(Self {
            epochs: KeyEpochs::new(aws_sdk_dynamodb::Client::new(sdk), config.keys_table),
            secrets: Client::new(sdk),
            secret: config.secret,
            suite: config.suite,
            activation_delay: SignedDuration::from_secs(config.activation_delay.into()),
        })
    }

    async fn reconcile(&self) -> Result<Newest, RotateError> {
        let newest = self.epochs.newest().await?;
        let current = match self.current().await? {
            Some(current) => current,
            None => self.first().await?,
        };
        let public_key = hex::encode(current.public_key.as_bytes());
        match newest {
            Some(epoch) if epoch.public_key == public_key => Ok(Newest {
                published: false,
                epoch,
            }),
            newest => self.publish(newest, &current, public_key).await,
        }
    }

    /// Publishes the current key as the epoch after `newest`. The version gets
    /// its label first: a published epoch always has its secret.
    async fn publish(
        &self,
        newest: Option<KeyEpoch>,
        current: &Current,
        public_key: String,
    ) -> Result<Newest, RotateError> {
        let now = Timestamp::now();
        // Nothing is bound to an earlier key yet, so the first one need not wait.
        let (number, delay) = match newest {
            None => (1, SignedDuration::ZERO),
            Some(newest) => (newest.epoch + 1, self.activation_delay),
        };
        self.label(&current.version, &stage(number)).await?;
        let epoch = KeyEpoch {
            epoch: number,
            suite: current.public_key.suite().to_string(),
            public_key,
            published_at: Moment::from(now),
            active_from: Moment::from(now + delay),
        };
        if !self.epochs.publish(&epoch).await? {
            // Two runs that publish the same key agree.
            return match self.epochs.newest().await? {
                Some(newest) if newest.public_key == epoch.public_key => Ok(Newest {
                    published: false,
                    epoch: newest,
                }),
                _ => Err(RotateError::Raced(number)),
            };
        }
        if let Some(old) = number.checked_sub(KEPT_EPOCHS).filter(|old| *old > 0) {
            self.unlabel(&stage(old)).await?;
        }
        tracing::info!(epoch.epoch, epoch.public_key, "a key epoch is published");
        Ok(Newest {
            published: true,
            epoch,
        })
    }

    async fn current(&self) -> Result<Option<Current>, RotateError> {
        let reply = self
            .secrets
            .get_secret_value()
            .secret_id(&self.secret)
            .version_stage(CURRENT)
            .send()
            .await;
        let reply = match reply {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                return Ok(None);
            }
            reply => reply.map_err(|error| RotateError::Secret(error.into()))?,
        };
        let text = zeroize::Zeroizing::new(reply.secret_string.unwrap_or_default());
        // AWS has no version without a value; emulators make one with the secret.
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Current {
            version: reply.version_id.unwrap_or_default(),
            public_key: vrf_key::parse(&text)?.public_key(),
        }))
    }

    async fn first(&self) -> Result<Current, RotateError> {
        if let Some(created) = self.create(FIRST_VERSION).await? {
            return Ok(created);
        }
        // Another run was faster. What it wrote is current.
        self.current().await?.ok_or(RotateError::Raced(1))
    }

    /// Puts a new key into the secret. `token` names the version, so that a
    /// retry finds the version that it wrote before: `None` where it is there.
    async fn create(&self, token: &str) -> Result<Option<Current>, RotateError> {
        let key = SecretKey::generate(self.suite, &mut rand::rng());
        let reply = self
            .secrets
            .put_secret_value()
            .secret_id(&self.secret)
            .client_request_token(token)
            .secret_string(vrf_key::write(&key).as_str())
            .send()
            .await;
        match reply {
            // The version holds another text than the fresh one.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_exists_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(RotateError::Secret(error.into())),
            Ok(reply) => Ok(Some(Current {
                version: reply.version_id.unwrap_or_default(),
                public_key: key.public_key(),
            })),
        }
    }

    async fn rotate(&self, token: &str) -> Result<Newest, RotateError> {
        if self
            .version_with(|version, _| version == token)
            .await?
            .is_none()
        {
            self.create(token).await?;
        }
        self.reconcile().await
    }

    /// The version for which `wanted` holds, told its id and its labels.
    async fn version_with(
        &self,
        wanted: impl Fn(&str, &[String]) -> bool,
    ) -> Result<Option<String>, RotateError> {
        let reply = self
            .secrets
            .describe_secret()
            .secret_id(&self.secret)
            .send()
            .await
            .map_err(|error| RotateError::Secret(error.into()))?;
        Ok(reply
            .version_ids_to_stages
            .unwrap_or_default()
            .into_iter()
            .find(|(version, labels)| wanted(version, labels))
            .map(|(version, _)| version))
    }

    async fn holder_of(&self, label: &str) -> Result<Option<String>, RotateError> {
        self.version_with(|_, labels| labels.iter().any(|held| held == label))
            .await
    }

    async fn label(&self, version: &str, label: &str) -> Result<(), RotateError> {
        let holder = self.holder_of(label).await?;
        if holder.as_deref() == Some(version) {
            return Ok(());
        }
        self.move_label(label, holder, Some(version.to_owned()))
            .await
    }

    async fn unlabel(&self, label: &str) -> Result<(), RotateError> {
        match self.holder_of(label).await? {
            None => Ok(()),
            holder => self.move_label(label, holder, None).await,
        }
    }

    async fn move_label(
        &self,
        label: &str,
        from: Option<String>,
        to: Option<String>,
    ) -> Result<(), RotateError> {
        self.secrets
            .update_secret_version_stage()
            .secret_id(&self.secret)
            .version_stage(label)
            .set_remove_from_version_id(from)
            .set_move_to_version_id(to)
            .send()
            .await
            .map(drop)
            .map_err(|error| RotateError::Secret(error.into()))
    }
}

impl Handler for KeyRotator {
    const EXPECTS: &'static str = "{\"action\": \"reconcile\"} or {\"action\": \"rotate\"}";
    type Event = Action;
    type Reply = Newest;
    type Error = RotateError;

    async fn handle(&self, action: Action, invocation: &str) -> Result<Newest, RotateError> {
        match action {
            Action::Reconcile => self.reconcile().await,
            Action::Rotate => self.rotate(invocation).await,
        }
    }
}

#[cfg(test)]
mod tests;
