//! The history of dead letters: how often each was put back, and with what
//! outcome; and those that are put back no more.
//!
//! A letter is known by its fingerprint, which a redriven message that fails
//! again keeps, while its message id changes. The count is raised before a
//! letter is sent, so that no crash can hide a redrive from it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_redrive::{DeadLetter, Fingerprint, Kind, Outcome};
use serde::{Deserialize, Serialize};
use serde_dynamo::{from_item, to_attribute_value};

use crate::error::made;
use crate::item::{get, number, text};
use crate::{Moment, StoreError};

const FINGERPRINT: &str = "fingerprint";
/// How often an update is tried that others come between: equal letters of one
/// batch are put back at the same time.
const ATTEMPTS: u32 = 30;

/// Whether a letter is still put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is.
    Open,
    /// It is not: somebody has to look at it.
    Quarantined,
}

/// How far the last redrive of a letter came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It was counted, and may have been sent.
    Sending,
    /// Its destination has it.
    Sent,
    /// Its destination refused it.
    Failed,
}

/// One redrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began: a message that comes back is younger.
    pub time: Moment,
    /// The message that was taken from the queue.
    pub message_id: String,
    /// Why it was a dead letter; after a failure, what the destination said.
    pub code: String,
    /// The text beside the code.
    pub reason: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// The message of a letter that is put back no more, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub time: Moment,
    /// Why.
    pub reason: String,
    /// The body as it lay in the queue.
    pub body: String,
    /// The message's attributes.
    pub attributes: BTreeMap<String, String>,
    /// The event that the body holds.
    pub event: String,
}

/// What is known of a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is known by.
    pub fingerprint: Fingerprint,
    /// Whether it is still put back.
    pub status: Status,
    /// The dead-letter queue it was last found in.
    pub queue: String,
    /// The ARN it goes to, where one is known.
    #[serde(default)]
    pub destination: Option<String>,
    /// How often it was put back.
    pub redrives: u32,
    /// The message of the last redrive.
    pub message_id: String,
    /// How far that came.
    pub progress: Progress,
    /// The redrives, oldest first.
    #[serde(default)]
    pub history: Vec<Attempt>,
    /// The message, where it is quarantined.
    #[serde(default)]
    pub quarantine: Option<Quarantine>,
}

impl Entry {
    /// Whether the letter in the queue is what came back of a redrive, or is
    /// still there after one that failed. Otherwise it is an equal one that
    /// has waited beside it.
    #[must_use]
    pub fn came_back(&self, letter: &DeadLetter) -> bool {
        self.message_id == letter.message_id
            || self.history.iter().any(|attempt| attempt.of(letter))
    }

    /// Whether the letter was put back at `since` or later, and is here again.
    #[must_use]
    pub fn came_back_since(&self, letter: &DeadLetter, since: Timestamp) -> bool {
        self.history
            .iter()
            .any(|attempt| attempt.time.timestamp() >= since && attempt.of(letter))
    }
}

impl Attempt {
    /// Whether it put back this very message, or one before it. What a function
    /// took does not come back: a younger letter is another event that is equal.
    fn of(&self, letter: &DeadLetter) -> bool {
        let is_over = self.outcome == Outcome::Redriven && is_for_function(letter);
        self.message_id == letter.message_id
            || !is_over && letter.sent.is_none_or(|sent| sent > self.time.timestamp())
    }
}

/// Whether a letter may be put back now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may; this is its `n`th redrive.
    Send(u32),
    /// This very message was sent before; it only has to leave the queue.
    AlreadySent(u32),
    /// It was put back as often as is allowed.
    Exhausted(u32),
}

