use std::{fmt, str::FromStr};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::text::serde_as_text;

/// A JSON pointer (RFC 6901) of at most 512 bytes: where in an answer a value
/// is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// A text that is no [`Pointer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected {}", Self::EXPECTED)]
pub struct PointerError;

impl PointerError {
    pub(crate) const EXPECTED: &'static str = "a JSON pointer of RFC 6901 of at most 512 bytes: empty, or / before each token, \
         with ~0 for ~ and ~1 for /, such as /result/0/price";
}

const MAX_LEN: usize = 512;

impl Pointer {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part of a JSON that the pointer names, as it is written there.
    ///
    /// Only the levels on the way are looked into, one after another, so that
    /// no depth of nesting takes more of the stack.
    pub(crate) fn find<'json>(&self, json: &'json RawValue) -> Result<&'json RawValue, Miss> {
        let mut at = json;
        for token in &self.tokens {
            let mut from = serde_json::Deserializer::from_str(at.get());
            let found = match at.get().as_bytes().first() {
                Some(b'{') => Member(token).deserialize(&mut from),
                Some(b'[') => match array_index(token) {
                    Some(index) => Element(index).deserialize(&mut from),
                    None => return Err(Miss::Nothing),
                },
                _ => return Err(Miss::Nothing),
            };
            at = match found.map_err(Miss::Invalid)? {
                Found::Once(value) => value,
                Found::Nothing => return Err(Miss::Nothing),
                Found::Twice => return Err(Miss::Twice(token.clone())),
            };
        }
        Ok(at)
    }
}

/// Why a pointer names no part of a JSON.
#[derive(Debug)]
pub(crate) enum Miss {
    Nothing,
    /// An object has two members of this name.
    Twice(String),
    /// A name is no Unicode text.
    Invalid(serde_json::Error),
}

enum Found<'json> {
    Nothing,
    Once(&'json RawValue),
    Twice,
}

/// An index is written without leading zeros (RFC 6901, section 4).
fn array_index(token: &str) -> Option<usize> {
    let index: usize = token.parse().ok()?;
    (index.to_string() == token).then_some(index)
}

/// Finds the member of this name in an object.
struct Member<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Found<'de>, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::Nothing;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value()?;
            found = match found {
                Found::Nothing => Found::Once(value),
                Found::Once(_) | Found::Twice => Found::Twice,
            };
        }
        Ok(found)
    }
}

/// Finds the element of this index in an array.
struct Element(usize);

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Found<'de>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Found<'de>, A::Error> {
        for _ in 0..self.0 {
            if array.next_element::<IgnoredAny>()?.is_none() {
                return Ok(Found::Nothing);
            }
        }
        let found = array.next_element()?.map_or(Found::Nothing, Found::Once);
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescape).collect::<Option<_>>(),
            None => text.is_empty().then(Vec::new),
        };
        match tokens {
            Some(tokens) if text.len() <= MAX_LEN => Ok(Self {
                text: text.to_owned(),
                tokens,
            }),
            _ => Err(PointerError),
        }
    }
}

/// Reads the text of one token, in which `~` begins `~0` or `~1`.
fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text)
}

serde_as_text!(Pointer);
