//! Starts one execution of the fulfilment machine for each message of the
//! queue.
//!
//! The contract with the queue: a message that can never be used goes to the
//! dead-letter queue with its reason and is acknowledged. A message that may
//! be used later fails alone and is delivered again; on its last delivery it
//! goes to the dead-letter queue as well, with the last error.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_types::SdkConfig;
use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_function::config::{ConfigError, Env};
use offchain_function::sqs::{each_record, receives};
use offchain_function::{Handler, config};
use offchain_store::queue::Queue;
use offchain_store::vrf::{RequestItem, RequestMessage, Requests};
use offchain_store::{AwsError, Moment, StoreError};
use serde::Serialize;

/// Why a message did not start an execution.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The body is not the message that was expected.
    #[error(
        "expected {{unique_identifier, target_block_in_the_future, min_random_value, max_random_value}}"
    )]
    Message(#[source] serde_json::Error),
    /// The message names no request.
    #[error("there is no request {0}")]
    NotFound(String),
    /// The message says something else than the request it names.
    #[error("the message contradicts the stored request {0}")]
    Mismatch(String),
    /// The machine could not be started.
    #[error("the execution could not be started")]
    Start(#[source] AwsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Message(_) => "MessageInvalid",
            Self::NotFound(_) => "RequestNotFound",
            Self::Mismatch(_) => "MessageMismatch",
            Self::Start(_) => "StartFailed",
            Self::Store(error) => error.code(),
        }
    }

    /// Whether a later delivery may succeed. A denied call may: policies are
    /// mended while messages wait.
    fn retryable(&self) -> bool {
        match self {
            Self::Message(_) | Self::NotFound(_) | Self::Mismatch(_) => false,
            Self::Start(_) | Self::Store(_) => true,
        }
    }
}

/// The input of the machine.
#[derive(Serialize)]
struct Execution<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_height: Option<u64>,
    deadline: Moment,
}

struct Config {
    table: String,
    machine: String,
    dlq_url: String,
    max_receives: u32,
}

/// Starts the executions.
pub struct Starter {
    requests: Requests,
    sfn: aws_sdk_sfn::Client,
    machine: String,
    dlq: Queue,
    max_receives: u32,
}

impl Starter {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            table: required "VRF_TABLE", "a table name",
            machine: required "VRF_STATE_MACHINE_ARN", "the ARN of a state machine",
            dlq_url: required "VRF_REQUESTS_DLQ_URL", "a queue URL",
            max_receives: required "VRF_MAX_RECEIVES", "the queue's maxReceiveCount",
        })?;
        Ok(Self {
            requests: Requests::new(aws_sdk_dynamodb::Client::new(sdk), config.table),
            sfn: aws_sdk_sfn::Client::new(sdk),
            machine: config.machine,
            dlq: Queue::new(aws_sdk_sqs::Client::new(sdk), config.dlq_url),
            max_receives: config.max_receives,
        })
    }

    async fn start_or_bury(&self, record: &SqsMessage) -> Result<(), StartError> {
        let body = record.body.as_deref().unwrap_or_default();
        let receives = receives(record);
        let outcome = self.start(body).await;
        self.dlq
            .settle(body, receives, self.max_receives, outcome)
            .await
    }

    async fn start(&self, body: &str) -> Result<(), StartError> {
        let message: RequestMessage = serde_json::from_str(body).map_err(StartError::Message)?;
        let id = &message.unique_identifier;
        let request = match self.requests.load(id).await? {
            None => return Err(StartError::NotFound(id.clone())),
            Some(record) => record.request,
        };
        if message != RequestMessage::from(&request) {
            return Err(StartError::Mismatch(id.clone()));
        }
        self.requests
            .begin(id, Timestamp::now().into(), request.expiration)
            .await?;
        self.execute(&request).await
    }

    async fn execute(&self, request: &RequestItem) -> Result<(), StartError> {
        let input = serde_json::to_string(&Execution {
            request_id: &request.unique_identifier,
            due_time: request.fulfill_time_expected,
            target_height: request.target_height,
            deadline: request.deadline,
        })
        .map_err(StoreError::Message)?;
        let outcome = self
            .sfn
            .start_execution()
            .state_machine_arn(&self.machine)
            .name(&request.unique_identifier)
            .input(input)
            .send()
            .await;
        match outcome {
            // The name is the request's id: a second delivery finds it taken.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(StartError::Start(error.into())),
            Ok(_) => Ok(()),
        }
    }
}

impl Handler for Starter {
    const EXPECTS: &'static str = "an SQS event";
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;
    type Error = StartError;

    async fn handle(&self, event: SqsEvent, _: &str) -> Result<SqsBatchResponse, StartError> {
        Ok(each_record(&event, |record| self.start_or_bury(record)).await)
    }
}

#[cfg(test)]
mod tests;
