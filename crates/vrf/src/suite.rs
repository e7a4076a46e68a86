use std::{fmt, str::FromStr};

use crate::text::serde_as_text;

/// A ciphersuite of RFC 9381, section 5.5.
///
/// Its text, in `Display`, `FromStr` and serde, is the RFC's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `ECVRF-EDWARDS25519-SHA512-TAI`, the default.
    #[default]
    Edwards25519Sha512Tai,
    /// `ECVRF-P256-SHA256-TAI`.
    P256Sha256Tai,
}

impl Suite {
    /// Every suite this crate has.
    pub const ALL: [Self; 2] = [Self::Edwards25519Sha512Tai, Self::P256Sha256Tai];

    /// Bytes in a secret key, of every suite.
    pub const SECRET_KEY_LEN: usize = 32;

    /// The name the RFC gives.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edwards25519Sha512Tai => "ECVRF-EDWARDS25519-SHA512-TAI",
            Self::P256Sha256Tai => "ECVRF-P256-SHA256-TAI",
        }
    }

    /// The `suite_string`, which starts every hash input.
    #[must_use]
    pub const fn suite_string(self) -> u8 {
        match self {
            Self::Edwards25519Sha512Tai => 0x03,
            Self::P256Sha256Tai => 0x01,
        }
    }

    /// Bytes in a public key, which is one encoded point (`ptLen`).
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Edwards25519Sha512Tai => 32,
            Self::P256Sha256Tai => 33,
        }
    }

    /// Bytes in a proof (`ptLen + cLen + qLen`).
    #[must_use]
    pub const fn proof_len(self) -> usize {
        self.public_key_len() + 16 + 32
    }

    /// Bytes in an output (`hLen`).
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Edwards25519Sha512Tai => 64,
            Self::P256Sha256Tai => 32,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no suite of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the suite ECVRF-EDWARDS25519-SHA512-TAI or ECVRF-P256-SHA256-TAI")]
pub struct UnknownSuite;

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == text)
            .ok_or(UnknownSuite)
    }
}

serde_as_text!(Suite);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_parses() {
        for suite in Suite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
            let json = serde_json::to_string(&suite).unwrap();
            assert_eq!(json, format!("\"{suite}\""));
            assert_eq!(serde_json::from_str::<Suite>(&json).unwrap(), suite);
            assert!(suite.name().to_lowercase().parse::<Suite>().is_err());
        }
        assert!("ECVRF-P256-SHA256-SSWU".parse::<Suite>().is_err());
        assert_eq!(Suite::default().suite_string(), 0x03);
    }
}
