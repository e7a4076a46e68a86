use jiff::Timestamp;
use offchain_codes::Coded;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{
    HttpFeed, Pointer, Source,
    number::decimal,
    pointer::Miss,
    text::{rfc3339, whole_millisecond},
};

/// What a source said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observation {
    /// The value, times 10^exponent of the feed.
    pub value: i128,
    /// The source's own time, else when its answer was fetched; in whole
    /// milliseconds.
    pub observed: Timestamp,
}

/// Why an answer is no observation.
///
/// The texts say where and what kind of thing was found, never the content:
/// an answer may repeat a secret of the request.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The body is not JSON.
    #[error("expected JSON: {0}")]
    BodyInvalid(serde_json::Error),
    /// On the way to a value, an object has two members of the same name.
    #[error("expected one member `{member}` on the way to `{pointer}`, found two")]
    MemberTwice {
        /// Where the value was looked for.
        pointer: Pointer,
        /// The member's name.
        member: String,
    },
    /// The pointer names nothing.
    #[error("expected a value at `{pointer}`, found none")]
    PointerMissing {
        /// Where the value was looked for.
        pointer: Pointer,
    },
    /// The value is no number, or none that fits.
    #[error("expected a decimal number of at most 33 digits at `{pointer}`, found {found}")]
    ValueInvalid {
        /// Where the value was looked for.
        pointer: Pointer,
        /// The kind of what is there.
        found: &'static str,
    },
    /// The time is none.
    #[error(
        "expected a time since 1970 at `{pointer}`, of RFC 3339 or in Unix seconds or milliseconds, found {found}"
    )]
    TimeInvalid {
        /// Where the time was looked for.
        pointer: Pointer,
        /// The kind of what is there.
        found: &'static str,
    },
}

impl Coded for SourceError {
    fn code(&self) -> &'static str {
        match self {
            Self::BodyInvalid(_) | Self::MemberTwice { .. } => "SourceBodyInvalid",
            Self::PointerMissing { .. } => "PointerMissing",
            Self::ValueInvalid { .. } => "ValueInvalid",
            Self::TimeInvalid { .. } => "SourceTimeInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // The same body reads the same.
            Self::BodyInvalid(_)
            | Self::MemberTwice { .. }
            | Self::PointerMissing { .. }
            | Self::ValueInvalid { .. }
            | Self::TimeInvalid { .. } => false,
        }
    }
}

impl Source {
    /// Reads this source's answer, which was fetched at `fetched`, for `feed`.
    ///
    /// # Errors
    ///
    /// [`SourceError`] tells what in the body is not as configured.
    pub fn read(
        &self,
        feed: &HttpFeed,
        body: &[u8],
        fetched: Timestamp,
    ) -> Result<Observation, SourceError> {
        let json: &RawValue = serde_json::from_slice(body).map_err(SourceError::BodyInvalid)?;
        let value = scalar(json, &self.pointer)?;
        // Both are at most 18 either way.
        let shift = self.scale.saturating_add_unsigned(feed.decimals);
        let value = match &value {
            Scalar::Number(number) => decimal(number, shift),
            Scalar::Text(text) => decimal(text, shift),
            Scalar::Other(_) => None,
        }
        .ok_or_else(|| SourceError::ValueInvalid {
            pointer: self.pointer.clone(),
            found: value.kind(),
        })?;
        let observed = match &self.time_pointer {
            Some(pointer) => time(json, pointer)?,
            None => fetched,
        };
        Ok(Observation {
            value,
            observed: whole_millisecond(observed),
        })
    }
}

/// What a pointer names, as far as it can be a number or a time.
enum Scalar<'json> {
    Number(&'json str),
    Text(String),
    Other(&'static str),
}

impl Scalar<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number that is none of these",
            Self::Text(_) => "a text that is none of these",
            Self::Other(kind) => kind,
        }
    }
}

fn scalar<'json>(json: &'json RawValue, pointer: &Pointer) -> Result<Scalar<'json>, SourceError> {
    let raw = pointer.find(json).map_err(|miss| match miss {
        Miss::Nothing => SourceError::PointerMissing {
            pointer: pointer.clone(),
        },
        Miss::Twice(member) => SourceError::MemberTwice {
            pointer: pointer.clone(),
            member,
        },
        Miss::Invalid(error) => SourceError::BodyInvalid(error),
    })?;
    let raw = raw.get();
    Ok(match raw.as_bytes().first() {
        Some(b'"') => Scalar::Text(serde_json::from_str(raw).map_err(SourceError::BodyInvalid)?),
        Some(b'-' | b'0'..=b'9') => Scalar::Number(raw),
        Some(b'{') => Scalar::Other("an object"),
        Some(b'[') => Scalar::Other("an array"),
        Some(b'n') => Scalar::Other("null"),
        _ => Scalar::Other("a boolean"),
    })
}

/// From here on a number means milliseconds: as seconds it would be the year
/// 5138, and as milliseconds it is 1973.
const MILLISECONDS_FROM: i128 = 100_000_000_000;

const NANOSECONDS_PER_SECOND: i128 = 1_000_000_000;

fn time(json: &RawValue, pointer: &Pointer) -> Result<Timestamp, SourceError> {
    let found = scalar(json, pointer)?;
    let time = match &found {
        Scalar::Number(number) => unix_time(number),
        Scalar::Text(text) => rfc3339(text).or_else(|| unix_time(text)),
        Scalar::Other(_) => None,
    };
    time.ok_or_else(|| SourceError::TimeInvalid {
        pointer: pointer.clone(),
        found: found.kind(),
    })
}

fn unix_time(text: &str) -> Option<Timestamp> {
    let nanoseconds = decimal(text, 9)?;
    let nanoseconds = if nanoseconds >= MILLISECONDS_FROM * NANOSECONDS_PER_SECOND {
        nanoseconds / 1000
    } else {
        nanoseconds
    };
    Timestamp::from_nanosecond(nanoseconds)
        .ok()
        .filter(|time| *time >= Timestamp::UNIX_EPOCH)
}
