//! Requests through the handler, against a fake AWS.

use aws_lambda_events::encodings::Body;
use offchain_store::test_util::{FakeAws, condition_failed, done, refusal};
use serde_json::{Value, json};

use super::*;

const CHAIN: &str = r#"{"kind":"evm","nodes":[{"url":"http://127.0.0.1:9/hush"}],
    "chain_id":"31337","max_fee_wei":"1000","priority_fee_wei":"1"}"#;
const POLICY: &str = r#"{"amount":"1000","symbol":"TOK","decimals":6,"origins":[],"trusted_proxies":0,
    "throttle":{"per_minute":10,"burst":10},"address_cooldown_seconds":86400,
    "source":{"claims":5,"window_seconds":86400},"daily_budget":"100000",
    "claim_deadline_seconds":3600,"wait_seconds":0,"captcha":null,"proof_of_work":null,
    "retention_days":30,"send":true,"limits":true}"#;
const ENV: [(&str, &str); 9] = [
    ("FAUCET_NETWORK", "testnet"),
    ("FAUCET_ENVIRONMENT", "suite"),
    ("FAUCET_TABLE", "claims"),
    ("FAUCET_LIMITS_TABLE", "limits"),
    ("FAUCET_LOCKS_TABLE", "locks"),
    ("FAUCET_CHAIN", CHAIN),
    ("FAUCET_POLICY", POLICY),
    ("FAUCET_QUEUE_URL", "https://sqs.test/claims"),
    ("FAUCET_INTAKE_SECRET_ARN", "arn:intake"),
];
const ADDRESS: &str = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94";

/// A function of which one variable has another value.
fn api(aws: &FakeAws, name: &str, value: &str) -> Result<Api, ConfigError> {
    let env = Env::new(|wanted| {
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some(if wanted == name { value } else { usual }.to_owned())
    });
    Api::from_env(env, &aws.sdk_config())
}

/// The event that API Gateway makes of a request, and the reply as it gets it.
async fn ask(aws: &FakeAws, route: &str, body: &str) -> (Value, String) {
    let (method, path) = route.split_once(' ').unwrap();
    let event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "headers": { "content-type": "application/json" },
        "requestContext": {
            "http": { "method": method, "path": path, "sourceIp": "192.0.2.1" },
        },
        "body": body,
        "isBase64Encoded": false,
    });
    let reply = api(aws, "", "")
        .unwrap()
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
        .unwrap();
    let text = match &reply.body {
        Some(Body::Text(text)) => text.clone(),
        body => panic!("expected a text, found {body:?}"),
    };
    (serde_json::to_value(reply).unwrap(), text)
}

#[tokio::test]
async fn a_claim_is_taken_and_the_queue_told() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done())
        .on("TransactWriteItems", done())
        .on("SendMessage", done());
    let body = json!({ "address": ADDRESS.to_lowercase() }).to_string();
    let (reply, text) = ask(&aws, "POST /v1/claim", &body).await;
    assert_eq!(reply["statusCode"], 202);
    let told: Value = serde_json::from_str(&text).unwrap();
    let url = &told["status_url"];
    assert_eq!(&reply["headers"]["location"], url);

    let transaction = aws.sent_once("TransactWriteItems");
    let parts = transaction["TransactItems"].as_array().unwrap();
    assert_eq!(parts[0]["Put"]["TableName"], "claims");
    assert_eq!(parts[1]["Update"]["TableName"], "limits");
    let claim = &parts[0]["Put"]["Item"];
    assert_eq!(claim["address"], ADDRESS);
    let sent = aws.sent_once("SendMessage");
    assert_eq!(sent["QueueUrl"], "https://sqs.test/claims");
    let message: Value = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(message, json!({ "claim_id": claim["claim_id"] }));
}

#[tokio::test]
async fn a_failure_is_an_answer_too() {
    let (reply, text) = ask(&FakeAws::new(), "POST /v1/claim", "{}").await;
    assert_eq!(reply["statusCode"], 400);
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["title"], "ClaimInvalid");
    assert_eq!(problem["message"], problem["detail"]);

    for (code, status) in [("ThrottlingException", 503), ("AccessDeniedException", 500)] {
        let aws = FakeAws::new().on("UpdateItem", refusal(400, code));
        let body = json!({ "address": ADDRESS }).to_string();
        let (reply, _) = ask(&aws, "POST /v1/claim", &body).await;
        assert_eq!(reply["statusCode"], status);
    }
}

#[tokio::test]
async fn the_page_is_text() {
    let (reply, text) = ask(&FakeAws::new(), "GET /faucet", "").await;
    assert_eq!(reply["statusCode"], 200);
    assert!(text.starts_with("<!doctype html>"), "{text:.40}");
    assert_eq!(reply["isBase64Encoded"], false);
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    for (name, _) in ENV {
        let error = api(&aws, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("FAUCET_CHAIN", r#"{"kind":"bitcoin"}"#.to_owned()),
        ("FAUCET_POLICY", "{}".to_owned()),
        ("FAUCET_POLICY", POLICY.replace("\"1000\"", "\"0\"")),
    ] {
        let error = api(&aws, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
    }
    let error = Api::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for (name, _) in ENV {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn no_error_repeats_a_node_s_address() {
    let bad = CHAIN.replace("31337", "none");
    let error = api(&FakeAws::new(), "FAUCET_CHAIN", &bad).err().unwrap();
    let error = error.to_string();
    assert!(error.contains("FAUCET_CHAIN"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}