/// Why the history could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Others write the same letter's history time and again.
    #[error("others redrive the letter {0} at this moment")]
    Busy(Fingerprint),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for LedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy(_) => "LetterBusy",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Store(error) => error.retryable(),
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    /// The table named `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// What is known of a letter.
    pub async fn load(&self, fingerprint: &Fingerprint) -> Result<Option<Entry>, StoreError> {
        let key = [(FINGERPRINT, text(fingerprint.as_str()))];
        get(&self.client, &self.table, key).await
    }

    /// Counts a redrive of a letter that lies in `queue`, where `limit` allows
    /// one more. A message that a run counted and did not come to the end of
    /// is not counted again. DynamoDB may forget the letter at `expiration`, in
    /// seconds since 1970.
    pub async fn begin(
        &self,
        letter: &DeadLetter,
        queue: &str,
        limit: u32,
        expiration: i64,
    ) -> Result<Begun, LedgerError> {
        for _ in 0..ATTEMPTS {
            let seen = self.load(&letter.fingerprint).await?;
            let redrives = seen.as_ref().map_or(0, |seen| seen.redrives);
            if let Some(seen) = &seen
                && seen.message_id == letter.message_id
            {
                match seen.progress {
                    Progress::Sent => return Ok(Begun::AlreadySent(redrives)),
                    Progress::Sending if redrives > 0 => return Ok(Begun::Send(redrives)),
                    Progress::Sending | Progress::Failed => {}
                }
            }
            // Where it was sent and stayed in its queue, an equal one may have come
            // after it.
            if let Some(seen) = &seen
                && seen.history.iter().any(|attempt| {
                    attempt.message_id == letter.message_id && attempt.outcome == Outcome::Redriven
                })
            {
                return Ok(Begun::AlreadySent(redrives));
            }
            let raised = match &seen {
                // What is dead now is an event of its own, such as a schedule's,
                // which are all the same.
                Some(seen) if seen.progress == Progress::Sent && is_for_function(letter) => 1,
                // An equal letter that has only waited is not one more redrive of it.
                Some(seen) if redrives > 0 && !seen.came_back(letter) => redrives,
                _ if redrives >= limit => return Ok(Begun::Exhausted(redrives)),
                _ => redrives + 1,
            };
            if self
                .count(letter, queue, seen.as_ref(), raised, expiration)
                .await?
            {
                return Ok(Begun::Send(raised));
            }
        }
        Err(LedgerError::Busy(letter.fingerprint.clone()))
    }

    async fn count(
        &self,
        letter: &DeadLetter,
        queue: &str,
        seen: Option<&Entry>,
        redrives: u32,
        expiration: i64,
    ) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(FINGERPRINT, text(letter.fingerprint.as_str()))
            .update_expression(
                "SET #status = :open, queue = :queue, destination = :destination, \
                 redrives = :redrives, message_id = :message_id, progress = :sending, \
                 expiration = :expiration \
                 REMOVE quarantine",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":open", text("open"))
            .expression_attribute_values(":queue", text(queue))
            .expression_attribute_values(":destination", destination(letter))
            .expression_attribute_values(":redrives", number(redrives))
            .expression_attribute_values(":message_id", text(&letter.message_id))
            .expression_attribute_values(":sending", text("sending"))
            .expression_attribute_values(":expiration", number(expiration));
        let update = match seen {
            None => update.condition_expression("attribute_not_exists(fingerprint)"),
            Some(seen) => update
                .condition_expression(
                    "redrives = :seen AND message_id = :seen_id AND progress = :seen_progress",
                )
                .expression_attribute_values(":seen", number(seen.redrives))
                .expression_attribute_values(":seen_id", text(&seen.message_id))
                .expression_attribute_values(":seen_progress", value(&seen.progress)?),
        };
        made(update.send().await)
    }

    /// Notes how a redrive ended. Where another run has taken the letter up
    /// since, its note stays.
    pub async fn settle(
        &self,
        fingerprint: &Fingerprint,
        attempt: &Attempt,
    ) -> Result<(), StoreError> {
        let progress = match attempt.outcome {
            Outcome::Redriven => Progress::Sent,
            Outcome::Failed | Outcome::Quarantined => Progress::Failed,
        };
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(FINGERPRINT, text(fingerprint.as_str()))
            .update_expression(
                "SET progress = :progress, \
                 history = list_append(if_not_exists(history, :none), :attempt)",
            )
            // A note whose reply was lost is made once.
            .condition_expression("message_id = :message_id AND progress = :sending")
            .expression_attribute_values(":progress", value(&progress)?)
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":attempt", AttributeValue::L(vec![value(attempt)?]))
            .expression_attribute_values(":message_id", text(&attempt.message_id))
            .expression_attribute_values(":sending", value(&Progress::Sending)?);
        made(update.send().await)?;
        Ok(())
    }

    /// Keeps a letter that is put back no more, for ever.
    pub async fn quarantine(
        &self,
        letter: &DeadLetter,
        queue: &str,
        quarantine: &Quarantine,
    ) -> Result<(), StoreError> {
        let attempt = Attempt {
            time: quarantine.time,
            message_id: letter.message_id.clone(),
            code: letter.code.clone(),
            reason: letter.reason.clone(),
            outcome: Outcome::Quarantined,
        };
        self.client
            .update_item()
            .table_name(&self.table)
            .key(FINGERPRINT, text(letter.fingerprint.as_str()))
            .update_expression(
                "SET #status = :quarantined, queue = :queue, destination = :destination, \
                 redrives = if_not_exists(redrives, :zero), message_id = :message_id, \
                 progress = :failed, quarantine = :quarantine, \
                 history = list_append(if_not_exists(history, :none), :attempt) \
                 REMOVE expiration",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":quarantined", text("quarantined"))
            .expression_attribute_values(":queue", text(queue))
            .expression_attribute_values(":destination", destination(letter))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":message_id", text(&letter.message_id))
            .expression_attribute_values(":failed", text("failed"))
            .expression_attribute_values(":quarantine", value(quarantine)?)
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
            .expression_attribute_values(":attempt", AttributeValue::L(vec![value(&attempt)?]))
            .send()
            .await?;
        Ok(())
    }

    /// Every letter that is put back no more.
    pub async fn quarantined(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .filter_expression("#status = :quarantined")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":quarantined", text("quarantined"))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            for item in page.items.unwrap_or_default() {
                entries.push(from_item(item).map_err(StoreError::Item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Lets a quarantined letter be put back again, as often as a new one. Its
    /// message has to be in its queue before. Its history stays until
    /// `expiration`. `false` where it is not quarantined as `seen` says: another
    /// run may have quarantined it anew since.
    pub async fn release(&self, seen: &Entry, expiration: i64) -> Result<bool, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(FINGERPRINT, text(seen.fingerprint.as_str()))
            .update_expression(
                "SET #status = :open, redrives = :zero, expiration = :expiration \
                 REMOVE quarantine",
            )
            .condition_expression("#status = :quarantined AND message_id = :message_id")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":open", text("open"))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":expiration", number(expiration))
            .expression_attribute_values(":quarantined", text("quarantined"))
            .expression_attribute_values(":message_id", text(&seen.message_id));
        made(update.send().await)
    }

    /// Deletes a quarantined letter; `false` where it is not quarantined as
    /// `seen` says.
    pub async fn discard(&self, seen: &Entry) -> Result<bool, StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(FINGERPRINT, text(seen.fingerprint.as_str()))
            .condition_expression("#status = :quarantined AND message_id = :message_id")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":quarantined", text("quarantined"))
            .expression_attribute_values(":message_id", text(&seen.message_id));
        made(delete.send().await)
    }
}

