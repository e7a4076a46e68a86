//! JSON whose objects have no member twice, and whose members are taken one by
//! one.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, Error as _},
};
use serde_json::{Map, Number, Value};

use crate::Misread;

/// DynamoDB refuses what is nested deeper.
const MAX_DEPTH: u8 = 32;

/// The members of an object. A path leads to each for the text of an error.
pub(crate) struct Members {
    path: String,
    map: Map<String, Value>,
}

impl Members {
    /// The members of the object that is the whole text.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Misread> {
        let Strict(value) = serde_json::from_slice(json).map_err(Misread::Json)?;
        match value {
            Value::Object(map) => Ok(Self {
                path: String::new(),
                map,
            }),
            _ => Err(Misread::Object),
        }
    }

    /// As [`Members::from_json`], from any format.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Strict(value) = Strict::deserialize(from)?;
        match value {
            Value::Object(map) => Ok(Self {
                path: String::new(),
                map,
            }),
            _ => Err(D::Error::custom(Misread::Object)),
        }
    }

    fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    fn take<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, Misread> {
        self.map
            .remove(name)
            .and_then(read)
            .ok_or_else(|| Misread::member(self.path(name), expected))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Self, Misread> {
        let path = self.path(name);
        self.take(name, "an object", |value| match value {
            Value::Object(map) => Some(Self { path, map }),
            _ => None,
        })
    }

    pub(crate) fn text(&mut self, name: &str, expected: &'static str) -> Result<String, Misread> {
        self.take(name, expected, |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<f64>,
        expected: &'static str,
    ) -> Result<f64, Misread> {
        self.take(name, expected, |value| {
            value.as_f64().filter(|number| range.contains(number))
        })
    }

    /// The error for a member that was taken, and is not what was expected.
    pub(crate) fn refuse(&self, name: &str, expected: &'static str) -> Misread {
        Misread::member(self.path(name), expected)
    }

    /// What was not taken.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.map
    }
}

/// A value without what readers disagree on, or what DynamoDB cannot hold.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Depth(MAX_DEPTH).deserialize(from).map(Self)
    }
}

/// How much deeper a value may be nested.
#[derive(Clone, Copy)]
struct Depth(u8);

impl Depth {
    fn less<E: de::Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("expected at most 32 objects and arrays inside one another"))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Depth {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        // What DynamoDB holds, as the AWS page "Supported data types and naming
        // rules in Amazon DynamoDB" has it.
        let held = number == 0.0 || (1e-130..1e126).contains(&number.abs());
        Number::from_f64(number)
            .filter(|_| held)
            .map(Value::Number)
            .ok_or_else(|| E::custom("expected numbers of a magnitude from 1e-130 to below 1e126"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let depth = self.less()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(depth)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let depth = self.less()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            members.insert(name, map.next_value_seed(depth)?);
        }
        Ok(Value::Object(members))
    }
}
