//! What the command can fail with, and its exit codes.

use std::process::ExitCode;

use offchain_store::{AwsError, StoreError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// An argument, a file or a variable cannot be used.
    #[error("{0}")]
    Input(String),
    /// The API refused the request.
    #[error("the API refused: {title}: {detail}")]
    Refused { title: String, detail: String },
    /// The API did not answer as expected.
    #[error("the API at {url} did not answer: {reason}")]
    Api { url: String, reason: String },
    /// An AWS service did not answer, or refused.
    #[error("AWS did not answer as expected: {0}")]
    Aws(String),
    /// The ledger's node did not answer, or with something else.
    #[error("the ledger's node did not answer as expected: {0}")]
    Node(String),
    /// The answer is no, or nobody waited for it.
    #[error("{0}")]
    No(String),
    /// The request did not end in time.
    #[error("the request {id} is still pending after {waited}: {reason}")]
    TimedOut {
        id: String,
        waited: String,
        reason: String,
    },
}

impl CliError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Input(_) => 2,
            Self::No(_) | Self::TimedOut { .. } => 1,
            Self::Refused { .. } | Self::Api { .. } | Self::Aws(_) | Self::Node(_) => 3,
        })
    }

    /// The same, with what else there is to know behind it.
    pub(crate) fn and(self, more: &str) -> Self {
        let and = |text| format!("{text}; {more}");
        match self {
            Self::Input(text) => Self::Input(and(text)),
            Self::No(text) => Self::No(and(text)),
            Self::Aws(text) => Self::Aws(and(text)),
            other => other,
        }
    }

    pub(crate) fn input(what: impl std::fmt::Display) -> Self {
        Self::Input(what.to_string())
    }
}

impl From<AwsError> for CliError {
    fn from(error: AwsError) -> Self {
        Self::Aws(offchain_codes::chain(&error))
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Aws(offchain_codes::chain(&error))
    }
}
