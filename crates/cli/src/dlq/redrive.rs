//! `offchain dlq redrive`

use std::process::ExitCode;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use clap::Args;
use jiff::Timestamp;
use offchain_redrive::{Filter, Letter, Outcome};
use offchain_store::AwsError;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::aws;
use crate::dlq::execution::{Ended, follow};
use crate::dlq::letter::{HEADER, row};
use crate::dlq::queue;
use crate::dlq::text::clean;
use crate::error::CliError;
use crate::output::{Output, bad, good, warning};
use crate::stack::Stack;

/// Codes of the function for an input that can never be used.
const INPUT_CODES: [&str; 2] = ["InputInvalid", "QueueUnknown"];
/// Of an execution that tells nothing of its end.
const SILENT: &str = "it says no more";
/// Letters a second, as the function takes them.
const RATES: std::ops::RangeInclusive<i64> = 1..=100;
/// How long a canary may be observed: an hour.
const OBSERVED: std::ops::RangeInclusive<i64> = 1..=3600;

#[derive(Args)]
pub(crate) struct Redrive {
    /// The queue's name, as `offchain dlq list` prints it.
    #[arg(required_unless_present = "execution")]
    queue: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Take so many letters at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Take so many letters a second at most, 1 to 100 [default: 10].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(RATES))]
    rate: Option<u32>,
    /// Only show what would be redriven.
    #[arg(long, conflicts_with = "canary")]
    dry_run: bool,
    /// Redrive one letter, observe it for a while, then the others if it does not come back.
    #[arg(long)]
    canary: bool,
    /// How long to observe that one letter [default: 10].
    #[arg(
        long,
        value_name = "N",
        requires = "canary",
        value_parser = clap::value_parser!(u32).range(OBSERVED)
    )]
    observe_seconds: Option<u32>,
    /// Follow an execution that was started before, in place of starting one.
    #[arg(
        long,
        value_name = "ARN",
        conflicts_with_all = [
            "queue", "code", "contains", "before", "after", "message", "limit", "rate", "dry_run",
            "canary",
        ]
    )]
    execution: Option<String>,
}

/// Which letters are redriven: those that all of this is true of.
#[derive(Args)]
struct Which {
    /// Only letters with this code.
    #[arg(long, value_name = "CODE", value_parser = given)]
    code: Option<String>,
    /// Only letters whose body, event or reason contains this text.
    #[arg(long, value_name = "TEXT", value_parser = given)]
    contains: Option<String>,
    /// Only letters sent before this time, such as 2030-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Option<Timestamp>,
    /// Only letters sent at this time or after it.
    #[arg(long, value_name = "TIME", value_parser = time)]
    after: Option<Timestamp>,
    /// Only the message with this id, as `offchain dlq show` prints it. May be repeated.
    #[arg(long, value_name = "ID", value_parser = given)]
    message: Vec<String>,
}

