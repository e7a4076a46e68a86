//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::HeaderMap;
use jiff::SignedDuration;
use offchain_codes::Coded;
use offchain_rides::RequestTime;
use offchain_store::test_util::{FakeAws, Reply, answer, done, refusal};
use serde_json::{Value, json};

use super::*;

const ENV: [(&str, &str); 5] = [
    ("RIDES_FLEET_FUNCTION", "suite-rides-fleet"),
    ("RIDES_PUBLISH", "sns"),
    (
        "RIDES_TOPIC_ARN",
        "arn:aws:sns:eu-central-1:000000000000:rides",
    ),
    ("RIDES_RECORD_FUNCTION", "suite-rides-record-http"),
    ("RIDES_UNSENT_QUEUE_URL", "https://sqs.test/unsent-dlq"),
];
const FLEET: &str = "suite-rides-fleet";
const RECORDER: &str = "suite-rides-record-http";

/// A function of which one variable has another value.
fn intake(aws: &FakeAws, name: &'static str, value: &'static str) -> Result<Intake, ConfigError> {
    let env = Env::new(move |wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Intake::from_env(env, &aws.sdk_config())
}

/// What the caller sees: the status, the headers and the body's text.
struct Seen {
    status: i64,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// Asks a function that publishes so. Every answer may be read by any page.
async fn ask(aws: &FakeAws, publish: &'static str, event: Value) -> Seen {
    let reply = intake(aws, "RIDES_PUBLISH", publish)
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    let text = match reply.body {
        Some(Body::Text(text)) => text,
        None => String::new(),
        Some(body) => panic!("expected a text, found {body:?}"),
    };
    Seen {
        status: reply.status_code,
        headers: reply.headers,
        text,
    }
}

/// The event that API Gateway makes of a request.
fn event(route: &str, body: &str) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "headers": { "content-type": "application/json" },
        "requestContext": { "http": { "method": method, "path": path } },
        "body": body,
        "isBase64Encoded": false,
    })
}

fn post(body: &str) -> Value {
    event("POST /ride", body)
}

const HERE: &str = r#"{"PickupLocation":{"Latitude":47.5,"Longitude":-122.25}}"#;

fn unicorn() -> Value {
    json!({ "Name": "Shadowfax", "Color": "White", "Wings": 2 })
}

/// A fake whose fleet has one unicorn.
fn with_fleet() -> FakeAws {
    FakeAws::new().about(FLEET, "Invoke", answer(unicorn()))
}

/// The recorder's answer to the gateway.
fn recorded(status: u16, body: &str) -> Reply {
    answer(json!({
        "statusCode": status,
        "headers": { "content-type": "application/json" },
        "multiValueHeaders": {},
        "body": body,
        "isBase64Encoded": false,
        "cookies": [],
    }))
}

#[track_caller]
fn assert_problem(seen: &Seen, status: i64, code: &str) {
    let body = seen.json();
    assert_eq!((seen.status, &body["title"]), (status, &json!(code)));
    assert_eq!(body["type"], format!("urn:offchain:{code}"));
    assert_eq!(body["status"], status);
    assert_eq!(seen.headers["content-type"], "application/problem+json");
    assert_eq!(seen.headers["cache-control"], "no-store");
    // Whoever is told that it is our fault may ask again.
    assert_eq!(seen.headers.contains_key("retry-after"), status >= 500);
    let detail = body["detail"].as_str().unwrap();
    assert!(!detail.is_empty());
    // What the services say is for the log.
    for internal in ["as the test says", "suite-", "boom", "UnicornInvalid"] {
        assert!(!detail.contains(internal), "{detail}");
    }
}

