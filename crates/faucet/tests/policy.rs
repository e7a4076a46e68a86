//! What a policy may hold, and what is said about one that may not be.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use offchain_codes::Coded;
use offchain_faucet::{Captcha, IntakePolicy, PayoutPolicy, ProofOfWork, Provider};
use serde_json::{Value, json};

fn intake() -> Value {
    json!({
        "amount": "1000000",
        "symbol": "TEST",
        "decimals": 6,
        "origins": ["https://example.org", "http://localhost:8080"],
        "trusted_proxies": 1,
        "throttle": {"per_minute": 10, "burst": 5},
        "address_cooldown_seconds": 86400,
        "source": {"claims": 5, "window_seconds": 86400},
        "daily_budget": "100000000",
        "claim_deadline_seconds": 3600,
        "wait_seconds": 15,
        "captcha": {
            "provider": "turnstile",
            "site_key": "site",
            "hosts": ["example.org"],
            "action": "claim",
            "verify_url": null
        },
        "proof_of_work": {"bits": 18, "valid_seconds": 300},
        "retention_days": 30,
        "send": true,
        "limits": true
    })
}

fn payout() -> Value {
    json!({
        "batch": 50,
        "in_flight": 4,
        "confirmations": 1,
        "attempts": 3,
        "bump_seconds": 60,
        "lease_seconds": 60,
        "settle_deadline_seconds": 3600,
        "low_balance": "100000000",
        "amount": "1000000",
        "retention_days": 30,
        "decimals": 6
    })
}

/// The policy with something else at this pointer.
fn with(mut policy: Value, pointer: &str, value: Value) -> Value {
    *policy.pointer_mut(pointer).unwrap() = value;
    policy
}

fn read_intake(json: &Value) -> Result<IntakePolicy, String> {
    json.to_string().parse::<IntakePolicy>().map_err(|error| {
        assert_eq!((error.code(), error.retryable()), ("ConfigInvalid", false));
        error.to_string()
    })
}

fn read_payout(json: &Value) -> Result<PayoutPolicy, String> {
    json.to_string()
        .parse::<PayoutPolicy>()
        .map_err(|error| error.to_string())
}

#[test]
fn a_policy_is_read_and_written() {
    let policy = read_intake(&intake()).unwrap();
    assert_eq!(
        (policy.amount, policy.daily_budget),
        (1_000_000, 100_000_000)
    );
    assert_eq!((policy.throttle.per_minute, policy.throttle.burst), (10, 5));
    let captcha = Captcha {
        provider: Provider::Turnstile,
        site_key: "site".to_owned(),
        hosts: vec!["example.org".to_owned()],
        action: Some("claim".to_owned()),
        verify_url: None,
    };
    assert_eq!(policy.captcha, Some(captcha));
    let proof_of_work = ProofOfWork {
        bits: 18,
        valid_seconds: 300,
    };
    assert_eq!(policy.proof_of_work, Some(proof_of_work));
    assert_eq!(serde_json::to_value(&policy).unwrap(), intake());

    let policy = read_payout(&payout()).unwrap();
    assert_eq!((policy.batch, policy.low_balance), (50, 100_000_000));
    assert_eq!(serde_json::to_value(&policy).unwrap(), payout());
}

#[test]
fn a_policy_may_do_without_much() {
    for (pointer, value) in [
        ("/captcha", json!(null)),
        ("/captcha/action", json!(null)),
        (
            "/captcha/verify_url",
            json!("http://localhost:9/siteverify"),
        ),
        ("/captcha/hosts", json!(["127.0.0.1", "testkey.google.com"])),
        ("/proof_of_work", json!(null)),
        ("/origins", json!([])),
        ("/origins", json!(["*"])),
        ("/origins", json!(["http://[::1]:80"])),
        ("/trusted_proxies", json!(0)),
        ("/address_cooldown_seconds", json!(0)),
        ("/wait_seconds", json!(0)),
        ("/decimals", json!(0)),
        ("/decimals", json!(36)),
        ("/daily_budget", json!("1000000")),
        ("/daily_budget", json!("9".repeat(38))),
        ("/send", json!(false)),
        ("/limits", json!(false)),
    ] {
        let json = with(intake(), pointer, value);
        let policy = read_intake(&json).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), json);
    }
    for (pointer, value) in [
        ("/batch", json!(1)),
        ("/batch", json!(90)),
        ("/low_balance", json!("0")),
    ] {
        assert!(read_payout(&with(payout(), pointer, value)).is_ok());
    }
}

