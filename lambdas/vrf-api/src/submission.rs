//! What a caller sends, and what it means.

use jiff::{SignedDuration, Timestamp};
use offchain_store::Moment;
use offchain_vrf::{Bounds, BoundsError, Due, DueTime, RequestId, Seed, TermError};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ApiError;

const ID_TAG: &[u8] = b"offchain-vrf-idempotency-v1";

/// How far in the past a due time may lie: a caller's clock may be slow.
const SLOW_CLOCK: SignedDuration = SignedDuration::from_secs(60);

/// The key that makes a submission idempotent.
pub(crate) struct IdempotencyKey<'a>(&'a str);

impl<'a> TryFrom<Option<&'a str>> for IdempotencyKey<'a> {
    type Error = ApiError;

    fn try_from(header: Option<&'a str>) -> Result<Self, ApiError> {
        let key = header.ok_or(ApiError::IdempotencyKey)?;
        let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if printable && (1..=255).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(ApiError::IdempotencyKey)
        }
    }
}

impl IdempotencyKey<'_> {
    /// The id of this caller's request under this key. It is fixed by the two,
    /// so that a repeated submission finds the first one.
    pub(crate) fn request_id(&self, caller: &str) -> Result<RequestId, TermError> {
        let hash = Sha256::new()
            .chain_update(ID_TAG)
            .chain_update(caller.len().to_be_bytes())
            .chain_update(caller)
            .chain_update(self.0)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        uuid::Builder::from_custom_bytes(bytes)
            .into_uuid()
            .to_string()
            .parse()
    }
}

/// What the deployment allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How far ahead a due time may lie.
    pub(crate) max_delay: SignedDuration,
    /// Whether a chain is configured, so that a height can be a target.
    pub(crate) heights: bool,
}

/// The body of `POST /v1/vrf/requests`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    #[serde(deserialize_with = "integer")]
    min: i64,
    #[serde(deserialize_with = "integer")]
    max: i64,
    #[serde(default)]
    due_time: Option<Timestamp>,
    #[serde(default)]
    delay_seconds: Option<u32>,
    #[serde(default)]
    target_height: Option<u64>,
    #[serde(default)]
    seed: Option<Seed>,
}

impl Submission {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        // A struct may be read from an array of its fields as well.
        if body.trim_ascii_start().first() == Some(&b'[') {
            let reason = "expected an object, found an array";
            return Err(ApiError::Json(serde::de::Error::custom(reason)));
        }
        serde_json::from_slice(body).map_err(ApiError::Json)
    }

    pub(crate) fn bounds(&self) -> Result<Bounds, BoundsError> {
        Bounds::new(self.min, self.max)
    }

    pub(crate) fn seed(&self) -> Option<Seed> {
        self.seed.clone()
    }

    /// When the request is due. Without a word about it, it is due now.
    pub(crate) fn due(&self, now: Moment, limits: Limits) -> Result<Due, ApiError> {
        let now = now.timestamp();
        let latest = now + limits.max_delay;
        let due = match (self.due_time, self.delay_seconds, self.target_height) {
            (None, None, None) => now,
            (None, None, Some(_)) if !limits.heights => {
                return Err(ApiError::Due(
                    "target_height is not available: this deployment knows no chain".to_owned(),
                ));
            }
            (None, None, Some(height)) => return Ok(Due::Height(height)),
            (Some(due), None, None) => Moment::from(due).timestamp(),
            (None, Some(delay), None) => now + SignedDuration::from_secs(delay.into()),
            _ => {
                return Err(ApiError::Due(
                    "expected at most one of due_time, delay_seconds and target_height".to_owned(),
                ));
            }
        };
        if due < now - SLOW_CLOCK || due > latest {
            return Err(ApiError::Due(format!(
                "expected a due time between {} and {}, found {}",
                Moment::from(now),
                Moment::from(latest),
                Moment::from(due),
            )));
        }
        Ok(Due::At(DueTime::try_from(due)?))
    }

    /// Tells this submission from any other under the same key.
    pub(crate) fn digest(&self) -> Result<String, ApiError> {
        let text = serde_json::to_vec(self).map_err(ApiError::Json)?;
        Ok(hex::encode(Sha256::digest(text)))
    }
}

