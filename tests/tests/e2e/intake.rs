//! Requests enter once: one id, one item, one message that matches it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fulfilment::{executions, number};
use crate::harness::{SOON, World, unique, until};

#[tokio::test]
async fn a_request_sends_one_message_that_matches_its_item() {
    let world = World::alone().await;
    let held = world.hold_messages().await;
    let input = json!({
        "queue_delay_seconds": {"min": 0, "max": 0},
        "target_blocks": {"min": 3, "max": 3},
        "block_seconds": 2,
        "bounds": {"min": 0, "max": 999},
    });
    let reply = world.invoke("request", &input).await.unwrap();
    let scheduled = reply["request_id"].as_str().unwrap().to_owned();
    let posted = world.api.request(&json!({"min": -7, "max": 7})).await;
    for id in [&scheduled, &posted] {
        let item = world.item(id, "request").await.unwrap();
        let expected = json!({
            "unique_identifier": id,
            "target_block_in_the_future": number(&item, "target_block_in_the_future"),
            "min_random_value": number(&item, "min_random_value"),
            "max_random_value": number(&item, "max_random_value"),
        });
        assert_eq!(world.messages_about("requests", id).await, [expected]);
        // Nothing has picked it up, and it is seen to be waiting.
        assert!(world.item(id, "fulfill").await.is_none());
    }
    assert_eq!(world.api.show(&posted).await["reason"], "queued");
    drop(held);
    world.closed(&[scheduled, posted], SOON).await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_request_and_another_body_is_refused() {
    let world = World::shared().await;
    let key = unique();
    let body = json!({"min": 1, "max": 6, "seed": "ab"});
    let first = world.api.post(&key, &body).await;
    assert_eq!(first.status, 202);
    let id = first.body["request_id"].as_str().unwrap().to_owned();
    assert_eq!(first.headers["location"], format!("/v1/vrf/requests/{id}"));

    // Spelled otherwise, it says the same.
    let spelled = json!({"seed": "ab", "max": "6", "min": "1"});
    for body in [&body, &spelled] {
        let again = world.api.post(&key, body).await;
        assert_eq!(
            (again.status, &again.body["request_id"]),
            (202, &Value::from(id.clone()))
        );
    }
    let other = world
        .api
        .post(&key, &json!({"min": 1, "max": 7, "seed": "ab"}))
        .await;
    assert_eq!(
        (other.status, &other.body["type"]),
        (422, &json!("urn:offchain:IdempotencyKeyReused"))
    );

    // Long after it was fulfilled, the key still finds it as it is.
    let closed = world.api.closed(&id, SOON).await;
    let again = world.api.post(&key, &body).await;
    assert_eq!((again.status, &again.body), (202, &closed));
    assert_eq!(executions(&world, &id).await, 1);
}

#[tokio::test]
async fn a_request_that_was_picked_up_sends_no_second_message() {
    let world = World::alone().await;
    let key = unique();
    let body = json!({"min": 1, "max": 6});
    let id = world.api.post(&key, &body).await.body["request_id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.closed(std::slice::from_ref(&id), SOON).await;
    let _held = world.hold_messages().await;
    assert_eq!(world.api.post(&key, &body).await.status, 202);
    assert_eq!(
        world.messages_about("requests", &id).await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn twenty_posts_of_one_key_at_once_make_one_request() {
    let world = World::shared().await;
    let key = unique();
    let body = json!({"min": 1, "max": 1_000_000, "delay_seconds": 1});
    let replies = join_all((0..20).map(|_| world.api.post(&key, &body))).await;
    let id = replies[0].body["request_id"].as_str().unwrap().to_owned();
    for reply in &replies {
        assert_eq!(
            (reply.status, &reply.body["request_id"]),
            (202, &Value::from(id.clone()))
        );
    }
    let closed = world.closed(std::slice::from_ref(&id), SOON).await;
    assert!(closed[0].fulfilment.as_ref().unwrap().vrf_value.is_some());
    until("the queue to be empty", SOON, async || {
        (world.depth("requests").await == 0).then_some(())
    })
    .await;
    assert_eq!(executions(&world, &id).await, 1);
    assert_eq!(world.record(&id).await, closed[0]);
}