/// The names of the members of every object, as pointers.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let members = value.as_object().into_iter().flatten();
    members
        .flat_map(|(name, value)| {
            let pointer = format!("{at}/{name}");
            let mut all = pointers(value, &pointer);
            all.push(pointer);
            all
        })
        .collect()
}

#[test]
fn every_member_is_there_and_no_other() {
    let refused = |json: &Value, is_intake: bool| {
        if is_intake {
            read_intake(json).unwrap_err()
        } else {
            read_payout(json).unwrap_err()
        }
    };
    for (policy, is_intake) in [(intake(), true), (payout(), false)] {
        for pointer in pointers(&policy, "") {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let mut less = policy.clone();
            let object = less.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            object.remove(name).unwrap();
            let error = refused(&less, is_intake);
            let missing = format!("expected a policy in JSON: missing field `{name}`");
            assert!(error.starts_with(&missing), "{error}");

            let mut more = policy.clone();
            more.pointer_mut(parent).unwrap()["other"] = json!(1);
            let error = refused(&more, is_intake);
            assert!(error.contains("unknown field `other`"), "{error}");
        }
        for json in [
            json!(null),
            json!(7),
            json!("x"),
            json!([]),
            json!([policy]),
        ] {
            let error = refused(&json, is_intake);
            assert!(error.contains("expected an object"), "{error}");
        }
    }
}

#[test]
fn an_array_is_no_object() {
    let values = |pointer: &str| {
        let intake = intake();
        let object = intake
            .pointer(pointer)
            .unwrap()
            .as_object()
            .unwrap()
            .clone();
        object
            .into_iter()
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
    };
    for pointer in ["/throttle", "/source", "/captcha", "/proof_of_work"] {
        let json = with(intake(), pointer, json!(values(pointer)));
        let error = read_intake(&json).unwrap_err();
        assert!(error.contains("expected an object"), "{error}");
    }
    // In the order in which they are declared.
    let source = with(intake(), "/source", json!([5, 86400]));
    assert!(read_intake(&source).is_err());
    let work = with(intake(), "/proof_of_work", json!([18, 300]));
    assert!(read_intake(&work).is_err());
    let array = r#"[50,4,1,3,60,60,3600,"100","1",30,6]"#;
    assert!(array.parse::<PayoutPolicy>().is_err());
}

