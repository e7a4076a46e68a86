//! The receiver and the recorder by themselves.

use std::time::Duration;

use offchain_codes::Coded;
use offchain_ledger::{Event, Id, Place};
use offchain_ledger_service::RecorderError;
use offchain_store::ledger::EventStatus;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::fleet::{DRIVERS, LESSOR};
use crate::people::{fulfilment, key, message, named, secret};
use crate::post::request;
use crate::weather::{Actor, Fate, Plan};
use crate::world::{Bridge, RECORDS, REJECTS, at_once};

fn id(transaction: &Value) -> Id {
    transaction["id"].as_str().unwrap().parse().unwrap()
}

/// The event of a transaction that is on the chain.
fn event(bridge: &Bridge, transaction: &Value) -> Event {
    let told = bridge.ledger.net().told[&id(transaction)].clone();
    Event::new(id(transaction), told.asset, Place::Height(told.height))
}

async fn post(bridge: &Bridge, event: &Event) -> (i64, Value) {
    let answer = bridge.town.receive(&request(event)).await;
    let body = match answer.body {
        Some(aws_lambda_events::encodings::Body::Text(text)) => {
            serde_json::from_str(&text).unwrap()
        }
        _ => Value::Null,
    };
    (answer.status_code, body)
}

/// Stores the events of these, each in a block of its own.
async fn stored(bridge: &Bridge, transactions: &[Value]) {
    for transaction in transactions {
        bridge
            .ledger
            .net()
            .mine(vec![transaction.clone()], Vec::new());
        assert_eq!(post(bridge, &event(bridge, transaction)).await.0, 202);
    }
    drop(bridge.memory.receive(RECORDS));
}

async fn record(bridge: &Bridge, transaction: &Value) -> Result<(), RecorderError> {
    let recorder = bridge.recorder(&Actor::new("recorder", &bridge.weather));
    recorder.record(&id(transaction)).await
}

/// What two drivers do with two cars.
fn lives(bridge: &mut Bridge) -> Vec<Value> {
    let [one, two, ..] = DRIVERS;
    let fleet = &mut bridge.fleet;
    vec![
        fleet.car(1_000_000),
        fleet.car(3_000_000),
        fleet.hand(0, one, 0),
        fleet.hand(1, one, 0),
        fleet.hand(0, two, 2),
        fleet.hand(0, two, 0),
        fleet.hand(1, LESSOR, 0),
        fleet.hand(1, two, 0),
        fleet.hand(0, one, 1),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_event_is_stored_once_and_the_recorder_is_told_until_it_counts() {
    let mut bridge = Bridge::new(1);
    let car = bridge.fleet.car(1_000_000);
    bridge.ledger.net().mine(vec![car.clone()], Vec::new());
    let event = event(&bridge, &car);
    assert_eq!(
        post(&bridge, &event).await,
        (202, json!({"status": "stored"}))
    );
    let (status, problem) = post(&bridge, &event).await;
    assert_eq!(
        (status, &problem["title"]),
        (401, &json!("WebhookReplayed"))
    );
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        post(&bridge, &event).await,
        (200, json!({"status": "duplicate"}))
    );
    assert_eq!(bridge.memory.receive(RECORDS).len(), 2);
    record(&bridge, &car).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        post(&bridge, &event).await,
        (200, json!({"status": "duplicate"}))
    );
    assert_eq!(bridge.memory.receive(RECORDS).len(), 0);
    let other = Event {
        height: Some(9),
        ..event
    };
    sleep(Duration::from_secs(2)).await;
    let (status, problem) = post(&bridge, &other).await;
    assert_eq!((status, &problem["title"]), (409, &json!("EventConflict")));
    let mut forged = request(&other);
    forged.body = Some(forged.body.unwrap().replace("\"height\":9", "\"height\":1"));
    let answer = bridge.town.receive(&forged).await;
    assert_eq!(answer.status_code, 401);
}

