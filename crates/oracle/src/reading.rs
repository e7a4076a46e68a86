use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use jiff::Timestamp;
use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{
    FeedId, LeftOut, MAX_VALUE, Part, PublicKey, SigningKey, Slot, SourceName,
    aggregate::{median, spread},
    text::{
        hex_bytes, integer_text, millisecond_text, milliseconds, serde_as_text, whole_millisecond,
    },
};

const TITLE: &str = "offchain oracle reading v1";

/// A feed's value for a slot, and how it came about.
///
/// Times count in milliseconds: what is finer is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The feed.
    pub feed: FeedId,
    /// The slot.
    pub slot: Slot,
    /// When the last of the answers used was in.
    #[serde(with = "millisecond_text")]
    pub observed: Timestamp,
    /// When the reading was sent to be written; never before the slot.
    #[serde(with = "millisecond_text")]
    pub written: Timestamp,
    /// The median of the sources. In JSON a text.
    #[serde(with = "integer_text")]
    pub value: i128,
    /// The number is value times 10^exponent, -18 to 0.
    pub exponent: i8,
    /// The greatest value of a source less the least. In JSON a text.
    #[serde(with = "integer_text")]
    pub spread: i128,
    /// Who took part, sorted by name.
    pub sources: Vec<Part>,
    /// Who did not, sorted by name.
    pub left_out: Vec<LeftOut>,
    /// The epoch of the key that signs.
    pub key_epoch: u64,
}

impl Reading {
    /// The bytes that are signed: an encoding of the reading that no other
    /// reading has, as the crate's documentation specifies.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_canonical(&mut text);
        text.into_bytes()
    }

    fn write_canonical(&self, to: &mut String) -> fmt::Result {
        writeln!(to, "{TITLE}")?;
        writeln!(to, "feed {}", self.feed)?;
        writeln!(to, "slot {}", self.slot)?;
        writeln!(to, "observed {}", milliseconds(self.observed))?;
        writeln!(to, "written {}", milliseconds(self.written))?;
        writeln!(to, "value {}", self.value)?;
        writeln!(to, "exponent {}", self.exponent)?;
        writeln!(to, "spread {}", self.spread)?;
        for part in &self.sources {
            let observed = milliseconds(part.observed);
            writeln!(to, "source {} {} {observed}", part.source, part.value)?;
        }
        for left_out in &self.left_out {
            writeln!(to, "left-out {} {}", left_out.source, left_out.reason)?;
        }
        writeln!(to, "key-epoch {}", self.key_epoch)
    }

    /// Signs the reading. Equal readings get equal signatures of a key.
    #[must_use]
    pub fn sign(mut self, key: &SigningKey) -> SignedReading {
        // So that the reading is equal to what is read back from its JSON.
        self.observed = whole_millisecond(self.observed);
        self.written = whole_millisecond(self.written);
        for part in &mut self.sources {
            part.observed = whole_millisecond(part.observed);
        }
        SignedReading {
            public_key: key.public_key(),
            signature: key.sign(&self.canonical()),
            reading: self,
        }
    }

    /// Finds the first rule that the reading breaks.
    fn check(&self) -> Result<(), InvalidReading> {
        if self.written < self.slot.timestamp() {
            return Err(InvalidReading::Early {
                slot: self.slot,
                written: self.written,
            });
        }
        if !(-18..=0).contains(&self.exponent) {
            return Err(InvalidReading::Exponent(self.exponent));
        }
        let sorted = self.sources.is_sorted_by(|a, b| a.source < b.source)
            && self.left_out.is_sorted_by(|a, b| a.source < b.source);
        let took_part = |name: &SourceName| self.sources.iter().any(|part| part.source == *name);
        let both = self.left_out.iter().any(|one| took_part(&one.source));
        if !sorted || both {
            return Err(InvalidReading::Sources);
        }
        let values: Vec<_> = self.sources.iter().map(|part| part.value).collect();
        if let Some(found) = values
            .iter()
            .find(|value| value.unsigned_abs() > MAX_VALUE.unsigned_abs())
        {
            return Err(InvalidReading::Range(*found));
        }
        let (Some(median), Some(spread)) = (median(&values), spread(&values)) else {
            return Err(InvalidReading::NoSource);
        };
        if self.value != median {
            return Err(InvalidReading::Value {
                expected: median,
                found: self.value,
            });
        }
        if self.spread != spread {
            return Err(InvalidReading::Spread {
                expected: spread,
                found: self.spread,
            });
        }
        Ok(())
    }
}

