use offchain_codes::Coded;
use thiserror::Error;

/// Why a text is not what it should be.
#[derive(Debug, Error)]
pub enum RideError {
    /// It is no ride request.
    #[error("{0}")]
    Request(Misread),
    /// It is no ride, or no part of one.
    #[error("{0}")]
    Ride(Misread),
}

/// What was expected of a text.
#[derive(Debug, Error)]
pub enum Misread {
    /// JSON that every reader understands in the same way.
    #[error("expected an object in JSON: {0}")]
    Json(serde_json::Error),
    /// An object and nothing else.
    #[error("expected an object in JSON")]
    Object,
    /// Something else in a member.
    #[error("expected {expected} in `{path}`")]
    Member {
        /// The names that lead to the member, with dots.
        path: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Misread {
    pub(crate) fn member(path: impl Into<String>, expected: &'static str) -> Self {
        Self::Member {
            path: path.into(),
            expected,
        }
    }
}

impl Coded for RideError {
    fn code(&self) -> &'static str {
        match self {
            Self::Request(_) => "RideRequestInvalid",
            Self::Ride(_) => "RideInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Request(_) | Self::Ride(_) => false,
        }
    }
}
