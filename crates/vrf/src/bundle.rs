use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::{
    Bounds, BoundsError, Due, HashToCurveError, Output, Proof, ProofError, PublicKey,
    PublicKeyError, RequestId, RequestTerms, SecretKey, Seed, Suite, VerifyError,
    text::{Decimal, Hex},
};

const VERSION: u64 = 1;

/// A request, its answer and the proof, in one file that needs nothing else to
/// verify.
///
/// It is well-formed but true only if [`ProofBundle::verify`] says so.
/// `Display` and serde write the JSON that the crate's documentation
/// specifies, and [`ProofBundle::from_json`] and serde read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ProofBundle {
    /// Names the request.
    pub request_id: RequestId,
    /// Suite of the key and the proof.
    pub suite: Suite,
    /// Key that proved the output.
    pub public_key: Vec<u8>,
    /// Input of the VRF, which encodes the terms.
    pub alpha: Vec<u8>,
    /// Proof of the output.
    pub proof: Vec<u8>,
    /// Output of the VRF.
    pub beta: Vec<u8>,
    /// The smallest value asked for.
    pub min: i64,
    /// The largest value asked for.
    pub max: i64,
    /// The answer.
    pub value: i64,
    /// When the request was to be answered.
    pub due: Due,
    /// Bytes of the requester's own choice.
    pub seed: Option<Seed>,
}

/// What a true bundle proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What was asked.
    pub terms: RequestTerms,
    /// Key that answered.
    pub public_key: PublicKey,
    /// Output of the VRF.
    pub output: Output,
    /// The answer, which the output maps to.
    pub value: i64,
}

/// Why a text is no bundle.
#[derive(Debug, Error)]
pub enum UnreadableBundle {
    /// The text is not JSON.
    #[error("expected a proof bundle in JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// The JSON is not of the shape of a bundle, or a field is not of its one
    /// spelling.
    #[error("expected a proof bundle of version 1: {0}")]
    WrongShape(#[source] serde_json::Error),
}

/// Why a well-formed bundle is false.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidBundle {
    /// The bounds have no choice between them.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// The public key is not one of the suite.
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The bundle is of another key than the expected one.
    #[error("expected the public key {expected} of {}, found {found}", expected.suite())]
    OtherKey {
        /// Key that was to have answered.
        expected: Box<PublicKey>,
        /// Key of the bundle, as hexadecimal.
        found: String,
    },
    /// The input is not that of the terms.
    #[error("expected the alpha {expected}, which encodes the terms, found {found}")]
    Alpha {
        /// Encoding of the terms, as hexadecimal.
        expected: String,
        /// Input of the bundle, as hexadecimal.
        found: String,
    },
    /// The proof is not one of the suite.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The proof is not of the key and the input.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The output is not the one proved.
    #[error("expected the beta {expected}, which the proof proves, found {found}")]
    Beta {
        /// Output of the proof, as hexadecimal.
        expected: String,
        /// Output of the bundle, as hexadecimal.
        found: String,
    },
    /// The value is not the one that the output maps to.
    #[error("expected the value {expected}, to which beta maps, found {found}")]
    Value {
        /// Value of the output.
        expected: i64,
        /// Value of the bundle.
        found: i64,
    },
}

impl ProofBundle {
    /// Answers a request.
    ///
    /// # Errors
    ///
    /// [`HashToCurveError`], which no one will ever see.
    pub fn prove(key: &SecretKey, terms: &RequestTerms) -> Result<Self, HashToCurveError> {
        let alpha = terms.alpha();
        let proof = key.prove(&alpha)?;
        let output = proof.to_hash();
        Ok(Self {
            request_id: terms.request_id.clone(),
            suite: key.suite(),
            public_key: key.public_key().as_bytes().to_vec(),
            alpha,
            proof: proof.to_bytes(),
            beta: output.as_bytes().to_vec(),
            min: terms.bounds.min(),
            max: terms.bounds.max(),
            value: terms.bounds.value(&output),
            due: terms.due,
            seed: terms.seed.clone(),
        })
    }

