//! Answers of the REST API: the node's JSON, and gRPC's errors as its gateway
//! writes them.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer with a body of JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Value,
}

/// What a handler returns: both kinds are answers.
pub(crate) type Reply = Result<Answer, Answer>;

impl Answer {
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// `code` is gRPC's.
    pub(crate) fn error(status: StatusCode, code: u8, message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::new(
            status,
            json!({"code": code, "message": message, "details": []}),
        )
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, 2, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, 3, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::error(StatusCode::NOT_FOUND, 5, message)
    }

    pub(crate) fn not_implemented() -> Self {
        Self::error(StatusCode::NOT_IMPLEMENTED, 12, "Not Implemented")
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = self.body.to_string();
        (self.status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}
