use offchain_codes::Coded;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What a client names a claim, so that to send it again is not to claim again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// A text that is no idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected an idempotency key of 1 to 128 printable characters of ASCII")]
pub struct IdempotencyKeyError;

impl Coded for IdempotencyKeyError {
    fn code(&self) -> &'static str {
        "IdempotencyKeyInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl IdempotencyKey {
    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`IdempotencyKeyError`] where it is not 1 to 128 characters from ` ` to
    /// `~`.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        let printable = |byte: u8| matches!(byte, b' '..=b'~');
        if (1..=128).contains(&text.len()) && text.bytes().all(printable) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdempotencyKeyError)
        }
    }

    /// The id of the one claim of this key. It does not give the key away.
    #[must_use]
    pub fn claim_id(&self) -> String {
        let digest = Sha256::new()
            .chain_update("offchain-faucet-claim:")
            .chain_update(&self.0)
            .finalize();
        hex::encode(&digest[..16])
    }
}

/// The id of a claim without an idempotency key, out of random bytes.
#[must_use]
pub fn random_claim_id(random: [u8; 16]) -> String {
    hex::encode(random)
}
