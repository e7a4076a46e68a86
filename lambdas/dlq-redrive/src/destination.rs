//! Sends an event where it came from.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use offchain_codes::chain;
use offchain_redrive::{DeadLetter, Destination, Kind, Source};
use offchain_store::AwsError;
use offchain_store::queue::{ERROR_CODE, ERROR_MESSAGE};
use serde::Deserialize;

use crate::queue::url;

/// How long an invoked function may take: longer than any of the suite's has.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(70);

/// Why a destination did not take an event.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) reason: String,
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Self {
        let code = match error {
            AwsError::Unavailable(_) => "DestinationUnavailable",
            AwsError::Denied(_) => "DestinationDenied",
            AwsError::Rejected(_) => "DestinationRejected",
        };
        Self {
            code: code.to_owned(),
            reason: chain(&error),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FunctionError {
    error_type: String,
    error_message: String,
}

impl Default for FunctionError {
    fn default() -> Self {
        Self {
            error_type: "FunctionFailed".to_owned(),
            error_message: "the function failed without saying why".to_owned(),
        }
    }
}

/// The services that events go back to.
pub(crate) struct Destinations {
    pub(crate) sqs: aws_sdk_sqs::Client,
    lambda: aws_sdk_lambda::Client,
    sfn: aws_sdk_sfn::Client,
    sns: aws_sdk_sns::Client,
}

impl Destinations {
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        // One attempt: an invocation whose reply was lost may have done its work.
        let lambda = aws_sdk_lambda::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(1))
                    .operation_attempt_timeout(INVOCATION_TIMEOUT)
                    .build(),
            )
            .build();
        Self {
            sqs: aws_sdk_sqs::Client::new(sdk),
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            sfn: aws_sdk_sfn::Client::new(sdk),
            sns: aws_sdk_sns::Client::new(sdk),
        }
    }

    /// Sends the letter's event to `destination`. A function is invoked and
    /// waited for, so that its error is known and the letter stays where it is.
    pub(crate) async fn send(
        &self,
        destination: &Destination,
        letter: &DeadLetter,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        match destination.kind() {
            Kind::Queue => self.to_queue(destination, letter, attributes).await,
            Kind::Function => self.to_function(destination, letter).await,
            Kind::Machine => self.to_machine(destination, letter).await,
            Kind::Topic => {
                self.sns
                    .publish()
                    .topic_arn(destination.as_str())
                    .message(&letter.event)
                    .send()
                    .await
                    .map_err(AwsError::from)?;
                Ok(())
            }
        }
    }

    async fn to_queue(
        &self,
        destination: &Destination,
        letter: &DeadLetter,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        // With the account, so that the like-named queue of another is not this one.
        let account = Some(destination.account());
        let mut message = self
            .sqs
            .send_message()
            .queue_url(url(&self.sqs, destination.name(), account).await?)
            .message_body(&letter.event);
        // Why it was a dead letter is no part of the message. Of an event of
        // EventBridge no attribute is: they would have it taken for undelivered
        // again where it lies next.
        let of_sender = !matches!(letter.source, Source::Schedule | Source::Rule);
        for (name, value) in attributes.iter().filter(|_| of_sender) {
            if name == ERROR_CODE || name == ERROR_MESSAGE {
                continue;
            }
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| AwsError::Rejected(Box::new(error)))?;
            message = message.message_attributes(name, value);
        }
        message.send().await.map_err(AwsError::from)?;
        Ok(())
    }

    async fn to_function(
        &self,
        destination: &Destination,
        letter: &DeadLetter,
    ) -> Result<(), Refusal> {
        let reply = self
            .lambda
            .invoke()
            .function_name(destination.as_str())
            .payload(Blob::new(letter.event.as_bytes()))
            .send()
            .await
            .map_err(AwsError::from)?;
        if reply.function_error.is_none() {
            return Ok(());
        }
        let said = reply.payload.map(Blob::into_inner).unwrap_or_default();
        let said: FunctionError = serde_json::from_slice(&said).unwrap_or_default();
        Err(Refusal {
            code: said.error_type,
            reason: said.error_message,
        })
    }

    async fn to_machine(
        &self,
        destination: &Destination,
        letter: &DeadLetter,
    ) -> Result<(), Refusal> {
        // The name hangs on the message: a second try finds it taken.
        let message: String = letter
            .message_id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(32)
            .collect();
        let outcome = self
            .sfn
            .start_execution()
            .state_machine_arn(destination.as_str())
            .name(format!("redrive-{}-{message}", letter.fingerprint.short()))
            .input(&letter.event)
            .send()
            .await;
        match outcome {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(AwsError::from(error).into()),
            Ok(_) => Ok(()),
        }
    }
}
