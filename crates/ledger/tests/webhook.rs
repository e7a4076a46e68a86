//! Webhooks: signed as other languages sign them, and refused for every reason
//! there is.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use offchain_codes::Coded;
use offchain_ledger::{
    Headers, Keys, SigningKey, VerifyingKey, WebhookError, WebhookKeyError, sign, verify, webhook,
};
use proptest::prelude::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIME: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
/// The secret and the signature that the reference libraries test with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
/// As PyNaCl 1.6.2 has them, for the seed 000102…1f.
const SEED: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PAIR: &str =
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const ED_SIGNED: &str =
    "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ==";

fn keys(secrets: &[&str]) -> Keys {
    let keys = secrets.iter().map(|secret| secret.parse().unwrap());
    Keys::new(keys.collect()).unwrap()
}

fn headers(signature: &str) -> Headers<'_> {
    Headers {
        id: Some(ID),
        timestamp: Some("1614265330"),
        signature: Some(signature),
    }
}

fn check(key: &str, headers: Headers<'_>) -> Result<i64, WebhookError> {
    verify(
        &[key.parse().unwrap()],
        headers,
        BODY,
        TIME,
        webhook::TOLERANCE,
    )
}

#[test]
fn a_webhook_is_signed_as_in_other_languages() {
    assert_eq!(sign(&keys(&[SECRET]), ID, TIME, BODY), SIGNED);
    assert_eq!(check(SECRET, headers(SIGNED)), Ok(TIME));
    for secret in [SEED, PAIR] {
        assert_eq!(sign(&keys(&[secret]), ID, TIME, BODY), ED_SIGNED);
        let key: SigningKey = secret.parse().unwrap();
        assert_eq!(*key.to_text(), SEED);
        assert_eq!(*key.verifying_key().to_text(), PUBLIC);
    }
    assert_eq!(check(PUBLIC, headers(ED_SIGNED)), Ok(TIME));
}

#[test]
fn each_key_signs_and_any_is_believed() {
    let header = sign(&keys(&[SEED, SECRET]), ID, TIME, BODY);
    assert_eq!(header, format!("{ED_SIGNED} {SIGNED}"));
    for key in [SECRET, PUBLIC] {
        assert_eq!(check(key, headers(&header)), Ok(TIME));
    }
    // Signatures of other versions and keys stand beside it.
    let others = format!(
        "v2,AAAA v1 v1, v1,AAAA v1a,AAAA v1,* {SIGNED} v1,{}",
        "A".repeat(43)
    );
    assert_eq!(check(SECRET, headers(&others)), Ok(TIME));
    let other: VerifyingKey = PUBLIC.parse().unwrap();
    let keys = [other, SECRET.parse().unwrap()];
    let judged = verify(&keys, headers(SIGNED), BODY, TIME, webhook::TOLERANCE);
    assert_eq!(judged, Ok(TIME));
    let judged = verify(&[], headers(SIGNED), BODY, TIME, webhook::TOLERANCE);
    assert_eq!(judged, Err(WebhookError::SignatureInvalid));
}

#[test]
fn what_is_not_signed_is_refused() {
    let whole = headers(SIGNED);
    for headers in [
        Headers { id: None, ..whole },
        Headers {
            timestamp: None,
            ..whole
        },
        Headers {
            signature: None,
            ..whole
        },
        Headers::default(),
    ] {
        assert_eq!(check(SECRET, headers), Err(WebhookError::SignatureMissing));
    }
    for timestamp in [
        "",
        "now",
        "-1",
        "+1614265330",
        "01614265330",
        " 1614265330",
        "1614265330.0",
        "9223372036854775808",
    ] {
        let headers = Headers {
            timestamp: Some(timestamp),
            ..whole
        };
        assert_eq!(
            check(SECRET, headers),
            Err(WebhookError::TimestampInvalid),
            "{timestamp}"
        );
    }
    let (other, long) = (SIGNED.replace("g0h", "g0i"), "m".repeat(257));
    let version = SIGNED.replace("v1,", "v1a,");
    let many = format!("{}{SIGNED}", "v2,AAAA ".repeat(32));
    let padded = format!("{SIGNED} v2,{}", "A".repeat(4096));
    for headers in [
        headers(""),
        headers(&other),
        headers(&version),
        headers(&many),
        headers(&padded),
        headers(SIGNED.trim_end_matches('=')),
        headers(ED_SIGNED),
        Headers {
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJel"),
            ..whole
        },
        Headers {
            id: Some(""),
            ..whole
        },
        Headers {
            id: Some("a.b"),
            ..whole
        },
        Headers {
            id: Some(&long),
            ..whole
        },
        Headers {
            timestamp: Some("1614265331"),
            ..whole
        },
    ] {
        assert_eq!(check(SECRET, headers), Err(WebhookError::SignatureInvalid));
    }
    assert_eq!(
        check(PUBLIC, headers(SIGNED)),
        Err(WebhookError::SignatureInvalid)
    );
    // So many signatures are looked at.
    let most = format!("{}{SIGNED}", "v2,AAAA ".repeat(31));
    assert_eq!(check(SECRET, headers(&most)), Ok(TIME));
    // A dot could stand in the id or before the body.
    let moved = Headers {
        id: Some("msg"),
        timestamp: Some("1"),
        signature: Some(SIGNED),
    };
    let judged = verify(
        &[SECRET.parse().unwrap()],
        moved,
        BODY,
        1,
        webhook::TOLERANCE,
    );
    assert_eq!(judged, Err(WebhookError::SignatureInvalid));
}