/// An `i64` as a number, or as text for those whose JSON numbers are floats.
fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected an integer from -2^63 to 2^63 - 1, as a number or as text"
    )]
    enum Integer<'a> {
        Number(i64),
        Text(&'a str),
    }
    match Integer::deserialize(deserializer)? {
        Integer::Number(number) => Ok(number),
        Integer::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use offchain_codes::Coded;

    use super::*;

    const LIMITS: Limits = Limits {
        max_delay: SignedDuration::from_secs(3600),
        heights: false,
    };

    fn now() -> Moment {
        "2026-01-31T12:00:00Z".parse::<Timestamp>().unwrap().into()
    }

    fn due(body: &str, limits: Limits) -> Result<Due, ApiError> {
        Submission::parse(body.as_bytes())?.due(now(), limits)
    }

    fn at(text: &str) -> Due {
        Due::At(text.parse().unwrap())
    }

    #[test]
    fn a_due_time_is_told_in_one_of_four_ways() {
        let heights = Limits {
            heights: true,
            ..LIMITS
        };
        for (body, expected) in [
            (r#"{"min":1,"max":6}"#, at("2026-01-31T12:00:00.000Z")),
            (
                r#"{"min":1,"max":6,"delay_seconds":10}"#,
                at("2026-01-31T12:00:10.000Z"),
            ),
            (
                r#"{"min":"1","max":"6","due_time":"2026-01-31T13:30:00.1239+01:00"}"#,
                at("2026-01-31T12:30:00.123Z"),
            ),
            (r#"{"min":1,"max":6,"target_height":7}"#, Due::Height(7)),
        ] {
            assert_eq!(due(body, heights).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_what_was_expected() {
        for (body, code, words) in [
            ("", "BodyInvalid", "EOF"),
            ("[]", "BodyInvalid", "expected an object"),
            (
                "[1,6,null,null,null,null]",
                "BodyInvalid",
                "expected an object",
            ),
            (r#"{"min":1}"#, "BodyInvalid", "missing field `max`"),
            (
                r#"{"min":1.5,"max":6}"#,
                "BodyInvalid",
                "expected an integer",
            ),
            (
                r#"{"min":1,"max":9223372036854775808}"#,
                "BodyInvalid",
                "expected an integer",
            ),
            (r#"{"min":"one","max":6}"#, "BodyInvalid", "invalid digit"),
            (
                r#"{"min":1,"max":6,"sides":6}"#,
                "BodyInvalid",
                "unknown field `sides`",
            ),
            (r#"{"min":1,"max":6,"seed":"xyz"}"#, "BodyInvalid", "seed"),
            (
                r#"{"min":1,"max":6,"delay_seconds":-1}"#,
                "BodyInvalid",
                "expected u32",
            ),
            (
                r#"{"min":1,"max":6,"due_time":"tomorrow"}"#,
                "BodyInvalid",
                "line 1",
            ),
            (
                r#"{"min":1,"max":6,"due_time":"2026-01-31T11:58:59Z"}"#,
                "DueInvalid",
                "between 2026-01-31T12:00:00.000Z and 2026-01-31T13:00:00.000Z",
            ),
            (
                r#"{"min":1,"max":6,"delay_seconds":3601}"#,
                "DueInvalid",
                "between",
            ),
            (
                r#"{"min":1,"max":6,"target_height":7}"#,
                "DueInvalid",
                "no chain",
            ),
            (
                r#"{"min":1,"max":6,"target_height":7,"delay_seconds":1}"#,
                "DueInvalid",
                "at most one",
            ),
        ] {
            let error = due(body, LIMITS).unwrap_err();
            assert_eq!(error.code(), code, "{body}");
            assert!(error.to_string().contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn an_id_is_fixed_by_the_caller_and_the_key() {
        let id = |caller: &str, key: &'static str| {
            IdempotencyKey::try_from(Some(key))
                .unwrap()
                .request_id(caller)
                .unwrap()
        };
        assert_eq!(id("alice", "k"), id("alice", "k"));
        assert_ne!(id("alice", "k"), id("bob", "k"));
        assert_ne!(id("alice", "k"), id("alice", "l"));
        // The length before the name keeps these two apart.
        assert_ne!(id("ab", "c"), id("a", "bc"));
    }

    #[test]
    fn an_unusable_idempotency_key_is_refused() {
        let long = "k".repeat(256);
        for key in [
            None,
            Some(""),
            Some("tab\t"),
            Some("ü"),
            Some(long.as_str()),
        ] {
            let error = IdempotencyKey::try_from(key).err().unwrap();
            assert_eq!(error.code(), "IdempotencyKeyInvalid");
        }
    }

    #[test]
    fn a_digest_depends_on_every_field_and_not_on_their_spelling() {
        let digest = |body: &str| {
            Submission::parse(body.as_bytes())
                .unwrap()
                .digest()
                .unwrap()
        };
        let one = digest(r#"{"min":1,"max":6}"#);
        assert_eq!(one, digest(r#"{ "max": "6", "min": 1 }"#));
        for other in [
            r#"{"min":0,"max":6}"#,
            r#"{"min":1,"max":7}"#,
            r#"{"min":1,"max":6,"delay_seconds":1}"#,
            r#"{"min":1,"max":6,"target_height":1}"#,
            r#"{"min":1,"max":6,"due_time":"2026-01-31T12:00:00Z"}"#,
            r#"{"min":1,"max":6,"seed":"01"}"#,
        ] {
            assert_ne!(one, digest(other), "{other}");
        }
    }
}
