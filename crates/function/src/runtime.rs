//! Runs a handler under the Lambda Runtime API.

use std::future::Future;
use std::sync::Arc;

use aws_types::SdkConfig;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use offchain_codes::{Coded, chain};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clients;
use crate::config::{ConfigError, Env};

/// What a function does with one event.
pub trait Handler: Send + Sync + 'static {
    /// The event's shape; what it is called in an error that says it was expected.
    const EXPECTS: &'static str;
    /// The event.
    type Event: DeserializeOwned + Send;
    /// The reply.
    type Reply: Serialize + Send;
    /// The error, reported to Lambda under its stable code.
    type Error: Coded + Send + 'static;

    /// Handles one event. `invocation` is Lambda's request id, a UUID that an
    /// asynchronous retry of the same event keeps.
    fn handle(
        &self,
        event: Self::Event,
        invocation: &str,
    ) -> impl Future<Output = Result<Self::Reply, Self::Error>> + Send;
}

/// An event that is not of the shape the function takes.
#[derive(Debug, thiserror::Error)]
#[error("the event is unusable: expected {expected}: {reason}")]
struct InputError {
    expected: &'static str,
    reason: serde_json::Error,
}

impl Coded for InputError {
    fn code(&self) -> &'static str {
        "InputInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

/// Serves the handler that `build` makes from the environment, until Lambda
/// ends the process.
///
/// A handler that cannot be built still answers: every invocation fails with
/// `ConfigInvalid` and the list of what is wrong. Ending the process instead
/// would hide that list behind `Runtime.ExitError`.
pub async fn run<H: Handler>(
    build: impl FnOnce(Env<'static>, &SdkConfig) -> Result<H, ConfigError>,
) -> Result<(), lambda_runtime::Error> {
    init_tracing();
    let handler = clients::sdk_config(Env::of_process())
        .and_then(|sdk| build(Env::of_process(), &sdk))
        .map(Arc::new)
        .map_err(Arc::new);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let handler = handler.clone();
        async move {
            let id = event.context.request_id;
            let handler = handler.map_err(|error| diagnostic(&*error, &id))?;
            // Boxed, because the compiler limits how deep futures may nest.
            Box::pin(answer(&*handler, event.payload, &id)).await
        }
    }))
    .await
}

async fn answer<H: Handler>(handler: &H, payload: Value, id: &str) -> Result<H::Reply, Diagnostic> {
    let event = serde_json::from_value(payload).map_err(|reason| {
        let error = InputError {
            expected: H::EXPECTS,
            reason,
        };
        diagnostic(&error, id)
    })?;
    handler
        .handle(event, id)
        .await
        .map_err(|error| diagnostic(&error, id))
}

/// This is the boundary at which a failed invocation is logged, once.
fn diagnostic(error: &dyn Coded, aws_request_id: &str) -> Diagnostic {
    let message = chain(error);
    tracing::error!(
        code = error.code(),
        retryable = error.retryable(),
        aws_request_id,
        error = message,
        "the invocation failed"
    );
    Diagnostic {
        error_type: error.code().to_owned(),
        error_message: message,
    }
}

fn init_tracing() {
    let level = std::env::var("LOG_LEVEL").unwrap_or_default();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing::Level::INFO.into())
                .parse_lossy(level),
        )
        // CloudWatch stamps each line itself.
        .without_time()
        .init();
}
