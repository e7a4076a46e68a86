//! A redrive for each kind of source that the suite's dead letters have. Where
//! a letter can be had by breaking something, it is; then all is mended, the
//! letter goes back, and what it stands for is done once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode};
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::Interval;
use offchain_store::oracle::Record;
use offchain_store::vrf::Outcome;
use serde_json::{Value, json};

use crate::faults::{BROKEN, begun, pass_deadline, schedule};
use crate::fulfilment::proved;
use crate::harness::{SOON, World, full_name, ride_id, unique, until};
use crate::oracle::{demo, missed};
use crate::oracle_faults::Minute;
use crate::proxy::ALWAYS;
use crate::redrive::{Desk, arn, counts, failed_event, function_arn, recorded, text};

/// The VRF's executions for a request, whatever their names, with how they
/// stand.
pub(crate) async fn executions(world: &World, id: &str) -> BTreeMap<String, ExecutionStatus> {
    let mut found = BTreeMap::new();
    let list = world.sfn.list_executions();
    let list = list.state_machine_arn(&world.stack.vrf.state_machine_arn);
    let mut pages = list.into_paginator().send();
    while let Some(page) = pages.next().await {
        for execution in page.unwrap().executions {
            let describe = world.sfn.describe_execution();
            let describe = describe.execution_arn(&execution.execution_arn);
            let described = describe.send().await.unwrap();
            if described.input.unwrap_or_default().contains(id) {
                found.insert(execution.name, described.status);
            }
        }
    }
    found
}

