//! What the services wrap around an event, and that it is taken off.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use std::collections::BTreeMap;

use offchain_redrive::{DeadLetter, Destination, DestinationError, Kind, Message, Source};
use proptest::prelude::*;
use serde_json::{Value, json};

const FUNCTION: &str =
    "arn:aws:lambda:eu-central-1:123456789012:function:offchain-rides-record-sns";
const MACHINE: &str =
    "arn:aws:states:eu-central-1:123456789012:stateMachine:offchain-vrf-fulfilment";
const QUEUE: &str = "arn:aws:sqs:eu-central-1:123456789012:offchain-vrf-requests";
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:offchain-rides";

/// Opens a message with these attributes that was received five times.
fn open(body: &str, attributes: &[(&str, &str)], default: Option<&str>) -> DeadLetter {
    let attributes: BTreeMap<String, String> = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let default: Option<Destination> = default.map(|arn| arn.parse().unwrap());
    let sent = "2026-11-21T11:00:01.412Z".parse().unwrap();
    let letter = DeadLetter::of(
        &Message {
            id: "6f2f2c0e-4c4f-4d6e-8a51-8a0d7f2d8c11",
            body,
            attributes: &attributes,
            sent: Some(sent),
            receives: 5,
        },
        default.as_ref(),
    );
    assert_eq!(letter.message_id, "6f2f2c0e-4c4f-4d6e-8a51-8a0d7f2d8c11");
    assert_eq!(letter.sent, Some(sent));
    letter
}

fn arn(letter: &DeadLetter) -> &str {
    letter.destination.as_ref().unwrap().as_str()
}

fn error(letter: &DeadLetter) -> (&str, &str) {
    (&letter.code, &letter.reason)
}

fn refused(letter: &DeadLetter) -> DestinationError {
    letter.destination.clone().unwrap_err()
}

const UNDELIVERABLE: (&str, &str) = ("Undeliverable", "delivered too often without success");

/// As on the AWS page "Capturing records of Lambda asynchronous invocations".
fn invocation_record() -> Value {
    json!({
        "version": "1.0",
        "timestamp": "2026-11-21T10:59:05.568Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-4aeb-8880-a18cdf61200e",
            "functionArn": format!("{FUNCTION}:$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": { "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": "{}" } }] },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {
            "errorType": "StoreUnavailable",
            "errorMessage": "the store did not answer",
        },
    })
}

/// The record with a member changed.
fn record_with(path: &str, value: Value) -> String {
    let mut record = invocation_record();
    *record.pointer_mut(path).unwrap() = value;
    record.to_string()
}

/// The record without a member.
fn record_without(parent: &str, name: &str) -> String {
    let mut record = invocation_record();
    let members = record.pointer_mut(parent).unwrap();
    members.as_object_mut().unwrap().remove(name).unwrap();
    record.to_string()
}

mod function {
    use super::*;

    #[test]
    fn the_record_of_an_invocation_holds_the_event_the_function_and_its_error() {
        let letter = open(&invocation_record().to_string(), &[], Some(QUEUE));
        assert_eq!(letter.source, Source::Function);
        assert_eq!(arn(&letter), FUNCTION);
        assert_eq!(
            error(&letter),
            ("StoreUnavailable", "the store did not answer")
        );
        assert_eq!(letter.attempts, Some(3));
        assert_eq!(
            letter.event,
            r#"{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"{}"}}]}"#
        );
    }

