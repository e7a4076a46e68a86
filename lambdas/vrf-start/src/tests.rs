//! Batches through the handler, against a fake AWS.

use offchain_store::test_util::{
    FakeAws, REQUEST_ID, Reply, condition_failed, done, items, refusal, request, stored,
};
use serde_json::{Value, json};

use super::*;

const OTHER_ID: &str = "b1d7a3c0-0000-4000-8000-000000000002";
const UNKNOWN_ID: &str = "b1d7a3c0-0000-4000-8000-000000000003";

fn env() -> Env<'static> {
    Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_STATE_MACHINE_ARN" => "arn:machine",
            "VRF_REQUESTS_DLQ_URL" => "https://sqs.test/requests-dlq",
            "VRF_MAX_RECEIVES" => "5",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

fn message(id: &str) -> String {
    let mut item = request();
    item.unique_identifier = id.to_owned();
    serde_json::to_string(&RequestMessage::from(&item)).unwrap()
}

fn record(id: &str, body: &str, receives: u32) -> Value {
    json!({
        "messageId": id,
        "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string() },
    })
}

/// The ids of the records that SQS is to deliver again.
async fn failures(aws: &FakeAws, records: &[Value]) -> Vec<String> {
    let event = serde_json::from_value(json!({ "Records": records })).unwrap();
    Starter::from_env(env(), &aws.sdk_config())
        .unwrap()
        .handle(event, "invocation")
        .await
        .unwrap()
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect()
}

