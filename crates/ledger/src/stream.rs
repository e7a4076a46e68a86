use offchain_codes::Coded;
use thiserror::Error;

use crate::{
    Id,
    json::{Json, Misread, Object},
};

/// What a node's stream says of a transaction that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The transaction.
    pub transaction_id: Id,
    /// The asset that it creates or transfers.
    pub asset_id: Id,
    /// Where it stands.
    pub place: Place,
}

/// Where a transaction stands on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The height of its block, as nodes of version 2 have it.
    Height(u64),
    /// The id of its block, as nodes of version 1 have it.
    Block(String),
}

/// Why a message of the stream cannot be used.
#[derive(Debug, Error)]
pub enum StreamError {
    /// It has another form.
    #[error("{0}")]
    Malformed(Misread),
}

impl Coded for StreamError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "NoticeInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Malformed(_) => false,
        }
    }
}

impl Notice {
    /// Reads a message of either generation. Members that it does not know are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`StreamError::Malformed`] says what was expected.
    pub fn parse(text: &str) -> Result<Self, StreamError> {
        let read = || {
            let json = Json::read(text).map_err(Misread::Json)?;
            let object = Object::root(&json)?;
            Ok(Self {
                transaction_id: id(&object, "transaction_id")?,
                asset_id: id(&object, "asset_id")?,
                place: place(&object)?,
            })
        };
        read().map_err(StreamError::Malformed)
    }
}

pub(crate) fn id(object: &Object<'_, '_>, name: &str) -> Result<Id, Misread> {
    object.get(name, Id::EXPECTED, Json::parse)
}

/// The one place that a message or an event tells. Null is none.
pub(crate) fn place(object: &Object<'_, '_>) -> Result<Place, Misread> {
    let is_there = |name| !matches!(object.find(name), None | Some(Json::Null));
    match (is_there("height"), is_there("block_id")) {
        (true, false) => object
            .get("height", "a whole number of at most 64 bits", Json::whole)
            .map(Place::Height),
        (false, true) => object
            .get("block_id", BLOCK, |id| {
                id.text().filter(|id| is_block(id)).map(str::to_owned)
            })
            .map(Place::Block),
        (true, true) => Err(Misread::member(
            object.path("block_id"),
            "nothing beside a height",
        )),
        (false, false) => Err(Misread::member(
            object.path("height"),
            "a height, or a `block_id`",
        )),
    }
}

pub(crate) const BLOCK: &str = "the id of a block: 1 to 128 printable characters of ASCII";

pub(crate) fn is_block(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: &str = "875647befa3ca68518d71c916c9275353b42b7eed89f4e6003fb6831599e1a5d";
    const ASSET: &str = "78cecb07f1465442341dcf341b94b0dea988bf27084bafeddebf8e52921eedd3";

    fn message(place: &str) -> String {
        format!(r#"{{{place}"asset_id":"{ASSET}","transaction_id":"{TRANSACTION}"}}"#)
    }

    #[test]
    fn both_generations_are_read() {
        let block = "a".repeat(64);
        for (text, place) in [
            (message(r#""height": 7, "#), Place::Height(7)),
            (
                message(r#""height": 18446744073709551615,"more":[1],"#),
                Place::Height(u64::MAX),
            ),
            (message(r#""block_id":null,"height":0,"#), Place::Height(0)),
            (
                message(&format!(r#""block_id":"{block}","#)),
                Place::Block(block),
            ),
        ] {
            let notice = Notice::parse(&text).unwrap();
            assert_eq!(notice.transaction_id.as_str(), TRANSACTION);
            assert_eq!(notice.asset_id.as_str(), ASSET);
            assert_eq!(notice.place, place);
        }
    }

    #[test]
    fn a_message_that_says_something_else_is_refused() {
        for (text, expected) in [
            (
                message(""),
                "expected a height, or a `block_id` in `height`",
            ),
            (
                message(r#""height":1,"block_id":"b","#),
                "expected nothing beside a height in `block_id`",
            ),
            (
                message(r#""height":-1,"#),
                "expected a whole number of at most 64 bits in `height`",
            ),
            (
                message(r#""height":1.0,"#),
                "expected a whole number of at most 64 bits in `height`",
            ),
            (
                message(r#""height":"1","#),
                "expected a whole number of at most 64 bits in `height`",
            ),
            (
                message(r#""height":18446744073709551616,"#),
                "expected a whole number of at most 64 bits in `height`",
            ),
            (
                message(r#""block_id":"","#),
                "expected the id of a block: 1 to 128 printable characters of ASCII in `block_id`",
            ),
            (
                message(r#""height":1,"#).replace("78c", "78C"),
                "expected an id of 64 hexadecimal digits in lower case in `asset_id`",
            ),
            (
                message(r#""height":1,"#).replace("5d\"", "\""),
                "expected an id of 64 hexadecimal digits in lower case in `transaction_id`",
            ),
            (
                format!("[\"{TRANSACTION}\",\"{ASSET}\",7]"),
                "expected an object in `$`",
            ),
            (
                message(r#""height":1,"height":1,"#),
                "expected an object in JSON: `height` is there twice",
            ),
            (
                String::new(),
                "expected an object in JSON: EOF while parsing a value at line 1 column 0",
            ),
        ] {
            let error = Notice::parse(&text).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!((error.code(), error.retryable()), ("NoticeInvalid", false));
        }
    }
}
