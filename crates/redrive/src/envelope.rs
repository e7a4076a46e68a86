//! What each service wraps around an event that it gives up on.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Destination, DestinationError, Kind, Message, Source};

/// A message without its envelope.
pub(crate) struct Opened {
    pub(crate) source: Source,
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) attempts: Option<u32>,
    pub(crate) destination: Result<Destination, DestinationError>,
    pub(crate) event: String,
}

/// Opens a message. The first envelope that fits is the one.
pub(crate) fn open(message: &Message<'_>, default: Option<&Destination>) -> Opened {
    invocation_record(message)
        .or_else(|| undelivered_event(message))
        .or_else(|| execution_status(message))
        .or_else(|| notification(message, default))
        .or_else(|| buried(message, default))
        .unwrap_or_else(|| moved(message, default))
}

const UNDELIVERABLE: &str = "Undeliverable";
const TOO_OFTEN: &str = "delivered too often without success";

/// A text, also where something else was expected.
fn text(value: Option<&RawValue>) -> Option<String> {
    let json = value?.get();
    match serde_json::from_str::<Option<String>>(json) {
        Ok(text) => text.filter(|text| !text.is_empty()),
        Err(_) => Some(json.to_owned()),
    }
}

/// Reads an object. serde would read an array as the members in their order.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let json = json.trim_start_matches([' ', '\t', '\n', '\r']);
    json.starts_with('{')
        .then(|| serde_json::from_str(json).ok())
        .flatten()
}

fn known(default: Option<&Destination>) -> Result<Destination, DestinationError> {
    default.cloned().ok_or(DestinationError::Unknown)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a> {
    #[serde(borrow)]
    request_context: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    request_payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_payload: Option<&'a RawValue>,
}

/// `null` is an event of Lambda; only an absent one is none.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    function_arn: String,
    #[serde(borrow, default)]
    condition: Option<&'a RawValue>,
    #[serde(borrow, default)]
    approximate_invoke_count: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FunctionError<'a> {
    #[serde(borrow)]
    error_type: Option<&'a RawValue>,
    #[serde(borrow)]
    error_message: Option<&'a RawValue>,
}

/// What Lambda sends to the on-failure destination of a function: the AWS page
/// "Capturing records of Lambda asynchronous invocations".
fn invocation_record(message: &Message<'_>) -> Option<Opened> {
    let record: InvocationRecord<'_> = object(message.body)?;
    let context: RequestContext<'_> = object(record.request_context.get())?;
    let condition = text(context.condition);
    if record.request_payload.is_none() && condition.is_none() {
        return None;
    }
    let error = record
        .response_payload
        .and_then(|payload| object::<FunctionError<'_>>(payload.get()))
        .unwrap_or_default();
    let condition = condition.unwrap_or_else(|| UNDELIVERABLE.to_owned());
    let destination = context
        .function_arn
        .parse::<Destination>()
        .and_then(|destination| destination.of_kind(Kind::Function));
    let (destination, event) = match record.request_payload {
        Some(event) => (destination, event.get().to_owned()),
        None => (
            destination.and(Err(DestinationError::InputMissing)),
            message.body.to_owned(),
        ),
    };
    Some(Opened {
        source: Source::Function,
        code: text(error.error_type).unwrap_or_else(|| condition.clone()),
        reason: text(error.error_message).unwrap_or(condition),
        attempts: context
            .approximate_invoke_count
            .and_then(|count| count.get().parse().ok()),
        destination,
        event,
    })
}

/// What EventBridge keeps of an event that a target did not take: the AWS pages
/// "Configuring a schedule's dead-letter queue in EventBridge Scheduler" and
/// "Using dead-letter queues to process undelivered events in EventBridge".
fn undelivered_event(message: &Message<'_>) -> Option<Opened> {
    let target = message.attribute("TARGET_ARN")?;
    let source = if message.attribute("SCHEDULE_ARN").is_some() {
        Source::Schedule
    } else {
        message.attribute("RULE_ARN").map(|_| Source::Rule)?
    };
    let code = message.attribute("ERROR_CODE").unwrap_or(UNDELIVERABLE);
    let reason = message
        .attribute("ERROR_MESSAGE")
        .or_else(|| message.attribute("EXHAUSTED_RETRY_CONDITION"))
        .unwrap_or("the target did not take the event");
    let truncated = message
        .attribute("IS_PAYLOAD_TRUNCATED")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let destination = target.parse();
    Some(Opened {
        source,
        code: code.to_owned(),
        reason: reason.to_owned(),
        attempts: message
            .attribute("RETRY_ATTEMPTS")
            .and_then(|count| count.parse().ok()),
        destination: if truncated {
            destination.and(Err(DestinationError::InputMissing))
        } else {
            destination
        },
        event: message.body.to_owned(),
    })
}

#[derive(Deserialize)]
struct StatusEvent<'a> {
    #[serde(rename = "detail-type")]
    detail_type: String,
    #[serde(borrow)]
    detail: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    state_machine_arn: String,
    #[serde(default)]
    input: Option<String>,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cause: Option<&'a RawValue>,
}

