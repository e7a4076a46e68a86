//! The table's operations and `submit`, against a fake AWS.

use aws_sdk_dynamodb::Client;
use offchain_codes::Coded;
use offchain_vrf::ProofBundle;
use serde_json::{Value, json};

use super::*;
use crate::queue::Queue;
use crate::test_util::{
    FakeAws, REQUEST_ID, condition_failed, done, fulfilment, items, refusal, request,
    seconds_from_now, secret_key, stored, written,
};

const STILL_PENDING: &str =
    "attribute_not_exists(vrf_value) AND attribute_not_exists(expired_time)";

fn requests(aws: &FakeAws) -> Requests {
    Requests::new(Client::new(&aws.sdk_config()), "vrf".into())
}

fn queue(aws: &FakeAws) -> Queue {
    let client = aws_sdk_sqs::Client::new(&aws.sdk_config());
    Queue::new(client, "https://sqs.test/requests".into())
}

fn key_of(action: &str) -> Value {
    json!({ "unique_identifier": REQUEST_ID, "action": action })
}

fn bundle() -> ProofBundle {
    ProofBundle::prove(&secret_key(), &request().terms().unwrap()).unwrap()
}

#[tokio::test]
async fn a_new_request_is_written_only_where_its_id_is_free() {
    let aws = FakeAws::new().on("PutItem", done());
    let request = request();
    let submitted = requests(&aws).insert(&request).await.unwrap();
    assert_eq!(submitted, Submitted::New);

    let put = aws.sent_once("PutItem");
    assert_eq!(put["TableName"], "vrf");
    assert_eq!(
        put["ConditionExpression"],
        "attribute_not_exists(unique_identifier)"
    );
    assert_eq!(
        put["Item"],
        json!({
            "unique_identifier": REQUEST_ID,
            "action": "request",
            "open": "open",
            "request_time": request.request_time.to_string(),
            "fulfill_time_expected": request.fulfill_time_expected.unwrap().to_string(),
            "target_block_in_the_future": 1,
            "min_random_value": 1,
            "max_random_value": 6,
            "key_epoch": 1,
            "deadline": request.deadline.to_string(),
            "origin": "schedule",
            "expiration": 2_000_000_000,
        })
    );
}

#[tokio::test]
async fn a_request_that_is_there_already_is_returned_as_it_is() {
    let mut earlier = request();
    earlier.max_random_value = 20;
    let aws = FakeAws::new()
        .on("PutItem", condition_failed())
        .on("Query", items(&[stored(&earlier)]));
    let submitted = requests(&aws).insert(&request()).await.unwrap();
    let Submitted::Existing(record) = submitted else {
        panic!("expected the existing request, found {submitted:?}");
    };
    assert_eq!(record.request, earlier);
    assert_eq!(aws.operations(), ["PutItem", "Query"]);
}

#[tokio::test]
async fn both_items_of_a_request_are_read_consistently_and_others_ignored() {
    let stranger = json!({ "unique_identifier": REQUEST_ID, "action": "from-the-future" });
    let fulfil = fulfilment(&json!({ "failed_fulfill_attempts": 2, "last_error": "KeyInvalid" }));
    let aws = FakeAws::new().on("Query", items(&[fulfil, stranger, stored(&request())]));
    let record = requests(&aws).load(REQUEST_ID).await.unwrap().unwrap();
    let fulfilment = record.fulfilment.unwrap();
    assert_eq!(record.request.unique_identifier, REQUEST_ID);
    assert_eq!(fulfilment.failed_fulfill_attempts, 2);
    assert_eq!(fulfilment.last_error.as_deref(), Some("KeyInvalid"));

    let query = aws.sent_once("Query");
    assert_eq!(query["TableName"], "vrf");
    assert_eq!(query["ConsistentRead"], true);
    assert_eq!(query["KeyConditionExpression"], "unique_identifier = :id");
    assert_eq!(
        query["ExpressionAttributeValues"],
        json!({ ":id": REQUEST_ID })
    );
}

#[tokio::test]
async fn an_unknown_id_is_no_request() {
    let aws = FakeAws::new().on("Query", items(&[]));
    assert_eq!(requests(&aws).load(REQUEST_ID).await.unwrap(), None);
}

#[tokio::test]
async fn an_item_of_another_shape_is_an_error_and_not_a_guess() {
    let mut torn = stored(&request());
    torn["min_random_value"] = "one".into();
    let aws = FakeAws::new().on("Query", items(&[torn]));
    let error = requests(&aws).load(REQUEST_ID).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("StoreRejected", false));
}

#[tokio::test]
async fn a_fulfilment_begins_once() {
    let received = seconds_from_now(0);
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("PutItem", condition_failed());
    for _ in 0..2 {
        requests(&aws)
            .begin(REQUEST_ID, received, 2_000_000_000)
            .await
            .unwrap();
    }
    for put in aws.sent("PutItem") {
        assert_eq!(
            put["ConditionExpression"],
            "attribute_not_exists(unique_identifier)"
        );
        assert_eq!(
            put["Item"],
            json!({
                "unique_identifier": REQUEST_ID,
                "action": "fulfill",
                "received_time": received.to_string(),
                "failed_fulfill_attempts": 0,
                "expiration": 2_000_000_000,
            })
        );
    }
}

