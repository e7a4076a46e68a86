//! JSON as it is written: each number in the digits that it came in, no member
//! twice, and a text in the one form that a ledger hashes.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use thiserror::Error;

/// Arrays and objects may be this deep in each other.
const MAX_DEPTH: usize = 128;

/// Why a text is no JSON that every reader understands in the same way.
#[derive(Debug, Error)]
pub enum JsonError {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(serde_json::Error),
    /// A member is there twice.
    #[error("`{0}` is there twice")]
    Twice(String),
    /// Arrays and objects are too deep in each other.
    #[error("expected at most {MAX_DEPTH} levels of arrays and objects")]
    Depth,
}

/// What was expected of a text.
#[derive(Debug, Error)]
pub enum Misread {
    /// JSON.
    #[error("expected an object in JSON: {0}")]
    Json(JsonError),
    /// Something else in a member.
    #[error("expected {expected} in `{path}`")]
    Member {
        /// The names and indices that lead to the member, with dots.
        path: String,
        /// What it may be.
        expected: Cow<'static, str>,
    },
}

impl Misread {
    pub(crate) fn member(path: impl Into<String>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self::Member {
            path: path.into(),
            expected: expected.into(),
        }
    }
}

/// A value in JSON. The members of an object are in the order of their names'
/// code points, which is that of their bytes in UTF-8.
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(String),
    Array(Vec<Json<'a>>),
    Object(BTreeMap<String, Json<'a>>),
}

/// The members of an object, as they are written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        from.deserialize_map(InOrder)
    }
}

impl<'a> Json<'a> {
    /// Reads a text.
    pub(crate) fn read(text: &'a str) -> Result<Self, JsonError> {
        Self::of(part(text)?, 0)
    }

    fn of(raw: &'a RawValue, depth: usize) -> Result<Self, JsonError> {
        let text = raw.get();
        let of = |raw| Self::of(raw, depth + 1);
        Ok(match text.as_bytes().first() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => return Err(JsonError::Depth),
            Some(b'{') => {
                let Members(written) = part(text)?;
                let mut members = BTreeMap::new();
                for (name, raw) in written {
                    if members.contains_key(&name) {
                        return Err(JsonError::Twice(name));
                    }
                    members.insert(name, of(raw)?);
                }
                Self::Object(members)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = part(text)?;
                Self::Array(items.into_iter().map(of).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::Text(part(text)?),
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            _ => Self::Number(text),
        })
    }

    /// Appends the text: members sorted, no blanks, nothing escaped that need
    /// not be.
    fn write(&self, to: &mut String) {
        match self {
            Self::Null => to.push_str("null"),
            Self::Bool(true) => to.push_str("true"),
            Self::Bool(false) => to.push_str("false"),
            Self::Number(digits) => to.push_str(digits),
            Self::Text(text) => write_text(text, to),
            Self::Array(items) => {
                to.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        to.push(',');
                    }
                    item.write(to);
                }
                to.push(']');
            }
            Self::Object(members) => {
                to.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        to.push(',');
                    }
                    write_text(name, to);
                    to.push(':');
                    value.write(to);
                }
                to.push('}');
            }
        }
    }

    /// The text that a ledger hashes.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Puts null in the place of a member that is there.
    pub(crate) fn clear(&mut self, name: &str) {
        if let Self::Object(members) = self
            && let Some(member) = members.get_mut(name)
        {
            *member = Self::Null;
        }
    }

    /// Puts null in the place of a member of each item of an array.
    pub(crate) fn clear_each(&mut self, array: &str, name: &str) {
        if let Self::Object(members) = self
            && let Some(Self::Array(items)) = members.get_mut(array)
        {
            items.iter_mut().for_each(|item| item.clear(name));
        }
    }

    /// The value for those who calculate with it. A number beyond what 64 bits
    /// hold is the nearest one that they do.
    pub(crate) fn to_value(&self) -> Result<Value, JsonError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Number(digits) => Value::Number(part(digits)?),
            Self::Text(text) => Value::String(text.clone()),
            Self::Array(items) => {
                Value::Array(items.iter().map(Self::to_value).collect::<Result<_, _>>()?)
            }
            Self::Object(members) => {
                let read = members.iter();
                Value::Object(
                    read.map(|(name, value)| Ok((name.clone(), value.to_value()?)))
                        .collect::<Result<_, JsonError>>()?,
                )
            }
        })
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// A whole number from 0 on, in digits alone.
    pub(crate) fn whole<T: FromStr>(&self) -> Option<T> {
        match self {
            Self::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// Something else that is written as text.
    pub(crate) fn parse<T: FromStr>(&self) -> Option<T> {
        self.text().and_then(|text| text.parse().ok())
    }
}

fn part<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(JsonError::Syntax)
}

