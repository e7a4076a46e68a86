use std::{fmt, str::FromStr};

use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Destination, canonical::canonical};

/// What a dead letter is known by: its destination and its event, whatever its
/// message id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a fingerprint of 64 lower-case hexadecimal digits")]
pub struct FingerprintError;

impl Coded for FingerprintError {
    fn code(&self) -> &'static str {
        "FingerprintInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl Fingerprint {
    /// The fingerprint of an event for a destination.
    #[must_use]
    pub fn of(destination: Option<&Destination>, event: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(destination.map_or("", Destination::as_str));
        hash.update("\n");
        hash.update(canonical(event));
        Self(hex::encode(hash.finalize()))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let of_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(of_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FingerprintError)
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
