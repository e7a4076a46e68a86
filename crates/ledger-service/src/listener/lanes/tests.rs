//! Lanes, moved by hand through what a listener's day brings.

use offchain_ledger::{Event, Place};

use super::*;

/// So many seconds after some moment.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn id(digit: char) -> Id {
    digit.to_string().repeat(64).parse().unwrap()
}

/// The delivery of what happens to an asset at a height.
fn item(asset: char, height: u64, held: Held) -> Item {
    let event = Event::new(id('f'), id(asset), Place::Height(height));
    Item {
        delivery: Delivery {
            subscriber: "ledger".to_owned(),
            position: Delivery::position(height, 0, &event.transaction_id),
            event,
            attempts: 0,
            next_attempt: at(0).into(),
            reason: None,
        },
        held,
    }
}

fn read(asset: char, height: u64) -> Item {
    item(asset, height, Held::Chain(height))
}

fn heights(deliveries: &[(LaneKey, Delivery)]) -> Vec<u64> {
    let heights = deliveries.iter().map(|(_, one)| one.event.height);
    heights.map(Option::unwrap).collect()
}

/// Takes the next delivery, and has it fail until a moment.
fn fail_next(lanes: &mut Lanes, until: Timestamp) -> LaneKey {
    let (key, item) = lanes.take(0, 1).unwrap();
    let mut delivery = item.delivery;
    delivery.attempts += 1;
    delivery.next_attempt = until.into();
    lanes.postpone(&key, delivery);
    key
}

/// Does what a checkpoint does that takes at most so many.
fn keep(lanes: &mut Lanes, most: usize) -> Vec<u64> {
    let keep = lanes.to_keep(most);
    for (key, delivery) in &keep {
        let height = delivery.event.height.unwrap();
        assert_eq!(
            lanes.kept(key, &delivery.position),
            Some(Held::Chain(height))
        );
    }
    heights(&keep)
}

#[test]
fn none_of_an_asset_overtakes_another() {
    let mut lanes = Lanes::new(1);
    for (asset, height) in [('a', 1), ('a', 2), ('b', 3)] {
        assert!(lanes.push(0, read(asset, height)));
    }
    let (first, item) = lanes.take(0, 9).unwrap();
    assert_eq!(item.delivery.event.height, Some(1));
    let (other, item) = lanes.take(0, 9).unwrap();
    assert_eq!(item.delivery.event.height, Some(3));
    assert!(lanes.take(0, 9).is_none(), "the second of a is behind");
    lanes.done(&first);
    lanes.done(&other);
    let (_, item) = lanes.take(0, 9).unwrap();
    assert_eq!(item.delivery.event.height, Some(2));
}

#[test]
fn a_subscriber_has_no_more_under_way_than_it_may() {
    let mut lanes = Lanes::new(2);
    for asset in ['a', 'b', 'c'] {
        lanes.push(0, read(asset, 1));
    }
    lanes.push(1, read('a', 1));
    let (first, _) = lanes.take(0, 2).unwrap();
    assert!(lanes.take(0, 2).is_some());
    assert!(lanes.take(0, 2).is_none());
    assert!(lanes.take(1, 2).is_some(), "another's are its own");
    lanes.done(&first);
    assert!(lanes.take(0, 2).is_some());
}

#[test]
fn what_is_ready_or_under_way_is_not_kept() {
    let mut lanes = Lanes::new(1);
    lanes.push(0, read('a', 1));
    assert!(!lanes.has_unkept());
    lanes.take(0, 1).unwrap();
    lanes.push(0, read('a', 2));
    assert!(!lanes.has_unkept());
    assert!(lanes.to_keep(9).is_empty());
}

#[test]
fn what_failed_is_kept_once_with_all_behind_it() {
    let mut lanes = Lanes::new(1);
    lanes.push(0, read('a', 1));
    lanes.push(0, read('a', 2));
    fail_next(&mut lanes, at(5));
    assert!(lanes.has_unkept());
    assert_eq!(keep(&mut lanes, 9), [1, 2]);
    assert!(!lanes.has_unkept());
    assert_eq!(lanes.in_table(), 2);
    // One that comes behind them waits as well, and is the only one to keep.
    lanes.push(0, read('a', 3));
    assert!(lanes.has_unkept());
    assert_eq!(keep(&mut lanes, 9), [3]);
    assert!(lanes.to_keep(9).is_empty());
}

#[test]
fn more_than_one_write_takes_is_kept_by_the_next_ones() {
    let mut lanes = Lanes::new(1);
    for (asset, height) in [('a', 1), ('a', 2), ('a', 3), ('b', 4)] {
        lanes.push(0, read(asset, height));
    }
    lanes.rest(0, at(5));
    let mut kept = Vec::new();
    while lanes.has_unkept() {
        let now = keep(&mut lanes, 2);
        assert!((1..=2).contains(&now.len()));
        kept.extend(now);
    }
    assert_eq!(kept, [1, 2, 3, 4]);
}

#[test]
fn what_is_due_again_is_no_longer_kept() {
    let mut lanes = Lanes::new(1);
    lanes.push(0, read('a', 1));
    let key = fail_next(&mut lanes, at(5));
    assert_eq!(lanes.next_due(), Some(at(5)));
    lanes.wake(at(4));
    assert!(lanes.take(0, 1).is_none(), "it is not due");
    lanes.wake(at(5));
    assert!(!lanes.has_unkept());
    let (again, item) = lanes.take(0, 1).unwrap();
    assert_eq!((again, item.delivery.attempts), (key.clone(), 1));
    assert_eq!(lanes.done(&key).map(|item| item.held), Some(Held::Chain(1)));
}

#[test]
fn behind_what_was_kept_the_new_waits_its_turn() {
    let mut lanes = Lanes::new(1);
    lanes.push(0, item('a', 1, Held::Table));
    lanes.push(0, read('a', 2));
    assert!(lanes.has_unkept(), "its first waits");
    lanes.wake(at(0));
    let (key, _) = lanes.take(0, 1).unwrap();
    assert!(!lanes.has_unkept(), "its first is under way");
    lanes.done(&key);
    assert_eq!(lanes.in_table(), 0);
    // The next one fails: it is kept as the first one was.
    fail_next(&mut lanes, at(5));
    assert_eq!(keep(&mut lanes, 9), [2]);
}

#[test]
fn what_the_table_has_is_not_taken_from_the_chain_again() {
    let mut lanes = Lanes::new(1);
    for height in [1, 2] {
        lanes.push(0, item('a', height, Held::Table));
    }
    assert!(!lanes.push(0, read('a', 1)));
    assert!(lanes.push(0, read('a', 3)));
    assert_eq!(keep(&mut lanes, 9), [3]);
}