fn write_text(text: &str, to: &mut String) {
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\u{8}' => to.push_str("\\b"),
            '\t' => to.push_str("\\t"),
            '\n' => to.push_str("\\n"),
            '\u{c}' => to.push_str("\\f"),
            '\r' => to.push_str("\\r"),
            '\0'..='\u{1f}' => to.push_str(&format!("\\u{:04X}", u32::from(char))),
            _ => to.push(char),
        }
    }
    to.push('"');
}

/// An object, where it stands, and what was not looked at yet.
pub(crate) struct Object<'j, 'a> {
    path: String,
    members: &'j BTreeMap<String, Json<'a>>,
}

impl<'j, 'a> Object<'j, 'a> {
    /// The object that the whole text is.
    pub(crate) fn root(json: &'j Json<'a>) -> Result<Self, Misread> {
        Self::at(json, String::new())
    }

    /// The object that stands there.
    pub(crate) fn at(json: &'j Json<'a>, path: String) -> Result<Self, Misread> {
        match json {
            Json::Object(members) => Ok(Self { path, members }),
            _ if path.is_empty() => Err(Misread::member("$", "an object")),
            _ => Err(Misread::member(path, "an object")),
        }
    }

    /// The names that lead to a member.
    pub(crate) fn path(&self, name: impl fmt::Display) -> String {
        if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A member, if it is there.
    pub(crate) fn find(&self, name: &str) -> Option<&'j Json<'a>> {
        self.members.get(name)
    }

    /// What a member holds.
    pub(crate) fn get<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'j Json<'a>) -> Option<T>,
    ) -> Result<T, Misread> {
        self.find(name)
            .and_then(read)
            .ok_or_else(|| Misread::member(self.path(name), expected))
    }

    /// An object in a member.
    pub(crate) fn object(&self, name: &str) -> Result<Self, Misread> {
        Self::at(self.find(name).unwrap_or(&Json::Null), self.path(name))
    }

    /// What each item of an array in a member holds, told where it stands.
    pub(crate) fn each<T, E: From<Misread>>(
        &self,
        name: &str,
        read: impl Fn(&'j Json<'a>, String) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let path = self.path(name);
        let items = self.get(name, "an array", Json::array)?;
        let read = |(index, item)| read(item, format!("{path}.{index}"));
        items.iter().enumerate().map(read).collect()
    }

    /// That there are no other members.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Misread> {
        match self
            .members
            .keys()
            .find(|name| !names.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(other) => Err(Misread::member(self.path(other), "nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        Json::read(text).unwrap().canonical()
    }

    #[test]
    fn a_text_has_one_form() {
        // As python-rapidjson 1.25 writes what Python's json has read.
        for (text, form) in [
            (" { } ", "{}"),
            ("[ ]", "[]"),
            (
                r#"{"b": 1, "a": [true, false, null]}"#,
                r#"{"a":[true,false,null],"b":1}"#,
            ),
            (
                "[1.0, 1e+22, 1e-07, -0.0, 18446744073709551616]",
                "[1.0,1e+22,1e-07,-0.0,18446744073709551616]",
            ),
            (
                r#""\u0000\u001f\u007f\b\f\n\r\t\"\\\/""#,
                "\"\\u0000\\u001F\u{7f}\\b\\f\\n\\r\\t\\\"\\\\/\"",
            ),
            (r#""\u00e9\u2028\ud83d\ude00""#, "\"é\u{2028}😀\""),
            (
                r#"{"\u00e4":1,"z":2,"\ud83d\ude00":3,"\uffff":4,"":5,"B":6}"#,
                "{\"\":5,\"B\":6,\"z\":2,\"ä\":1,\"\u{ffff}\":4,\"😀\":3}",
            ),
        ] {
            assert_eq!(canonical(text), form);
        }
    }

    #[test]
    fn what_readers_understand_differently_is_refused() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Json::read(&deep(MAX_DEPTH)).is_ok());
        assert!(matches!(
            Json::read(&deep(MAX_DEPTH + 1)),
            Err(JsonError::Depth)
        ));
        assert!(Json::read(&deep(1_000_000)).is_err());
        for (text, message) in [
            (r#"{"a":1,"a":1}"#, "`a` is there twice"),
            (r#"[{"a":1,"\u0061":1}]"#, "`a` is there twice"),
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("NaN", "expected value at line 1 column 1"),
            ("01", "invalid number at line 1 column 2"),
            (
                r#""\ud800""#,
                "unexpected end of hex escape at line 1 column 8",
            ),
        ] {
            let error = Json::read(text).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(message), "{text}");
        }
        assert!(Json::read("1e999").unwrap().to_value().is_err());
    }

    proptest! {
        #[test]
        fn serde_reads_the_same(text: String, number: f64, whole: i64, names: Vec<String>) {
            let names: serde_json::Map<_, _> = names.into_iter().map(|name| (name, whole.into())).collect();
            let value = serde_json::json!({"text": text, "number": number, "names": names});
            let written = canonical(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(&canonical(&written), &written);
            let read: Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(Json::read(&written).unwrap().to_value().unwrap(), value);
        }

        #[test]
        fn nothing_panics(text: String) {
            let _ = Json::read(&text);
        }
    }
}
