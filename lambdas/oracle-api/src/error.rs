//! What can be wrong with a request, and what the caller is told.

use offchain_codes::Coded;
use offchain_function::http::Public;
use offchain_store::StoreError;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no such feed.
    #[error("there is no feed {0:?}")]
    FeedNotFound(String),
    /// The feed has had no reading for long, or never had one.
    #[error("the feed {0} had no reading within the last hour")]
    ReadingNotFound(String),
    /// A parameter of the query cannot be used.
    #[error("{name} is {given:?}: expected {expected}")]
    Query {
        /// The parameter.
        name: &'static str,
        /// Its value.
        given: String,
        /// What it should be.
        expected: &'static str,
    },
    /// API Gateway sent a route that this function does not have.
    #[error("there is no route {0:?}")]
    Route(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::FeedNotFound(_) => "FeedNotFound",
            Self::ReadingNotFound(_) => "ReadingNotFound",
            Self::Query { .. } => "QueryInvalid",
            Self::Route(_) => "RouteNotFound",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.retryable(),
            // The next slot may have one.
            Self::ReadingNotFound(_) => true,
            Self::FeedNotFound(_) | Self::Query { .. } | Self::Route(_) => false,
        }
    }
}

impl Public for ApiError {
    fn status(&self) -> u16 {
        match self {
            Self::FeedNotFound(_) | Self::ReadingNotFound(_) | Self::Route(_) => 404,
            Self::Query { .. } => 400,
            Self::Store(error) if error.retryable() => 503,
            Self::Store(_) => 500,
        }
    }
}
