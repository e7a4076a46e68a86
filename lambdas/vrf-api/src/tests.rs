//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::HeaderMap;
use offchain_store::test_util::{
    FakeAws, REQUEST_ID, Reply, condition_failed, done, epoch, fulfilment, items, refusal, request,
    seconds_from_now, secret, secret_key, stored,
};
use offchain_vrf::ProofBundle;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

const TOKEN: &str = "a-token-of-alice";

fn api(aws: &FakeAws, chain_url: &str) -> Api {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_KEYS_TABLE" => "keys",
            "VRF_QUEUE_URL" => "https://sqs.test/requests",
            "VRF_API_TOKENS_SECRET_ARN" => "arn:tokens",
            "VRF_FULFIL_WINDOW_SECONDS" => "900",
            "VRF_HEIGHT_WINDOW_SECONDS" => "21600",
            "VRF_RETENTION_DAYS" => "30",
            "VRF_MAX_DELAY_SECONDS" => "3600",
            "VRF_CHAIN_RPC_URL" => chain_url,
            _ => return None,
        };
        Some(value.to_owned())
    });
    Api::from_env(env, &aws.sdk_config()).unwrap()
}

/// What the caller sees: the status, the headers and the body.
struct Seen {
    status: i64,
    headers: HeaderMap,
    body: Value,
}

async fn ask(aws: &FakeAws, event: Value) -> Seen {
    ask_beside(aws, "", event).await
}

async fn ask_beside(aws: &FakeAws, chain_url: &str, event: Value) -> Seen {
    let reply = api(aws, chain_url)
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    let Some(Body::Text(body)) = reply.body else {
        panic!("expected a text, found {:?}", reply.body);
    };
    Seen {
        status: reply.status_code,
        headers: reply.headers,
        body: serde_json::from_str(&body).unwrap(),
    }
}

/// The event that API Gateway makes of a request.
fn event(method: &str, path: &str, fields: &Value) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "headers": {},
        "isBase64Encoded": false,
        "requestContext": { "http": { "method": method, "path": path } },
    });
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn post(body: &str) -> Value {
    let headers = json!({
        "authorization": format!("Bearer {TOKEN}"),
        "idempotency-key": "once",
    });
    let fields = json!({ "headers": headers, "body": body });
    event("POST", "/v1/vrf/requests", &fields)
}

const DICE: &str = r#"{"min":1,"max":6}"#;

fn get(id: &str) -> Value {
    let fields = json!({ "pathParameters": { "id": id } });
    event("GET", "/v1/vrf/requests/{id}", &fields)
}

fn get_keys() -> Value {
    event("GET", "/v1/vrf/keys", &json!({}))
}

fn tokens() -> Reply {
    let hash = hex::encode(Sha256::digest(TOKEN));
    let list = json!({ "tokens": [{ "name": "alice", "sha256": hash }] });
    secret("v1", &list.to_string())
}

/// A fake that knows Alice's token.
fn for_alice() -> FakeAws {
    FakeAws::new().on("GetSecretValue", tokens())
}

/// A fake that knows Alice's token and has a key.
fn with_key() -> FakeAws {
    for_alice().on("Query", items(&[epoch(2)]))
}

