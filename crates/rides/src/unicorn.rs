use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::{Misread, RideError, members::Members};

/// Who comes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Unicorn {
    /// 1 to 64 characters.
    pub name: String,
    /// 1 to 64 characters.
    pub color: String,
    /// Whatever else is said of it; neither a `Name` nor a `Color`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

const EXPECTED: &str = "a text of 1 to 64 characters";

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count())
}

impl Unicorn {
    /// The unicorn of which nothing else is known.
    ///
    /// # Errors
    ///
    /// [`RideError::Ride`] where there can be none.
    pub fn new(name: &str, color: &str) -> Result<Self, RideError> {
        for (member, text) in [("Name", name), ("Color", color)] {
            if !is_name(text) {
                return Err(RideError::Ride(Misread::member(member, EXPECTED)));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            color: color.to_owned(),
            other: Map::new(),
        })
    }

    /// Reads a unicorn as the fleet answers it.
    ///
    /// # Errors
    ///
    /// [`RideError::Ride`] tells the first rule that the text breaks.
    pub fn from_json(json: &[u8]) -> Result<Self, RideError> {
        Members::from_json(json)
            .and_then(Self::read)
            .map_err(RideError::Ride)
    }

    pub(crate) fn read(mut members: Members) -> Result<Self, Misread> {
        let mut text = |name| {
            let text = members.text(name, EXPECTED)?;
            if is_name(&text) {
                Ok(text)
            } else {
                Err(members.refuse(name, EXPECTED))
            }
        };
        Ok(Self {
            name: text("Name")?,
            color: text("Color")?,
            other: members.rest(),
        })
    }
}

impl<'de> Deserialize<'de> for Unicorn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(Members::deserialize(from)?).map_err(de::Error::custom)
    }
}