fn value(value: &impl Serialize) -> Result<AttributeValue, StoreError> {
    to_attribute_value(value).map_err(StoreError::Item)
}

/// A function is waited for, so what it took is over.
fn is_for_function(letter: &DeadLetter) -> bool {
    letter
        .destination
        .as_ref()
        .is_ok_and(|destination| destination.kind() == Kind::Function)
}

fn destination(letter: &DeadLetter) -> AttributeValue {
    match &letter.destination {
        Ok(destination) => text(destination.as_str()),
        Err(_) => AttributeValue::Null(true),
    }
}

#[cfg(test)]
mod tests {
    use offchain_redrive::{Destination, Message};
    use serde_json::{Value, json};

    use super::*;
    use crate::test_util::{
        FakeAws, Reply, attributes, condition_failed, done, item, items, page, refusal, written,
    };

    const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:requests";

    /// The letter as this message, sent so many seconds after 12:00.
    fn letter(id: &str, sent: Option<i64>) -> DeadLetter {
        let default: Destination = QUEUE.parse().unwrap();
        letter_to(Some(&default), id, sent)
    }

    fn letter_to(default: Option<&Destination>, id: &str, sent: Option<i64>) -> DeadLetter {
        let message = Message {
            id,
            body: r#"{"ask":1}"#,
            attributes: &BTreeMap::new(),
            sent: sent.map(|seconds| at(seconds).timestamp()),
            receives: 5,
        };
        DeadLetter::of(&message, default)
    }