#[tokio::test]
async fn a_ride_has_a_unicorn_of_the_fleet_and_is_published_as_it_is_answered() {
    let aws = with_fleet().on("Publish", done());
    let seen = ask(&aws, "sns", post(HERE)).await;
    assert_eq!(aws.operations(), ["Invoke", "Publish"]);
    let invoked = aws.sent_once("Invoke");
    assert_eq!(invoked["FunctionName"], FLEET);
    // With no request context, so that the fleet answers with the unicorn alone.
    assert_eq!(invoked["Payload"], json!({}));

    assert_eq!(seen.status, 201);
    assert_eq!(seen.headers["content-type"], "application/json");
    let ride = seen.json();
    assert_eq!(ride.as_object().unwrap().len(), 4);
    assert_eq!(ride["Unicorn"], unicorn());
    let place = json!({ "Latitude": 47.5, "Longitude": -122.25 });
    assert_eq!(ride["PickupLocation"], place);
    // The id and the time are of one moment, and that is now.
    let time: RequestTime = ride["RequestTime"].as_str().unwrap().parse().unwrap();
    let ago = Timestamp::now().duration_since(time.timestamp());
    assert!(!ago.is_negative() && ago < SignedDuration::from_secs(30));
    let like = RideId::v7(time.timestamp(), [0; 10]).to_string();
    let id = ride["RideId"].as_str().unwrap();
    assert_eq!((id.len(), &id[..15]), (36, &like[..15]));

    let published = aws.sent_once("Publish");
    assert_eq!(published["TopicArn"], ENV[2].1);
    assert_eq!(published["Message"], seen.text);
}

