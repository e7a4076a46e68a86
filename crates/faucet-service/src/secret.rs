//! What the intake keeps secret: the key of its challenges, and the captcha's
//! secret.

use aws_sdk_secretsmanager::Client;
use offchain_store::secret::Secret;
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use crate::{IntakeError, REMEMBERED};

const CURRENT: &str = "AWSCURRENT";
const KEY_LEN: usize = 32;

/// What the secret holds.
pub struct IntakeKeys {
    /// The key of the challenges.
    pub challenge_key: Zeroizing<[u8; KEY_LEN]>,
    /// What the captcha's provider knows this faucet by.
    pub captcha_secret: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for IntakeKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IntakeKeys(redacted)")
    }
}

#[derive(Deserialize, Zeroize)]
#[serde(deny_unknown_fields)]
#[zeroize(drop)]
struct Text {
    challenge_key: String,
    #[serde(default)]
    captcha_secret: Option<String>,
}

impl IntakeKeys {
    /// Reads the secret's text: `{"challenge_key": "<64 hexadecimal digits>",
    /// "captcha_secret": "…"}`, the latter where a captcha is demanded.
    #[must_use]
    pub fn from_secret(text: &str) -> Option<Self> {
        // An array of the members in order would be taken as well.
        if !text.trim_start().starts_with('{') {
            return None;
        }
        let text: Text = serde_json::from_str(text).ok()?;
        let mut challenge_key = Zeroizing::new([0; KEY_LEN]);
        hex::decode_to_slice(&text.challenge_key, challenge_key.as_mut_slice()).ok()?;
        let captcha_secret = text
            .captcha_secret
            .as_deref()
            .filter(|secret| !secret.is_empty());
        Some(Self {
            challenge_key,
            captcha_secret: captcha_secret.map(|secret| Zeroizing::new(secret.to_owned())),
        })
    }
}

/// Reads the secret, and remembers it for a while.
pub struct IntakeSecret(Secret);

impl IntakeSecret {
    /// The secret named by `arn`.
    #[must_use]
    pub fn new(client: Client, arn: String) -> Self {
        Self(Secret::new(client, arn, REMEMBERED))
    }

    /// What it holds, where `usable` says that it is enough.
    pub(crate) async fn keys(
        &self,
        usable: impl Fn(&IntakeKeys) -> bool,
    ) -> Result<IntakeKeys, IntakeError> {
        let read = |text: &str| IntakeKeys::from_secret(text).filter(|keys| usable(keys));
        if let Some(keys) = read(self.0.at_stage(CURRENT).await?.expose()) {
            return Ok(keys);
        }
        // It may have been mended since it was read.
        read(self.0.again_at_stage(CURRENT).await?.expose()).ok_or(IntakeError::SecretInvalid)
    }
}
