//! What is told of a letter.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use std::collections::BTreeMap;

use offchain_redrive::{DeadLetter, Destination, Letter, Message, Outcome, Source, cut};
use proptest::prelude::*;
use serde_json::json;

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:a";

fn letter(reason: &str, default: Option<&str>) -> DeadLetter {
    let attributes = BTreeMap::from([
        ("ErrorCode".to_owned(), "MessageInvalid".to_owned()),
        ("ErrorMessage".to_owned(), reason.to_owned()),
    ]);
    let message = Message {
        id: "one",
        body: "{}",
        attributes: &attributes,
        sent: Some("2026-11-21T11:00:01.412Z".parse().unwrap()),
        receives: 1,
    };
    let default: Option<Destination> = default.map(|arn| arn.parse().unwrap());
    DeadLetter::of(&message, default.as_ref())
}

#[test]
fn a_letter_is_told_without_its_event() {
    let letter = letter("expected an object", Some(QUEUE));
    let summary = letter.summary(2);
    assert_eq!(
        serde_json::to_value(&summary).unwrap(),
        json!({
            "message_id": "one", "fingerprint": letter.fingerprint.as_str(), "source": "queue",
            "code": "MessageInvalid", "reason": "expected an object", "destination": QUEUE,
            "redrives": 2,
        })
    );
    let ended = summary.ended(Outcome::Failed, Some("no answer".to_owned()));
    let json = serde_json::to_value(&ended).unwrap();
    assert_eq!(
        (&json["outcome"], &json["detail"]),
        (&json!("failed"), &json!("no answer"))
    );
}

#[test]
fn a_letter_that_cannot_go_back_says_why() {
    let summary = letter("x", None)
        .summary(0)
        .ended(Outcome::Quarantined, None);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["destination"], json!(null));
    assert_eq!(
        json["detail"],
        "expected a destination: neither the message nor its queue names one"
    );
    assert_eq!(serde_json::from_value::<Letter>(json).unwrap(), summary);
}

#[test]
fn a_whole_letter_is_told_with_its_event() {
    let json = serde_json::to_value(letter("x", None)).unwrap();
    assert_eq!(json["sent"], "2026-11-21T11:00:01.412Z");
    assert_eq!(
        (&json["destination"], &json["attempts"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(
        json["destination_error"],
        "expected a destination: neither the message nor its queue names one"
    );
    let json = serde_json::to_value(letter("x", Some(QUEUE))).unwrap();
    assert_eq!(
        (&json["destination"], &json["event"]),
        (&json!(QUEUE), &json!("{}"))
    );
    assert!(json.get("destination_error").is_none());
}

#[test]
fn names_are_the_same_on_a_screen_and_in_json() {
    for source in [
        Source::Queue,
        Source::Topic,
        Source::Function,
        Source::Schedule,
        Source::Rule,
        Source::Execution,
        Source::Suite,
    ] {
        let json = json!(source.to_string());
        assert_eq!(serde_json::to_value(source).unwrap(), json);
        assert_eq!(serde_json::from_value::<Source>(json).unwrap(), source);
    }
    for outcome in [Outcome::Redriven, Outcome::Failed, Outcome::Quarantined] {
        let json = json!(outcome.to_string());
        assert_eq!(serde_json::to_value(outcome).unwrap(), json);
        assert_eq!(serde_json::from_value::<Outcome>(json).unwrap(), outcome);
    }
    assert!(serde_json::from_value::<Source>(json!("Queue")).is_err());
    assert_eq!(format!("{:>7}", Source::Rule), "   rule");
}

proptest! {
    #[test]
    fn texts_are_cut_between_characters_and_the_rest_is_read_back(
        reason in "(?s).{1,400}",
        detail in prop::option::of("(?s).{0,400}"),
        redrives: u32,
    ) {
        let summary = letter(&reason, Some(QUEUE))
            .summary(redrives)
            .ended(Outcome::Redriven, detail.clone());
        prop_assert!(reason.starts_with(&summary.reason));
        prop_assert_eq!(summary.reason.chars().count(), reason.chars().count().min(200));
        prop_assert_eq!(summary.detail.clone(), detail.map(|detail| cut(&detail, 200)));
        let json = serde_json::to_string(&summary).unwrap();
        prop_assert_eq!(serde_json::from_str::<Letter>(&json).unwrap(), summary);
    }
}
