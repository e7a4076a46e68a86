use std::str;

use jiff::Timestamp;
use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Id, Notice, Place,
    json::{Json, Misread, Object},
    stream,
};

/// What a subscriber is told of a transaction. It has exactly one place: a
/// height or a block id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Members")]
pub struct Event {
    /// The height of its block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The id of its block, from a node of version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_id: Option<String>,
    /// The asset that it creates or transfers.
    pub asset_id: Id,
    /// The transaction.
    pub transaction_id: Id,
}

/// An event as serde reads it.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    height: Option<u64>,
    #[serde(default)]
    block_id: Option<String>,
    asset_id: Id,
    transaction_id: Id,
}

/// What a webhook's body tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// A transaction that is in a block.
    #[serde(rename = "ledger.transaction")]
    Transaction,
}

/// The body of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// What it tells of.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When the listener saw it.
    pub timestamp: Timestamp,
    /// What happened.
    pub data: Event,
}

/// Why some bytes are no event.
#[derive(Debug, Error)]
pub enum EventError {
    /// They are no UTF-8.
    #[error("expected an object in JSON: {0}")]
    Utf8(str::Utf8Error),
    /// They have another form.
    #[error("{0}")]
    Malformed(Misread),
}

impl Coded for EventError {
    fn code(&self) -> &'static str {
        match self {
            Self::Utf8(_) | Self::Malformed(_) => "EventInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Utf8(_) | Self::Malformed(_) => false,
        }
    }
}

impl Event {
    /// The event of a transaction that stands there.
    #[must_use]
    pub fn new(transaction_id: Id, asset_id: Id, place: Place) -> Self {
        let (height, block_id) = match place {
            Place::Height(height) => (Some(height), None),
            Place::Block(id) => (None, Some(id)),
        };
        Self {
            height,
            block_id,
            asset_id,
            transaction_id,
        }
    }

    /// The id of the webhook, the same at each attempt and from each listener.
    #[must_use]
    pub fn webhook_id(&self) -> String {
        format!("evt_{}", self.transaction_id)
    }
}

impl From<Notice> for Event {
    fn from(notice: Notice) -> Self {
        Self::new(notice.transaction_id, notice.asset_id, notice.place)
    }
}

impl TryFrom<Members> for Event {
    type Error = &'static str;

    fn try_from(read: Members) -> Result<Self, Self::Error> {
        let place = match (read.height, read.block_id) {
            (Some(height), None) => Place::Height(height),
            (None, Some(id)) if stream::is_block(&id) => Place::Block(id),
            (None, Some(_)) => {
                return Err("expected 1 to 128 printable characters of ASCII in `block_id`");
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err("expected either `height` or `block_id`");
            }
        };
        Ok(Self::new(read.transaction_id, read.asset_id, place))
    }
}

impl Envelope {
    /// The body that tells of an event.
    #[must_use]
    pub fn new(event: Event, timestamp: Timestamp) -> Self {
        Self {
            kind: Kind::Transaction,
            timestamp,
            data: event,
        }
    }

    /// Reads the body of a webhook. Members that it does not know are ignored.
    ///
    /// # Errors
    ///
    /// [`EventError`] says what was expected.
    pub fn parse(body: &[u8]) -> Result<Self, EventError> {
        let text = str::from_utf8(body).map_err(EventError::Utf8)?;
        Self::read(text).map_err(EventError::Malformed)
    }

    fn read(text: &str) -> Result<Self, Misread> {
        let json = Json::read(text).map_err(Misread::Json)?;
        let body = Object::root(&json)?;
        let kind = body.get("type", "`ledger.transaction`", |kind| {
            (kind.text() == Some("ledger.transaction")).then_some(Kind::Transaction)
        })?;
        let timestamp = body.get("timestamp", "a time of RFC 3339", Json::parse)?;
        let data = body.object("data")?;
        Ok(Self {
            kind,
            timestamp,
            data: Event::new(
                stream::id(&data, "transaction_id")?,
                stream::id(&data, "asset_id")?,
                stream::place(&data)?,
            ),
        })
    }

    /// The body, as it is signed and sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Its members are texts and numbers, which cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}
