//! Runs through the handler, against a fake AWS. What a run does in each case
//! is the business of `offchain_store::keys` and its tests.

use offchain_codes::Coded;
use offchain_store::keys;
use offchain_store::test_util::{FakeAws, answer, done, items, refusal, secret};
use serde_json::json;

use super::*;

fn env(suite: &'static str) -> Env<'static> {
    Env::new(move |name| {
        let value = match name {
            "VRF_KEYS_TABLE" => "keys",
            "VRF_KEY_SECRET_ARN" => "arn:key",
            "VRF_SUITE" => suite,
            "VRF_KEY_ACTIVATION_DELAY_SECONDS" => "60",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

async fn run(aws: &FakeAws, action: &str) -> Result<Newest, RotateError> {
    KeyRotator::from_env(env("ECVRF-P256-SHA256-TAI"), &aws.sdk_config())
        .unwrap()
        .handle(
            serde_json::from_value(json!({ "action": action })).unwrap(),
            "invocation",
        )
        .await
}

#[tokio::test]
async fn a_rotation_makes_a_key_of_the_configured_suite_and_publishes_it() {
    let key = SecretKey::from_bytes(Suite::P256Sha256Tai, &[9; 32]).unwrap();
    let public_key = hex::encode(key.public_key().as_bytes());
    let aws = FakeAws::new()
        .always("DescribeSecret", answer(json!({})))
        .on("PutSecretValue", answer(json!({ "VersionId": "v1" })))
        .on("Query", items(&[]))
        .on("GetSecretValue", secret("v1", &keys::write(&key)))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&aws, "rotate").await.unwrap();
    assert!(reply.published);
    assert_eq!(reply.epoch.public_key, public_key);

    let put = aws.sent_once("PutSecretValue");
    assert_eq!(put["SecretId"], "arn:key");
    assert_eq!(put["ClientRequestToken"], "invocation");
    let made: SecretKey = keys::parse(put["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(made.suite(), Suite::P256Sha256Tai);
    let published = aws.sent_once("PutItem");
    assert_eq!(published["TableName"], "keys");
    assert_eq!(published["Item"]["key_set"], "vrf");
    assert_eq!(published["Item"]["suite"], "ECVRF-P256-SHA256-TAI");
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage")["VersionStage"],
        keys::label(&public_key)
    );
}

#[tokio::test]
async fn a_failure_is_told_by_its_code() {
    let aws = FakeAws::new().on("Query", refusal(400, "AccessDeniedException"));
    let error = run(&aws, "reconcile").await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("StoreDenied", false));
}

#[test]
fn a_suite_that_nobody_knows_is_refused() {
    let aws = FakeAws::new();
    let error = KeyRotator::from_env(env("ED25519"), &aws.sdk_config());
    let error = error.err().unwrap();
    assert_eq!(error.code(), "ConfigInvalid");
    assert!(error.to_string().contains("VRF_SUITE"), "{error}");
}
