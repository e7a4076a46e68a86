//! A request that cannot be fulfilled ends in a visible state, and is reported.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::types::Message;
use jiff::{SignedDuration, Timestamp};
use offchain_store::vrf::{Origin, RequestItem};
use serde_json::{Value, json};

use crate::fulfilment::runs;
use crate::harness::{SOON, World, attribute, unique, until};

fn is_about(id: &str) -> impl Fn(&Message) -> bool {
    move |letter| letter.body().unwrap_or_default().contains(id)
}

#[tokio::test]
async fn a_request_that_always_fails_expires_with_its_reason_and_is_reported() {
    let world = World::alone().await;
    let failing = world
        .set_env("fulfil", &[("VRF_SIMULATED_FAILURE_RATE", Some("1"))])
        .await;
    let short = world
        .set_env("api", &[("VRF_FULFIL_WINDOW_SECONDS", Some("8"))])
        .await;
    let id = world.api.request(&json!({"min": 1, "max": 6})).await;
    drop(short);
    let retrying = until("a failure to be seen", SOON, async || {
        let view = world.api.show(&id).await;
        (view["failed_attempts"] != 0).then_some(view)
    })
    .await;
    assert_eq!(
        (&retrying["status"], &retrying["reason"]),
        (&json!("pending"), &json!("retrying"))
    );
    assert_eq!(retrying["last_error"], "SimulatedFailure");

    let view = world.api.closed(&id, SOON).await;
    drop(failing);
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("expired"), &json!("SimulatedFailure"))
    );
    assert_eq!(view.get("bundle"), None);
    let time = |name: &str| view[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    // No further round would have ended before the deadline.
    assert!(
        time("expired_at") > time("deadline") - SignedDuration::from_secs(6),
        "{view}"
    );

    let execution = until("the execution to end", SOON, async || {
        let arn = world.execution_arn(&id);
        let reply = world
            .sfn
            .describe_execution()
            .execution_arn(arn)
            .send()
            .await
            .unwrap();
        (reply.status != ExecutionStatus::Running).then_some(reply)
    })
    .await;
    assert_eq!(execution.status, ExecutionStatus::Failed);
    assert_eq!(execution.error(), Some("RequestExpired"));
    assert!(
        execution.cause().unwrap().contains("SimulatedFailure"),
        "{execution:?}"
    );
    let runs = runs(&world.history(&id).await);
    assert_eq!(
        (Value::from(runs.failed), runs.succeeded),
        (view["failed_attempts"].clone(), 0)
    );
    assert!(runs.rounds.len() >= 2, "{runs:?}");
    assert!(runs.rounds.iter().all(|runs| *runs == 3), "{runs:?}");

    let alarm = format!("{}-vrf-executions-dlq-depth", world.stack.name);
    until(
        "the alarm of executions that ended badly",
        SOON,
        async || (world.alarms().await[&alarm] == "ALARM").then_some(()),
    )
    .await;
    let letter = world
        .dead_letter("executions-dlq", "the execution", is_about(&id))
        .await;
    let event: Value = serde_json::from_str(letter.body().unwrap()).unwrap();
    assert_eq!(event["detail"]["status"], "FAILED", "{event}");
    assert_eq!(
        event["detail"]["executionArn"],
        world.execution_arn(&id),
        "{event}"
    );
    until("the alarm to be quiet again", SOON, async || {
        (world.alarms().await[&alarm] == "OK").then_some(())
    })
    .await;

    // It stays closed, whoever asks again.
    let error = world
        .invoke("fulfil", &json!({"request_id": id}))
        .await
        .unwrap_err();
    assert_eq!(error["errorType"], "RequestClosed", "{error}");
    assert_eq!(world.api.show(&id).await, view);
}

#[tokio::test]
async fn the_sweep_closes_what_no_execution_closes_and_reports_it() {
    let world = World::shared().await;
    let overdue = |seconds: i64| {
        let deadline = Timestamp::now() - SignedDuration::from_secs(seconds);
        let made = deadline - SignedDuration::from_secs(900);
        RequestItem {
            unique_identifier: unique(),
            request_time: made.into(),
            fulfill_time_expected: Some(made.into()),
            target_height: None,
            target_block_in_the_future: 0,
            min_random_value: 1,
            max_random_value: 6,
            seed: None,
            key_epoch: 1,
            deadline: deadline.into(),
            origin: Origin::Api,
            submission: None,
            expiration: (deadline + SignedDuration::from_hours(24)).as_second(),
        }
    };
    let stalled = overdue(61);
    // Its execution may still be closing it.
    let fresh = overdue(0);
    for request in [&stalled, &fresh] {
        world.requests.insert(request).await.unwrap();
    }
    let id = &stalled.unique_identifier;
    assert_eq!(world.api.show(id).await["reason"], "expiring");
    world
        .invoke("expire", &json!({"sweep": true}))
        .await
        .unwrap();
    let view = world.api.closed(id, SOON).await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("expired"), &json!("FulfilmentStalled"))
    );
    let item = world.item(id, "request").await.unwrap();
    assert!(!item.contains_key("open"), "{item:?}");
    let letter = world
        .dead_letter("executions-dlq", "the stalled request", is_about(id))
        .await;
    assert_eq!(
        attribute(&letter, "ErrorCode").as_deref(),
        Some("FulfilmentStalled")
    );
    let body: Value = serde_json::from_str(letter.body().unwrap()).unwrap();
    assert_eq!(body["request_id"], *id);

    assert_eq!(
        world.api.show(&fresh.unique_identifier).await["status"],
        "pending"
    );
    // The schedule would report it in a minute, to somebody else's surprise.
    forget(&world, &fresh.unique_identifier).await;
    // A second sweep finds nothing of the first.
    world
        .invoke("expire", &json!({"sweep": true}))
        .await
        .unwrap();
    assert!(
        world
            .dead_letters("executions-dlq", is_about(id))
            .await
            .is_empty()
    );
    assert_eq!(world.api.show(id).await, view);
    forget(&world, id).await;
}

async fn forget(world: &World, id: &str) {
    for action in ["request", "fulfill"] {
        world
            .dynamodb
            .delete_item()
            .table_name(&world.stack.vrf.table)
            .key("unique_identifier", AttributeValue::S(id.to_owned()))
            .key("action", AttributeValue::S(action.to_owned()))
            .send()
            .await
            .unwrap();
    }
}
