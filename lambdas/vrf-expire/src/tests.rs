//! Single requests and sweeps through the handler, against a fake AWS.

use offchain_store::test_util::{
    FakeAws, REQUEST_ID, condition_failed, done, fulfilment, items, refusal, request,
    seconds_from_now, stored, written,
};
use serde_json::{Value, json};

use super::*;

const OTHER_ID: &str = "b1d7a3c0-0000-4000-8000-000000000002";

async fn run(aws: &FakeAws, event: Value) -> Result<Closed, ExpireError> {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_EXECUTIONS_DLQ_URL" => "https://sqs.test/executions-dlq",
            _ => return None,
        };
        Some(value.to_owned())
    });
    Expirer::from_env(env, &aws.sdk_config())
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
}

fn one() -> Value {
    json!({ "request_id": REQUEST_ID, "error": "KeyInvalid", "cause": "no key" })
}

fn swept(expired: u32, tidied: u32) -> Closed {
    Closed::Sweep(Swept { expired, tidied })
}

#[tokio::test]
async fn a_pending_request_is_closed_with_its_last_error_and_leaves_the_index() {
    let aws = FakeAws::new()
        .on(
            "Query",
            items(&[stored(&request()), fulfilment(&json!({}))]),
        )
        .always("UpdateItem", done());
    let closed = run(&aws, one()).await.unwrap();
    assert_eq!(
        serde_json::to_value(closed).unwrap(),
        json!({ "status": "expired" })
    );
    assert_eq!(aws.operations(), ["Query", "UpdateItem", "UpdateItem"]);
    let [expire, close] = aws.sent("UpdateItem").try_into().unwrap();
    assert_eq!(written(&expire)["expired_reason"], "KeyInvalid");
    assert_eq!(written(&expire)["expiration"], request().expiration);
    assert_eq!(close["UpdateExpression"], "REMOVE #open");
    // The machine knows of it, so nobody needs to be told.
    assert!(aws.sent("SendMessage").is_empty());
}

#[tokio::test]
async fn a_request_that_was_closed_before_stays_so_and_leaves_the_index() {
    let expired = json!({
        "expired_time": seconds_from_now(-1).to_string(),
        "expired_reason": "KeyInvalid",
    });
    for (before, status) in [
        (json!({ "vrf_value": 4 }), "fulfilled"),
        (expired, "expired"),
    ] {
        let aws = FakeAws::new()
            .always("Query", items(&[stored(&request()), fulfilment(&before)]))
            .on("UpdateItem", condition_failed())
            .on("UpdateItem", done());
        let closed = run(&aws, one()).await.unwrap();
        assert_eq!(closed, Closed::Request { status });
        let close = &aws.sent("UpdateItem")[1];
        assert_eq!(close["UpdateExpression"], "REMOVE #open");
    }
}

#[tokio::test]
async fn a_value_that_was_written_at_the_last_moment_is_not_reported_as_expired() {
    let aws = FakeAws::new()
        .on(
            "Query",
            items(&[stored(&request()), fulfilment(&json!({}))]),
        )
        .on("UpdateItem", condition_failed())
        .on(
            "Query",
            items(&[stored(&request()), fulfilment(&json!({ "vrf_value": 4 }))]),
        )
        .on("UpdateItem", done());
    let status = "fulfilled";
    assert_eq!(run(&aws, one()).await.unwrap(), Closed::Request { status });
}

#[tokio::test]
async fn an_unknown_request_is_an_error_and_nothing_is_made() {
    let aws = FakeAws::new().on("Query", items(&[]));
    let error = run(&aws, one()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("RequestNotFound", false)
    );
    assert_eq!(aws.operations(), ["Query"]);
}

