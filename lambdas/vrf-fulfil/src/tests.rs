//! Runs through the handler, against a fake AWS.

use jiff::SignedDuration;
use offchain_store::keys;
use offchain_store::test_util::{
    FakeAws, REQUEST_ID, Reply, condition_failed, done, epoch, fulfilment, item, items, refusal,
    request, seconds_from_now, secret, secret_key, stored, written,
};
use offchain_store::vrf::{Outcome, RequestItem};
use offchain_vrf::Suite;
use serde_json::{Value, json};

use super::*;

fn fulfiller(aws: &FakeAws, failure_rate: &str) -> Result<Fulfiller, ConfigError> {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_KEYS_TABLE" => "keys",
            "VRF_KEY_SECRET_ARN" => "arn:key",
            "VRF_SIMULATED_FAILURE_RATE" => failure_rate,
            _ => return None,
        };
        Some(value.to_owned())
    });
    Fulfiller::from_env(env, &aws.sdk_config())
}

async fn run_with(aws: &FakeAws, failure_rate: &str) -> Result<Fulfilled, FulfilError> {
    let event = serde_json::from_value(json!({ "request_id": REQUEST_ID })).unwrap();
    fulfiller(aws, failure_rate)
        .unwrap()
        .handle(event, "invocation")
        .await
}

async fn run(aws: &FakeAws) -> Result<Fulfilled, FulfilError> {
    run_with(aws, "0").await
}

/// A fake that holds a request and how far its fulfilment has come.
fn holding(request: &RequestItem, so_far: &Value) -> FakeAws {
    FakeAws::new().on("Query", items(&[stored(request), fulfilment(so_far)]))
}

/// A fake that holds the sample request, which is due.
fn due(so_far: &Value) -> FakeAws {
    holding(&request(), so_far)
}

trait WithKey {
    fn with_key(self) -> Self;
}

impl WithKey for FakeAws {
    fn with_key(self) -> Self {
        self.on("GetItem", item(&epoch(1)))
            .on("GetSecretValue", secret("v1", &keys::write(&secret_key())))
    }
}

fn value(text: &str) -> Fulfilled {
    fulfilled(REQUEST_ID, text.parse().unwrap())
}

/// What the table says of the request, once `update` is applied to it.
async fn outcome_after(update: &Value, request: &RequestItem) -> Outcome {
    let aws = holding(request, &written(update));
    Requests::new(
        aws_sdk_dynamodb::Client::new(&aws.sdk_config()),
        "vrf".into(),
    )
    .load(REQUEST_ID)
    .await
    .unwrap()
    .unwrap()
    .outcome()
    .unwrap()
    .unwrap()
}

fn is_close(update: &Value) -> bool {
    update["UpdateExpression"] == "REMOVE #open"
}

#[tokio::test]
async fn a_due_request_gets_a_value_whose_proof_verifies() {
    let request = request();
    let aws = holding(&request, &json!({ "failed_fulfill_attempts": 2 }))
        .with_key()
        .always("UpdateItem", done());
    let reply = run(&aws).await.unwrap();

    let get = aws.sent_once("GetItem");
    assert_eq!(get["Key"], json!({ "key_set": "vrf", "epoch": 1 }));
    let read = aws.sent_once("GetSecretValue");
    let public_key = hex::encode(secret_key().public_key().as_bytes());
    assert_eq!(
        read,
        json!({ "SecretId": "arn:key", "VersionStage": keys::label(&public_key) })
    );

    let [fulfil, close] = aws.sent("UpdateItem").try_into().unwrap();
    assert!(is_close(&close));
    assert_eq!(written(&fulfil)["failed_fulfill_attempts"], 2);
    assert_eq!(written(&fulfil)["fulfill_attempts"], 3);
    assert_eq!(written(&fulfil)["expiration"], request.expiration);
    let Outcome::Fulfilled { at, bundle } = outcome_after(&fulfil, &request).await else {
        panic!("expected a value");
    };
    let verified = bundle.verify_with_key(&secret_key().public_key()).unwrap();
    assert_eq!(verified.terms, request.terms().unwrap());
    assert_eq!(reply, value(&verified.value.to_string()));
    assert!(request.fulfill_time_expected.unwrap() <= at);
    assert_eq!(
        serde_json::to_value(&reply).unwrap(),
        json!({ "request_id": REQUEST_ID, "value": verified.value.to_string() })
    );
}

