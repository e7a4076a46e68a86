//! The machine `oracle-minute`: which slots a trigger plans, what a trigger
//! that comes twice, late or never leaves behind, and what one slot's failure
//! costs the others.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Interval, Slot};
use offchain_store::oracle::Record;
use serde_json::{Value, json};

use crate::harness::{SOON, World, until};
use crate::oracle::{MINUTE, demo, missed, published};
use crate::twin::Twin;

const DEFINITION: &str = include_str!("../../../statemachines/oracle-minute.asl.json");
const DIVISORS: [u32; 12] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];

/// The scheduled minute whose slots are due now.
fn minute_of(world: &World, now: Timestamp) -> Timestamp {
    let second = now.as_second() - i64::from(world.stack.oracle.lead_seconds);
    Timestamp::from_second(second - second.rem_euclid(60)).unwrap()
}

/// A minute's first slot, and its end.
fn slots_of(world: &World, minute: Timestamp) -> (Slot, Slot) {
    let lead = SignedDuration::from_secs(world.stack.oracle.lead_seconds.into());
    let interval = world.interval();
    let first = interval.at_or_after(minute + lead);
    let end = interval.at_or_after(minute + lead + SignedDuration::from_mins(1));
    (first, end)
}

/// Step Functions' own evaluation of one state. The SDK would add a prefix to
/// the host's name, which an emulator has not.
async fn test_state(state: &Value, input: &Value, started: &str) -> Value {
    let mut state = state.clone();
    state["QueryLanguage"] = json!("JSONata");
    let call = json!({
        "definition": state.to_string(),
        "roleArn": "arn:aws:iam::000000000000:role/none",
        "input": input.to_string(),
        "context": json!({"Execution": {"StartTime": started}}).to_string(),
    });
    let key = "Credential=test/20260101/us-east-1/states/aws4_request";
    let reply = reqwest::Client::new()
        .post(std::env::var("AWS_ENDPOINT_URL").unwrap())
        .header("x-amz-target", "AWSStepFunctions.TestState")
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 {key}, SignedHeaders=host, Signature=none"),
        )
        .body(call.to_string())
        .send()
        .await
        .unwrap();
    let reply: Value = serde_json::from_str(&reply.text().await.unwrap()).unwrap();
    assert_eq!(reply["status"], "SUCCEEDED", "{input}: {reply}");
    assert_eq!(reply["nextState"], "PublishSlots");
    serde_json::from_str(reply["output"].as_str().unwrap()).unwrap()
}

/// The state that plans, as Terraform fills it in.
fn plan(interval: Interval, lead: u32) -> Value {
    let text = DEFINITION
        .replace("${interval_seconds}", &interval.to_string())
        .replace("${lead_seconds}", &lead.to_string())
        .replace("${head_start_seconds}", "1");
    let machine: Value = serde_json::from_str(&text).unwrap();
    machine["States"]["PlanMinute"].clone()
}

/// What has to be planned.
fn planned(interval: Interval, lead: u32, scheduled: Timestamp) -> Value {
    let from = scheduled + SignedDuration::from_secs(lead.into());
    let slots = interval.slots(from, from + SignedDuration::from_mins(1));
    let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
    assert_eq!(slots.len(), 60 / interval.seconds() as usize);
    slots.into()
}

#[tokio::test]
async fn a_trigger_plans_the_slots_of_its_minute_whatever_the_interval_and_the_time() {
    let _world = World::shared().await;
    let never = "2001-01-01T00:00:00Z";
    let times = [
        "2026-11-21T11:00:00Z",
        "2026-11-21T11:59:00Z",
        "2026-11-21T23:59:00Z",
        "2026-02-28T23:59:00Z",
        "2028-02-28T23:59:00Z",
        "2028-02-29T23:59:00Z",
        "2100-02-28T23:59:00Z",
        "2026-12-31T23:59:00Z",
        // A schedule means whole minutes, an operator any time.
        "2026-11-21T11:00:37Z",
        "2026-12-31T23:59:59Z",
    ];
    for seconds in DIVISORS {
        let interval = Interval::new(seconds).unwrap();
        for lead in [5, 30, 37, 60] {
            let state = plan(interval, lead);
            for time in times {
                let input = json!({"scheduled_time": time});
                assert_eq!(
                    test_state(&state, &input, never).await,
                    planned(interval, lead, time.parse().unwrap()),
                    "every {seconds} s, {lead} s ahead, {time}"
                );
            }
        }
        // Started without a time, it takes the time at which it is started.
        let started = "2026-12-31T23:59:42.123Z";
        assert_eq!(
            test_state(&plan(interval, 30), &json!({}), started).await,
            planned(interval, 30, started.parse().unwrap()),
            "every {seconds} s"
        );
    }
}