    fn at(seconds: i64) -> Moment {
        let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        (noon + jiff::SignedDuration::from_secs(seconds)).into()
    }

    fn fingerprint() -> Fingerprint {
        letter("m1", None).fingerprint
    }

    fn attempt(id: &str, seconds: i64, outcome: Outcome) -> Attempt {
        Attempt {
            time: at(seconds),
            message_id: id.to_owned(),
            code: "StartFailed".to_owned(),
            reason: "the execution could not be started".to_owned(),
            outcome,
        }
    }

    /// What the table has of the letter after `redrives` of which the last
    /// was this message's, 10 s after 12:00.
    fn seen(id: &str, progress: &str, redrives: u32) -> Value {
        let outcome = match progress {
            "sent" => Outcome::Redriven,
            _ => Outcome::Failed,
        };
        let history = match progress {
            "sending" => Vec::new(),
            _ => vec![attempt(id, 10, outcome)],
        };
        json!({
            "fingerprint": fingerprint().as_str(),
            "status": "open",
            "queue": "requests-dlq",
            "destination": QUEUE,
            "redrives": redrives,
            "message_id": id,
            "progress": progress,
            "history": history,
            "expiration": 2_000_000_000,
        })
    }

    fn ledger(aws: &FakeAws) -> Ledger {
        Ledger::new(Client::new(&aws.sdk_config()), "letters".into())
    }

    async fn begin(aws: &FakeAws, letter: &DeadLetter) -> Result<Begun, LedgerError> {
        ledger(aws)
            .begin(letter, "requests-dlq", 3, 1_999_999_999)
            .await
    }

    #[tokio::test]
    async fn a_letter_that_nobody_knows_is_counted_before_it_is_sent() {
        for (letter, destination) in [
            (letter("m1", Some(0)), json!(QUEUE)),
            (letter_to(None, "m1", Some(0)), Value::Null),
        ] {
            let aws = FakeAws::new()
                .on("GetItem", done())
                .on("UpdateItem", done());
            assert_eq!(begin(&aws, &letter).await.unwrap(), Begun::Send(1));
            assert_eq!(aws.operations(), ["GetItem", "UpdateItem"]);

            let key = json!({ "fingerprint": letter.fingerprint.as_str() });
            let get = aws.sent_once("GetItem");
            assert_eq!((&get["TableName"], &get["Key"]), (&json!("letters"), &key));
            assert_eq!(get["ConsistentRead"], true);
            let update = aws.sent_once("UpdateItem");
            assert_eq!(
                (&update["TableName"], &update["Key"]),
                (&json!("letters"), &key)
            );
            // Another run may have come between the two.
            assert_eq!(
                update["ConditionExpression"],
                "attribute_not_exists(fingerprint)"
            );
            assert_eq!(
                update["ExpressionAttributeNames"],
                json!({ "#status": "status" })
            );
            assert_eq!(
                written(&update),
                json!({
                    "#status": "open",
                    "queue": "requests-dlq",
                    "destination": destination,
                    "redrives": 1,
                    "message_id": "m1",
                    "progress": "sending",
                    "expiration": 1_999_999_999,
                })
            );
        }
    }

