//! `offchain oracle start`: a minute of slots at once, beside the schedule.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use offchain_oracle::Slot;
use serde::Serialize;
use serde_json::json;

use crate::aws;
use crate::error::CliError;
use crate::output::Output;
use crate::stack::{Oracle, Stack};

/// From now to the first slot that is due: what starting takes, and the head
/// start of its function, at the most.
const AHEAD: SignedDuration = SignedDuration::from_secs(3);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The slots that were started.
#[derive(Serialize)]
pub(crate) struct Started {
    pub(crate) execution: String,
    pub(crate) first: Slot,
    pub(crate) last: Slot,
}

/// Starts the slots of the 60 s that begin in a moment. Those that the schedule
/// started as well have one record all the same.
pub(crate) async fn start(stack: &Stack, oracle: &Oracle) -> Result<Started, CliError> {
    let from = Timestamp::now() + AHEAD;
    let lead = SignedDuration::from_secs(oracle.lead_seconds.into());
    let input =
        json!({ "scheduled_time": (from - lead).strftime("%Y-%m-%dT%H:%M:%SZ").to_string() });
    let reply = aws_sdk_sfn::Client::new(&aws::config(stack).await)
        .start_execution()
        .state_machine_arn(&oracle.state_machine_arn)
        .input(input.to_string())
        .send()
        .await
        .map_err(offchain_store::AwsError::from)?;
    // The scheduled time is cut to the second.
    let from = Timestamp::from_second(from.as_second()).map_err(CliError::input)?;
    let interval = oracle.interval_seconds;
    Ok(Started {
        execution: reply.execution_arn,
        first: interval.at_or_after(from),
        last: interval.at_or_before(from + MINUTE - SignedDuration::from_secs(1)),
    })
}

pub(crate) async fn run(
    stack: &Stack,
    oracle: &Oracle,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let started = start(stack, oracle).await?;
    output.show(&started, |output| {
        output.line(format!(
            "started the slots from {} to {}: {}",
            started.first, started.last, started.execution
        ));
    })?;
    Ok(ExitCode::SUCCESS)
}
