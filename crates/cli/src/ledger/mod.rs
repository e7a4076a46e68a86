//! `offchain ledger`: see assets and events, follow the chain, deliver again,
//! look after the secrets that webhooks are signed with.

mod assets;
mod events;
mod forget;
mod listen;
mod replay;
mod rewind;
mod secret;
mod settings;
pub(crate) mod status;
pub(crate) mod trade;

use std::path::Path;
use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use clap::Subcommand;
use jiff::Timestamp;
use offchain_codes::{Coded, chain};
use offchain_ledger::PublicKey;
use offchain_ledger_service::{ListenError, NodeError};
use offchain_store::Moment;
use offchain_store::ledger::{Assets, Events};

use crate::dlq::age;
use crate::error::CliError;
use crate::output::Output;
use crate::stack::{Ledger, Stack};

/// Items read for an overview; a larger table is told of as sampled.
const SAMPLE: usize = 20_000;
/// What is shown of an id or a key where there is no room for it.
const SHORT: usize = 8;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show an asset with its owners, lease, premium and history; or list the newest.
    Assets(assets::List),
    /// List the newest events, and what became of them.
    Events(events::List),
    /// Who listens, how far, and what waits: exit 0 all is well, 1 not.
    Status(status::Status),
    /// Follow the chain from this process, and deliver its events as signed webhooks.
    Listen(listen::Listen),
    /// Deliver the events of some heights once more: exit 0 all taken, 1 not all.
    Replay(replay::Replay),
    /// Set the height that the listener goes on from.
    Rewind(rewind::Rewind),
    /// Drop what waits for one who is a subscriber no more.
    Forget(forget::Forget),
    /// The secrets that webhooks are signed with.
    #[command(subcommand)]
    Secret(secret::Command),
}

impl Command {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        let load = || Stack::load(stack);
        match self {
            Self::Assets(list) => list.run(&load()?, output).await,
            Self::Events(list) => list.run(&load()?, output).await,
            Self::Status(status) => status.run(&load()?, output).await,
            Self::Listen(listen) => listen.run(stack, output).await,
            Self::Replay(replay) => replay.run(stack, output).await,
            Self::Rewind(rewind) => rewind.run(&load()?, output).await,
            Self::Forget(forget) => forget.run(&load()?, output).await,
            Self::Secret(command) => command.run(&load()?, output).await,
        }
    }
}

fn events(ledger: &Ledger, config: &SdkConfig) -> Events {
    Events::new(Client::new(config), ledger.events_table.clone())
}

fn assets(ledger: &Ledger, config: &SdkConfig) -> Assets {
    Assets::new(
        Client::new(config),
        events(ledger, config),
        ledger.assets_table.clone(),
        ledger.drivers_table.clone(),
    )
}

/// Why nothing was listened to or read, with its code.
fn failed(error: ListenError) -> CliError {
    match error {
        ListenError::Node(error) => unanswered(&error),
        ListenError::Store(error) => error.into(),
        ListenError::Reset { .. } => CliError::No(format!("{}: {error}", error.code())),
    }
}

fn unanswered(error: &NodeError) -> CliError {
    CliError::Node(coded(error))
}

/// An error with its code.
fn coded<E: Coded + std::error::Error>(error: &E) -> String {
    format!("{}: {}", error.code(), chain(error))
}

/// The beginning of an id.
fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

/// The beginning of the first key, and how many more there are.
fn shorts(keys: &[PublicKey]) -> String {
    match keys {
        [] => "-".to_owned(),
        [key] => short(&key.to_string()),
        [key, more @ ..] => format!("{} +{}", short(&key.to_string()), more.len()),
    }
}