    #[tokio::test]
    async fn what_a_letter_was_through_decides_whether_it_is_sent() {
        let later = letter("m1", Some(11));
        let waiting = letter("m1", Some(9));
        let timeless = letter("m1", None);
        for (name, before, letter, begun, counted) in [
            (
                "sent before",
                seen("m1", "sent", 2),
                &waiting,
                Begun::AlreadySent(2),
                None,
            ),
            // The run that counted it may have sent it, or not.
            (
                "left half-way",
                seen("m1", "sending", 2),
                &waiting,
                Begun::Send(2),
                None,
            ),
            (
                "failed",
                seen("m1", "failed", 2),
                &waiting,
                Begun::Send(3),
                Some(3),
            ),
            (
                "failed too often",
                seen("m1", "failed", 3),
                &waiting,
                Begun::Exhausted(3),
                None,
            ),
            (
                "back",
                seen("m0", "sent", 2),
                &later,
                Begun::Send(3),
                Some(3),
            ),
            (
                "back too often",
                seen("m0", "sent", 3),
                &later,
                Begun::Exhausted(3),
                None,
            ),
            (
                "perhaps back",
                seen("m0", "sent", 3),
                &timeless,
                Begun::Exhausted(3),
                None,
            ),
            // An equal letter that lay beside the one that was sent.
            (
                "equal",
                seen("m0", "sent", 1),
                &waiting,
                Begun::Send(1),
                Some(1),
            ),
            (
                "equal to the last",
                seen("m0", "sent", 3),
                &waiting,
                Begun::Send(3),
                Some(3),
            ),
            (
                "equal to one on its way",
                seen("m0", "sending", 1),
                &waiting,
                Begun::Send(1),
                Some(1),
            ),
            (
                "released",
                seen("m0", "failed", 0),
                &waiting,
                Begun::Send(1),
                Some(1),
            ),
        ] {
            let aws = FakeAws::new().on("GetItem", item(&before));
            let aws = match counted {
                Some(_) => aws.on("UpdateItem", done()),
                None => aws,
            };
            assert_eq!(begin(&aws, letter).await.unwrap(), begun, "{name}");
            let Some(counted) = counted else { continue };
            let update = aws.sent_once("UpdateItem");
            assert_eq!(written(&update)["redrives"], counted, "{name}");
            assert_eq!(written(&update)["message_id"], "m1", "{name}");
            assert_eq!(
                update["ConditionExpression"],
                "redrives = :seen AND message_id = :seen_id AND progress = :seen_progress"
            );
            let values = &update["ExpressionAttributeValues"];
            assert_eq!(values[":seen"], before["redrives"], "{name}");
            assert_eq!(values[":seen_id"], before["message_id"], "{name}");
            assert_eq!(values[":seen_progress"], before["progress"], "{name}");
        }
    }

    #[tokio::test]
    async fn what_a_function_took_is_over_and_an_equal_event_begins_anew() {
        let function: Destination = "arn:aws:lambda:eu-central-1:000000000000:function:sweep"
            .parse()
            .unwrap();
        let later = letter_to(Some(&function), "m1", Some(11));
        for (before, begun) in [
            (seen("m0", "sent", 3), Begun::Send(1)),
            // It did not take this one, which is here again.
            (seen("m0", "failed", 2), Begun::Send(3)),
            (seen("m0", "failed", 3), Begun::Exhausted(3)),
        ] {
            let aws = FakeAws::new()
                .on("GetItem", item(&before))
                .on("UpdateItem", done());
            assert_eq!(begin(&aws, &later).await.unwrap(), begun, "{before}");
        }
    }

    #[tokio::test]
    async fn a_message_that_was_sent_stays_sent_when_an_equal_one_followed() {
        let mut before = seen("m2", "sending", 2);
        before["history"] = json!([attempt("m1", 10, Outcome::Redriven)]);
        let aws = FakeAws::new().on("GetItem", item(&before));
        let begun = begin(&aws, &letter("m1", Some(0))).await.unwrap();
        assert_eq!(begun, Begun::AlreadySent(2));
    }