#[test]
fn transactions_count_in_any_order_twice_and_at_once() {
    for seed in 0..30 {
        at_once(async {
            let mut bridge = Bridge::new(seed);
            let all = lives(&mut bridge);
            stored(&bridge, &all).await;
            let mut dice = Dice::new(seed);
            let mut left: Vec<Value> = all.iter().chain(&all).cloned().collect();
            let mut tasks = Vec::new();
            while !left.is_empty() {
                let at = usize::try_from(dice.below(left.len() as u64)).unwrap();
                let transaction = left.swap_remove(at);
                let this = bridge.handle();
                tasks.push(tokio::spawn(async move {
                    while let Err(error) = record(&this, &transaction).await {
                        assert!(error.retryable(), "{error:?}");
                    }
                }));
                if dice.once_in(2) {
                    sleep(Duration::from_millis(dice.below(30))).await;
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
            bridge.follows(&all).await;
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_its_create_counts_when_the_create_comes() {
    let mut bridge = Bridge::new(1);
    let all = lives(&mut bridge);
    stored(&bridge, &all).await;
    for transaction in all.iter().rev() {
        record(&bridge, transaction).await.unwrap();
    }
    bridge.follows(&all).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_node_does_not_know_yet_is_worth_another_try() {
    let mut bridge = Bridge::new(1);
    let all = lives(&mut bridge);
    stored(&bridge, &all).await;
    for transaction in &all {
        bridge.ledger.net().late.insert(id(transaction), 2);
        for _ in 0..2 {
            let error = record(&bridge, transaction).await.unwrap_err();
            assert_eq!(
                (error.code(), error.retryable()),
                ("TransactionUnknown", true)
            );
        }
        record(&bridge, transaction).await.unwrap();
    }
    bridge.follows(&all).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_forged_is_rejected_and_changes_nothing() {
    let mut bridge = Bridge::new(1);
    let car = bridge.fleet.car(1_000_000);
    let leased = bridge.fleet.hand(0, DRIVERS[0], 0);
    stored(&bridge, &[car.clone(), leased.clone()]).await;
    record(&bridge, &car).await.unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut forged = leased.clone();
        change(&mut forged);
        forged
    };
    // Another signed for the lessor.
    let stolen = changed(&|forged| {
        use base64::Engine;
        let der = fulfilment(&secret(66), &message(forged, 0));
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(der);
        forged["inputs"][0]["fulfillment"] = text.into();
    });
    let renamed = named(stolen.clone());
    let kept_name = |mut forged: Value| {
        forged["id"] = leased["id"].clone();
        forged
    };
    for (forged, code) in [
        (
            changed(&|forged| forged["metadata"] = json!({"incidents": 5})),
            "TransactionIdMismatch",
        ),
        (stolen, "TransactionIdMismatch"),
        (
            changed(&|forged| forged["version"] = "1.0".into()),
            "TransactionMalformed",
        ),
        (kept_name(renamed.clone()), "TransactionIdMismatch"),
    ] {
        bridge
            .ledger
            .net()
            .forged
            .insert(id(&leased), forged.to_string());
        let error = record(&bridge, &leased).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, false));
        let rejected = bridge.events().load(&id(&leased)).await.unwrap().unwrap();
        assert_eq!(rejected.status, EventStatus::Rejected);
        assert_eq!(rejected.reason.as_deref(), Some(code));
        bridge.follows(std::slice::from_ref(&car)).await;
        bridge.memory.set(
            "events",
            leased["id"].as_str().unwrap(),
            "status",
            &json!({"S": "received"}),
        );
    }
    // What another has signed, under the name that it has by that.
    let event = Event::new(id(&renamed), id(&car), Place::Height(7));
    assert_eq!(post(&bridge, &event).await.0, 202);
    bridge
        .ledger
        .net()
        .forged
        .insert(id(&renamed), renamed.to_string());
    let error = record(&bridge, &renamed).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("FulfilmentInvalid", false)
    );
    bridge.ledger.net().forged.clear();
    record(&bridge, &leased).await.unwrap();
    bridge.follows(&[car, leased]).await;
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_asset_is_rejected() {
    let mut bridge = Bridge::new(1);
    let car = bridge.fleet.car(1_000_000);
    let leased = bridge.fleet.hand(0, DRIVERS[0], 0);
    stored(&bridge, std::slice::from_ref(&car)).await;
    bridge.ledger.net().mine(vec![leased.clone()], Vec::new());
    let event = Event::new(id(&leased), id(&leased), Place::Height(2));
    assert_eq!(post(&bridge, &event).await.0, 202);
    let error = record(&bridge, &leased).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("EventMismatch", false));
}

#[test]
fn premiums_follow_from_the_newest_record_whoever_comes_last() {
    let [one, two, three, ..] = DRIVERS;
    for seed in 0..40 {
        at_once(async {
            let mut bridge = Bridge::new(seed);
            let fleet = &mut bridge.fleet;
            let mut all: Vec<Value> = (0..4).map(|car| fleet.car(1_000_000 + car)).collect();
            all.extend((0..4).map(|car| fleet.hand(car, one, 0)));
            stored(&bridge, &all).await;
            for transaction in &all {
                record(&bridge, transaction).await.unwrap();
            }
            bridge.follows(&all).await;
            // Two of one driver's leases end, another goes on to the next.
            let fleet = &mut bridge.fleet;
            let ends = vec![
                fleet.hand(0, LESSOR, 0),
                fleet.hand(1, LESSOR, 3),
                fleet.hand(2, two, 0),
                fleet.hand(1, three, 0),
                fleet.hand(1, one, 1),
            ];
            stored(&bridge, &ends).await;
            let mut dice = Dice::new(seed);
            let mut tasks = Vec::new();
            for transaction in ends.clone() {
                let this = bridge.handle();
                let wait = Duration::from_millis(dice.below(40));
                tasks.push(tokio::spawn(async move {
                    sleep(wait).await;
                    record(&this, &transaction).await.unwrap();
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            all.extend(ends);
            bridge.follows(&all).await;
        });
    }
}

/// Nine transactions, one of which nobody signed; the recorder meets this fate
/// at its `nth` call. Returns how many calls it made.
async fn recorded(fate: Option<(usize, Fate)>) -> usize {
    let mut bridge = Bridge::new(3);
    let all = lives(&mut bridge);
    stored(&bridge, &all).await;
    let forged = Event::new(
        "1".repeat(64).parse().unwrap(),
        id(&all[0]),
        Place::Height(50),
    );
    assert_eq!(post(&bridge, &forged).await.0, 202);
    let nobody = forged.transaction_id.clone();
    bridge
        .ledger
        .net()
        .forged
        .insert(nobody.clone(), "{}".to_owned());
    if let Some((nth, fate)) = fate {
        let actor = "recorder";
        bridge.weather.plan(Plan::At { actor, nth, fate });
    }
    for transaction in &all {
        bridge.settled(&id(transaction)).await;
    }
    bridge.settled(&nobody).await;
    let calls = bridge.weather.calls("recorder");
    bridge.follows(&all).await;
    let letters = bridge.memory.view(|view| view.messages(REJECTS).to_vec());
    assert!((1..=2).contains(&letters.len()), "{letters:?}");
    for letter in &letters {
        assert_eq!(
            letter["MessageBody"],
            json!({"transaction_id": nobody}).to_string()
        );
    }
    let rejected = bridge.events().load(&nobody).await.unwrap().unwrap();
    assert_eq!(rejected.status, EventStatus::Rejected);
    assert_eq!(
        bridge.assets().driver(&key(LESSOR)).await.unwrap().version,
        0
    );
    calls
}

#[test]
fn a_recorder_may_meet_any_fate_at_any_call() {
    let calls = at_once(recorded(None));
    for fate in [
        Fate::DiesBefore,
        Fate::DiesAfter,
        Fate::Refused,
        Fate::Unanswered,
    ] {
        for nth in 1..=calls {
            let outcome = std::panic::catch_unwind(|| at_once(recorded(Some((nth, fate)))));
            assert!(outcome.is_ok(), "call {nth}: {fate:?}");
        }
    }
}
