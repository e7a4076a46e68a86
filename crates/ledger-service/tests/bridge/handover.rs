//! Runs that follow each other, and listeners that stand by.

use std::time::Duration;

use offchain_ledger_service::Outcome;
use offchain_store::ledger::Cursor;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::weather::{Actor, Fate, Plan};
use crate::world::{Bridge, End, at_once};

fn handed_over(end: &End) -> bool {
    matches!(end, End::Ended(report) if report.outcome == Outcome::HandedOver)
}

#[tokio::test(start_paused = true)]
async fn a_younger_run_takes_over_at_once_and_the_older_one_ends() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.trade(4);
    let (older, younger) = (
        Actor::new("a", &bridge.weather),
        Actor::new("b", &bridge.weather),
    );
    let first = bridge.run(&older, 1000);
    sleep(Duration::from_secs(5)).await;
    bridge.trade(4);
    let second = bridge.run(&younger, 1001);
    let ended = tokio::time::timeout(Duration::from_secs(3), first).await;
    assert!(handed_over(&ended.unwrap().unwrap()));
    bridge.settle().await;
    bridge.holds().await;
    bridge.fenced();
    // It ends by itself, and leaves the lease free.
    let end = second.await.unwrap();
    let End::Ended(report) = &end else {
        panic!("{end:?}")
    };
    assert_eq!(report.outcome, Outcome::TimeUp);
    assert_eq!(report.height, bridge.ledger.net().height());
    let (state, _) = bridge.feed().look().await.unwrap().unwrap();
    assert_eq!(state.holder, None);
}

#[tokio::test(start_paused = true)]
async fn an_older_run_leaves_it_to_the_younger_one() {
    let bridge = Bridge::new(1);
    let (older, younger) = (
        Actor::new("a", &bridge.weather),
        Actor::new("b", &bridge.weather),
    );
    let first = bridge.run(&younger, 1001);
    sleep(Duration::from_secs(2)).await;
    let end = bridge.run(&older, 1000).await.unwrap();
    assert!(handed_over(&end), "{end:?}");
    assert!(!first.is_finished());
    // Once the younger one is gone, and with it its lease, it is needed.
    younger.kill();
    sleep(Duration::from_secs(5)).await;
    let again = bridge.run(&older, 1000);
    sleep(Duration::from_secs(30)).await;
    assert!(!again.is_finished());
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_of_one_number_the_later_one_listens() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    let first = bridge.run(&Actor::new("a", &bridge.weather), 1000);
    sleep(Duration::from_secs(2)).await;
    bridge.trade(3);
    let second = bridge.run(&Actor::new("b", &bridge.weather), 1000);
    assert!(handed_over(&first.await.unwrap()));
    bridge.settle().await;
    bridge.holds().await;
    bridge.fenced();
    assert!(!second.is_finished());
}

/// The holder stands still before its `nth` call, for longer than its lease,
/// and finds that another listens. Returns how many calls it made.
async fn pause(nth: usize) -> usize {
    let mut bridge = Bridge::new(11);
    bridge.record();
    bridge.trade(3);
    bridge.trade(2);
    bridge.weather.plan(Plan::At {
        actor: "a",
        nth,
        fate: Fate::Pauses(Duration::from_secs(20)),
    });
    let mut stops = Vec::new();
    let mut daemons = Vec::new();
    for (name, holder) in [("a", 5), ("b", 6)] {
        let (stop, stopped) = oneshot::channel::<()>();
        let actor = Actor::new(name, &bridge.weather);
        daemons.push(bridge.stand_by(&actor, holder, async { drop(stopped.await) }));
        stops.push(stop);
        sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..5 {
        sleep(Duration::from_secs(2)).await;
        bridge.trade(2);
    }
    let calls = bridge.weather.calls("a");
    bridge.settle().await;
    bridge.holds().await;
    bridge.fenced();
    drop(stops);
    for daemon in daemons {
        assert!(daemon.await.unwrap().unwrap().is_ok());
    }
    let (state, cursor) = bridge.feed().look().await.unwrap().unwrap();
    assert_eq!((state.holder, cursor.unwrap().height), (None, 7));
    calls
}

#[test]
fn a_holder_that_stands_still_before_any_call_moves_the_cursor_no_more() {
    let calls = at_once(pause(0));
    assert!(calls > 40, "{calls}");
    for nth in 1..=calls {
        let outcome = std::panic::catch_unwind(|| at_once(pause(nth)));
        assert!(outcome.is_ok(), "call {nth}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_set_back_by_hand_brings_everything_again() {
    let mut bridge = Bridge::new(3);
    bridge.record();
    for _ in 0..5 {
        bridge.trade(2);
    }
    let holder = bridge.holder();
    let machine = bridge.machine("a", holder);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bridge.cursor(), 5);
    assert_eq!(bridge.holds().await, 0);
    let back = Cursor {
        height: 2,
        mark: None,
    };
    bridge.feed().rewind(&back).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    bridge.trade(2);
    bridge.settle().await;
    let again = bridge.holds().await;
    assert!((6..=18).contains(&again), "{again}");
    bridge.fenced();
    assert!(!machine.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_goes_on_after_a_cursor_set_back_by_hand() {
    let mut bridge = Bridge::new(3);
    bridge.record();
    for _ in 0..4 {
        bridge.trade(2);
    }
    let actor = Actor::new("a", &bridge.weather);
    let daemon = bridge.stand_by(&actor, 77, std::future::pending());
    sleep(Duration::from_secs(8)).await;
    let back = Cursor::default();
    bridge.feed().rewind(&back).await.unwrap();
    bridge.settle().await;
    assert!(bridge.holds().await >= 8);
    assert!(!daemon.is_finished());
}
