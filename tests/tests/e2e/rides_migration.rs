//! The README's way from HTTP to the topic and on to the queue, each step an
//! apply of its own while rides come in: all are answered, none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::faults::delivery;
use crate::harness::{HERE, Reply, SOON, World, attribute, report, ride_id, unique, until};
use crate::iam::{Iam, without};
use crate::rides::{is, notification, publish};
use crate::runtime_api::Function;
use crate::twin::Twin;

/// Rides that come in, a few a second, until they are asked to end.
struct Load {
    ended: Arc<AtomicBool>,
    replies: JoinHandle<Vec<Reply>>,
}

impl Load {
    async fn on(twin: &Twin) -> Self {
        let world = Arc::new(World::of(twin.world.stack.clone(), &twin.url()).await);
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let replies = tokio::spawn(async move {
            let mut rides = Vec::new();
            let mut ticks = interval(Duration::from_millis(250));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !end.load(Ordering::Relaxed) {
                ticks.tick().await;
                let world = world.clone();
                rides.push(tokio::spawn(
                    async move { world.rides().post_ride(HERE).await },
                ));
            }
            let mut replies = Vec::new();
            for ride in rides {
                replies.push(ride.await.unwrap());
            }
            replies
        });
        Self { ended, replies }
    }

    /// All that was answered.
    async fn end(self) -> Vec<Reply> {
        self.ended.store(true, Ordering::Relaxed);
        self.replies.await.unwrap()
    }
}

async fn dead_letters_of_rides(world: &World) -> Vec<Value> {
    let mut letters = Vec::new();
    for queue in world.stack.queues.keys() {
        if queue.contains("-rides-") && queue.ends_with("-dlq") {
            let queue = queue
                .strip_prefix(&format!("{}-", world.stack.name))
                .unwrap();
            letters.extend(world.messages_about(queue, "").await);
        }
    }
    letters
}

#[tokio::test]
async fn the_way_from_http_to_the_topic_and_to_the_queue_loses_no_ride_under_load() {
    let start = Instant::now();
    let mut twin = Twin::quiet("migrated").await;
    twin.apply(&[r#"rides={publish="http"}"#]).await;
    let load = Load::on(&twin).await;
    let (mut took, mut extra) = (Vec::new(), 0);
    for step in [
        r#"rides={publish="sns"}"#,
        r#"rides={subscribers=["lambda","sqs"]}"#,
        r#"rides={subscribers=["sqs"]}"#,
    ] {
        let began = Instant::now();
        twin.apply(&[step]).await;
        took.push(began.elapsed().as_secs());
        // What was answered since went the new way.
        let world = &twin.world;
        let ride = world.rides().ride().await;
        world.rides().recorded(ride_id(&ride)).await;
        extra += 1;
    }
    let replies = load.end().await;
    let world = &twin.world;
    let rides = world.rides();
    let others: Vec<_> = replies.iter().filter(|reply| reply.status != 201).collect();
    assert!(
        others.is_empty(),
        "{} of {}: {others:#?}",
        others.len(),
        replies.len()
    );
    for reply in &replies {
        assert!(is(&rides.recorded(ride_id(&reply.body)).await, &reply.body));
    }
    // Nothing is recorded that was not answered.
    assert_eq!(rides.count().await, replies.len() + extra);
    assert!(replies.len() > 20, "{}", replies.len());
    assert_eq!(dead_letters_of_rides(world).await, [Value::Null; 0]);
    report(&format!(
        "rides from HTTP to the topic, to topic and queue, to the queue: {} rides during applies of {took:?} s, {} s in all",
        replies.len(),
        start.elapsed().as_secs(),
    ));

    only_by_the_queue(&mut twin).await;
}

/// How the recorder fares behind the queue.
async fn only_by_the_queue(twin: &mut Twin) {
    let world = &twin.world;
    let rides = world.rides();

    // What can never be used is put away at once, and its reason with it.
    let first = rides.ride().await;
    rides.recorded(ride_id(&first)).await;
    let mut forged = first.clone();
    forged["Unicorn"]["Name"] = "Nightmare".into();
    for (code, poison) in [
        ("RideInvalid", format!("no ride {}", unique())),
        ("RideConflict", forged.to_string()),
    ] {
        publish(world, &poison).await;
        let letter = world
            .dead_letter("rides-events-dlq", &poison, |letter| {
                let body: Value = serde_json::from_str(letter.body().unwrap()).unwrap();
                body["Message"] == *poison
            })
            .await;
        assert_eq!(attribute(&letter, "ErrorCode").as_deref(), Some(code));
        assert!(attribute(&letter, "ErrorMessage").is_some());
    }
    // What is no notification is put there by another than the topic.
    let body = format!("no notification {}", unique());
    let queue = world.queue("rides-events");
    let send = world.sqs.send_message().queue_url(queue);
    send.message_body(&body).send().await.unwrap();
    let letter = world
        .dead_letter("rides-events-dlq", &body, |letter| {
            letter.body() == Some(&body)
        })
        .await;
    let code = attribute(&letter, "ErrorCode");
    assert_eq!(code.as_deref(), Some("MessageInvalid"));

    // Put away by the function's own right, without which it stays in the queue.
    let iam = Iam::of(twin);
    let name = world.function("rides-record-sns");
    let policy = iam.policy(name).await;
    let poison = notification("no ride")["Records"][0]["Sns"].to_string();
    let event = delivery(&poison, 1);
    let id = &event["Records"][0]["messageId"];
    for (allowed, failures) in [
        (
            without(&policy, "RefuseEvents", "sqs:SendMessage"),
            json!([{"itemIdentifier": id}]),
        ),
        (policy.clone(), json!([])),
    ] {
        iam.put(name, &allowed).await;
        let function = Function::start(world, "rides-record-sns", &twin.url()).await;
        let reply = function.invoke(&event).await.unwrap();
        assert_eq!(reply, json!({"batchItemFailures": failures}));
    }
    let letters = world
        .dead_letters("rides-events-dlq", |letter| letter.body() == Some(&poison))
        .await;
    assert_eq!(letters.len(), 1);
    assert_eq!(dead_letters_of_rides(world).await, [Value::Null; 0]);

    // What waits in the queue outlives the emulator.
    let held = world.hold_messages_of("rides-record-sns").await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(rides.ride().await);
    }
    let ids: Vec<_> = waiting
        .iter()
        .map(|ride| ride_id(ride).to_owned())
        .collect();
    assert_eq!(world.depth("rides-events").await, 20);
    assert_eq!(rides.item(&ids[0]).await, None);
    twin.stop();
    twin.start().await;
    drop(held);
    let world = &twin.world;
    for ride in &waiting {
        assert!(is(&world.rides().recorded(ride_id(ride)).await, ride));
    }
    until("the queue to be empty", SOON, async || {
        (world.depth("rides-events").await == 0).then_some(())
    })
    .await;
    assert_eq!(dead_letters_of_rides(world).await, [Value::Null; 0]);
}
