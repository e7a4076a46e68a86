//! Subscribers that are gone, or hang, and those beside them.

use std::time::Duration;

use offchain_ledger_service::{Deliverer, Letter};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fleet::{DRIVERS, LESSOR};
use crate::post::{Mood, Post};
use crate::weather::{Actor, Fate, Plan};
use crate::world::{Bridge, DELIVERIES, LETTERS, OTHER, SUITE, at_once};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn letters(bridge: &Bridge) -> Vec<Value> {
    bridge.memory.view(|view| view.messages(LETTERS).to_vec())
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_a_letter_and_what_is_behind_it_goes_on() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.settings.retry_schedule = offchain_ledger::Schedule::new(&[5, 30]).unwrap();
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(2)).await;
    bridge.town.mood(OTHER, Mood::Gone);
    let created = bridge.fleet.car(1_000_000);
    bridge.ledger.net().mine(vec![created.clone()], Vec::new());
    sleep(seconds(20)).await;
    assert!(letters(&bridge).is_empty());
    // Nobody else waits for it.
    assert_eq!(bridge.town.taken(SUITE).len(), 1);
    let leased = bridge.fleet.hand(0, DRIVERS[0], 0);
    bridge.ledger.net().mine(vec![leased.clone()], Vec::new());
    sleep(seconds(3)).await;
    assert_eq!(bridge.town.taken(SUITE).len(), 2);
    assert_eq!(bridge.cursor(), 2);
    sleep(seconds(25)).await;
    let given_up = letters(&bridge);
    assert_eq!(given_up.len(), 1, "{given_up:?}");
    let letter: Value = serde_json::from_str(given_up[0]["MessageBody"].as_str().unwrap()).unwrap();
    let expected = json!({
        "subscriber": OTHER,
        "event": {"height": 1, "asset_id": created["id"], "transaction_id": created["id"]},
    });
    assert_eq!(letter, expected);
    let code = &given_up[0]["MessageAttributes"]["ErrorCode"]["StringValue"];
    assert_eq!(code, "RemoteUnreachable");
    bridge.settle().await;
    bridge.holds().await;
    let taken = bridge.town.taken(OTHER);
    assert_eq!(taken.len(), 1);
    assert_eq!(
        taken[0].transaction_id.to_string(),
        leased["id"].as_str().unwrap()
    );
    // The letter is redriven.
    let deliverer = Deliverer {
        carrier: Post {
            town: bridge.town.clone(),
            actor: Actor::new("deliverer", &bridge.weather),
        },
        subscribers: crate::world::subscribers(),
    };
    let letter: Letter = serde_json::from_value(letter).unwrap();
    deliverer.deliver(&letter).await.unwrap();
    assert_eq!(bridge.town.taken(OTHER).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_the_queue_does_not_take_is_not_lost() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.settings.retry_schedule = offchain_ledger::Schedule::new(&[]).unwrap();
    bridge.town.mood(OTHER, Mood::Gone);
    let created = bridge.fleet.car(1_000_000);
    bridge.ledger.net().mine(vec![created], Vec::new());
    // Half of all calls fail for a while.
    let weights = [1, 1, 0, 0, 0, 0, 0];
    bridge.weather.plan(Plan::Now {
        once_in: 2,
        weights,
    });
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(60)).await;
    bridge.weather.plan(Plan::Calm);
    sleep(seconds(60)).await;
    // What the suite stored and has told nobody of may be among the letters.
    assert!(!letters(&bridge).is_empty());
    bridge.calm();
    sleep(seconds(60)).await;
    assert_eq!(
        (bridge.cursor(), bridge.memory.items(DELIVERIES).len()),
        (1, 0)
    );
    bridge.told();
}

