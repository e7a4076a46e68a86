use std::{fmt, str::FromStr};

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    Bounds,
    text::{Hex, serde_as_text},
};

const TAG: &[u8] = b"offchain-vrf-request-v1";

/// Everything a requester asks for, fixed before the randomness exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTerms {
    /// Names the request, uniquely for a key.
    pub request_id: RequestId,
    /// The range of the value.
    pub bounds: Bounds,
    /// When the request is answered.
    pub due: Due,
    /// Bytes of the requester's own choice.
    pub seed: Option<Seed>,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At a time.
    At(DueTime),
    /// At a block height of the chain.
    Height(u64),
}

/// Why a text or a value is no part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TermError {
    /// See [`RequestId`].
    #[error("expected a request id of 1 to 80 characters out of A-Z, a-z, 0-9, `_` and `-`")]
    RequestId,
    /// See [`Seed`].
    #[error("expected a seed of 1 to 64 bytes, as lower-case hexadecimal")]
    Seed,
    /// See [`DueTime`].
    #[error("expected a time since 1970 in whole milliseconds, such as 2030-01-31T12:00:00.000Z")]
    DueTime,
}

impl RequestTerms {
    /// The input of the VRF: an encoding of these terms that no other terms
    /// have, as the crate's documentation specifies. At most 194 bytes.
    #[must_use]
    pub fn alpha(&self) -> Vec<u8> {
        let id = self.request_id.as_str().as_bytes();
        let (kind, due) = match self.due {
            Due::At(time) => (0, time.as_millisecond()),
            Due::Height(height) => (1, height),
        };
        let seed = self.seed.as_ref().map_or(&[][..], Seed::as_bytes);
        let mut alpha = TAG.to_vec();
        push_with_length(&mut alpha, id);
        alpha.extend(self.bounds.min().to_be_bytes());
        alpha.extend(self.bounds.max().to_be_bytes());
        alpha.push(kind);
        alpha.extend(due.to_be_bytes());
        push_with_length(&mut alpha, seed);
        alpha
    }
}

/// Appends one byte of length and the bytes, of which no field has over 80.
fn push_with_length(alpha: &mut Vec<u8>, bytes: &[u8]) {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "both types limit their length"
    )]
    alpha.push(bytes.len() as u8);
    alpha.extend(bytes);
}

/// The name of a request: 1 to 80 characters out of `A-Z`, `a-z`, `0-9`, `_`
/// and `-`, so that it can also name an execution of AWS Step Functions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

impl RequestId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = TermError;

    fn try_from(text: String) -> Result<Self, TermError> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if (1..=80).contains(&text.len()) && text.bytes().all(valid) {
            Ok(Self(text))
        } else {
            Err(TermError::RequestId)
        }
    }
}

impl FromStr for RequestId {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Self, TermError> {
        text.to_owned().try_into()
    }
}

impl AsRef<str> for RequestId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A time from `1970-01-01T00:00:00.000Z` to `9999-12-30T22:00:00.999Z` in
/// whole milliseconds.
///
/// Its text is that of RFC 3339 in UTC with three digits of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DueTime(Timestamp);

impl DueTime {
    /// The time as a timestamp.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millisecond(self) -> u64 {
        self.0.as_millisecond().unsigned_abs()
    }
}

impl TryFrom<Timestamp> for DueTime {
    type Error = TermError;

    /// Refuses a time before 1970 or with a fraction of a millisecond.
    fn try_from(time: Timestamp) -> Result<Self, TermError> {
        let whole = time.subsec_nanosecond() % 1_000_000 == 0;
        if whole && time >= Timestamp::UNIX_EPOCH {
            Ok(Self(time))
        } else {
            Err(TermError::DueTime)
        }
    }
}

impl fmt::Display for DueTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for DueTime {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Self, TermError> {
        let time: Timestamp = text.parse().map_err(|_| TermError::DueTime)?;
        let time = Self::try_from(time)?;
        if time.to_string() == text {
            Ok(time)
        } else {
            Err(TermError::DueTime)
        }
    }
}

/// Public bytes that a requester adds to a request: 1 to 64 of them, as
/// lower-case hexadecimal in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed(Hex);

