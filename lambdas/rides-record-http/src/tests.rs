//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use offchain_store::test_util::{FakeAws, Reply, attributes, done, refusal};
use serde_json::{Value, json};

use super::*;

fn recorder(aws: &FakeAws) -> Recorder {
    let env = Env::new(|name| (name == "RIDES_TABLE").then(|| "rides".to_owned()));
    Recorder::from_env(env, &aws.sdk_config()).unwrap()
}

fn ride() -> Value {
    json!({
        "RideId": "SvLnijIAtg6inAFUBRT-Fg",
        "Unicorn": { "Name": "Rocinante", "Color": "Yellow", "Wings": 2 },
        "RequestTime": "2026-11-21 11:00:01.412000",
        "PickupLocation": { "Latitude": 47.5, "Longitude": -122.25 },
        "Note": "by the fountain",
    })
}

/// The event that the gateway makes of a body, and rides-request too.
fn post(body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /record",
        "headers": { "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "path": "/record" } },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// The status, the media type and the body of the answer.
async fn record(aws: &FakeAws, event: Value) -> (i64, String, Value) {
    let event = serde_json::from_value(event).unwrap();
    let reply = recorder(aws).handle(event, "invocation").await.unwrap();
    let Some(Body::Text(body)) = &reply.body else {
        panic!("expected a text, found {:?}", reply.body);
    };
    let media_type = reply.headers["content-type"].to_str().unwrap();
    (
        reply.status_code,
        media_type.to_owned(),
        serde_json::from_str(body).unwrap(),
    )
}

#[track_caller]
fn assert_problem(seen: &(i64, String, Value), status: i64, code: &str) {
    let (seen_status, media_type, body) = seen;
    assert_eq!((*seen_status, &body["title"]), (status, &json!(code)));
    assert_eq!(media_type, "application/problem+json");
    assert_eq!(body["type"], format!("urn:offchain:{code}"));
    assert_eq!(body["status"], status);
    let detail = body["detail"].as_str().unwrap();
    assert!(!detail.is_empty() && !detail.contains("as the test says"));
}

/// DynamoDB's refusal where the id is taken by this item.
fn taken(by: &Value) -> Reply {
    Reply::Http(
        400,
        json!({
            "__type": "ConditionalCheckFailedException",
            "message": "as the test says",
            "Item": attributes(by),
        }),
    )
}

#[tokio::test]
async fn a_ride_is_written_whole_where_its_id_is_free() {
    let aws = FakeAws::new().on("PutItem", done());
    let (status, media_type, body) = record(&aws, post(&ride().to_string())).await;
    assert_eq!((status, body), (201, json!({ "success": true })));
    assert_eq!(media_type, "application/json");
    let put = aws.sent_once("PutItem");
    assert_eq!(put["TableName"], "rides");
    assert_eq!(put["Item"], ride());
    assert_eq!(put["ConditionExpression"], "attribute_not_exists(RideId)");
}

#[tokio::test]
async fn a_ride_of_the_original_needs_no_pickup_location() {
    let mut ride = ride();
    ride.as_object_mut().unwrap().remove("PickupLocation");
    let aws = FakeAws::new().on("PutItem", done());
    assert_eq!(record(&aws, post(&ride.to_string())).await.0, 201);
    assert_eq!(aws.sent_once("PutItem")["Item"], ride);
}

#[tokio::test]
async fn the_same_ride_again_succeeds_and_another_under_its_id_does_not() {
    let aws = FakeAws::new().on("PutItem", taken(&ride()));
    assert_eq!(record(&aws, post(&ride().to_string())).await.0, 201);

    let mut other = ride();
    other["Unicorn"]["Name"] = "Shadowfax".into();
    let aws = FakeAws::new().on("PutItem", taken(&other));
    let seen = record(&aws, post(&ride().to_string())).await;
    assert_problem(&seen, 409, "RideConflict");
    let detail = seen.2["detail"].as_str().unwrap();
    assert!(detail.contains("SvLnijIAtg6inAFUBRT-Fg"), "{detail}");
}

#[tokio::test]
async fn base64_is_decoded_first() {
    for (body, status, code) in [
        // {"RideId":"x"}
        ("eyJSaWRlSWQiOiJ4In0=", 400, "RideInvalid"),
        // The byte ff.
        ("/w==", 400, "BodyInvalid"),
        ("not Base64", 400, "BodyInvalid"),
    ] {
        let mut event = post(body);
        event["isBase64Encoded"] = true.into();
        assert_problem(&record(&FakeAws::new(), event).await, status, code);
    }
}

#[tokio::test]
async fn what_is_no_ride_is_refused_and_nothing_is_written() {
    let without = |name: &str| {
        let mut ride = ride();
        ride.as_object_mut().unwrap().remove(name);
        ride.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut ride = ride();
        ride[name] = value;
        ride.to_string()
    };
    for (body, names) in [
        (String::new(), "JSON"),
        ("{".to_owned(), "JSON"),
        ("[]".to_owned(), "object"),
        (without("RideId"), "RideId"),
        (without("Unicorn"), "Unicorn"),
        (without("RequestTime"), "RequestTime"),
        (with("RideId", json!("short")), "RideId"),
        (with("Unicorn", json!({ "Name": "Rocinante" })), "Color"),
        (with("RequestTime", json!("yesterday")), "RequestTime"),
        (with("PickupLocation", Value::Null), "PickupLocation"),
    ] {
        let seen = record(&FakeAws::new(), post(&body)).await;
        assert_problem(&seen, 400, "RideInvalid");
        let detail = seen.2["detail"].as_str().unwrap();
        assert!(detail.contains(names), "{body}: {detail}");
    }
}

#[tokio::test]
async fn a_body_of_4096_bytes_is_taken_and_one_of_4097_is_not() {
    let of = |length: usize| {
        let mut ride = ride();
        ride["Note"] = "".into();
        let room = length - ride.to_string().len();
        ride["Note"] = "x".repeat(room).into();
        ride.to_string()
    };
    let aws = FakeAws::new().on("PutItem", done());
    assert_eq!(record(&aws, post(&of(4096))).await.0, 201);
    let seen = record(&FakeAws::new(), post(&of(4097))).await;
    assert_problem(&seen, 413, "BodyTooLarge");
}

#[tokio::test]
async fn a_table_that_fails_is_not_the_caller_s_fault() {
    for (reply, status, code) in [
        (Reply::NoConnection, 503, "StoreUnavailable"),
        (refusal(400, "ThrottlingException"), 503, "StoreUnavailable"),
        (refusal(400, "AccessDeniedException"), 500, "StoreDenied"),
        (refusal(400, "ValidationException"), 500, "StoreRejected"),
    ] {
        let aws = FakeAws::new().on("PutItem", reply);
        let seen = record(&aws, post(&ride().to_string())).await;
        assert_problem(&seen, status, code);
    }
}

#[test]
fn without_its_table_it_is_not_made() {
    let error = Recorder::from_env(Env::new(|_| None), &FakeAws::new().sdk_config());
    let error = error.err().unwrap().to_string();
    assert!(error.contains("RIDES_TABLE is not set"), "{error}");
}
