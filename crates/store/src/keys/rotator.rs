//! Creates keys and publishes their epochs.
//!
//! The secret is the only place a secret key is in; the rotator is its only
//! writer. `reconcile` makes the table of epochs agree with the secret's current
//! version: it creates the first key, and it turns a version that somebody
//! put there by other means into the next epoch. `rotate` puts a new key there
//! and reconciles.

use std::collections::HashMap;

use aws_sdk_secretsmanager::Client;
use jiff::{SignedDuration, Timestamp};
use offchain_codes::{Coded, chain};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyEpoch, KeyEpochs, KeyKind, KeyTextError, LABEL_PREFIX, label, parse, write};
use crate::{AwsError, Moment, StoreError, scheduled_id};

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// Epochs whose secret key is kept. What is bound to an epoch when it is made
/// may be signed later, after fewer rotations than this.
const KEPT_EPOCHS: u8 = 16;

/// Labels that a secret may have, by the AWS page "AWS Secrets Manager quotas":
/// those of the epochs that are kept and of the next one, and three of AWS.
const LABELS: usize = 20;

/// The version of the first key. Its name is fixed, so that of two runs that
/// find no key at the same time only one writes a key.
const FIRST_VERSION: &str = "offchain-signing-key-first-version";

/// What to do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Make the published epochs agree with the secret.
    Reconcile,
    /// Start a new epoch with a new key.
    Rotate {
        /// The time that a schedule meant. Whatever delivers its event again
        /// starts no further epoch.
        #[serde(default)]
        scheduled_time: Option<Timestamp>,
    },
}

impl Action {
    /// The events that are actions.
    pub const EXPECTS: &'static str = "{\"action\": \"reconcile\"} or {\"action\": \"rotate\"}";
}

/// The newest epoch.
#[derive(Debug, Serialize)]
pub struct Newest {
    /// Whether this run published it.
    pub published: bool,
    /// The epoch itself.
    #[serde(flatten)]
    pub epoch: KeyEpoch,
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

/// Keeps the keys of one secret.
pub struct Rotator<K: KeyKind> {
    epochs: KeyEpochs,
    secrets: Client,
    secret: String,
    suite: K::Suite,
    activation_delay: SignedDuration,
}

/// The current version of the secret.
struct Current {
    version: String,
    labels: Vec<String>,
    suite: &'static str,
    public_key: String,
}

impl Current {
    fn new<K: KeyKind>(version: Option<String>, labels: Option<Vec<String>>, key: &K) -> Self {
        Self {
            version: version.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            suite: key.suite(),
            public_key: key.public_key(),
        }
    }
}

/// The labels of a secret's versions, by the version's id.
struct Labels(HashMap<String, Vec<String>>);

impl Labels {
    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn holder(&self, label: &str) -> Option<&str> {
        let mut versions = self.0.iter();
        versions
            .find(|(_, labels)| labels.iter().any(|held| held == label))
            .map(|(version, _)| version.as_str())
    }

    /// The labels of keys other than those that are kept. A version that was
    /// current a moment ago may be about to be published, and keeps its own.
    fn stale(&self, kept: &[String]) -> Vec<Stale> {
        let mut stale = Vec::new();
        for (version, labels) in &self.0 {
            if labels
                .iter()
                .any(|held| held == CURRENT || held == PREVIOUS)
            {
                continue;
            }
            let of_others = labels
                .iter()
                .filter(|held| held.starts_with(LABEL_PREFIX) && !kept.contains(held));
            stale.extend(of_others.map(|label| Stale {
                label: label.clone(),
                version: version.clone(),
            }));
        }
        stale
    }
}

/// A label that no key needs any longer, and the version that has it.
struct Stale {
    label: String,
    version: String,
}

impl<K: KeyKind> Rotator<K> {
    /// Publishes in `epochs` what the secret named `secret` holds. New keys are
    /// of `suite`, and become active after `activation_delay`.
    #[must_use]
    pub fn new(
        epochs: KeyEpochs,
        secrets: Client,
        secret: String,
        suite: K::Suite,
        activation_delay: SignedDuration,
    ) -> Self {
        Self {
            epochs,
            secrets,
            secret,
            suite,
            activation_delay,
        }
    }

    /// Does what was asked. `invocation` is the same in every delivery that
    /// Lambda makes of it.
    pub async fn run(&self, action: Action, invocation: &str) -> Result<Newest, RotateError> {
        match action {
            Action::Reconcile => self.reconcile().await,
            Action::Rotate {
                scheduled_time: Some(time),
            } => self.rotate(&scheduled_id("rotate", time)).await,
            Action::Rotate {
                scheduled_time: None,
            } => self.rotate(invocation).await,
        }
    }

