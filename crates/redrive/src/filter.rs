use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::DeadLetter;

/// Which dead letters are meant: those that all of it holds for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct Filter {
    /// The code is exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The body, the event or the reason holds this text, in this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Sent before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// Sent at this moment or after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// One of these messages; any where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
}

impl Filter {
    /// Whether a letter is meant whose message has this body. One without a
    /// time is neither before nor after any moment.
    #[must_use]
    pub fn matches(&self, letter: &DeadLetter, body: &str) -> bool {
        let is_code = |code: &String| letter.code == *code;
        let is_in = |text: &String| {
            [body, &letter.event, &letter.reason]
                .iter()
                .any(|whole| whole.contains(text.as_str()))
        };
        let is_before = |moment: &Timestamp| letter.sent.is_some_and(|sent| sent < *moment);
        let is_after = |moment: &Timestamp| letter.sent.is_some_and(|sent| sent >= *moment);
        self.code.as_ref().is_none_or(is_code)
            && self.contains.as_ref().is_none_or(is_in)
            && self.before.as_ref().is_none_or(is_before)
            && self.after.as_ref().is_none_or(is_after)
            && (self.message_ids.is_empty() || self.message_ids.contains(&letter.message_id))
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // The derived method.
        Self::serialize(self, to)
    }
}

/// From an object only. The derived method alone would take the empty array for
/// the filter that means every letter.
impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Filter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with what letters to mean")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Filter, A::Error> {
                Filter::deserialize(MapAccessDeserializer::new(map))
            }
        }

        from.deserialize_map(Object)
    }
}