/// A reading and the signature that anyone can check with the public key.
///
/// It is well-formed but true only if [`SignedReading::verify`] says so.
/// Serde writes and reads the JSON that the crate's documentation specifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReading {
    reading: Reading,
    public_key: PublicKey,
    signature: [u8; 64],
}

impl SignedReading {
    /// Reads a signed reading without judging whether it is true.
    ///
    /// # Errors
    ///
    /// [`UnreadableReading`] if the text is not JSON, a field is missing,
    /// unknown, twice there or of another type, or its text is not the one
    /// spelling of its value.
    pub fn from_json(text: &str) -> Result<Self, UnreadableReading> {
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                UnreadableReading::WrongShape(error)
            } else {
                UnreadableReading::NotJson(error)
            }
        })
    }

    /// The reading.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The key that is to have signed.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Verifies that the reading agrees with itself and that the public key in
    /// it signed it.
    ///
    /// Whose key that is, only [`SignedReading::verify_with_key`] asks.
    ///
    /// # Errors
    ///
    /// [`InvalidReading`] tells the first of these that is false.
    pub fn verify(&self) -> Result<(), InvalidReading> {
        self.reading.check()?;
        let message = self.reading.canonical();
        if self.public_key.verifies(&message, &self.signature) {
            Ok(())
        } else {
            Err(InvalidReading::Signature)
        }
    }

    /// As [`SignedReading::verify`], for a key known from elsewhere.
    ///
    /// # Errors
    ///
    /// [`InvalidReading::OtherKey`] if the reading is of another key, else as
    /// [`SignedReading::verify`].
    pub fn verify_with_key(&self, key: &PublicKey) -> Result<(), InvalidReading> {
        if self.public_key == *key {
            self.verify()
        } else {
            Err(InvalidReading::OtherKey {
                expected: Box::new(*key),
                found: Box::new(self.public_key),
            })
        }
    }
}

/// Why a text is no signed reading.
#[derive(Debug, Error)]
pub enum UnreadableReading {
    /// The text is not JSON.
    #[error("expected a signed reading in JSON: {0}")]
    NotJson(serde_json::Error),
    /// The JSON is not of the shape of a signed reading, or a field is not of
    /// its one spelling.
    #[error("expected a signed reading: {0}")]
    WrongShape(serde_json::Error),
}

impl Coded for UnreadableReading {
    fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::WrongShape(_) => "ReadingUnreadable",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NotJson(_) | Self::WrongShape(_) => false,
        }
    }
}

