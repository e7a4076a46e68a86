//! Rotations against a fake AWS.

use offchain_vrf::{SecretKey, Suite};
use serde_json::{Value, json};

use super::*;
use crate::keys::EpochKeys;
use crate::secret::Secret;
use crate::test_util::{
    FakeAws, Reply, answer, condition_failed, done, epoch, items, refusal, secret, secret_key,
};

const ROTATE: Action = Action::Rotate {
    scheduled_time: None,
};
const INVOCATION: &str = "0d9c2b5e-6a47-4c1b-8f00-1f2e3d4c5b6a";

async fn run(aws: &FakeAws, action: Action) -> Result<Newest, RotateError> {
    let sdk = aws.sdk_config();
    let rotator = Rotator::<SecretKey>::new(
        KeyEpochs::vrf(aws_sdk_dynamodb::Client::new(&sdk), "keys".into()),
        Client::new(&sdk),
        "arn:key".into(),
        Suite::P256Sha256Tai,
        SignedDuration::from_secs(60),
    );
    rotator.run(action, INVOCATION).await
}

async fn reconcile(aws: &FakeAws) -> Result<Newest, RotateError> {
    run(aws, Action::Reconcile).await
}

/// A key that no sample epoch has; as many as there are numbers.
fn key(number: u8) -> SecretKey {
    SecretKey::from_bytes(Suite::P256Sha256Tai, &[number; 32]).unwrap()
}

fn public(key: &SecretKey) -> String {
    KeyKind::public_key(key)
}

fn label_of(key: &SecretKey) -> String {
    label(&public(key))
}

/// The item of an epoch of this key.
fn epoch_of(number: u64, key: &SecretKey) -> Value {
    let mut item = epoch(number);
    item["public_key"] = public(key).into();
    item
}

/// A fake whose newest epoch is this one, of the sample key.
fn newest(number: u64) -> FakeAws {
    FakeAws::new().on("Query", items(&[epoch(number)]))
}

/// The reply with a version's text and its labels.
fn current(version: &str, key: &SecretKey, labels: &[&str]) -> Reply {
    let text = write(key);
    let text = text.as_str();
    answer(json!({ "VersionId": version, "SecretString": text, "VersionStages": labels }))
}

fn current_is_other() -> Reply {
    current("v2", &key(9), &["AWSCURRENT"])
}

/// The reply that lists the versions of the secret with their labels.
fn versions(versions: &Value) -> Reply {
    answer(json!({ "VersionIdsToStages": versions }))
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
    let reply = reconcile(&aws).await.unwrap();
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
    let made: SecretKey = parse(put["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(made.suite(), Suite::P256Sha256Tai);
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v1"), &label_of(&made))
    );

    let published = aws.sent_once("PutItem");
    assert_eq!(
        published["ConditionExpression"],
        "attribute_not_exists(key_set)"
    );
    let item = &published["Item"];
    assert_eq!(item["key_set"], "vrf");
    assert_eq!(item["epoch"], 1);
    assert_eq!(item["suite"], "ECVRF-P256-SHA256-TAI");
    assert_eq!(item["public_key"], public(&made));
    assert_eq!(item["active_from"], item["published_at"]);

    // The reply is kept in Terraform's state: it holds public data only.
    let mut expected = item.clone();
    expected["published"] = true.into();
    expected.as_object_mut().unwrap().remove("key_set");
    assert_eq!(serde_json::to_value(&reply).unwrap(), expected);
}

#[tokio::test]
async fn two_runs_that_make_the_first_key_at_once_publish_one_key_once() {
    let other = label_of(&key(9));
    let aws = FakeAws::new()
        .on("Query", items(&[]))
        .on("GetSecretValue", refusal(400, "ResourceNotFoundException"))
        // The other run has put its key there since, and labels and publishes it.
        .on("PutSecretValue", refusal(400, "ResourceExistsException"))
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", other] })),
        )
        .on("PutItem", condition_failed())
        .on("Query", items(&[epoch_of(1, &key(9))]));
    let reply = reconcile(&aws).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 1));
    assert_eq!(reply.epoch.public_key, public(&key(9)));
    // The version has one name in every run: that is how the later one is refused.
    let token = &aws.sent_once("PutSecretValue")["ClientRequestToken"];
    assert_eq!(token, FIRST_VERSION);
    assert!((32..=64).contains(&FIRST_VERSION.len()));
}