#[tokio::test]
async fn the_same_request_has_the_same_value_in_every_run() {
    let request = request();
    let mut replies = Vec::new();
    for _ in 0..2 {
        let aws = holding(&request, &json!({}))
            .with_key()
            .always("UpdateItem", done());
        replies.push(run(&aws).await.unwrap());
    }
    assert_eq!(replies[0], replies[1]);
}

#[tokio::test]
async fn a_fulfilled_request_keeps_its_value_and_only_leaves_the_index() {
    let aws = due(&json!({ "vrf_value": 4 })).on("UpdateItem", done());
    assert_eq!(run(&aws).await.unwrap(), value("4"));
    assert_eq!(aws.operations(), ["Query", "UpdateItem"]);
    assert!(is_close(&aws.sent_once("UpdateItem")));
}

#[tokio::test]
async fn an_expired_request_gets_no_value() {
    let aws = due(&json!({
        "expired_time": seconds_from_now(-1).to_string(),
        "expired_reason": "KeyInvalid",
    }));
    let error = run(&aws).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("RequestClosed", false));
    assert_eq!(aws.operations(), ["Query"]);
}

#[tokio::test]
async fn an_unknown_request_is_an_error() {
    let aws = FakeAws::new().on("Query", items(&[]));
    let error = run(&aws).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("RequestNotFound", false)
    );
}

#[tokio::test]
async fn nothing_is_proved_or_written_before_the_due_time() {
    let mut early = request();
    early.fulfill_time_expected = Some(seconds_from_now(5));
    let aws = holding(&early, &json!({}));
    let error = run(&aws).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("RequestNotDue", true));
    assert_eq!(aws.operations(), ["Query"]);
}

#[tokio::test]
async fn a_run_that_is_a_moment_early_waits_for_the_due_time() {
    let mut soon = request();
    let in_a_moment = Timestamp::now() + SignedDuration::from_millis(400);
    soon.fulfill_time_expected = Some(in_a_moment.into());
    let aws = holding(&soon, &json!({}))
        .with_key()
        .always("UpdateItem", done());
    run(&aws).await.unwrap();
    let outcome = outcome_after(&aws.sent("UpdateItem")[0], &soon).await;
    let Outcome::Fulfilled { at, .. } = outcome else {
        panic!("expected a value");
    };
    assert!(soon.fulfill_time_expected.unwrap() <= at, "{at}");
}

#[tokio::test]
async fn nothing_is_proved_or_written_before_the_target_height_was_seen() {
    let mut high = request();
    high.fulfill_time_expected = None;
    high.target_height = Some(100);
    for observed in [json!({}), json!({ "observed_height": 99 })] {
        let aws = holding(&high, &observed);
        let error = run(&aws).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("RequestNotDue", true));
        assert_eq!(aws.operations(), ["Query"]);
    }
    let aws = holding(&high, &json!({ "observed_height": 100 }))
        .with_key()
        .always("UpdateItem", done());
    run(&aws).await.unwrap();
}

/// Asserts that the run failed so, and that this failure was counted once.
async fn assert_counted(aws: FakeAws, rate: &str, code: &str, retryable: bool) {
    let aws = aws.on("UpdateItem", done());
    let error = run_with(&aws, rate).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), (code, retryable));
    let update = aws.sent_once("UpdateItem");
    assert_eq!(
        written(&update),
        json!({ "failed_fulfill_attempts": 3, "last_error": code })
    );
    assert_eq!(update["ExpressionAttributeValues"][":seen"], 2);
}

