//! Requests through the intake.

mod claim;
mod limits;
mod origin;
mod person;
mod routes;

use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::HeaderMap;
use offchain_outbound::{Outbound, Reach};
use offchain_store::test_util::{condition_failed, done};

use super::*;
use crate::{Intake, IntakeParts, IntakeSecret};

/// A policy that demands neither captcha nor work and does not wait, with these
/// members over it.
fn policy(members: &Value) -> Value {
    let policy = json!({
        "amount": "1000",
        "symbol": "TOK",
        "decimals": 6,
        "origins": ["https://app.example"],
        "trusted_proxies": 0,
        "throttle": { "per_minute": 10, "burst": 10 },
        "address_cooldown_seconds": 86_400,
        "source": { "claims": 5, "window_seconds": 86_400 },
        "daily_budget": "100000",
        "claim_deadline_seconds": 3600,
        "wait_seconds": 0,
        "captcha": null,
        "proof_of_work": null,
        "retention_days": 30,
        "send": true,
        "limits": true,
    });
    with(policy, members)
}

fn intake(aws: &FakeAws, members: &Value) -> Intake<Script> {
    let secrets = aws_sdk_secretsmanager::Client::new(&aws.sdk_config());
    Intake::new(IntakeParts {
        // Whoever asks does not make the faucet ask the chain.
        chain: Script::new(aws),
        tables: tables(aws),
        policy: policy(members).to_string().parse().unwrap(),
        network: "testnet".into(),
        secret: IntakeSecret::new(secrets, "arn:intake".into()),
        wake: wake(aws),
        outbound: Outbound::new(Reach::Any).unwrap(),
    })
}

/// What the caller sees.
struct Seen {
    status: i64,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The limit, what is left of it, and the seconds until it is whole.
    fn rate_limit(&self) -> [Option<&str>; 3] {
        ["limit", "remaining", "reset"].map(|part| self.header(&format!("x-ratelimit-{part}")))
    }
}

async fn ask(aws: &FakeAws, members: &Value, event: Value) -> Seen {
    let request = serde_json::from_value(event).unwrap();
    let reply = intake(aws, members).answer(&request).await;
    let text = match reply.body {
        Some(Body::Text(text)) => text,
        None => String::new(),
        Some(body) => panic!("expected a text, found {body:?}"),
    };
    assert_eq!(reply.headers["vary"], "origin");
    Seen {
        status: reply.status_code,
        headers: reply.headers,
        text,
    }
}

/// The event that API Gateway makes of a request without a body.
fn event(route: &str) -> Value {
    let (method, path) = route.split_once(' ').unwrap();
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "headers": { "host": "faucet.example" },
        "requestContext": {
            "http": { "method": method, "path": path, "sourceIp": "192.0.2.1" },
        },
        "isBase64Encoded": false,
    })
}

/// A claim with this body, which is not waited for.
fn post(body: &str) -> Value {
    let mut event = event("POST /v1/claim");
    event["body"] = body.into();
    event
}

/// A claim of one address, as text.
const CLAIM: &str = r#"{"address":"addr1"}"#;

fn with_header(mut event: Value, name: &str, value: &str) -> Value {
    event["headers"][name] = value.into();
    event
}

/// A fake that lets the next request through the throttle: nobody asked before.
fn unthrottled() -> FakeAws {
    FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done())
}

/// The same, which takes the claim as well.
fn taking() -> FakeAws {
    unthrottled()
        .on("TransactWriteItems", done())
        .on("SendMessage", done())
}

#[track_caller]
fn assert_problem(seen: &Seen, status: i64, code: &str) {
    let body = seen.json();
    assert_eq!((seen.status, &body["title"]), (status, &json!(code)));
    assert_eq!(body["type"], format!("urn:offchain:{code}"));
    assert_eq!(body["status"], status);
    assert_eq!(
        seen.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    let detail = body["detail"].as_str().unwrap();
    assert!(!detail.is_empty());
    // What the original's callers read.
    assert_eq!(body["message"], detail);
    for internal in ["as the test says", "hush", "127.0.0.1", "arn:", "suite"] {
        assert!(!detail.contains(internal), "{detail}");
    }
}