#[test]
fn what_is_old_or_from_the_future_is_refused() {
    let key: VerifyingKey = SECRET.parse().unwrap();
    let judge = |now, tolerance| {
        verify(
            std::slice::from_ref(&key),
            headers(SIGNED),
            BODY,
            now,
            Duration::from_secs(tolerance),
        )
    };
    for (now, tolerance, found) in [
        (TIME, 0, None),
        (TIME + 300, 300, None),
        (TIME - 300, 300, None),
        (TIME + 301, 300, Some(301)),
        (TIME - 301, 300, Some(301)),
        (TIME + 1, 0, Some(1)),
        (i64::MAX, 300, Some(9_223_372_035_240_510_477)),
        (i64::MIN, 300, Some(9_223_372_038_469_041_138)),
    ] {
        let expected = found.map_or(Ok(TIME), |found| {
            Err(WebhookError::TimestampStale { tolerance, found })
        });
        assert_eq!(judge(now, tolerance), expected);
    }
}

#[test]
fn errors_have_codes() {
    for (error, code, message) in [
        (
            WebhookError::SignatureMissing,
            "SignatureMissing",
            "expected the headers webhook-id, webhook-timestamp and webhook-signature",
        ),
        (
            WebhookError::TimestampInvalid,
            "TimestampInvalid",
            "expected Unix seconds in webhook-timestamp",
        ),
        (
            WebhookError::TimestampStale {
                tolerance: 300,
                found: 301,
            },
            "TimestampStale",
            "expected a webhook-timestamp at most 300 s from now, found 301 s",
        ),
        (
            WebhookError::SignatureInvalid,
            "SignatureInvalid",
            "expected a webhook-signature by a key of this receiver",
        ),
    ] {
        assert_eq!((error.code(), error.to_string().as_str()), (code, message));
        assert!(!error.retryable());
    }
}

#[test]
fn keys_are_read() {
    let base64 = |length: usize| STANDARD.encode(vec![7; length]);
    for (text, signs) in [
        (format!("whsec_{}", base64(24)), true),
        (format!("whsec_{}", base64(64)), true),
        (format!("whsec_{}", base64(23)), false),
        (format!("whsec_{}", base64(65)), false),
        (format!("whsec_{}", base64(25).trim_end_matches('=')), false),
        (base64(32), false),
        (format!("whsk_{}", base64(32)), true),
        (format!("whsk_{}", base64(31)), false),
        // The public half is that of another seed.
        (format!("whsk_{}", base64(64)), false),
        (PUBLIC.to_owned(), false),
        (format!("whsec_{}*", base64(24)), false),
        (String::new(), false),
    ] {
        let read = text.parse::<SigningKey>();
        assert_eq!(read.is_ok(), signs, "{text}");
        if let Err(error) = read {
            assert_eq!(error, WebhookKeyError::Signing);
            assert!(!error.to_string().contains("BwcH"));
        }
    }
    let low = {
        let mut low = [0; 32];
        low[0] = 1;
        STANDARD.encode(low)
    };
    for (text, verifies) in [
        (SECRET.to_owned(), true),
        (PUBLIC.to_owned(), true),
        (SEED.to_owned(), false),
        (format!("whpk_{low}"), false),
        // A y beyond the field.
        (format!("whpk_{}", STANDARD.encode([0xff; 32])), false),
        (format!("whpk_{}", base64(31)), false),
    ] {
        let read = text.parse::<VerifyingKey>();
        assert_eq!(read.is_ok(), verifies, "{text}");
    }
}

