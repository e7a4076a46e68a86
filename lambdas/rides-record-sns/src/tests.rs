//! Events of the topic and of the queue through the handler, against a fake AWS.

use offchain_store::test_util::{FakeAws, Reply as AwsReply, done, refusal};
use serde_json::json;

use super::*;

const ONE: &str = "SvLnijIAtg6inAFUBRT-Fg";
const OTHER: &str = "0123456789abcdef";

fn env(queue: &'static [(&str, &str)]) -> Env<'static> {
    Env::new(move |name| {
        let set = queue.iter().find(|(known, _)| *known == name);
        match name {
            "RIDES_TABLE" => Some("rides".to_owned()),
            _ => set.map(|(_, value)| (*value).to_owned()),
        }
    })
}

const DLQ_URL: (&str, &str) = ("RIDES_EVENTS_DLQ_URL", "https://sqs.test/events-dlq");
const MAX_RECEIVES: (&str, &str) = ("RIDES_MAX_RECEIVES", "5");
const QUEUE: &[(&str, &str)] = &[DLQ_URL, MAX_RECEIVES];

async fn handle(
    aws: &FakeAws,
    queue: &'static [(&str, &str)],
    event: Value,
) -> Result<Value, RecordSnsError> {
    let reply = Recorder::from_env(env(queue), &aws.sdk_config())
        .unwrap()
        .handle(event, "invocation")
        .await?;
    Ok(serde_json::to_value(reply).unwrap())
}

fn ride(id: &str) -> Value {
    json!({
        "RideId": id,
        "Unicorn": { "Name": "Rocinante", "Color": "Yellow" },
        "RequestTime": "2026-11-21 11:00:01.412000",
        "PickupLocation": { "Latitude": 47.5, "Longitude": -122.25 },
    })
}

/// A notification of the topic.
fn notification(message: &str) -> Value {
    json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:000000000000:rides",
        "Message": message,
        "Timestamp": "2026-11-21T11:00:01.500Z",
    })
}

