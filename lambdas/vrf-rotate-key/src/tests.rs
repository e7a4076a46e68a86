//! Runs through the handler, against a fake AWS.

use offchain_store::test_util::{
    FakeAws, Reply, answer, condition_failed, done, epoch, items, refusal, secret, secret_key,
};
use serde_json::{Value, json};

use super::*;

const INVOCATION: &str = "0d9c2b5e-6a47-4c1b-8f00-1f2e3d4c5b6a";

async fn run(aws: &FakeAws, action: &str) -> Result<Newest, RotateError> {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_KEYS_TABLE" => "keys",
            "VRF_KEY_SECRET_ARN" => "arn:key",
            "VRF_SUITE" => "ECVRF-P256-SHA256-TAI",
            "VRF_KEY_ACTIVATION_DELAY_SECONDS" => "60",
            _ => return None,
        };
        Some(value.to_owned())
    });
    KeyRotator::from_env(env, &aws.sdk_config())
        .unwrap()
        .handle(
            serde_json::from_value(json!({ "action": action })).unwrap(),
            INVOCATION,
        )
        .await
}

/// A fake whose newest epoch is this one.
fn newest(number: u64) -> FakeAws {
    FakeAws::new().on("Query", items(&[epoch(number)]))
}

/// The reply that lists the versions of the secret with their labels.
fn versions(versions: &Value) -> Reply {
    answer(json!({ "VersionIdsToStages": versions }))
}

/// The text of a key that no epoch has.
fn other_key() -> (String, String) {
    let key = SecretKey::from_bytes(Suite::P256Sha256Tai, &[9; 32]).unwrap();
    let public_key = hex::encode(key.public_key().as_bytes());
    (vrf_key::write(&key).to_string(), public_key)
}

fn current_is_other() -> Reply {
    secret("v2", &other_key().0)
}

fn moved(from: Option<&str>, to: Option<&str>, label: &str) -> Value {
    let mut call = json!({ "SecretId": "arn:key", "VersionStage": label });
    if let Some(from) = from {
        call["RemoveFromVersionId"] = from.into();
    }
    if let Some(to) = to {
        call["MoveToVersionId"] = to.into();
    }
    call
}

#[tokio::test]
async fn the_first_key_is_made_labelled_and_published_and_active_at_once() {
    let aws = FakeAws::new()
        .on("Query", items(&[]))
        .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
        .on("PutSecretValue", answer(json!({ "VersionId": "v1" })))
        .on("DescribeSecret", versions(&json!({ "v1": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&aws, "reconcile").await.unwrap();
    assert_eq!(
        aws.operations(),
        [
            "Query",
            "GetSecretValue",
            "PutSecretValue",
            "DescribeSecret",
            // A published epoch always has its secret, so the label comes first.
            "UpdateSecretVersionStage",
            "PutItem",
        ]
    );
    let put = aws.sent_once("PutSecretValue");
    let text = put["SecretString"].as_str().unwrap();
    let key = vrf_key::parse(text).unwrap();
    assert_eq!(key.suite(), Suite::P256Sha256Tai);
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v1"), "epoch-1")
    );

    let published = aws.sent_once("PutItem");
    assert_eq!(
        published["ConditionExpression"],
        "attribute_not_exists(key_set)"
    );
    let item = &published["Item"];
    assert_eq!(item["epoch"], 1);
    assert_eq!(item["suite"], "ECVRF-P256-SHA256-TAI");
    assert_eq!(item["public_key"], hex::encode(key.public_key().as_bytes()));
    assert_eq!(item["active_from"], item["published_at"]);

    // The reply is kept in Terraform's state: it holds public data only.
    let mut expected = item.clone();
    expected["published"] = true.into();
    expected.as_object_mut().unwrap().remove("key_set");
    assert_eq!(serde_json::to_value(&reply).unwrap(), expected);
}

#[tokio::test]
async fn of_two_runs_that_make_the_first_key_at_once_the_later_takes_the_earlier_ones() {
    let aws = FakeAws::new()
        .on("Query", items(&[]))
        .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
        .on("PutSecretValue", refusal(400, "ResourceExistsException"))
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", "epoch-1"] })),
        )
        .on("PutItem", done());
    let reply = run(&aws, "reconcile").await.unwrap();
    assert_eq!(reply.epoch.public_key, other_key().1);
    // The version has one name in every run: that is how the later one is refused.
    let token = &aws.sent_once("PutSecretValue")["ClientRequestToken"];
    assert_eq!(token, FIRST_VERSION);
    assert!((32..=64).contains(&FIRST_VERSION.len()));
}

#[tokio::test]
async fn a_key_that_is_published_already_changes_nothing() {
    let text = vrf_key::write(&secret_key());
    let aws = newest(3).on("GetSecretValue", secret("v3", &text));
    let reply = run(&aws, "reconcile").await.unwrap();
    assert!(!reply.published);
    assert_eq!(reply.epoch.epoch, 3);
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
    let read = aws.sent_once("GetSecretValue");
    assert_eq!(read["VersionStage"], "AWSCURRENT");
}

#[tokio::test]
async fn a_key_that_somebody_else_put_there_becomes_the_next_epoch_after_a_delay() {
    let aws = newest(3)
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&json!({ "v2": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&aws, "reconcile").await.unwrap();
    assert!(reply.published);
    assert_eq!(reply.epoch.epoch, 4);
    assert_eq!(reply.epoch.public_key, other_key().1);
    let delay = reply
        .epoch
        .active_from
        .timestamp()
        .duration_since(reply.epoch.published_at.timestamp());
    assert_eq!(delay, SignedDuration::from_secs(60));
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v2"), "epoch-4")
    );
}

#[tokio::test]
async fn a_rotation_writes_one_version_however_often_it_is_delivered() {
    let first = newest(1)
        .on(
            "DescribeSecret",
            versions(&json!({ "v1": ["AWSCURRENT", "epoch-1"] })),
        )
        .on("PutSecretValue", answer(json!({ "VersionId": INVOCATION })))
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ INVOCATION: ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&first, "rotate").await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (true, 2));
    let put = first.sent_once("PutSecretValue");
    assert_eq!(put["ClientRequestToken"], INVOCATION);

    // The version is there: whatever the first run died of, none is written.
    let versions = versions(&json!({ "v1": ["AWSPREVIOUS"], INVOCATION: ["AWSCURRENT"] }));
    let second = newest(1)
        .always("DescribeSecret", versions)
        .on("GetSecretValue", secret(INVOCATION, &other_key().0))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    run(&second, "rotate").await.unwrap();
    assert!(second.sent("PutSecretValue").is_empty());
}

