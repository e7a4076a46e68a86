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
        if code.starts_with("AccessDenied") || code == "UnrecognizedClientException" {
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

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table or queue could not be used.
    #[error("the store could not be used")]
    Aws(#[source] AwsError),
    /// An item does not have the shape that this version writes.
    #[error("an item of the store cannot be read: {0}")]
    Item(#[source] serde_dynamo::Error),
    /// A message could not be written as JSON.
    #[error("a message cannot be written")]
    Message(#[source] serde_json::Error),
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
            Self::Aws(AwsError::Rejected(_)) | Self::Item(_) | Self::Message(_) => "StoreRejected",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Aws(error) => error.retryable(),
            Self::Item(_) | Self::Message(_) => false,
        }
    }
}