/// The topic's event to a function.
fn topic(messages: &[&str]) -> Value {
    let records = messages.iter().map(|message| {
        json!({
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": "",
            "Sns": notification(message),
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// The queue's event, of bodies with how often each was delivered.
fn queue(records: &[(&str, &str, u32)]) -> Value {
    let records = records.iter().map(|(id, body, receives)| {
        json!({
            "messageId": id,
            "eventSource": "aws:sqs",
            "body": body,
            "attributes": { "ApproximateReceiveCount": receives.to_string() },
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn notified(id: &str) -> String {
    notification(&ride(id).to_string()).to_string()
}

/// The batch response that names these messages.
fn failures(ids: &[&str]) -> Value {
    let failures = ids.iter().map(|id| json!({ "itemIdentifier": id }));
    json!({ "batchItemFailures": failures.collect::<Vec<_>>() })
}

fn taken_by_another() -> AwsReply {
    AwsReply::Http(
        400,
        json!({
            "__type": "ConditionalCheckFailedException",
            "Item": { "RideId": { "S": ONE } },
        }),
    )
}

/// What was put into the dead-letter queue: each body with its code.
fn buried(aws: &FakeAws) -> Vec<(String, String)> {
    aws.sent("SendMessage")
        .into_iter()
        .map(|sent| {
            assert_eq!(sent["QueueUrl"], DLQ_URL.1);
            let code = &sent["MessageAttributes"]["ErrorCode"]["StringValue"];
            (
                sent["MessageBody"].as_str().unwrap().to_owned(),
                code.as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[tokio::test]
async fn every_record_of_the_topic_is_written_as_it_was_published() {
    for ids in [&[ONE][..], &[ONE, OTHER]] {
        let aws = FakeAws::new().always("PutItem", done());
        let messages: Vec<String> = ids.iter().map(|id| ride(id).to_string()).collect();
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let reply = handle(&aws, &[], topic(&messages)).await.unwrap();
        assert_eq!(reply, json!({ "recorded": ids.len() }));
        let puts = aws.sent("PutItem");
        assert_eq!(puts.len(), ids.len());
        for (put, id) in puts.iter().zip(ids) {
            assert_eq!(put["TableName"], "rides");
            assert_eq!(put["Item"], ride(id));
            assert_eq!(put["ConditionExpression"], "attribute_not_exists(RideId)");
        }
    }
}

#[tokio::test]
async fn a_record_of_the_topic_that_fails_fails_the_invocation() {
    let one = ride(ONE).to_string();
    let down = || refusal(500, "InternalServerError");
    for (messages, replies, code, retryable) in [
        (vec![&*one, "no ride"], vec![done()], "RideInvalid", false),
        (vec![&*one], vec![down()], "StoreUnavailable", true),
        // Lambda tries it again and keeps it: a policy may be mended.
        (
            vec![&*one],
            vec![refusal(400, "AccessDeniedException")],
            "StoreDenied",
            true,
        ),
        (vec![&*one], vec![taken_by_another()], "RideConflict", false),
        (
            vec![&*one, &*one],
            vec![done(), down()],
            "StoreUnavailable",
            true,
        ),
    ] {
        let puts = replies.len();
        let aws = replies
            .into_iter()
            .fold(FakeAws::new(), |aws, reply| aws.on("PutItem", reply));
        // Even where there is a dead-letter queue for what a queue delivers.
        let error = handle(&aws, QUEUE, topic(&messages)).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        assert_eq!(aws.operations(), vec!["PutItem"; puts]);
    }
}

#[tokio::test]
async fn an_event_of_neither_is_refused() {
    for event in [
        json!({}),
        json!([]),
        Value::Null,
        json!({ "Records": [{ "Sns": { "Subject": "no message" } }] }),
        json!({ "Records": [{ "eventSource": "aws:s3" }] }),
        json!({ "Records": [{ "eventSource": "aws:sqs", "body": 1 }] }),
    ] {
        let error = handle(&FakeAws::new(), QUEUE, event.clone()).await;
        let error = error.unwrap_err();
        let seen = (error.code(), error.retryable());
        assert_eq!(seen, ("InputInvalid", false), "{event}");
    }
}

#[tokio::test]
async fn of_a_batch_what_can_never_be_used_is_buried_and_the_rest_recorded() {
    let aws = FakeAws::new()
        .about(ONE, "PutItem", taken_by_another())
        .about(OTHER, "PutItem", done())
        .always("SendMessage", done());
    let (raw, no_ride) = (ride(OTHER).to_string(), notification("{}").to_string());
    let (conflict, good) = (notified(ONE), notified(OTHER));
    let event = queue(&[
        ("m1", "{not json", 1),
        // Raw delivery is off: a ride alone is no notification.
        ("m2", &raw, 1),
        ("m3", &no_ride, 1),
        ("m4", &conflict, 1),
        ("m5", &good, 1),
    ]);
    let reply = handle(&aws, QUEUE, event).await.unwrap();
    assert_eq!(reply, failures(&[]));
    let mut seen = buried(&aws);
    seen.sort();
    let mut expected = [
        ("{not json", "MessageInvalid"),
        (&*raw, "MessageInvalid"),
        (&*no_ride, "RideInvalid"),
        (&*conflict, "RideConflict"),
    ]
    .map(|(body, code)| (body.to_owned(), code.to_owned()));
    expected.sort();
    assert_eq!(seen, expected);
    let written: Vec<Value> = aws.sent("PutItem");
    let written = written.iter().find(|put| put["Item"]["RideId"] == OTHER);
    assert_eq!(written.unwrap()["Item"], ride(OTHER));
}

#[tokio::test]
async fn what_may_be_used_later_fails_alone_until_its_last_delivery() {
    for refused in ["ThrottlingException", "AccessDeniedException"] {
        let aws = FakeAws::new()
            .about(ONE, "PutItem", refusal(400, refused))
            .about(OTHER, "PutItem", done());
        let (one, other) = (notified(ONE), notified(OTHER));
        let event = queue(&[("m1", &one, 4), ("m2", &other, 4)]);
        let reply = handle(&aws, QUEUE, event).await.unwrap();
        assert_eq!(reply, failures(&["m1"]), "{refused}");
        assert!(buried(&aws).is_empty());
    }
    let aws = FakeAws::new()
        .on("PutItem", refusal(400, "ThrottlingException"))
        .on("SendMessage", done());
    let body = notified(ONE);
    let reply = handle(&aws, QUEUE, queue(&[("m1", &body, 5)])).await;
    assert_eq!(reply.unwrap(), failures(&[]));
    assert_eq!(buried(&aws), [(body, "StoreUnavailable".to_owned())]);
}

#[tokio::test]
async fn what_cannot_be_buried_is_delivered_again() {
    let aws = FakeAws::new().on("SendMessage", AwsReply::NoConnection);
    let reply = handle(&aws, QUEUE, queue(&[("m1", "{", 9)])).await;
    assert_eq!(reply.unwrap(), failures(&["m1"]));
}

#[tokio::test]
async fn without_a_dead_letter_queue_every_failure_is_delivered_again() {
    let aws = FakeAws::new().on("PutItem", done());
    let good = notified(ONE);
    let event = queue(&[("m1", "{", 9), ("m2", &good, 9)]);
    let reply = handle(&aws, &[], event).await.unwrap();
    assert_eq!(reply, failures(&["m1"]));
    assert_eq!(aws.operations(), ["PutItem"]);
}

#[test]
fn a_configuration_that_is_half_of_one_is_refused() {
    let sdk = FakeAws::new().sdk_config();
    for (queue, problem) in [
        (&[DLQ_URL][..], "RIDES_MAX_RECEIVES is not set"),
        (&[MAX_RECEIVES], "RIDES_EVENTS_DLQ_URL is not set"),
        (
            &[DLQ_URL, ("RIDES_MAX_RECEIVES", "many")],
            "RIDES_MAX_RECEIVES is \"many\"",
        ),
    ] {
        let error = Recorder::from_env(env(queue), &sdk).err().unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
    let error = Recorder::from_env(Env::new(|_| None), &sdk).err().unwrap();
    assert!(error.to_string().contains("RIDES_TABLE is not set"));
}