#[test]
fn a_sum_is_text_with_one_spelling() {
    for sum in [
        json!(1_000_000),
        json!(1.5),
        json!(null),
        json!(""),
        json!("+1"),
        json!("-1"),
        json!("01"),
        json!("1.0"),
        json!("1e6"),
        json!(" 1"),
        json!("1_000"),
        json!("0x1"),
        json!("1".repeat(39)),
        json!("9".repeat(40)),
    ] {
        for pointer in ["/amount", "/daily_budget"] {
            let error = read_intake(&with(intake(), pointer, sum.clone())).unwrap_err();
            assert!(error.starts_with("expected a policy in JSON: "), "{error}");
        }
        for pointer in ["/amount", "/low_balance"] {
            assert!(read_payout(&with(payout(), pointer, sum.clone())).is_err());
        }
    }
    let error = read_intake(&with(intake(), "/amount", json!("+1"))).unwrap_err();
    let expected = "expected a sum of at most 38 digits in text, such as \"1000000\"";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_error_names_the_member_of_an_intake_policy() {
    const POSITIVE: &str = "a whole number from 1";
    const SUM: &str = "a sum greater than 0";
    const DAYS: &str = "a whole number of days from 1 to 3650";
    const SECONDS: &str = "a whole number of seconds from 1 to 315360000, which is ten years";
    const NO_OR_SECONDS: &str = "a whole number of seconds from 0 to 315360000, which is ten years";
    const ORIGINS: &str =
        "`*`, or origins such as https://example.org, in lower case and without a path";
    const HOSTS: &str = "one host or more, such as example.org, without a port";
    let much = 315_360_001_u64;
    let long = "T".repeat(33);
    for (pointer, value, expected) in [
        ("/amount", json!("0"), SUM),
        ("/symbol", json!(""), "a text of 1 to 32 characters"),
        ("/symbol", json!(long), "a text of 1 to 32 characters"),
        ("/decimals", json!(37), "a whole number from 0 to 36"),
        ("/origins", json!([""]), ORIGINS),
        ("/origins", json!(["example.org"]), ORIGINS),
        ("/origins", json!(["https://"]), ORIGINS),
        ("/origins", json!(["https://example.org/"]), ORIGINS),
        ("/origins", json!(["https://Example.org"]), ORIGINS),
        ("/origins", json!(["https://*.example.org"]), ORIGINS),
        ("/origins", json!(["*", "null"]), ORIGINS),
        ("/throttle/per_minute", json!(0), POSITIVE),
        ("/throttle/burst", json!(0), POSITIVE),
        ("/address_cooldown_seconds", json!(much), NO_OR_SECONDS),
        ("/source/claims", json!(0), POSITIVE),
        ("/source/window_seconds", json!(0), SECONDS),
        ("/source/window_seconds", json!(much), SECONDS),
        (
            "/daily_budget",
            json!("999999"),
            "a sum of at least `amount`",
        ),
        ("/claim_deadline_seconds", json!(0), SECONDS),
        ("/claim_deadline_seconds", json!(u64::MAX), SECONDS),
        (
            "/wait_seconds",
            json!(26),
            "a whole number of seconds from 0 to 25",
        ),
        ("/retention_days", json!(0), DAYS),
        ("/retention_days", json!(3651), DAYS),
        (
            "/captcha/site_key",
            json!(""),
            "the public key that the provider gave for the site",
        ),
        ("/captcha/hosts", json!([]), HOSTS),
        ("/captcha/hosts", json!([""]), HOSTS),
        (
            "/captcha/hosts",
            json!(["example.org", "example.org:80"]),
            HOSTS,
        ),
        ("/captcha/hosts", json!(["https://example.org"]), HOSTS),
        ("/captcha/hosts", json!(["*"]), HOSTS),
        (
            "/captcha/action",
            json!(""),
            "null or a text that is not empty",
        ),
        (
            "/captcha/provider",
            json!("hcaptcha"),
            "null, as hcaptcha knows no actions,",
        ),
        (
            "/captcha/verify_url",
            json!("localhost"),
            "null or a URL of HTTP",
        ),
        (
            "/proof_of_work/bits",
            json!(0),
            "a whole number from 1 to 32",
        ),
        (
            "/proof_of_work/bits",
            json!(33),
            "a whole number from 1 to 32",
        ),
        ("/proof_of_work/valid_seconds", json!(0), SECONDS),
    ] {
        let path = match pointer {
            "/captcha/provider" => "captcha.action".to_owned(),
            _ => pointer[1..].replace('/', "."),
        };
        let json = with(intake(), pointer, value);
        let expected = format!("expected {expected} in `{path}`");
        assert_eq!(read_intake(&json), Err(expected));
    }
    // What another program changed is checked as what it wrote is.
    let mut policy = read_intake(&intake()).unwrap();
    assert!(policy.check().is_ok());
    policy.throttle.burst = 0;
    assert!(policy.check().is_err());
}

#[test]
fn an_error_names_the_member_of_a_payout_policy() {
    const POSITIVE: &str = "a whole number from 1";
    const DAYS: &str = "a whole number of days from 1 to 3650";
    const SECONDS: &str = "a whole number of seconds from 1 to 315360000, which is ten years";
    for (member, value, expected) in [
        ("batch", json!(0), "a whole number from 1 to 90"),
        ("batch", json!(91), "a whole number from 1 to 90"),
        ("in_flight", json!(0), POSITIVE),
        ("confirmations", json!(0), POSITIVE),
        ("attempts", json!(0), POSITIVE),
        ("bump_seconds", json!(0), SECONDS),
        ("lease_seconds", json!(0), SECONDS),
        ("settle_deadline_seconds", json!(0), SECONDS),
        ("settle_deadline_seconds", json!(315_360_001), SECONDS),
        ("amount", json!("0"), "a sum greater than 0"),
        ("retention_days", json!(0), DAYS),
        ("decimals", json!(37), "a whole number from 0 to 36"),
    ] {
        let json = with(payout(), &format!("/{member}"), value);
        let expected = format!("expected {expected} in `{member}`");
        assert_eq!(read_payout(&json), Err(expected));
    }
    let mut policy = read_payout(&payout()).unwrap();
    assert!(policy.check().is_ok());
    policy.batch = 0;
    assert!(policy.check().is_err());
}

#[test]
fn a_number_that_fits_nothing_is_refused() {
    for (pointer, value) in [
        ("/trusted_proxies", json!(256)),
        ("/trusted_proxies", json!(-1)),
        ("/decimals", json!("6")),
        ("/wait_seconds", json!(1.5)),
        ("/send", json!("true")),
        ("/captcha/provider", json!("Turnstile")),
        ("/captcha/provider", json!("other")),
        ("/captcha/hosts", json!("example.org")),
        ("/captcha/action", json!(7)),
        ("/proof_of_work/bits", json!(256)),
    ] {
        let error = read_intake(&with(intake(), pointer, value)).unwrap_err();
        assert!(error.starts_with("expected a policy in JSON: "), "{error}");
    }
}
