use offchain_codes::Coded;
use offchain_store::test_util::{FakeAws, refusal, secret};

use super::script::key;
use crate::{IntakeKeys, KeyRing};

const KEY: &str =
    r#"{"private_key":"4646464646464646464646464646464646464646464646464646464646464646"}"#;

fn digits() -> String {
    "0123456789abcdef".repeat(4)
}

#[test]
fn the_intake_s_keys_are_read_from_an_object_and_from_nothing_else() {
    let digits = digits();
    let plain = format!(r#"{{"challenge_key":"{digits}"}}"#);
    let keys = IntakeKeys::from_secret(&plain).unwrap();
    assert_eq!(hex::encode(keys.challenge_key.as_slice()), digits);
    assert!(keys.captcha_secret.is_none());

    let both = format!(r#" {{"challenge_key":"{digits}","captcha_secret":"hush"}}"#);
    let keys = IntakeKeys::from_secret(&both).unwrap();
    assert_eq!(keys.captcha_secret.unwrap().as_str(), "hush");

    // An empty secret is none: a provider might take it for one.
    let empty = format!(r#"{{"challenge_key":"{digits}","captcha_secret":""}}"#);
    assert!(
        IntakeKeys::from_secret(&empty)
            .unwrap()
            .captcha_secret
            .is_none()
    );

    for text in [
        String::new(),
        "{}".to_owned(),
        format!(r#"["{digits}","hush"]"#),
        format!(r#"{{"challenge_key":"{}"}}"#, &digits[2..]),
        format!(r#"{{"challenge_key":"{}"}}"#, "g".repeat(64)),
        format!(r#"{{"challenge_key":"{digits}","x":1}}"#),
        r#"{"captcha_secret":"hush"}"#.to_owned(),
    ] {
        assert!(IntakeKeys::from_secret(&text).is_none(), "{text}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let digits = digits();
    let text = format!(r#"{{"challenge_key":"{digits}","captcha_secret":"hush"}}"#);
    let keys = IntakeKeys::from_secret(&text).unwrap();
    assert_eq!(format!("{keys:?}"), "IntakeKeys(redacted)");
    assert_eq!(format!("{:?}", key()), "AccountKey(redacted)");
}

fn ring(aws: &FakeAws) -> KeyRing {
    let client = aws_sdk_secretsmanager::Client::new(&aws.sdk_config());
    KeyRing::new(client, "arn:key".into())
}

#[tokio::test]
async fn the_key_is_read_once_and_remembered() {
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", KEY));
    let ring = ring(&aws);
    for _ in 0..3 {
        let found = ring.key().await.unwrap();
        assert_eq!(found.public_key(), key().public_key());
    }
    let read = aws.sent_once("GetSecretValue");
    assert_eq!(read["SecretId"], "arn:key");
    assert_eq!(read["VersionStage"], "AWSCURRENT");
}

#[tokio::test]
async fn a_secret_without_a_key_is_told_without_its_text() {
    for (text, code) in [
        (r#"{"private_key":"hush"}"#, "KeyInvalid"),
        ("hush", "KeyInvalid"),
    ] {
        let aws = FakeAws::new().always("GetSecretValue", secret("v1", text));
        let error = ring(&aws).key().await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, false));
        let told = format!("{error:?} {}", offchain_codes::chain(&error));
        assert!(!told.contains("hush"), "{told}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_no_key() {
    for (reply, retryable) in [
        (refusal(400, "ResourceNotFoundException"), true),
        (refusal(500, "InternalServiceError"), true),
        (refusal(400, "AccessDeniedException"), false),
    ] {
        let aws = FakeAws::new().on("GetSecretValue", reply);
        let error = ring(&aws).key().await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("SecretUnavailable", retryable)
        );
    }
}