#[test]
fn a_secret_holds_keys() {
    let text = format!(r#"{{"secrets":["{SECRET}","{SEED}"]}}"#);
    let keys = Keys::parse(&text).unwrap();
    assert_eq!(*keys.to_json(), text);
    let spaced = text.replace(':', " : ").replace('/', "\\/");
    assert_eq!(*spaced.parse::<Keys>().unwrap().to_json(), text);
    let verifying: Vec<_> = keys
        .verifying()
        .iter()
        .map(|key| key.to_text().to_string())
        .collect();
    assert_eq!(verifying, [SECRET, PUBLIC]);

    let new = SigningKey::shared(&[1; 32]);
    assert_eq!(
        *new.to_text(),
        "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    );
    assert_eq!(Keys::new(vec![]).unwrap_err(), WebhookKeyError::Number(0));
    assert_eq!(Keys::new(vec![new]).unwrap().as_slice().len(), 1);

    let secrets = |count: usize| {
        format!(
            r#"{{"secrets":[{}]}}"#,
            vec![format!("\"{SECRET}\""); count].join(",")
        )
    };
    assert!(Keys::parse(&secrets(10)).is_ok());
    for (text, error) in [
        (secrets(0), WebhookKeyError::Number(0)),
        (secrets(11), WebhookKeyError::Number(11)),
        (format!(r#"["{SECRET}"]"#), WebhookKeyError::Form),
        (format!(r#"[["{SECRET}"]]"#), WebhookKeyError::Form),
        (
            format!(r#"{{"secrets":"{SECRET}"}}"#),
            WebhookKeyError::Form,
        ),
        (
            format!(r#"{{"secrets":["{SECRET}"],"more":1}}"#),
            WebhookKeyError::Form,
        ),
        (
            format!(r#"{{"secrets":["{SECRET}"],"secrets":[]}}"#),
            WebhookKeyError::Form,
        ),
        (r#"{"secrets":["whsec_"]}"#.into(), WebhookKeyError::Signing),
        (SECRET.into(), WebhookKeyError::Form),
        (String::new(), WebhookKeyError::Form),
    ] {
        let found = Keys::parse(&text).unwrap_err();
        assert_eq!(
            (found, found.code(), found.retryable()),
            (error, "SecretInvalid", false)
        );
        assert!(!found.to_string().contains("MfKQ"));
    }
}

#[test]
fn debug_shows_no_secret() {
    let keys = keys(&[SECRET, SEED]);
    assert_eq!(format!("{keys:?}"), "Keys([whsec_..., whsk_...])");
    assert_eq!(
        format!("{:?}", keys.verifying()),
        format!("[whsec_..., {PUBLIC}]")
    );
}

proptest! {
    #[test]
    fn what_is_signed_is_believed_and_nothing_else(
        random: [u8; 32],
        asymmetric: bool,
        id in "[a-zA-Z0-9_-]{1,64}",
        timestamp in 0..=i64::MAX,
        body in prop::collection::vec(any::<u8>(), 1..64),
        flip: prop::sample::Index,
    ) {
        let key = if asymmetric { SigningKey::secret(&random) } else { SigningKey::shared(&random) };
        let read: SigningKey = key.to_text().parse().unwrap();
        prop_assert_eq!(read.to_text(), key.to_text());
        let verifying: VerifyingKey = key.verifying_key().to_text().parse().unwrap();
        let header = sign(&Keys::new(vec![key]).unwrap(), &id, timestamp, &body);
        let written = timestamp.to_string();
        let headers = Headers { id: Some(&id), timestamp: Some(&written), signature: Some(&header) };
        let judge = |body: &[u8], headers| {
            verify(std::slice::from_ref(&verifying), headers, body, timestamp, Duration::ZERO)
        };
        prop_assert_eq!(judge(&body, headers), Ok(timestamp));
        let mut changed = body.clone();
        changed[flip.index(body.len())] ^= 1;
        prop_assert_eq!(judge(&changed, headers), Err(WebhookError::SignatureInvalid));
        let other = format!("{id}x");
        let other = Headers { id: Some(&other), ..headers };
        prop_assert_eq!(judge(&body, other), Err(WebhookError::SignatureInvalid));
    }

    #[test]
    fn nothing_panics(id: String, timestamp: String, signature: String, now: i64) {
        let key = SECRET.parse().unwrap();
        let headers = Headers { id: Some(&id), timestamp: Some(&timestamp), signature: Some(&signature) };
        let _ = verify(&[key], headers, b"", now, webhook::TOLERANCE);
        let _ = Keys::parse(&signature);
    }
}
