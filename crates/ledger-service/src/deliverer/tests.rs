//! Dead letters, with a carrier that only remembers.

use std::sync::Mutex;

use offchain_ledger::{Id, Place};
use offchain_outbound::OutboundError;
use serde_json::json;

use super::*;

/// Refuses with a status, or takes what it is given.
#[derive(Default)]
struct Memory {
    refuses: Option<u16>,
    carried: Mutex<Vec<(String, Event)>>,
}

impl Carrier for Memory {
    async fn carry(&self, subscriber: &Subscriber, event: &Event) -> Result<(), DeliveryError> {
        let mut carried = self.carried.lock().unwrap();
        carried.push((subscriber.url.clone(), event.clone()));
        match self.refuses {
            Some(status) => Err(DeliveryError::Refused(OutboundError::Status(status))),
            None => Ok(()),
        }
    }
}

fn deliverer(refuses: Option<u16>) -> Deliverer<Memory> {
    let subscribers = json!(["other", "ledger"].map(|name| json!({
        "name": name,
        "url": format!("https://{name}.test/events"),
        "secret_arn": "arn:secret",
        "assets": [],
        "owners": [],
    })));
    Deliverer {
        carrier: Memory {
            refuses,
            ..Memory::default()
        },
        subscribers: Subscriber::list(&subscribers.to_string()).unwrap(),
    }
}

fn id(digit: char) -> Id {
    String::from(digit).repeat(64).parse().unwrap()
}

fn event() -> Event {
    Event::new(id('b'), id('a'), Place::Height(7))
}

fn letter(subscriber: &str) -> Letter {
    let letter = json!({ "subscriber": subscriber, "event": event() });
    serde_json::from_value(letter).unwrap()
}

#[tokio::test]
async fn a_letter_is_brought_once_to_the_one_that_it_names() {
    let deliverer = deliverer(None);
    let delivered = deliverer.deliver(&letter("ledger")).await.unwrap();
    assert_eq!(
        serde_json::to_value(delivered).unwrap(),
        json!({ "status": "delivered" })
    );
    let carried = deliverer.carrier.carried.lock().unwrap();
    assert_eq!(
        *carried,
        [("https://ledger.test/events".to_owned(), event())]
    );
}

#[tokio::test]
async fn a_letter_that_is_not_taken_fails_with_its_reason_and_may_go_back() {
    let deliverer = deliverer(Some(410));
    let error = deliverer.deliver(&letter("ledger")).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("RemoteStatus", true));
    assert_eq!(deliverer.carrier.carried.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_is_told_where_the_subscriber_is_gone() {
    let deliverer = deliverer(None);
    let long = "x".repeat(1000);
    for name in ["gone", "", "Ledger", &long] {
        let error = deliverer.deliver(&letter(name)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("SubscriberUnknown", false)
        );
        let said = error.to_string();
        assert!(said.contains("the name of a subscriber"), "{said}");
        assert!(said.len() < 200, "{said}");
    }
    assert!(deliverer.carrier.carried.lock().unwrap().is_empty());
}

#[test]
fn a_letter_of_another_shape_is_refused() {
    for letter in [
        json!({}),
        json!({ "subscriber": "ledger" }),
        json!({ "event": event() }),
        json!({ "subscriber": 1, "event": event() }),
        json!({ "subscriber": "ledger", "event": { "height": 7 } }),
        json!({ "subscriber": "ledger", "event": event(), "attempts": 9 }),
    ] {
        let read = serde_json::from_value::<Letter>(letter.clone());
        assert!(read.is_err(), "{letter}");
    }
}