    async fn reconcile(&self) -> Result<Newest, RotateError> {
        let latest = self.epochs.latest(KEPT_EPOCHS).await?;
        let current = match self.current().await? {
            Some(current) => current,
            None => self.first().await?,
        };
        let Some(newest) = latest
            .first()
            .filter(|newest| newest.public_key == current.public_key)
        else {
            return self.publish(&latest, current).await;
        };
        // It was there when the epoch was published; somebody took it away.
        if !current.labels.contains(&label(&current.public_key)) {
            self.label(&latest, &current).await?;
        }
        Ok(Newest {
            published: false,
            epoch: newest.clone(),
        })
    }

    /// Publishes the current key as the epoch after the first of `latest`. The
    /// version gets its label first: a published epoch always has its secret.
    async fn publish(&self, latest: &[KeyEpoch], current: Current) -> Result<Newest, RotateError> {
        let now = Timestamp::now();
        // Nothing is bound to an earlier key yet, so the first one need not wait.
        let (number, delay) = match latest.first() {
            None => (1, SignedDuration::ZERO),
            Some(newest) => (newest.epoch + 1, self.activation_delay),
        };
        let stale = self.label(latest, &current).await?;
        let epoch = KeyEpoch {
            epoch: number,
            suite: current.suite.to_owned(),
            public_key: current.public_key,
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
        tracing::info!(epoch.epoch, epoch.public_key, "a key epoch is published");
        // The number was free, so nobody has published since `latest` was read,
        // and no run that had set one of these labels by then can do so now.
        if let Err(error) = self.unlabel(stale).await {
            // The next epoch takes them away as well.
            tracing::warn!(error = chain(&error), "an old label was not removed");
        }
        Ok(Newest {
            published: true,
            epoch,
        })
    }

    /// Labels the current version. Returns the labels that are of no use once
    /// its key is published.
    async fn label(
        &self,
        latest: &[KeyEpoch],
        current: &Current,
    ) -> Result<Vec<Stale>, RotateError> {
        let own = label(&current.public_key);
        let others = latest
            .iter()
            .map(|epoch| label(&epoch.public_key))
            .filter(|label| *label != own);
        let kept: Vec<String> = std::iter::once(own.clone())
            .chain(others)
            .take(KEPT_EPOCHS.into())
            .collect();
        let labels = self.labels().await?;
        let mut stale = labels.stale(&kept);
        let holder = labels.holder(&own);
        if holder.is_none() && labels.count() >= LABELS {
            // Runs that died before they published have left theirs.
            self.unlabel(std::mem::take(&mut stale)).await?;
        }
        if holder != Some(&current.version) {
            self.move_label(&own, holder, Some(&current.version))
                .await?;
        }
        Ok(stale)
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
        let text = Zeroizing::new(reply.secret_string.unwrap_or_default());
        // AWS has no version without a value; emulators make one with the secret.
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Current::new(
            reply.version_id,
            reply.version_stages,
            &parse::<K>(&text)?,
        )))
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
        let key = K::generate(self.suite);
        let reply = self
            .secrets
            .put_secret_value()
            .secret_id(&self.secret)
            .client_request_token(token)
            .secret_string(write(&key).as_str())
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
            Ok(reply) => Ok(Some(Current::new(
                reply.version_id,
                reply.version_stages,
                &key,
            ))),
        }
    }

    async fn rotate(&self, token: &str) -> Result<Newest, RotateError> {
        if !self.labels().await?.0.contains_key(token) {
            self.create(token).await?;
        }
        self.reconcile().await
    }

    async fn labels(&self) -> Result<Labels, RotateError> {
        let reply = self
            .secrets
            .describe_secret()
            .secret_id(&self.secret)
            .send()
            .await
            .map_err(|error| RotateError::Secret(error.into()))?;
        Ok(Labels(reply.version_ids_to_stages.unwrap_or_default()))
    }

    async fn unlabel(&self, stale: Vec<Stale>) -> Result<(), RotateError> {
        for Stale { label, version } in stale {
            self.move_label(&label, Some(&version), None).await?;
        }
        Ok(())
    }

    async fn move_label(
        &self,
        label: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), RotateError> {
        self.secrets
            .update_secret_version_stage()
            .secret_id(&self.secret)
            .version_stage(label)
            .set_remove_from_version_id(from.map(str::to_owned))
            .set_move_to_version_id(to.map(str::to_owned))
            .send()
            .await
            .map(drop)
            .map_err(|error| RotateError::Secret(error.into()))
    }
}

#[cfg(test)]
mod tests;
