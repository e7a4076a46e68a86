//! `offchain dlq quarantine`: what is put back no more, until a person decides.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::MessageAttributeValue;
use clap::Subcommand;
use jiff::Timestamp;
use offchain_store::AwsError;
use offchain_store::redrive::{Entry, Ledger, Quarantine};
use serde_json::json;

use crate::aws;
use crate::dlq::queue;
use crate::dlq::show::history;
use crate::dlq::text::{age, clean, count, field, name};
use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

const DAY_SECONDS: i64 = 86_400;

#[derive(Default, Subcommand)]
pub(crate) enum Command {
    /// List the letters in quarantine.
    #[default]
    List,
    /// Show a letter in quarantine, with its history and its event.
    Show {
        /// The beginning of its fingerprint.
        #[arg(value_parser = prefix)]
        fingerprint: String,
    },
    /// Put a letter back into its dead-letter queue, to be redriven as often as a new one.
    Release {
        /// The beginning of its fingerprint.
        #[arg(value_parser = prefix)]
        fingerprint: String,
    },
    /// Delete a letter for good.
    Discard {
        /// The beginning of its fingerprint.
        #[arg(value_parser = prefix)]
        fingerprint: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// What a fingerprint may begin with.
fn prefix(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if (1..=64).contains(&lower.len()) && lower.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(lower)
    } else {
        Err("expected the first of a fingerprint's 64 hex digits".to_owned())
    }
}

impl Command {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let config = aws::config(stack).await;
        let redrive = stack.redrive()?;
        let client = aws_sdk_dynamodb::Client::new(&config);
        let ledger = Ledger::new(client, redrive.table.clone());
        let mut entries = ledger.quarantined().await?;
        entries.sort_by_key(since);
        match self {
            Self::List => {
                output.show(&entries, |output| list(&entries, output))?;
            }
            Self::Show { fingerprint } => {
                let entry = find(&entries, &fingerprint)?;
                output.show(entry, |output| {
                    output.title(entry.fingerprint.as_str());
                    for line in lines(entry, output.width()) {
                        output.line(line);
                    }
                })?;
            }
            Self::Release { fingerprint } => {
                let entry = find(&entries, &fingerprint)?;
                release(stack, &config, &ledger, entry).await?;
                let released = json!({"released": entry.fingerprint, "queue": entry.queue});
                output.show(&released, |output| {
                    let (letter, queue) = (entry.fingerprint.short(), &entry.queue);
                    output.line(format!("the letter {letter} is back in {queue}"));
                    output.note(format!("Put it back: offchain dlq redrive {queue}"));
                })?;
            }
            Self::Discard { fingerprint, yes } => {
                let entry = find(&entries, &fingerprint)?;
                if !yes && !agreed(entry)? {
                    return Err(CliError::No("nothing was discarded".to_owned()));
                }
                if !ledger.discard(entry).await? {
                    return Err(gone(entry));
                }
                output.show(&json!({"discarded": entry.fingerprint}), |output| {
                    output.line(format!(
                        "the letter {} is discarded",
                        entry.fingerprint.short()
                    ));
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn since(entry: &Entry) -> Option<Timestamp> {
    let quarantine = entry.quarantine.as_ref()?;
    Some(quarantine.time.timestamp())
}

/// The one letter whose fingerprint begins so.
fn find<'a>(entries: &'a [Entry], prefix: &str) -> Result<&'a Entry, CliError> {
    let found: Vec<_> = entries
        .iter()
        .filter(|entry| entry.fingerprint.as_str().starts_with(prefix))
        .collect();
    let shorts = |entries: &[&Entry]| {
        let shorts = entries.iter().map(|entry| entry.fingerprint.short());
        shorts.collect::<Vec<_>>().join(", ")
    };
    match found.as_slice() {
        [entry] => Ok(entry),
        [] if entries.is_empty() => Err(CliError::input("no letter is in quarantine")),
        [] => Err(CliError::Input(format!(
            "no letter in quarantine has a fingerprint that begins with {prefix}: expected one of {}",
            shorts(&entries.iter().collect::<Vec<_>>())
        ))),
        several => Err(CliError::Input(format!(
            "{} in quarantine have a fingerprint that begins with {prefix}: expected more digits, as of {}",
            count(several.len(), "letter"),
            shorts(several)
        ))),
    }
}

fn quarantine(entry: &Entry) -> Result<&Quarantine, CliError> {
    entry.quarantine.as_ref().ok_or_else(|| {
        CliError::Aws(format!(
            "the letter {} has no message in the table",
            entry.fingerprint
        ))
    })
}

fn gone(entry: &Entry) -> CliError {
    CliError::No(format!(
        "the letter {} was released, discarded or quarantined anew by another at this moment: \
         see `offchain dlq quarantine`",
        entry.fingerprint.short()
    ))
}

/// First the message, then the note of it: whatever happens between, the
/// message is in the queue or in the table, or in both.
async fn release(
    stack: &Stack,
    config: &SdkConfig,
    ledger: &Ledger,
    entry: &Entry,
) -> Result<(), CliError> {
    let days = i64::from(stack.redrive()?.history_days);
    let quarantine = quarantine(entry)?;
    let queue = queue(stack, &entry.queue)?;
    let mut send = aws_sdk_sqs::Client::new(config)
        .send_message()
        .queue_url(&queue.url)
        .message_body(&quarantine.body);
    for (name, text) in &quarantine.attributes {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text)
            .build()
            .map_err(CliError::input)?;
        send = send.message_attributes(name, value);
    }
    send.send().await.map_err(AwsError::from)?;
    let expiration = Timestamp::now().as_second() + days * DAY_SECONDS;
    if ledger.release(entry, expiration).await? {
        Ok(())
    } else {
        Err(gone(entry))
    }
}

fn list(entries: &[Entry], output: &Output) {
    if entries.is_empty() {
        output.line("no letter is in quarantine");
        return;
    }
    let now = Timestamp::now();
    let rows = entries.iter().map(|entry| row(entry, now)).collect();
    output.table(HEADER, rows);
}

const HEADER: [&str; 5] = ["letter", "for", "queue", "redriven", "reason"];

fn row(entry: &Entry, now: Timestamp) -> [String; 5] {
    let held = since(entry).map(|since| now.duration_since(since).as_secs());
    let reason = entry.quarantine.as_ref().map(|kept| clean(&kept.reason));
    [
        entry.fingerprint.short().to_owned(),
        held.map_or_else(
            || "-".to_owned(),
            |held| age(u64::try_from(held).unwrap_or(0)),
        ),
        clean(&entry.queue),
        entry.redrives.to_string(),
        reason.unwrap_or_default(),
    ]
}

fn lines(entry: &Entry, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut row = |name: &str, text: &str| lines.extend(field(name, text, width));
    row("queue", &entry.queue);
    let destination = entry.destination.as_deref();
    row("goes back to", destination.map_or("nowhere", name));
    if let Some(quarantine) = &entry.quarantine {
        let since = quarantine.time.timestamp();
        row("since", &format!("{since:.0}: {}", quarantine.reason));
    }
    let redrives = usize::try_from(entry.redrives).unwrap_or(usize::MAX);
    row("redriven", &count(redrives, "time"));
    for attempt in &entry.history {
        row("", &history(attempt));
    }
    if let Some(quarantine) = &entry.quarantine {
        for (name, text) in &quarantine.attributes {
            row("attribute", &format!("{name}: {text}"));
        }
        row("event", &quarantine.event);
        if quarantine.body != quarantine.event {
            row("body", &quarantine.body);
        }
    }
    lines
}

/// Asks whoever sits there.
fn agreed(entry: &Entry) -> Result<bool, CliError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::input(
            "discarding deletes the letter for good: expected --yes where nobody can be asked",
        ));
    }
    let mut err = anstream::stderr();
    let asked = write!(
        err,
        "Delete the letter {} of {} for good? yes or no: ",
        entry.fingerprint.short(),
        clean(&entry.queue)
    );
    let mut answer = String::new();
    asked
        .and_then(|()| err.flush())
        .and_then(|()| stdin.read_line(&mut answer))
        .map_err(|error| CliError::Input(format!("standard input: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use offchain_store::test_util::{FakeAws, condition_failed, done, refusal};

    use super::*;
    use crate::dlq::tests::{RECORDER, stack};
    use crate::output::{plain, table};

    const QUEUE: &str = "offchain-rides-record-dlq";

    fn entry(digit: &str) -> Entry {
        serde_json::from_value(json!({
            "fingerprint": format!("ab{}", digit.repeat(62)),
            "status": "quarantined",
            "queue": QUEUE,
            "destination": RECORDER,
            "redrives": 3,
            "message_id": "m3",
            "progress": "failed",
            "history": [{
                "time": "2026-11-21T10:00:00.000Z",
                "message_id": "m2",
                "code": "RideInvalid",
                "reason": "expected `RideId`",
                "outcome": "redriven",
            }],
            "quarantine": {
                "time": "2026-11-21T11:00:00.000Z",
                "reason": "redriven 3 times",
                "body": "{\"Message\":\"{}\"}",
                "attributes": {"ErrorCode": "RideInvalid", "ErrorMessage": "EOF"},
                "event": "{}",
            },
        }))
        .unwrap()
    }

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        let all = ["offchain", "dlq", "quarantine"].iter().chain(arguments);
        match crate::Args::try_parse_from(all).map(|args| args.command) {
            Ok(crate::Command::Dlq(crate::dlq::Command::Quarantine { command })) => {
                Ok(command.unwrap_or_default())
            }
            Ok(_) => panic!("another command"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_list_is_what_is_shown_without_more_words() {
        for arguments in [&[][..], &["list"]] {
            assert!(matches!(parsed(arguments), Ok(Command::List)));
        }
        let Ok(Command::Discard { fingerprint, yes }) = parsed(&["discard", "AB12", "--yes"])
        else {
            panic!("another command");
        };
        assert_eq!((fingerprint.as_str(), yes), ("ab12", true));
        for wrong in ["", "xyz", "ab 1", &"a".repeat(65)] {
            let error = parsed(&["release", wrong]).err().unwrap();
            assert!(
                error.contains("expected the first of a fingerprint's"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_beginning_of_a_fingerprint_names_one_letter() {
        let entries = [entry("1"), entry("2")];
        assert_eq!(find(&entries, "ab1").unwrap(), &entries[0]);
        let found = entries[1].fingerprint.as_str();
        assert_eq!(find(&entries, found).unwrap(), &entries[1]);
        for (entries, prefix, words) in [
            (
                &entries[..],
                "ab",
                "2 letters in quarantine have a fingerprint that begins with ab: expected more digits, as of ab1111111111, ab2222222222",
            ),
            (
                &entries,
                "ac",
                "no letter in quarantine has a fingerprint that begins with ac: expected one of ab1111111111, ab2222222222",
            ),
            (&[], "ab", "no letter is in quarantine"),
        ] {
            let error = find(entries, prefix).unwrap_err();
            assert_eq!(error.to_string(), words);
            assert_eq!(error.exit_code(), ExitCode::from(2));
        }
    }

    #[test]
    fn a_letter_in_quarantine_is_shown_with_why_and_what() {
        let now = "2026-11-23T10:59:59Z".parse().unwrap();
        assert_eq!(
            plain(&table(HEADER, vec![row(&entry("1"), now)], Some(80))),
            [
                " LETTER        FOR   QUEUE                      REDRIVEN  REASON",
                " ab1111111111  47 h  offchain-rides-record-dlq  3         redriven 3 times",
            ]
            .join("\n")
        );
        assert_eq!(
            lines(&entry("1"), 80),
            [
                "  queue         offchain-rides-record-dlq",
                "  goes back to  offchain-rides-record-sns",
                "  since         2026-11-21T11:00:00Z: redriven 3 times",
                "  redriven      3 times",
                "                2026-11-21T10:00:00Z redriven, RideInvalid: expected `RideId`",
                "  attribute     ErrorCode: RideInvalid",
                "  attribute     ErrorMessage: EOF",
                "  event         {}",
                r#"  body          {"Message":"{}"}"#,
            ]
        );
    }

    async fn released(aws: &FakeAws, entry: &Entry) -> Result<(), CliError> {
        let config = aws.sdk_config();
        let client = aws_sdk_dynamodb::Client::new(&config);
        let ledger = Ledger::new(client, "letters".to_owned());
        release(&stack(), &config, &ledger, entry).await
    }

    #[tokio::test]
    async fn a_released_letter_is_in_its_queue_before_it_leaves_the_table() {
        let aws = FakeAws::new()
            .on("SendMessage", done())
            .on("UpdateItem", done());
        released(&aws, &entry("1")).await.unwrap();
        assert_eq!(aws.operations(), ["SendMessage", "UpdateItem"]);
        let text = |text: &str| json!({"DataType": "String", "StringValue": text});
        assert_eq!(
            aws.sent_once("SendMessage"),
            json!({
                "QueueUrl": "https://sqs.test/record",
                "MessageBody": "{\"Message\":\"{}\"}",
                "MessageAttributes": {
                    "ErrorCode": text("RideInvalid"),
                    "ErrorMessage": text("EOF"),
                },
            })
        );
        let update = aws.sent_once("UpdateItem");
        assert_eq!(
            update["Key"]["fingerprint"],
            entry("1").fingerprint.as_str()
        );
        let expiration = update["ExpressionAttributeValues"][":expiration"].as_i64();
        let days = (expiration.unwrap() - Timestamp::now().as_second() + 60) / DAY_SECONDS;
        assert_eq!(days, 30);
    }

    #[tokio::test]
    async fn a_letter_that_is_not_back_in_its_queue_stays_in_quarantine() {
        let aws = FakeAws::new().on("SendMessage", refusal(400, "AccessDenied"));
        let error = released(&aws, &entry("1")).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(3));
        assert_eq!(aws.operations(), ["SendMessage"]);

        let mut elsewhere = entry("1");
        elsewhere.queue = "offchain-gone-dlq".to_owned();
        let aws = FakeAws::new();
        let error = released(&aws, &elsewhere).await.unwrap_err();
        assert!(error.to_string().contains("expected one of"), "{error}");
    }

    #[tokio::test]
    async fn two_people_at_once_hear_of_each_other() {
        let aws = FakeAws::new()
            .on("SendMessage", done())
            .on("UpdateItem", condition_failed());
        let error = released(&aws, &entry("1")).await.unwrap_err();
        assert!(
            error.to_string().contains("by another at this moment"),
            "{error}"
        );
        assert_eq!(error.exit_code(), ExitCode::from(1));
    }
}