#[tokio::test]
async fn a_simulated_failure_is_counted_and_touches_no_key() {
    let aws = due(&json!({ "failed_fulfill_attempts": 2 }));
    assert_counted(aws.clone(), "1", "SimulatedFailure", true).await;
    assert_eq!(aws.operations(), ["Query", "UpdateItem"]);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_a_failure_that_is_counted() {
    let stranger = SecretKey::from_bytes(Suite::Edwards25519Sha512Tai, &[8; 32]).unwrap();
    let key = || secret("v1", &keys::write(&secret_key()));
    let published = || item(&epoch(1));
    for (published, secret, code, retryable) in [
        (published(), secret("v1", "garbage"), "KeyInvalid", false),
        (
            published(),
            secret("v1", &keys::write(&stranger)),
            "KeyInvalid",
            false,
        ),
        (done(), key(), "KeyInvalid", false),
        (
            published(),
            refusal(400, "ResourceNotFoundException"),
            "KeyUnavailable",
            true,
        ),
        (
            published(),
            refusal(400, "AccessDeniedException"),
            "KeyUnavailable",
            true,
        ),
        (published(), Reply::NoConnection, "KeyUnavailable", true),
        (
            refusal(400, "ThrottlingException"),
            key(),
            "StoreUnavailable",
            true,
        ),
    ] {
        let aws = due(&json!({ "failed_fulfill_attempts": 2 }))
            .on("GetItem", published)
            .on("GetSecretValue", secret);
        assert_counted(aws, "0", code, retryable).await;
    }
}

#[tokio::test]
async fn a_failure_that_cannot_be_counted_is_still_the_failure_that_is_told() {
    let aws = due(&json!({})).on("UpdateItem", refusal(500, "InternalServerError"));
    let error = run_with(&aws, "1").await.unwrap_err();
    assert_eq!(error.code(), "SimulatedFailure");
}

#[tokio::test]
async fn a_run_that_lost_the_race_returns_the_value_that_was_written() {
    let aws = due(&json!({}))
        .with_key()
        .on("UpdateItem", condition_failed())
        .on(
            "Query",
            items(&[stored(&request()), fulfilment(&json!({ "vrf_value": 5 }))]),
        )
        .on("UpdateItem", done());
    assert_eq!(run(&aws).await.unwrap(), value("5"));
    let [fulfil, close] = aws.sent("UpdateItem").try_into().unwrap();
    assert!(is_close(&close) && !is_close(&fulfil));
}

#[tokio::test]
async fn a_request_that_expired_during_the_run_gets_no_value() {
    let expired = json!({
        "expired_time": seconds_from_now(0).to_string(),
        "expired_reason": "FulfilmentStalled",
    });
    let aws = due(&json!({}))
        .with_key()
        .on("UpdateItem", condition_failed())
        .on("Query", items(&[stored(&request()), fulfilment(&expired)]));
    let error = run(&aws).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("RequestClosed", false));
}

#[tokio::test]
async fn a_value_that_could_not_be_written_is_a_failure_worth_another_run() {
    let aws = due(&json!({})).with_key().on(
        "UpdateItem",
        refusal(400, "ProvisionedThroughputExceededException"),
    );
    let error = run(&aws).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
}

#[tokio::test]
async fn a_request_that_contradicts_itself_is_not_proved() {
    let mut torn = request();
    torn.target_height = Some(1);
    let aws = holding(
        &torn,
        &json!({ "failed_fulfill_attempts": 2, "observed_height": 1 }),
    );
    assert_counted(aws, "0", "RecordInvalid", false).await;
}

#[tokio::test]
async fn the_key_of_an_epoch_is_read_once_by_a_function_that_stays_alive() {
    let aws = FakeAws::new()
        .always(
            "Query",
            items(&[stored(&request()), fulfilment(&json!({}))]),
        )
        .always("GetItem", item(&epoch(1)))
        .always("GetSecretValue", secret("v1", &keys::write(&secret_key())))
        .always("UpdateItem", done());
    let fulfiller = fulfiller(&aws, "0").unwrap();
    for _ in 0..3 {
        let event = serde_json::from_value(json!({ "request_id": REQUEST_ID })).unwrap();
        fulfiller.handle(event, "invocation").await.unwrap();
    }
    assert_eq!(aws.sent("GetSecretValue").len(), 1);
}

#[test]
fn a_failure_rate_that_is_no_probability_is_refused() {
    for rate in ["-0.1", "1.1", "NaN", "often"] {
        let error = fulfiller(&FakeAws::new(), rate).err().unwrap();
        assert_eq!(error.code(), "ConfigInvalid");
        assert!(
            error.to_string().contains("a number from 0 to 1"),
            "{error}"
        );
    }
}
