//! What can go wrong between a function and an AWS service.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use offchain_codes::Coded;

/// Codes with which AWS services say "later", as the AWS page "Retry behavior"
/// of the SDK reference guide lists them; conflicts of transactions are added.
const LATER: &[&str] = &[
    "BandwidthLimitExceeded",
    "InternalServerError",
    "InternalServiceError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes beside `AccessDenied…` with which AWS services say that a role may not
/// do this; the second is the word of SNS.
const DENIED: &[&str] = &["UnrecognizedClientException", "AuthorizationError"];

type Cause = Box<dyn Error + Send + Sync>;

/// A call to an AWS service that failed.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// No answer, or an answer that says "later".
    #[error("the service is not available now")]
    Unavailable(#[source] Cause),
    /// The function's role does not allow the call.
    #[error("the service denied access")]
    Denied(#[source] Cause),
    /// The service will never accept this call.
    #[error("the service rejected the call")]
    Rejected(#[source] Cause),
}

impl AwsError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Denied(_) | Self::Rejected(_) => false,
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for AwsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let SdkError::ServiceError(service) = &error else {
            return match error {
                SdkError::ConstructionFailure(_) => Self::Rejected(innermost(error)),
                _ => Self::Unavailable(innermost(error)),
            };
        };
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or_default();
        if code.starts_with("AccessDenied") || DENIED.contains(&code) {
            Self::Denied(innermost(error))
        } else if status >= 500 || status == 429 || LATER.contains(&code) {
            Self::Unavailable(innermost(error))
        } else {
            Self::Rejected(innermost(error))
        }
    }
}

/// The SDK's outer error says only "service error"; its source says which.
fn innermost<E>(error: SdkError<E, HttpResponse>) -> Cause
where
    E: Error + Send + Sync + 'static,
{
    error
        .into_source()
        .unwrap_or_else(|error| Box::new(error) as Cause)
}

/// Whether a conditional write was made. A condition that did not hold is an
/// answer, not an error.
pub(crate) fn made<O, E>(outcome: Result<O, SdkError<E, HttpResponse>>) -> Result<bool, StoreError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table or queue could not be used.
    #[error("the store could not be used")]
    Aws(#[source] AwsError),
    /// An item does not have the shape that this version writes.
    #[error("an item of the store cannot be read: {0}")]
    Item(#[source] serde_dynamo::Error),
    /// A value inside an item does not have the shape that this version writes.
    #[error("a value of the store cannot be read")]
    Value(#[source] serde_json::Error),
    /// A message could not be written as JSON.
    #[error("a message cannot be written")]
    Message(#[source] serde_json::Error),
}

impl StoreError {
    /// A request that lacks what the service demands.
    pub(crate) fn unbuilt(error: aws_smithy_types::error::operation::BuildError) -> Self {
        Self::Aws(AwsError::Rejected(Box::new(error)))
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::Aws(error.into())
    }
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Aws(AwsError::Unavailable(_)) => "StoreUnavailable",
            Self::Aws(AwsError::Denied(_)) => "StoreDenied",
            Self::Aws(AwsError::Rejected(_))
            | Self::Item(_)
            | Self::Value(_)
            | Self::Message(_) => "StoreRejected",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Aws(error) => error.retryable(),
            Self::Item(_) | Self::Value(_) | Self::Message(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::test_util::{FakeAws, Reply, refusal};

    use super::*;

    /// The code of a read that is answered so, and whether it is worth another.
    async fn read_answered(reply: Reply) -> (&'static str, bool) {
        let aws = FakeAws::new().on("Query", reply);
        let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
        let error = crate::vrf::Requests::new(client, "vrf".into())
            .load("r1")
            .await
            .unwrap_err();
        (error.code(), error.retryable())
    }

    #[tokio::test]
    async fn what_says_later_is_unavailable() {
        for reply in [
            refusal(400, "ThrottlingException"),
            refusal(400, "ProvisionedThroughputExceededException"),
            refusal(400, "RequestLimitExceeded"),
            refusal(429, "NobodyKnows"),
            refusal(500, "InternalServerError"),
            refusal(503, "NobodyKnows"),
            Reply::NoConnection,
            Reply::Silence,
        ] {
            let outcome = read_answered(reply.clone()).await;
            assert_eq!(outcome, ("StoreUnavailable", true), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn what_the_role_may_not_do_is_denied() {
        for code in [
            "AccessDenied",
            "AccessDeniedException",
            "UnrecognizedClientException",
            "AuthorizationError",
        ] {
            let outcome = read_answered(refusal(400, code)).await;
            assert_eq!(outcome, ("StoreDenied", false), "{code}");
        }
    }

    #[tokio::test]
    async fn what_can_never_succeed_is_rejected() {
        for code in ["ValidationException", "ResourceNotFoundException", "Odd"] {
            let outcome = read_answered(refusal(400, code)).await;
            assert_eq!(outcome, ("StoreRejected", false), "{code}");
        }
    }

    #[tokio::test]
    async fn an_error_names_what_the_service_said() {
        let aws = FakeAws::new().on("Query", refusal(400, "ValidationException"));
        let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
        let error = crate::vrf::Requests::new(client, "vrf".into())
            .load("r1")
            .await
            .unwrap_err();
        let said = offchain_codes::chain(&error);
        assert!(said.contains("ValidationException"), "{said}");
        assert!(said.contains("as the test says"), "{said}");
    }
}
