//! Requests and replies of the HTTP API (payload format 2.0), with RFC 9457
//! problem documents for every error.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offchain_codes::{Coded, chain};
use serde::Serialize;

/// What an error may say in public. The internal chain of causes goes to the
/// log; only this goes into a reply.
pub trait Public: Coded {
    /// The HTTP status.
    fn status(&self) -> u16;

    /// What is wrong and what was expected, for the caller's eyes. Of what is
    /// wrong on our side it says whether to try again, and nothing else.
    fn detail(&self) -> String {
        if self.status() < 500 {
            self.to_string()
        } else {
            our_fault(self.retryable()).to_owned()
        }
    }

    /// Seconds after which the same request may succeed.
    fn retry_after(&self) -> Option<u32> {
        self.retryable().then_some(1)
    }
}

/// What a caller is told of an error on our side.
#[must_use]
pub fn our_fault(retryable: bool) -> &'static str {
    if retryable {
        "the service cannot answer now; the same request may succeed later"
    } else {
        "the service cannot answer; its operator finds the reason in the log"
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: String,
}

/// The reply to a request that failed. Errors on our side are logged here, once.
pub fn problem(error: &impl Public) -> ApiGatewayV2httpResponse {
    let status = error.status();
    if status >= 500 {
        tracing::error!(
            code = error.code(),
            status,
            error = chain(error),
            "the request failed"
        );
    }
    let problem = Problem {
        kind: format!("urn:offchain:{}", error.code()),
        title: error.code(),
        status,
        detail: error.detail(),
    };
    let mut reply = reply(status, "application/problem+json", &problem);
    if let Some(seconds) = error.retry_after() {
        reply.headers.insert(RETRY_AFTER, seconds.into());
    }
    if status == 401 {
        // RFC 9110 section 15.5.2 wants to be told how to authenticate.
        let scheme = HeaderValue::from_static("Bearer");
        reply.headers.insert(WWW_AUTHENTICATE, scheme);
    }
    reply
}

/// A reply with a JSON body.
pub fn json(status: u16, body: &impl Serialize) -> ApiGatewayV2httpResponse {
    reply(status, "application/json", body)
}

fn reply(
    status: u16,
    content_type: &'static str,
    body: &impl Serialize,
) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = ApiGatewayV2httpResponse::default();
    match serde_json::to_string(body) {
        Ok(text) => {
            response.status_code = i64::from(status);
            response.body = Some(Body::Text(text));
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "a reply could not be written");
            response.status_code = 500;
        }
    }
    response.headers = headers;
    response
}

/// A body that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than the limit, in bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It is marked as Base64 and is not.
    #[error("the body is not valid Base64")]
    NotBase64(#[source] base64::DecodeError),
}

impl Coded for BodyError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "BodyTooLarge",
            Self::NotBase64(_) => "BodyInvalid",
        }
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl Public for BodyError {
    fn status(&self) -> u16 {
        match self {
            Self::TooLarge(_) => 413,
            Self::NotBase64(_) => 400,
        }
    }
}

/// The bytes of the body, at most `limit` of them.
pub fn body(request: &ApiGatewayV2httpRequest, limit: usize) -> Result<Vec<u8>, BodyError> {
    let text = request.body.as_deref().unwrap_or_default();
    // Base64 takes four characters for three bytes, so a longer text cannot fit.
    if text.len() > limit.div_ceil(3) * 4 {
        return Err(BodyError::TooLarge(limit));
    }
    let bytes = if request.is_base64_encoded {
        STANDARD.decode(text).map_err(BodyError::NotBase64)?
    } else {
        text.as_bytes().to_vec()
    };
    if bytes.len() > limit {
        return Err(BodyError::TooLarge(limit));
    }
    Ok(bytes)
}

/// A header's value, where it is text.
#[must_use]
pub fn header<'a>(request: &'a ApiGatewayV2httpRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
#[must_use]
pub fn bearer(request: &ApiGatewayV2httpRequest) -> Option<&str> {
    let (scheme, token) = header(request, "authorization")?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str, base64: bool) -> ApiGatewayV2httpRequest {
        let mut request = ApiGatewayV2httpRequest::default();
        request.body = Some(body.to_owned());
        request.is_base64_encoded = base64;
        request
    }

    #[test]
    fn a_body_is_limited_before_and_after_decoding() {
        assert_eq!(body(&request("abc", false), 3).unwrap(), b"abc");
        assert_eq!(body(&request("YWJj", true), 3).unwrap(), b"abc");
        for (text, base64) in [("abcd", false), ("YWJjZA==", true)] {
            let error = body(&request(text, base64), 3).unwrap_err();
            assert_eq!((error.code(), error.status()), ("BodyTooLarge", 413));
        }
        let error = body(&request("?", true), 3).unwrap_err();
        assert_eq!((error.code(), error.status()), ("BodyInvalid", 400));
    }

    #[test]
    fn only_a_bearer_token_is_taken() {
        let with = |value: &'static str| {
            let mut request = ApiGatewayV2httpRequest::default();
            request
                .headers
                .insert("authorization", HeaderValue::from_static(value));
            bearer(&request).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer "), None);
        assert_eq!(with("abc"), None);
    }

    #[test]
    fn a_problem_names_its_code_and_hides_its_causes() {
        let error = body(&request("?", true), 3).unwrap_err();
        let reply = problem(&error);
        assert_eq!(reply.status_code, 400);
        assert_eq!(reply.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            reply.body,
            Some(Body::Text(
                r#"{"type":"urn:offchain:BodyInvalid","title":"BodyInvalid","status":400,"detail":"the body is not valid Base64"}"#
                    .to_owned()
            ))
        );
    }
}
