//! Streams that starve, die and lie, nodes that are gone, and chains that are
//! others than they were.

use std::time::Duration;

use offchain_store::ledger::Cursor;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::chain::Flow;
use crate::weather::Actor;
use crate::world::{Bridge, End, LETTERS, SUITE};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A bridge that listens at some blocks.
async fn listening() -> Bridge {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.trade(2);
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 1);
    bridge
}

/// How long it takes until the suite has taken what comes in one more block.
async fn one_more(bridge: &mut Bridge) -> Duration {
    let before = bridge.town.taken(SUITE).len();
    bridge.trade(1);
    let mined = Instant::now();
    while bridge.town.taken(SUITE).len() == before {
        sleep(Duration::from_millis(10)).await;
        assert!(mined.elapsed() < seconds(60), "{}", bridge.weather.trace());
    }
    mined.elapsed()
}

async fn well(bridge: &Bridge) {
    bridge.settle().await;
    bridge.holds().await;
    bridge.fenced();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_well_tells_at_once() {
    let mut bridge = listening().await;
    for _ in 0..5 {
        let took = one_more(&mut bridge).await;
        assert!(took < Duration::from_millis(200), "{took:?}");
        sleep(Duration::from_millis(700)).await;
    }
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_stream_events_come_by_looking() {
    for flow in [Flow::Starved, Flow::Closed] {
        let mut bridge = listening().await;
        bridge.ledger.net().flow = flow;
        if flow == Flow::Closed {
            bridge.ledger.net().cut();
        }
        for _ in 0..20 {
            let took = one_more(&mut bridge).await;
            assert!(took < seconds(3), "{flow:?}: {took:?}");
            sleep(seconds(1)).await;
        }
        // A starved one is opened anew, and tells at once again.
        bridge.ledger.net().flow = Flow::Open;
        bridge.ledger.net().cut();
        sleep(seconds(35)).await;
        let took = one_more(&mut bridge).await;
        assert!(took < Duration::from_millis(200), "{flow:?}: {took:?}");
        well(&bridge).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_starved_stream_is_opened_anew() {
    let mut bridge = listening().await;
    // It is forgotten by the server, which takes others.
    bridge.ledger.net().forget();
    one_more(&mut bridge).await;
    sleep(seconds(10)).await;
    let took = one_more(&mut bridge).await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn where_the_stream_cannot_be_opened_from_the_first_events_come_by_looking() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.ledger.net().flow = Flow::Closed;
    let holder = bridge.holder();
    drop(bridge.machine("a", holder));
    sleep(seconds(5)).await;
    for _ in 0..10 {
        let took = one_more(&mut bridge).await;
        assert!(took < seconds(4), "{took:?}");
        sleep(seconds(1)).await;
    }
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn nonsense_on_the_stream_changes_nothing() {
    let mut bridge = listening().await;
    for _ in 0..5 {
        bridge.ledger.net().babble();
        let took = one_more(&mut bridge).await;
        assert!(took < seconds(3), "{took:?}");
        sleep(seconds(4)).await;
    }
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lies_about_heights_costs_seconds() {
    for lie in [0, 3, 1000, u64::MAX] {
        let mut bridge = listening().await;
        bridge.ledger.net().lie(lie);
        sleep(seconds(60)).await;
        for _ in 0..8 {
            let took = one_more(&mut bridge).await;
            assert!(took < seconds(3), "{lie}: {took:?}");
            sleep(seconds(7)).await;
        }
        assert!(bridge.beats.lock().unwrap().last().unwrap().lag < 2);
        // Nor is a starved stream overlooked.
        bridge.ledger.net().forget();
        one_more(&mut bridge).await;
        sleep(seconds(12)).await;
        let took = one_more(&mut bridge).await;
        assert!(took < Duration::from_millis(200), "{lie}: {took:?}");
        well(&bridge).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_may_be_gone_for_long() {
    let mut bridge = listening().await;
    bridge.ledger.net().fail();
    bridge.trade(2);
    sleep(seconds(300)).await;
    bridge.ledger.net().up = true;
    sleep(seconds(35)).await;
    assert_eq!(bridge.cursor(), 2);
    let took = one_more(&mut bridge).await;
    assert!(took < Duration::from_millis(200), "{took:?}");
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_without_a_node_fails_and_leaves_the_lease_free() {
    let bridge = Bridge::new(1);
    bridge.ledger.net().fail();
    let end = bridge
        .run(&Actor::new("a", &bridge.weather), 1000)
        .await
        .unwrap();
    assert!(
        matches!(end, End::Failed("RemoteUnreachable", true)),
        "{end:?}"
    );
    let (state, cursor) = bridge.feed().look().await.unwrap().unwrap();
    assert_eq!((state.holder, cursor), (None, None));
}

#[tokio::test(start_paused = true)]
async fn two_daemons_on_a_slow_node_do_not_take_the_lease_from_each_other() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    for _ in 0..5 {
        bridge.trade(2);
    }
    bridge.ledger.net().slow = seconds(5);
    let mut stops = Vec::new();
    for (name, holder) in [("a", 5), ("b", 6)] {
        let (stop, stopped) = oneshot::channel::<()>();
        let actor = Actor::new(name, &bridge.weather);
        drop(bridge.stand_by(&actor, holder, async { drop(stopped.await) }));
        stops.push(stop);
    }
    sleep(seconds(100)).await;
    assert_eq!(bridge.cursor(), 5);
    let (state, _) = bridge.feed().look().await.unwrap().unwrap();
    assert!(state.token < 4, "{state:?}");
    well(&bridge).await;
}

/// How a run ends on the chain as it is now; the cursor stays.
async fn reset(bridge: &Bridge) {
    let before = bridge.cursor();
    let end = bridge
        .run(&Actor::new("b", &bridge.weather), 9999)
        .await
        .unwrap();
    assert!(matches!(end, End::Failed("ChainReset", false)), "{end:?}");
    assert_eq!(bridge.cursor(), before);
    let (state, _) = bridge.feed().look().await.unwrap().unwrap();
    assert_eq!(state.holder, None);
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_is_shorter_than_it_was_is_another() {
    let mut bridge = listening().await;
    bridge.trade(2);
    bridge.trade(1);
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 3);
    bridge.ledger.net().reset();
    bridge.trade(1);
    // It is noticed while it is listened to, and after.
    sleep(seconds(30)).await;
    let (state, _) = bridge.feed().look().await.unwrap().unwrap();
    assert_eq!(state.holder, None);
    reset(&bridge).await;
    // The operator says that it is meant to be so.
    bridge.feed().rewind(&Cursor::default()).await.unwrap();
    drop(bridge.machine("c", 10_000));
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chain_with_another_block_at_the_cursor_is_another() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.trade(2);
    bridge.trade(2);
    let actor = Actor::new("a", &bridge.weather);
    drop(bridge.run(&actor, 1000));
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 2);
    actor.kill();
    bridge.ledger.net().reset();
    for _ in 0..4 {
        bridge.trade(1);
    }
    reset(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_block_at_the_cursor_does_not_hide_another_chain() {
    let mut bridge = Bridge::new(1);
    bridge.record();
    bridge.trade(2);
    bridge.ledger.net().mine(vec![], vec![]);
    let actor = Actor::new("a", &bridge.weather);
    drop(bridge.run(&actor, 1000));
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 2);
    actor.kill();
    bridge.ledger.net().reset();
    bridge.trade(1);
    for _ in 0..2 {
        bridge.ledger.net().mine(vec![], vec![]);
    }
    reset(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn another_chain_that_grew_past_the_cursor_is_noticed_while_it_is_listened_to() {
    let mut bridge = listening().await;
    bridge.ledger.net().fail();
    bridge.ledger.net().reset();
    sleep(seconds(1)).await;
    for _ in 0..4 {
        bridge.trade(1);
    }
    bridge.ledger.net().up = true;
    sleep(seconds(60)).await;
    assert_eq!(bridge.cursor(), 1);
    reset(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_for_a_moment_is_not_another_chain() {
    let mut bridge = listening().await;
    bridge.trade(2);
    bridge.trade(2);
    sleep(seconds(3)).await;
    bridge.ledger.net().behind = 1;
    sleep(seconds(4)).await;
    bridge.ledger.net().behind = 0;
    one_more(&mut bridge).await;
    // Nor where a run begins.
    bridge.ledger.net().behind = 1;
    drop(bridge.machine("b", 5000));
    sleep(seconds(3)).await;
    bridge.ledger.net().behind = 0;
    sleep(seconds(5)).await;
    one_more(&mut bridge).await;
    well(&bridge).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_buried_and_the_rest_goes_on() {
    let mut bridge = listening().await;
    let strange = json!({"operation": "CREATE", "version": "3.0", "id": "x"}).to_string();
    let election = json!({"operation": "VALIDATOR_ELECTION", "id": "y"}).to_string();
    // More than a queue takes.
    let huge = json!({"operation": "CREATE", "id": "é".repeat(1024 * 1024)}).to_string();
    let car = bridge.fleet.car(5_000_000);
    let others = vec![strange.clone(), election, huge];
    bridge.ledger.net().mine(vec![car], others);
    sleep(seconds(5)).await;
    assert_eq!(bridge.cursor(), 2);
    let letters = bridge.memory.view(|view| view.messages(LETTERS).to_vec());
    assert_eq!(letters.len(), 2, "{letters:.500?}");
    assert_eq!(letters[0]["MessageBody"], strange);
    let code = |index: usize| &letters[index]["MessageAttributes"]["ErrorCode"]["StringValue"];
    assert_eq!(
        (code(0), code(1)),
        (
            &json!("TransactionMalformed"),
            &json!("TransactionMalformed")
        )
    );
    well(&bridge).await;
}
