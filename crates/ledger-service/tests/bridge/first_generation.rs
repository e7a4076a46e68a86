//! Nodes of the 1.x generation: their stream is all there is, for their blocks have
//! no heights.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::post::Mood;
use crate::weather::Actor;
use crate::world::{Bridge, DELIVERIES, End, LOCKS, OTHER, SUITE};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bridge() -> Bridge {
    let bridge = Bridge::new(1);
    bridge.ledger.net().is_first_generation = true;
    bridge
}

/// Waits until everybody has taken so many, and looks at what they have.
async fn taken(bridge: &Bridge, count: usize) {
    let began = Instant::now();
    while [SUITE, OTHER]
        .iter()
        .any(|name| bridge.town.count(name) < count)
    {
        sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < seconds(600), "{}", bridge.weather.trace());
    }
    // Who is told of some of them only.
    sleep(seconds(5)).await;
    bridge.told();
}

fn token(bridge: &Bridge) -> String {
    let lock = bridge.memory.items(LOCKS).remove(0);
    lock["Token"]["N"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_the_stream_says_is_told_to_whom_it_concerns() {
    let mut bridge = bridge();
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(2)).await;
    bridge.trade(20);
    taken(&bridge, 20).await;
    assert_eq!(bridge.cursor(), 0);
    assert!(bridge.memory.items(DELIVERIES).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_costs_time_and_not_the_lease() {
    let mut bridge = bridge();
    let mut stops = Vec::new();
    for name in ["a", "b"] {
        let (stop, stopped) = oneshot::channel::<()>();
        let holder = bridge.holder();
        let actor = Actor::new(name, &bridge.weather);
        let stopped = async { drop(stopped.await) };
        stops.push((stop, bridge.stand_by(&actor, holder, stopped)));
        sleep(seconds(2)).await;
    }
    let before = token(&bridge);
    // For twice as long as the lease lasts.
    bridge.ledger.net().slow = seconds(8);
    for _ in 0..10 {
        bridge.trade(3);
        sleep(seconds(5)).await;
    }
    taken(&bridge, 30).await;
    assert_eq!(token(&bridge), before);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_not_get_to_is_kept_when_it_ends() {
    let mut bridge = bridge();
    bridge.settings.run_seconds = 10;
    bridge.town.mood(OTHER, Mood::Slow(seconds(60)));
    let actor = Actor::new("a", &bridge.weather);
    let holder = bridge.holder();
    let run = bridge.run(&actor, holder);
    sleep(Duration::from_millis(9_900)).await;
    bridge.trade(20);
    let end = run.await.unwrap();
    assert!(
        matches!(&end, End::Ended(report) if report.delivered > 0),
        "{end:?}"
    );
    let kept = bridge.memory.items(DELIVERIES).len();
    assert!(kept >= 20, "{kept}");
    bridge.calm();
    drop(bridge.machine("b", holder));
    taken(&bridge, 20).await;
    assert!(bridge.memory.items(DELIVERIES).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_not_get_to_outlives_a_handover() {
    let mut bridge = bridge();
    bridge.town.mood(OTHER, Mood::Slow(seconds(60)));
    let actor = Actor::new("a", &bridge.weather);
    let holder = bridge.holder();
    let old = bridge.run(&actor, holder);
    sleep(seconds(3)).await;
    bridge.trade(20);
    sleep(Duration::from_millis(50)).await;
    let younger = Actor::new("b", &bridge.weather);
    let holder = bridge.holder();
    let young = bridge.run(&younger, holder);
    let end = old.await.unwrap();
    assert!(matches!(end, End::Ended(_)), "{end:?}");
    bridge.calm();
    young.await.unwrap();
    drop(bridge.machine("c", holder));
    taken(&bridge, 20).await;
    assert!(bridge.memory.items(DELIVERIES).is_empty());
}