#[track_caller]
fn assert_problem(seen: &Seen, status: i64, code: &str) {
    assert_eq!((seen.status, &seen.body["title"]), (status, &json!(code)));
    assert_eq!(seen.body["type"], format!("urn:offchain:{code}"));
    assert_eq!(seen.body["status"], status);
    assert_eq!(seen.headers["content-type"], "application/problem+json");
    assert_eq!(seen.headers["cache-control"], "no-store");
    let detail = seen.body["detail"].as_str().unwrap();
    assert!(!detail.is_empty());
    // What the services say is for the log.
    assert!(!detail.contains("as the test says"), "{detail}");
    assert_eq!(seen.body.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn a_request_is_accepted_with_the_place_where_it_can_be_looked_at() {
    let aws = with_key().on("PutItem", done()).on("SendMessage", done());
    let seen = ask(
        &aws,
        post(r#"{"min":"1","max":6,"delay_seconds":60,"seed":"00ff"}"#),
    )
    .await;
    assert_eq!(
        aws.operations(),
        ["GetSecretValue", "Query", "PutItem", "SendMessage"]
    );
    // An epoch that is published and not active yet binds nothing.
    let query = aws.sent_once("Query");
    assert_eq!(query["FilterExpression"], "active_from <= :time");
    assert_eq!(seen.status, 202);
    assert_eq!(seen.headers["content-type"], "application/json");
    let id = seen.body["request_id"].as_str().unwrap();
    assert_eq!(seen.headers["location"], format!("/v1/vrf/requests/{id}"));

    let item = &aws.sent_once("PutItem")["Item"];
    assert_eq!(item["unique_identifier"], id);
    assert_eq!(item["origin"], "api");
    assert_eq!(item["key_epoch"], 2);
    assert_eq!(
        seen.body,
        json!({
            "request_id": id,
            "status": "pending",
            "reason": "not_due",
            "min": "1",
            "max": "6",
            "requested_at": item["request_time"],
            "due_time": item["fulfill_time_expected"],
            "deadline": item["deadline"],
            "seed": "00ff",
            "key_epoch": 2,
            "failed_attempts": 0,
        })
    );
    assert_eq!(aws.sent_once("SendMessage")["DelaySeconds"], 0);
}

#[tokio::test]
async fn a_repeated_submission_is_answered_with_the_first_one() {
    let first = with_key().on("PutItem", done()).on("SendMessage", done());
    let accepted = ask(&first, post(DICE)).await;
    let written = first.sent_once("PutItem")["Item"].clone();

    let mut begun =
        fulfilment(&json!({ "failed_fulfill_attempts": 1, "last_error": "KeyInvalid" }));
    begun["unique_identifier"] = written["unique_identifier"].clone();
    let again = with_key()
        .on("PutItem", condition_failed())
        .on("Query", items(&[written, begun]));
    // Spelt otherwise, and saying the same.
    let repeated = ask(&again, post(r#"{ "max": "6", "min": 1 }"#)).await;
    assert_eq!(repeated.status, 202);
    for name in ["request_id", "requested_at", "due_time", "deadline"] {
        assert_eq!(repeated.body[name], accepted.body[name], "{name}");
    }
    assert_eq!(repeated.body["failed_attempts"], 1);
    assert_eq!(repeated.headers["location"], accepted.headers["location"]);
    assert!(again.sent("SendMessage").is_empty());
}

#[tokio::test]
async fn a_repetition_is_answered_even_after_its_due_time_is_long_past() {
    let due = seconds_from_now(5);
    let body = format!(r#"{{"min":1,"max":6,"due_time":"{due}"}}"#);
    let first = with_key().on("PutItem", done()).on("SendMessage", done());
    assert_eq!(ask(&first, post(&body)).await.status, 202);
    let put = first.sent_once("PutItem")["Item"].clone();

    // As it is stored for the same body of an hour ago.
    let past = seconds_from_now(-3600);
    let body = format!(r#"{{"min":1,"max":6,"due_time":"{past}"}}"#);
    let mut written = put;
    written["fulfill_time_expected"] = past.to_string().into();
    written["submission"] = Submission::parse(body.as_bytes())
        .unwrap()
        .digest()
        .unwrap()
        .into();
    let again = for_alice()
        .always("Query", items(std::slice::from_ref(&written)))
        .on("PutItem", condition_failed())
        .on("SendMessage", done());
    let repeated = ask(&again, post(&body)).await;
    assert_eq!(repeated.status, 202);
    assert_eq!(repeated.body["request_id"], written["unique_identifier"]);
    assert_eq!(repeated.body["due_time"], past.to_string());
    // Nothing has picked it up: the first call may have died before its message.
    assert_eq!(again.sent("SendMessage").len(), 1);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_body_is_refused() {
    let first = with_key().on("PutItem", done()).on("SendMessage", done());
    ask(&first, post(DICE)).await;
    let written = first.sent_once("PutItem")["Item"].clone();
    let mut begun = fulfilment(&json!({}));
    begun["unique_identifier"] = written["unique_identifier"].clone();
    let again = with_key()
        .on("PutItem", condition_failed())
        .on("Query", items(&[written, begun]));
    let seen = ask(&again, post(r#"{"min":1,"max":20}"#)).await;
    assert_problem(&seen, 422, "IdempotencyKeyReused");
    assert!(!seen.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn without_a_token_nothing_is_touched() {
    for authorization in [None, Some("Basic abc"), Some("Bearer ")] {
        let aws = FakeAws::new();
        let mut event = post("not even JSON");
        event["headers"] = json!({});
        if let Some(value) = authorization {
            event["headers"]["authorization"] = value.into();
        }
        let seen = ask(&aws, event).await;
        assert_problem(&seen, 401, "TokenMissing");
        assert_eq!(seen.headers["www-authenticate"], "Bearer");
        assert!(aws.operations().is_empty());
    }
}

#[tokio::test]
async fn with_another_token_nothing_but_the_tokens_is_read() {
    for tokens in [tokens(), refusal(400, "ResourceNotFoundException")] {
        let aws = FakeAws::new().on("GetSecretValue", tokens);
        let mut event = post("not even JSON");
        event["headers"]["authorization"] = "Bearer a-token-of-mallory".into();
        let seen = ask(&aws, event).await;
        assert_problem(&seen, 401, "TokenInvalid");
        assert_eq!(seen.headers["www-authenticate"], "Bearer");
        assert_eq!(aws.operations(), ["GetSecretValue"]);
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_anything_is_stored() {
    let long = "x".repeat(5000);
    for (body, status, code) in [
        ("{", 400, "BodyInvalid"),
        (r#"{"min":1}"#, 400, "BodyInvalid"),
        (&long, 413, "BodyTooLarge"),
        (r#"{"min":6,"max":6}"#, 400, "BoundsInvalid"),
        (r#"{"min":6,"max":1}"#, 400, "BoundsInvalid"),
        (
            r#"{"min":1,"max":6,"delay_seconds":3601}"#,
            400,
            "DueInvalid",
        ),
        (r#"{"min":1,"max":6,"target_height":7}"#, 400, "DueInvalid"),
    ] {
        // A time that is out of reach is looked up, for it may be a repetition.
        let aws = for_alice().on("Query", items(&[]));
        let seen = ask(&aws, post(body)).await;
        assert_problem(&seen, status, code);
        assert!(!seen.headers.contains_key("retry-after"));
        for operation in ["PutItem", "SendMessage"] {
            assert!(aws.sent(operation).is_empty(), "{body:.40}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_marked_as_base64_and_is_not_is_refused() {
    let mut event = post("?");
    event["isBase64Encoded"] = true.into();
    assert_problem(&ask(&for_alice(), event).await, 400, "BodyInvalid");
}

#[tokio::test]
async fn without_an_idempotency_key_nothing_is_accepted() {
    let mut event = post(DICE);
    event["headers"]
        .as_object_mut()
        .unwrap()
        .remove("idempotency-key");
    assert_problem(
        &ask(&for_alice(), event).await,
        400,
        "IdempotencyKeyInvalid",
    );
}

#[tokio::test]
async fn a_height_may_be_a_target_where_a_chain_is_known() {
    let aws = with_key().on("PutItem", done()).on("SendMessage", done());
    let event = post(r#"{"min":1,"max":6,"target_height":7}"#);
    let seen = ask_beside(&aws, "http://node.test", event).await;
    assert_eq!(seen.status, 202);
    assert_eq!(seen.body["target_height"], "7");
    assert_eq!(seen.body.get("due_time"), None);
    let time = |name: &str| {
        seen.body[name]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    let window = time("deadline").duration_since(time("requested_at"));
    assert_eq!(window, SignedDuration::from_secs(21_600));
}

#[tokio::test]
async fn what_may_succeed_later_says_when_to_ask_again() {
    let throttled = || refusal(400, "ThrottlingException");
    for (aws, event, code) in [
        (
            FakeAws::new().on("GetSecretValue", throttled()),
            post(DICE),
            "SecretUnavailable",
        ),
        (
            for_alice().on("Query", items(&[])),
            post(DICE),
            "KeyUnavailable",
        ),
        (
            for_alice().on("Query", throttled()),
            post(DICE),
            "StoreUnavailable",
        ),
        (
            with_key().on("PutItem", Reply::NoConnection),
            post(DICE),
            "StoreUnavailable",
        ),
        (
            with_key()
                .on("PutItem", done())
                .on("SendMessage", throttled()),
            post(DICE),
            "StoreUnavailable",
        ),
        (
            FakeAws::new().on("Query", throttled()),
            get(REQUEST_ID),
            "StoreUnavailable",
        ),
        (
            FakeAws::new().on("Query", throttled()),
            get_keys(),
            "StoreUnavailable",
        ),
    ] {
        let seen = ask(&aws, event).await;
        assert_problem(&seen, 503, code);
        assert_eq!(seen.headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn our_own_faults_are_told_without_their_reasons() {
    let denied = || refusal(400, "AccessDeniedException");
    let torn = fulfilment(&json!({ "vrf_value": 4 }));
    for (aws, event, code) in [
        (
            FakeAws::new().on("GetSecretValue", secret("v1", "garbage")),
            post(DICE),
            "TokensInvalid",
        ),
        (
            FakeAws::new().on("GetSecretValue", denied()),
            post(DICE),
            "SecretUnavailable",
        ),
        (
            FakeAws::new().on("Query", denied()),
            get(REQUEST_ID),
            "StoreDenied",
        ),
        (
            FakeAws::new().on("Query", refusal(400, "ValidationException")),
            get(REQUEST_ID),
            "StoreRejected",
        ),
        (
            FakeAws::new().on("Query", items(&[stored(&request()), torn])),
            get(REQUEST_ID),
            "RecordInvalid",
        ),
    ] {
        let seen = ask(&aws, event).await;
        assert_problem(&seen, 500, code);
        assert!(!seen.headers.contains_key("retry-after"), "{code}");
        let detail = seen.body["detail"].as_str().unwrap();
        assert!(detail.contains("operator"), "{detail}");
    }
}

#[tokio::test]
async fn a_fulfilled_request_shows_a_bundle_that_verifies() {
    let asked = request();
    let bundle = ProofBundle::prove(&secret_key(), &asked.terms().unwrap()).unwrap();
    let at = seconds_from_now(0);
    let fulfilled = fulfilment(&json!({
        "vrf_value": bundle.value,
        "fulfill_time_actual": at.to_string(),
        "suite": bundle.suite.to_string(),
        "public_key": hex::encode(&bundle.public_key),
        "proof": hex::encode(&bundle.proof),
        "beta": hex::encode(&bundle.beta),
    }));
    let aws = FakeAws::new().on("Query", items(&[stored(&asked), fulfilled]));
    let seen = ask(&aws, get(REQUEST_ID)).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.body["status"], "fulfilled");
    assert_eq!(seen.body.get("reason"), None);
    assert_eq!(seen.body["fulfilled_at"], at.to_string());
    let shown = ProofBundle::from_json(&seen.body["bundle"].to_string()).unwrap();
    shown.verify().unwrap();
    assert_eq!(shown, bundle);
}

#[tokio::test]
async fn an_expired_request_shows_its_reason_and_no_bundle() {
    let expired = fulfilment(&json!({
        "failed_fulfill_attempts": 9,
        "last_error": "KeyUnavailable",
        "expired_time": seconds_from_now(0).to_string(),
        "expired_reason": "KeyUnavailable",
    }));
    let aws = FakeAws::new().on("Query", items(&[stored(&request()), expired]));
    let seen = ask(&aws, get(REQUEST_ID)).await;
    assert_eq!(seen.body["status"], "expired");
    assert_eq!(seen.body["reason"], "KeyUnavailable");
    assert_eq!(seen.body["failed_attempts"], 9);
    assert_eq!(seen.body.get("bundle"), None);
}

#[tokio::test]
async fn an_unknown_request_is_not_found_and_an_impossible_id_is_not_looked_for() {
    let aws = FakeAws::new().on("Query", items(&[]));
    assert_problem(&ask(&aws, get(REQUEST_ID)).await, 404, "RequestNotFound");
    let aws = FakeAws::new();
    assert_problem(&ask(&aws, get("../keys")).await, 404, "RequestNotFound");
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn the_keys_are_listed_for_everyone() {
    let aws = FakeAws::new().on("Query", items(&[epoch(2), epoch(1)]));
    let seen = ask(&aws, get_keys()).await;
    assert_eq!(seen.status, 200);
    let keys = seen.body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0]["epoch"], 2);
    let public_key = hex::encode(secret_key().public_key().as_bytes());
    assert_eq!(keys[0]["public_key"], public_key);
    assert_eq!(keys[0].as_object().unwrap().len(), 5);
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let aws = FakeAws::new();
    let mut event = get_keys();
    event["routeKey"] = "$default".into();
    assert_problem(&ask(&aws, event).await, 404, "RouteNotFound");
}