#[tokio::test]
async fn a_first_key_whose_run_died_before_it_was_published_is_published_by_the_next() {
    let aws = FakeAws::new()
        .on("Query", items(&[]))
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&json!({ "v2": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = reconcile(&aws).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (true, 1));
    assert_eq!(reply.epoch.public_key, public(&key(9)));
    assert_eq!(reply.epoch.active_from, reply.epoch.published_at);
}

#[tokio::test]
async fn a_key_that_is_published_already_changes_nothing() {
    let own = label_of(&secret_key());
    let aws = newest(3).on(
        "GetSecretValue",
        current("v3", &secret_key(), &["AWSCURRENT", &own]),
    );
    let reply = reconcile(&aws).await.unwrap();
    assert!(!reply.published);
    assert_eq!(reply.epoch.epoch, 3);
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
    let read = aws.sent_once("GetSecretValue");
    assert_eq!(read["VersionStage"], "AWSCURRENT");
}

#[tokio::test]
async fn a_published_key_that_lost_its_label_gets_it_back() {
    let own = label_of(&secret_key());
    for (held, from) in [
        (json!({ "v3": ["AWSCURRENT"], "v2": ["AWSPREVIOUS"] }), None),
        (
            json!({ "v3": ["AWSCURRENT"], "v2": ["AWSPREVIOUS", own] }),
            Some("v2"),
        ),
    ] {
        let aws = newest(3)
            .on(
                "GetSecretValue",
                current("v3", &secret_key(), &["AWSCURRENT"]),
            )
            .on("DescribeSecret", versions(&held))
            .on("UpdateSecretVersionStage", done());
        let reply = reconcile(&aws).await.unwrap();
        assert_eq!((reply.published, reply.epoch.epoch), (false, 3));
        assert_eq!(
            aws.sent_once("UpdateSecretVersionStage"),
            moved(from, Some("v3"), &own)
        );
    }
}

#[tokio::test]
async fn a_key_that_somebody_else_put_there_becomes_the_next_epoch_after_a_delay() {
    let aws = newest(3)
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&json!({ "v2": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = reconcile(&aws).await.unwrap();
    assert!(reply.published);
    assert_eq!(reply.epoch.epoch, 4);
    assert_eq!(reply.epoch.public_key, public(&key(9)));
    let delay = reply
        .epoch
        .active_from
        .timestamp()
        .duration_since(reply.epoch.published_at.timestamp());
    assert_eq!(delay, SignedDuration::from_secs(60));
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v2"), &label_of(&key(9)))
    );
}

#[tokio::test]
async fn a_rotation_writes_one_version_however_often_it_is_delivered() {
    let own = label_of(&secret_key());
    let first = newest(1)
        .on(
            "DescribeSecret",
            versions(&json!({ "v1": ["AWSCURRENT", own] })),
        )
        .on("PutSecretValue", answer(json!({ "VersionId": INVOCATION })))
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ INVOCATION: ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let reply = run(&first, ROTATE).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (true, 2));
    let put = first.sent_once("PutSecretValue");
    assert_eq!(put["ClientRequestToken"], INVOCATION);

    // The version is there: whatever the first run died of, none is written.
    let versions = versions(&json!({ "v1": ["AWSPREVIOUS"], INVOCATION: ["AWSCURRENT"] }));
    let second = newest(1)
        .always("DescribeSecret", versions)
        .on(
            "GetSecretValue",
            current(INVOCATION, &key(9), &["AWSCURRENT"]),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    run(&second, ROTATE).await.unwrap();
    assert!(second.sent("PutSecretValue").is_empty());
}

#[tokio::test]
async fn a_scheduled_rotation_is_one_whatever_delivers_it() {
    let rotate: Action = serde_json::from_value(
        json!({ "action": "rotate", "scheduled_time": "2026-01-31T12:00:00Z" }),
    )
    .unwrap();
    let token = scheduled_id("rotate", "2026-01-31T12:00:00Z".parse().unwrap());
    // The version that an earlier delivery wrote is there.
    let written = current(&token, &key(9), &["AWSCURRENT"]);
    let versions = versions(&json!({ "v1": ["AWSPREVIOUS"], token: ["AWSCURRENT"] }));
    let aws = newest(1)
        .always("DescribeSecret", versions)
        .on("GetSecretValue", written)
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    run(&aws, rotate).await.unwrap();
    assert!(aws.sent("PutSecretValue").is_empty());
}

#[tokio::test]
async fn a_rotation_whose_version_lost_its_labels_since_writes_no_other() {
    let own = label_of(&secret_key());
    let aws = newest(3)
        .on(
            "DescribeSecret",
            versions(&json!({ "v3": ["AWSCURRENT", own] })),
        )
        .on("PutSecretValue", refusal(400, "ResourceExistsException"))
        .on(
            "GetSecretValue",
            current("v3", &secret_key(), &["AWSCURRENT", &own]),
        );
    let reply = run(&aws, ROTATE).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 3));
}

