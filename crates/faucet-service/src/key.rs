//! The key that pays.

use aws_sdk_secretsmanager::Client;
use offchain_chains::AccountKey;
use offchain_store::secret::Secret;

use crate::{PayError, REMEMBERED};

const CURRENT: &str = "AWSCURRENT";

/// Reads the key from its secret and remembers it for a while.
pub struct KeyRing(Secret);

impl KeyRing {
    /// The key in the secret named by `arn`.
    #[must_use]
    pub fn new(client: Client, arn: String) -> Self {
        Self(Secret::new(client, arn, REMEMBERED))
    }

    /// The key.
    pub async fn key(&self) -> Result<AccountKey, PayError> {
        let text = self.0.at_stage(CURRENT).await?;
        match AccountKey::from_secret(text.expose()) {
            Ok(key) => Ok(key),
            // It may have been mended since it was read.
            Err(_) => {
                let text = self.0.again_at_stage(CURRENT).await?;
                Ok(AccountKey::from_secret(text.expose())?)
            }
        }
    }
}