#[tokio::test]
async fn a_height_is_noted_only_on_a_fulfilment_that_has_begun() {
    let aws = FakeAws::new()
        .on("UpdateItem", done())
        .on("UpdateItem", condition_failed());
    for _ in 0..2 {
        requests(&aws).observe_height(REQUEST_ID, 77).await.unwrap();
    }
    let update = &aws.sent("UpdateItem")[0];
    assert_eq!(update["Key"], key_of("fulfill"));
    assert_eq!(
        update["ConditionExpression"],
        "attribute_exists(unique_identifier)"
    );
    assert_eq!(update["UpdateExpression"], "SET observed_height = :height");
    assert_eq!(
        update["ExpressionAttributeValues"],
        json!({ ":height": 77 })
    );
}

#[tokio::test]
async fn a_failure_is_counted_once_however_often_it_is_told() {
    let aws = FakeAws::new()
        .on("UpdateItem", done())
        .on("UpdateItem", condition_failed());
    for _ in 0..2 {
        requests(&aws)
            .record_failure(REQUEST_ID, 4, "KeyUnavailable")
            .await
            .unwrap();
    }
    let updates = aws.sent("UpdateItem");
    assert_eq!(updates[0], updates[1]);
    assert_eq!(updates[0]["Key"], key_of("fulfill"));
    assert_eq!(
        updates[0]["ConditionExpression"],
        format!("{STILL_PENDING} AND failed_fulfill_attempts = :seen")
    );
    assert_eq!(
        updates[0]["UpdateExpression"],
        "SET failed_fulfill_attempts = :next, last_error = :code"
    );
    assert_eq!(
        updates[0]["ExpressionAttributeValues"],
        json!({ ":seen": 4, ":next": 5, ":code": "KeyUnavailable" })
    );
}

#[tokio::test]
async fn a_value_is_written_with_its_proof_while_the_request_is_pending() {
    let aws = FakeAws::new().on("UpdateItem", done());
    let (bundle, at) = (bundle(), seconds_from_now(0));
    let proved = Proved {
        bundle: &bundle,
        at,
        key_epoch: 3,
        failed: 2,
        expiration: 2_000_000_000,
    };
    assert!(requests(&aws).fulfil(REQUEST_ID, &proved).await.unwrap());

    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"], key_of("fulfill"));
    assert_eq!(update["ConditionExpression"], STILL_PENDING);
    assert_eq!(
        written(&update),
        json!({
            "vrf_value": bundle.value,
            "fulfill_time_actual": at.to_string(),
            "suite": "ECVRF-EDWARDS25519-SHA512-TAI",
            "public_key": hex::encode(&bundle.public_key),
            "proof": hex::encode(&bundle.proof),
            "beta": hex::encode(&bundle.beta),
            "key_epoch": 3,
            "failed_fulfill_attempts": 2,
            "fulfill_attempts": 3,
            "expiration": 2_000_000_000,
        })
    );
    let expression = update["UpdateExpression"].as_str().unwrap();
    assert!(expression.ends_with(" REMOVE last_error"), "{expression}");
}

#[tokio::test]
async fn what_fulfil_wrote_is_read_back_as_a_bundle_that_verifies() {
    let aws = FakeAws::new().on("UpdateItem", done());
    let (bundle, at) = (bundle(), seconds_from_now(0));
    let proved = Proved {
        bundle: &bundle,
        at,
        key_epoch: 1,
        failed: 0,
        expiration: 2_000_000_000,
    };
    requests(&aws).fulfil(REQUEST_ID, &proved).await.unwrap();

    let fulfilled = fulfilment(&written(&aws.sent_once("UpdateItem")));
    // The bundle's terms are those of the stored request, so the same one is stored.
    let mut asked = request();
    asked.fulfill_time_expected = match bundle.due {
        offchain_vrf::Due::At(time) => Some(time.timestamp().into()),
        offchain_vrf::Due::Height(_) => None,
    };
    let aws = FakeAws::new().on("Query", items(&[stored(&asked), fulfilled]));
    let record = requests(&aws).load(REQUEST_ID).await.unwrap().unwrap();
    let Some(Outcome::Fulfilled { at: then, bundle }) = record.outcome().unwrap() else {
        panic!("expected a value, found {record:?}");
    };
    assert_eq!(then, at);
    bundle.verify().unwrap();
}

#[tokio::test]
async fn a_closed_request_takes_no_value() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    let bundle = bundle();
    let proved = Proved {
        bundle: &bundle,
        at: seconds_from_now(0),
        key_epoch: 1,
        failed: 0,
        expiration: 0,
    };
    assert!(!requests(&aws).fulfil(REQUEST_ID, &proved).await.unwrap());
}

