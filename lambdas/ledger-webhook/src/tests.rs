//! Webhooks through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use offchain_ledger::{Keys, sign};
use offchain_store::test_util::{FakeAws, done, refusal, seconds_from_now, secret};
use serde_json::{Value, json};

use super::*;

const KEYS: &str = r#"{"secrets":["whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]}"#;
const ENV: [(&str, &str); 3] = [
    ("LEDGER_EVENTS_TABLE", "events"),
    ("LEDGER_QUEUE_URL", "https://sqs.test/transactions"),
    ("LEDGER_WEBHOOK_SECRET_ARN", "arn:secret"),
];

/// A function of which one variable has another value.
fn webhook(aws: &FakeAws, name: &str, value: &str) -> Result<Webhook, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Webhook::from_env(env, &aws.sdk_config())
}

/// The body of a webhook.
fn body() -> String {
    json!({
        "type": "ledger.transaction",
        "timestamp": "2026-11-21T12:00:00Z",
        "data": {
            "height": 7,
            "asset_id": "a".repeat(64),
            "transaction_id": "b".repeat(64),
        },
    })
    .to_string()
}

/// The event that API Gateway makes of a webhook, and the answer to it.
async fn ask(aws: &FakeAws, signature: Option<&str>) -> (i64, Value) {
    let keys: Keys = KEYS.parse().unwrap();
    let id = format!("evt_{}", "b".repeat(64));
    let timestamp = seconds_from_now(0).timestamp().as_second();
    let signed = sign(&keys, &id, timestamp, body().as_bytes());
    let event = json!({
        "version": "2.0",
        "routeKey": "POST /v1/ledger/events",
        "rawPath": "/v1/ledger/events",
        "headers": {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": timestamp.to_string(),
            "webhook-signature": signature.unwrap_or(&signed),
        },
        "requestContext": { "http": { "method": "POST" } },
        "body": body(),
        "isBase64Encoded": false,
    });
    let reply = webhook(aws, "", "")
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    match reply.body {
        Some(Body::Text(text)) => (reply.status_code, serde_json::from_str(&text).unwrap()),
        body => panic!("expected a text, found {body:?}"),
    }
}

#[tokio::test]
async fn a_webhook_is_stored_and_told_to_the_recorder() {
    let aws = FakeAws::new()
        .on("GetSecretValue", secret("v1", KEYS))
        .on("PutItem", done())
        .on("SendMessage", done());
    assert_eq!(ask(&aws, None).await, (202, json!({ "status": "stored" })));
    assert_eq!(aws.sent_once("GetSecretValue")["SecretId"], "arn:secret");
    assert_eq!(aws.sent_once("PutItem")["TableName"], "events");
    let sent = aws.sent_once("SendMessage");
    assert_eq!(sent["QueueUrl"], "https://sqs.test/transactions");
    assert_eq!(
        sent["MessageBody"],
        json!({ "transaction_id": "b".repeat(64) }).to_string()
    );
}

#[tokio::test]
async fn what_goes_wrong_is_a_problem_and_no_error_of_the_function() {
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", KEYS));
    let (status, problem) = ask(&aws, Some("v1,AAAA")).await;
    assert_eq!(
        (status, &problem["title"]),
        (401, &json!("SignatureInvalid"))
    );
    let (key, _) = KEYS
        .split_once("whsec_")
        .unwrap()
        .1
        .split_once('"')
        .unwrap();
    assert!(!problem.to_string().contains(key));

    let aws = FakeAws::new().on("GetSecretValue", refusal(400, "ThrottlingException"));
    let (status, problem) = ask(&aws, None).await;
    assert_eq!(
        (status, &problem["title"]),
        (503, &json!("SecretUnavailable"))
    );
}

#[test]
fn every_variable_is_needed() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = webhook(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    let error = Webhook::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}
