use offchain_codes::Coded;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::object::Object;

/// What somebody who claims sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimBody {
    /// Where the coins go: 1 to 128 characters, not yet an address of any chain.
    pub address: String,
    /// The answer to a captcha or a challenge, at most 4096 characters; empty
    /// where there is none.
    pub response: String,
}

/// Why some bytes are no claim.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// They are no object in JSON.
    #[error("expected an object in JSON: {0}")]
    Json(serde_json::Error),
    /// A member is not what it may be.
    #[error("expected {expected} in `{member}`")]
    Member {
        /// Its name.
        member: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl Coded for ClaimError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Member { .. } => "ClaimInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Json(_) | Self::Member { .. } => false,
        }
    }
}

const ADDRESS: ClaimError = ClaimError::Member {
    member: "address",
    expected: "a text of 1 to 128 characters",
};

const RESPONSE: ClaimError = ClaimError::Member {
    member: "response",
    expected: "a text of at most 4096 characters",
};

/// An absent member is null.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Members {
    address: Value,
    response: Value,
}

impl ClaimBody {
    /// Reads the body of a claim. Members other than these two are ignored.
    ///
    /// # Errors
    ///
    /// [`ClaimError`] tells the first rule that the body breaks.
    pub fn from_json(json: &[u8]) -> Result<Self, ClaimError> {
        let Object(members): Object<Members> =
            serde_json::from_slice(json).map_err(ClaimError::Json)?;
        let address = match members.address {
            Value::String(text) if (1..=128).contains(&text.chars().count()) => text,
            _ => return Err(ADDRESS),
        };
        let response = match members.response {
            Value::Null => String::new(),
            Value::String(text) if text.chars().count() <= 4096 => text,
            _ => return Err(RESPONSE),
        };
        Ok(Self { address, response })
    }
}
