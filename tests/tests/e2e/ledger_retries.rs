//! A subscriber that refuses is tried again on schedule; what it never takes
//! is a dead letter, rings the alarm, and is delivered by a redrive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use offchain_ledger::Id;
use offchain_store::ledger::{Delivery, EventStatus};
use serde_json::{Value, json};

use crate::bigchain::{Node, Person, To, Tx, car, create};
use crate::garbage::is_problem;
use crate::harness::{SOON, World, attribute, environment, set_environment, until};
use crate::ledger_world::{Answer, Listening, OTHER, Receiver, event, point_ledger_at, shift};
use crate::redrive::{Desk, counts};

/// Waits until an alarm has this state.
async fn alarm(world: &World, name: &str, state: &str) {
    until(&format!("{name} to be {state}"), SOON, async || {
        let found = world.alarms().await;
        (found[name] == state).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_subscriber_never_takes_rings_and_is_delivered_by_a_redrive() {
    let node = Node::start(&[]).await;
    let desk = Desk::quiet("ledger-retries").await;
    let world = desk.world();
    let ledger = world.ledger().await;
    let keys = ledger.keys(OTHER).await;
    let receiver = Receiver::start().await;

    // ledger-deliver knows the same subscriber as the listener.
    let mut listening = Listening::new(world, node.url());
    listening.set(&json!({"retry_schedule": [1, 1], "lease_seconds": 2}));
    listening.tell_at(OTHER, &receiver.url, ledger.secret_arn(OTHER), &json!({}));
    let deliver = world.function("ledger-deliver");
    let mut deployed = environment(&world.lambda, deliver).await;
    let subscribers = listening.variables["LEDGER_SUBSCRIBERS"].clone();
    deployed.insert("LEDGER_SUBSCRIBERS".to_owned(), subscribers);
    set_environment(&world.lambda, deliver, deployed).await;

    // One asset is refused for a while, one for ever, and others not at all.
    let lessor = Person::new();
    let [slow, never, good] = [(); 3].map(|()| car(&lessor, 1));
    let (late, lost) = (slow.id.clone(), never.id.clone());
    let refusals = AtomicU32::new(0);
    receiver.answer(move |webhook| {
        let id = webhook.event().transaction_id;
        let refused = id == lost || id == late && refusals.fetch_add(1, Ordering::SeqCst) < 2;
        Answer::Status(if refused { 503 } else { 204 })
    });
    let function = listening.function(world).await;
    function.begin("listen", &shift());
    for transaction in [&never, &slow, &good] {
        node.chain.submit(transaction).await;
    }
    let mut height = 0;
    for transaction in [&never, &slow, &good] {
        height = height.max(node.chain.committed(&transaction.id).await);
    }
    let never_height = node.chain.committed(&never.id).await;
    receiver.took(&[&slow.id, &good.id]).await;
    listening.reached(world, height).await;
    let tried = |transaction: &Tx| {
        let all = receiver.webhooks().into_iter();
        let of_it = all.filter(|webhook| webhook.event().transaction_id == transaction.id);
        of_it.collect::<Vec<_>>()
    };
    // Refused twice, taken the third time: one webhook, later each time.
    let tries = tried(&slow);
    assert_eq!(tries.len(), 3);
    let ids: BTreeSet<_> = tries.iter().map(|webhook| webhook.id.clone()).collect();
    assert_eq!(ids.len(), 1);
    let times: Vec<_> = tries
        .iter()
        .map(|webhook| webhook.verify(&keys).unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    assert_eq!(tried(&good).len(), 1);

    // Used up.
    let letter = desk.letter("ledger-deliveries-dlq").await;
    let told = json!({"subscriber": OTHER, "event": event(&never, never_height)});
    assert_eq!(letter["body"], told, "{letter}");
    assert_eq!(letter["code"], "RemoteStatus", "{letter}");
    assert!(
        letter["reason"].as_str().unwrap().contains("503"),
        "{letter}"
    );
    assert_eq!(tried(&never).len(), 3);
    let rings = format!("{}-ledger-deliveries-dlq-depth", world.stack.name);
    alarm(world, &rings, "ALARM").await;
    // What comes after it is delivered.
    let after = never.hand_over(&lessor, &Person::new(), &Value::Null);
    node.chain.commit(&after).await;
    receiver.took(&[&after.id]).await;

    // A redrive fails as long as the subscriber does; then it delivers.
    let (succeeded, report) = desk.redrive("ledger-deliveries-dlq", &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(tried(&never).len(), 4, "{report}");
    receiver.answer_all(204);
    until("the letter to go back", SOON, async || {
        // Who tried holds it for a while.
        let (_, report) = desk.redrive("ledger-deliveries-dlq", &[]).await;
        (counts(&report).0 == 1).then_some(())
    })
    .await;
    receiver.took(&[&never.id]).await;
    let last = tried(&never).pop().unwrap();
    last.verify(&keys).unwrap();
    assert_eq!(last.event(), event(&never, never_height));
    assert!(desk.letters("ledger-deliveries-dlq").await.is_empty());
    alarm(world, &rings, "OK").await;

    nonsense_is_kept(&desk, &receiver).await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_answer_holds_nobody_else_up() {
    let world = World::shared().await;
    let ledger = world.ledger().await;
    let node = Node::start(&[]).await;
    let [good, silent, closing] = [
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    ];
    silent.answer(|_| Answer::Never);
    closing.answer(|_| Answer::Close);
    let mut listening = Listening::new(&world, node.url());
    listening.set(&json!({"retry_schedule": vec![1; 20], "timeout_seconds": 1}));
    let all = json!({});
    listening.tell(&ledger, &good, &all);
    let waiting = [
        (listening.tell(&ledger, &silent, &all), "RemoteTimedOut"),
        (listening.tell(&ledger, &closing, &all), "RemoteUnreachable"),
    ];
    let function = listening.function(&world).await;
    function.begin("listen", &shift());
    let cars = [(); 3].map(|()| car(&Person::new(), 1));
    for car in &cars {
        node.chain.submit(car).await;
    }
    let ids = [&cars[0].id, &cars[1].id, &cars[2].id];
    good.took(&ids).await;
    let feed = listening.feed(&world);
    for (name, code) in &waiting {
        until(&format!("{code} to be noted"), SOON, async || {
            let kept = feed.deliveries.waiting(name).await.unwrap();
            let noted = |kept: &Delivery| kept.reason.as_deref() == Some(*code);
            (kept.len() == 3 && kept.iter().any(noted)).then_some(())
        })
        .await;
    }
    assert_eq!(good.taken().len(), 3);

    // Late is not never.
    silent.answer(|_| Answer::Late(Duration::from_millis(200), 200));
    closing.answer_all(202);
    silent.took(&ids).await;
    closing.took(&ids).await;
    for (name, _) in &waiting {
        until("nothing to wait", SOON, async || {
            let kept = feed.deliveries.waiting(name).await.unwrap();
            kept.is_empty().then_some(())
        })
        .await;
    }
}

/// What ledger-deliver and ledger-listen cannot use, they refuse with a reason.
async fn nonsense_is_kept(desk: &Desk, receiver: &Receiver) {
    let world = desk.world();
    let before = receiver.webhooks().len();
    let id = "0".repeat(64);
    let event = json!({"transaction_id": id, "asset_id": id, "height": 1});
    for (role, input, code) in [
        (
            "ledger-deliver",
            json!({"subscriber": "nobody", "event": event}),
            "SubscriberUnknown",
        ),
        (
            "ledger-deliver",
            json!({"subscriber": OTHER}),
            "InputInvalid",
        ),
        (
            "ledger-deliver",
            json!({"subscriber": OTHER, "event": {}}),
            "InputInvalid",
        ),
        (
            "ledger-deliver",
            json!({"subscriber": OTHER, "event": event, "more": 1}),
            "InputInvalid",
        ),
        ("ledger-deliver", json!([]), "InputInvalid"),
        ("ledger-deliver", json!(null), "InputInvalid"),
        ("ledger-listen", json!({}), "InputInvalid"),
        (
            "ledger-listen",
            json!({"scheduled_time": "now"}),
            "InputInvalid",
        ),
        (
            "ledger-listen",
            json!({"scheduled_time": 7}),
            "InputInvalid",
        ),
        (
            "ledger-listen",
            json!("2026-01-01T00:00:00Z"),
            "InputInvalid",
        ),
        ("ledger-record", json!({"Records": 7}), "InputInvalid"),
        ("ledger-webhook", json!({"no": "request"}), "InputInvalid"),
        ("ledger-api", json!(7), "InputInvalid"),
    ] {
        let refused = world.invoke(role, &input).await;
        let error = refused.expect_err(&format!("{role}: {input}"));
        assert_eq!(error["errorType"], code, "{role}: {input}: {error}");
    }
    assert_eq!(receiver.webhooks().len(), before);
}

/// Its letter of the transactions' queue.
async fn buried(world: &World, text: &str) -> (String, String) {
    let holds =
        |letter: &aws_sdk_sqs::types::Message| letter.body().unwrap_or_default().contains(text);
    let queue = "ledger-transactions-dlq";
    let letter = world.dead_letter(queue, text, holds).await;
    let said = |name| attribute(&letter, name).unwrap();
    (said("ErrorCode"), said("ErrorMessage"))
}

#[tokio::test]
async fn what_can_never_count_is_kept_with_its_reason_and_the_others_go_on() {
    let node = Node::start(&[]).await;
    let mut desk = Desk::quiet("ledger-garbage").await;
    point_ledger_at(&mut desk.twin.world, node.url()).await;
    let world = desk.world();
    let ledger = world.ledger().await;
    let (owner, liar) = (Person::new(), Person::new());

    // Its public keys say somebody else than its condition: a server takes that.
    let data = json!({"car": {"value": 5}});
    let lie = create(&owner, &data, &Value::Null, &[To(&[&owner], 1)]).lying(&owner, &liar);
    let truth = car(&owner, 500);
    // What a mapper of keys may know, and a hash has to.
    let odd = create(
        &owner,
        &json!({"z": {"é": [1, -1, "\u{2028}/\\\""], "A": null, "a": true}, "": {}}),
        &json!({"😀": 9_223_372_036_854_775_807_u64}),
        &[To(&[&owner], 1)],
    );
    for transaction in [&lie, &truth, &odd] {
        node.chain.submit(transaction).await;
    }

    // The deployed listener's own code, from the first block on, to the suite's
    // own receiver.
    let mut listening = Listening::new(world, node.url());
    let url = &world.stack.ledger.subscribers[0].url;
    listening.tell_at(
        "ledger",
        url,
        &world.stack.ledger.subscribers[0].secret_arn,
        &json!({}),
    );
    let function = listening.function(world).await;
    function.begin("listen", &shift());
    let rejected = ledger.reached(&lie.id, EventStatus::Rejected).await;
    assert_eq!(rejected.reason.as_deref(), Some("TransactionMalformed"));
    let (code, message) = buried(world, lie.id.as_str()).await;
    assert_eq!(code, "TransactionMalformed");
    assert!(message.contains("public_keys"), "{message}");
    is_problem(&ledger.show(&lie.asset).await, 404, "AssetUnknown", "a lie");
    ledger.recorded(&truth.id).await;
    ledger.recorded(&odd.id).await;
    ledger.shown(&truth.asset, 1, |_| true).await;

    // What builds on a lie counts neither.
    let onward = lie.hand_over(&owner, &liar, &Value::Null);
    node.chain.commit(&onward).await;
    let rejected = ledger.reached(&onward.id, EventStatus::Rejected).await;
    assert_eq!(rejected.reason.as_deref(), Some("TransactionMalformed"));
    buried(world, onward.id.as_str()).await;

    // Garbage in the queue, among messages that are good.
    let unknown: Id = hex::encode(rand::random::<[u8; 32]>()).parse().unwrap();
    let mark = crate::harness::unique();
    let id = truth.id.to_string();
    let garbage = [
        (format!("no JSON {mark}"), "MessageInvalid"),
        (
            format!("{{\"transaction_id\": \"{mark}\"}}"),
            "MessageInvalid",
        ),
        (
            format!("{{\"transaction_id\": \"{}\"}}", id.to_uppercase()),
            "MessageInvalid",
        ),
        (
            json!({"transaction_id": id, "more": mark}).to_string(),
            "MessageInvalid",
        ),
        (json!([mark]).to_string(), "MessageInvalid"),
        (
            json!({"transaction_id": unknown}).to_string(),
            "EventUnknown",
        ),
    ];
    let good = json!({"transaction_id": id}).to_string();
    let bodies = garbage.iter().map(|(body, _)| body).chain([&good]);
    for body in bodies {
        let send = world
            .sqs
            .send_message()
            .queue_url(&world.stack.ledger.queue_url);
        send.message_body(body).send().await.unwrap();
    }
    for (body, code) in &garbage {
        let letter = world
            .dead_letter("ledger-transactions-dlq", body, |letter| {
                letter.body() == Some(body)
            })
            .await;
        assert_eq!(
            attribute(&letter, "ErrorCode").as_deref(),
            Some(*code),
            "{body}"
        );
    }
    let recorded = ledger.shown(&truth.asset, 1, |_| true).await;
    assert_eq!(recorded["owners"][0]["public_keys"], json!([owner.text()]));
    let assets = &ledger.tables().await[world.stack.ledger.assets_table.as_str()];
    assert_eq!(assets.len(), 2);
}
