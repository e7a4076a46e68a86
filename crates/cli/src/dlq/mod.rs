//! `offchain dlq`: what failed, why, and how it goes back where it came from.

mod execution;
mod letter;
mod list;
mod quarantine;
mod redrive;
mod show;
mod text;

pub(crate) use text::{age, clean, count, field};

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::CliError;
use crate::output::Output;
use crate::stack::{Queue, Stack};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the dead-letter queues: how much is in them, since when, where it goes back to.
    List,
    /// Show what a dead-letter queue holds, and why. The messages stay in it.
    Show(show::Show),
    /// Put dead letters back where they came from: exit 0 all, 1 not all.
    Redrive(redrive::Redrive),
    /// The letters that are put back no more, because they failed too often.
    Quarantine {
        #[command(subcommand)]
        command: Option<quarantine::Command>,
    },
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        match self {
            Self::List => list::run(stack, output).await,
            Self::Show(show) => show.run(stack, output).await,
            Self::Redrive(redrive) => redrive.run(stack, output).await,
            Self::Quarantine { command } => command.unwrap_or_default().run(stack, output).await,
        }
    }
}

/// The dead-letter queue of this name.
fn queue<'a>(stack: &'a Stack, name: &str) -> Result<&'a Queue, CliError> {
    let queue = stack.queues.get(name).filter(|queue| queue.dead_letter);
    queue.ok_or_else(|| {
        let dead_letter = stack.queues.iter().filter(|(_, queue)| queue.dead_letter);
        let known: Vec<_> = dead_letter.map(|(name, _)| name.as_str()).collect();
        CliError::Input(format!(
            "there is no dead-letter queue {name}: expected one of {}",
            known.join(", ")
        ))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A deployment with one queue, one dead-letter queue, and one of another's.
    pub(crate) fn stack() -> Stack {
        serde_json::from_value(json!({
            "name": "offchain",
            "region": "eu-central-1",
            "api_url": "http://api.test",
            "queues": {
                "offchain-rides-record-dlq": {"url": "https://sqs.test/record", "dead_letter": true},
                "offchain-vrf-requests": {"url": "https://sqs.test/requests", "dead_letter": false},
                "offchain-vrf-schedules-dlq": {"url": "https://sqs.test/schedules", "dead_letter": true},
            },
            "redrive": {
                "table": "letters",
                "state_machine_arn": "arn:aws:states:eu-central-1:123456789012:stateMachine:offchain-dlq-redrive",
                "function": "offchain-dlq-redrive",
                "max_redrives": 3,
                "destinations": {
                    "offchain-rides-record-dlq": RECORDER,
                    "offchain-vrf-schedules-dlq": null,
                },
            },
        }))
        .unwrap()
    }

    pub(crate) const RECORDER: &str =
        "arn:aws:lambda:eu-central-1:123456789012:function:offchain-rides-record-sns";

    #[test]
    fn a_queue_that_is_none_is_answered_with_those_that_are() {
        let stack = stack();
        let found = queue(&stack, "offchain-rides-record-dlq").unwrap();
        assert_eq!(found.url, "https://sqs.test/record");
        for name in ["nowhere", "offchain-vrf-requests", ""] {
            let error = queue(&stack, name).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "there is no dead-letter queue {name}: expected one of \
                     offchain-rides-record-dlq, offchain-vrf-schedules-dlq"
                )
            );
            assert_eq!(error.exit_code(), ExitCode::from(2));
        }
    }
}
