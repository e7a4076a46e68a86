//! Runs through the handler, against a fake AWS. What a run does in each case
//! is the business of `offchain_store::keys` and its tests.

use offchain_codes::Coded;
use offchain_oracle::PublicKey;
use offchain_store::keys;
use offchain_store::test_util::{
    FakeAws, answer, done, items, refusal, seconds_from_now, secret, secret_key,
};
use serde_json::{Value, json};

use super::*;

fn env(delay: &'static str) -> Env<'static> {
    Env::new(move |name| {
        let value = match name {
            "ORACLE_KEYS_TABLE" => "keys",
            "ORACLE_KEY_SECRET_ARN" => "arn:key",
            "ORACLE_KEY_ACTIVATION_DELAY_SECONDS" => delay,
            _ => return None,
        };
        Some(value.to_owned())
    })
}

async fn run(aws: &FakeAws, action: &str) -> Result<Newest, RotateError> {
    KeyRotator::from_env(env("120"), &aws.sdk_config())
        .unwrap()
        .handle(
            serde_json::from_value(json!({ "action": action })).unwrap(),
            "invocation",
        )
        .await
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public_key(number: u8) -> String {
    key(number).public_key().to_hex()
}

/// An epoch as the table holds it.
fn epoch(number: u8) -> Value {
    json!({
        "key_set": "oracle",
        "epoch": number,
        "suite": "ED25519",
        "public_key": public_key(number),
        "published_at": seconds_from_now(-3600).to_string(),
        "active_from": seconds_from_now(-3600).to_string(),
    })
}

#[tokio::test]
async fn the_first_key_is_made_labelled_and_published_and_active_at_once() {
    let aws = FakeAws::new()
        .on("Query", items(&[]))
        .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
        .on("PutSecretValue", answer(json!({ "VersionId": "v1" })))
        .on(
            "DescribeSecret",
            answer(json!({ "VersionIdsToStages": { "v1": ["AWSCURRENT"] } })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&aws, "reconcile").await.unwrap();
    assert!(reply.published);
    assert_eq!(
        aws.sent_once("Query")["ExpressionAttributeValues"],
        json!({ ":set": "oracle" })
    );

    let put = aws.sent_once("PutSecretValue");
    assert_eq!(put["SecretId"], "arn:key");
    let text: Value = serde_json::from_str(put["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(text["suite"], "ED25519");
    assert_eq!(text["secret_key"].as_str().unwrap().len(), 64);
    let made: SigningKey = keys::parse(put["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        json!({
            "SecretId": "arn:key",
            "MoveToVersionId": "v1",
            "VersionStage": format!("key-{}", made.public_key().to_hex()),
        })
    );

    let published = aws.sent_once("PutItem");
    assert_eq!(published["TableName"], "keys");
    let item = &published["Item"];
    assert_eq!(item["key_set"], "oracle");
    assert_eq!(item["epoch"], 1);
    assert_eq!(item["suite"], "ED25519");
    let listed = PublicKey::from_hex(item["public_key"].as_str().unwrap()).unwrap();
    assert_eq!(listed, made.public_key());
    assert_eq!(item["active_from"], item["published_at"]);
    // The reply is kept in Terraform's state.
    let reply = serde_json::to_string(&reply).unwrap();
    assert!(!reply.contains(text["secret_key"].as_str().unwrap()));
}

#[tokio::test]
async fn a_rotation_publishes_the_next_epoch_after_the_configured_delay() {
    let aws = FakeAws::new()
        .always("DescribeSecret", answer(json!({})))
        .on("PutSecretValue", answer(json!({ "VersionId": "v2" })))
        .on("Query", items(&[epoch(1)]))
        .on("GetSecretValue", secret("v2", &keys::write(&key(2))))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&aws, "rotate").await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (true, 2));
    assert_eq!(reply.epoch.public_key, public_key(2));
    let delay = reply
        .epoch
        .active_from
        .timestamp()
        .duration_since(reply.epoch.published_at.timestamp());
    assert_eq!(delay, SignedDuration::from_secs(120));
    assert_eq!(
        aws.sent_once("PutSecretValue")["ClientRequestToken"],
        "invocation"
    );
}

#[tokio::test]
async fn a_key_that_is_published_already_changes_nothing() {
    let current = answer(json!({
        "VersionId": "v1",
        "SecretString": keys::write(&key(1)).as_str(),
        "VersionStages": ["AWSCURRENT", keys::label(&public_key(1))],
    }));
    let aws = FakeAws::new()
        .on("Query", items(&[epoch(1)]))
        .on("GetSecretValue", current);
    let reply = run(&aws, "reconcile").await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 1));
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
}

#[tokio::test]
async fn a_key_of_the_vrf_is_no_key_of_the_oracle() {
    let aws = FakeAws::new()
        .on("Query", items(&[epoch(1)]))
        .on("GetSecretValue", secret("v2", &keys::write(&secret_key())));
    let error = run(&aws, "reconcile").await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("KeyInvalid", false));
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
}

#[test]
fn a_delay_that_is_no_number_is_refused() {
    let aws = FakeAws::new();
    let error = KeyRotator::from_env(env("soon"), &aws.sdk_config());
    let error = error.err().unwrap();
    assert_eq!(error.code(), "ConfigInvalid");
    assert!(
        error
            .to_string()
            .contains("ORACLE_KEY_ACTIVATION_DELAY_SECONDS"),
        "{error}"
    );
}