fn given(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("expected a text that is not empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|error| format!("expected a time such as 2030-01-31T12:00:00Z: {error}"))
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Report {
    execution: String,
    queue: String,
    status: String,
    dry_run: bool,
    /// Why the execution failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    held: u64,
    /// Whether the queue was read to its end.
    complete: bool,
    matching: u64,
    redriven: u64,
    failed: u64,
    quarantined: u64,
    left: u64,
    /// The canary, where it came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<Letter>,
    letters: Vec<Letter>,
}

impl Redrive {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let client = Client::new(&aws::config(stack).await);
        let report = self.redrive(stack, &client, output).await?;
        output.show(&report, |output| report.print(output))?;
        Ok(report.exit_code())
    }

    async fn redrive(
        &self,
        stack: &Stack,
        client: &Client,
        output: &Output,
    ) -> Result<Report, CliError> {
        let machine = &stack.redrive()?.state_machine_arn;
        let execution = match &self.execution {
            Some(execution) => of_machine(execution, machine)?.to_owned(),
            None => {
                let started = client
                    .start_execution()
                    .state_machine_arn(machine)
                    .input(self.input(stack)?.to_string())
                    .send();
                started.await.map_err(AwsError::from)?.execution_arn
            }
        };
        let ended = tokio::select! {
            Ok(()) = tokio::signal::ctrl_c() => {
                Err(CliError::No("the execution is not followed any more".to_owned()))
            }
            ended = follow(client, &execution, output) => ended,
        };
        output.end_progress();
        let ended = ended.map_err(|error| {
            error.and(&format!(
                "it goes on: see what came of it with \
                 `offchain dlq redrive --execution {execution}`"
            ))
        })?;
        Report::of(execution, ended)
    }

    fn input(&self, stack: &Stack) -> Result<Value, CliError> {
        let name = self.queue.as_deref().unwrap_or_default();
        queue(stack, name)?;
        let mut input = Map::from_iter([("queue".to_owned(), json!(name))]);
        let filter = self.which.filter()?;
        if filter != Filter::default() {
            input.insert("filter".to_owned(), json!(filter));
        }
        for (name, number) in [
            ("limit", self.limit),
            ("rate", self.rate),
            ("observe_seconds", self.observe_seconds),
        ] {
            if let Some(number) = number {
                input.insert(name.to_owned(), number.into());
            }
        }
        for (name, wanted) in [("dry_run", self.dry_run), ("canary", self.canary)] {
            if wanted {
                input.insert(name.to_owned(), true.into());
            }
        }
        Ok(input.into())
    }
}

impl Which {
    fn filter(&self) -> Result<Filter, CliError> {
        if let (Some(after), Some(before)) = (self.after, self.before)
            && after >= before
        {
            return Err(CliError::Input(format!(
                "no letter was sent from {after} on and before {before}: \
                 expected --before to be later than --after"
            )));
        }
        Ok(Filter {
            code: self.code.clone(),
            contains: self.contains.clone(),
            before: self.before,
            after: self.after,
            message_ids: self.message.clone(),
        })
    }
}

/// The execution, where it is one of this machine.
fn of_machine<'a>(execution: &'a str, machine: &str) -> Result<&'a str, CliError> {
    let expected = format!("{}:", machine.replacen(":stateMachine:", ":execution:", 1));
    if execution.len() > expected.len() && execution.starts_with(&expected) {
        Ok(execution)
    } else {
        Err(CliError::Input(format!(
            "--execution: expected an ARN that begins with {expected}"
        )))
    }
}

impl Report {
    fn of(execution: String, ended: Ended) -> Result<Self, CliError> {
        let Ended {
            status,
            input,
            error,
            cause,
            story,
        } = ended;
        let Some(plan) = story.plan.clone() else {
            // Nothing was taken from the queue. The cause begins with the
            // function's code.
            let reason = cause.unwrap_or_else(|| SILENT.to_owned());
            let is_code = |code: &&str| reason.starts_with(&format!("{code}: "));
            return Err(if INPUT_CODES.iter().any(is_code) {
                CliError::Input(reason)
            } else {
                let error = error.unwrap_or_else(|| status.as_str().to_owned());
                CliError::Aws(format!(
                    "the execution {execution} failed: {error}: {reason}"
                ))
            });
        };
        Ok(Self {
            execution,
            queue: input["queue"].as_str().unwrap_or_default().to_owned(),
            status: status.as_str().to_owned(),
            dry_run: input["dry_run"] == true,
            error,
            cause,
            held: plan.held,
            complete: plan.complete,
            matching: plan.matching,
            redriven: story.count(Outcome::Redriven),
            failed: story.count(Outcome::Failed),
            quarantined: story.count(Outcome::Quarantined),
            left: story.left(),
            canary: story.canary.clone(),
            letters: story.letters(),
        })
    }