#[tokio::test]
async fn a_request_expires_only_while_it_is_pending() {
    let at = seconds_from_now(0);
    let aws = FakeAws::new()
        .on("UpdateItem", done())
        .on("UpdateItem", condition_failed());
    for expired in [true, false] {
        let outcome = requests(&aws)
            .expire(REQUEST_ID, at, "KeyInvalid", 2_000_000_000)
            .await;
        assert_eq!(outcome.unwrap(), expired);
    }
    let update = &aws.sent("UpdateItem")[0];
    assert_eq!(update["Key"], key_of("fulfill"));
    assert_eq!(update["ConditionExpression"], STILL_PENDING);
    assert_eq!(
        written(update),
        json!({
            "expired_time": at.to_string(),
            "expired_reason": "KeyInvalid",
            "expiration": 2_000_000_000,
        })
    );
}

#[tokio::test]
async fn a_closed_request_leaves_the_index_and_an_absent_one_is_not_made() {
    let aws = FakeAws::new()
        .on("UpdateItem", done())
        .on("UpdateItem", condition_failed());
    for _ in 0..2 {
        requests(&aws).close(REQUEST_ID).await.unwrap();
    }
    let update = &aws.sent("UpdateItem")[0];
    assert_eq!(update["Key"], key_of("request"));
    assert_eq!(update["UpdateExpression"], "REMOVE #open");
    assert_eq!(
        update["ExpressionAttributeNames"],
        json!({ "#open": "open" })
    );
    assert_eq!(
        update["ConditionExpression"],
        "attribute_exists(unique_identifier)"
    );
}

#[tokio::test]
async fn overdue_requests_come_from_the_index_of_open_ones() {
    let aws = FakeAws::new().on("Query", items(&[stored(&request())]));
    let time = seconds_from_now(0);
    let overdue = requests(&aws).overdue(time, 25).await.unwrap();
    assert_eq!(overdue.len(), 1);
    assert_eq!(overdue[0].unique_identifier, REQUEST_ID);

    let query = aws.sent_once("Query");
    assert_eq!(query["IndexName"], "open-requests");
    assert_eq!(query["Limit"], 25);
    assert_eq!(
        query["KeyConditionExpression"],
        "#open = :open AND deadline < :time"
    );
    assert_eq!(
        query["ExpressionAttributeNames"],
        json!({ "#open": "open" })
    );
    assert_eq!(
        query["ExpressionAttributeValues"],
        json!({ ":open": "open", ":time": time.to_string() })
    );
    // An index cannot be read consistently: DynamoDB refuses the query.
    assert!(query.get("ConsistentRead").is_none());
}

#[tokio::test]
async fn the_item_is_written_before_the_message_is_sent() {
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("SendMessage", done());
    let submitted = submit(&requests(&aws), &queue(&aws), &request(), 90)
        .await
        .unwrap();
    assert_eq!(submitted, Submitted::New);
    assert_eq!(aws.operations(), ["PutItem", "SendMessage"]);

    let message = aws.sent_once("SendMessage");
    assert_eq!(message["QueueUrl"], "https://sqs.test/requests");
    assert_eq!(message["DelaySeconds"], 90);
    let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(
        body,
        json!({
            "unique_identifier": REQUEST_ID,
            "target_block_in_the_future": 1,
            "min_random_value": 1,
            "max_random_value": 6,
        })
    );
}

#[tokio::test]
async fn nothing_is_sent_where_the_item_was_not_written() {
    let aws = FakeAws::new().on("PutItem", refusal(500, "InternalServerError"));
    let error = submit(&requests(&aws), &queue(&aws), &request(), 0)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
    assert_eq!(aws.operations(), ["PutItem"]);
}

#[tokio::test]
async fn a_message_that_was_not_sent_fails_the_call_so_that_it_is_made_again() {
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("SendMessage", refusal(403, "AccessDeniedException"));
    let error = submit(&requests(&aws), &queue(&aws), &request(), 0)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "StoreDenied");
}

#[tokio::test]
async fn the_message_is_sent_again_while_nothing_has_picked_the_request_up() {
    let mut earlier = request();
    earlier.max_random_value = 20;
    let aws = FakeAws::new()
        .on("PutItem", condition_failed())
        .on("Query", items(&[stored(&earlier)]))
        .on("SendMessage", done());
    submit(&requests(&aws), &queue(&aws), &request(), 0)
        .await
        .unwrap();
    assert_eq!(aws.operations(), ["PutItem", "Query", "SendMessage"]);
    // What is sent says what is stored: another message would be refused.
    let body = aws.sent_once("SendMessage")["MessageBody"].to_string();
    assert!(body.contains(r#"\"max_random_value\":20"#), "{body}");
}

#[tokio::test]
async fn no_message_is_sent_again_once_the_request_was_picked_up() {
    let aws = FakeAws::new().on("PutItem", condition_failed()).on(
        "Query",
        items(&[stored(&request()), fulfilment(&json!({}))]),
    );
    let submitted = submit(&requests(&aws), &queue(&aws), &request(), 0)
        .await
        .unwrap();
    assert!(matches!(submitted, Submitted::Existing(_)));
    assert_eq!(aws.operations(), ["PutItem", "Query"]);
}
