//! Bundles: golden files, and that nothing in them can change.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use offchain_vrf::{
    Bounds, Due, InvalidBundle, ProofBundle, RequestTerms, SecretKey, Suite, UnreadableBundle,
};
use proptest::prelude::*;
use serde_json::Value;

const GOLDEN: [&str; 2] = [
    include_str!("golden/edwards25519.json"),
    include_str!("golden/p256.json"),
];

fn golden_terms() -> [RequestTerms; 2] {
    let dice = RequestTerms {
        request_id: "dice-1".parse().unwrap(),
        bounds: Bounds::new(1, 6).unwrap(),
        due: Due::At("2030-01-31T12:00:00.000Z".parse().unwrap()),
        seed: Some("c0ffee".parse().unwrap()),
    };
    let lottery = RequestTerms {
        request_id: "lottery_2".parse().unwrap(),
        bounds: Bounds::new(i64::MIN, i64::MAX).unwrap(),
        due: Due::Height(1_000_000),
        seed: None,
    };
    [dice, lottery]
}

fn secret_key(suite: Suite) -> SecretKey {
    SecretKey::from_bytes(suite, &[0x42; 32]).unwrap()
}

fn passes(json: &Value) -> bool {
    ProofBundle::from_json(&json.to_string()).is_ok_and(|bundle| bundle.verify().is_ok())
}

#[test]
fn golden_bundles() {
    for ((suite, terms), golden) in Suite::ALL.into_iter().zip(golden_terms()).zip(GOLDEN) {
        let key = secret_key(suite);
        let bundle = ProofBundle::prove(&key, &terms).unwrap();
        assert_eq!(format!("{bundle}\n"), golden);

        let bundle = ProofBundle::from_json(golden).unwrap();
        let verified = bundle.verify_with_key(&key.public_key()).unwrap();
        assert_eq!(bundle.verify(), Ok(verified.clone()));
        assert_eq!(verified.terms, terms);
        assert_eq!(verified.value, bundle.value);
        assert_eq!(verified.output.as_bytes(), bundle.beta);
    }
}

#[test]
fn another_key_is_refused() {
    let bundle = ProofBundle::from_json(GOLDEN[0]).unwrap();
    for suite in Suite::ALL {
        let key = SecretKey::from_bytes(suite, &[0x43; 32]).unwrap();
        let error = bundle.verify_with_key(&key.public_key()).unwrap_err();
        assert!(matches!(error, InvalidBundle::OtherKey { .. }));
        assert!(error.to_string().contains(&key.public_key().to_string()));
    }
}