    #[test]
    fn the_record_of_an_emulator_is_one_too() {
        let record = json!({
            "requestContext": {
                "functionArn": FUNCTION,
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": {},
            "responseContext": { "statusCode": 200, "functionError": "Unhandled" },
            "responsePayload": {},
        });
        let letter = open(&record.to_string(), &[], None);
        assert_eq!(arn(&letter), FUNCTION);
        assert_eq!(error(&letter), ("RetriesExhausted", "RetriesExhausted"));
        assert_eq!(letter.event, "{}");
    }

    #[test]
    fn an_event_keeps_its_digits_its_order_and_its_white_space() {
        let body = format!(
            r#"{{"requestContext":{{"functionArn":"{FUNCTION}"}},
                "requestPayload": {{"z": 100000000000000000001, "a":1.10 , "a":2}} }}"#
        );
        let letter = open(&body, &[], None);
        assert_eq!(
            letter.event,
            r#"{"z": 100000000000000000001, "a":1.10 , "a":2}"#
        );
        assert_eq!(error(&letter), ("Undeliverable", "Undeliverable"));
        assert_eq!(letter.attempts, None);
    }

    #[test]
    fn an_event_that_is_too_old_has_no_response() {
        let mut record: Value =
            serde_json::from_str(&record_with("/responsePayload", json!(null))).unwrap();
        record["requestContext"]["condition"] = json!("EventAgeExceeded");
        record["responseContext"] = json!(null);
        let letter = open(&record.to_string(), &[], None);
        assert_eq!(error(&letter), ("EventAgeExceeded", "EventAgeExceeded"));
        let letter = open(&record_without("", "responsePayload"), &[], None);
        assert_eq!(error(&letter), ("RetriesExhausted", "RetriesExhausted"));
    }

    #[test]
    fn a_process_that_ended_has_a_message_and_no_type() {
        let said = "RequestId: e4b46cbf Process exited before completing request";
        let letter = open(
            &record_with("/responsePayload", json!({ "errorMessage": said })),
            &[],
            None,
        );
        assert_eq!(error(&letter), ("RetriesExhausted", said));
    }

    #[test]
    fn a_response_that_is_no_error_does_not_hide_the_event() {
        for response in [
            json!("boom"),
            json!([1]),
            json!(7),
            json!({ "errorMessage": null }),
        ] {
            let letter = open(&record_with("/responsePayload", response), &[], None);
            assert_eq!(error(&letter), ("RetriesExhausted", "RetriesExhausted"));
            assert_eq!(arn(&letter), FUNCTION);
        }
        let odd = json!({ "errorType": 5, "errorMessage": { "a": 1 } });
        let letter = open(&record_with("/responsePayload", odd), &[], None);
        assert_eq!(error(&letter), ("5", r#"{"a":1}"#));
    }

    #[test]
    fn null_is_an_event_and_an_absent_one_is_missing() {
        let letter = open(&record_with("/requestPayload", json!(null)), &[], None);
        assert_eq!((arn(&letter), letter.event.as_str()), (FUNCTION, "null"));
        let body = record_without("", "requestPayload");
        let letter = open(&body, &[], Some(FUNCTION));
        assert_eq!(letter.source, Source::Function);
        assert_eq!(refused(&letter), DestinationError::InputMissing);
        assert_eq!(letter.event, body);
    }

    #[test]
    fn a_version_or_an_alias_stays() {
        for qualifier in ["7", "live"] {
            let body = record_with(
                "/requestContext/functionArn",
                json!(format!("{FUNCTION}:{qualifier}")),
            );
            let letter = open(&body, &[], None);
            assert_eq!(arn(&letter), format!("{FUNCTION}:{qualifier}"));
        }
    }

    #[test]
    fn a_record_that_claims_anything_but_a_function_goes_nowhere() {
        for claimed in [
            "arn:aws:s3:::secrets",
            "arn:aws:iam::123456789012:role/admin",
            "arn:aws:lambda:eu-central-1:123456789012:function:*",
            "arn:aws:lambda:eu-central-1:123456789012:layer:x",
            QUEUE,
            MACHINE,
            TOPIC,
            "offchain-rides-record-sns",
            "",
        ] {
            let body = record_with("/requestContext/functionArn", json!(claimed));
            let letter = open(&body, &[], Some(FUNCTION));
            let DestinationError::Arn { found, .. } = refused(&letter) else {
                panic!("{:?}", letter.destination);
            };
            assert_eq!(found, claimed);
        }
    }

    #[test]
    fn a_request_context_of_another_service_is_no_record() {
        let event =
            json!({ "requestContext": { "http": { "method": "POST" } }, "requestPayload": 1 });
        let letter = open(&event.to_string(), &[], Some(QUEUE));
        assert_eq!(letter.source, Source::Queue);
        assert_eq!(letter.event, event.to_string());
        let event = json!({ "requestContext": { "functionArn": FUNCTION } });
        assert_eq!(
            open(&event.to_string(), &[], Some(QUEUE)).source,
            Source::Queue
        );
    }
}

mod event_bridge {
    use super::*;

    /// As on the AWS page "Configuring a schedule's dead-letter queue in
    /// EventBridge Scheduler".
    const SCHEDULE: [(&str, &str); 8] = [
        ("ERROR_CODE", "AccessDeniedException"),
        (
            "ERROR_MESSAGE",
            "User is not authorized to perform: lambda:InvokeFunction",
        ),
        ("EXECUTION_ID", "ad06616e51cdf74a"),
        ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
        ("IS_PAYLOAD_TRUNCATED", "false"),
        ("RETRY_ATTEMPTS", "185"),
        (
            "SCHEDULE_ARN",
            "arn:aws:scheduler:eu-central-1:123456789012:schedule/default/offchain-x",
        ),
        ("TARGET_ARN", FUNCTION),
    ];

    fn schedule_with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        let others = SCHEDULE.into_iter().filter(|(other, _)| *other != name);
        others.chain([(name, value)]).collect()
    }

    #[test]
    fn a_schedule_s_letter_names_its_target() {
        let letter = open(r#"{"request_id":"1"}"#, &SCHEDULE, Some(QUEUE));
        assert_eq!(letter.source, Source::Schedule);
        assert_eq!(arn(&letter), FUNCTION);
        let said = "User is not authorized to perform: lambda:InvokeFunction";
        assert_eq!(error(&letter), ("AccessDeniedException", said));
        assert_eq!(letter.attempts, Some(185));
        assert_eq!(letter.event, r#"{"request_id":"1"}"#);
    }

    #[test]
    fn a_rule_s_letter_names_its_target_whatever_its_event_says() {
        // As on the AWS page "Using dead-letter queues to process undelivered
        // events in EventBridge".
        let event = super::execution::status_event().to_string();
        let target = "arn:aws:sqs:eu-central-1:123456789012:offchain-vrf-executions-dlq";
        let letter = open(
            &event,
            &[
                ("ERROR_CODE", "NO_PERMISSIONS"),
                ("ERROR_MESSAGE", "the queue's policy does not allow it"),
                (
                    "RULE_ARN",
                    "arn:aws:events:eu-central-1:123456789012:rule/offchain-vrf-failed",
                ),
                ("TARGET_ARN", target),
                ("RETRY_ATTEMPTS", "0"),
            ],
            None,
        );
        assert_eq!(letter.source, Source::Rule);
        assert_eq!(arn(&letter), target);
        assert_eq!(letter.destination.as_ref().unwrap().kind(), Kind::Queue);
        assert_eq!(
            error(&letter),
            ("NO_PERMISSIONS", "the queue's policy does not allow it")
        );
        assert_eq!(letter.attempts, Some(0));
        assert_eq!(letter.event, event);
    }

    #[test]
    fn a_target_with_a_qualifier_is_the_function() {
        let target =
            "arn:aws:lambda:eu-central-1:123456789012:function:offchain-rides-record-sns:$LATEST";
        assert_eq!(
            arn(&open("{}", &schedule_with("TARGET_ARN", target), None)),
            FUNCTION
        );
    }

    #[test]
    fn an_event_that_was_cut_is_missing() {
        let letter = open(
            "{\"reque",
            &schedule_with("IS_PAYLOAD_TRUNCATED", "true"),
            None,
        );
        assert_eq!(refused(&letter), DestinationError::InputMissing);
    }

    #[test]
    fn a_target_of_another_service_goes_nowhere() {
        for target in [
            "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances",
            "garbage",
        ] {
            let letter = open("{}", &schedule_with("TARGET_ARN", target), Some(QUEUE));
            assert_eq!(letter.source, Source::Schedule);
            assert!(matches!(refused(&letter), DestinationError::Arn { .. }));
        }
    }

    #[test]
    fn what_is_not_json_goes_to_no_function() {
        for event in ["", "hello", "{", "{} {}", "NaN"] {
            assert_eq!(
                refused(&open(event, &SCHEDULE, None)),
                DestinationError::NotJson
            );
        }
    }

    #[test]
    fn without_an_error_the_condition_tells_why() {
        let attributes = [
            ("TARGET_ARN", FUNCTION),
            (
                "RULE_ARN",
                "arn:aws:events:eu-central-1:123456789012:rule/x",
            ),
            ("EXHAUSTED_RETRY_CONDITION", "MaximumEventAgeInSeconds"),
            ("RETRY_ATTEMPTS", "many"),
        ];
        let letter = open("{}", &attributes, None);
        assert_eq!(
            error(&letter),
            ("Undeliverable", "MaximumEventAgeInSeconds")
        );
        assert_eq!(letter.attempts, None);
        let letter = open("{}", &attributes[..2], None);
        assert_eq!(
            error(&letter),
            ("Undeliverable", "the target did not take the event")
        );
    }

    #[test]
    fn a_target_without_a_schedule_and_a_rule_is_none() {
        let letter = open("{}", &[("TARGET_ARN", FUNCTION)], Some(QUEUE));
        assert_eq!((letter.source, arn(&letter)), (Source::Queue, QUEUE));
    }
}

mod execution {
    use super::*;

    /// As on the AWS page "Automating Step Functions event delivery with
    /// EventBridge".
    pub(super) fn status_event() -> Value {
        json!({
            "version": "0",
            "id": "315c1398-40ff-a850-213b-158f73e60175",
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": "123456789012",
            "time": "2026-11-21T10:59:21Z",
            "region": "eu-central-1",
            "resources": ["arn:aws:states:eu-central-1:123456789012:execution:offchain-vrf-fulfilment:a"],
            "detail": {
                "executionArn": "arn:aws:states:eu-central-1:123456789012:execution:offchain-vrf-fulfilment:a",
                "stateMachineArn": MACHINE,
                "name": "a",
                "status": "FAILED",
                "startDate": 1_551_225_146_847_u64,
                "stopDate": 1_551_225_151_881_u64,
                "input": "{\"request_id\": \"a\",  \"n\": 1.0}",
                "output": null,
                "inputDetails": { "included": true },
                "outputDetails": null,
                "error": "RequestNotClosed",
                "cause": "the store did not answer",
            },
        })
    }

    fn event_with(name: &str, value: Value) -> String {
        let mut event = status_event();
        event["detail"][name] = value;
        event.to_string()
    }

    #[test]
    fn an_execution_s_letter_holds_its_machine_and_its_input() {
        let letter = open(&status_event().to_string(), &[], Some(QUEUE));
        assert_eq!(letter.source, Source::Execution);
        assert_eq!(arn(&letter), MACHINE);
        assert_eq!(
            error(&letter),
            ("RequestNotClosed", "the store did not answer")
        );
        assert_eq!(letter.attempts, None);
        assert_eq!(letter.event, "{\"request_id\": \"a\",  \"n\": 1.0}");
    }

    #[test]
    fn one_that_timed_out_has_a_status_only() {
        let mut event = status_event();
        event["detail"]["status"] = json!("TIMED_OUT");
        event["detail"]["error"] = json!(null);
        event["detail"]["cause"] = json!(null);
        let letter = open(&event.to_string(), &[], None);
        assert_eq!(
            error(&letter),
            ("TIMED_OUT", "the execution ended as TIMED_OUT")
        );
    }

    #[test]
    fn an_input_that_was_too_large_is_missing() {
        let body = event_with("input", json!(null));
        let letter = open(&body, &[], None);
        assert_eq!(refused(&letter), DestinationError::InputMissing);
        assert_eq!(letter.event, body);
        let mut event = status_event();
        event["detail"].as_object_mut().unwrap().remove("input");
        let letter = open(&event.to_string(), &[], None);
        assert_eq!(refused(&letter), DestinationError::InputMissing);
    }

    #[test]
    fn an_input_that_is_not_json_starts_nothing() {
        let letter = open(&event_with("input", json!("hello")), &[], None);
        assert_eq!(refused(&letter), DestinationError::NotJson);
    }

    #[test]
    fn an_event_that_claims_anything_but_a_machine_goes_nowhere() {
        for claimed in [
            FUNCTION,
            QUEUE,
            "arn:aws:states:eu-central-1:123456789012:execution:offchain-vrf-fulfilment:a",
            "arn:aws:states:eu-central-1:123456789012:activity:x",
            "",
        ] {
            let letter = open(
                &event_with("stateMachineArn", json!(claimed)),
                &[],
                Some(MACHINE),
            );
            assert_eq!(letter.source, Source::Execution);
            assert!(matches!(refused(&letter), DestinationError::Arn { .. }));
        }
    }

    #[test]
    fn another_event_of_event_bridge_is_none() {
        let mut event = status_event();
        event["detail-type"] = json!("EC2 Instance State-change Notification");
        let letter = open(&event.to_string(), &[], Some(MACHINE));
        assert_eq!((letter.source, arn(&letter)), (Source::Queue, MACHINE));
        assert_eq!(letter.event, event.to_string());
    }
}

mod topic {
    use super::*;

    /// As on the AWS page "Fanout Amazon SNS notifications to Amazon SQS
    /// queues".
    const NOTIFICATION: &str = concat!(
        r#"{ "Type" : "Notification", "MessageId" : "dc1e94d9-56c5-5e96-808d-cc7f68faa162","#,
        r#" "TopicArn" : "arn:aws:sns:eu-central-1:123456789012:offchain-rides","#,
        r#" "Message" : "{\"RideId\":\"0123456789abcdef\"}","#,
        r#" "Timestamp" : "2026-11-21T10:59:01.123Z", "SignatureVersion" : "1","#,
        r#" "Signature" : "FMG5tlZhJNHLHUXvZgtZzlk24FzVa7oX0T4P03neeXw8Ng==","#,
        r#" "SigningCertURL" : "https://sns.eu-central-1.amazonaws.com/a.pem","#,
        r#" "UnsubscribeURL" : "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe" }"#
    );

    #[test]
    fn a_notification_goes_to_a_function_as_the_event_of_sns() {
        let letter = open(NOTIFICATION, &[], Some(FUNCTION));
        assert_eq!((letter.source, arn(&letter)), (Source::Topic, FUNCTION));
        assert_eq!(
            letter.event,
            format!(
                r#"{{"Records":[{{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"","Sns":{NOTIFICATION}}}]}}"#
            )
        );
        let event: Value = serde_json::from_str(&letter.event).unwrap();
        let sns = &event["Records"][0]["Sns"];
        assert_eq!(sns["Message"], r#"{"RideId":"0123456789abcdef"}"#);
        assert_eq!(error(&letter), UNDELIVERABLE);
        // Those are looks into the dead-letter queue.
        assert_eq!(letter.attempts, None);
    }

    #[test]
    fn to_a_queue_it_goes_unchanged_and_to_a_topic_without_its_envelope() {
        let letter = open(NOTIFICATION, &[], Some(QUEUE));
        assert_eq!((letter.source, arn(&letter)), (Source::Topic, QUEUE));
        assert_eq!(
            (letter.event.as_str(), letter.attempts),
            (NOTIFICATION, Some(5))
        );
        let letter = open(NOTIFICATION, &[], Some(TOPIC));
        assert_eq!((letter.source, arn(&letter)), (Source::Topic, TOPIC));
        assert_eq!(letter.event, r#"{"RideId":"0123456789abcdef"}"#);
    }

    #[test]
    fn a_notification_that_was_buried_says_why() {
        let attributes = [
            ("ErrorCode", "RideInvalid"),
            ("ErrorMessage", "expected a ride"),
        ];
        let letter = open(NOTIFICATION, &attributes, Some(QUEUE));
        assert_eq!(letter.source, Source::Topic);
        assert_eq!(error(&letter), ("RideInvalid", "expected a ride"));
        assert_eq!(letter.attempts, None);
    }

    #[test]
    fn without_a_default_nobody_knows_where_it_goes() {
        let letter = open(NOTIFICATION, &[], None);
        assert_eq!(letter.source, Source::Topic);
        assert_eq!(refused(&letter), DestinationError::Unknown);
        assert_eq!(letter.event, NOTIFICATION);
    }

    #[test]
    fn another_message_of_sns_is_no_notification() {
        for body in [
            NOTIFICATION.replace("\"Notification\"", "\"SubscriptionConfirmation\""),
            NOTIFICATION.replace("TopicArn", "Topic"),
            NOTIFICATION.replace("\"Message\"", "\"Text\""),
            NOTIFICATION.replacen('{', r#"{"Type":"Notification","#, 1),
            r#"{"Type":"Notification","TopicArn":"x","Message":{"a":1}}"#.to_owned(),
        ] {
            let letter = open(&body, &[], Some(QUEUE));
            assert_eq!(letter.source, Source::Queue);
            assert_eq!(letter.event, body);
        }
    }
}

mod suite {
    use super::*;

    const WHY: [(&str, &str); 2] = [
        ("ErrorCode", "MessageInvalid"),
        ("ErrorMessage", "expected an object"),
    ];

    #[test]
    fn what_the_suite_buried_goes_where_its_queue_says() {
        for (default, source) in [
            (QUEUE, Source::Queue),
            (FUNCTION, Source::Suite),
            (MACHINE, Source::Suite),
            (TOPIC, Source::Suite),
        ] {
            let letter = open(r#"{"slot":"a"}"#, &WHY, Some(default));
            assert_eq!((letter.source, arn(&letter)), (source, default));
            assert_eq!(error(&letter), ("MessageInvalid", "expected an object"));
            assert_eq!(letter.attempts, None);
            assert_eq!(letter.event, r#"{"slot":"a"}"#);
        }
    }

    #[test]
    fn one_of_the_two_attributes_is_enough() {
        let letter = open("{}", &WHY[..1], Some(QUEUE));
        assert_eq!(error(&letter), ("MessageInvalid", "MessageInvalid"));
        let letter = open("{}", &WHY[1..], Some(QUEUE));
        assert_eq!(error(&letter), ("Undeliverable", "expected an object"));
        let letter = open(
            "{}",
            &[("ErrorCode", ""), ("ErrorMessage", "")],
            Some(QUEUE),
        );
        assert_eq!(error(&letter), UNDELIVERABLE);
    }

    #[test]
    fn garbage_goes_to_a_queue_or_a_topic_only() {
        for default in [QUEUE, TOPIC] {
            let letter = open("{garbage", &WHY, Some(default));
            assert_eq!((arn(&letter), letter.event.as_str()), (default, "{garbage"));
        }
        for default in [FUNCTION, MACHINE] {
            let letter = open("{garbage", &WHY, Some(default));
            assert_eq!(refused(&letter), DestinationError::NotJson);
        }
    }

    #[test]
    fn without_a_default_nobody_knows_where_it_goes() {
        let letter = open("{}", &WHY, None);
        assert_eq!(letter.source, Source::Suite);
        assert_eq!(refused(&letter), DestinationError::Unknown);
    }
}

mod queue {
    use super::*;

    #[test]
    fn what_sqs_moved_goes_back_as_it_is() {
        for body in [
            r#"{"request_id":"a"}"#,
            "hello",
            "",
            "[]",
            "null",
            "\u{0}",
            "{\"a\":",
        ] {
            let letter = open(body, &[], Some(QUEUE));
            assert_eq!((letter.source, arn(&letter)), (Source::Queue, QUEUE));
            assert_eq!(error(&letter), UNDELIVERABLE);
            assert_eq!((letter.event.as_str(), letter.attempts), (body, Some(5)));
        }
    }

    #[test]
    fn without_a_default_nobody_knows_where_it_goes() {
        let letter = open("{}", &[], None);
        assert_eq!(letter.source, Source::Queue);
        assert_eq!(refused(&letter), DestinationError::Unknown);
        assert_eq!(letter.attempts, None);
    }

    #[test]
    fn an_array_is_no_envelope() {
        let name = "Step Functions Execution Status Change";
        for body in [
            json!([{ "functionArn": FUNCTION }, {}, {}]),
            json!({ "requestContext": [FUNCTION, "x"], "requestPayload": {} }),
            json!([name, { "stateMachineArn": MACHINE, "input": "{}" }]),
            json!({ "detail-type": name, "detail": [MACHINE, "{}"] }),
            json!(["Notification", TOPIC, "{}"]),
        ] {
            let letter = open(&body.to_string(), &[], Some(QUEUE));
            assert_eq!((letter.source, arn(&letter)), (Source::Queue, QUEUE));
            assert_eq!(letter.event, body.to_string());
        }
    }

    #[test]
    fn an_envelope_in_white_space_is_one_if_json_allows_it() {
        let record = invocation_record();
        let letter = open(&format!(" \r\n\t{record}\n"), &[], Some(QUEUE));
        assert_eq!(letter.source, Source::Function);
        for before in ['\u{a0}', '\u{feff}', '\u{b}'] {
            let letter = open(&format!("{before}{record}"), &[], Some(QUEUE));
            assert_eq!(letter.source, Source::Queue);
        }
    }

    #[test]
    fn json_that_is_nested_deep_is_still_json() {
        let body = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(arn(&open(&body, &[], Some(FUNCTION))), FUNCTION);
    }
}

/// JSON that looks like an envelope, more or less.
fn body() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(Value::from),
        "[a-z ]{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            FUNCTION,
            MACHINE,
            QUEUE,
            TOPIC,
            "Notification",
            "{}",
            "Step Functions Execution Status Change"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "requestContext",
        "functionArn",
        "condition",
        "approximateInvokeCount",
        "requestPayload",
        "responsePayload",
        "errorType",
        "errorMessage",
        "detail-type",
        "detail",
        "stateMachineArn",
        "input",
        "status",
        "error",
        "cause",
        "Type",
        "TopicArn",
        "Message",
    ]);
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..8)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    })
    .prop_map(|value| value.to_string())
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let name = prop::sample::select(vec![
        "TARGET_ARN",
        "SCHEDULE_ARN",
        "RULE_ARN",
        "ERROR_CODE",
        "ERROR_MESSAGE",
        "RETRY_ATTEMPTS",
        "ErrorCode",
        "ErrorMessage",
        "IS_PAYLOAD_TRUNCATED",
    ]);
    let value = prop::sample::select(vec!["", "true", "7", "-1", "x", FUNCTION, QUEUE, TOPIC]);
    prop::collection::vec((name, value), 0..6)
}

fn default() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec![FUNCTION, MACHINE, QUEUE, TOPIC]))
}

