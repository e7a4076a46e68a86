//! `offchain dlq show`

use std::collections::BTreeMap;
use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName,
};
use clap::Args;
use jiff::Timestamp;
use offchain_redrive::{DeadLetter, Destination, Fingerprint, Source};
use offchain_store::AwsError;
use offchain_store::queue::{dead_letter, sent};
use offchain_store::redrive::{Attempt, Entry, Ledger};
use serde::Serialize;
use serde_json::Value;

use crate::aws;
use crate::dlq::queue;
use crate::dlq::text::{clean, count, field};
use crate::error::CliError;
use crate::output::Output;
use crate::stack::Stack;

/// How long a message is hidden while the others are read.
const HIDE_SECONDS: i32 = 60;
/// SQS hands out and takes back so many messages a call.
const BATCH: usize = 10;
/// More letters than anybody reads, and no more than SQS reads while they are hidden.
const MOST: i64 = 1000;

#[derive(Args)]
pub(crate) struct Show {
    /// The queue's name, as `offchain dlq list` prints it.
    queue: String,
    /// How many letters to show at most.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=MOST)
    )]
    limit: u32,
}

/// One letter: why it is here, how often it was put back, and where it goes.
#[derive(Debug, Serialize)]
struct Shown {
    message_id: String,
    fingerprint: Fingerprint,
    sent: Option<Timestamp>,
    source: Source,
    code: String,
    reason: String,
    /// How often the event was tried before it became a dead letter.
    attempts: Option<u32>,
    destination: Option<Destination>,
    /// Why it cannot be put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    undeliverable: Option<String>,
    redrives: u32,
    history: Vec<Attempt>,
    event: Value,
    body: Value,
}