/// Each of these breaks the form.
#[test]
fn unreadable_bundles() {
    let not_json = ["", "{", "not JSON", &GOLDEN[0][..100], &GOLDEN[0].repeat(2)];
    for text in not_json {
        let error = ProofBundle::from_json(text).unwrap_err();
        assert!(matches!(error, UnreadableBundle::NotJson(_)), "{error}");
    }
    let changes = [
        ("version", vec!["2", "0", "\"1\"", "1.0", "null"]),
        ("request_id", vec!["\"\"", "\"a b\"", "1", "null"]),
        ("suite", vec!["\"ECVRF\"", "\"ecvrf-p256-sha256-tai\"", "3"]),
        (
            "public_key",
            vec!["\"AB\"", "\"abc\"", "\"0x00\"", "\"é\"", "[1]"],
        ),
        ("alpha", vec!["\"AB\"", "\"abc\"", "\" ab\"", "null"]),
        ("proof", vec!["\"AB\"", "\"abc\"", "\"zz\""]),
        ("beta", vec!["\"AB\"", "\"abc\"", "\"ab \""]),
        (
            "min",
            vec!["1", "\"\"", "\"+1\"", "\"01\"", "\"-0\"", "\"1.0\""],
        ),
        (
            "max",
            vec!["6", "\"006\"", "\"6 \"", "\"9223372036854775808\""],
        ),
        ("value", vec!["1", "\"1e0\"", "\"0x1\"", "\"-00\""]),
        (
            "due_time",
            vec!["null", "\"2030-01-31T12:00:00Z\"", "1896091200000"],
        ),
        ("due_time", vec!["\"2030-01-31T12:00:00.000+00:00\""]),
        ("due_height", vec!["null", "1", "\"1\""]),
        ("seed", vec!["null", "\"\"", "\"C0FFEE\"", "\"c0f\""]),
        ("extra", vec!["null", "\"\""]),
    ];
    for (name, texts) in changes {
        for text in texts {
            let mut json: Value = serde_json::from_str(GOLDEN[0]).unwrap();
            json[name] = serde_json::from_str(text).unwrap();
            let error = ProofBundle::from_json(&json.to_string()).unwrap_err();
            assert!(matches!(error, UnreadableBundle::WrongShape(_)), "{error}");
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }
    for text in ["[]", "1", "null", "{}"] {
        assert!(ProofBundle::from_json(text).is_err());
    }
    let twice = GOLDEN[0].replacen("\"min\"", "\"max\": \"6\", \"min\"", 1);
    assert!(ProofBundle::from_json(&twice).is_err());
}

#[test]
fn every_field_is_required() {
    for golden in GOLDEN {
        let json: Value = serde_json::from_str(golden).unwrap();
        for name in json.as_object().unwrap().keys() {
            let mut less = json.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(!passes(&less), "{name}");
        }
    }
    let mut json: Value = serde_json::from_str(GOLDEN[1]).unwrap();
    json.as_object_mut().unwrap().remove("due_height");
    let error = ProofBundle::from_json(&json.to_string()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("either `due_time` or `due_height`")
    );
}

/// Each of these keeps the form and breaks the truth.
#[test]
fn invalid_bundles() {
    let bundle = ProofBundle::from_json(GOLDEN[0]).unwrap();
    let refused = |change: &dyn Fn(&mut ProofBundle)| {
        let mut changed = bundle.clone();
        change(&mut changed);
        let changed = ProofBundle::from_json(&changed.to_string()).unwrap();
        let error = changed.verify().unwrap_err();
        assert!(error.to_string().starts_with("expected"), "{error}");
        error
    };
    use InvalidBundle as Error;
    assert!(matches!(refused(&|b| b.min = 6), Error::Bounds(_)));
    assert!(matches!(refused(&|b| b.max = 7), Error::Alpha { .. }));
    assert!(matches!(refused(&|b| b.seed = None), Error::Alpha { .. }));
    assert!(matches!(
        refused(&|b| b.due = Due::Height(1)),
        Error::Alpha { .. }
    ));
    assert!(matches!(refused(&|b| b.alpha.clear()), Error::Alpha { .. }));
    assert!(matches!(
        refused(&|b| b.value = b.value % 6 + 1),
        Error::Value { .. }
    ));
    assert!(matches!(refused(&|b| b.beta.clear()), Error::Beta { .. }));
    assert!(matches!(refused(&|b| b.beta[0] ^= 1), Error::Beta { .. }));
    assert!(matches!(refused(&|b| b.proof.clear()), Error::Proof(_)));
    assert!(matches!(refused(&|b| b.proof[79] = 0xff), Error::Proof(_)));
    assert!(matches!(refused(&|b| b.proof[40] ^= 1), Error::Verify(_)));
    assert!(matches!(
        refused(&|b| b.public_key.clear()),
        Error::PublicKey(_)
    ));
    assert!(matches!(
        refused(&|b| b.public_key.fill(0)),
        Error::PublicKey(_)
    ));
    assert!(matches!(
        refused(&|b| b.suite = Suite::P256Sha256Tai),
        Error::PublicKey(_)
    ));
    let other = secret_key(Suite::P256Sha256Tai).public_key();
    let other = other.as_bytes()[1..].to_vec();
    refused(&|b| b.public_key.clone_from(&other));
    let key = SecretKey::from_bytes(bundle.suite, &[1; 32]).unwrap();
    let key = key.public_key().as_bytes().to_vec();
    assert!(matches!(
        refused(&|b| b.public_key.clone_from(&key)),
        Error::Verify(_)
    ));
}

fn suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

prop_compose! {
    fn terms()(
        request_id in "[A-Za-z0-9_-]{1,80}",
        min in i64::MIN..i64::MAX,
        span in 1..=u64::MAX,
        due in prop_oneof![
            (0..=253_402_207_200_999_i64).prop_map(|ms| {
                let time = jiff::Timestamp::from_millisecond(ms).unwrap();
                Due::At(time.try_into().unwrap())
            }),
            any::<u64>().prop_map(Due::Height),
        ],
        seed in prop::option::of(prop::collection::vec(any::<u8>(), 1..=64)),
    ) -> RequestTerms {
        let max = min.saturating_add_unsigned(span);
        RequestTerms {
            request_id: request_id.parse().unwrap(),
            bounds: Bounds::new(min, max).unwrap(),
            due,
            seed: seed.map(|bytes| bytes.try_into().unwrap()),
        }
    }
}

prop_compose! {
    fn bundle()(suite in suite(), secret: [u8; 32], terms in terms()) -> ProofBundle {
        let secret = SecretKey::from_bytes(suite, &secret).unwrap_or_else(|_| secret_key(suite));
        ProofBundle::prove(&secret, &terms).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bundles_verify_and_read_back(bundle in bundle()) {
        let verified = bundle.verify().unwrap();
        prop_assert_eq!(verified.value, bundle.value);
        prop_assert_eq!(ProofBundle::from_json(&bundle.to_string()).unwrap(), bundle.clone());
        let compact = serde_json::to_string(&bundle).unwrap();
        prop_assert_eq!(ProofBundle::from_json(&compact).unwrap(), bundle);
    }

    /// Puts each field of one bundle into another, and changes one character
    /// of each to another digit.
    #[test]
    fn no_field_can_change(ours in bundle(), theirs in bundle(), at: prop::sample::Index) {
        let ours = serde_json::to_value(&ours).unwrap();
        let theirs = serde_json::to_value(&theirs).unwrap();
        prop_assert!(passes(&ours));
        for (name, value) in theirs.as_object().unwrap() {
            let mut changed = ours.clone();
            changed[name] = value.clone();
            prop_assert_eq!(passes(&changed), changed == ours, "{} of another", name);
        }
        for (name, value) in ours.as_object().unwrap() {
            let Some(text) = value.as_str() else { continue };
            let mut text = text.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = if text[at] == b'1' { b'2' } else { b'1' };
            let mut changed = ours.clone();
            changed[name] = String::from_utf8(text).unwrap().into();
            prop_assert!(!passes(&changed), "{} at {}", name, at);
            for text in [format!("0{value}"), format!("{value} "), String::new()] {
                changed[name] = text.into();
                prop_assert!(!passes(&changed), "{}", name);
            }
        }
    }
}