#[tokio::test]
async fn a_rotation_whose_version_lost_its_labels_since_writes_no_other() {
    let text = vrf_key::write(&secret_key());
    let aws = newest(3)
        .on(
            "DescribeSecret",
            versions(&json!({ "v3": ["AWSCURRENT", "epoch-3"] })),
        )
        .on("PutSecretValue", refusal(400, "ResourceExistsException"))
        .on("GetSecretValue", secret("v3", &text));
    let reply = run(&aws, "rotate").await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 3));
}

#[tokio::test]
async fn a_secret_that_is_no_key_is_refused_and_not_quoted() {
    let aws = newest(1).on("GetSecretValue", secret("v2", "hush"));
    let error = run(&aws, "reconcile").await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("KeyInvalid", false));
    assert!(!offchain_codes::chain(&error).contains("hush"));
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_now_is_unavailable() {
    for (reply, retryable) in [
        (Reply::NoConnection, true),
        (refusal(400, "AccessDeniedException"), false),
    ] {
        let aws = newest(1).on("GetSecretValue", reply);
        let error = run(&aws, "reconcile").await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("KeyUnavailable", retryable)
        );
    }
}

#[tokio::test]
async fn a_label_that_a_dead_run_left_on_another_version_is_moved() {
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "stale": ["epoch-2"], "v2": ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    run(&aws, "reconcile").await.unwrap();
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(Some("stale"), Some("v2"), "epoch-2")
    );
}

#[tokio::test]
async fn a_label_that_a_dead_run_left_on_the_right_version_stays() {
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", "epoch-2"] })),
        )
        .on("PutItem", done());
    assert!(run(&aws, "reconcile").await.unwrap().published);
}

#[tokio::test]
async fn a_label_that_cannot_be_set_leaves_the_epoch_unpublished() {
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&json!({ "v2": ["AWSCURRENT"] })))
        .on(
            "UpdateSecretVersionStage",
            refusal(400, "LimitExceededException"),
        );
    let error = run(&aws, "reconcile").await.unwrap_err();
    assert_eq!(error.code(), "KeyUnavailable");
    assert!(aws.sent("PutItem").is_empty());
}

#[tokio::test]
async fn a_run_that_finds_its_own_key_published_meanwhile_agrees() {
    let mut published = epoch(2);
    published["public_key"] = other_key().1.into();
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", "epoch-2"] })),
        )
        .on("PutItem", condition_failed())
        .on("Query", items(&[published]));
    let reply = run(&aws, "reconcile").await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 2));
}

#[tokio::test]
async fn a_run_that_finds_another_key_published_meanwhile_fails_and_may_be_made_again() {
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", "epoch-2"] })),
        )
        .on("PutItem", condition_failed())
        .on("Query", items(&[epoch(2)]));
    let error = run(&aws, "reconcile").await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("EpochRaced", true));
}

#[tokio::test]
async fn labels_never_exceed_what_secrets_manager_takes() {
    let next = KEPT_EPOCHS + 1;
    let aws = newest(KEPT_EPOCHS)
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&json!({ "v2": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done())
        .on(
            "DescribeSecret",
            versions(&json!({ "oldest": ["epoch-1"] })),
        )
        .on("UpdateSecretVersionStage", done());
    run(&aws, "reconcile").await.unwrap();
    assert_eq!(
        aws.sent("UpdateSecretVersionStage"),
        [
            moved(None, Some("v2"), &stage(next)),
            moved(Some("oldest"), None, "epoch-1"),
        ]
    );
    // While both are there; with AWSCURRENT, AWSPREVIOUS and AWSPENDING of a
    // rotation by hand. "AWS Secrets Manager quotas": 20 labels in all.
    assert!(next + 3 <= 20);
}