impl Seed {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl TryFrom<Vec<u8>> for Seed {
    type Error = TermError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TermError> {
        if (1..=64).contains(&bytes.len()) {
            Ok(Self(Hex(bytes)))
        } else {
            Err(TermError::Seed)
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seed {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Self, TermError> {
        let Hex(bytes) = text.parse().map_err(|_| TermError::Seed)?;
        bytes.try_into()
    }
}

serde_as_text!(RequestId, DueTime, Seed);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads an alpha back. That it can is what proves the encoding injective.
    fn decode(alpha: &[u8]) -> Option<RequestTerms> {
        fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
            let (head, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Some(head)
        }
        fn byte(rest: &mut &[u8]) -> Option<u8> {
            Some(take(rest, 1)?[0])
        }
        fn word(rest: &mut &[u8]) -> Option<u64> {
            Some(u64::from_be_bytes(take(rest, 8)?.try_into().ok()?))
        }
        let mut rest = alpha.strip_prefix(TAG)?;
        let length = byte(&mut rest)?;
        let id = take(&mut rest, length.into())?;
        let request_id = std::str::from_utf8(id).ok()?.parse().ok()?;
        let min = word(&mut rest)?.cast_signed();
        let max = word(&mut rest)?.cast_signed();
        let bounds = Bounds::new(min, max).ok()?;
        let due = match (byte(&mut rest)?, word(&mut rest)?) {
            (0, ms) => {
                let time = Timestamp::from_millisecond(ms.try_into().ok()?).ok()?;
                Due::At(time.try_into().ok()?)
            }
            (1, height) => Due::Height(height),
            _ => return None,
        };
        let seed = match byte(&mut rest)? {
            0 => None,
            length => Some(take(&mut rest, length.into())?.to_vec().try_into().ok()?),
        };
        rest.is_empty().then_some(RequestTerms {
            request_id,
            bounds,
            due,
            seed,
        })
    }

    fn due_time() -> impl Strategy<Value = DueTime> {
        (0..=Timestamp::MAX.as_millisecond()).prop_map(|ms| {
            let time = Timestamp::from_millisecond(ms).unwrap();
            time.try_into().unwrap()
        })
    }

    prop_compose! {
        fn terms()(
            request_id in "[A-Za-z0-9_-]{1,80}",
            ends in any::<(i64, i64)>().prop_filter("two values", |(a, b)| a != b),
            due in prop_oneof![
                due_time().prop_map(Due::At),
                any::<u64>().prop_map(Due::Height),
            ],
            seed in prop::option::of(prop::collection::vec(any::<u8>(), 1..=64)),
        ) -> RequestTerms {
            RequestTerms {
                request_id: request_id.parse().unwrap(),
                bounds: Bounds::new(ends.0.min(ends.1), ends.0.max(ends.1)).unwrap(),
                due,
                seed: seed.map(|bytes| bytes.try_into().unwrap()),
            }
        }
    }

    proptest! {
        #[test]
        fn alpha_reads_back(terms in terms()) {
            let alpha = terms.alpha();
            prop_assert!(alpha.len() <= 194);
            prop_assert_eq!(decode(&alpha), Some(terms));
        }

        #[test]
        fn different_terms_have_different_alphas(a in terms(), b in terms(), pick in 0..4) {
            // Near misses, which random pairs hardly ever are.
            let mut near = a.clone();
            match pick {
                0 => near.request_id = b.request_id.clone(),
                1 => near.bounds = b.bounds,
                2 => near.due = b.due,
                _ => near.seed.clone_from(&b.seed),
            }
            prop_assert_eq!(a == b, a.alpha() == b.alpha());
            prop_assert_eq!(a == near, a.alpha() == near.alpha());
        }

        #[test]
        fn due_times_have_one_text(time in due_time()) {
            let text = time.to_string();
            prop_assert_eq!(text.len(), 24);
            prop_assert_eq!(text.parse(), Ok(time));
            prop_assert!(text.replace('Z', "+00:00").parse::<DueTime>().is_err());
            prop_assert!(text.to_lowercase().parse::<DueTime>().is_err());
        }
    }

    /// The example of the README.
    #[test]
    fn alpha_of_the_example() {
        let terms = RequestTerms {
            request_id: "dice-1".parse().unwrap(),
            bounds: Bounds::new(1, 6).unwrap(),
            due: Due::At("2030-01-31T12:00:00.000Z".parse().unwrap()),
            seed: Some("c0ffee".parse().unwrap()),
        };
        let expected = concat!(
            "6f6666636861696e2d7672662d726571756573742d7631",
            "06646963652d31",
            "0000000000000001",
            "0000000000000006",
            "00000001b977d7aa00",
            "03c0ffee",
        );
        assert_eq!(hex::encode(terms.alpha()), expected);
        let height = RequestTerms {
            due: Due::Height(1_000_000),
            seed: None,
            ..terms
        };
        assert!(hex::encode(height.alpha()).ends_with("0100000000000f424000"));
    }

    #[test]
    fn request_ids() {
        for text in ["a", "Z-9_", &"x".repeat(80)] {
            assert_eq!(text.parse::<RequestId>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "a.b", "a/b", "ä", "a\n", &"x".repeat(81)] {
            assert_eq!(
                text.parse::<RequestId>(),
                Err(TermError::RequestId),
                "{text}"
            );
        }
    }

    #[test]
    fn seeds() {
        for text in ["00", "c0ffee", &"ab".repeat(64)] {
            assert_eq!(text.parse::<Seed>().unwrap().to_string(), text);
        }
        for text in ["", "0", "C0FFEE", "0x00", "zz", &"ab".repeat(65)] {
            assert_eq!(text.parse::<Seed>(), Err(TermError::Seed), "{text}");
        }
    }

    #[test]
    fn due_times() {
        for text in ["1970-01-01T00:00:00.000Z", "9999-12-30T22:00:00.999Z"] {
            let time: DueTime = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{text}\""));
        }
        for text in [
            "",
            "2030-01-31T12:00:00Z",
            "2030-01-31T12:00:00.0Z",
            "2030-01-31T12:00:00.0001Z",
            "2030-01-31T12:00:00.000000Z",
            "2030-01-31 12:00:00.000Z",
            "2030-01-31T12:00:00.000",
            "2030-02-30T12:00:00.000Z",
            "2030-01-31T12:00:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "+002030-01-31T12:00:00.000Z",
        ] {
            assert_eq!(text.parse::<DueTime>(), Err(TermError::DueTime), "{text}");
        }
        let fraction = Timestamp::from_nanosecond(1_500_000).unwrap();
        assert_eq!(DueTime::try_from(fraction), Err(TermError::DueTime));
    }
}
