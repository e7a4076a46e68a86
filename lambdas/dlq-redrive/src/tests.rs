//! Steps through the handler, against a fake AWS.

use offchain_store::test_util::{
    Call, FakeAws, Reply, answer, condition_failed, done, item, refusal, written,
};
use serde_json::{Value, json};

use super::*;

const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:requests";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:missed";
const MACHINE: &str = "arn:aws:states:eu-central-1:123456789012:stateMachine:fulfil";
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:rides";
const RULE: (&str, &str) = (
    "RULE_ARN",
    "arn:aws:events:eu-central-1:123456789012:rule/r",
);

fn variable(name: &str) -> Option<String> {
    Some(match name {
        "DLQ_SUITE" => "suite".to_owned(),
        "DLQ_TABLE" => "letters".to_owned(),
        "DLQ_DESTINATIONS" => json!({
            "requests-dlq": QUEUE,
            "minutes-dlq": FUNCTION,
            "executions-dlq": MACHINE,
            "unsent-dlq": TOPIC,
            "schedules-dlq": null,
        })
        .to_string(),
        "DLQ_MAX_REDRIVES" => "3".to_owned(),
        "DLQ_HOLD_SECONDS" => "120".to_owned(),
        "DLQ_HISTORY_DAYS" => "30".to_owned(),
        _ => return None,
    })
}

async fn step(aws: &FakeAws, event: Value) -> Result<Value, RedriveError> {
    let done = Redriver::from_env(Env::new(variable), &aws.sdk_config())
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await?;
    Ok(serde_json::to_value(done).unwrap())
}

/// Redrives up to ten letters of a queue.
async fn redrive(aws: &FakeAws, queue: &str) -> Value {
    let event = json!({ "action": "redrive", "queue": queue, "count": 10 });
    step(aws, event).await.unwrap()
}

/// 12:00 and so many seconds.
fn at(seconds: i64) -> Timestamp {
    let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_secs(seconds)
}

/// A message as SQS hands it out, sent at 12:00.
fn message(id: &str, body: &str, attributes: &[(&str, &str)]) -> Value {
    message_at(0, id, body, attributes)
}

fn message_at(seconds: i64, id: &str, body: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes: BTreeMap<&str, Value> = attributes
        .iter()
        .map(|(name, value)| {
            let value = json!({ "DataType": "String", "StringValue": value });
            (*name, value)
        })
        .collect();
    json!({
        "MessageId": id,
        "ReceiptHandle": format!("receipt-{id}"),
        "Body": body,
        "Attributes": {
            "SentTimestamp": at(seconds).as_millisecond().to_string(),
            "ApproximateReceiveCount": "6",
        },
        "MessageAttributes": attributes,
    })
}