/// Cents as a sum.
fn sum(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// How long ago that was.
fn since(time: Moment, now: Timestamp) -> String {
    let seconds = now.duration_since(time.timestamp()).as_secs();
    age(u64::try_from(seconds).unwrap_or(0))
}

/// Says that a table was not read to its end.
fn note_sample(output: &Output, sampled: bool, things: &str) {
    if sampled {
        output.note(format!(
            "The table has more than {SAMPLE} {things}: these are out of a sample."
        ));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// Keys of which nobody knows the other half.
    pub(crate) const LESSOR: &str = "7uQSF92GR1ZVmL7wNs3MJcg5Py2sDbpwCBmWNrYVSQs1";
    pub(crate) const DRIVER: &str = "4K9sWUMFwTgaDGPfdynrbxWqWS6sWmKbZoTjxLtVUibD";

    pub(crate) fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    /// What the stack says of a listener.
    pub(crate) fn environment() -> BTreeMap<String, String> {
        let subscribers = json!([
            {"name": "ledger", "url": "http://127.0.0.1:1/events", "secret_arn": "arn:ledger"},
            {"name": "fleet", "url": "http://127.0.0.1:1/fleet", "secret_arn": "arn:fleet"},
        ]);
        let listen = json!({
            "from_height": 1, "poll_seconds": 2, "stall_seconds": 5, "lease_seconds": 4,
            "run_seconds": 90, "concurrency": 16, "max_kept": 10_000,
            "retry_schedule": [1, 5], "timeout_seconds": 15,
        });
        [
            ("LEDGER_ENVIRONMENT", "offchain".to_owned()),
            ("LEDGER_NODE", "http://127.0.0.1:1".to_owned()),
            ("LEDGER_ALLOW_PRIVATE", "true".to_owned()),
            ("LEDGER_LOCKS_TABLE", "locks".to_owned()),
            ("LEDGER_DELIVERIES_TABLE", "deliveries".to_owned()),
            (
                "LEDGER_DELIVERIES_DLQ_URL",
                "https://sqs.test/deliveries".to_owned(),
            ),
            ("LEDGER_SUBSCRIBERS", subscribers.to_string()),
            ("LEDGER_LISTEN", listen.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    pub(crate) fn stack() -> Stack {
        serde_json::from_value(json!({
            "name": "offchain",
            "region": "eu-central-1",
            "api_url": "http://api.test",
            "queues": {
                "offchain-ledger-deliveries-dlq": {"url": "https://sqs.test/deliveries", "dead_letter": true},
                "offchain-ledger-transactions": {"url": "https://sqs.test/transactions", "dead_letter": false},
                "offchain-vrf-requests-dlq": {"url": "https://sqs.test/requests", "dead_letter": true},
            },
            "ledger": {
                "events_table": "events",
                "assets_table": "assets",
                "drivers_table": "drivers",
                "subscribers": [
                    {"name": "ledger", "secret_arn": "arn:ledger"},
                    {"name": "fleet", "secret_arn": "arn:fleet"},
                ],
                "environment": environment(),
            },
        }))
        .unwrap()
    }

    pub(crate) fn event(transaction: char, height: u64, second: u32) -> Value {
        json!({
            "transaction_id": id(transaction),
            "asset_id": id('a'),
            "height": height,
            "position": format!("{height:020}.{}", id(transaction)),
            "status": "recorded",
            "webhook_timestamp": 1,
            "received_time": format!("2026-11-21T11:00:{second:02}.000Z"),
            "recorded_time": format!("2026-11-21T11:00:{second:02}.500Z"),
            "operation": "TRANSFER",
            "from": [LESSOR],
            "to": [DRIVER],
        })
    }

    #[test]
    fn what_has_no_room_is_shortened() {
        let keys: Vec<PublicKey> = [LESSOR, DRIVER].map(|key| key.parse().unwrap()).into();
        assert_eq!(shorts(&[]), "-");
        assert_eq!(shorts(&keys[..1]), "7uQSF92G");
        assert_eq!(shorts(&keys), "7uQSF92G +1");
        assert_eq!(
            [0, 5, 110_000].map(sum),
            ["0.00", "0.05", "1100.00"].map(str::to_owned)
        );
    }

    #[test]
    fn a_suite_without_a_ledger_says_so() {
        let mut stack = stack();
        stack.ledger = None;
        let error = stack.ledger().unwrap_err();
        assert_eq!(
            error.to_string(),
            "this deployment has no ledger (ledger = null)"
        );
        assert_eq!(error.exit_code(), ExitCode::from(2));
    }

    #[test]
    fn what_fails_has_its_code_and_its_exit() {
        let reset = ListenError::Reset {
            cursor: 7,
            found: "its height is 3".to_owned(),
        };
        let error = failed(reset);
        assert!(error.to_string().starts_with("ChainReset: "), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(1));
        let error = failed(NodeError::StreamSilent(3).into());
        assert!(error.to_string().contains(": StreamSilent: "), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(3));
    }
}
