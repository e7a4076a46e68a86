//! Events and who is told of them.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod common;

use common::{create, input, key, output, signed, transfer};
use offchain_codes::Coded;
use offchain_ledger::{Envelope, Event, Kind, Notice, Place, Subscriber, Transaction};
use serde_json::{Value, json};

const TRANSACTION: &str = "875647befa3ca68518d71c916c9275353b42b7eed89f4e6003fb6831599e1a5d";
const ASSET: &str = "78cecb07f1465442341dcf341b94b0dea988bf27084bafeddebf8e52921eedd3";

fn body() -> Value {
    json!({
        "type": "ledger.transaction",
        "timestamp": "2026-11-21T11:00:00.25Z",
        "data": {"height": 7, "asset_id": ASSET, "transaction_id": TRANSACTION}
    })
}

#[test]
fn a_notice_becomes_a_body() {
    for (place, told) in [
        (r#""height": 7"#, r#""height":7"#),
        (r#""block_id": "b7""#, r#""block_id":"b7""#),
    ] {
        let notice =
            format!(r#"{{{place}, "asset_id": "{ASSET}", "transaction_id": "{TRANSACTION}"}}"#);
        let event = Event::from(Notice::parse(&notice).unwrap());
        assert_eq!(event.webhook_id(), format!("evt_{TRANSACTION}"));
        let sent = Envelope::new(event.clone(), "2026-11-21T11:00:00Z".parse().unwrap());
        let json = sent.to_json();
        let expected = format!(
            r#"{{"type":"ledger.transaction","timestamp":"2026-11-21T11:00:00Z","data":{{{told},"asset_id":"{ASSET}","transaction_id":"{TRANSACTION}"}}}}"#
        );
        assert_eq!(json, expected);
        assert_eq!(Envelope::parse(json.as_bytes()).unwrap(), sent);
        // In a letter, too.
        let letter = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&letter).unwrap(), event);
    }
}

#[test]
fn what_a_later_version_adds_is_ignored() {
    let mut told = body();
    told["more"] = json!([1]);
    told["data"]["more"] = json!({});
    told["data"]["block_id"] = json!(null);
    let read = Envelope::parse(told.to_string().as_bytes()).unwrap();
    assert_eq!(read.kind, Kind::Transaction);
    assert_eq!(read.data.height, Some(7));
    assert_eq!(read.timestamp.to_string(), "2026-11-21T11:00:00.25Z");
}

#[test]
fn a_body_that_says_something_else_is_refused() {
    for (pointer, value, message) in [
        (
            "/type",
            json!("ledger.block"),
            "expected `ledger.transaction` in `type`",
        ),
        (
            "/type",
            json!(null),
            "expected `ledger.transaction` in `type`",
        ),
        (
            "/timestamp",
            json!("yesterday"),
            "expected a time of RFC 3339 in `timestamp`",
        ),
        (
            "/timestamp",
            json!(1),
            "expected a time of RFC 3339 in `timestamp`",
        ),
        (
            "/data",
            json!([7, ASSET, TRANSACTION]),
            "expected an object in `data`",
        ),
        (
            "/data/height",
            json!(null),
            "expected a height, or a `block_id` in `data.height`",
        ),
        (
            "/data/height",
            json!("7"),
            "expected a whole number of at most 64 bits in `data.height`",
        ),
        (
            "/data/asset_id",
            json!("7"),
            "expected an id of 64 hexadecimal digits in lower case in `data.asset_id`",
        ),
        (
            "/data/transaction_id",
            json!(null),
            "expected an id of 64 hexadecimal digits in lower case in `data.transaction_id`",
        ),
    ] {
        let mut told = body();
        *told.pointer_mut(pointer).unwrap() = value;
        let error = Envelope::parse(told.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((error.code(), error.retryable()), ("EventInvalid", false));
    }
    for bytes in [
        &b""[..],
        b"[]",
        b"\xff",
        b"{} {}",
        b"{\"type\":1,\"type\":1}",
    ] {
        assert_eq!(Envelope::parse(bytes).unwrap_err().code(), "EventInvalid");
    }
    for letter in [
        json!({"asset_id": ASSET, "transaction_id": TRANSACTION}),
        json!({"height": 1, "block_id": "b", "asset_id": ASSET, "transaction_id": TRANSACTION}),
        json!({"block_id": "", "asset_id": ASSET, "transaction_id": TRANSACTION}),
        json!({"height": 1, "asset_id": "", "transaction_id": TRANSACTION}),
    ] {
        assert!(serde_json::from_value::<Event>(letter).is_err());
    }
    let event = Event::new(
        TRANSACTION.parse().unwrap(),
        ASSET.parse().unwrap(),
        Place::Height(0),
    );
    assert_eq!(event.height, Some(0));
}

fn subscriber() -> Value {
    json!({"name": "insurer", "url": "https://insurer.example/hook", "secret_arn": "arn:1"})
}

#[test]
fn a_subscriber_is_told_what_it_asked_for() {
    let car = signed(create(json!({}), vec![output(1, 1)]), &[1]);
    let lease = signed(
        transfer(&car, vec![input(1, Some((&car, 0)))], vec![output(2, 1)]),
        &[1],
    );
    let [car, lease] = [car, lease].map(|text| Transaction::peek(&text.to_string()).unwrap());
    for (assets, owners, takes) in [
        (json!([]), json!([]), [true, true]),
        (json!([car.id]), json!([]), [true, true]),
        (json!([lease.id]), json!([]), [false, false]),
        (json!([lease.id, car.id]), json!([]), [true, true]),
        (json!([]), json!([key(1)]), [true, true]),
        (json!([]), json!([key(2)]), [false, true]),
        (json!([]), json!([key(3)]), [false, false]),
        (json!([car.id]), json!([key(2), key(3)]), [false, true]),
        (json!([lease.id]), json!([key(1)]), [false, false]),
    ] {
        let mut told = subscriber();
        told["assets"] = assets;
        told["owners"] = owners;
        let [subscriber] = Subscriber::list(&json!([told]).to_string())
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!([subscriber.takes(&car), subscriber.takes(&lease)], takes);
        let written = serde_json::to_string(&[&subscriber]).unwrap();
        assert_eq!(Subscriber::list(&written).unwrap(), [subscriber]);
    }
}

#[test]
fn a_list_of_subscribers_is_checked() {
    let list = |change: &dyn Fn(&mut Value)| {
        let mut told = subscriber();
        change(&mut told);
        Subscriber::list(&json!([told]).to_string())
    };
    assert_eq!(list(&|_| ()).unwrap()[0].assets.len(), 0);
    assert_eq!(Subscriber::list("[]").unwrap(), []);
    let name = "expected 1 to 32 characters out of a-z, 0-9 and `-` in `0.name`";
    for (member, value, message) in [
        ("name", json!(""), name),
        ("name", json!("a".repeat(33)), name),
        ("name", json!("A"), name),
        ("name", json!(null), name),
        ("url", json!(""), "expected a URL in `0.url`"),
        (
            "secret_arn",
            json!(1),
            "expected the ARN of a secret in `0.secret_arn`",
        ),
        ("assets", json!(null), "expected an array in `0.assets`"),
        (
            "assets",
            json!([1]),
            "expected an id of 64 hexadecimal digits in lower case in `0.assets.0`",
        ),
        (
            "owners",
            json!([key(1), "0"]),
            "expected a public key of 32 bytes in base58 in `0.owners.1`",
        ),
        ("secret", json!(1), "expected nothing in `0.secret`"),
    ] {
        let error = list(&|told| told[member] = value.clone()).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((error.code(), error.retryable()), ("ConfigInvalid", false));
    }
    let twice = Subscriber::list(&json!([subscriber(), subscriber()]).to_string()).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "expected names that are there once, found `insurer` twice"
    );
    assert_eq!(twice.code(), "ConfigInvalid");
    for text in ["", "{}", "[[]]", "[1]"] {
        assert!(Subscriber::list(text).is_err());
    }
}
