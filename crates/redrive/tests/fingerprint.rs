//! That a letter is known again, and never taken for another.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use offchain_codes::Coded;
use offchain_redrive::{Destination, Fingerprint};
use proptest::prelude::*;
use serde_json::{Value, json};

fn of(event: &str) -> Fingerprint {
    Fingerprint::of(None, event)
}

fn queue(name: &str) -> Destination {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
        .parse()
        .unwrap()
}

#[test]
fn a_fingerprint_is_the_digest_that_openssl_makes() {
    // printf '\n{"a":1,"b":[true,null]}' | openssl dgst -sha256
    let expected = "aec46e24dd732074ce5d07e48b4fb25254271c3c515cb5f55ddc57611bf8c676";
    let found = of(r#" { "b" : [ true , null ] , "a" : 1 } "#);
    assert_eq!(found.as_str(), expected);
    assert_eq!(found.short(), &expected[..12]);
    // printf 'arn:aws:sqs:us-east-1:000000000000:a\nhello' | openssl dgst -sha256
    let found = Fingerprint::of(Some(&queue("a")), "hello");
    assert_eq!(
        found.to_string(),
        "204c6e4e4a78e17f4c463b3b12a563042961989e84bc008e915b2a2e79993623"
    );
}

#[test]
fn texts_that_say_the_same_have_the_same_fingerprint() {
    for (one, other) in [
        (r#"{"a":1,"b":2}"#, "{\n\t\"b\": 2,\r\n \"a\": 1}\n"),
        (
            r#"{"a":{"c":[],"b":{}}}"#,
            r#"{ "a" : { "b" : { } , "c" : [ ] } }"#,
        ),
        (r#""\u0041\/\u00e9\n""#, "\"A/é\\u000a\""),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ("[1, 2]", "[1,2]"),
    ] {
        assert_eq!(of(one), of(other), "{one} {other}");
    }
}

#[test]
fn texts_that_say_something_else_have_another() {
    for (one, other) in [
        ("[1,2]", "[2,1]"),
        ("{}", "[]"),
        ("{}", "null"),
        ("", "null"),
        ("1", "\"1\""),
        ("100000000000000000001", "100000000000000000002"),
        (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ("hello", "hello "),
        ("{\"a\":1", "{\"a\": 1"),
        ("1e999", "2e999"),
        ("[1e999, 1]", "[1e999, 2]"),
        (r#""\ud800""#, r#""\ud801""#),
    ] {
        assert_ne!(of(one), of(other), "{one} {other}");
    }
    assert_ne!(
        Fingerprint::of(Some(&queue("a")), "{}"),
        Fingerprint::of(Some(&queue("b")), "{}")
    );
    assert_ne!(Fingerprint::of(Some(&queue("a")), "{}"), of("{}"));
}

#[test]
fn an_event_that_is_nested_deep_has_one() {
    let nested = |depth| format!("{} {}", "[".repeat(depth), "]".repeat(depth));
    let tight = |depth| nested(depth).replace(' ', "");
    assert_eq!(of(&nested(127)), of(&tight(127)));
    assert_ne!(of(&nested(128)), of(&tight(128)));
    of(&nested(200_000));
}

#[test]
fn a_text_that_is_none_is_refused() {
    let good = of("{}").to_string();
    assert_eq!(good.parse::<Fingerprint>().unwrap(), of("{}"));
    for text in [
        "",
        &good[1..],
        &format!("{good}0"),
        &good.replace(&good[..1], "G"),
        &"A".repeat(64),
    ] {
        let error = text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("FingerprintInvalid", false)
        );
        assert_eq!(
            error.to_string(),
            "expected a fingerprint of 64 lower-case hexadecimal digits"
        );
        assert!(serde_json::from_value::<Fingerprint>(json!(text)).is_err());
    }
    let json = serde_json::to_string(&of("{}")).unwrap();
    assert_eq!(
        serde_json::from_str::<Fingerprint>(&json).unwrap(),
        of("{}")
    );
}

/// A value whose numbers every reader writes alike.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a value with its members in reverse, every letter escaped, and white
/// space wherever it may be.
fn spread(value: &Value, to: &mut String) {
    let text = |text: &str, to: &mut String| {
        to.push('"');
        for unit in text.encode_utf16() {
            to.push_str(&format!("\\u{unit:04X}"));
        }
        to.push('"');
    };
    to.push_str(" \n");
    match value {
        Value::Object(members) => {
            to.push('{');
            for (at, (name, value)) in members.iter().rev().enumerate() {
                to.push_str(if at == 0 { "\t" } else { " , " });
                text(name, to);
                to.push_str("\r:");
                spread(value, to);
            }
            to.push('}');
        }
        Value::Array(values) => {
            to.push('[');
            for (at, value) in values.iter().enumerate() {
                to.push_str(if at == 0 { "\t" } else { " , " });
                spread(value, to);
            }
            to.push(']');
        }
        Value::String(value) => text(value, to),
        _ => to.push_str(&value.to_string()),
    }
    to.push(' ');
}

proptest! {
    #[test]
    fn how_a_value_is_written_does_not_matter(value in value()) {
        let mut other = String::new();
        spread(&value, &mut other);
        prop_assert_eq!(of(&value.to_string()), of(&other));
    }

    #[test]
    fn another_value_has_another(one in value(), other in value()) {
        prop_assert_eq!(of(&one.to_string()) == of(&other.to_string()), one == other);
    }

    #[test]
    fn any_text_has_one_that_can_be_read(event: String) {
        let found = of(&event);
        prop_assert_eq!(found.as_str().parse::<Fingerprint>().unwrap(), found);
    }
}
