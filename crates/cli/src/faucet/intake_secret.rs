//! The secret of the intake: the key of its challenges, and the captcha's secret.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::CliError;
use crate::secret::Secret;

/// What the secret holds. Members that nobody set are not in it.
#[derive(Default, Deserialize, Serialize, Zeroize)]
#[serde(deny_unknown_fields)]
#[zeroize(drop)]
pub(crate) struct IntakeText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captcha_secret: Option<String>,
}

impl IntakeText {
    /// What is there, with a new key where there is none, and whether that is so.
    pub(crate) async fn read(secret: &Secret) -> Result<(Self, bool), CliError> {
        let mut text = match secret.read().await?.map(Zeroizing::new) {
            None => Self::default(),
            // Serde's own message would quote it.
            Some(text) if text.trim_start().starts_with('{') => serde_json::from_str(&text)
                .map_err(|_| secret.unusable("an object with challenge_key and captcha_secret"))?,
            Some(_) => {
                return Err(secret.unusable("an object with challenge_key and captcha_secret"));
            }
        };
        let is_new = text.challenge_key.is_none();
        text.challenge_key
            .get_or_insert_with(|| hex::encode(*Zeroizing::new(rand::random::<[u8; 32]>())));
        Ok((text, is_new))
    }

    pub(crate) async fn write(&self, secret: &Secret) -> Result<(), CliError> {
        secret
            .write(serde_json::to_string(self).map_err(CliError::input)?)
            .await
    }
}