    #[tokio::test]
    async fn a_letter_that_is_counted_is_quarantined_no_more() {
        let mut before = seen("m0", "failed", 3);
        before["status"] = "quarantined".into();
        before["quarantine"] = serde_json::to_value(quarantine()).unwrap();
        let aws = FakeAws::new()
            .on("GetItem", item(&before))
            .on("UpdateItem", done());
        let equal = letter("m1", Some(9));
        assert_eq!(begin(&aws, &equal).await.unwrap(), Begun::Send(3));
        let update = aws.sent_once("UpdateItem");
        assert_eq!(written(&update)["#status"], "open");
        let expression = update["UpdateExpression"].as_str().unwrap();
        assert!(expression.ends_with(" REMOVE quarantine"), "{expression}");
    }

    #[tokio::test]
    async fn whoever_comes_second_looks_again() {
        let aws = FakeAws::new()
            .on("GetItem", done())
            .on("UpdateItem", condition_failed())
            .on("GetItem", item(&seen("m1", "sent", 1)));
        let begun = begin(&aws, &letter("m1", Some(0))).await.unwrap();
        assert_eq!(begun, Begun::AlreadySent(1));
    }

    #[tokio::test]
    async fn a_letter_that_others_always_reach_first_is_left_to_them() {
        let aws = FakeAws::new()
            .always("GetItem", item(&seen("m0", "failed", 1)))
            .always("UpdateItem", condition_failed());
        let error = begin(&aws, &letter("m1", Some(11))).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("LetterBusy", true));
        assert_eq!(aws.operations(), ["GetItem", "UpdateItem"].repeat(30));
    }

    #[tokio::test]
    async fn a_table_that_fails_is_the_store_s_error() {
        let denied = || refusal(400, "AccessDeniedException");
        for (aws, code, retryable) in [
            (FakeAws::new().on("GetItem", denied()), "StoreDenied", false),
            (
                FakeAws::new()
                    .on("GetItem", done())
                    .on("UpdateItem", Reply::NoConnection),
                "StoreUnavailable",
                true,
            ),
            (
                FakeAws::new().on("GetItem", item(&json!({ "fingerprint": "odd" }))),
                "StoreRejected",
                false,
            ),
        ] {
            let error = begin(&aws, &letter("m1", None)).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (code, retryable));
        }
    }

    #[tokio::test]
    async fn a_redrive_that_ended_is_added_to_the_history() {
        for (outcome, progress) in [(Outcome::Redriven, "sent"), (Outcome::Failed, "failed")] {
            let aws = FakeAws::new().on("UpdateItem", done());
            let attempt = attempt("m1", 10, outcome);
            ledger(&aws).settle(&fingerprint(), &attempt).await.unwrap();
            let update = aws.sent_once("UpdateItem");
            assert_eq!(update["TableName"], "letters");
            assert_eq!(update["Key"]["fingerprint"], fingerprint().as_str());
            assert_eq!(
                update["UpdateExpression"],
                "SET progress = :progress, \
                 history = list_append(if_not_exists(history, :none), :attempt)"
            );
            assert_eq!(
                update["ConditionExpression"],
                "message_id = :message_id AND progress = :sending"
            );
            assert_eq!(
                update["ExpressionAttributeValues"],
                json!({
                    ":progress": progress,
                    ":none": [],
                    ":attempt": [{
                        "time": "2026-11-21T12:00:10.000Z",
                        "message_id": "m1",
                        "code": "StartFailed",
                        "reason": "the execution could not be started",
                        "outcome": outcome.as_str(),
                    }],
                    ":message_id": "m1",
                    ":sending": "sending",
                })
            );
        }
    }

    #[tokio::test]
    async fn the_note_of_whoever_took_the_letter_up_since_stays() {
        let attempt = attempt("m1", 10, Outcome::Redriven);
        let aws = FakeAws::new().on("UpdateItem", condition_failed());
        ledger(&aws).settle(&fingerprint(), &attempt).await.unwrap();
        let aws = FakeAws::new().on("UpdateItem", Reply::NoConnection);
        let error = ledger(&aws).settle(&fingerprint(), &attempt).await;
        assert_eq!(error.unwrap_err().code(), "StoreUnavailable");
    }

    fn quarantine() -> Quarantine {
        Quarantine {
            time: at(20),
            reason: "put back 3 times in vain".to_owned(),
            body: r#"{"ask":1}"#.to_owned(),
            attributes: BTreeMap::from([("ErrorCode".to_owned(), "StartFailed".to_owned())]),
            event: r#"{"ask":1}"#.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_quarantined_letter_is_kept_whole_and_for_ever() {
        let aws = FakeAws::new().on("UpdateItem", done());
        let letter = letter("m1", Some(0));
        ledger(&aws)
            .quarantine(&letter, "requests-dlq", &quarantine())
            .await
            .unwrap();
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["Key"]["fingerprint"], fingerprint().as_str());
        // Whatever the table has of it: it must leave the queue with its message kept.
        assert_eq!(update.get("ConditionExpression"), None);
        let expression = update["UpdateExpression"].as_str().unwrap();
        for part in [
            "SET #status = :quarantined,",
            " queue = :queue,",
            " destination = :destination,",
            " redrives = if_not_exists(redrives, :zero),",
            " message_id = :message_id,",
            " progress = :failed,",
            " quarantine = :quarantine,",
            " history = list_append(if_not_exists(history, :none), :attempt)",
            " REMOVE expiration",
        ] {
            assert!(expression.contains(part), "{part}: {expression}");
        }
        let values = &update["ExpressionAttributeValues"];
        assert_eq!(values[":quarantined"], "quarantined");
        assert_eq!(values[":queue"], "requests-dlq");
        assert_eq!(values[":destination"], QUEUE);
        assert_eq!(
            (&values[":zero"], &values[":message_id"]),
            (&json!(0), &json!("m1"))
        );
        assert_eq!(values[":failed"], "failed");
        assert_eq!(values[":attempt"][0]["outcome"], "quarantined");
        assert_eq!(values[":attempt"][0]["time"], "2026-11-21T12:00:20.000Z");

        // What is written is read as it was.
        let mut kept = seen("m1", "failed", 3);
        kept["status"] = "quarantined".into();
        kept["quarantine"] = values[":quarantine"].clone();
        let aws = FakeAws::new().on("GetItem", item(&kept));
        let entry = ledger(&aws).load(&fingerprint()).await.unwrap().unwrap();
        assert_eq!(entry.status, Status::Quarantined);
        assert_eq!(entry.quarantine, Some(quarantine()));
        assert_eq!(entry.history, [attempt("m1", 10, Outcome::Failed)]);
    }

    #[tokio::test]
    async fn what_cannot_be_quarantined_is_an_error() {
        let aws = FakeAws::new().on("UpdateItem", refusal(400, "ValidationException"));
        let letter = letter("m1", Some(0));
        let outcome = ledger(&aws)
            .quarantine(&letter, "requests-dlq", &quarantine())
            .await;
        assert_eq!(outcome.unwrap_err().code(), "StoreRejected");
    }

    #[tokio::test]
    async fn every_page_of_the_quarantine_is_listed() {
        let last = json!({ "fingerprint": fingerprint().as_str() });
        let aws = FakeAws::new()
            .on("Scan", page(&[seen("m1", "failed", 3)], &last))
            .on("Scan", items(&[seen("m2", "failed", 1)]));
        let entries = ledger(&aws).quarantined().await.unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| &*entry.message_id).collect();
        assert_eq!(ids, ["m1", "m2"]);
        let scans = aws.sent("Scan");
        assert_eq!(scans[0].get("ExclusiveStartKey"), None);
        assert_eq!(scans[1]["ExclusiveStartKey"], last);
        for scan in scans {
            assert_eq!(scan["FilterExpression"], "#status = :quarantined");
            assert_eq!(scan["ExpressionAttributeNames"]["#status"], "status");
            let values = json!({ ":quarantined": "quarantined" });
            assert_eq!(scan["ExpressionAttributeValues"], values);
        }
        let aws = FakeAws::new().on("Scan", items(&[json!({ "fingerprint": "odd" })]));
        let error = ledger(&aws).quarantined().await.unwrap_err();
        assert_eq!(error.code(), "StoreRejected");
    }

    #[tokio::test]
    async fn only_a_quarantined_letter_is_released_or_discarded() {
        let entry: Entry = serde_json::from_value(seen("m1", "failed", 3)).unwrap();
        let condition = "#status = :quarantined AND message_id = :message_id";
        for (reply, was) in [(done(), true), (condition_failed(), false)] {
            let aws = FakeAws::new().on("UpdateItem", reply.clone());
            let released = ledger(&aws).release(&entry, 1_999_999_999).await;
            assert_eq!(released.unwrap(), was);
            let update = aws.sent_once("UpdateItem");
            assert_eq!(update["ConditionExpression"], condition);
            assert_eq!(
                written(&update),
                json!({ "#status": "open", "redrives": 0, "expiration": 1_999_999_999 })
            );
            let expression = update["UpdateExpression"].as_str().unwrap();
            assert!(expression.ends_with(" REMOVE quarantine"), "{expression}");

            let aws = FakeAws::new().on("DeleteItem", reply);
            assert_eq!(ledger(&aws).discard(&entry).await.unwrap(), was);
            let delete = aws.sent_once("DeleteItem");
            assert_eq!(delete["Key"]["fingerprint"], fingerprint().as_str());
            assert_eq!(delete["ConditionExpression"], condition);
            let values = json!({ ":quarantined": "quarantined", ":message_id": "m1" });
            assert_eq!(delete["ExpressionAttributeValues"], values);
        }
        let aws = FakeAws::new()
            .on("UpdateItem", Reply::NoConnection)
            .on("DeleteItem", Reply::NoConnection);
        let error = ledger(&aws).release(&entry, 0).await.unwrap_err();
        assert_eq!(error.code(), "StoreUnavailable");
        let error = ledger(&aws).discard(&entry).await.unwrap_err();
        assert_eq!(error.code(), "StoreUnavailable");
    }

    #[test]
    fn a_letter_came_back_where_it_is_the_message_or_younger_than_a_redrive() {
        let entry =
            |id, progress| -> Entry { serde_json::from_value(seen(id, progress, 1)).unwrap() };
        for (name, entry, id, sent, back, since_ten, since_eleven) in [
            (
                "the same",
                entry("m1", "failed"),
                "m1",
                Some(0),
                true,
                true,
                false,
            ),
            (
                "younger",
                entry("m0", "sent"),
                "m1",
                Some(11),
                true,
                true,
                false,
            ),
            (
                "timeless",
                entry("m0", "sent"),
                "m1",
                None,
                true,
                true,
                false,
            ),
            (
                "older",
                entry("m0", "sent"),
                "m1",
                Some(9),
                false,
                false,
                false,
            ),
            // A run that ended half-way left no note of it.
            (
                "half-way",
                entry("m1", "sending"),
                "m1",
                Some(0),
                true,
                false,
                false,
            ),
            (
                "beside it",
                entry("m0", "sending"),
                "m1",
                Some(11),
                false,
                false,
                false,
            ),
        ] {
            let letter = letter(id, sent);
            let since = |seconds| entry.came_back_since(&letter, at(seconds).timestamp());
            assert_eq!(
                (entry.came_back(&letter), since(10), since(11)),
                (back, since_ten, since_eleven),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn an_item_without_what_came_later_is_read() {
        let mut first = seen("m1", "sending", 1);
        let fields = first.as_object_mut().unwrap();
        for name in ["history", "destination"] {
            fields.remove(name);
        }
        let reply = Reply::Http(200, json!({ "Item": attributes(&first) }));
        let aws = FakeAws::new().on("GetItem", reply);
        let entry = ledger(&aws).load(&fingerprint()).await.unwrap().unwrap();
        assert_eq!((entry.history.len(), entry.destination), (0, None));
        assert_eq!(entry.quarantine, None);
    }
}
