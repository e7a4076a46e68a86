use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};

use crate::{
    Destination, DestinationError, Fingerprint, Kind, Message,
    canonical::is_json,
    envelope::{Opened, open},
};

/// What sent a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// SQS, from the queue that the dead-letter queue belongs to.
    Queue,
    /// SNS, or a queue that SNS sends to.
    Topic,
    /// Lambda, after an asynchronous invocation.
    Function,
    /// A schedule of EventBridge Scheduler.
    Schedule,
    /// A rule of EventBridge.
    Rule,
    /// An execution of Step Functions.
    Execution,
    /// A function or state machine of this suite.
    Suite,
}

impl Source {
    /// Its name, as it is in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
            Self::Function => "function",
            Self::Schedule => "schedule",
            Self::Rule => "rule",
            Self::Execution => "execution",
            Self::Suite => "suite",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a message of a dead-letter queue means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message that it was read from. A letter that comes back has another.
    pub message_id: String,
    /// What sent it.
    pub source: Source,
    /// The name of the error.
    pub code: String,
    /// The text of the error.
    pub reason: String,
    /// How often it was tried, where the message says so.
    pub attempts: Option<u32>,
    /// When the message was sent.
    pub sent: Option<Timestamp>,
    /// Where the event goes back to, or why it cannot.
    pub destination: Result<Destination, DestinationError>,
    /// The original event, as its destination takes it; the body of the
    /// message where that holds no event.
    pub event: String,
    /// What it is known by, however often it comes back.
    pub fingerprint: Fingerprint,
}

impl DeadLetter {
    /// Reads a message of a dead-letter queue. `default` is where the messages
    /// of this queue go back to that do not name a destination themselves.
    #[must_use]
    pub fn of(message: &Message<'_>, default: Option<&Destination>) -> Self {
        let Opened {
            source,
            code,
            reason,
            attempts,
            destination,
            event,
        } = open(message, default);
        let destination = destination.and_then(|destination| match destination.kind() {
            Kind::Function | Kind::Machine if !is_json(&event) => Err(DestinationError::NotJson),
            _ => Ok(destination),
        });
        let fingerprint = Fingerprint::of(destination.as_ref().ok(), &event);
        Self {
            message_id: message.id.to_owned(),
            source,
            code,
            reason,
            attempts,
            sent: message.sent,
            destination,
            event,
            fingerprint,
        }
    }
}

/// In place of a destination there may be `destination_error`, its text.
impl Serialize for DeadLetter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let members = 9 + usize::from(self.destination.is_err());
        let mut to = to.serialize_struct("DeadLetter", members)?;
        to.serialize_field("message_id", &self.message_id)?;
        to.serialize_field("fingerprint", &self.fingerprint)?;
        to.serialize_field("source", &self.source)?;
        to.serialize_field("code", &self.code)?;
        to.serialize_field("reason", &self.reason)?;
        to.serialize_field("attempts", &self.attempts)?;
        to.serialize_field("sent", &self.sent)?;
        to.serialize_field("destination", &self.destination.as_ref().ok())?;
        if let Err(error) = &self.destination {
            to.serialize_field("destination_error", &error.to_string())?;
        }
        to.serialize_field("event", &self.event)?;
        to.end()
    }
}