/// What EventBridge says of an execution that failed: the AWS page "Automating
/// Step Functions event delivery with EventBridge".
fn execution_status(message: &Message<'_>) -> Option<Opened> {
    let event: StatusEvent<'_> = object(message.body)?;
    if event.detail_type != "Step Functions Execution Status Change" {
        return None;
    }
    let detail: Detail<'_> = object(event.detail.get())?;
    let destination = detail
        .state_machine_arn
        .parse::<Destination>()
        .and_then(|destination| destination.of_kind(Kind::Machine));
    let (destination, event) = match detail.input {
        Some(input) => (destination, input),
        None => (
            destination.and(Err(DestinationError::InputMissing)),
            message.body.to_owned(),
        ),
    };
    let status = text(detail.status).unwrap_or_else(|| UNDELIVERABLE.to_owned());
    Some(Opened {
        source: Source::Execution,
        reason: text(detail.cause).unwrap_or_else(|| format!("the execution ended as {status}")),
        code: text(detail.error).unwrap_or(status),
        attempts: None,
        destination,
        event,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "TopicArn")]
    _topic_arn: String,
    message: String,
}

/// What SNS sends to a queue: the AWS page "Fanout Amazon SNS notifications to
/// Amazon SQS queues". To a function it sends the same as a record of its own
/// event, as on the page "Invoking Lambda functions with Amazon SNS
/// notifications".
fn notification(message: &Message<'_>, default: Option<&Destination>) -> Option<Opened> {
    let notification: Notification = object(message.body)?;
    if notification.kind != "Notification" {
        return None;
    }
    let event = match default.map(Destination::kind) {
        Some(Kind::Function) => format!(
            r#"{{"Records":[{{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"","Sns":{}}}]}}"#,
            message.body
        ),
        // To be published again, and wrapped again.
        Some(Kind::Topic) => notification.message,
        Some(Kind::Queue | Kind::Machine) | None => message.body.to_owned(),
    };
    let Opened {
        code,
        reason,
        attempts,
        destination,
        ..
    } = buried(message, default).unwrap_or_else(|| moved(message, default));
    Some(Opened {
        source: Source::Topic,
        code,
        reason,
        attempts,
        destination,
        event,
    })
}

fn error_of<'a>(message: &Message<'a>) -> Option<(&'a str, &'a str)> {
    match (
        message.attribute("ErrorCode"),
        message.attribute("ErrorMessage"),
    ) {
        (None, None) => None,
        (code, reason) => Some((
            code.unwrap_or(UNDELIVERABLE),
            reason.or(code).unwrap_or_default(),
        )),
    }
}

/// What this suite puts into a dead-letter queue itself, with the reason beside
/// it. Lambda's own dead-letter queues have the same attributes: the AWS page
/// "Adding a dead-letter queue".
fn buried(message: &Message<'_>, default: Option<&Destination>) -> Option<Opened> {
    let (code, reason) = error_of(message)?;
    let source = match default.map(Destination::kind) {
        Some(Kind::Queue) => Source::Queue,
        _ => Source::Suite,
    };
    Some(Opened {
        source,
        code: code.to_owned(),
        reason: reason.to_owned(),
        attempts: None,
        destination: known(default),
        event: message.body.to_owned(),
    })
}

/// What SQS moved here as it was: the AWS page "Using dead-letter queues in
/// Amazon SQS".
fn moved(message: &Message<'_>, default: Option<&Destination>) -> Opened {
    Opened {
        source: Source::Queue,
        code: UNDELIVERABLE.to_owned(),
        reason: TOO_OFTEN.to_owned(),
        // To where there is no queue SQS moved nothing: the count is that of
        // looks into the dead-letter queue.
        attempts: default
            .filter(|default| default.kind() == Kind::Queue && message.receives > 0)
            .map(|_| message.receives),
        destination: known(default),
        event: message.body.to_owned(),
    }
}