/// Two rotations put the keys A and B there, one right after the other. The
/// first reads A as current; the second reads B, and labels it before the
/// first has published A.
#[tokio::test]
async fn of_two_rotations_at_once_each_key_keeps_its_own_version() {
    let (a, b) = (key(0xa), key(0xb));
    let (label_a, label_b) = (label_of(&a), label_of(&b));
    let first = newest(1)
        .on("GetSecretValue", current("va", &a, &["AWSCURRENT"]))
        .on("DescribeSecret", versions(&json!({ "va": ["AWSCURRENT"] })))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    let second = newest(1)
        .on("GetSecretValue", current("vb", &b, &["AWSCURRENT"]))
        .on(
            "DescribeSecret",
            versions(&json!({ "va": ["AWSPREVIOUS", label_a], "vb": ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", condition_failed())
        .on("Query", items(&[epoch_of(2, &a), epoch(1)]));
    let reply = reconcile(&first).await.unwrap();
    assert_eq!(reply.epoch.public_key, public(&a));
    let error = reconcile(&second).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("EpochRaced", true));
    assert_eq!(
        first.sent("UpdateSecretVersionStage"),
        [moved(None, Some("va"), &label_a)]
    );
    // Nothing is taken from the version of A, whoever publishes first.
    assert_eq!(
        second.sent("UpdateSecretVersionStage"),
        [moved(None, Some("vb"), &label_b)]
    );

    // Run again, the second publishes its key as well.
    let again = FakeAws::new()
        .on("Query", items(&[epoch_of(2, &a), epoch(1)]))
        .on(
            "GetSecretValue",
            current("vb", &b, &["AWSCURRENT", &label_b]),
        )
        .on(
            "DescribeSecret",
            versions(&json!({ "va": ["AWSPREVIOUS", label_a], "vb": ["AWSCURRENT", label_b] })),
        )
        .on("PutItem", done());
    let reply = reconcile(&again).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (true, 3));
    assert!(again.sent("UpdateSecretVersionStage").is_empty());

    // Whoever needs the key of epoch 2 asks for the version of A.
    let reader = FakeAws::new()
        .on("GetItem", crate::test_util::item(&epoch_of(2, &a)))
        .on("GetSecretValue", secret("va", &write(&a)));
    let sdk = reader.sdk_config();
    let keys = EpochKeys::<SecretKey>::new(
        KeyEpochs::vrf(aws_sdk_dynamodb::Client::new(&sdk), "keys".into()),
        Secret::new(
            Client::new(&sdk),
            "arn:key".into(),
            std::time::Duration::ZERO,
        ),
    );
    let read = keys.secret_key(2).await.unwrap();
    assert_eq!(public(&read), public(&a));
    assert_eq!(
        reader.sent_once("GetSecretValue")["VersionStage"],
        label_a.as_str()
    );
}

#[tokio::test]
async fn a_key_that_another_run_may_be_about_to_publish_keeps_its_label() {
    let (a, b) = (key(0xa), key(0xb));
    let aws = newest(1)
        .on("GetSecretValue", current("vb", &b, &["AWSCURRENT"]))
        .on(
            "DescribeSecret",
            versions(&json!({ "va": ["AWSPREVIOUS", label_of(&a)], "vb": ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    assert!(reconcile(&aws).await.unwrap().published);
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("vb"), &label_of(&b))
    );
}

#[tokio::test]
async fn a_secret_that_is_no_key_is_refused_and_not_quoted() {
    let aws = newest(1).on("GetSecretValue", secret("v2", "hush"));
    let error = reconcile(&aws).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("KeyInvalid", false));
    assert!(!chain(&error).contains("hush"));
    assert_eq!(aws.operations(), ["Query", "GetSecretValue"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_now_is_unavailable() {
    for (reply, retryable) in [
        (Reply::NoConnection, true),
        (refusal(400, "AccessDeniedException"), false),
    ] {
        let aws = newest(1).on("GetSecretValue", reply);
        let error = reconcile(&aws).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("KeyUnavailable", retryable)
        );
    }
}

#[tokio::test]
async fn a_label_that_somebody_put_on_another_version_is_moved() {
    let own = label_of(&key(9));
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "stray": [own], "v2": ["AWSCURRENT"] })),
        )
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    reconcile(&aws).await.unwrap();
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(Some("stray"), Some("v2"), &own)
    );
}

