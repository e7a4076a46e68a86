//! Captcha and proof of work.

use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{Challenge, ProofOfWork, challenge};
use offchain_store::test_util::{Reply, cancelled, refusal, secret};

use super::super::siteverify::Siteverify;
use super::*;

const KEY: [u8; 32] = [0x11; 32];

const WORK: ProofOfWork = ProofOfWork {
    bits: 4,
    valid_seconds: 300,
};

/// The intake's secret, with a captcha's secret where there is one.
fn keys(captcha: bool) -> Reply {
    let mut text = json!({ "challenge_key": hex::encode(KEY) });
    if captcha {
        text["captcha_secret"] = "hush".into();
    }
    secret("v1", &text.to_string())
}

fn claim_with(response: &str) -> Value {
    post(&json!({ "address": "addr1", "response": response }).to_string())
}

/// A policy that demands a captcha, whose provider is asked at `url`.
fn captcha(url: &str) -> Value {
    json!({
        "captcha": {
            "provider": "turnstile",
            "site_key": "site",
            "hosts": ["faucet.example"],
            "action": "claim",
            "verify_url": url,
        },
        // A captcha is enough.
        "proof_of_work": WORK,
    })
}

const SOLVED: &str = r#"{"success":true,"hostname":"faucet.example","action":"claim"}"#;