/// A message that SQS gave up on.
fn moved(id: &str) -> Value {
    message(id, &format!(r#"{{"ask":"{id}"}}"#), &[])
}

fn received(messages: &[Value]) -> Reply {
    answer(json!({ "Messages": messages }))
}

/// A fake with queues, of which the dead-letter queue hands these out.
fn with(messages: &[Value]) -> FakeAws {
    in_turns(&[messages])
}

/// A fake whose dead-letter queue hands these out, call by call.
fn in_turns(turns: &[&[Value]]) -> FakeAws {
    let aws = turns
        .iter()
        .fold(FakeAws::new(), |aws, turn| {
            aws.on("ReceiveMessage", received(turn))
        })
        .always("ReceiveMessage", done());
    queues(aws)
}

fn queues(aws: FakeAws) -> FakeAws {
    let url = |name| answer(json!({ "QueueUrl": format!("https://sqs.test/{name}") }));
    aws.about("dlq", "GetQueueUrl", url("dlq"))
        .about("requests", "GetQueueUrl", url("requests"))
        .about("other", "GetQueueUrl", url("other"))
        .always("DeleteMessage", done())
        .always("ChangeMessageVisibilityBatch", done())
}

/// A ledger that knows no letter and takes every note.
fn unknown(aws: FakeAws) -> FakeAws {
    aws.always("GetItem", done()).always("UpdateItem", done())
}

/// What the ledger has of the letter of `moved("m1")` after `redrives`, of
/// which the last was this message's, at 12:00:10.
fn seen(id: &str, progress: &str, redrives: u32) -> Value {
    let history = json!([{
        "time": at(10),
        "message_id": id,
        "code": "Undeliverable",
        "reason": "delivered too often",
        "outcome": if progress == "sent" { "redriven" } else { "failed" },
    }]);
    json!({
        "fingerprint": fingerprint().as_str(),
        "status": "open",
        "queue": "requests-dlq",
        "destination": QUEUE,
        "redrives": redrives,
        "message_id": id,
        "progress": progress,
        "history": if progress == "sending" { json!([]) } else { history },
    })
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of(Some(&QUEUE.parse().unwrap()), r#"{"ask":"m1"}"#)
}

/// The receipts of the messages that were shown to others again.
fn released(aws: &FakeAws) -> Vec<String> {
    let calls = aws.sent("ChangeMessageVisibilityBatch");
    let entries = calls.iter().flat_map(|call| {
        assert_eq!(call["QueueUrl"], "https://sqs.test/dlq");
        call["Entries"].as_array().unwrap()
    });
    entries
        .map(|entry| {
            assert_eq!(entry["VisibilityTimeout"], 0);
            entry["ReceiptHandle"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// The receipts of the messages that were deleted.
fn deleted(aws: &FakeAws) -> Vec<String> {
    let sent = aws.sent("DeleteMessage");
    let receipt = |call: &Value| {
        assert_eq!(call["QueueUrl"], "https://sqs.test/dlq");
        call["ReceiptHandle"].as_str().unwrap().to_owned()
    };
    sent.iter().map(receipt).collect()
}

/// How many letters ended how: redriven, failed, quarantined.
#[track_caller]
fn assert_counts(reply: &Value, counts: [u32; 3]) {
    let seen = ["redriven", "failed", "quarantined"].map(|name| reply[name].clone());
    assert_eq!(seen, counts.map(Value::from), "{reply}");
}

/// The one note that a run adds to a letter's history.
fn noted(aws: &FakeAws) -> Value {
    let updates = aws.sent("UpdateItem");
    let notes: Vec<&Value> = updates
        .iter()
        .map(|update| &update["ExpressionAttributeValues"][":attempt"][0])
        .filter(|note| !note.is_null())
        .collect();
    let [note] = notes.as_slice() else {
        panic!("expected one note: {updates:?}");
    };
    (*note).clone()
}

#[tokio::test]
async fn a_letter_is_counted_then_sent_then_marked_and_only_then_deleted() {
    let sent = [
        ("Trace", "t1"),
        ("ErrorCode", "StartFailed"),
        ("ErrorMessage", "as it was"),
    ];
    let aws =
        unknown(with(&[message("m1", r#"{ "ask": "m1" }"#, &sent)])).on("SendMessage", done());
    let reply = redrive(&aws, "requests-dlq").await;
    assert_eq!(
        aws.operations(),
        [
            "GetQueueUrl",
            "ReceiveMessage",
            "ReceiveMessage",
            "GetItem",
            "UpdateItem",
            "GetQueueUrl",
            "SendMessage",
            "UpdateItem",
            "DeleteMessage",
        ]
    );
    assert_eq!(
        reply,
        json!({
            "redriven": 1,
            "failed": 0,
            "quarantined": 0,
            "letters": [{
                "message_id": "m1",
                "fingerprint": fingerprint().as_str(),
                "source": "queue",
                "code": "StartFailed",
                "reason": "as it was",
                "destination": QUEUE,
                "outcome": "redriven",
                "redrives": 1,
            }],
        })
    );
    assert_eq!(
        aws.sent("ReceiveMessage")[0],
        json!({
            "QueueUrl": "https://sqs.test/dlq",
            "MaxNumberOfMessages": 10,
            "VisibilityTimeout": 120,
            "WaitTimeSeconds": 1,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
        })
    );
    let count = &aws.sent("UpdateItem")[0];
    assert_eq!(count["TableName"], "letters");
    assert_eq!(
        count["ConditionExpression"],
        "attribute_not_exists(fingerprint)"
    );
    let counted = written(count);
    assert_eq!(
        (&counted["redrives"], &counted["queue"]),
        (&json!(1), &json!("requests-dlq"))
    );
    let days = counted["expiration"].as_i64().unwrap() - Timestamp::now().as_second();
    assert!((days - 30 * 86_400).abs() < 60, "{days}");
    // The body as it lay there; why it was a dead letter is no part of it.
    assert_eq!(
        aws.sent_once("SendMessage"),
        json!({
            "QueueUrl": "https://sqs.test/requests",
            "MessageBody": r#"{ "ask": "m1" }"#,
            "MessageAttributes": { "Trace": { "DataType": "String", "StringValue": "t1" } },
        })
    );
    let note = noted(&aws);
    assert_eq!(
        (&note["outcome"], &note["code"]),
        (&json!("redriven"), &json!("StartFailed"))
    );
    assert_eq!(
        (&note["message_id"], &note["reason"]),
        (&json!("m1"), &json!("as it was"))
    );
    // The note has the time before it was sent: what comes back is younger.
    let Call { at, .. } = aws
        .calls()
        .into_iter()
        .find(|call| call.operation == "SendMessage")
        .unwrap();
    assert!(note["time"].as_str().unwrap().parse::<Timestamp>().unwrap() <= at);
    assert_eq!(deleted(&aws), ["receipt-m1"]);
}

/// A record of Lambda of an event that a function failed on.
fn invocation_record(function: &str) -> String {
    json!({
        "requestContext": { "functionArn": function, "condition": "RetriesExhausted", "approximateInvokeCount": 3 },
        "requestPayload": { "minute": 1 },
        "responsePayload": { "errorType": "StoreUnavailable", "errorMessage": "later" },
    })
    .to_string()
}

/// EventBridge's event of an execution that failed.
fn execution_status(input: Option<&str>) -> String {
    let detail =
        json!({ "stateMachineArn": MACHINE, "status": "FAILED", "error": "Boom", "input": input });
    json!({ "detail-type": "Step Functions Execution Status Change", "detail": detail }).to_string()
}

#[tokio::test]
async fn each_source_goes_back_the_way_it_came() {
    let record = invocation_record(&format!("{FUNCTION}:$LATEST"));
    let status = execution_status(Some(r#"{"id":1}"#));
    let of_schedule = [
        ("TARGET_ARN", FUNCTION),
        ("SCHEDULE_ARN", "s"),
        ("ERROR_CODE", "Throttled"),
    ];
    let of_rule = [
        ("TARGET_ARN", "arn:aws:sqs:eu-central-1:123456789012:other"),
        RULE,
        ("ERROR_CODE", "NO_PERMISSIONS"),
    ];
    let buried = [
        ("ErrorCode", "PublishFailed"),
        ("ErrorMessage", "the topic was down"),
    ];
    let name = |event: &str| {
        let machine = MACHINE.parse().unwrap();
        format!(
            "redrive-{}-m1",
            Fingerprint::of(Some(&machine), event).short()
        )
    };
    let invoked = |event: Value| {
        (
            "Invoke",
            json!({ "FunctionName": FUNCTION, "Payload": event }),
        )
    };
    for (queue, body, attributes, source, (operation, call)) in [
        (
            "schedules-dlq",
            &*record,
            &[][..],
            "function",
            invoked(json!({ "minute": 1 })),
        ),
        (
            "schedules-dlq",
            r#"{"at":1}"#,
            &of_schedule,
            "schedule",
            invoked(json!({ "at": 1 })),
        ),
        (
            "minutes-dlq",
            r#"{"slot":1}"#,
            &buried,
            "suite",
            invoked(json!({ "slot": 1 })),
        ),
        (
            "schedules-dlq",
            &status,
            &[],
            "execution",
            (
                "StartExecution",
                json!({ "stateMachineArn": MACHINE, "name": name(r#"{"id":1}"#), "input": r#"{"id":1}"# }),
            ),
        ),
        (
            "unsent-dlq",
            r#"{"RideId":"r"}"#,
            &buried,
            "suite",
            (
                "Publish",
                json!({ "Version": "2010-03-31", "TopicArn": TOPIC, "Message": r#"{"RideId":"r"}"# }),
            ),
        ),
        // With EventBridge's attributes it would be taken for undelivered again
        // where it lies next.
        (
            "schedules-dlq",
            &status,
            &of_rule,
            "rule",
            (
                "SendMessage",
                json!({ "QueueUrl": "https://sqs.test/other", "MessageBody": status }),
            ),
        ),
    ] {
        let aws = unknown(with(&[message("m1", body, attributes)])).on(operation, done());
        let reply = redrive(&aws, queue).await;
        assert_counts(&reply, [1, 0, 0]);
        assert_eq!(reply["letters"][0]["source"], source);
        assert_eq!(aws.sent_once(operation), call, "{source}");
        assert_eq!(deleted(&aws), ["receipt-m1"], "{source}");
    }
}

#[tokio::test]
async fn an_execution_that_was_started_before_is_started() {
    let id = "0d9c2b5e-6a47-4c1b-8f00-1f2e3d4c5b6a";
    let aws = unknown(with(&[message(id, &execution_status(Some("{}")), &[])]))
        .on("StartExecution", refusal(400, "ExecutionAlreadyExists"));
    assert_counts(&redrive(&aws, "executions-dlq").await, [1, 0, 0]);
    let start = aws.sent_once("StartExecution");
    // The message names it, so that this message starts one execution only.
    let name = start["name"].as_str().unwrap();
    assert!(
        name.ends_with("-0d9c2b5e6a474c1b8f001f2e3d4c5b6a"),
        "{name}"
    );
    assert_eq!(noted(&aws)["outcome"], "redriven");
    assert_eq!(deleted(&aws).len(), 1);
}

#[tokio::test]
async fn what_its_destination_does_not_take_stays_in_its_queue_with_the_reason() {
    let failed = |code: &str| {
        Reply::FunctionError(json!({ "errorType": code, "errorMessage": "no such feed" }))
    };
    for (queue, operation, reply, code, reason) in [
        (
            "minutes-dlq",
            "Invoke",
            failed("FeedUnknown"),
            "FeedUnknown",
            "no such feed",
        ),
        (
            "minutes-dlq",
            "Invoke",
            Reply::FunctionError(json!(1)),
            "FunctionFailed",
            "without saying why",
        ),
        (
            "minutes-dlq",
            "Invoke",
            refusal(403, "AccessDeniedException"),
            "DestinationDenied",
            "denied",
        ),
        (
            "minutes-dlq",
            "Invoke",
            refusal(404, "ResourceNotFoundException"),
            "DestinationRejected",
            "ResourceNotFound",
        ),
        // Once only: it may have done its work.
        (
            "minutes-dlq",
            "Invoke",
            Reply::NoConnection,
            "DestinationUnavailable",
            "connection refused",
        ),
        (
            "executions-dlq",
            "StartExecution",
            refusal(400, "ThrottlingException"),
            "DestinationUnavailable",
            "Throttling",
        ),
        (
            "executions-dlq",
            "StartExecution",
            refusal(400, "StateMachineDoesNotExist"),
            "DestinationRejected",
            "DoesNotExist",
        ),
        (
            "unsent-dlq",
            "Publish",
            Reply::NoConnection,
            "DestinationUnavailable",
            "connection refused",
        ),
        (
            "unsent-dlq",
            "Publish",
            refusal(403, "AuthorizationError"),
            "DestinationDenied",
            "denied",
        ),
        (
            "requests-dlq",
            "SendMessage",
            refusal(400, "AccessDeniedException"),
            "DestinationDenied",
            "denied",
        ),
    ] {
        let aws = unknown(with(&[moved("m1")])).on(operation, reply);
        let reply = redrive(&aws, queue).await;
        assert_counts(&reply, [0, 1, 0]);
        let letter = &reply["letters"][0];
        assert_eq!(
            (&letter["outcome"], &letter["redrives"]),
            (&json!("failed"), &json!(1))
        );
        let detail = letter["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{code}: ")), "{detail}");
        assert!(detail.contains(reason), "{detail}");
        let note = noted(&aws);
        assert_eq!(
            (&note["outcome"], &note["code"]),
            (&json!("failed"), &json!(code))
        );
        assert!(note["reason"].as_str().unwrap().contains(reason), "{note}");
        assert_eq!(
            (deleted(&aws).len(), released(&aws)),
            (0, vec!["receipt-m1".to_owned()])
        );
        // It is visible again only when its failure is noted.
        assert_eq!(
            aws.operations().last().unwrap(),
            "ChangeMessageVisibilityBatch"
        );
    }
}

#[tokio::test]
async fn a_destination_queue_that_is_gone_is_a_failure_of_its_letter() {
    let aws = FakeAws::new()
        .about(
            "\"requests\"",
            "GetQueueUrl",
            refusal(400, "QueueDoesNotExist"),
        )
        .on("ReceiveMessage", received(&[moved("m1")]))
        .always("ReceiveMessage", done());
    let aws = unknown(queues(aws));
    let reply = redrive(&aws, "requests-dlq").await;
    assert_counts(&reply, [0, 1, 0]);
    assert_eq!(noted(&aws)["code"], "DestinationRejected");
    assert_eq!(released(&aws), ["receipt-m1"]);
}

#[tokio::test]
async fn what_the_ledger_knows_decides_what_is_done() {
    let beside = seen("m0", "sent", 1);
    for (name, before, counts, redrives, calls) in [
        // It only has to leave the queue.
        (
            "sent before",
            seen("m1", "sent", 2),
            [1, 0, 0],
            2,
            &["GetItem", "DeleteMessage"][..],
        ),
        (
            "counted and perhaps not sent",
            seen("m1", "sending", 2),
            [1, 0, 0],
            2,
            &[
                "GetItem",
                "GetQueueUrl",
                "SendMessage",
                "UpdateItem",
                "DeleteMessage",
            ],
        ),
        (
            "failed before",
            seen("m1", "failed", 2),
            [1, 0, 0],
            3,
            &[
                "GetItem",
                "UpdateItem",
                "GetQueueUrl",
                "SendMessage",
                "UpdateItem",
                "DeleteMessage",
            ],
        ),
        (
            "equal to one that was sent",
            beside,
            [1, 0, 0],
            1,
            &[
                "GetItem",
                "UpdateItem",
                "GetQueueUrl",
                "SendMessage",
                "UpdateItem",
                "DeleteMessage",
            ],
        ),
        (
            "exhausted",
            seen("m1", "failed", 3),
            [0, 0, 1],
            3,
            &["GetItem", "UpdateItem", "DeleteMessage"],
        ),
    ] {
        let aws = with(&[moved("m1")])
            .on("GetItem", item(&before))
            .always("UpdateItem", done())
            .always("SendMessage", done());
        let reply = redrive(&aws, "requests-dlq").await;
        assert_counts(&reply, counts);
        assert_eq!(reply["letters"][0]["redrives"], redrives, "{name}");
        // After the queue was found, and read until it had no more.
        assert_eq!(aws.operations()[3..], *calls, "{name}");
        assert_eq!(deleted(&aws), ["receipt-m1"], "{name}");
        if name == "sent before" {
            assert_eq!(reply["letters"][0]["detail"], "sent by an earlier run");
        }
    }
}

#[tokio::test]
async fn a_letter_that_was_put_back_too_often_is_quarantined_with_its_message() {
    let attributes = [("ErrorCode", "StartFailed"), ("ErrorMessage", "no machine")];
    let letter = message_at(20, "m2", r#"{"ask":"m1"}"#, &attributes);
    let aws = with(&[letter])
        .on("GetItem", item(&seen("m1", "sent", 3)))
        .on("UpdateItem", done());
    let reply = redrive(&aws, "requests-dlq").await;
    assert_counts(&reply, [0, 0, 1]);
    let letter = &reply["letters"][0];
    assert_eq!(letter["outcome"], "quarantined");
    assert_eq!(letter["detail"], "put back 3 times in vain");
    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"]["fingerprint"], fingerprint().as_str());
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":quarantined"], "quarantined");
    let kept = &values[":quarantine"];
    assert_eq!(kept["reason"], "put back 3 times in vain");
    assert_eq!(
        (&kept["body"], &kept["event"]),
        (&json!(r#"{"ask":"m1"}"#), &json!(r#"{"ask":"m1"}"#))
    );
    assert_eq!(
        kept["attributes"],
        json!({ "ErrorCode": "StartFailed", "ErrorMessage": "no machine" })
    );
    assert_eq!(noted(&aws)["outcome"], "quarantined");
    assert_eq!(deleted(&aws), ["receipt-m2"]);
}

#[tokio::test]
async fn what_can_never_go_back_is_quarantined_at_once() {
    let to = |arn: &'static str| [("TARGET_ARN", arn), RULE];
    let table = to("arn:aws:dynamodb:eu-central-1:123456789012:table/t");
    for (queue, body, attributes, why) in [
        (
            "schedules-dlq",
            "{}",
            &[][..],
            "neither the message nor its queue names one",
        ),
        (
            "schedules-dlq",
            "{}",
            &table,
            "a queue, a function, a state machine or a topic",
        ),
        ("minutes-dlq", "not JSON", &[], "in JSON"),
        (
            "executions-dlq",
            &execution_status(None),
            &[],
            "left it out",
        ),
    ] {
        let aws = with(&[message("m1", body, attributes)]).on("UpdateItem", done());
        let reply = redrive(&aws, queue).await;
        assert_counts(&reply, [0, 0, 1]);
        let letter = &reply["letters"][0];
        assert_eq!(
            (&letter["redrives"], &letter["destination"]),
            (&json!(0), &Value::Null)
        );
        assert!(letter["detail"].as_str().unwrap().contains(why), "{letter}");
        let operations = aws.operations();
        assert_eq!(operations[3..], ["UpdateItem", "DeleteMessage"], "{why}");
        let values = &aws.sent_once("UpdateItem")["ExpressionAttributeValues"];
        assert_eq!(
            (&values[":queue"], &values[":destination"]),
            (&json!(queue), &Value::Null)
        );
        let kept = &values[":quarantine"];
        assert_eq!(
            (&kept["body"], &kept["reason"]),
            (&json!(body), &letter["detail"])
        );
    }
}

#[tokio::test]
async fn without_its_ledger_no_letter_is_sent_and_none_is_lost() {
    let down = || refusal(500, "InternalServerError");
    let busy = || item(&seen("m0", "failed", 1));
    for (aws, body, code) in [
        (
            with(&[moved("m1")]).on("GetItem", down()),
            None,
            "StoreUnavailable",
        ),
        (
            with(&[moved("m1")])
                .on("GetItem", done())
                .on("UpdateItem", refusal(400, "AccessDeniedException")),
            None,
            "StoreDenied",
        ),
        (
            with(&[moved("m1")])
                .always("GetItem", busy())
                .always("UpdateItem", condition_failed()),
            None,
            "LetterBusy",
        ),
        // What cannot be kept stays in its queue.
        (
            with(&[moved("m1")])
                .on("GetItem", item(&seen("m1", "failed", 3)))
                .on("UpdateItem", down()),
            None,
            "StoreUnavailable",
        ),
        (
            with(&[message("m1", "not JSON", &[])]).on("UpdateItem", down()),
            Some("minutes-dlq"),
            "StoreUnavailable",
        ),
    ] {
        let reply = redrive(&aws, body.unwrap_or("requests-dlq")).await;
        assert_counts(&reply, [0, 1, 0]);
        let detail = reply["letters"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{code}: ")), "{detail}");
        assert!(aws.sent("SendMessage").is_empty(), "{code}");
        assert_eq!(
            (deleted(&aws).len(), released(&aws)),
            (0, vec!["receipt-m1".to_owned()])
        );
    }
}

#[tokio::test]
async fn what_was_sent_is_redriven_whatever_fails_after_that() {
    let aws = with(&[moved("m1")])
        .on("GetItem", done())
        .on("UpdateItem", done())
        .on("SendMessage", done())
        .on("UpdateItem", Reply::NoConnection);
    assert_counts(&redrive(&aws, "requests-dlq").await, [1, 0, 0]);
    assert_eq!(deleted(&aws), ["receipt-m1"]);

    let aws = FakeAws::new()
        .on("DeleteMessage", Reply::NoConnection)
        .on("ReceiveMessage", received(&[moved("m1")]))
        .always("ReceiveMessage", done());
    let aws = unknown(queues(aws)).on("SendMessage", done());
    assert_counts(&redrive(&aws, "requests-dlq").await, [1, 0, 0]);
    assert_eq!(noted(&aws)["outcome"], "redriven");
    // The next run finds it marked as sent: not before it is visible by itself.
    assert!(released(&aws).is_empty());
}

#[tokio::test]
async fn one_letter_s_trouble_is_no_other_s() {
    let letters = [
        moved("m1"),
        moved("m2"),
        message("m3", "{", &[("TARGET_ARN", FUNCTION), RULE]),
    ];
    let aws = unknown(with(&letters))
        .about("m1", "SendMessage", Reply::NoConnection)
        .about("m2", "SendMessage", done());
    let reply = redrive(&aws, "requests-dlq").await;
    assert_counts(&reply, [1, 1, 1]);
    let outcomes: Vec<_> = reply["letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| {
            (
                letter["message_id"].as_str().unwrap(),
                letter["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [("m1", "failed"), ("m2", "redriven"), ("m3", "quarantined")]
    );
    assert_eq!(released(&aws), ["receipt-m1"]);
    let mut gone = deleted(&aws);
    gone.sort();
    assert_eq!(gone, ["receipt-m2", "receipt-m3"]);
}

#[tokio::test]
async fn only_what_the_filter_takes_and_no_more_than_asked_for_is_put_back() {
    let bad = |id: &str| message(id, &format!(r#"{{"ask":"{id}"}}"#), &[("ErrorCode", "Bad")]);
    let turns = [
        vec![moved("m1"), bad("m2")],
        vec![bad("m3"), bad("m4"), moved("m5")],
    ];
    let aws =
        unknown(in_turns(&[&turns[0], &turns[1], &[bad("m6")]])).always("SendMessage", done());
    let event = json!({
        "action": "redrive",
        "queue": "requests-dlq",
        "filter": { "code": "Bad" },
        "count": 2,
    });
    let reply = step(&aws, event).await.unwrap();
    assert_counts(&reply, [2, 0, 0]);
    // No message is taken that is not needed, and before anything is sent the
    // others are visible again.
    let operations = aws.operations();
    assert_eq!(
        operations[..4],
        [
            "GetQueueUrl",
            "ReceiveMessage",
            "ReceiveMessage",
            "ChangeMessageVisibilityBatch"
        ]
    );
    assert_eq!(aws.sent("ReceiveMessage").len(), 2);
    assert_eq!(released(&aws), ["receipt-m1", "receipt-m4", "receipt-m5"]);
    let mut gone = deleted(&aws);
    gone.sort();
    assert_eq!(gone, ["receipt-m2", "receipt-m3"]);
}

#[tokio::test]
async fn a_queue_without_a_letter_to_put_back_is_no_error() {
    let aws = with(&[]);
    let reply = redrive(&aws, "requests-dlq").await;
    assert_eq!(
        reply,
        json!({ "redriven": 0, "failed": 0, "quarantined": 0, "letters": [] })
    );
    assert_eq!(aws.operations(), ["GetQueueUrl", "ReceiveMessage"]);
}

#[tokio::test]
async fn what_was_put_back_since_the_run_began_is_left_alone() {
    for (name, before, since, fresh) in [
        ("failed within it", seen("m1", "failed", 1), 10, false),
        ("failed before it", seen("m1", "failed", 1), 11, true),
        ("unknown", Value::Null, 0, true),
        // It lay beside the one that was sent.
        ("equal", seen("m0", "sent", 1), 10, true),
    ] {
        let reply = match before {
            Value::Null => done(),
            entry => item(&entry),
        };
        let aws = with(&[moved("m1")])
            .always("GetItem", reply)
            .always("UpdateItem", done())
            .always("SendMessage", done());
        let event = json!({ "action": "redrive", "queue": "requests-dlq", "count": 10, "since": at(since) });
        let reply = step(&aws, event).await.unwrap();
        assert_counts(&reply, [u32::from(fresh), 0, 0]);
        assert_eq!(released(&aws).len(), usize::from(!fresh), "{name}");
        assert_eq!(aws.sent("SendMessage").len(), usize::from(fresh), "{name}");
    }
}

#[tokio::test]
async fn a_search_that_fails_shows_all_it_took_again() {
    // The ledger does not answer for the second of three.
    let aws = with(&[moved("m1"), moved("m2"), moved("m3")])
        .on("GetItem", done())
        .on("GetItem", Reply::NoConnection);
    let event =
        json!({ "action": "redrive", "queue": "requests-dlq", "count": 10, "since": at(0) });
    let error = step(&aws, event).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
    let mut shown = released(&aws);
    shown.sort();
    assert_eq!(shown, ["receipt-m1", "receipt-m2", "receipt-m3"]);

    // The queue does not answer the second time.
    let aws = FakeAws::new()
        .on("ReceiveMessage", received(&[moved("m1")]))
        .on("ReceiveMessage", Reply::NoConnection);
    let aws = queues(aws);
    let event = json!({ "action": "redrive", "queue": "requests-dlq", "count": 10 });
    let error = step(&aws, event).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
    assert_eq!(released(&aws), ["receipt-m1"]);
}

#[tokio::test]
async fn a_queue_that_cannot_be_used_is_an_error_with_its_code() {
    let steps = [
        json!({ "action": "plan", "queue": "requests-dlq" }),
        json!({ "action": "redrive", "queue": "requests-dlq", "count": 1 }),
        json!({ "action": "observe", "queue": "requests-dlq", "fingerprint": fingerprint().as_str() }),
    ];
    for (reply, code, retryable) in [
        (Reply::NoConnection, "StoreUnavailable", true),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
        (refusal(400, "QueueDoesNotExist"), "StoreRejected", false),
    ] {
        for event in &steps {
            let aws = FakeAws::new().on("GetQueueUrl", reply.clone());
            let error = step(&aws, event.clone()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.retryable()),
                (code, retryable),
                "{event}"
            );

            let aws = queues(FakeAws::new().on("ReceiveMessage", reply.clone()));
            let error = step(&aws, event.clone()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.retryable()),
                (code, retryable),
                "{event}"
            );
        }
    }
}

#[tokio::test]
async fn a_plan_counts_and_lists_and_changes_nothing() {
    let messages: Vec<Value> = (0..60).map(|n| moved(&format!("m{n}"))).collect();
    let turns: Vec<&[Value]> = messages.chunks(10).collect();
    for (wanted, matching, batches, concurrency, listed) in [
        (json!({}), 60, vec![10; 6], 1, 50),
        (json!({ "limit": 15, "rate": 25 }), 60, vec![8, 7], 3, 50),
        (json!({ "rate": 3 }), 60, vec![3; 20], 1, 50),
        (
            json!({ "filter": { "message_ids": ["m5", "m59"] } }),
            2,
            vec![2],
            1,
            2,
        ),
        (
            json!({ "filter": { "contains": "nobody" } }),
            0,
            vec![],
            1,
            0,
        ),
    ] {
        let aws = in_turns(&turns).always("GetItem", item(&seen("m1", "failed", 2)));
        let mut event = json!({ "action": "plan", "queue": "requests-dlq" });
        for (name, value) in wanted.as_object().unwrap() {
            event[name] = value.clone();
        }
        let plan = step(&aws, event).await.unwrap();
        assert_eq!(
            (&plan["held"], &plan["matching"]),
            (&json!(60), &json!(matching))
        );
        assert_eq!(plan["complete"], true);
        let batches: Vec<Value> = batches
            .iter()
            .map(|count| json!({ "count": count }))
            .collect();
        assert_eq!(plan["batches"], json!(batches), "{wanted}");
        assert_eq!(plan["concurrency"], concurrency, "{wanted}");
        let letters = plan["letters"].as_array().unwrap();
        assert_eq!(letters.len(), listed, "{wanted}");
        for letter in letters {
            assert_eq!(
                (&letter["redrives"], letter.get("outcome")),
                (&json!(2), None)
            );
        }
        assert_eq!(released(&aws).len(), 60);
        assert_eq!(aws.sent("ChangeMessageVisibilityBatch").len(), 6);
        let changes = ["UpdateItem", "SendMessage", "DeleteMessage"];
        assert!(
            !aws.operations()
                .iter()
                .any(|call| changes.contains(&call.as_str()))
        );
    }
}

#[tokio::test]
async fn a_plan_tells_of_a_letter_why_it_cannot_go_back() {
    let aws = with(&[message("m1", "{}", &[])]).on("GetItem", done());
    let plan = json!({ "action": "plan", "queue": "schedules-dlq" });
    let letter = &step(&aws, plan).await.unwrap()["letters"][0];
    assert_eq!(
        (&letter["destination"], &letter["redrives"]),
        (&Value::Null, &json!(0))
    );
    let detail = letter["detail"].as_str().unwrap();
    assert!(
        detail.contains("neither the message nor its queue"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_plan_of_a_queue_that_never_ends_says_that_it_is_not_complete() {
    let turn: Vec<Value> = (0..10).map(|n| moved(&format!("m{n}"))).collect();
    let aws =
        queues(FakeAws::new().always("ReceiveMessage", received(&turn))).always("GetItem", done());
    let event = json!({ "action": "plan", "queue": "requests-dlq", "rate": 100 });
    let plan = step(&aws, event).await.unwrap();
    assert_eq!(
        (&plan["held"], &plan["complete"]),
        (&json!(2000), &json!(false))
    );
    assert_eq!(plan["batches"].as_array().unwrap().len(), 200);
    assert_eq!(plan["concurrency"], 10);
    assert_eq!(released(&aws).len(), 2000);
}

#[tokio::test]
async fn what_cannot_be_shown_again_shows_itself_in_time() {
    let aws = FakeAws::new()
        .on("ChangeMessageVisibilityBatch", Reply::NoConnection)
        .on("ReceiveMessage", received(&[moved("m1")]))
        .always("ReceiveMessage", done());
    let aws = queues(aws).on("GetItem", done());
    let plan = json!({ "action": "plan", "queue": "requests-dlq" });
    assert_eq!(step(&aws, plan).await.unwrap()["held"], 1);
}

#[tokio::test]
async fn a_letter_is_back_where_it_is_younger_than_its_redrive() {
    let again = |seconds| message_at(seconds, "m9", r#"{"ask":"m1"}"#, &[("ErrorCode", "Again")]);
    for (name, letter, before, back) in [
        ("back", again(11), seen("m1", "sent", 2), true),
        (
            "still there after a failure",
            moved("m1"),
            seen("m1", "failed", 2),
            true,
        ),
        ("equal and older", again(9), seen("m1", "sent", 2), false),
        ("another", moved("m2"), seen("m1", "sent", 2), false),
        ("unknown", again(11), Value::Null, false),
    ] {
        let reply = match before {
            Value::Null => done(),
            entry => item(&entry),
        };
        let aws = with(&[moved("m7"), letter]).on("GetItem", reply);
        let event = json!({
            "action": "observe",
            "queue": "requests-dlq",
            "fingerprint": fingerprint().as_str(),
        });
        let observed = step(&aws, event).await.unwrap();
        assert_eq!(observed["back"], back, "{name}");
        assert_eq!(observed.get("letter").is_some(), back, "{name}");
        if back {
            assert_eq!(observed["letter"]["redrives"], 2);
            assert_eq!(observed["letter"]["fingerprint"], fingerprint().as_str());
        }
        assert_eq!(released(&aws).len(), 2, "{name}");
        assert_eq!(
            aws.sent_once("GetItem")["Key"]["fingerprint"],
            fingerprint().as_str()
        );
    }
    let aws = with(&[again(11)]).on("GetItem", item(&seen("m1", "sent", 2)));
    let event = json!({ "action": "observe", "queue": "requests-dlq", "fingerprint": fingerprint().as_str() });
    let letter = &step(&aws, event).await.unwrap()["letter"];
    // What it failed with this time.
    assert_eq!(
        (&letter["message_id"], &letter["code"]),
        (&json!("m9"), &json!("Again"))
    );
}

#[tokio::test]
async fn a_step_that_makes_no_sense_touches_nothing() {
    let plan =
        |name: &str, value: u32| json!({ "action": "plan", "queue": "requests-dlq", name: value });
    let redrive =
        |count: u32| json!({ "action": "redrive", "queue": "requests-dlq", "count": count });
    for (event, code, names) in [
        (plan("rate", 0), "InputInvalid", "rate"),
        (plan("rate", 101), "InputInvalid", "rate"),
        (plan("limit", 0), "InputInvalid", "limit"),
        (redrive(0), "InputInvalid", "count"),
        (redrive(11), "InputInvalid", "count"),
        (
            json!({ "action": "plan", "queue": "requests" }),
            "QueueUnknown",
            "expected one of executions-dlq, minutes-dlq, requests-dlq",
        ),
    ] {
        let error = step(&FakeAws::new(), event).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, false));
        assert!(error.to_string().contains(names), "{error}");
    }
    for event in [
        json!({ "queue": "requests-dlq" }),
        json!({ "action": "purge", "queue": "requests-dlq" }),
        json!({ "action": "plan" }),
        json!({ "action": "plan", "queue": "requests-dlq", "count": 1 }),
        json!({ "action": "plan", "queue": "requests-dlq", "filter": { "codes": "Bad" } }),
        json!({ "action": "redrive", "queue": "requests-dlq" }),
        json!({ "action": "redrive", "queue": "requests-dlq", "count": -1 }),
        json!({ "action": "observe", "queue": "requests-dlq", "fingerprint": "abc" }),
    ] {
        let step = serde_json::from_value::<Step>(event.clone());
        assert!(step.is_err(), "{event}");
    }
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let sdk = FakeAws::new().sdk_config();
    let problem = |name: &'static str, value: Option<&'static str>| {
        let env = Env::new(move |wanted| {
            if wanted == name {
                value.map(str::to_owned)
            } else {
                variable(wanted)
            }
        });
        Redriver::from_env(env, &sdk).err().unwrap().to_string()
    };
    for name in [
        "DLQ_SUITE",
        "DLQ_TABLE",
        "DLQ_DESTINATIONS",
        "DLQ_MAX_REDRIVES",
        "DLQ_HOLD_SECONDS",
        "DLQ_HISTORY_DAYS",
    ] {
        let said = problem(name, None);
        assert!(said.contains(&format!("{name} is not set")), "{said}");
    }
    for (name, value, expected) in [
        ("DLQ_DESTINATIONS", "[]", "a JSON object"),
        ("DLQ_DESTINATIONS", "{", "a JSON object"),
        ("DLQ_DESTINATIONS", r#"{"a-dlq":1}"#, "a JSON object"),
        (
            "DLQ_DESTINATIONS",
            r#"{"a-dlq":"arn:aws:s3:::b"}"#,
            "a-dlq: expected the ARN of",
        ),
        ("DLQ_MAX_REDRIVES", "-1", "a number"),
        ("DLQ_HOLD_SECONDS", "soon", "seconds"),
    ] {
        let said = problem(name, Some(value));
        assert!(said.contains(name) && said.contains(expected), "{said}");
    }
}
