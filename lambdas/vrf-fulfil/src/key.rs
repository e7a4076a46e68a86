//! The secret key of an epoch, checked against what was published.

use offchain_codes::Coded;
use offchain_store::StoreError;
use offchain_store::key_epochs::KeyEpochs;
use offchain_store::secret::{Secret, SecretError};
use offchain_store::vrf_key::{self, KeyTextError};
use offchain_vrf::SecretKey;

/// Why the key of an epoch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
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

impl Coded for KeyError {
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
pub(crate) struct EpochKeys {
    epochs: KeyEpochs,
    secret: Secret,
}

impl EpochKeys {
    pub(crate) fn new(epochs: KeyEpochs, secret: Secret) -> Self {
        Self { epochs, secret }
    }

    /// The key of `epoch`. A key that was not published proves nothing, so one
    /// that differs from the published key is refused.
    pub(crate) async fn secret_key(&self, epoch: u64) -> Result<SecretKey, KeyError> {
        let stage = vrf_key::stage(epoch);
        let (published, text) = tokio::join!(self.epochs.get(epoch), self.secret.at_stage(&stage));
        let published = published?.ok_or(KeyError::Unpublished)?.public_key;
        match usable(text?.expose(), &published) {
            Ok(key) => Ok(key),
            // The text is kept for long, and may have been mended since.
            Err(_) => usable(
                self.secret.again_at_stage(&stage).await?.expose(),
                &published,
            ),
        }
    }
}

fn usable(text: &str, published: &str) -> Result<SecretKey, KeyError> {
    let key = vrf_key::parse(text)?;
    if hex::encode(key.public_key().as_bytes()) == published {
        Ok(key)
    } else {
        Err(KeyError::Mismatch)
    }
}