proptest! {
    #[test]
    fn every_message_is_a_letter_that_says_why_and_is_known_again(
        body in prop_oneof![body(), any::<String>()],
        attributes in attributes(),
        default in default(),
    ) {
        let letter = open(&body, &attributes, default);
        prop_assert!(!letter.code.is_empty());
        prop_assert!(!letter.reason.is_empty());
        prop_assert_eq!(&open(&body, &attributes, default), &letter);
        if let Ok(destination) = &letter.destination {
            let text = serde_json::to_string(&letter.destination.as_ref().ok()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Destination>(&text).unwrap(), destination);
            if matches!(destination.kind(), Kind::Function | Kind::Machine) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&letter.event).is_ok());
            }
        }
    }

    #[test]
    fn every_event_comes_out_of_a_record_as_it_went_in(event in body()) {
        let record = format!(
            r#"{{"requestContext":{{"functionArn":"{FUNCTION}"}},"requestPayload":{event}}}"#
        );
        prop_assert_eq!(open(&record, &[], None).event, event);
    }

    #[test]
    fn every_input_comes_out_of_a_status_event_as_it_went_in(input in body()) {
        let mut event = execution::status_event();
        event["detail"]["input"] = json!(input);
        let letter = open(&event.to_string(), &[], None);
        prop_assert_eq!((arn(&letter), letter.event.as_str()), (MACHINE, input.as_str()));
    }
}