#[tokio::test]
async fn a_solved_captcha_lets_a_claim_through() {
    let provider = Siteverify::answering("200 OK", SOLVED);
    let aws = taking().on("GetSecretValue", keys(true));
    let seen = ask(&aws, &captcha(&provider.url), claim_with("to ken")).await;
    assert_eq!(seen.status, 202);
    let form = provider.asked().unwrap();
    assert_eq!(form, "secret=hush&response=to+ken&remoteip=192.0.2.1");
    // The throttle goes before, so that nobody can make the faucet ask without end.
    assert_eq!(
        aws.operations(),
        [
            "UpdateItem",
            "UpdateItem",
            "GetSecretValue",
            "TransactWriteItems",
            "SendMessage"
        ]
    );
    // No challenge is used up.
    let parts = aws.sent_once("TransactWriteItems")["TransactItems"].clone();
    assert_eq!(parts.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn without_a_captcha_s_response_nobody_is_asked() {
    let provider = Siteverify::answering("200 OK", SOLVED);
    for event in [post(CLAIM), claim_with("")] {
        let aws = unthrottled();
        let seen = ask(&aws, &captcha(&provider.url), event).await;
        assert_problem(&seen, 400, "CaptchaMissing");
        assert_eq!(aws.operations(), ["UpdateItem", "UpdateItem"]);
    }
    assert!(provider.is_idle());
}

#[tokio::test]
async fn a_captcha_that_does_not_count_is_refused_and_nothing_written() {
    for (answer, says) in [
        (
            r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#,
            "timeout-or-duplicate",
        ),
        (
            r#"{"success":true,"hostname":"evil.example","action":"claim"}"#,
            "another host",
        ),
        (r#"{"success":true,"action":"claim"}"#, "another host"),
        (
            r#"{"success":true,"hostname":"faucet.example","action":"login"}"#,
            "another action",
        ),
        (
            r#"{"success":true,"hostname":"faucet.example"}"#,
            "another action",
        ),
    ] {
        let provider = Siteverify::answering("200 OK", answer);
        let aws = unthrottled().on("GetSecretValue", keys(true));
        let seen = ask(&aws, &captcha(&provider.url), claim_with("token")).await;
        assert_problem(&seen, 403, "CaptchaFailed");
        let message = seen.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{message}");
        assert_eq!(seen.header("retry-after"), None);
    }
}

#[tokio::test]
async fn a_provider_that_does_not_judge_lets_nobody_through() {
    for (status, answer) in [
        ("500 Internal Server Error", SOLVED),
        ("302 Found", SOLVED),
        ("200 OK", ""),
        ("200 OK", "<html>"),
        ("200 OK", "[true]"),
        ("200 OK", r#"{"success":"true"}"#),
        ("200 OK", r#"{"hostname":"faucet.example"}"#),
        (
            "200 OK",
            r#"{"success":false,"error-codes":["invalid-input-secret"]}"#,
        ),
    ] {
        let provider = Siteverify::answering(status, answer);
        let aws = unthrottled().on("GetSecretValue", keys(true));
        let seen = ask(&aws, &captcha(&provider.url), claim_with("token")).await;
        assert_problem(&seen, 503, "CaptchaUnavailable");
        assert_eq!(seen.header("retry-after"), Some("1"), "{status} {answer}");
    }
    // Nobody listens at a port that was given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let aws = unthrottled().on("GetSecretValue", keys(true));
    let seen = ask(&aws, &captcha(&url), claim_with("token")).await;
    assert_problem(&seen, 503, "CaptchaUnavailable");
}

#[tokio::test]
async fn without_the_captcha_s_secret_nobody_is_let_through() {
    let provider = Siteverify::answering("200 OK", SOLVED);
    for (reply, status, code) in [
        (keys(false), 500, "SecretInvalid"),
        (secret("v1", "hush"), 500, "SecretInvalid"),
        (
            refusal(400, "ResourceNotFoundException"),
            503,
            "SecretUnavailable",
        ),
        (Reply::NoConnection, 503, "SecretUnavailable"),
        (
            refusal(400, "AccessDeniedException"),
            500,
            "SecretUnavailable",
        ),
    ] {
        let aws = unthrottled().always("GetSecretValue", reply);
        let seen = ask(&aws, &captcha(&provider.url), claim_with("token")).await;
        assert_problem(&seen, status, code);
    }
    assert!(provider.is_idle());
}

/// A policy that demands work.
fn work() -> Value {
    json!({ "proof_of_work": WORK })
}

/// A response to a challenge for this address that solves it.
fn solved(challenge: &str, address: &str) -> String {
    (0..)
        .map(|nonce| format!("{challenge}:{nonce}"))
        .find(|response| {
            challenge::verify(&KEY, address, response, Timestamp::now(), &WORK).is_ok()
        })
        .unwrap()
}

#[tokio::test]
async fn a_challenge_that_is_solved_lets_a_claim_through_once() {
    let aws = taking().on("GetSecretValue", keys(false));
    let mut event = event("GET /v1/challenge");
    event["queryStringParameters"] = json!({ "address": "ADDR1" });
    let seen = ask(&aws, &work(), event).await;
    assert_eq!(seen.status, 200);
    assert_eq!(aws.operations(), ["GetSecretValue"]);
    let issued = seen.json();
    assert_eq!(issued["bits"], 4);
    let expires: Timestamp = issued["expires_time"].as_str().unwrap().parse().unwrap();
    let left = expires.duration_since(Timestamp::now()).as_secs();
    assert!((290..=300).contains(&left), "{left}");

    let text = issued["challenge"].as_str().unwrap();
    let response = solved(text, "addr1");
    let aws = taking().on("GetSecretValue", keys(false));
    assert_eq!(ask(&aws, &work(), claim_with(&response)).await.status, 202);
    let used = &aws.sent_once("TransactWriteItems")["TransactItems"][4]["Put"];
    let id = text.split('.').nth(3).unwrap();
    assert_eq!(used["Item"]["limit"], format!("challenge#{id}"));

    // The table says that it was used.
    let mut reasons = vec![("None", None); 4];
    reasons.push(("ConditionalCheckFailed", None));
    let aws = unthrottled()
        .on("GetSecretValue", keys(false))
        .on("TransactWriteItems", cancelled(&reasons));
    let seen = ask(&aws, &work(), claim_with(&response)).await;
    assert_problem(&seen, 403, "ChallengeInvalid");
    assert!(aws.sent("SendMessage").is_empty());
}

#[tokio::test]
async fn a_challenge_that_does_not_count_is_refused_and_nothing_written() {
    let issue = |key: &[u8], address: &str, age: i64, bits: u8| {
        let now = Timestamp::now() - SignedDuration::from_secs(age);
        let work = ProofOfWork { bits, ..WORK };
        Challenge::issue(key, address, now, &work, [7; 16]).text
    };
    let unsolved = (0..)
        .map(|nonce| format!("{}:{nonce}", issue(&KEY, "addr1", 0, 4)))
        .find(|response| {
            challenge::verify(&KEY, "addr1", response, Timestamp::now(), &WORK).is_err()
        })
        .unwrap();
    for response in [
        String::new(),
        "1".to_owned(),
        unsolved,
        // Of another address, of another faucet, too old, too easy.
        solved(&issue(&KEY, "addr2", 0, 4), "addr2"),
        format!("{}:1", issue(&[0x22; 32], "addr1", 0, 4)),
        format!("{}:1", issue(&KEY, "addr1", 301, 4)),
        format!("{}:1", issue(&KEY, "addr1", 0, 3)),
    ] {
        let aws = unthrottled().on("GetSecretValue", keys(false));
        let seen = ask(&aws, &work(), claim_with(&response)).await;
        assert_problem(&seen, 403, "ChallengeInvalid");
    }
}

#[tokio::test]
async fn a_challenge_is_for_an_address_of_the_chain() {
    for address in [None, Some(""), Some("cosmos1xyz")] {
        let mut event = event("GET /v1/challenge");
        if let Some(address) = address {
            event["queryStringParameters"] = json!({ "address": address });
        }
        let seen = ask(&FakeAws::new(), &work(), event).await;
        assert_problem(&seen, 400, "AddressInvalid");
    }
}

#[tokio::test]
async fn where_no_work_is_demanded_there_are_no_challenges() {
    for members in [json!({}), captcha("http://127.0.0.1:9/")] {
        let mut event = event("GET /v1/challenge");
        event["queryStringParameters"] = json!({ "address": "addr1" });
        let seen = ask(&FakeAws::new(), &members, event).await;
        assert_problem(&seen, 404, "ChallengeNotConfigured");
    }
}
