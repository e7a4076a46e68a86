//! Which letters a filter means.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use offchain_redrive::{DeadLetter, Filter, Message};
use proptest::prelude::*;
use serde_json::json;

const BODY: &str = r#"{"requestContext":{"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f"},
    "requestPayload":{"ride":"é1"},
    "responsePayload":{"errorType":"StoreUnavailable","errorMessage":"said \"no\""}}"#;

fn sent() -> Timestamp {
    "2026-11-21T11:00:01.412Z".parse().unwrap()
}

fn letter(sent: Option<Timestamp>) -> DeadLetter {
    let message = Message {
        id: "one",
        body: BODY,
        attributes: &BTreeMap::new(),
        sent,
        receives: 1,
    };
    DeadLetter::of(&message, None)
}

fn matches(filter: serde_json::Value) -> bool {
    let filter: Filter = serde_json::from_value(filter).unwrap();
    filter.matches(&letter(Some(sent())), BODY)
}

#[test]
fn an_empty_filter_means_every_letter() {
    assert_eq!(
        serde_json::from_str::<Filter>("{}").unwrap(),
        Filter::default()
    );
    assert!(Filter::default().matches(&letter(None), BODY));
    assert!(matches(json!({ "code": null, "message_ids": [] })));
}

#[test]
fn each_member_holds_or_does_not() {
    let millisecond = SignedDuration::from_millis(1);
    for (filter, expected) in [
        (json!({ "code": "StoreUnavailable" }), true),
        (json!({ "code": "storeunavailable" }), false),
        (json!({ "code": "Store" }), false),
        (json!({ "contains": "functionArn" }), true),
        (json!({ "contains": r#"{"ride":"é1"}"# }), true),
        (json!({ "contains": "said \"no\"" }), true),
        (json!({ "contains": "Ride" }), false),
        (json!({ "contains": "" }), true),
        (json!({ "before": sent() }), false),
        (json!({ "before": sent() + millisecond }), true),
        (json!({ "after": sent() }), true),
        (json!({ "after": sent() + millisecond }), false),
        (json!({ "message_ids": ["two", "one"] }), true),
        (json!({ "message_ids": ["On", "one "] }), false),
    ] {
        assert_eq!(matches(filter.clone()), expected, "{filter}");
    }
}

#[test]
fn all_members_must_hold() {
    let all = json!({
        "code": "StoreUnavailable", "contains": "ride", "before": "2026-11-21T12:00:00Z",
        "after": "2026-11-21T12:00:00+01:00", "message_ids": ["one"],
    });
    assert!(matches(all.clone()));
    for (name, value) in [
        ("code", json!("x")),
        ("contains", json!("x y z")),
        ("before", json!("2026-11-21T11:00:00Z")),
        ("after", json!("2026-11-21T12:00:00Z")),
        ("message_ids", json!(["x"])),
    ] {
        let mut filter = all.clone();
        filter[name] = value;
        assert!(!matches(filter), "{name}");
    }
}

#[test]
fn a_letter_without_a_time_is_neither_before_nor_after() {
    for name in ["before", "after"] {
        let filter: Filter =
            serde_json::from_value(json!({ name: "2026-11-21T11:00:00Z" })).unwrap();
        assert!(!filter.matches(&letter(None), BODY));
    }
}

#[test]
fn another_member_or_type_is_refused() {
    for filter in [
        json!({ "codes": "x" }),
        json!({ "code": 1 }),
        json!({ "before": "yesterday" }),
        json!({ "before": 1_795_258_801 }),
        json!({ "message_ids": "one" }),
        json!({ "message_ids": [1] }),
        json!("code"),
        json!([]),
        json!([null, null, null, null, []]),
        json!(null),
    ] {
        assert!(
            serde_json::from_value::<Filter>(filter.clone()).is_err(),
            "{filter}"
        );
    }
    assert!(serde_json::from_str::<Filter>(r#"{"code":"a","code":"b"}"#).is_err());
}

#[test]
fn what_is_absent_is_not_written() {
    assert_eq!(serde_json::to_string(&Filter::default()).unwrap(), "{}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same_filter(
        code: Option<String>,
        contains: Option<String>,
        before in prop::option::of(Timestamp::MIN.as_second()..Timestamp::MAX.as_second()),
        message_ids: Vec<String>,
    ) {
        let before = before.map(|second| Timestamp::from_second(second).unwrap());
        let filter = Filter { code, contains, before, after: before, message_ids };
        let json = serde_json::to_string(&filter).unwrap();
        prop_assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
    }

    #[test]
    fn a_letter_is_either_before_a_moment_or_after_it(offset in -10_000_i64..10_000) {
        let moment = sent() + SignedDuration::from_millis(offset);
        let before = Filter { before: Some(moment), ..Filter::default() };
        let after = Filter { after: Some(moment), ..Filter::default() };
        let letter = letter(Some(sent()));
        prop_assert_ne!(before.matches(&letter, BODY), after.matches(&letter, BODY));
    }
}