#[tokio::test]
async fn the_machine_of_the_stack_is_express_and_plans_as_its_file_says() {
    let world = World::shared().await;
    let oracle = &world.stack.oracle;
    let machine = world
        .sfn
        .describe_state_machine()
        .state_machine_arn(&oracle.state_machine_arn)
        .send()
        .await
        .unwrap();
    assert_eq!(machine.r#type, StateMachineType::Express);
    assert_eq!(oracle.machine_type, "EXPRESS");
    let definition: Value = serde_json::from_str(&machine.definition).unwrap();
    assert_eq!(
        definition["States"]["PlanMinute"],
        plan(world.interval(), oracle.lead_seconds)
    );
}

/// How many branches of a minute ended in which way.
fn ends(execution: &DescribeExecutionOutput) -> BTreeMap<String, u64> {
    assert_eq!(
        execution.status,
        ExecutionStatus::Succeeded,
        "{execution:?}"
    );
    let ends: BTreeMap<String, u64> = serde_json::from_str(execution.output().unwrap()).unwrap();
    assert_eq!((ends["dead_lettered"], ends["lost"]), (0, 0), "{ends:?}");
    assert_eq!(ends.values().sum::<u64>(), 30, "{ends:?}");
    ends
}

#[tokio::test]
async fn a_minute_that_is_triggered_twice_more_has_the_records_that_it_had() {
    let world = World::shared().await;
    // One whose slots have just ended, so that all have been the schedule's.
    let (minute, before) = until("a minute that has ended", MINUTE, async || {
        let minute = minute_of(&world, Timestamp::now()) - SignedDuration::from_mins(1);
        let (from, to) = slots_of(&world, minute);
        let records = world.records(&demo(), from, to).await;
        (records.len() == 30).then_some((minute, records))
    })
    .await;
    let executions = [
        world.start_minute(minute).await,
        world.start_minute(minute).await,
    ];
    for execution in executions {
        let ends = ends(&world.minute_ended(&execution).await);
        assert_eq!(ends["missed"], 30, "{ends:?}");
    }
    let (from, to) = slots_of(&world, minute);
    assert_eq!(world.records(&demo(), from, to).await, before);
}

#[tokio::test]
async fn a_minute_that_is_triggered_late_misses_what_has_passed_and_publishes_the_rest() {
    let world = World::shared().await;
    let minute = until("some slots of a minute to pass", SOON, async || {
        let now = Timestamp::now();
        let minute = minute_of(&world, now);
        let (from, _) = slots_of(&world, minute);
        let passed = now.duration_since(from.timestamp()).as_secs();
        (10..40).contains(&passed).then_some(minute)
    })
    .await;
    let (from, to) = slots_of(&world, minute);
    // To this feed it is as if nobody had triggered the minute.
    let asked = Timestamp::now();
    let feed = world.feed(&json!({"kind": "demo"})).await;
    world.recorded(&feed.id, feed.since).await;
    let execution = world.start_minute(minute).await;
    let late = Timestamp::now().duration_since(minute).as_secs();
    assert!(late >= 45, "{late}");
    ends(&world.minute_ended(&execution).await);
    let records = world.recorded_between(&feed.id, from, to).await;
    assert_eq!(records.len(), 30);
    let passed = world.interval().at_or_before(asked);
    for record in &records {
        if record.slot() < passed {
            assert_eq!(missed(record).reason, "SlotPassed");
            assert!(missed(record).left_out.is_empty());
            let detail = world.detail(&feed.id, record.slot()).await;
            assert!(detail.contains("has ended"), "{detail}");
        } else if record.slot() >= feed.since {
            published(record).verify().unwrap();
        }
    }
    assert!(matches!(records[4], Record::Missed(_)), "{records:?}");
    // The other feed had all of them before.
    for record in world.records(&demo(), from, to).await {
        published(&record);
    }
}

#[tokio::test]
async fn a_slot_whose_function_fails_is_missed_alone_with_its_error_cut_short() {
    let twin = Twin::quiet("branches").await;
    let world = &twin.world;
    let minute = until("most of a minute to be left", SOON, async || {
        let now = Timestamp::now();
        let minute = minute_of(world, now);
        let (from, _) = slots_of(world, minute);
        let passed = now.duration_since(from.timestamp()).as_secs();
        (0..30).contains(&passed).then_some(minute)
    })
    .await;
    let (_, to) = slots_of(world, minute);
    let execution = world.start_minute(minute).await;
    let soon = world.slot_in(SignedDuration::from_secs(4));
    published(&world.recorded(&demo(), soon).await);

    let begin = world.slot_in(SignedDuration::ZERO);
    let wrong = "7".repeat(2000);
    let broken = world
        .set_env(
            "oracle-publish",
            &[("ORACLE_INTERVAL_SECONDS", Some(&wrong))],
        )
        .await;
    let is_missed = |record: &Record| matches!(record, Record::Missed(_));
    let failed = until("a slot to be missed", SOON, async || {
        let records = world.records(&demo(), begin, to).await;
        records.iter().find(|record| is_missed(record)).cloned()
    })
    .await;
    drop(broken);
    assert_eq!(missed(&failed).reason, "ConfigInvalid");
    let detail = world.detail(&demo(), failed.slot()).await;
    assert_eq!(detail.chars().count(), 1024, "{detail}");
    assert!(detail.contains("ORACLE_INTERVAL_SECONDS"), "{detail}");

    let ends = ends(&world.minute_ended(&execution).await);
    assert!(ends["ran"] > 0 && ends["missed"] > 0, "{ends:?}");
    let records = world.recorded_between(&demo(), begin, to).await;
    let slots: BTreeSet<_> = records.iter().map(Record::slot).collect();
    assert_eq!(slots.len(), records.len());
    let last = records.iter().rposition(is_missed).unwrap();
    assert!(
        last + 1 < records.len(),
        "nothing was published after: {records:?}"
    );
    for record in &records[last + 1..] {
        published(record).verify().unwrap();
    }
}

/// The sum of a metric of a feed over the last minutes.
async fn sum(world: &World, feed: &FeedId, metric: &str) -> f64 {
    let now = std::time::SystemTime::now();
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let reply = world
        .cloudwatch
        .get_metric_statistics()
        .namespace("offchain/oracle")
        .metric_name(metric)
        .dimensions(dimension("Suite", &world.stack.name))
        .dimensions(dimension("Feed", feed.as_str()))
        .start_time((now - MINUTE).into())
        .end_time((now + SOON).into())
        .period(60)
        .statistics(Statistic::Sum)
        .send()
        .await
        .unwrap();
    let points = reply.datapoints.unwrap_or_default();
    points.iter().filter_map(|point| point.sum).sum()
}

#[tokio::test]
async fn the_sweep_records_every_silent_slot_once() {
    let world = World::shared().await;
    let feed = world.feed(&json!({"kind": "demo"})).await;
    let interval = world.interval();
    let ago =
        |seconds| interval.at_or_before(Timestamp::now() - SignedDuration::from_secs(seconds));
    let (from, to) = (ago(190), ago(130));
    let expected: Vec<_> = interval.slots(from.timestamp(), to.timestamp()).collect();
    let sweep = async || {
        world.sweep_from(&feed.id, from).await;
        let swept = world.invoke("oracle-missed", &json!({"sweep": true})).await;
        swept.unwrap();
        world.records(&feed.id, from, to).await
    };
    // The schedule's own sweep may come in between.
    let records = until("the silent slots to be recorded", SOON, async || {
        let records = sweep().await;
        (!records.is_empty()).then_some(records)
    })
    .await;
    let slots: Vec<_> = records.iter().map(Record::slot).collect();
    assert_eq!(slots, expected);
    for record in &records {
        assert_eq!(missed(record).reason, "SlotUnrecorded");
    }
    let detail = world.detail(&feed.id, from).await;
    assert_eq!(detail, "no run recorded how the slot ended");
    // Swept again, they stay as they are.
    assert_eq!(sweep().await, records);
    until("the missed slots to be counted", SOON, async || {
        (sum(&world, &feed.id, "SlotsMissed").await >= 30.0).then_some(())
    })
    .await;
    // Only feeds of Terraform's have alarms.
    let alarms = world.alarms().await;
    let of = |feed: &FeedId| {
        let prefix = format!("{}-oracle-{feed}-", world.stack.name);
        alarms
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .count()
    };
    assert_eq!((of(&feed.id), of(&demo())), (0, 3));
}
