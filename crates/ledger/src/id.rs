//! The names of transactions, outputs and owners.

use std::{fmt, str::FromStr};

use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The name of a transaction, and of the asset that a CREATE makes: 64
/// hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

/// Why a text names nothing on a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// It is no id.
    #[error("expected {}", Id::EXPECTED)]
    Id,
    /// It is no public key.
    #[error("expected {}", PublicKey::EXPECTED)]
    PublicKey,
    /// It is no reference to an output.
    #[error("expected the id of a transaction, `:` and the index of an output")]
    OutputRef,
}

impl Coded for IdError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id => "IdInvalid",
            Self::PublicKey => "PublicKeyInvalid",
            Self::OutputRef => "OutputInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Id | Self::PublicKey | Self::OutputRef => false,
        }
    }
}

impl Id {
    pub(crate) const EXPECTED: &str = "an id of 64 hexadecimal digits in lower case";

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a SHA3-256 is.
    pub(crate) fn of_digest(digest: &[u8]) -> Self {
        Self(hex::encode(digest))
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Id)
        }
    }
}

/// Who owns an output: a public key of Ed25519, in base58.
///
/// It has 32 bytes. Whether they are a point of the curve is not asked: a
/// ledger lets coins go to keys that nobody can sign for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    text: String,
    bytes: [u8; 32],
}

impl PublicKey {
    pub(crate) const EXPECTED: &str = "a public key of 32 bytes in base58";

    /// The key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let text = bs58::encode(bytes).into_string();
        Self { text, bytes }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // More bytes than these have no place in the key, nor in base58's time,
        // which grows with the square of the length.
        if text.len() > 44 {
            return Err(IdError::PublicKey);
        }
        let mut bytes = [0; 32];
        match bs58::decode(text).onto(&mut bytes) {
            Ok(32) => Ok(Self {
                text: text.to_owned(),
                bytes,
            }),
            _ => Err(IdError::PublicKey),
        }
    }
}

/// One output of one transaction. Its text is `<transaction id>:<index>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputRef {
    /// The transaction.
    pub transaction_id: Id,
    /// The output's place among those of the transaction, from 0.
    pub output_index: u32,
}

impl FromStr for OutputRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let read = text.split_once(':').and_then(|(id, index)| {
            Some(Self {
                transaction_id: id.parse().ok()?,
                // One spelling for each index: `+1` and `01` are none.
                output_index: index
                    .parse()
                    .ok()
                    .filter(|n: &u32| n.to_string() == index)?,
            })
        });
        read.ok_or(IdError::OutputRef)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Display for OutputRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transaction_id, self.output_index)
    }
}

/// A text in serde.
macro_rules! serde_as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    )+};
}

serde_as_text!(Id, PublicKey, OutputRef);
