//! A dead letter is heard of, by its own queue's alarm and no other.

use std::collections::BTreeSet;

use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};

use crate::harness::{Inbox, SOON, World, offchain, unique, until};

#[tokio::test]
async fn a_dead_letter_rings_its_queue_s_alarm_and_leaves_when_it_is_taken() {
    let world = World::alone().await;
    let inbox = world.inbox(&world.stack.alarm_topic_arn).await;
    let queue = format!("{}-vrf-requests-dlq", world.stack.name);
    let alarm = format!("{queue}-depth");
    let ringing = async || {
        let alarms = world.alarms().await.into_iter();
        alarms
            .filter(|(_, state)| state == "ALARM")
            // How feeds and functions fared before is no matter of a queue's.
            .filter(|(name, _)| name.contains("-dlq-") && !name.contains("-dlq-redrive-"))
            .map(|(name, _)| name)
            .collect::<BTreeSet<_>>()
    };
    until("the alarm to be quiet", SOON, async || {
        (!ringing().await.contains(&alarm)).then_some(())
    })
    .await;
    let before = ringing().await;

    let mark = unique();
    let text = |text: &str| {
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text)
            .build()
            .unwrap()
    };
    world
        .sqs
        .send_message()
        .queue_url(world.queue("requests-dlq"))
        .message_body(json!({"mark": mark}).to_string())
        .message_attributes("ErrorCode", text("MessageInvalid"))
        .message_attributes("ErrorMessage", text("put there by a test"))
        .send()
        .await
        .unwrap();
    until("the alarm to ring", SOON, async || {
        ringing().await.contains(&alarm).then_some(())
    })
    .await;
    notified(&inbox, &alarm, "ALARM").await;
    let mut expected = before.clone();
    expected.insert(alarm.clone());
    assert_eq!(ringing().await, expected);

    // A person sees it, and it stays.
    let reading = world.reading_dead_letters().await;
    for _ in 0..2 {
        let shown = offchain(&["dlq", "show", &queue, "--json"]).await.json();
        let letter = &shown[0];
        assert_eq!(letter["code"], "MessageInvalid", "{shown}");
        assert_eq!(letter["reason"], "put there by a test");
        assert_eq!(letter["body"], json!({"mark": mark}));
    }
    for arguments in [["dlq", "list", "--json"], ["status", "--json", "--json"]] {
        let reply = offchain(&arguments[..2]).await;
        assert!(reply.succeeded().contains(&queue));
    }
    let waiting = |queues: &Value| {
        let found = queues
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["name"] == *queue);
        found.unwrap()["waiting"].clone()
    };
    assert_eq!(
        waiting(&offchain(&["dlq", "list", "--json"]).await.json()),
        1
    );
    let status = offchain(&["status", "--json"]).await.json();
    assert_eq!(waiting(&status["queues"]), 1);
    let state = |alarms: &Value| {
        let found = alarms
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["name"] == *alarm);
        found.unwrap()["state"].clone()
    };
    assert_eq!(state(&status["alarms"]), "ALARM");
    drop(reading);

    let taken = world
        .dead_letters("requests-dlq", |letter| {
            letter.body().unwrap_or_default().contains(&mark)
        })
        .await;
    assert_eq!(taken.len(), 1);
    until("the alarm to be quiet again", SOON, async || {
        (!ringing().await.contains(&alarm)).then_some(())
    })
    .await;
    notified(&inbox, &alarm, "OK").await;
}

/// Waits until the inbox hears of an alarm's new state.
async fn notified(inbox: &Inbox, alarm: &str, state: &str) {
    until(
        &format!("a notification that {alarm} is {state}"),
        SOON,
        async || {
            let heard = inbox.hear().await.iter().any(|notification| {
                let text = notification["Message"].as_str().unwrap_or_default();
                let told: Value = serde_json::from_str(text).unwrap_or_default();
                told["AlarmName"] == alarm && told["NewStateValue"] == state
            });
            heard.then_some(())
        },
    )
    .await;
}
