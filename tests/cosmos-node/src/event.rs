//! What a transaction did, as events and as the log made of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

/// Something that a transaction did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Attribute {
    pub(crate) key: &'static str,
    pub(crate) value: String,
}

impl Event {
    pub(crate) fn new<const N: usize>(
        kind: &'static str,
        attributes: [(&'static str, &str); N],
    ) -> Self {
        let attributes = attributes.into_iter().map(|(key, value)| Attribute {
            key,
            value: value.to_owned(),
        });
        Self {
            kind,
            attributes: attributes.collect(),
        }
    }

    /// As ABCI has it: keys and values in base64.
    pub(crate) fn to_abci(&self, indexed: bool) -> Value {
        let attributes = self.attributes.iter().map(|attribute| {
            json!({
                "key": STANDARD.encode(attribute.key),
                "value": STANDARD.encode(&attribute.value),
                "index": indexed,
            })
        });
        json!({"type": self.kind, "attributes": attributes.collect::<Vec<_>>()})
    }

    /// Whether it has this attribute, such as `transfer.recipient`.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.attributes.iter().any(|attribute| {
            name.split_once('.') == Some((self.kind, attribute.key)) && attribute.value == value
        })
    }
}

/// What one message did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MessageLog {
    // The node leaves a zero out of the text, and shows it in the JSON.
    #[serde(skip_serializing_if = "is_zero")]
    msg_index: usize,
    /// One event of each kind, in order of the kinds.
    events: Vec<Event>,
}

impl MessageLog {
    pub(crate) fn new(msg_index: usize, events: &[Event]) -> Self {
        let mut merged: Vec<Event> = Vec::new();
        for event in events {
            match merged.iter_mut().find(|known| known.kind == event.kind) {
                Some(known) => known.attributes.extend(event.attributes.clone()),
                None => merged.push(event.clone()),
            }
        }
        merged.sort_by_key(|event| event.kind);
        Self {
            msg_index,
            events: merged,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"msg_index": self.msg_index, "log": "", "events": self.events})
    }
}

/// The logs as one text.
pub(crate) fn raw_log(logs: &[MessageLog]) -> String {
    serde_json::to_string(logs).unwrap_or_default()
}

fn is_zero(index: &usize) -> bool {
    *index == 0
}
