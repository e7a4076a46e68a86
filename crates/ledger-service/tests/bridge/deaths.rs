//! Whatever call a listener makes: it may die there, be refused, hear nothing,
//! or stand still.

use std::time::Duration;

use tokio::time::sleep;

use crate::post::Mood;
use crate::weather::{Fate, Plan};
use crate::world::{Bridge, OTHER, at_once};

/// A small day: two blocks are there, another comes, and one subscriber refuses
/// some. Returns how many calls the listener made until all was well.
async fn day(fate: Option<(usize, Fate)>) -> usize {
    let mut bridge = Bridge::new(7);
    bridge.record();
    bridge.trade(2);
    bridge.trade(3);
    bridge.town.mood(OTHER, Mood::Refuses);
    if let Some((nth, fate)) = fate {
        let actor = "a";
        bridge.weather.plan(Plan::At { actor, nth, fate });
    }
    let holder = bridge.holder();
    let machine = bridge.machine("a", holder);
    sleep(Duration::from_secs(3)).await;
    bridge.trade(3);
    sleep(Duration::from_secs(12)).await;
    let calls = bridge.weather.calls("a");
    bridge.settle().await;
    bridge.holds().await;
    // What is done late is nobody's by then.
    if !matches!(fate, Some((_, Fate::Late))) {
        bridge.fenced();
    }
    assert!(!machine.is_finished());
    calls
}

/// The day, once for each call, which meets this fate.
fn each_call(fate: Fate) {
    let calls = at_once(day(None));
    assert!(calls > 40, "{calls}");
    for nth in 1..=calls {
        let outcome = std::panic::catch_unwind(|| at_once(day(Some((nth, fate)))));
        assert!(outcome.is_ok(), "call {nth}: {fate:?}");
    }
}

#[test]
fn a_listener_may_die_before_any_call() {
    each_call(Fate::DiesBefore);
}

#[test]
fn a_listener_may_die_after_any_call() {
    each_call(Fate::DiesAfter);
}

#[test]
fn any_call_may_be_refused() {
    each_call(Fate::Refused);
}

#[test]
fn any_reply_may_be_lost() {
    each_call(Fate::Unanswered);
}

#[test]
fn any_call_may_be_done_long_after_it_was_given_up() {
    each_call(Fate::Late);
}

#[test]
fn any_call_may_take_longer_than_the_lease() {
    each_call(Fate::Slow(Duration::from_secs(7)));
}