    fn succeeded(&self) -> bool {
        self.status == ExecutionStatus::Succeeded.as_str()
            && (self.dry_run || self.failed + self.quarantined + self.left == 0)
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.succeeded()))
    }

    fn print(&self, output: &Output) {
        if !self.letters.is_empty() {
            output.table(HEADER, self.letters.iter().map(row).collect());
            output.line("");
        }
        for line in self.closing() {
            output.line(line);
        }
    }

    /// What stands below the letters.
    fn closing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let held = format!("{} held, {} matching", self.held, self.matching);
        if self.dry_run {
            lines.push(format!("{held}; nothing was redriven (--dry-run)"));
            let shown = u64::try_from(self.letters.len()).unwrap_or(u64::MAX);
            if shown < self.left {
                lines.push(format!("the first {shown} of {} are shown", self.left));
            }
        } else {
            let counts = format!(
                "{held}: {} redriven, {} failed, {} quarantined, {} left",
                self.redriven, self.failed, self.quarantined, self.left
            );
            lines.push(if self.succeeded() {
                good(counts)
            } else {
                bad(counts)
            });
        }
        if let Some(canary) = &self.canary {
            lines.push(bad(format!(
                "the canary came back: {}: {}",
                clean(&canary.code),
                clean(&canary.reason)
            )));
        }
        if self.status != ExecutionStatus::Succeeded.as_str() {
            let code = self.error.as_ref().unwrap_or(&self.status);
            let cause = self.cause.as_deref().unwrap_or(SILENT);
            lines.push(bad(format!("{}: {}", clean(code), clean(cause))));
        }
        if self.failed + self.left > 0 && !self.dry_run {
            lines.push("what is still in the queue may be redriven again".to_owned());
        }
        if self.quarantined > 0 {
            lines.push("what is in quarantine: `offchain dlq quarantine`".to_owned());
        }
        if !self.complete {
            lines.push(warning(
                "the queue holds more than could be read at once: run this again for the rest",
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use offchain_store::test_util::{FakeAws, answer, refusal};

    use super::*;
    use crate::dlq::tests::{RECORDER, stack};
    use crate::output::{plain, table};

    const EXECUTION: &str =
        "arn:aws:states:eu-central-1:123456789012:execution:offchain-dlq-redrive:9d5c";
    const QUEUE: &str = "offchain-rides-record-dlq";

    fn parsed(arguments: &[&str]) -> Result<Redrive, String> {
        let all = ["offchain", "dlq", "redrive"].iter().chain(arguments);
        match crate::Args::try_parse_from(all).map(|args| args.command) {
            Ok(crate::Command::Dlq(crate::dlq::Command::Redrive(redrive))) => Ok(redrive),
            Ok(_) => panic!("another command"),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                Err(error.to_string())
            }
        }
    }

    fn input(arguments: &[&str]) -> Result<Value, String> {
        let error = |error: CliError| {
            assert_eq!(error.exit_code(), ExitCode::from(2));
            error.to_string()
        };
        parsed(arguments)?.input(&stack()).map_err(error)
    }

    #[test]
    fn what_is_asked_for_is_the_input_of_the_machine() {
        assert_eq!(input(&[QUEUE]).unwrap(), json!({"queue": QUEUE}));
        assert_eq!(
            input(&[QUEUE, "--dry-run"]).unwrap(),
            json!({"queue": QUEUE, "dry_run": true})
        );
        let all = [
            QUEUE,
            "--code=RideInvalid",
            "--contains=Rocinante",
            "--after=2026-11-21T11:00:00Z",
            "--before=2026-11-21T13:00:00+01:00",
            "--message=m1",
            "--message=m2",
            "--limit=40",
            "--rate=100",
            "--canary",
            "--observe-seconds=30",
        ];
        assert_eq!(
            input(&all).unwrap(),
            json!({
                "queue": QUEUE,
                "filter": {
                    "code": "RideInvalid",
                    "contains": "Rocinante",
                    "after": "2026-11-21T11:00:00Z",
                    "before": "2026-11-21T12:00:00Z",
                    "message_ids": ["m1", "m2"],
                },
                "limit": 40,
                "rate": 100,
                "canary": true,
                "observe_seconds": 30,
            })
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_was_expected() {
        for (arguments, words) in [
            (&[][..], "<QUEUE>"),
            (&["nowhere"], "expected one of offchain-rides-record-dlq"),
            (&[QUEUE, "--rate=0"], "0 is not in 1..=100"),
            (&[QUEUE, "--rate=101"], "101 is not in 1..=100"),
            (&[QUEUE, "--limit=0"], "0 is not in 1.."),
            (&[QUEUE, "--limit=x"], "invalid digit"),
            (
                &[QUEUE, "--before=yesterday"],
                "expected a time such as 2030-01-31T12:00:00Z",
            ),
            (
                &[QUEUE, "--after=2026-11-21"],
                "expected a time such as 2030-01-31T12:00:00Z",
            ),
            (
                &[
                    QUEUE,
                    "--after=2026-11-21T12:00:00Z",
                    "--before=2026-11-21T13:00:00+01:00",
                ],
                "expected --before to be later than --after",
            ),
            (&[QUEUE, "--code="], "expected a text that is not empty"),
            (&[QUEUE, "--observe-seconds=5"], "--canary"),
            (
                &[QUEUE, "--canary", "--observe-seconds=0"],
                "0 is not in 1..=3600",
            ),
            (&[QUEUE, "--canary", "--dry-run"], "cannot be used with"),
            (&[QUEUE, "--execution", EXECUTION], "cannot be used with"),
            (
                &["--execution", EXECUTION, "--rate=5"],
                "cannot be used with",
            ),
        ] {
            let error = input(arguments).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }

    fn letter(id: &str, outcome: Option<&str>, detail: Option<&str>) -> Value {
        json!({
            "message_id": format!("{id}-0000-4000-8000-000000000000"),
            "fingerprint": "0".repeat(64),
            "source": "function",
            "code": "StoreDenied",
            "reason": "the store could not be used",
            "destination": RECORDER,
            "outcome": outcome,
            "detail": detail,
            "redrives": 1,
        })
    }

    fn plan(counts: &[u64], complete: bool) -> Value {
        let batches: Vec<_> = counts.iter().map(|count| json!({"count": count})).collect();
        let matching: u64 = counts.iter().sum();
        json!({
            "held": matching + 2,
            "matching": matching,
            "complete": complete,
            "batches": batches,
            "concurrency": 1,
            "letters": [letter("aaaaaaaa", None, None)],
        })
    }

    fn redriven(letters: &[Value]) -> Value {
        json!({"redriven": 9, "failed": 9, "quarantined": 9, "letters": letters})
    }

    /// The history of a run whose function gave these answers, newest first as
    /// it is asked for.
    fn history(answers: &[Value], last: &str) -> Value {
        let mut events = vec![json!({
            "type": "ExecutionStarted",
            "executionStartedEventDetails": {"input": "{}", "roleArn": "arn:aws:iam::1:role/r"},
        })];
        for answer in answers {
            events.extend([
                json!({
                    "type": "TaskStateEntered",
                    "stateEnteredEventDetails": {"name": "RedriveBatch", "input": "{}"},
                }),
                json!({
                    "type": "LambdaFunctionScheduled",
                    "lambdaFunctionScheduledEventDetails": {"resource": "arn:aws:lambda:f", "input": "{}"},
                }),
                json!({"type": "LambdaFunctionStarted"}),
                json!({
                    "type": "LambdaFunctionSucceeded",
                    "lambdaFunctionSucceededEventDetails": {
                        "output": answer.to_string(),
                        "outputDetails": {"truncated": false},
                    },
                }),
                json!({
                    "type": "TaskStateExited",
                    "stateExitedEventDetails": {"name": "RedriveBatch", "output": answer.to_string()},
                }),
            ]);
        }
        events.push(json!({"type": last}));
        numbered(events)
    }

    fn numbered(events: Vec<Value>) -> Value {
        let mut events: Vec<Value> = (1..)
            .zip(events)
            .map(|(id, mut event): (i64, Value)| {
                event["id"] = id.into();
                event["previousEventId"] = (id - 1).into();
                event["timestamp"] = 1_795_258_800.25.into();
                event
            })
            .collect();
        events.reverse();
        json!({ "events": events })
    }

    fn run(status: &str, input: &Value) -> Value {
        json!({
            "executionArn": EXECUTION,
            "stateMachineArn": "arn:aws:states:eu-central-1:123456789012:stateMachine:offchain-dlq-redrive",
            "name": "9d5c",
            "status": status,
            "startDate": 1_795_258_800.25,
            "input": input.to_string(),
        })
    }

    /// What is reported of a run that ended so.
    async fn reported(
        arguments: &[&str],
        ended: Value,
        history: Value,
    ) -> (FakeAws, Result<Report, CliError>) {
        let aws = FakeAws::new()
            .on(
                "StartExecution",
                answer(json!({"executionArn": EXECUTION, "startDate": 1.5})),
            )
            .on("DescribeExecution", answer(run("RUNNING", &json!({}))))
            .on("DescribeExecution", refusal(400, "ThrottlingException"))
            .always("DescribeExecution", answer(ended))
            .always("GetExecutionHistory", answer(history));
        let client = Client::new(&aws.sdk_config());
        let redrive = parsed(arguments).unwrap();
        let report = redrive.redrive(&stack(), &client, &Output::new(true)).await;
        (aws, report)
    }

    fn ended(status: &str, error: &str, cause: &str) -> Value {
        let mut run = run(status, &json!({"queue": QUEUE}));
        if !error.is_empty() {
            run["error"] = error.into();
            run["cause"] = cause.into();
        }
        run
    }

    fn shown(report: &Report) -> Vec<String> {
        let rows = report.letters.iter().map(row).collect();
        let text = plain(&table(HEADER, rows, Some(80)));
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.extend(report.closing().iter().map(|line| plain(line)));
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{lines:#?}"
        );
        lines
    }

    #[tokio::test]
    async fn a_run_is_started_followed_and_told_letter_by_letter() {
        let history = history(
            &[
                plan(&[1, 1], true),
                redriven(&[letter("aaaaaaaa", Some("redriven"), None)]),
                redriven(&[letter("bbbbbbbb", Some("redriven"), None)]),
            ],
            "ExecutionSucceeded",
        );
        let ended = ended("SUCCEEDED", "", "");
        let (aws, report) = reported(&[QUEUE, "--rate=1"], ended, history).await;
        let report = report.unwrap();
        let started = aws.sent_once("StartExecution");
        assert_eq!(
            started["stateMachineArn"],
            stack().redrive.unwrap().state_machine_arn
        );
        let sent: Value = serde_json::from_str(started["input"].as_str().unwrap()).unwrap();
        assert_eq!(sent, json!({"queue": QUEUE, "rate": 1}));
        assert_eq!(
            aws.sent("GetExecutionHistory")[0]["executionArn"],
            EXECUTION
        );
        assert_eq!(report.exit_code(), ExitCode::SUCCESS);
        assert_eq!(
            shown(&report),
            [
                " MESSAGE   CODE         DESTINATION                OUTCOME   DETAIL",
                " aaaaaaaa  StoreDenied  offchain-rides-record-sns  redriven",
                " bbbbbbbb  StoreDenied  offchain-rides-record-sns  redriven",
                "4 held, 2 matching: 2 redriven, 0 failed, 0 quarantined, 0 left",
            ]
        );
        let json = serde_json::to_value(&report).unwrap();
        for (name, expected) in [
            ("execution", json!(EXECUTION)),
            ("queue", json!(QUEUE)),
            ("held", json!(4)),
            ("matching", json!(2)),
            ("redriven", json!(2)),
            ("failed", json!(0)),
            ("quarantined", json!(0)),
            ("left", json!(0)),
        ] {
            assert_eq!(json[name], expected, "{name}");
        }
        assert_eq!(json["letters"][0]["outcome"], "redriven");
    }

    #[tokio::test]
    async fn what_did_not_go_back_is_told_and_is_no_success() {
        let history = history(
            &[
                plan(&[2, 2], false),
                redriven(&[
                    letter(
                        "aaaaaaaa",
                        Some("failed"),
                        Some("RideInvalid: expected\nan object"),
                    ),
                    letter("bbbbbbbb", Some("quarantined"), Some("redriven 3 times")),
                ]),
                // It was still in the queue, and another batch took it.
                redriven(&[letter("aaaaaaaa", Some("redriven"), None)]),
                redriven(&[letter("cccccccc", Some("failed"), Some("StoreDenied: no"))]),
            ],
            "ExecutionFailed",
        );
        let cause = "1 of 2 batches failed";
        let ended = ended("FAILED", "RedriveIncomplete", cause);
        let (_, report) = reported(&[QUEUE], ended, history).await;
        let report = report.unwrap();
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
        assert_eq!(
            shown(&report),
            [
                " MESSAGE   CODE         DESTINATION                OUTCOME      DETAIL",
                " aaaaaaaa  StoreDenied  offchain-rides-record-sns  redriven",
                " bbbbbbbb  StoreDenied  offchain-rides-record-sns  quarantined  redriven 3",
                "                                                                times",
                " cccccccc  StoreDenied  offchain-rides-record-sns  failed       StoreDenied: no",
                "6 held, 4 matching: 1 redriven, 1 failed, 1 quarantined, 1 left",
                "RedriveIncomplete: 1 of 2 batches failed",
                "what is still in the queue may be redriven again",
                "what is in quarantine: `offchain dlq quarantine`",
                "the queue holds more than could be read at once: run this again for the rest",
            ]
        );
    }

    #[tokio::test]
    async fn success_is_that_every_letter_went_back() {
        for (letters, code) in [
            (vec![letter("aaaaaaaa", Some("redriven"), None)], 0),
            (vec![letter("aaaaaaaa", Some("failed"), None)], 1),
            (vec![letter("aaaaaaaa", Some("quarantined"), None)], 1),
            (vec![], 1),
        ] {
            let told = history(
                &[plan(&[1], true), redriven(&letters)],
                "ExecutionSucceeded",
            );
            let ended = ended("SUCCEEDED", "", "");
            let (_, report) = reported(&[QUEUE], ended, told).await;
            assert_eq!(
                report.unwrap().exit_code(),
                ExitCode::from(code),
                "{letters:?}"
            );
        }
        let nothing = history(&[plan(&[], true)], "ExecutionSucceeded");
        let (_, report) = reported(&[QUEUE], ended("SUCCEEDED", "", ""), nothing).await;
        assert_eq!(report.unwrap().exit_code(), ExitCode::SUCCESS);
    }

    #[tokio::test]
    async fn a_dry_run_shows_what_would_be_redriven() {
        let told = history(&[plan(&[10, 2], true)], "ExecutionSucceeded");
        let ended = run("SUCCEEDED", &json!({"queue": QUEUE, "dry_run": true}));
        let (_, report) = reported(&[QUEUE, "--dry-run"], ended, told).await;
        let report = report.unwrap();
        assert_eq!(report.exit_code(), ExitCode::SUCCESS);
        let lines = shown(&report);
        assert_eq!(
            lines[1..],
            [
                " aaaaaaaa  StoreDenied  offchain-rides-record-sns  -        the store could not",
                "                                                            be used",
                "14 held, 12 matching; nothing was redriven (--dry-run)",
                "the first 1 of 12 are shown",
            ]
        );
        assert_eq!((report.redriven, report.left), (0, 12));
    }

    #[tokio::test]
    async fn a_canary_that_comes_back_says_why_and_nothing_else_was_taken() {
        let told = history(
            &[
                plan(&[10, 1], true),
                redriven(&[letter("aaaaaaaa", Some("redriven"), None)]),
                json!({"back": true, "letter": letter("dddddddd", None, None)}),
            ],
            "ExecutionFailed",
        );
        let ended = ended("FAILED", "CanaryFailed", "the canary came back");
        let (_, report) = reported(&[QUEUE, "--canary"], ended, told).await;
        let report = report.unwrap();
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
        assert_eq!(
            shown(&report)[2..],
            [
                "13 held, 11 matching: 1 redriven, 0 failed, 0 quarantined, 10 left",
                "the canary came back: StoreDenied: the store could not be used",
                "CanaryFailed: the canary came back",
                "what is still in the queue may be redriven again",
            ]
        );
        assert_eq!(
            serde_json::to_value(&report).unwrap()["canary"]["code"],
            "StoreDenied"
        );
    }

    #[tokio::test]
    async fn the_history_of_an_optimised_integration_is_read_as_well() {
        let task = |payload: Value| {
            json!({
                "type": "TaskSucceeded",
                "taskSucceededEventDetails": {
                    "resourceType": "lambda",
                    "resource": "invoke",
                    "output": json!({"Payload": payload, "StatusCode": 200}).to_string(),
                },
            })
        };
        let told = numbered(vec![
            task(plan(&[1], true)),
            task(redriven(&[letter("aaaaaaaa", Some("redriven"), None)])),
            json!({"type": "TaskSucceeded", "taskSucceededEventDetails":
                {"resourceType": "lambda", "resource": "invoke", "output": "{cut of"}}),
            json!({"type": "ExecutionSucceeded"}),
        ]);
        let (_, report) = reported(&[QUEUE], ended("SUCCEEDED", "", ""), told).await;
        assert_eq!(report.unwrap().redriven, 1);
    }

    #[tokio::test]
    async fn a_long_history_is_read_page_by_page() {
        let all = history(
            &[
                plan(&[1], true),
                redriven(&[letter("aaaaaaaa", Some("redriven"), None)]),
            ],
            "ExecutionSucceeded",
        );
        let events = all["events"].as_array().unwrap();
        let (newest, oldest) = events.split_at(5);
        let aws = FakeAws::new()
            .always("DescribeExecution", answer(ended("SUCCEEDED", "", "")))
            .on(
                "GetExecutionHistory",
                answer(json!({"events": newest, "nextToken": "more"})),
            )
            .on("GetExecutionHistory", answer(json!({"events": oldest})));
        let redrive = parsed(&["--execution", EXECUTION]).unwrap();
        let client = Client::new(&aws.sdk_config());
        let report = redrive.redrive(&stack(), &client, &Output::new(true)).await;
        assert_eq!(report.unwrap().exit_code(), ExitCode::SUCCESS);
        let asked = aws.sent("GetExecutionHistory");
        assert_eq!(asked[0]["reverseOrder"], true);
        assert_eq!(
            (&asked[0]["nextToken"], &asked[1]["nextToken"]),
            (&Value::Null, &json!("more"))
        );
        // One that was started before is not started again.
        assert_eq!(aws.sent("StartExecution").len(), 0);
    }

    #[tokio::test]
    async fn a_run_that_never_began_says_why() {
        let unknown =
            r#"QueueUnknown: {"errorType":"QueueUnknown","errorMessage":"expected a queue"}"#;
        for (cause, code, words) in [
            (unknown, 2, "QueueUnknown: expected a queue"),
            (
                "StoreUnavailable: later",
                3,
                "failed: PlanFailed: StoreUnavailable: later",
            ),
            (
                r#"StoreUnavailable: {"errorTy"#,
                3,
                r#"StoreUnavailable: {"errorTy"#,
            ),
        ] {
            let told = history(&[], "ExecutionFailed");
            let (_, report) = reported(&[QUEUE], ended("FAILED", "PlanFailed", cause), told).await;
            let error = report.unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::from(code), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let told = history(&[], "ExecutionAborted");
        let (_, report) = reported(&[QUEUE], ended("ABORTED", "", ""), told).await;
        let error = report.unwrap_err().to_string();
        assert!(
            error.contains("failed: ABORTED: it says no more"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_followed_goes_on_and_says_how_to_look_again() {
        let aws = FakeAws::new()
            .on(
                "StartExecution",
                answer(json!({"executionArn": EXECUTION, "startDate": 1.5})),
            )
            .on("DescribeExecution", refusal(400, "AccessDeniedException"));
        let client = Client::new(&aws.sdk_config());
        let redrive = parsed(&[QUEUE]).unwrap();
        let report = redrive.redrive(&stack(), &client, &Output::new(true)).await;
        let error = report.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(3));
        let again = format!(
            "it goes on: see what came of it with `offchain dlq redrive --execution {EXECUTION}`"
        );
        assert!(error.to_string().ends_with(&again), "{error}");
    }

    #[test]
    fn only_executions_of_this_deployment_s_machine_are_followed() {
        let machine = stack().redrive.unwrap().state_machine_arn;
        assert!(of_machine(EXECUTION, &machine).is_ok());
        let prefix = EXECUTION.trim_end_matches("9d5c");
        for other in ["9d5c", prefix, &EXECUTION.replace("redrive:", "other:")] {
            let error = of_machine(other, &machine).unwrap_err().to_string();
            assert!(error.ends_with(prefix), "{error}");
        }
    }
}
