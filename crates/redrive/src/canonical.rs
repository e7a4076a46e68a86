//! One text for all JSON texts that say the same.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Whether a text is JSON from its first to its last byte.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The text without white space between its tokens, the members of every object
/// sorted by name. Numbers stay as they are written, so that two large ones are
/// never taken for one. A text that is not JSON stays as it is.
pub(crate) fn canonical(text: &str) -> String {
    let mut to = String::with_capacity(text.len());
    // serde_json's limit on nesting bounds the recursion below; it has none
    // where values are skipped.
    if serde_json::from_str::<Value>(text).is_ok() && write(text, &mut to).is_ok() {
        to
    } else {
        text.to_owned()
    }
}

fn write(text: &str, to: &mut String) -> Result<(), serde_json::Error> {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Pairs(mut members) = serde_json::from_str(text)?;
            // Stable: of two members with one name the last still counts.
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut before = '{';
            for (name, value) in &members {
                to.push(before);
                to.push_str(&serde_json::to_string(name)?);
                to.push(':');
                write(value.get(), to)?;
                before = ',';
            }
            to.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            let mut before = '[';
            for value in &values {
                to.push(before);
                write(value.get(), to)?;
                before = ',';
            }
            to.push_str(if values.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => {
            // The same letters may be escaped or not.
            let text: String = serde_json::from_str(text)?;
            to.push_str(&serde_json::to_string(&text)?);
        }
        _ => to.push_str(text),
    }
    Ok(())
}

/// The members of an object in their order, none left out.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<'a>(Vec<(String, &'a RawValue)>);

        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Pairs<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Pairs<'a>, A::Error> {
                while let Some(member) = map.next_entry()? {
                    self.0.push(member);
                }
                Ok(Pairs(self.0))
            }
        }

        from.deserialize_map(Members(Vec::new()))
    }
}
