//! The tables of the ledger bridge, against a fake AWS.

mod assets;
mod cursor;
mod deliveries;
mod events;

use aws_sdk_dynamodb::Client;
use jiff::Timestamp;
use offchain_codes::Coded;
use offchain_ledger::{Event, Id, Place, PublicKey};
use serde_json::{Value, json};

use super::{EventItem, Events};
use crate::StoreError;
use crate::test_util::{FakeAws, Reply, refusal};

fn client(aws: &FakeAws) -> Client {
    Client::new(&aws.sdk_config())
}

fn events(aws: &FakeAws) -> Events {
    Events::new(client(aws), "events".into())
}

/// The id of 64 times this digit.
fn id(digit: char) -> Id {
    String::from(digit).repeat(64).parse().unwrap()
}

/// Somebody.
fn key(who: u8) -> PublicKey {
    PublicKey::from_bytes([who; 32])
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time in the middle of a second, which a table of milliseconds can hold.
fn noon() -> Timestamp {
    time("2026-11-21T12:00:00.250Z")
}

/// The transaction `b` of the asset `a`, in the seventh block.
fn event() -> Event {
    Event::new(id('b'), id('a'), Place::Height(7))
}

/// That event as a webhook brought it.
fn received() -> EventItem {
    EventItem::new(event(), 1_795_262_400, noon())
}

/// The position of that event.
fn position() -> String {
    format!("00000000000000000007.{}", id('b'))
}

/// Its item, with these attributes over its own.
fn stored(fields: &Value) -> Value {
    let mut item = serde_json::to_value(received()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

/// How the services say that a table cannot be used, and what is told of it.
fn troubles() -> [(Reply, (&'static str, bool)); 4] {
    [
        (
            refusal(400, "ThrottlingException"),
            ("StoreUnavailable", true),
        ),
        (Reply::NoConnection, ("StoreUnavailable", true)),
        (
            refusal(400, "AccessDeniedException"),
            ("StoreDenied", false),
        ),
        (
            refusal(400, "ResourceNotFoundException"),
            ("StoreRejected", false),
        ),
    ]
}

/// The code of an outcome that is an error, and whether it is worth another try.
#[track_caller]
fn failed<T>(outcome: Result<T, StoreError>) -> (&'static str, bool) {
    let Err(error) = outcome else {
        panic!("expected an error");
    };
    (error.code(), error.retryable())
}