/// The request has its value, by one execution.
pub(crate) async fn fulfilled_once(world: &World, id: &str) {
    let closed = world.closed(&[id.to_owned()], SOON).await;
    proved(&closed[0]).1.verify().unwrap();
    let found = executions(world, id).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

/// A function that was taken away, to be put back.
struct Away {
    role: &'static str,
    was: GetFunctionConfigurationOutput,
}

async fn take_away(world: &World, role: &'static str) -> Away {
    let name = world.function(role);
    let get = world.lambda.get_function_configuration();
    let was = get.function_name(name).send().await.unwrap();
    let delete = world.lambda.delete_function().function_name(name);
    delete.send().await.unwrap();
    Away { role, was }
}

impl Away {
    async fn put_back(self, world: &World) {
        // Where the Lambdas' zips are, of which the stack was made.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let zip = format!("target/lambda/{}/bootstrap.zip", full_name(self.role));
        let zip = std::fs::read(root.join(&zip)).unwrap_or_else(|error| panic!("{zip}: {error}"));
        let variables = self.was.environment.unwrap().variables;
        world
            .lambda
            .create_function()
            .set_function_name(self.was.function_name)
            .set_runtime(self.was.runtime)
            .set_role(self.was.role)
            .set_handler(self.was.handler)
            .set_timeout(self.was.timeout)
            .set_memory_size(self.was.memory_size)
            .environment(Environment::builder().set_variables(variables).build())
            .code(FunctionCode::builder().zip_file(Blob::new(zip)).build())
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn of_a_queue_a_message_that_failed_too_often_goes_back_and_is_fulfilled_once() {
    let (desk, proxy) = Desk::behind_a_proxy("redrive-queue").await;
    let world = desk.world();
    let queue = "requests-dlq";
    let body = json!({"min": 1, "max": 1_000_000});

    // Given up by the function, at its first try.
    let hasty = world.set_env("start", &[("VRF_MAX_RECEIVES", Some("1"))]);
    let hasty = hasty.await;
    proxy.fail("StartExecution", "", ALWAYS, BROKEN);
    let id = world.api.request(&body).await;
    let letter = desk.letter(queue).await;
    assert_eq!(letter["source"], "queue", "{letter}");
    assert_eq!(letter["code"], "StartFailed", "{letter}");
    assert_eq!(letter["event"]["unique_identifier"], *id, "{letter}");
    let requests = arn(world, "sqs", &format!("{}-vrf-requests", world.stack.name));
    assert_eq!(letter["destination"], *requests, "{letter}");
    assert!(executions(world, &id).await.is_empty());

    // The queue takes it all the same, and it comes back: that is a redrive, too.
    let (_, report) = desk.redrive(queue, &[]).await;
    assert_eq!(counts(&report), (1, 0, 0), "{report}");
    let back = desk.letter(queue).await;
    assert_eq!(back["fingerprint"], letter["fingerprint"]);
    assert_ne!(back["message_id"], letter["message_id"]);
    assert_eq!(back["redrives"], 1, "{back}");
    proxy.heal();
    assert_eq!(desk.redriven(queue).await, 1);
    fulfilled_once(world, &id).await;
    assert_eq!(world.depth(queue).await, 0);
    drop(hasty);

    // Given up by SQS, because nobody deleted it: it says no reason.
    let held = world.hold_messages().await;
    let id = world.api.request(&body).await;
    until("SQS to give the message up", SOON, async || {
        let receive = world.sqs.receive_message();
        let receive = receive.queue_url(&world.stack.vrf.queue_url);
        let receive = receive.visibility_timeout(0).wait_time_seconds(0);
        receive.send().await.unwrap();
        (world.depth(queue).await == 1).then_some(())
    })
    .await;
    let letter = desk.letter(queue).await;
    assert_eq!(letter["code"], "Undeliverable", "{letter}");
    assert_eq!(letter["source"], "queue", "{letter}");
    assert!(letter["attempts"].as_u64() >= Some(1), "{letter}");
    assert_eq!(desk.redriven(queue).await, 1);
    drop(held);
    fulfilled_once(world, &id).await;
    assert_eq!(world.depth(queue).await, 0);
}

#[tokio::test]
async fn of_a_subscription_a_ride_that_was_not_delivered_is_recorded_once() {
    let desk = Desk::quiet("redrive-subscription").await;
    let world = desk.world();
    let queue = "rides-subscription-dlq";
    let before = world.rides().count().await;
    let recorder = take_away(world, "rides-record-sns").await;
    let rides = [world.rides().ride().await, world.rides().ride().await];
    let letters = desk.dead(queue, 2).await;
    for letter in &letters {
        assert_eq!(letter["source"], "topic", "{letter}");
        assert_eq!(letter["code"], "ResourceNotFoundException", "{letter}");
        assert_eq!(
            letter["destination"],
            function_arn(world, "rides-record-sns")
        );
        let told = text(&letter["event"]["Records"][0]["Sns"], "Message");
        assert!(rides.iter().any(|ride| told.contains(ride_id(ride))));
    }
    // The recorder is not there yet.
    let (succeeded, report) = desk.redrive(queue, &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(counts(&report), (0, 2, 0), "{report}");
    assert_eq!(world.rides().count().await, before);
    recorder.put_back(world).await;
    assert_eq!(desk.redriven(queue).await, 2);
    for ride in &rides {
        world.rides().recorded(ride_id(ride)).await;
    }
    assert_eq!(world.rides().count().await, before + 2);
    assert_eq!(world.depth(queue).await, 0);
}

/// The ids of all requests.
async fn requests(world: &World) -> BTreeSet<String> {
    let records = world.requests.scan(100_000).await.unwrap();
    let ids = records.into_iter();
    ids.map(|record| record.request.unique_identifier).collect()
}

#[tokio::test]
async fn of_a_function_an_event_that_failed_three_times_is_done_once_however_often_it_goes_back() {
    let desk = Desk::quiet("redrive-function").await;
    let world = desk.world();
    let no_table = &[("VRF_TABLE", Some("no-such-table"))];
    let no_readings = &[("ORACLE_READINGS_TABLE", Some("no-such-table"))];
    let broken = [
        world.set_env("request", no_table).await,
        world.set_env("expire", no_table).await,
        world.set_env("oracle-missed", no_readings).await,
    ];
    let mut asked = schedule();
    asked["scheduled_time"] = json!("2026-01-02T03:04:00Z");
    world.invoke_later("request", &asked).await;
    let id = begun(world).await;
    let expire = json!({"request_id": id, "error": "Test", "cause": "of the test"});
    world.invoke_later("expire", &expire).await;
    let slot = world.slot_in(-SignedDuration::from_mins(10));
    let miss = json!({"slot": slot, "error": "Test", "cause": "of the test"});
    world.invoke_later("oracle-missed", &miss).await;
    let mut letters = desk.dead("schedules-dlq", 2).await;
    letters.extend(desk.dead("oracle-schedules-dlq", 1).await);
    for (role, event) in [
        ("request", &asked),
        ("expire", &expire),
        ("oracle-missed", &miss),
    ] {
        let destination = function_arn(world, role);
        let letter = letters
            .iter()
            .find(|letter| letter["destination"] == *destination)
            .unwrap_or_else(|| panic!("{role}: {letters:?}"));
        assert_eq!(letter["source"], "function", "{letter}");
        assert_eq!(letter["code"], "StoreDenied", "{letter}");
        assert_eq!(letter["attempts"], 3, "{letter}");
        assert_eq!(letter["event"], *event, "{letter}");
    }
    // Only one of the three is mended: a redrive is each letter's own.
    let [request, expirer, recorder] = broken;
    drop(expirer);
    let (succeeded, report) = desk.redrive("schedules-dlq", &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(counts(&report), (1, 1, 0), "{report}");
    let expired = world.record(&id).await;
    assert!(
        matches!(expired.outcome().unwrap(), Some(Outcome::Expired { reason, .. }) if reason == "Test")
    );
    drop((request, recorder));

    let before = requests(world).await;
    assert_eq!(desk.redriven("schedules-dlq").await, 1);
    assert_eq!(desk.redriven("oracle-schedules-dlq").await, 1);
    let made = requests(world).await;
    let made: Vec<_> = made.difference(&before).cloned().collect();
    assert_eq!(made.len(), 1, "{made:?}");
    fulfilled_once(world, &made[0]).await;
    let value = world.record(&made[0]).await;
    let record = world.slot(&demo(), slot).await.unwrap();
    assert_eq!(missed(&record).reason, "Test");

    // The same events once more, as if they had come twice: nothing new.
    for letter in &letters {
        let oracle = text(letter, "destination").contains("oracle-");
        let queue = if oracle {
            "oracle-schedules-dlq"
        } else {
            "schedules-dlq"
        };
        desk.put(queue, &letter["body"].to_string(), &[]).await;
    }
    assert_eq!(desk.redriven("schedules-dlq").await, 2);
    assert_eq!(desk.redriven("oracle-schedules-dlq").await, 1);
    let mut all = before.clone();
    all.extend(made.iter().cloned());
    assert_eq!(requests(world).await, all);
    fulfilled_once(world, &made[0]).await;
    assert_eq!(world.record(&made[0]).await, value);
    assert_eq!(world.record(&id).await, expired);
    assert_eq!(world.slot(&demo(), slot).await.unwrap(), record);
}

/// Has a schedule of the twin trigger now, once. There is no crate of the SDK
/// for it here.
async fn trigger(desk: &Desk, schedule: &str) {
    let url = format!("{}/schedules/{schedule}", desk.twin.url());
    let key = "Credential=test/20260101/us-east-1/scheduler/aws4_request";
    let signed = format!("AWS4-HMAC-SHA256 {key}, SignedHeaders=host, Signature=none");
    let client = reqwest::Client::new();
    let get = client.get(&url).header("authorization", &signed);
    let found = get.send().await.unwrap().text().await.unwrap();
    let mut found: Value = serde_json::from_str(&found).unwrap();
    found["ScheduleExpression"] = json!("at(2026-01-01T00:00:00)");
    found["State"] = json!("ENABLED");
    let put = client.put(&url).header("authorization", signed);
    let put = put.body(found.to_string());
    let reply = put.send().await.unwrap();
    assert!(reply.status().is_success(), "{:?}", reply.text().await);
}

#[tokio::test]
async fn of_a_schedule_an_event_whose_target_was_gone_is_done_once() {
    let desk = Desk::quiet("redrive-schedule").await;
    let world = desk.world();
    let queue = "schedules-dlq";
    let id = begun(world).await;
    pass_deadline(world, &id).await;
    let expirer = take_away(world, "expire").await;
    trigger(&desk, &format!("{}-vrf-expire", world.stack.name)).await;
    let letter = desk.letter(queue).await;
    assert_eq!(letter["source"], "schedule", "{letter}");
    assert_eq!(letter["code"], "ResourceNotFoundException", "{letter}");
    assert_eq!(letter["destination"], function_arn(world, "expire"));
    assert_eq!(letter["event"], json!({"sweep": true}), "{letter}");
    expirer.put_back(world).await;
    assert_eq!(desk.redriven(queue).await, 1);
    let swept = world.record(&id).await;
    assert!(
        matches!(swept.outcome().unwrap(), Some(Outcome::Expired { reason, .. }) if reason == "FulfilmentStalled")
    );
    assert_eq!(world.depth(queue).await, 0);

    // What the sweep itself says is a letter of the suite's own: the request is
    // over, and a redrive does not change that.
    let letter = desk.letter("executions-dlq").await;
    assert_eq!(letter["source"], "suite", "{letter}");
    assert_eq!(letter["code"], "FulfilmentStalled", "{letter}");
    assert_eq!(letter["destination"], *world.stack.vrf.state_machine_arn);
    closed_stays_closed(&desk, &letter, &id).await;
}

#[tokio::test]
async fn of_a_schedule_events_that_are_all_the_same_go_back_together_and_after_each_failure_anew() {
    let desk = Desk::quiet("redrive-same").await;
    let world = desk.world();
    let queue = "schedules-dlq";
    // Each sweep is like any other: ten minutes of trouble are ten letters. That
    // they went back is no reason to give those of a later day up.
    for _ in 0..=world.stack.redrive.max_redrives {
        for _ in 0..10 {
            let sweep = json!({"sweep": true});
            let body = failed_event(world, "expire", &sweep, "StoreUnavailable");
            desk.put(queue, &body, &[]).await;
        }
        desk.dead(queue, 10).await;
        assert_eq!(desk.redriven(queue).await, 10);
        assert_eq!(world.depth(queue).await, 0);
    }
    assert!(desk.quarantine().await.is_empty());
}

/// A letter of a request that is over goes back as often as is allowed. Each
/// time an execution finds the request closed, and that is a letter again, until
/// it is quarantined. The request stays as it is.
async fn closed_stays_closed(desk: &Desk, letter: &Value, id: &str) {
    let world = desk.world();
    let queue = "executions-dlq";
    let items = async || {
        (
            world.item(id, "request").await,
            world.item(id, "fulfill").await,
        )
    };
    let before = items().await;
    let known = executions(world, id).await.len();
    let most = world.stack.redrive.max_redrives as usize;
    for redrives in 1..=most {
        let (_, report) = desk.redrive(queue, &[]).await;
        assert_eq!(counts(&report), (1, 0, 0), "{report}");
        let back = until("the letter to come back", SOON, async || {
            let letters = desk.letters(queue).await.into_iter();
            letters
                .filter(|back| back["redrives"] == redrives)
                .find(|back| back["code"] == "RequestExpired")
        })
        .await;
        assert_eq!(back["fingerprint"], letter["fingerprint"], "{back}");
        assert_eq!(back["source"], "execution", "{back}");
        assert!(text(&back, "reason").contains("RequestClosed"), "{back}");
        assert_eq!(executions(world, id).await.len(), known + redrives);
        assert_eq!(items().await, before);
    }
    let (_, report) = desk.redrive(queue, &[]).await;
    assert_eq!(counts(&report), (0, 0, 1), "{report}");
    assert_eq!(world.depth(queue).await, 0);
    assert_eq!(executions(world, id).await.len(), known + most);
    assert_eq!(items().await, before);
}

#[tokio::test]
async fn of_an_execution_that_failed_the_request_stays_closed() {
    let desk = Desk::quiet("redrive-closed").await;
    let world = desk.world();
    let broken = [
        world
            .set_env("api", &[("VRF_FULFIL_WINDOW_SECONDS", Some("3"))])
            .await,
        world
            .set_env("fulfil", &[("VRF_TABLE", Some("no-such-table"))])
            .await,
    ];
    let id = world.api.request(&json!({"min": 1, "max": 6})).await;
    let letter = desk.letter("executions-dlq").await;
    drop(broken);
    assert_eq!(letter["source"], "execution", "{letter}");
    assert_eq!(letter["code"], "RequestExpired", "{letter}");
    assert!(text(&letter, "reason").contains("StoreDenied"), "{letter}");
    assert_eq!(letter["destination"], *world.stack.vrf.state_machine_arn);
    assert_eq!(letter["event"]["request_id"], *id, "{letter}");
    let record = world.record(&id).await;
    assert!(
        matches!(record.outcome().unwrap(), Some(Outcome::Expired { reason, .. }) if reason == "StoreDenied")
    );
    closed_stays_closed(&desk, &letter, &id).await;
}

#[tokio::test]
async fn of_a_rule_and_of_an_execution_that_was_stopped_the_request_is_fulfilled_once() {
    let desk = Desk::quiet("redrive-execution").await;
    let world = desk.world();
    let body = json!({"min": 1, "max": 1_000_000, "delay_seconds": 600});
    let id = world.api.request(&body).await;
    until("the execution to wait", SOON, async || {
        let found = executions(world, &id).await;
        (found.get(&id) == Some(&ExecutionStatus::Running)).then_some(())
    })
    .await;

    // The rule's target is gone as the execution ends.
    let executions_dlq = desk.queue("executions-dlq");
    let url = world.queue("executions-dlq");
    let delete = world.sqs.delete_queue().queue_url(url);
    delete.send().await.unwrap();
    let stop = world.sfn.stop_execution();
    let stop = stop.execution_arn(world.execution_arn(&id));
    stop.send().await.unwrap();
    let letter = desk.letter("schedules-dlq").await;
    assert_eq!(letter["source"], "rule", "{letter}");
    assert_eq!(letter["destination"], arn(world, "sqs", &executions_dlq));
    assert_eq!(letter["event"]["detail"]["name"], *id, "{letter}");
    let (succeeded, report) = desk.redrive("schedules-dlq", &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(counts(&report), (0, 1, 0), "{report}");
    let create = world.sqs.create_queue().queue_name(&executions_dlq);
    create.send().await.unwrap();
    assert_eq!(desk.redriven("schedules-dlq").await, 1);

    // The event that the target should have had is an execution's letter.
    let letter = desk.letter("executions-dlq").await;
    assert_eq!(letter["source"], "execution", "{letter}");
    assert_eq!(letter["code"], "ABORTED", "{letter}");
    assert_eq!(letter["event"]["request_id"], *id, "{letter}");
    assert_eq!(world.record(&id).await.outcome().unwrap(), None);
    assert_eq!(desk.redriven("executions-dlq").await, 1);
    let found = executions(world, &id).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[&id], ExecutionStatus::Aborted);
    let next = found.keys().find(|name| name.starts_with("redrive-"));
    let next = next.unwrap_or_else(|| panic!("{found:?}"));

    // The same letter twice: two executions wait for the same request.
    desk.put("executions-dlq", &letter["body"].to_string(), &[])
        .await;
    assert_eq!(desk.redriven("executions-dlq").await, 1);
    assert_eq!(executions(world, &id).await.len(), 3);
    for (name, status) in executions(world, &id).await {
        if name != id {
            assert_eq!(status, ExecutionStatus::Running, "{name}");
        }
    }
    let stop = world.sfn.stop_execution();
    let stop = stop.execution_arn(world.execution_arn(next));
    stop.send().await.unwrap();
    let stopped = desk.letter("executions-dlq").await;
    assert_eq!(stopped["fingerprint"], letter["fingerprint"]);
    assert_eq!(stopped["redrives"], 2, "{stopped}");

    // One that is due at once is proved at once, by the first of the two.
    let soon = world
        .api
        .request(&json!({"min": 1, "max": 6, "delay_seconds": 5}))
        .await;
    until("the execution to wait", SOON, async || {
        let found = executions(world, &soon).await;
        (found.get(&soon) == Some(&ExecutionStatus::Running)).then_some(())
    })
    .await;
    let stop = world.sfn.stop_execution();
    let stop = stop.execution_arn(world.execution_arn(&soon));
    stop.send().await.unwrap();
    let letters = desk.dead("executions-dlq", 2).await;
    let letter = letters
        .iter()
        .find(|it| it["event"]["request_id"] == *soon)
        .unwrap();
    desk.put("executions-dlq", &letter["body"].to_string(), &[])
        .await;
    let (succeeded, report) = desk.redrive("executions-dlq", &["--contains", &soon]).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (2, 0, 0), "{report}");
    world.closed(std::slice::from_ref(&soon), SOON).await;
    until("both executions to end", SOON, async || {
        let mut found = executions(world, &soon).await;
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found.remove(&soon), Some(ExecutionStatus::Aborted));
        found
            .values()
            .all(|status| *status == ExecutionStatus::Succeeded)
            .then_some(())
    })
    .await;
    let record = world.record(&soon).await;
    proved(&record).1.verify().unwrap();
    let item = world.item(&soon, "fulfill").await.unwrap();
    assert_eq!(item["fulfill_attempts"].as_n().unwrap(), "1", "{item:?}");
    // The other one's letter was no part of it.
    assert_eq!(
        desk.letter("executions-dlq").await["event"]["request_id"],
        *id
    );
}

#[tokio::test]
async fn of_the_oracle_each_slot_that_could_not_be_recorded_is_recorded_once() {
    let desk = Desk::quiet("redrive-slots").await;
    let world = desk.world();
    let queue = "oracle-minutes-dlq";
    let changes = [("ORACLE_READINGS_TABLE", Some("no-such-table"))];
    let broken = world.set_env("oracle-missed", &changes).await;
    // All its slots have passed: none is published.
    let scheduled = Timestamp::now() - SignedDuration::from_mins(10);
    let scheduled = Interval::new(60).unwrap().at_or_before(scheduled);
    let minute = Minute::of(world, scheduled.into()).await;
    let ended = world.minute_ended(&minute.execution).await;
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
    let slots = world
        .interval()
        .slots(minute.begin.into(), minute.end.into());
    let slots: Vec<_> = slots.collect();
    let letters = desk.dead(queue, slots.len()).await;
    for letter in &letters {
        assert_eq!(letter["source"], "suite", "{letter}");
        assert_eq!(letter["code"], "StoreDenied", "{letter}");
        assert_eq!(letter["destination"], function_arn(world, "oracle-missed"));
    }
    assert_eq!(world.records(&demo(), minute.begin, minute.end).await, []);
    drop(broken);

    assert_eq!(desk.redriven(queue).await, slots.len() as u64);
    let records = world.records(&demo(), minute.begin, minute.end).await;
    let found: Vec<_> = records.iter().map(Record::slot).collect();
    assert_eq!(found, slots);
    for record in &records {
        assert_eq!(missed(record).reason, "SlotPassed", "{record:?}");
    }
    for letter in &letters[..3] {
        desk.put(queue, &letter["event"].to_string(), &[]).await;
    }
    assert_eq!(desk.redriven(queue).await, 3);
    assert_eq!(
        world.records(&demo(), minute.begin, minute.end).await,
        records
    );
    assert_eq!(world.depth(queue).await, 0);
}

#[tokio::test]
async fn of_the_intake_a_ride_that_could_not_be_published_is_published_and_recorded_once() {
    let desk = Desk::quiet("redrive-unsent").await;
    let world = desk.world();
    let queue = "rides-unsent-dlq";
    let before = recorded(world).await;
    let nowhere = arn(world, "sns", &format!("no-such-topic-{}", unique()));
    let changes = [("RIDES_TOPIC_ARN", Some(nowhere.as_str()))];
    let broken = world.set_env("rides-request", &changes).await;
    let ride = world.rides().ride().await;
    let letter = desk.letter(queue).await;
    drop(broken);
    assert_eq!(letter["source"], "suite", "{letter}");
    assert_eq!(letter["code"], "PublishFailed", "{letter}");
    assert_eq!(letter["destination"], *world.stack.rides.topic_arn);
    assert_eq!(letter["event"], ride, "{letter}");
    assert_eq!(recorded(world).await, before);

    assert_eq!(desk.redriven(queue).await, 1);
    let item = world.rides().recorded(ride_id(&ride)).await;
    // Once more: published twice, recorded once, and nothing of it is dead.
    desk.put(queue, &letter["body"].to_string(), &[]).await;
    assert_eq!(desk.redriven(queue).await, 1);
    let marker = world.rides().ride().await;
    world.rides().recorded(ride_id(&marker)).await;
    assert_eq!(recorded(world).await.len(), before.len() + 2);
    assert_eq!(world.rides().recorded(ride_id(&ride)).await, item);
    for queue in [queue, "rides-record-dlq", "rides-subscription-dlq"] {
        assert_eq!(world.depth(queue).await, 0, "{queue}");
    }
}