/// Why a well-formed reading is false.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidReading {
    /// It was written before it was due.
    #[error("expected a reading that was written at {slot} or after, found {}", milliseconds(*written))]
    Early {
        /// The slot.
        slot: Slot,
        /// When it was written.
        written: Timestamp,
    },
    /// The exponent is none that a feed has.
    #[error("expected an exponent from -18 to 0, found {0}")]
    Exponent(i8),
    /// A source is there twice, or not where its name belongs.
    #[error("expected each source once, sorted by name")]
    Sources,
    /// No source took part.
    #[error("expected a source that took part, found none")]
    NoSource,
    /// A source's value is none that a source can have.
    #[error("expected values of at most 33 digits, found {0}")]
    Range(i128),
    /// The value is not what the sources say.
    #[error("expected the median of the sources, {expected}, found the value {found}")]
    Value {
        /// The median of the sources.
        expected: i128,
        /// The reading's value.
        found: i128,
    },
    /// The spread is not that of the sources.
    #[error("expected the spread of the sources, {expected}, found {found}")]
    Spread {
        /// The greatest value less the least.
        expected: i128,
        /// The reading's spread.
        found: i128,
    },
    /// The reading is of another key than the expected one.
    #[error("expected the public key {expected}, found {found}")]
    OtherKey {
        /// Key that was to have signed.
        expected: Box<PublicKey>,
        /// Key of the reading.
        found: Box<PublicKey>,
    },
    /// The signature is not the key's for this reading.
    #[error("expected a signature made by this public key for this reading")]
    Signature,
}

impl Coded for InvalidReading {
    fn code(&self) -> &'static str {
        "ReadingInvalid"
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Early { .. }
            | Self::Exponent(_)
            | Self::Sources
            | Self::NoSource
            | Self::Range(_)
            | Self::Value { .. }
            | Self::Spread { .. }
            | Self::OtherKey { .. }
            | Self::Signature => false,
        }
    }
}

/// The JSON of a signed reading, which is that of the API.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    feed: FeedId,
    #[serde(with = "slot_text")]
    slot: Slot,
    status: Status,
    #[serde(with = "millisecond_text")]
    observed: Timestamp,
    #[serde(with = "millisecond_text")]
    written: Timestamp,
    #[serde(with = "integer_text")]
    value: i128,
    exponent: i8,
    #[serde(with = "integer_text")]
    spread: i128,
    sources: Vec<Part>,
    left_out: Vec<LeftOut>,
    key_epoch: u64,
    public_key: PublicKey,
    #[serde(with = "signature_text")]
    signature: [u8; 64],
}

/// The one status that a reading has. A slot that was missed has another, and
/// other fields.
struct Status;

const PUBLISHED: &str = "published";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PUBLISHED)
    }
}

impl FromStr for Status {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == PUBLISHED {
            Ok(Self)
        } else {
            Err("expected the status published")
        }
    }
}

serde_as_text!(Status);

impl Serialize for SignedReading {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Reading {
            feed,
            slot,
            observed,
            written,
            value,
            exponent,
            spread,
            sources,
            left_out,
            key_epoch,
        } = self.reading.clone();
        Wire {
            feed,
            slot,
            status: Status,
            observed,
            written,
            value,
            exponent,
            spread,
            sources,
            left_out,
            key_epoch,
            public_key: self.public_key,
            signature: self.signature,
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for SignedReading {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Wire {
            feed,
            slot,
            status: Status,
            observed,
            written,
            value,
            exponent,
            spread,
            sources,
            left_out,
            key_epoch,
            public_key,
            signature,
        } = Wire::deserialize(from)?;
        Ok(Self {
            reading: Reading {
                feed,
                slot,
                observed,
                written,
                value,
                exponent,
                spread,
                sources,
                left_out,
                key_epoch,
            },
            public_key,
            signature,
        })
    }
}

/// A slot in its one spelling, where [`Slot`] itself reads every one.
mod slot_text {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Slot, de::Error};

    pub(super) fn serialize<S: Serializer>(slot: &Slot, to: S) -> Result<S::Ok, S::Error> {
        slot.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Slot, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<Slot>() {
            Ok(slot) if slot.to_string() == text => Ok(slot),
            _ => Err(D::Error::custom(crate::SlotError)),
        }
    }
}

mod signature_text {
    use super::{Deserialize, Deserializer, Serializer, de::Error, hex_bytes};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 64], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 64], D::Error> {
        hex_bytes(&String::deserialize(from)?).ok_or_else(|| {
            D::Error::custom(
                "expected a signature of 64 bytes, as 128 characters of lower-case hexadecimal",
            )
        })
    }
}
