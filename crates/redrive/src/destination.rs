use std::{fmt, str::FromStr};

use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Where a dead letter goes back to: the exact ARN of a queue, a function, a
/// state machine or a topic.
///
/// The qualifier `:$LATEST` of a function is cut off: it names what the ARN
/// without it names, and the permission to invoke that does not cover it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    arn: String,
    kind: Kind,
}

/// What a destination is, and so how something is sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A queue of SQS.
    Queue,
    /// A function of Lambda.
    Function,
    /// A state machine of Step Functions.
    Machine,
    /// A topic of SNS.
    Topic,
}

/// Why a dead letter cannot go back as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DestinationError {
    /// Neither the message nor its queue names a destination.
    #[error("expected a destination: neither the message nor its queue names one")]
    Unknown,
    /// It names something else.
    #[error("expected the ARN of {expected}, found `{found}`")]
    Arn {
        /// What it had to name.
        expected: &'static str,
        /// What it names, cut.
        found: String,
    },
    /// The service left the event out, because it was too large.
    #[error("expected the original event in the message, whose service left it out")]
    InputMissing,
    /// The destination takes only JSON.
    #[error("expected the original event in JSON, which its destination requires")]
    NotJson,
}

impl Coded for DestinationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "DestinationUnknown",
            Self::Arn { .. } => "DestinationInvalid",
            Self::InputMissing => "EventMissing",
            Self::NotJson => "EventInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Unknown | Self::Arn { .. } | Self::InputMissing | Self::NotJson => false,
        }
    }
}

/// The longest name that a service gives.
const MAX_NAME: usize = 256;

impl Kind {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Queue => "a queue",
            Self::Function => "a function",
            Self::Machine => "a state machine",
            Self::Topic => "a topic",
        }
    }
}

fn unexpected(expected: &'static str, found: &str) -> DestinationError {
    DestinationError::Arn {
        expected,
        found: crate::cut(found, MAX_NAME),
    }
}

impl Destination {
    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.arn
    }

    /// What it names.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The account that it is of.
    #[must_use]
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }

    /// The last part of the ARN: the name by which the service knows it. That
    /// of a version or an alias of a function has the function before it.
    #[must_use]
    pub fn name(&self) -> &str {
        let parts = match self.kind {
            Kind::Queue | Kind::Topic => 6,
            Kind::Function | Kind::Machine => 7,
        };
        self.arn.splitn(parts, ':').last().unwrap_or_default()
    }

    /// The destination, if it is of this kind.
    pub(crate) fn of_kind(self, kind: Kind) -> Result<Self, DestinationError> {
        if self.kind == kind {
            Ok(self)
        } else {
            Err(unexpected(kind.expected(), &self.arn))
        }
    }
}

/// What the ARN names, if it is one of a destination.
fn kind(arn: &str) -> Option<Kind> {
    let parts: Vec<_> = arn.split(':').collect();
    let ["arn", partition, service, region, account, resource @ ..] = parts.as_slice() else {
        return None;
    };
    let of_region = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let is_place = |text: &str| !text.is_empty() && text.bytes().all(of_region);
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if !is_place(partition) || !is_place(region) || !is_account {
        return None;
    }
    match (*service, resource) {
        ("sqs", [name]) if is_name(name.strip_suffix(".fifo").unwrap_or(name)) => Some(Kind::Queue),
        ("sns", [name]) if is_name(name.strip_suffix(".fifo").unwrap_or(name)) => Some(Kind::Topic),
        ("lambda", ["function", parts @ ..]) if are_names(parts) => Some(Kind::Function),
        ("states", ["stateMachine", parts @ ..]) if are_names(parts) => Some(Kind::Machine),
        _ => None,
    }
}

/// No name holds what an ARN in a policy may hold, `*` and `?`.
fn is_name(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(of_name)
}

/// A name, with or without a version or an alias.
fn are_names(parts: &[&str]) -> bool {
    (1..=2).contains(&parts.len()) && parts.iter().all(|part| is_name(part))
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let arn = match text.strip_suffix(":$LATEST") {
            // Behind a version or an alias there is no other.
            Some(arn) if kind(arn) == Some(Kind::Function) && arn.split(':').count() == 7 => arn,
            _ => text,
        };
        match kind(arn) {
            Some(kind) => Ok(Self {
                arn: arn.to_owned(),
                kind,
            }),
            None => Err(unexpected(
                "a queue, a function, a state machine or a topic",
                text,
            )),
        }
    }
}

impl AsRef<str> for Destination {
    fn as_ref(&self) -> &str {
        &self.arn
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.arn)
    }
}

impl Serialize for Destination {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.arn)
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