impl Show {
    pub(crate) async fn run(self, stack: &Stack, output: &Output) -> Result<ExitCode, CliError> {
        let shown = self.read(stack, &aws::config(stack).await).await?;
        output.show(&shown, |output| {
            if shown.is_empty() {
                output.line("empty");
            }
            for letter in &shown {
                output.title(letter.title());
                for line in letter.lines(output.width()) {
                    output.line(line);
                }
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn read(&self, stack: &Stack, config: &SdkConfig) -> Result<Vec<Shown>, CliError> {
        let queue = queue(stack, &self.queue)?;
        let redrive = stack.redrive.as_ref();
        let default = redrive
            .and_then(|redrive| redrive.destinations.get(&self.queue))
            .and_then(Option::as_ref);
        let ledger = redrive.map(|redrive| {
            let client = aws_sdk_dynamodb::Client::new(config);
            Ledger::new(client, redrive.table.clone())
        });
        let limit = usize::try_from(self.limit).unwrap_or(BATCH);
        let messages = peek(&Client::new(config), &queue.url, limit).await?;
        let mut shown = Vec::new();
        for message in &messages {
            let letter = dead_letter(message, default);
            let entry = match &ledger {
                Some(ledger) => ledger.load(&letter.fingerprint).await?,
                None => None,
            };
            shown.push(Shown::of(letter, entry, message));
        }
        Ok(shown)
    }
}

/// Reads messages and hides them from nobody.
async fn peek(client: &Client, url: &str, limit: usize) -> Result<Vec<Message>, CliError> {
    let mut messages = BTreeMap::new();
    let read = receive(client, url, limit, &mut messages).await;
    let messages: Vec<Message> = messages.into_values().collect();
    // Also where reading failed half-way.
    let released = release(client, url, &messages).await;
    read?;
    released?;
    Ok(messages)
}

/// With a visibility timeout of 0 the queue would hand out the same messages
/// again at once, so each is hidden while the others are read, then shown again.
async fn receive(
    client: &Client,
    url: &str,
    limit: usize,
    messages: &mut BTreeMap<(Option<Timestamp>, String), Message>,
) -> Result<(), CliError> {
    while messages.len() < limit {
        let wanted = (limit - messages.len()).min(BATCH);
        let reply = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(wanted).unwrap_or(1))
            .visibility_timeout(HIDE_SECONDS)
            // Without a wait SQS asks some of its servers only, and a queue
            // that holds something may seem to be empty.
            .wait_time_seconds(1)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(AwsError::from)?;
        let before = messages.len();
        for message in reply.messages.unwrap_or_default() {
            let id = message.message_id.clone().unwrap_or_default();
            messages.insert((sent(&message), id), message);
        }
        // Nothing more, or nothing that was not seen before.
        if messages.len() == before {
            break;
        }
    }
    Ok(())
}

async fn release(client: &Client, url: &str, messages: &[Message]) -> Result<(), CliError> {
    for batch in messages.chunks(BATCH) {
        let entries = batch.iter().enumerate().map(|(at, message)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(at.to_string())
                .set_receipt_handle(message.receipt_handle.clone())
                .visibility_timeout(0)
                .build()
                .map_err(CliError::input)
        });
        // An entry that is refused is one that is visible again, or gone.
        client
            .change_message_visibility_batch()
            .queue_url(url)
            .set_entries(Some(entries.collect::<Result<_, _>>()?))
            .send()
            .await
            .map_err(AwsError::from)?;
    }
    Ok(())
}

/// The JSON that a text holds, else the text.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

impl Shown {
    fn of(letter: DeadLetter, entry: Option<Entry>, message: &Message) -> Self {
        let (destination, undeliverable) = match letter.destination {
            Ok(destination) => (Some(destination), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (redrives, history) =
            entry.map_or_else(Default::default, |entry| (entry.redrives, entry.history));
        Self {
            message_id: letter.message_id,
            fingerprint: letter.fingerprint,
            sent: letter.sent,
            source: letter.source,
            code: letter.code,
            reason: letter.reason,
            attempts: letter.attempts,
            destination,
            undeliverable,
            redrives,
            history,
            event: value(&letter.event),
            body: value(message.body.as_deref().unwrap_or_default()),
        }
    }

    fn title(&self) -> String {
        let id = clean(&self.message_id);
        self.sent.map_or_else(
            || format!("{id}  sent at an unknown time"),
            |sent| format!("{id}  {sent:.0}"),
        )
    }

    fn lines(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut row = |name: &str, text: &str| lines.extend(field(name, text, width));
        row("source", self.source.as_str());
        row("code", &self.code);
        row("reason", &self.reason);
        if let Some(attempts) = self.attempts {
            row("attempts", &attempts.to_string());
        }
        match (&self.destination, &self.undeliverable) {
            (Some(destination), _) => row("goes back to", destination.name()),
            (None, reason) => row(
                "goes back to",
                &format!("nowhere: {}", reason.as_deref().unwrap_or("unknown")),
            ),
        }
        row("fingerprint", self.fingerprint.as_str());
        row("redriven", &self.redriven());
        for attempt in &self.history {
            row("", &history(attempt));
        }
        row("event", &self.event.to_string());
        lines
    }

    fn redriven(&self) -> String {
        match usize::try_from(self.redrives).unwrap_or(usize::MAX) {
            0 => "never".to_owned(),
            redrives => count(redrives, "time"),
        }
    }
}

/// One redrive of the past, on a line.
pub(crate) fn history(attempt: &Attempt) -> String {
    let time = attempt.time.timestamp();
    format!(
        "{time:.0} {}, {}: {}",
        attempt.outcome, attempt.code, attempt.reason
    )
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{Call, FakeAws, Reply, answer, done, item, refusal};
    use serde_json::json;

    use super::*;
    use crate::dlq::tests::{RECORDER, stack};

    const QUEUE: &str = "offchain-rides-record-dlq";

    fn show(limit: u32) -> Show {
        Show {
            queue: QUEUE.to_owned(),
            limit,
        }
    }

    fn message(id: &str, body: &Value, attributes: &[(&str, &str)]) -> Value {
        let attributes: serde_json::Map<_, _> = attributes
            .iter()
            .map(|(name, text)| {
                let value = json!({"DataType": "String", "StringValue": text});
                ((*name).to_owned(), value)
            })
            .collect();
        json!({
            "MessageId": id,
            "ReceiptHandle": format!("handle of {id}"),
            "Body": body.as_str().map_or(body.to_string(), str::to_owned),
            "Attributes": {
                "SentTimestamp": "1795258800250",
                "ApproximateReceiveCount": "4",
            },
            "MessageAttributes": attributes,
        })
    }

    fn messages(messages: &[Value]) -> Reply {
        answer(json!({ "Messages": messages }))
    }

    /// The record of an invocation that failed three times.
    fn record() -> Value {
        json!({
            "version": "1.0",
            "timestamp": "2026-11-21T11:00:00.000Z",
            "requestContext": {
                "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
                "functionArn": format!("{RECORDER}:$LATEST"),
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": {"Records": []},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorType": "RideInvalid", "errorMessage": "expected `RideId`"},
        })
    }

    fn entry(fingerprint: &str) -> Value {
        json!({
            "fingerprint": fingerprint,
            "status": "open",
            "queue": QUEUE,
            "destination": RECORDER,
            "redrives": 1,
            "message_id": "m0",
            "progress": "failed",
            "history": [{
                "time": "2026-11-21T10:00:00.000Z",
                "message_id": "m0",
                "code": "RideInvalid",
                "reason": "expected `RideId`",
                "outcome": "failed",
            }],
        })
    }

    fn operations(aws: &FakeAws, operation: &str) -> Vec<Value> {
        let calls = aws.calls().into_iter();
        let calls = calls.filter(|Call { operation: it, .. }| it == operation);
        calls.map(|call| call.body).collect()
    }

    #[tokio::test]
    async fn a_letter_is_shown_with_its_event_and_its_history_and_stays() {
        let letters = [
            message("m1", &record(), &[]),
            message(
                "m2",
                &json!("{not json"),
                &[("ErrorCode", "RideInvalid"), ("ErrorMessage", "EOF")],
            ),
        ];
        let of_record = {
            let destination: Destination = RECORDER.parse().unwrap();
            Fingerprint::of(Some(&destination), r#"{"Records":[]}"#)
        };
        let aws = FakeAws::new()
            .on("ReceiveMessage", messages(&letters))
            .on("ReceiveMessage", done())
            .on(
                "ChangeMessageVisibilityBatch",
                answer(json!({"Successful": [], "Failed": []})),
            )
            .on("GetItem", item(&entry(of_record.as_str())))
            .on("GetItem", done());
        let shown = show(10).read(&stack(), &aws.sdk_config()).await.unwrap();
        assert_eq!(
            aws.operations(),
            [
                "ReceiveMessage",
                "ReceiveMessage",
                "ChangeMessageVisibilityBatch",
                "GetItem",
                "GetItem",
            ]
        );
        assert_eq!(
            operations(&aws, "ChangeMessageVisibilityBatch")[0]["Entries"],
            json!([
                {"Id": "0", "ReceiptHandle": "handle of m1", "VisibilityTimeout": 0},
                {"Id": "1", "ReceiptHandle": "handle of m2", "VisibilityTimeout": 0},
            ])
        );
        assert_eq!(
            operations(&aws, "GetItem")[0]["Key"]["fingerprint"],
            of_record.as_str()
        );
        assert_eq!(shown[0].title(), "m1  2026-11-21T11:00:00Z");
        assert_eq!(
            shown[0].lines(60),
            [
                "  source        function",
                "  code          RideInvalid",
                "  reason        expected `RideId`",
                "  attempts      3",
                "  goes back to  offchain-rides-record-sns",
                &format!("  fingerprint   {}", &of_record.as_str()[..44]),
                &format!("                {}", &of_record.as_str()[44..]),
                "  redriven      1 time",
                "                2026-11-21T10:00:00Z failed, RideInvalid:",
                "                expected `RideId`",
                r#"  event         {"Records":[]}"#,
            ]
        );
        let lines = shown[1].lines(80);
        assert_eq!(
            (&lines[1], &lines[2]),
            (
                &"  code          RideInvalid".to_owned(),
                &"  reason        EOF".to_owned()
            )
        );
        assert!(
            lines[3].starts_with("  goes back to  nowhere: expected "),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"  redriven      never".to_owned()),
            "{lines:?}"
        );
        assert!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{lines:?}"
        );
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json[0]["event"], json!({"Records": []}));
        assert_eq!(json[0]["body"], record());
        assert_eq!(json[0]["destination"], RECORDER);
        assert_eq!(
            (&json[1]["event"], &json[1]["destination"]),
            (&json!("{not json"), &Value::Null)
        );
    }

    #[tokio::test]
    async fn no_more_is_read_than_was_asked_for() {
        let letters: Vec<_> = (0..10)
            .map(|id| message(&format!("m{id}"), &record(), &[]))
            .collect();
        let aws = FakeAws::new()
            .on("ReceiveMessage", messages(&letters))
            .on(
                "ReceiveMessage",
                messages(&[message("last", &record(), &[])]),
            )
            .always(
                "ChangeMessageVisibilityBatch",
                answer(json!({"Successful": [], "Failed": []})),
            )
            .always("GetItem", done());
        let shown = show(11).read(&stack(), &aws.sdk_config()).await.unwrap();
        assert_eq!(shown.len(), 11);
        let asked = operations(&aws, "ReceiveMessage");
        assert_eq!(asked[0]["MaxNumberOfMessages"], 10);
        assert_eq!(asked[1]["MaxNumberOfMessages"], 1);
        assert_eq!(operations(&aws, "ChangeMessageVisibilityBatch").len(), 2);
    }

    #[tokio::test]
    async fn what_was_read_is_shown_to_others_again_though_reading_failed() {
        let aws = FakeAws::new()
            .on("ReceiveMessage", messages(&[message("m1", &record(), &[])]))
            .on("ReceiveMessage", refusal(400, "AccessDeniedException"))
            .on(
                "ChangeMessageVisibilityBatch",
                answer(json!({"Successful": [], "Failed": []})),
            );
        let error = show(10)
            .read(&stack(), &aws.sdk_config())
            .await
            .unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::from(3));
        assert_eq!(operations(&aws, "ChangeMessageVisibilityBatch").len(), 1);
    }

    #[tokio::test]
    async fn a_deployment_without_redrive_shows_its_letters_all_the_same() {
        let mut stack = stack();
        stack.redrive = None;
        let aws = FakeAws::new()
            .on("ReceiveMessage", messages(&[message("m1", &record(), &[])]))
            .on(
                "ChangeMessageVisibilityBatch",
                answer(json!({"Successful": [], "Failed": []})),
            );
        let shown = show(1).read(&stack, &aws.sdk_config()).await.unwrap();
        assert_eq!(
            (shown[0].code.as_str(), shown[0].redrives),
            ("RideInvalid", 0)
        );
    }
}
