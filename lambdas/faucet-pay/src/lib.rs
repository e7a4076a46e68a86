//! Pays the claims that wait, under the lease, and has each payout followed by
//! an execution of the machine `faucet-payout`.
//!
//! The contract with the queue: a message wakes the payer and says nothing that
//! the tables do not know better. One that is no wake goes to the dead-letter
//! queue with its reason. Where a run fails, its messages are delivered again;
//! on their last delivery they go to the dead-letter queue as well, with the
//! last error, and the minutely sweep goes on waking the payer.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_types::SdkConfig;
use offchain_chains::{ChainSettings, Network};
use offchain_codes::{Coded, chain as causes};
use offchain_faucet::PayoutPolicy;
use offchain_faucet_service::{
    KeyRing, PayError, Payer, SentPayout, TableNames, Tables, WakeMessage,
};
use offchain_function::config::{ConfigError, Env};
use offchain_function::sqs::{each_record, receives};
use offchain_function::{Handler, config};
use offchain_store::faucet::LockError;
use offchain_store::queue::Queue;
use offchain_store::{AwsError, Moment, StoreError};
use serde::Serialize;

/// Why a message did not lead to a payout.
#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    /// The body is no wake.
    #[error("expected {{\"claim_id\": …}}, {{\"sequence\": …}} or {{\"waiting\": …}}")]
    Message(#[source] serde_json::Error),
    /// The run that it led to failed.
    #[error(transparent)]
    Pay(#[from] Arc<PayError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for WakeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Message(_) => "MessageInvalid",
            Self::Pay(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// Whether a later delivery may succeed. A denied call may: policies and
    /// secrets are mended while messages wait.
    fn retryable(&self) -> bool {
        match self {
            Self::Message(_) => false,
            Self::Pay(_) | Self::Store(_) => true,
        }
    }
}

/// The input of the machine.
#[derive(Serialize)]
struct Execution<'a> {
    account: &'a str,
    sequence: u64,
    deadline: Moment,
}

struct Config {
    network: String,
    environment: String,
    claims: String,
    limits: String,
    locks: String,
    payouts: String,
    chain: ChainSettings,
    policy: PayoutPolicy,
    key_arn: String,
    machine: String,
    dlq_url: String,
    max_receives: u32,
}

/// Pays.
pub struct Pay {
    payer: Payer<Network>,
    keys: KeyRing,
    sfn: aws_sdk_sfn::Client,
    network: String,
    machine: String,
    dlq: Queue,
    max_receives: u32,
}

impl Pay {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            network: required "FAUCET_NETWORK", "the network's name",
            environment: required "FAUCET_ENVIRONMENT", "the suite's name",
            claims: required "FAUCET_TABLE", "a table name",
            limits: required "FAUCET_LIMITS_TABLE", "a table name",
            locks: required "FAUCET_LOCKS_TABLE", "a table name",
            payouts: required "FAUCET_PAYOUTS_TABLE", "a table name",
            chain: required "FAUCET_CHAIN", "a chain's settings as JSON",
            policy: required "FAUCET_PAYOUT", "the payouts' policy as JSON",
            key_arn: required "FAUCET_KEY_SECRET_ARN", "the ARN of a secret",
            machine: required "FAUCET_STATE_MACHINE_ARN", "the ARN of a state machine",
            dlq_url: required "FAUCET_QUEUE_DLQ_URL", "a queue URL",
            max_receives: required "FAUCET_MAX_RECEIVES", "the queue's maxReceiveCount",
        })?;
        let chain = Network::new(&config.chain)
            .map_err(|error| ConfigError::unusable("FAUCET_CHAIN", &error))?;
        let tables = TableNames {
            claims: config.claims,
            limits: config.limits,
            locks: config.locks,
            payouts: config.payouts,
        };
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        let secrets = aws_sdk_secretsmanager::Client::new(sdk);
        Ok(Self {
            payer: Payer {
                chain,
                tables: Tables::new(&dynamodb, tables, &config.environment, &config.network),
                policy: config.policy,
            },
            keys: KeyRing::new(secrets, config.key_arn),
            sfn: aws_sdk_sfn::Client::new(sdk),
            network: config.network,
            machine: config.machine,
            dlq: Queue::new(aws_sdk_sqs::Client::new(sdk), config.dlq_url),
            max_receives: config.max_receives,
        })
    }

    async fn pay(&self) -> Result<(), PayError> {
        let key = self.keys.key().await?;
        let report = match self.payer.run(&key).await {
            // Whoever holds the lease pays what waits. Where that one is gone,
            // the lease expires, and the sweep wakes the payer again.
            Err(PayError::Lease(LockError::Held(_))) => {
                tracing::info!("another one is paying");
                return Ok(());
            }
            outcome => outcome?,
        };
        tracing::info!(
            payouts = report.payouts.len(),
            claims = report.claims,
            stopped = report.stopped,
            "paid"
        );
        for payout in &report.payouts {
            if let Err(error) = self.follow(payout).await {
                // The sweep looks at every payout that has not ended.
                tracing::warn!(
                    error = causes(&error),
                    sequence = payout.sequence,
                    "the payout's execution was not started"
                );
            }
        }
        Ok(())
    }

    async fn follow(&self, payout: &SentPayout) -> Result<(), AwsError> {
        let hash: String = payout
            .hash
            .trim_start_matches("0x")
            .chars()
            .take(16)
            .collect();
        let input = serde_json::to_string(&Execution {
            account: &payout.account,
            sequence: payout.sequence,
            deadline: payout.deadline.into(),
        })
        .unwrap_or_default();
        let outcome = self
            .sfn
            .start_execution()
            .state_machine_arn(&self.machine)
            .name(format!("{}-{}-{hash}", self.network, payout.sequence))
            .input(input)
            .send()
            .await;
        match outcome {
            // The name is the transaction's: a repeated call finds it taken.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_execution_already_exists()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}

fn is_wake(record: &SqsMessage) -> Result<(), WakeError> {
    let body = record.body.as_deref().unwrap_or_default();
    serde_json::from_str::<WakeMessage>(body)
        .map(|_| ())
        .map_err(WakeError::Message)
}

impl Handler for Pay {
    const EXPECTS: &'static str = "an SQS event";
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;
    type Error = WakeError;

    async fn handle(&self, event: SqsEvent, _: &str) -> Result<SqsBatchResponse, WakeError> {
        // One run pays all that waits, however many messages say so.
        let failure = if event.records.iter().any(|record| is_wake(record).is_ok()) {
            self.pay().await.err().map(Arc::new)
        } else {
            None
        };
        Ok(each_record(&event, |record| {
            let outcome = is_wake(record).and_then(|()| match &failure {
                Some(error) => Err(WakeError::Pay(Arc::clone(error))),
                None => Ok(()),
            });
            async move {
                let body = record.body.as_deref().unwrap_or_default();
                self.dlq
                    .settle(body, receives(record), self.max_receives, outcome)
                    .await
            }
        })
        .await)
    }
}

#[cfg(test)]
mod tests;
