//! The secret key of an epoch, checked against what was published.

use std::collections::HashMap;
use std::marker::PhantomData;

use offchain_codes::Coded;
use tokio::sync::Mutex;

use super::{KeyEpoch, KeyEpochs, KeyKind, KeyTextError, label, parse};
use crate::StoreError;
use crate::secret::{Secret, SecretError};

/// Why the key of an epoch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EpochKeyError {
    /// The secret could not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The secret is no key.
    #[error("the secret is unusable")]
    Text(#[from] KeyTextError),
    /// The epoch was never published.
    #[error("the epoch is not published")]
    Unpublished,
    /// The secret is another key than the published one.
    #[error("the secret is not the key that was published")]
    Mismatch,
    /// The table of epochs could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for EpochKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Secret(_) => "KeyUnavailable",
            Self::Text(_) | Self::Unpublished | Self::Mismatch => "KeyInvalid",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // Even a denied secret is asked for again: policies are mended.
            Self::Secret(_) => true,
            Self::Text(_) | Self::Unpublished | Self::Mismatch => false,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// Where the keys come from.
pub struct EpochKeys<K> {
    epochs: KeyEpochs,
    secret: Secret,
    /// The public keys of epochs, which never change.
    published: Mutex<HashMap<u64, String>>,
    kind: PhantomData<fn() -> K>,
}

impl<K: KeyKind> EpochKeys<K> {
    /// The keys of these epochs, which lie in this secret.
    #[must_use]
    pub fn new(epochs: KeyEpochs, secret: Secret) -> Self {
        Self {
            epochs,
            secret,
            published: Mutex::default(),
            kind: PhantomData,
        }
    }

    /// The key of the epoch of this number.
    pub async fn secret_key(&self, epoch: u64) -> Result<K, EpochKeyError> {
        let public_key = self.public_key(epoch).await?;
        self.matching(&public_key).await
    }

    /// The key of an epoch that was read already.
    pub async fn secret_key_of(&self, epoch: &KeyEpoch) -> Result<K, EpochKeyError> {
        self.matching(&epoch.public_key).await
    }

    async fn public_key(&self, epoch: u64) -> Result<String, EpochKeyError> {
        // The lock is held over the call, so that concurrent events read once.
        let mut published = self.published.lock().await;
        if let Some(public_key) = published.get(&epoch) {
            return Ok(public_key.clone());
        }
        let read = self.epochs.get(epoch).await?;
        let public_key = read.ok_or(EpochKeyError::Unpublished)?.public_key;
        published.insert(epoch, public_key.clone());
        Ok(public_key)
    }

    /// The secret key of a published one. What is signed by any other proves
    /// nothing, so a version that holds another key is refused.
    async fn matching(&self, public_key: &str) -> Result<K, EpochKeyError> {
        let stage = label(public_key);
        match usable(self.secret.at_stage(&stage).await?.expose(), public_key) {
            Ok(key) => Ok(key),
            // The text is kept for long, and may have been mended since.
            Err(_) => usable(
                self.secret.again_at_stage(&stage).await?.expose(),
                public_key,
            ),
        }
    }
}

fn usable<K: KeyKind>(text: &str, public_key: &str) -> Result<K, EpochKeyError> {
    let key: K = parse(text)?;
    if key.public_key() == public_key {
        Ok(key)
    } else {
        Err(EpochKeyError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use offchain_oracle::SigningKey;
    use offchain_vrf::{SecretKey, Suite};
    use serde_json::json;

    use super::*;
    use crate::keys::write;
    use crate::test_util::{FakeAws, Reply, done, epoch, item, refusal, secret, secret_key};

    fn keys<K: KeyKind>(aws: &FakeAws) -> EpochKeys<K> {
        let sdk = aws.sdk_config();
        let secrets = aws_sdk_secretsmanager::Client::new(&sdk);
        EpochKeys::new(
            KeyEpochs::vrf(aws_sdk_dynamodb::Client::new(&sdk), "keys".into()),
            Secret::new(secrets, "arn:key".into(), Duration::from_secs(3600)),
        )
    }

    #[tokio::test]
    async fn a_key_is_found_by_the_public_key_of_its_epoch() {
        let aws = FakeAws::new()
            .on("GetItem", item(&epoch(7)))
            .on("GetSecretValue", secret("v7", &write(&secret_key())));
        let key: SecretKey = keys(&aws).secret_key(7).await.unwrap();
        assert_eq!(*key.to_bytes(), *secret_key().to_bytes());
        assert_eq!(aws.operations(), ["GetItem", "GetSecretValue"]);
        assert_eq!(
            aws.sent_once("GetItem")["Key"],
            json!({ "key_set": "vrf", "epoch": 7 })
        );
        let stage = format!("key-{}", KeyKind::public_key(&secret_key()));
        assert_eq!(
            aws.sent_once("GetSecretValue"),
            json!({ "SecretId": "arn:key", "VersionStage": stage })
        );
    }

    #[tokio::test]
    async fn an_epoch_and_its_key_are_read_once() {
        let aws = FakeAws::new()
            .on("GetItem", item(&epoch(1)))
            .on("GetSecretValue", secret("v1", &write(&secret_key())));
        let keys = keys::<SecretKey>(&aws);
        for _ in 0..3 {
            keys.secret_key(1).await.unwrap();
        }
        assert_eq!(aws.operations(), ["GetItem", "GetSecretValue"]);
    }

    #[tokio::test]
    async fn an_epoch_that_is_known_is_not_read() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let aws = FakeAws::new().on("GetSecretValue", secret("v1", &write(&key)));
        let mut known: KeyEpoch = serde_json::from_value(epoch(1)).unwrap();
        known.public_key = KeyKind::public_key(&key);
        let read = keys::<SigningKey>(&aws)
            .secret_key_of(&known)
            .await
            .unwrap();
        assert_eq!(*read.to_bytes(), *key.to_bytes());
        assert_eq!(aws.operations(), ["GetSecretValue"]);
    }

    #[tokio::test]
    async fn what_was_missing_is_looked_for_again() {
        let aws = FakeAws::new()
            .on("GetItem", done())
            .on("GetItem", item(&epoch(1)))
            .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
            .on("GetSecretValue", secret("v1", &write(&secret_key())));
        let keys = keys::<SecretKey>(&aws);
        for (code, retryable) in [("KeyInvalid", false), ("KeyUnavailable", true)] {
            let error = keys.secret_key(1).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (code, retryable));
        }
        keys.secret_key(1).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_that_was_not_published_is_refused() {
        let stranger = SecretKey::from_bytes(Suite::Edwards25519Sha512Tai, &[8; 32]).unwrap();
        for text in [write(&stranger).as_str(), "garbage"] {
            let aws = FakeAws::new()
                .on("GetItem", item(&epoch(1)))
                .on("GetSecretValue", secret("v1", text));
            let error = keys::<SecretKey>(&aws).secret_key(1).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), ("KeyInvalid", false));
            assert!(!offchain_codes::chain(&error).contains("garbage"));
        }
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_read_now_may_be_had_later() {
        let published = || item(&epoch(1));
        for (published, secret, code) in [
            (
                published(),
                refusal(400, "AccessDeniedException"),
                "KeyUnavailable",
            ),
            (published(), Reply::NoConnection, "KeyUnavailable"),
            (
                refusal(400, "ThrottlingException"),
                done(),
                "StoreUnavailable",
            ),
        ] {
            let aws = FakeAws::new()
                .on("GetItem", published)
                .on("GetSecretValue", secret);
            let error = keys::<SecretKey>(&aws).secret_key(1).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (code, true));
        }
    }
}
