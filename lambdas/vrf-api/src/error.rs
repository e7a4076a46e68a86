//! What can be wrong with a request, and what the caller is told.

use offchain_codes::Coded;
use offchain_function::http::{BodyError, Public};
use offchain_store::StoreError;
use offchain_store::secret::SecretError;
use offchain_store::vrf::RecordError;
use offchain_vrf::{BoundsError, TermError};

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no `Authorization` header with a bearer token.
    #[error("expected the header Authorization: Bearer <token>")]
    TokenMissing,
    /// The token is none of those that are allowed.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The tokens' secret is no list of tokens.
    #[error("the secret with the API tokens is unusable")]
    Tokens(#[source] serde_json::Error),
    /// The tokens' secret could not be read.
    #[error("the API tokens could not be read")]
    TokensUnread(#[source] SecretError),
    /// The `Idempotency-Key` header is missing or unusable.
    #[error("expected the header Idempotency-Key with 1 to 255 printable ASCII characters")]
    IdempotencyKey,
    /// The key was used before with another body.
    #[error("this Idempotency-Key was used before with another body")]
    KeyReused,
    /// The body is too large or badly encoded.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not the JSON that was expected.
    #[error("the body is not the JSON that was expected: {0}")]
    Json(serde_json::Error),
    /// The bounds are not in order.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A part of the terms is unusable.
    #[error(transparent)]
    Terms(#[from] TermError),
    /// More than one of the ways to say when is used, or the time is out of reach.
    #[error("{0}")]
    Due(String),
    /// There is no such request.
    #[error("there is no such request")]
    NotFound,
    /// No key has been published, or none is active yet.
    #[error("no key is active yet")]
    NoKey,
    /// API Gateway sent a route that this function does not have.
    #[error("there is no route {0:?}")]
    Route(String),
    /// The stored items contradict each other.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing => "TokenMissing",
            Self::TokenInvalid => "TokenInvalid",
            Self::Tokens(_) => "TokensInvalid",
            Self::TokensUnread(error) => error.code(),
            Self::IdempotencyKey => "IdempotencyKeyInvalid",
            Self::KeyReused => "IdempotencyKeyReused",
            Self::Body(error) => error.code(),
            Self::Json(_) => "BodyInvalid",
            Self::Bounds(_) => "BoundsInvalid",
            Self::Terms(_) => "BodyInvalid",
            Self::Due(_) => "DueInvalid",
            Self::NotFound => "RequestNotFound",
            Self::NoKey => "KeyUnavailable",
            Self::Route(_) => "RouteNotFound",
            Self::Record(_) => "RecordInvalid",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::TokensUnread(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
            Self::NoKey => true,
            Self::TokenMissing
            | Self::TokenInvalid
            | Self::Tokens(_)
            | Self::IdempotencyKey
            | Self::KeyReused
            | Self::Body(_)
            | Self::Json(_)
            | Self::Bounds(_)
            | Self::Terms(_)
            | Self::Due(_)
            | Self::NotFound
            | Self::Route(_)
            | Self::Record(_) => false,
        }
    }
}

impl Public for ApiError {
    fn status(&self) -> u16 {
        match self {
            Self::TokenMissing | Self::TokenInvalid => 401,
            Self::Body(error) => error.status(),
            Self::IdempotencyKey
            | Self::Json(_)
            | Self::Bounds(_)
            | Self::Terms(_)
            | Self::Due(_) => 400,
            Self::KeyReused => 422,
            Self::NotFound | Self::Route(_) => 404,
            Self::NoKey => 503,
            Self::TokensUnread(error) if error.retryable() => 503,
            Self::Store(error) if error.retryable() => 503,
            Self::Tokens(_) | Self::TokensUnread(_) | Self::Record(_) | Self::Store(_) => 500,
        }
    }
}