    /// Reads a bundle without judging whether it is true.
    ///
    /// # Errors
    ///
    /// [`UnreadableBundle`] if the text is not JSON, a field is missing,
    /// unknown, twice there or of another type, or its text is not the one
    /// spelling of its value.
    pub fn from_json(text: &str) -> Result<Self, UnreadableBundle> {
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                UnreadableBundle::WrongShape(error)
            } else {
                UnreadableBundle::NotJson(error)
            }
        })
    }

    /// Verifies that the terms make alpha, that the public key in the bundle
    /// proved beta for it, and that beta maps to the value.
    ///
    /// Whose key that is, only [`ProofBundle::verify_with_key`] asks.
    ///
    /// # Errors
    ///
    /// [`InvalidBundle`] tells the first of these that is false.
    pub fn verify(&self) -> Result<Verified, InvalidBundle> {
        let terms = RequestTerms {
            request_id: self.request_id.clone(),
            bounds: Bounds::new(self.min, self.max)?,
            due: self.due,
            seed: self.seed.clone(),
        };
        let alpha = terms.alpha();
        if self.alpha != alpha {
            return Err(InvalidBundle::Alpha {
                expected: hex::encode(alpha),
                found: hex::encode(&self.alpha),
            });
        }
        let public_key = PublicKey::from_bytes(self.suite, &self.public_key)?;
        let proof = Proof::from_bytes(self.suite, &self.proof)?;
        let output = public_key.verify(&alpha, &proof)?;
        if self.beta != output.as_bytes() {
            return Err(InvalidBundle::Beta {
                expected: output.to_string(),
                found: hex::encode(&self.beta),
            });
        }
        let value = terms.bounds.value(&output);
        if self.value != value {
            return Err(InvalidBundle::Value {
                expected: value,
                found: self.value,
            });
        }
        Ok(Verified {
            terms,
            public_key,
            output,
            value,
        })
    }

    /// As [`ProofBundle::verify`], for a key known from elsewhere.
    ///
    /// # Errors
    ///
    /// [`InvalidBundle::OtherKey`] if the bundle is of another key or suite,
    /// else as [`ProofBundle::verify`].
    pub fn verify_with_key(&self, key: &PublicKey) -> Result<Verified, InvalidBundle> {
        if (self.suite, self.public_key.as_slice()) == (key.suite(), key.as_bytes()) {
            self.verify()
        } else {
            Err(InvalidBundle::OtherKey {
                expected: Box::new(*key),
                found: hex::encode(&self.public_key),
            })
        }
    }
}

/// Writes indented JSON.
impl fmt::Display for ProofBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

/// The JSON of a bundle. Numbers are texts because the number of JSON loses
/// digits in many languages.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u64,
    request_id: String,
    suite: String,
    public_key: String,
    alpha: String,
    proof: String,
    beta: String,
    min: String,
    max: String,
    value: String,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    due_time: Option<String>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    due_height: Option<String>,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    seed: Option<String>,
}

/// Reads an optional field that is there, where serde would let null pass.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

#[derive(Debug, Error)]
enum WireError {
    #[error("expected version {VERSION}, found {0}")]
    Version(u64),
    #[error("{expected} in `{name}`")]
    Field {
        name: &'static str,
        expected: String,
    },
    #[error("expected either `due_time` or `due_height`")]
    Due,
}

impl TryFrom<Wire> for ProofBundle {
    type Error = WireError;

    fn try_from(wire: Wire) -> Result<Self, WireError> {
        if wire.version != VERSION {
            return Err(WireError::Version(wire.version));
        }
        let due = match (wire.due_time, wire.due_height) {
            (Some(time), None) => Due::At(field("due_time", &time)?),
            (None, Some(height)) => Due::Height(number("due_height", &height)?),
            _ => return Err(WireError::Due),
        };
        let seed = wire.seed.map(|seed| field("seed", &seed)).transpose()?;
        Ok(Self {
            request_id: field("request_id", &wire.request_id)?,
            suite: field("suite", &wire.suite)?,
            public_key: bytes("public_key", &wire.public_key)?,
            alpha: bytes("alpha", &wire.alpha)?,
            proof: bytes("proof", &wire.proof)?,
            beta: bytes("beta", &wire.beta)?,
            min: number("min", &wire.min)?,
            max: number("max", &wire.max)?,
            value: number("value", &wire.value)?,
            due,
            seed,
        })
    }
}

fn field<T: FromStr<Err: fmt::Display>>(name: &'static str, text: &str) -> Result<T, WireError> {
    text.parse().map_err(|error: T::Err| WireError::Field {
        name,
        expected: error.to_string(),
    })
}

fn bytes(name: &'static str, text: &str) -> Result<Vec<u8>, WireError> {
    field(name, text).map(|Hex(bytes)| bytes)
}

fn number<T: FromStr + fmt::Display>(name: &'static str, text: &str) -> Result<T, WireError> {
    field(name, text).map(|Decimal(number)| number)
}

impl From<ProofBundle> for Wire {
    fn from(bundle: ProofBundle) -> Self {
        let (due_time, due_height) = match bundle.due {
            Due::At(time) => (Some(time.to_string()), None),
            Due::Height(height) => (None, Some(height.to_string())),
        };
        Self {
            version: VERSION,
            request_id: bundle.request_id.to_string(),
            suite: bundle.suite.to_string(),
            public_key: hex::encode(bundle.public_key),
            alpha: hex::encode(bundle.alpha),
            proof: hex::encode(bundle.proof),
            beta: hex::encode(bundle.beta),
            min: bundle.min.to_string(),
            max: bundle.max.to_string(),
            value: bundle.value.to_string(),
            due_time,
            due_height,
            seed: bundle.seed.map(|seed| seed.to_string()),
        }
    }
}