#[tokio::test(start_paused = true)]
async fn with_too_much_waiting_no_further_block_is_read_until_less_waits() {
    let mut bridge = Bridge::new(2);
    bridge.record();
    bridge.settings.max_kept = 5;
    bridge.settings.run_seconds = 800;
    bridge.settings.retry_schedule =
        offchain_ledger::Schedule::new(&[5, 5, 5, 5, 5, 5, 5, 5]).unwrap();
    bridge.town.mood(OTHER, Mood::Gone);
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    for number in 0..40 {
        let car = bridge.fleet.car(1_000_000 + number);
        bridge.ledger.net().mine(vec![car], Vec::new());
        sleep(Duration::from_millis(250)).await;
    }
    sleep(seconds(10)).await;
    // What was read when there was room is kept.
    let kept = bridge.memory.items(DELIVERIES).len();
    assert!((5..10).contains(&kept), "{kept}");
    assert_eq!(bridge.cursor(), kept as u64);
    assert_eq!(bridge.town.taken(SUITE).len(), kept);
    bridge.town.mood(OTHER, Mood::Open);
    sleep(seconds(20)).await;
    assert_eq!(bridge.cursor(), 40);
    bridge.settle().await;
    bridge.holds().await;
    assert!(letters(&bridge).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_hangs_slows_nobody_else() {
    let mut bridge = Bridge::new(3);
    // To look at each write takes long with so many.
    bridge.memory.watch(Box::new(|_| {}));
    bridge.settings.run_seconds = 800;
    bridge.settings.concurrency = 16;
    bridge.town.mood(SUITE, Mood::Slow(seconds(60)));
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(2)).await;
    let mut slowest = Duration::ZERO;
    // Many more than the listener has under way at once.
    for second in 1..=20 {
        let cars = (0..100).map(|number| bridge.fleet.car(1_000_000 + second * 100 + number));
        let cars: Vec<_> = cars.collect();
        bridge.ledger.net().mine(cars, Vec::new());
        let mined = Instant::now();
        while bridge.town.count(OTHER) < usize::try_from(second * 100).unwrap() {
            sleep(Duration::from_millis(20)).await;
            assert!(mined.elapsed() < seconds(30), "{second}");
        }
        slowest = slowest.max(mined.elapsed());
        sleep(seconds(1).saturating_sub(mined.elapsed())).await;
    }
    assert!(slowest < seconds(1), "{slowest:?}");
}

/// A hundred and fifty deliveries wait when the process dies, between the parts
/// of what is written at once.
async fn many(fate: Option<(usize, Fate)>) -> usize {
    let mut bridge = Bridge::new(5);
    bridge.settings.run_seconds = 800;
    bridge.town.mood(OTHER, Mood::Gone);
    let cars: Vec<_> = (0..150)
        .map(|number| bridge.fleet.car(1_000_000 + number))
        .collect();
    bridge.ledger.net().mine(cars, Vec::new());
    if let Some((nth, fate)) = fate {
        let actor = "a";
        bridge.weather.plan(Plan::At { actor, nth, fate });
    }
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(10)).await;
    let calls = bridge.weather.calls("a");
    sleep(seconds(20)).await;
    let waits = bridge.memory.items(DELIVERIES).len();
    let beats = bridge.beats.lock().unwrap().clone();
    assert_eq!(waits, 150);
    assert_eq!(beats.last().unwrap().kept, waits, "{beats:?}");
    bridge.calm();
    sleep(seconds(40)).await;
    assert_eq!(bridge.memory.items(DELIVERIES).len(), 0);
    assert_eq!(bridge.cursor(), 1);
    sleep(seconds(10)).await;
    assert_eq!(bridge.beats.lock().unwrap().last().unwrap().kept, 0);
    bridge.weather.is_right();
    calls
}

#[test]
fn what_waits_is_counted_once_wherever_its_keeping_broke_off() {
    let calls = at_once(many(None));
    let fates = [
        Fate::DiesBefore,
        Fate::DiesAfter,
        Fate::Unanswered,
        Fate::Refused,
    ];
    for fate in fates {
        for nth in (calls.saturating_sub(30)..calls).step_by(6) {
            let outcome = std::panic::catch_unwind(|| at_once(many(Some((nth, fate)))));
            assert!(outcome.is_ok(), "call {nth} of {calls}: {fate:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_already_waits_once_when_the_cursor_is_set_back() {
    let mut bridge = Bridge::new(6);
    bridge.record();
    bridge.settings.run_seconds = 800;
    bridge.town.mood(OTHER, Mood::Gone);
    for number in 0..6 {
        let car = bridge.fleet.car(1_000_000 + number);
        let leased = bridge
            .fleet
            .hand(usize::try_from(number).unwrap(), DRIVERS[1], 0);
        let back = bridge
            .fleet
            .hand(usize::try_from(number).unwrap(), LESSOR, 0);
        bridge
            .ledger
            .net()
            .mine(vec![car, leased, back], Vec::new());
    }
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(10)).await;
    assert_eq!(bridge.memory.items(DELIVERIES).len(), 18);
    bridge
        .feed()
        .rewind(&offchain_store::ledger::Cursor::default())
        .await
        .unwrap();
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 6);
    let before = bridge.weather.calls("a");
    sleep(seconds(20)).await;
    assert_eq!(bridge.beats.lock().unwrap().last().unwrap().kept, 18);
    let calls = bridge.weather.calls("a") - before;
    assert!(calls < 100, "{calls} calls in 20 s");
    bridge.town.mood(OTHER, Mood::Open);
    sleep(seconds(40)).await;
    assert_eq!(bridge.memory.items(DELIVERIES).len(), 0);
    bridge.settle().await;
    bridge.holds().await;
}

/// One call's reply is lost while a subscriber is gone for seconds.
async fn unsure(nth: usize) {
    let mut bridge = Bridge::new(7);
    bridge.settings.run_seconds = 800;
    bridge.town.mood(OTHER, Mood::Gone);
    let fate = Fate::Unanswered;
    let actor = "a";
    bridge.weather.plan(Plan::At { actor, nth, fate });
    bridge.trade(3);
    bridge.trade(3);
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(4)).await;
    bridge.town.mood(OTHER, Mood::Open);
    sleep(seconds(30)).await;
    let waits = bridge.memory.items(DELIVERIES);
    assert!(waits.is_empty(), "{waits:?}");
    bridge.told();
}

#[test]
fn what_was_put_into_the_table_unheard_is_taken_out_of_it() {
    for nth in 1..50 {
        let outcome = std::panic::catch_unwind(|| at_once(unsure(nth)));
        assert!(outcome.is_ok(), "call {nth}");
    }
}