#[tokio::test]
async fn two_requests_for_the_same_place_are_two_rides() {
    let aws = with_fleet().always("Publish", done());
    let one = ask(&aws, "sns", post(HERE)).await.json();
    let other = ask(&aws, "sns", post(HERE)).await.json();
    assert_ne!(one["RideId"], other["RideId"]);
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_it_may_send() {
    let aws = FakeAws::new();
    let seen = ask(&aws, "sns", event("OPTIONS /ride", "")).await;
    assert_eq!((seen.status, &*seen.text), (204, ""));
    assert_eq!(seen.headers["access-control-allow-methods"], "POST,OPTIONS");
    assert_eq!(seen.headers["access-control-allow-headers"], "content-type");
    assert_eq!(seen.headers["access-control-max-age"], "3600");
}

#[tokio::test]
async fn a_request_that_cannot_be_used_reaches_no_service() {
    let place = |fields: &str| format!(r#"{{"PickupLocation":{fields}}}"#);
    let long = format!(r#"{{"PickupLocation":{{}},"x":"{}"}}"#, "x".repeat(4096));
    for (body, status, code, names) in [
        (String::new(), 400, "RideRequestInvalid", "JSON"),
        ("{".to_owned(), 400, "RideRequestInvalid", "JSON"),
        ("null".to_owned(), 400, "RideRequestInvalid", "object"),
        ("[]".to_owned(), 400, "RideRequestInvalid", "object"),
        ("{}".to_owned(), 400, "RideRequestInvalid", "PickupLocation"),
        (place("null"), 400, "RideRequestInvalid", "PickupLocation"),
        (
            place(r#"{"Latitude":47.5}"#),
            400,
            "RideRequestInvalid",
            "PickupLocation.Longitude",
        ),
        (
            place(r#"{"Latitude":"47.5","Longitude":0}"#),
            400,
            "RideRequestInvalid",
            "PickupLocation.Latitude",
        ),
        (
            place(r#"{"Latitude":90.1,"Longitude":0}"#),
            400,
            "RideRequestInvalid",
            "from -90 to 90",
        ),
        (
            place(r#"{"Latitude":0,"Longitude":0,"Longitude":1}"#),
            400,
            "RideRequestInvalid",
            "Longitude",
        ),
        (long, 413, "BodyTooLarge", "4096"),
    ] {
        let seen = ask(&FakeAws::new(), "sns", post(&body)).await;
        assert_problem(&seen, status, code);
        let detail = seen.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(names), "{body}: {detail}");
    }
    for route in ["GET /ride", "POST /rides", "$default "] {
        let seen = ask(&FakeAws::new(), "sns", event(route, HERE)).await;
        assert_problem(&seen, 404, "RouteNotFound");
    }
}

#[tokio::test]
async fn a_body_may_be_base64_and_has_4096_bytes_at_most() {
    let mut event = post("eyJQaWNrdXBMb2NhdGlvbiI6eyJMYXRpdHVkZSI6MSwiTG9uZ2l0dWRlIjoyfX0=");
    event["isBase64Encoded"] = true.into();
    let aws = with_fleet().on("Publish", done());
    let seen = ask(&aws, "sns", event.clone()).await;
    assert_eq!(seen.status, 201);
    assert_eq!(
        seen.json()["PickupLocation"],
        json!({ "Latitude": 1.0, "Longitude": 2.0 })
    );
    event["body"] = "not Base64".into();
    assert_problem(
        &ask(&FakeAws::new(), "sns", event).await,
        400,
        "BodyInvalid",
    );

    let padded = |length: usize| format!("{HERE}{}", " ".repeat(length - HERE.len()));
    let aws = with_fleet().on("Publish", done());
    assert_eq!(ask(&aws, "sns", post(&padded(4096))).await.status, 201);
    let seen = ask(&FakeAws::new(), "sns", post(&padded(4097))).await;
    assert_problem(&seen, 413, "BodyTooLarge");
}

#[tokio::test]
async fn without_a_unicorn_nothing_is_published() {
    let boom =
        |code: &str| Reply::FunctionError(json!({ "errorType": code, "errorMessage": "boom" }));
    for (reply, attempts, status, code) in [
        (boom("FleetEmpty"), 1, 503, "FleetEmpty"),
        (boom("StoreUnavailable"), 1, 502, "FleetFailed"),
        (Reply::FunctionError(json!("boom")), 1, 502, "FleetFailed"),
        (answer(Value::Null), 1, 502, "FleetFailed"),
        (answer(json!("boom")), 1, 502, "FleetFailed"),
        (answer(json!({ "Name": "boom" })), 1, 502, "FleetFailed"),
        (
            answer(json!({ "Name": "", "Color": "boom" })),
            1,
            502,
            "FleetFailed",
        ),
        // What may be better at once is tried a second time.
        (Reply::NoConnection, 2, 503, "FleetUnavailable"),
        (Reply::Silence, 2, 503, "FleetUnavailable"),
        (
            refusal(429, "TooManyRequestsException"),
            2,
            503,
            "FleetUnavailable",
        ),
        (
            refusal(403, "AccessDeniedException"),
            1,
            503,
            "FleetUnavailable",
        ),
        (
            refusal(404, "ResourceNotFoundException"),
            1,
            503,
            "FleetUnavailable",
        ),
    ] {
        let aws = FakeAws::new().about(FLEET, "Invoke", reply.clone());
        let seen = ask(&aws, "sns", post(HERE)).await;
        assert_problem(&seen, status, code);
        assert_eq!(aws.operations(), vec!["Invoke"; attempts], "{reply:?}");
    }
}

#[tokio::test]
async fn a_fleet_that_answers_the_second_time_is_enough() {
    let aws = FakeAws::new()
        .on("Invoke", Reply::NoConnection)
        .on("Invoke", answer(unicorn()))
        .on("Publish", done());
    assert_eq!(ask(&aws, "sns", post(HERE)).await.status, 201);
    assert_eq!(aws.operations(), ["Invoke", "Invoke", "Publish"]);
}

#[tokio::test]
async fn a_ride_that_the_topic_does_not_take_is_kept_and_granted() {
    for (reply, attempts, said) in [
        (Reply::NoConnection, 2, "connection refused"),
        (Reply::Silence, 2, "not available"),
        (refusal(500, "InternalError"), 2, "InternalError"),
        (refusal(403, "AuthorizationError"), 1, "denied"),
        (refusal(404, "NotFound"), 1, "NotFound"),
    ] {
        let aws = with_fleet()
            .always("Publish", reply)
            .on("SendMessage", done());
        let seen = ask(&aws, "sns", post(HERE)).await;
        assert_eq!(seen.status, 201, "{said}");
        let mut operations = vec!["Invoke"];
        operations.extend(vec!["Publish"; attempts]);
        operations.push("SendMessage");
        assert_eq!(aws.operations(), operations, "{said}");
        let kept = aws.sent_once("SendMessage");
        assert_eq!(kept["QueueUrl"], "https://sqs.test/unsent-dlq");
        // A redrive publishes the body as it lies there.
        assert_eq!(kept["MessageBody"], seen.text);
        assert_eq!(kept["MessageBody"], aws.sent("Publish")[0]["Message"]);
        let attributes = &kept["MessageAttributes"];
        assert_eq!(attributes["ErrorCode"]["StringValue"], "PublishFailed");
        let reason = attributes["ErrorMessage"]["StringValue"].as_str().unwrap();
        assert!(reason.contains(said), "{reason}");
    }
}

#[tokio::test]
async fn a_ride_that_is_neither_published_nor_kept_is_none() {
    for reply in [
        Reply::NoConnection,
        refusal(400, "AWS.SimpleQueueService.NonExistentQueue"),
    ] {
        let aws = with_fleet()
            .always("Publish", Reply::NoConnection)
            .always("SendMessage", reply);
        let seen = ask(&aws, "sns", post(HERE)).await;
        assert_problem(&seen, 503, "RideNotKept");
    }
}

#[tokio::test]
async fn over_http_the_recorder_is_asked_as_by_the_gateway_and_no_topic() {
    let success = recorded(201, r#"{"success":true}"#);
    let aws = with_fleet().about(RECORDER, "Invoke", success);
    let seen = ask(&aws, "http", post(HERE)).await;
    assert_eq!(seen.status, 201);
    assert_eq!(aws.operations(), ["Invoke", "Invoke"]);
    let invoked = aws.sent("Invoke");
    assert_eq!(invoked[0]["FunctionName"], FLEET);
    assert_eq!(invoked[1]["FunctionName"], RECORDER);
    let payload = &invoked[1]["Payload"];
    assert_eq!(payload["body"], seen.text);
    assert_eq!(payload["routeKey"], "POST /record");
    // The recorder reads it as the type that it reads the gateway's events as.
    let request: ApiGatewayV2httpRequest = serde_json::from_value(payload.clone()).unwrap();
    assert_eq!(body(&request, BODY_LIMIT).unwrap(), seen.text.as_bytes());
}

#[tokio::test]
async fn without_a_record_over_http_there_is_no_ride() {
    let boom = json!({ "errorType": "ConfigInvalid", "errorMessage": "boom" });
    for (reply, attempts) in [
        (recorded(409, r#"{"title":"RideConflict","boom":1}"#), 1),
        (recorded(503, r#"{"title":"StoreUnavailable","boom":1}"#), 1),
        (recorded(200, "boom"), 1),
        (answer(json!({ "body": "boom" })), 1),
        (answer(Value::Null), 1),
        (Reply::FunctionError(boom), 1),
        (Reply::NoConnection, 2),
        (refusal(403, "AccessDeniedException"), 1),
    ] {
        let aws = with_fleet().about(RECORDER, "Invoke", reply.clone());
        let seen = ask(&aws, "http", post(HERE)).await;
        assert_problem(&seen, 502, "RecordFailed");
        assert_eq!(aws.sent("Invoke").len(), 1 + attempts, "{reply:?}");
    }
}

#[test]
fn what_the_recorder_said_is_in_the_log() {
    let error = IntakeError::RecordFailed("status 409: RideConflict".to_owned());
    assert!(chain(&error).contains("RideConflict"));
    let error = IntakeError::FleetFailed {
        code: "StoreDenied".to_owned(),
        message: "boom".to_owned(),
    };
    assert!(chain(&error).contains("StoreDenied: boom"));
    assert_eq!((error.code(), error.retryable()), ("FleetFailed", true));
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = intake(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    let error = intake(&aws, "RIDES_PUBLISH", "smtp").err().unwrap();
    assert!(
        error.to_string().contains("RIDES_PUBLISH is \"smtp\""),
        "{error}"
    );
}