/// What was put into the dead-letter queue: each body with its code.
fn buried(aws: &FakeAws) -> Vec<(String, String)> {
    aws.sent("SendMessage")
        .into_iter()
        .map(|sent| {
            assert_eq!(sent["QueueUrl"], "https://sqs.test/requests-dlq");
            let code = &sent["MessageAttributes"]["ErrorCode"]["StringValue"];
            (
                sent["MessageBody"].as_str().unwrap().to_owned(),
                code.as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_message_starts_one_execution_named_by_its_request() {
    let aws = FakeAws::new()
        .on("Query", items(&[stored(&request())]))
        .on("PutItem", done())
        .on("StartExecution", done());
    let request = request();
    let records = [record("m1", &message(REQUEST_ID), 1)];
    assert!(failures(&aws, &records).await.is_empty());
    // The fulfilment has begun before there is an execution to go on with it.
    assert_eq!(aws.operations(), ["Query", "PutItem", "StartExecution"]);

    let start = aws.sent_once("StartExecution");
    assert_eq!(start["stateMachineArn"], "arn:machine");
    assert_eq!(start["name"], REQUEST_ID);
    let input: Value = serde_json::from_str(start["input"].as_str().unwrap()).unwrap();
    assert_eq!(input["request_id"], REQUEST_ID);
    assert_eq!(input.get("target_height"), None);
    for (name, expected) in [
        ("due_time", request.fulfill_time_expected.unwrap()),
        ("deadline", request.deadline),
    ] {
        let moment: Moment = serde_json::from_value(input[name].clone()).unwrap();
        let apart = moment.timestamp().duration_since(expected.timestamp());
        assert!(apart.abs() < jiff::SignedDuration::from_secs(5), "{name}");
    }
}

#[tokio::test]
async fn a_request_for_a_height_starts_an_execution_that_knows_no_time() {
    let mut high = request();
    high.fulfill_time_expected = None;
    high.target_height = Some(1_000);
    let aws = FakeAws::new()
        .on("Query", items(&[stored(&high)]))
        .on("PutItem", done())
        .on("StartExecution", done());
    let records = [record("m1", &message(REQUEST_ID), 1)];
    assert!(failures(&aws, &records).await.is_empty());
    let start = aws.sent_once("StartExecution");
    let input: Value = serde_json::from_str(start["input"].as_str().unwrap()).unwrap();
    assert_eq!(input["target_height"], 1_000);
    assert_eq!(input.get("due_time"), None);
}

#[tokio::test]
async fn bad_messages_are_buried_with_their_codes_and_good_ones_go_on() {
    let mut other = request();
    other.unique_identifier = OTHER_ID.to_owned();
    other.max_random_value = 20;
    let aws = FakeAws::new()
        .about(REQUEST_ID, "Query", items(&[stored(&request())]))
        .about(OTHER_ID, "Query", items(&[stored(&other)]))
        .about(UNKNOWN_ID, "Query", items(&[]))
        .on("PutItem", done())
        .on("StartExecution", done())
        .always("SendMessage", done());
    let records = [
        record("m1", "{not json", 1),
        record("m2", &message(UNKNOWN_ID), 1),
        record("m3", &message(OTHER_ID), 1),
        record("m4", &message(REQUEST_ID), 1),
    ];
    assert!(failures(&aws, &records).await.is_empty());
    assert_eq!(aws.sent_once("StartExecution")["name"], REQUEST_ID);
    let mut buried = buried(&aws);
    buried.sort();
    let mut expected = [
        ("{not json".to_owned(), "MessageInvalid".to_owned()),
        (message(UNKNOWN_ID), "RequestNotFound".to_owned()),
        (message(OTHER_ID), "MessageMismatch".to_owned()),
    ];
    expected.sort();
    assert_eq!(buried, expected);
}

#[tokio::test]
async fn an_empty_record_is_buried_too() {
    let aws = FakeAws::new().on("SendMessage", done());
    assert!(
        failures(&aws, &[json!({ "messageId": "m1" })])
            .await
            .is_empty()
    );
    assert_eq!(buried(&aws)[0].1, "MessageInvalid");
}

#[tokio::test]
async fn while_the_store_is_down_only_its_records_are_delivered_again() {
    let aws = FakeAws::new()
        .about(OTHER_ID, "Query", Reply::NoConnection)
        .about(REQUEST_ID, "Query", items(&[stored(&request())]))
        .on("PutItem", done())
        .on("StartExecution", done());
    let records = [
        record("m1", &message(OTHER_ID), 1),
        record("m2", &message(REQUEST_ID), 1),
    ];
    assert_eq!(failures(&aws, &records).await, ["m1"]);
    assert!(buried(&aws).is_empty());
}

#[tokio::test]
async fn an_execution_that_cannot_be_started_now_is_tried_again_later() {
    for refused in ["ThrottlingException", "AccessDeniedException"] {
        let aws = FakeAws::new()
            .on("Query", items(&[stored(&request())]))
            .on("PutItem", done())
            .on("StartExecution", refusal(400, refused));
        let records = [record("m1", &message(REQUEST_ID), 4)];
        assert_eq!(failures(&aws, &records).await, ["m1"], "{refused}");
    }
}

#[tokio::test]
async fn the_last_delivery_is_buried_with_its_error_instead_of_being_lost() {
    let aws = FakeAws::new()
        .on("Query", items(&[stored(&request())]))
        .on("PutItem", done())
        .on("StartExecution", refusal(400, "AccessDeniedException"))
        .on("SendMessage", done());
    let body = message(REQUEST_ID);
    assert!(failures(&aws, &[record("m1", &body, 5)]).await.is_empty());
    assert_eq!(buried(&aws), [(body, "StartFailed".to_owned())]);
    let reason = &aws.sent_once("SendMessage")["MessageAttributes"]["ErrorMessage"];
    let reason = reason["StringValue"].as_str().unwrap();
    assert!(reason.contains("AccessDenied"), "{reason}");
}

#[tokio::test]
async fn what_cannot_be_buried_is_delivered_again() {
    let aws = FakeAws::new().on("SendMessage", refusal(503, "ServiceUnavailable"));
    assert_eq!(failures(&aws, &[record("m1", "{", 9)]).await, ["m1"]);
}

#[tokio::test]
async fn a_second_delivery_finds_everything_done_and_succeeds() {
    let aws = FakeAws::new()
        .on("Query", items(&[stored(&request())]))
        .on("PutItem", condition_failed())
        .on("StartExecution", refusal(400, "ExecutionAlreadyExists"));
    let records = [record("m1", &message(REQUEST_ID), 2)];
    assert!(failures(&aws, &records).await.is_empty());
    assert_eq!(aws.operations(), ["Query", "PutItem", "StartExecution"]);
}