#[tokio::test]
async fn a_sweep_tells_the_dead_letter_queue_before_it_closes_a_request() {
    let overdue = request();
    let aws = FakeAws::new()
        .about("open-requests", "Query", items(&[stored(&overdue)]))
        .on("Query", items(&[stored(&overdue)]))
        .on("SendMessage", done())
        .always("UpdateItem", done());
    assert_eq!(
        run(&aws, json!({ "sweep": true })).await.unwrap(),
        swept(1, 0)
    );
    assert_eq!(
        aws.operations(),
        ["Query", "Query", "SendMessage", "UpdateItem", "UpdateItem"]
    );

    let told = aws.sent_once("SendMessage");
    assert_eq!(told["QueueUrl"], "https://sqs.test/executions-dlq");
    let code = &told["MessageAttributes"]["ErrorCode"]["StringValue"];
    assert_eq!(code, "FulfilmentStalled");
    let body: Value = serde_json::from_str(told["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({ "request_id": REQUEST_ID, "deadline": overdue.deadline.to_string() })
    );
    let [expire, close] = aws.sent("UpdateItem").try_into().unwrap();
    assert_eq!(written(&expire)["expired_reason"], "FulfilmentStalled");
    assert_eq!(close["UpdateExpression"], "REMOVE #open");
}

#[tokio::test]
async fn a_request_stays_open_while_the_dead_letter_queue_cannot_be_told() {
    let aws = FakeAws::new()
        .always("Query", items(&[stored(&request())]))
        .on("SendMessage", refusal(503, "ServiceUnavailable"));
    let error = run(&aws, json!({ "sweep": true })).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
    assert!(aws.sent("UpdateItem").is_empty());
}

#[tokio::test]
async fn a_sweep_tidies_what_was_closed_and_tells_nobody() {
    for closed in [
        json!({ "vrf_value": 4 }),
        json!({ "expired_time": seconds_from_now(-60).to_string(), "expired_reason": "KeyInvalid" }),
    ] {
        let aws = FakeAws::new()
            .about("open-requests", "Query", items(&[stored(&request())]))
            .on("Query", items(&[stored(&request()), fulfilment(&closed)]))
            .on("UpdateItem", done());
        assert_eq!(
            run(&aws, json!({ "sweep": true })).await.unwrap(),
            swept(0, 1)
        );
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["UpdateExpression"], "REMOVE #open");
    }
}

#[tokio::test]
async fn a_request_that_was_fulfilled_during_the_sweep_does_not_count_as_expired() {
    let aws = FakeAws::new()
        .always("Query", items(&[stored(&request())]))
        .on("SendMessage", done())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done());
    assert_eq!(
        run(&aws, json!({ "sweep": true })).await.unwrap(),
        swept(0, 1)
    );
}

#[tokio::test]
async fn a_sweep_leaves_a_request_a_minute_after_its_deadline_and_takes_many_at_once() {
    let mut other = request();
    other.unique_identifier = OTHER_ID.to_owned();
    let aws = FakeAws::new()
        .about(
            "open-requests",
            "Query",
            items(&[stored(&request()), stored(&other)]),
        )
        .about(REQUEST_ID, "Query", items(&[stored(&request())]))
        .about(OTHER_ID, "Query", items(&[stored(&other)]))
        .always("SendMessage", done())
        .always("UpdateItem", done());
    let (before, after) = (seconds_from_now(-60), Timestamp::now());
    assert_eq!(
        run(&aws, json!({ "sweep": true })).await.unwrap(),
        swept(2, 0)
    );
    let query = &aws.sent("Query")[0];
    assert_eq!(query["Limit"], 100);
    let time = &query["ExpressionAttributeValues"][":time"];
    let time: Moment = serde_json::from_value(time.clone()).unwrap();
    assert!(before <= time && time.timestamp() < after, "{time}");
}

#[tokio::test]
async fn a_sweep_that_is_not_wanted_is_refused() {
    let aws = FakeAws::new();
    let error = run(&aws, json!({ "sweep": false })).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("InputInvalid", false));
}

#[test]
fn an_event_of_another_shape_is_refused() {
    for event in [
        json!({}),
        json!({ "request_id": "r1" }),
        json!({ "sweep": "true" }),
        json!({ "sweep": true, "request_id": "r1" }),
        json!({ "request_id": "r1", "error": "KeyInvalid", "why": "?" }),
    ] {
        assert!(
            serde_json::from_value::<Expire>(event.clone()).is_err(),
            "{event}"
        );
    }
}

#[tokio::test]
async fn a_request_that_nobody_can_read_is_closed_and_hides_no_other() {
    let garbled = json!({
        "unique_identifier": OTHER_ID,
        "action": "request",
        "open": "open",
        "deadline": seconds_from_now(-600).to_string(),
    });
    let overdue = request();
    let aws = FakeAws::new()
        .about(
            "open-requests",
            "Query",
            items(&[garbled.clone(), stored(&overdue)]),
        )
        .on("Query", items(&[garbled]))
        .on("Query", items(&[stored(&overdue)]))
        .always("SendMessage", done())
        .always("UpdateItem", done());
    assert_eq!(
        run(&aws, json!({ "sweep": true })).await.unwrap(),
        swept(2, 0)
    );
    let reasons: Vec<_> = aws
        .sent("UpdateItem")
        .iter()
        .filter(|call| call["UpdateExpression"] != "REMOVE #open")
        .map(|call| written(call)["expired_reason"].clone())
        .collect();
    assert_eq!(reasons, ["RecordInvalid", "FulfilmentStalled"]);
}
