//! What is an exact ARN of something that takes events.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use offchain_codes::Coded;
use offchain_redrive::{Destination, DestinationError, Kind};
use proptest::prelude::*;

#[test]
fn a_destination_is_known_by_its_kind_its_account_and_its_name() {
    for (arn, kind, name) in [
        (
            "arn:aws:sqs:us-east-1:000000000000:offchain-vrf-requests",
            Kind::Queue,
            "offchain-vrf-requests",
        ),
        (
            "arn:aws:sqs:us-east-1:000000000000:a.fifo",
            Kind::Queue,
            "a.fifo",
        ),
        (
            "arn:aws-cn:sns:cn-north-1:000000000000:rides",
            Kind::Topic,
            "rides",
        ),
        (
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            Kind::Function,
            "f",
        ),
        (
            "arn:aws:lambda:us-east-1:000000000000:function:f:live",
            Kind::Function,
            "f:live",
        ),
        (
            "arn:aws-us-gov:states:us-gov-west-1:000000000000:stateMachine:m",
            Kind::Machine,
            "m",
        ),
        (
            "arn:aws:states:us-east-1:000000000000:stateMachine:m:7",
            Kind::Machine,
            "m:7",
        ),
    ] {
        let destination: Destination = arn.parse().unwrap();
        assert_eq!(destination.as_str(), arn);
        assert_eq!(destination.to_string(), arn);
        assert_eq!((destination.kind(), destination.name()), (kind, name));
        assert_eq!(destination.account(), "000000000000");
        let json = serde_json::to_string(&destination).unwrap();
        assert_eq!(json, format!("\"{arn}\""));
        assert_eq!(
            serde_json::from_str::<Destination>(&json).unwrap(),
            destination
        );
    }
}

#[test]
fn the_latest_version_is_the_function() {
    let latest: Destination = "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"
        .parse()
        .unwrap();
    assert_eq!(
        latest.as_str(),
        "arn:aws:lambda:us-east-1:000000000000:function:f"
    );
    assert_eq!(latest.name(), "f");
}

#[test]
fn anything_else_is_refused_with_what_was_expected() {
    for text in [
        "",
        "arn",
        "offchain-vrf-requests",
        "https://sqs.us-east-1.amazonaws.com/000000000000/a",
        "arn:aws:s3:::bucket",
        "arn:aws:dynamodb:us-east-1:000000000000:table/x",
        "arn:aws:events:us-east-1:000000000000:event-bus/default",
        "arn:aws:sqs::000000000000:a",
        "arn:aws:sqs:us-east-1::a",
        "arn:aws:sqs:us-east-1:12345:a",
        "arn:aws:sqs:us-east-1:000000000000:",
        "arn:aws:sqs:us-east-1:000000000000:a:b",
        "arn:aws:sqs:us-east-1:000000000000:*",
        "arn:aws:sqs:us-east-1:000000000000:a?",
        "arn:aws:sqs:us-east-1:000000000000:.fifo",
        "arn:aws:sqs:us-east-1:*:a",
        "arn:*:sqs:us-east-1:000000000000:a",
        " arn:aws:sqs:us-east-1:000000000000:a",
        "arn:aws:sqs:us-east-1:000000000000:a\n",
        "ARN:aws:sqs:us-east-1:000000000000:a",
        "arn:aws:sqs:us-east-1:000000000000:a:$LATEST",
        "arn:aws:sns:us-east-1:000000000000:rides:6ff2a2f5-2f3a-4a0e-8c5e-6a9d5c1c0f00",
        "arn:aws:lambda:us-east-1:000000000000:f",
        "arn:aws:lambda:us-east-1:000000000000:function:",
        "arn:aws:lambda:us-east-1:000000000000:function:f:",
        "arn:aws:lambda:us-east-1:000000000000:function:f:live:$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST:$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:function:$LATEST",
        "arn:aws:lambda:us-east-1:000000000000:layer:f",
        "arn:aws:states:us-east-1:000000000000:execution:m:e",
    ] {
        let error = text.parse::<Destination>().unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("DestinationInvalid", false)
        );
        assert_eq!(
            error.to_string(),
            format!(
                "expected the ARN of a queue, a function, a state machine or a topic, found `{text}`"
            )
        );
        assert!(serde_json::from_value::<Destination>(text.into()).is_err());
    }
}

#[test]
fn a_long_text_is_cut_in_the_error() {
    let error = "é".repeat(100_000).parse::<Destination>().unwrap_err();
    assert!(error.to_string().chars().count() < 400);
}

#[test]
fn every_reason_has_its_code_and_is_final() {
    for (error, code) in [
        (DestinationError::Unknown, "DestinationUnknown"),
        (DestinationError::InputMissing, "EventMissing"),
        (DestinationError::NotJson, "EventInvalid"),
    ] {
        assert_eq!((error.code(), error.retryable()), (code, false));
        assert!(error.to_string().starts_with("expected "), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![
        any::<String>(),
        "(arn)?(:(aws|sqs|sns|lambda|function|stateMachine|states|us-east-1|000000000000|\\$LATEST|a)?){0,9}",
    ]) {
        if let Ok(destination) = text.parse::<Destination>() {
            let again: Destination = destination.as_str().parse().unwrap();
            prop_assert_eq!(&again, &destination);
            prop_assert!(destination.as_str().ends_with(destination.name()));
            prop_assert!(!destination.name().is_empty());
        }
    }
}