#[tokio::test]
async fn a_label_that_a_dead_run_left_on_the_version_stays() {
    let own = label_of(&key(9));
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", own] })),
        )
        .on("PutItem", done());
    assert!(reconcile(&aws).await.unwrap().published);
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
    let error = reconcile(&aws).await.unwrap_err();
    assert_eq!(error.code(), "KeyUnavailable");
    assert!(aws.sent("PutItem").is_empty());
}

#[tokio::test]
async fn a_run_that_finds_its_own_key_published_meanwhile_agrees() {
    let own = label_of(&key(9));
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on(
            "DescribeSecret",
            versions(&json!({ "v2": ["AWSCURRENT", own] })),
        )
        .on("PutItem", condition_failed())
        .on("Query", items(&[epoch_of(2, &key(9))]));
    let reply = reconcile(&aws).await.unwrap();
    assert_eq!((reply.published, reply.epoch.epoch), (false, 2));
}

/// The epochs 1 to 16 of the keys 1 to 16, newest first.
fn sixteen() -> Vec<Value> {
    (1..=KEPT_EPOCHS)
        .rev()
        .map(|number| epoch_of(number.into(), &key(number)))
        .collect()
}

/// Their versions, and that of the key 99, which is current.
fn labelled_versions() -> Value {
    let mut held = json!({ "v99": ["AWSCURRENT"] });
    for number in 1..=KEPT_EPOCHS {
        held[format!("v{number}")] = json!([label_of(&key(number))]);
    }
    let last = held[format!("v{KEPT_EPOCHS}")].as_array_mut().unwrap();
    last.push("AWSPREVIOUS".into());
    held
}

fn with_sixteen(held: &Value) -> FakeAws {
    FakeAws::new()
        .on("Query", items(&sixteen()))
        .on("GetSecretValue", current("v99", &key(99), &["AWSCURRENT"]))
        .on("DescribeSecret", versions(held))
        .always("UpdateSecretVersionStage", done())
}

#[tokio::test]
async fn the_label_of_the_epoch_that_falls_out_is_removed() {
    let aws = with_sixteen(&labelled_versions()).on("PutItem", done());
    assert_eq!(reconcile(&aws).await.unwrap().epoch.epoch, 17);
    assert_eq!(aws.sent_once("Query")["Limit"], KEPT_EPOCHS);
    assert_eq!(
        aws.operations()[3..],
        [
            "UpdateSecretVersionStage",
            "PutItem",
            "UpdateSecretVersionStage"
        ]
    );
    assert_eq!(
        aws.sent("UpdateSecretVersionStage"),
        [
            moved(None, Some("v99"), &label_of(&key(99))),
            moved(Some("v1"), None, &label_of(&key(1))),
        ]
    );
    // While both are there; with AWSCURRENT, AWSPREVIOUS and AWSPENDING of a
    // rotation by hand.
    assert!(usize::from(KEPT_EPOCHS) + 1 + 3 <= LABELS);
}

#[tokio::test]
async fn a_key_that_was_published_again_since_keeps_its_label() {
    // Somebody made the key of epoch 1 current again.
    let mut latest = sixteen();
    latest[0] = epoch_of(16, &key(1));
    let mut held = labelled_versions();
    held["v1"]
        .as_array_mut()
        .unwrap()
        .push("AWSPREVIOUS".into());
    held["v16"] = json!(["other-label"]);
    let aws = FakeAws::new()
        .on("Query", items(&latest))
        .on("GetSecretValue", current("v99", &key(99), &["AWSCURRENT"]))
        .on("DescribeSecret", versions(&held))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    reconcile(&aws).await.unwrap();
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v99"), &label_of(&key(99)))
    );
}

#[tokio::test]
async fn labels_of_dead_runs_are_removed_and_none_of_others() {
    let dead = label_of(&key(50));
    let held = json!({
        "v1": ["AWSPREVIOUS", label_of(&secret_key())],
        "dead": [dead, "somebodys-label"],
        "v2": ["AWSCURRENT"],
    });
    let aws = newest(1)
        .on("GetSecretValue", current_is_other())
        .on("DescribeSecret", versions(&held))
        .always("UpdateSecretVersionStage", done())
        .on("PutItem", done());
    reconcile(&aws).await.unwrap();
    assert_eq!(
        aws.sent("UpdateSecretVersionStage"),
        [
            moved(None, Some("v2"), &label_of(&key(9))),
            moved(Some("dead"), None, &dead),
        ]
    );
}

#[tokio::test]
async fn labels_of_dead_runs_make_room_where_the_secret_is_full() {
    let mut held = labelled_versions();
    for number in [51, 52] {
        held[format!("v{number}")] = json!([label_of(&key(number))]);
    }
    let aws = with_sixteen(&held).on("PutItem", done());
    reconcile(&aws).await.unwrap();
    let mut removed = aws.sent("UpdateSecretVersionStage");
    // The label is set last, when there is room.
    assert_eq!(
        removed.pop().unwrap(),
        moved(None, Some("v99"), &label_of(&key(99)))
    );
    removed.sort_by_key(|call| call["RemoveFromVersionId"].to_string());
    let expected = [("v1", 1), ("v51", 51), ("v52", 52)];
    assert_eq!(
        removed,
        expected.map(|(version, number)| moved(Some(version), None, &label_of(&key(number))))
    );
    assert_eq!(aws.operations().last().unwrap(), "PutItem");
}

#[tokio::test]
async fn a_label_that_cannot_be_removed_does_not_fail_what_is_published() {
    let aws = FakeAws::new()
        .on("Query", items(&sixteen()))
        .on("GetSecretValue", current("v99", &key(99), &["AWSCURRENT"]))
        .on("DescribeSecret", versions(&labelled_versions()))
        .on("UpdateSecretVersionStage", done())
        .on("PutItem", done())
        .on(
            "UpdateSecretVersionStage",
            refusal(500, "InternalServiceError"),
        );
    assert!(reconcile(&aws).await.unwrap().published);
}

#[tokio::test]
async fn a_run_that_lost_the_race_removes_nothing() {
    let aws = with_sixteen(&labelled_versions())
        .on("PutItem", condition_failed())
        .on("Query", items(&[epoch_of(17, &key(98))]));
    let error = reconcile(&aws).await.unwrap_err();
    assert_eq!(error.code(), "EpochRaced");
    assert_eq!(
        aws.sent_once("UpdateSecretVersionStage"),
        moved(None, Some("v99"), &label_of(&key(99)))
    );
}

#[test]
fn a_label_fits_for_every_kind_of_key() {
    // The AWS reference of UpdateSecretVersionStage: 1 to 256 characters.
    for suite in Suite::ALL {
        let made = <SecretKey as KeyKind>::generate(suite);
        assert!(label_of(&made).len() <= 256);
    }
}
