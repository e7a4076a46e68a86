//! Whatever breaks, each request has one value, which never changes; nothing
//! is lost and nothing is done twice. The functions here are the real ones,
//! with their deployed settings and roles; between them and AWS stands a proxy
//! that loses, delays and refuses calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use offchain_store::Moment;
use offchain_store::vrf::{Origin, Outcome, Record, RequestItem, RequestMessage, Windows};
use offchain_vrf::{Bounds, Due, DueTime, RequestTerms};
use rand::RngExt;
use serde_json::{Value, json};

use crate::fulfilment::{proved, runs};
use crate::harness::{SOON, World, attribute, unique};
use crate::proxy::{ALWAYS, Fault, Proxy};
use crate::runtime_api::{Function, Outcome as Ran};
use crate::twin::{Twin, signal};

pub(crate) const THROTTLED: Fault = Fault::Refused(400, "ProvisionedThroughputExceededException");
pub(crate) const BROKEN: Fault = Fault::Refused(500, "InternalServiceError");

/// The writes of vrf-fulfil, each known by its update expression.
const WRITES_VALUE: &str = "SET vrf_value";
const COUNTS_FAILURE: &str = "last_error = :code";

/// Requests a value that is due now; nothing works on it yet.
pub(crate) async fn submitted(world: &World) -> RequestItem {
    let now = Moment::from(Timestamp::now());
    let terms = RequestTerms {
        request_id: unique().parse().unwrap(),
        bounds: Bounds::new(1, 1_000_000).unwrap(),
        due: Due::At(DueTime::try_from(now.timestamp()).unwrap()),
        seed: None,
    };
    let windows = Windows {
        fulfil: SignedDuration::from_mins(15),
        height: SignedDuration::from_mins(15),
        retention: SignedDuration::from_hours(24),
    };
    let key = world.keys.active_at(now).await.unwrap().unwrap();
    let item = RequestItem::new(&terms, now, windows, key.epoch, Origin::Api);
    world.requests.insert(&item).await.unwrap();
    item
}

/// Likewise, as far as vrf-start brings it: the turn is vrf-fulfil's.
pub(crate) async fn begun(world: &World) -> String {
    let item = submitted(world).await;
    let now = Moment::from(Timestamp::now());
    world
        .requests
        .begin(&item.unique_identifier, now, item.expiration)
        .await
        .unwrap();
    item.unique_identifier
}

/// An event of the queue with one message, received for so many times.
pub(crate) fn delivery(body: &str, receives: u32) -> Value {
    json!({"Records": [{
        "messageId": unique(),
        "receiptHandle": "e2e",
        "body": body,
        "attributes": {"ApproximateReceiveCount": receives.to_string()},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:e2e",
        "awsRegion": "us-east-1",
    }]})
}

/// More than any queue's `maxReceiveCount`: the last time.
pub(crate) const LAST: u32 = 1000;

pub(crate) fn message(item: &RequestItem) -> String {
    serde_json::to_string(&RequestMessage::from(item)).unwrap()
}

/// How vrf-start answers where it could not use the message of an event.
pub(crate) fn refused(event: &Value) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]})
}

pub(crate) fn accepted() -> Value {
    json!({"batchItemFailures": []})
}

/// A function whose way to AWS can be broken.
struct Scene {
    world: World,
    proxy: Proxy,
    function: Function,
    role: &'static str,
}

impl Scene {
    async fn of(role: &'static str) -> Self {
        let world = World::shared().await;
        let url = std::env::var("AWS_ENDPOINT_URL").unwrap();
        let proxy = Proxy::before(&url).await;
        let function = Function::start(&world, role, proxy.url()).await;
        Self {
            world,
            proxy,
            function,
            role,
        }
    }

    /// A second run of vrf-fulfil, or the first one.
    async fn fulfil(&self, id: &str) -> Ran {
        self.function.invoke(&json!({"request_id": id})).await
    }

    /// The run fails with this code.
    async fn fails(&self, id: &str, code: &str) {
        let failure = self.fulfil(id).await.unwrap_err();
        assert_eq!(failure.error_type, code, "{failure:?}");
    }

    /// Kills the process; another one takes its place.
    async fn kill(&mut self) {
        self.proxy.heal();
        let next = Function::start(&self.world, self.role, self.proxy.url()).await;
        std::mem::replace(&mut self.function, next).kill();
    }

    /// The request has a true value after so many failed runs. Whatever is
    /// tried after that, its items stay as they are.
    async fn settled(&self, id: &str, failed: u32) {
        self.proxy.heal();
        let record = self.world.record(id).await;
        let (_, bundle) = proved(&record);
        bundle.verify().unwrap();
        assert_eq!(counted(&record), failed);
        let item = self.world.item(id, "fulfill").await.unwrap();
        let attempts = item["fulfill_attempts"].as_n().unwrap();
        assert_eq!(attempts, &(failed + 1).to_string());
        let expected = json!({"request_id": id, "value": bundle.value.to_string()});
        assert_eq!(self.fulfil(id).await.unwrap(), expected);
        assert_eq!(self.world.item(id, "fulfill").await.unwrap(), item);
        // It is out of the index of open requests.
        assert!(
            !self
                .world
                .item(id, "request")
                .await
                .unwrap()
                .contains_key("open")
        );
    }
}

fn counted(record: &Record) -> u32 {
    record.fulfilment.as_ref().unwrap().failed_fulfill_attempts
}

fn value(record: &Record) -> Option<i64> {
    record.fulfilment.as_ref()?.vrf_value
}

#[tokio::test]
async fn a_value_whose_reply_was_lost_is_the_value() {
    let scene = Scene::of("fulfil").await;

    // The SDK asks again and finds the value written.
    let id = begun(&scene.world).await;
    scene
        .proxy
        .fail("UpdateItem", WRITES_VALUE, 1, Fault::ReplyLost);
    let reply = scene.fulfil(&id).await.unwrap();
    let written = value(&scene.world.record(&id).await).unwrap();
    assert_eq!(reply["value"], written.to_string());
    scene.settled(&id, 0).await;

    // No reply comes at all: the run fails, and the next one finds the value.
    let id = begun(&scene.world).await;
    scene
        .proxy
        .fail("UpdateItem", WRITES_VALUE, ALWAYS, Fault::ReplyLost);
    scene.fails(&id, "StoreUnavailable").await;
    let record = scene.world.record(&id).await;
    assert!(value(&record).is_some());
    scene.proxy.heal();
    scene.fulfil(&id).await.unwrap();
    assert_eq!(scene.world.record(&id).await, record);
    scene.settled(&id, 0).await;
}

#[tokio::test]
async fn a_run_killed_before_its_write_or_after_it_is_made_up_for() {
    let mut scene = Scene::of("fulfil").await;
    for (fault, written) in [(Fault::Unheard, false), (Fault::ReplyHeld, true)] {
        let id = begun(&scene.world).await;
        scene.proxy.fail("UpdateItem", WRITES_VALUE, ALWAYS, fault);
        scene.function.begin(&unique(), &json!({"request_id": id}));
        scene.proxy.struck().await;
        scene.kill().await;
        let before = scene.world.record(&id).await;
        assert_eq!(value(&before).is_some(), written);
        scene.fulfil(&id).await.unwrap();
        if written {
            assert_eq!(scene.world.record(&id).await, before);
        }
        scene.settled(&id, 0).await;
    }
}

#[tokio::test]
async fn a_write_that_arrives_late_changes_nothing() {
    let scene = Scene::of("fulfil").await;
    let id = begun(&scene.world).await;
    // Later than the SDK waits: each of its attempts arrives when it is given up.
    let late = Fault::Late(Duration::from_millis(2500));
    scene.proxy.fail("UpdateItem", WRITES_VALUE, ALWAYS, late);
    scene.fails(&id, "StoreUnavailable").await;
    let record = scene.world.record(&id).await;
    assert!(value(&record).is_some());
    // The last attempt is still under way.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.world.record(&id).await, record);
    scene.settled(&id, 0).await;

    // Another run was faster: what it wrote stands, and both say so.
    let id = begun(&scene.world).await;
    let late = Fault::Late(Duration::from_millis(1500));
    scene.proxy.fail("UpdateItem", WRITES_VALUE, 1, late);
    let other = async {
        scene.proxy.reached().await;
        let url = std::env::var("AWS_ENDPOINT_URL").unwrap();
        let other = Function::start(&scene.world, "fulfil", &url).await;
        let reply = other.invoke(&json!({"request_id": id})).await.unwrap();
        (reply, scene.world.record(&id).await)
    };
    let (reply, (others, record)) = futures_util::join!(scene.fulfil(&id), other);
    assert_eq!(reply.unwrap(), others);
    assert_eq!(scene.world.record(&id).await, record);
    scene.settled(&id, 0).await;

    // Slow, but in time.
    let id = begun(&scene.world).await;
    for operation in ["Query", "GetItem", "GetSecretValue", "UpdateItem"] {
        scene.proxy.fail(
            operation,
            "",
            ALWAYS,
            Fault::Late(Duration::from_millis(700)),
        );
    }
    scene.fulfil(&id).await.unwrap();
    scene.settled(&id, 0).await;
}

#[tokio::test]
async fn a_throttled_table_is_waited_for_and_then_is_unavailable() {
    let mut scene = Scene::of("fulfil").await;

    let id = begun(&scene.world).await;
    for (operation, holding) in [("Query", ""), ("GetItem", ""), ("UpdateItem", WRITES_VALUE)] {
        scene.proxy.fail(operation, holding, 1, THROTTLED);
    }
    scene.fulfil(&id).await.unwrap();
    scene.settled(&id, 0).await;

    // What fails before the request is read, or as the value is written, is no
    // failed run: the one is not known, the other may have a value.
    let id = begun(&scene.world).await;
    for (operation, holding, count) in [
        ("Query", "", 0),
        ("UpdateItem", WRITES_VALUE, 0),
        ("GetItem", "", 1),
    ] {
        // A fresh process, which remembers no epoch.
        scene.kill().await;
        scene.proxy.fail(operation, holding, ALWAYS, THROTTLED);
        scene.fails(&id, "StoreUnavailable").await;
        scene.proxy.heal();
        let record = scene.world.record(&id).await;
        assert_eq!(
            (value(&record), counted(&record)),
            (None, count),
            "{operation}"
        );
    }
    scene.fulfil(&id).await.unwrap();
    scene.settled(&id, 1).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_had_counts_as_one_failed_run_each() {
    let scene = Scene::of("fulfil").await;
    let id = begun(&scene.world).await;
    for (run, fault) in [(1, Fault::Unheard), (2, BROKEN)] {
        scene.proxy.fail("GetSecretValue", "", ALWAYS, fault);
        // Counted at the first attempt, whose reply is lost.
        scene
            .proxy
            .fail("UpdateItem", COUNTS_FAILURE, 1, Fault::ReplyLost);
        scene.fails(&id, "KeyUnavailable").await;
        scene.proxy.heal();
        let record = scene.world.record(&id).await;
        assert_eq!((value(&record), counted(&record)), (None, run));
        let error = record.fulfilment.unwrap().last_error;
        assert_eq!(error.as_deref(), Some("KeyUnavailable"));
    }
    scene.fulfil(&id).await.unwrap();
    scene.settled(&id, 2).await;
}

/// The schedule's event, for a request that is due soon.
pub(crate) fn schedule() -> Value {
    json!({
        "queue_delay_seconds": {"min": 0, "max": 0},
        "target_blocks": {"min": 0, "max": 1},
        "block_seconds": 1,
        "bounds": {"min": 0, "max": 1_000_000},
    })
}

/// The event that the HTTP API makes of a request.
pub(crate) fn post(world: &World, key: &str) -> Value {
    let path = "/v1/vrf/requests";
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "headers": {
            "authorization": format!("Bearer {}", world.api.token()),
            "idempotency-key": key,
        },
        "requestContext": {"http": {"method": "POST", "path": path}},
        "body": json!({"min": 1, "max": 1_000_000}).to_string(),
        "isBase64Encoded": false,
    })
}

/// A reply of vrf-api: its status, and its body as JSON.
pub(crate) fn read(reply: &Value) -> (u64, Value) {
    let body = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    (reply["statusCode"].as_u64().unwrap(), body)
}

/// The deployed functions fulfil the request, in the one execution it has.
async fn fulfilled_once(world: &World, id: &str) {
    let closed = world.closed(&[id.to_owned()], SOON).await;
    proved(&closed[0]).1.verify().unwrap();
    assert_eq!(executions(world, &[id.to_owned()]).await[id].len(), 1);
}

/// The executions that bear the requests' names, with their states.
async fn executions(world: &World, ids: &[String]) -> HashMap<String, Vec<ExecutionStatus>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    let machine = world
        .sfn
        .list_executions()
        .state_machine_arn(&world.stack.vrf.state_machine_arn);
    let mut pages = machine.into_paginator().send();
    while let Some(page) = pages.next().await {
        for execution in page.unwrap().executions {
            if ids.contains(&execution.name) {
                found
                    .entry(execution.name)
                    .or_default()
                    .push(execution.status);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_request_whose_message_could_not_be_sent_is_sent_when_it_is_repeated() {
    let scene = Scene::of("api").await;
    let (world, proxy) = (&scene.world, &scene.proxy);

    let event = post(world, &unique());
    proxy.fail("SendMessage", "", ALWAYS, BROKEN);
    let reply = scene.function.invoke(&event).await.unwrap();
    let (status, problem) = read(&reply);
    assert_eq!(status, 503, "{problem}");
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("StoreUnavailable"),
        "{problem}"
    );
    assert!(reply["headers"]["retry-after"].is_string(), "{reply}");
    proxy.heal();
    let (status, view) = read(&scene.function.invoke(&event).await.unwrap());
    assert_eq!(status, 202, "{view}");
    fulfilled_once(world, view["request_id"].as_str().unwrap()).await;

    // Written and sent, but the replies are lost: the item is one, the message
    // comes twice, and one execution follows.
    proxy.fail("PutItem", "", 1, Fault::ReplyLost);
    proxy.fail("SendMessage", "", 1, Fault::ReplyLost);
    let (status, view) = read(
        &scene
            .function
            .invoke(&post(world, &unique()))
            .await
            .unwrap(),
    );
    assert_eq!(status, 202, "{view}");
    assert!(proxy.calls("SendMessage") >= 2);
    fulfilled_once(world, view["request_id"].as_str().unwrap()).await;
}

#[tokio::test]
async fn a_scheduled_request_keeps_its_id_over_a_retry() {
    let scene = Scene::of("request").await;
    let schedule = schedule();
    let invocation = unique();
    scene.proxy.fail("SendMessage", "", ALWAYS, BROKEN);
    let failure = scene
        .function
        .invoke_as(&invocation, &schedule)
        .await
        .unwrap_err();
    assert_eq!(failure.error_type, "StoreUnavailable", "{failure:?}");
    let asked = scene.world.record(&invocation).await;
    assert_eq!(asked.fulfilment, None);

    scene.proxy.heal();
    let reply = scene
        .function
        .invoke_as(&invocation, &schedule)
        .await
        .unwrap();
    assert_eq!(reply, json!({"request_id": invocation}));
    fulfilled_once(&scene.world, &invocation).await;
    // The retry drew anew, and what was asked first stands.
    assert_eq!(scene.world.record(&invocation).await.request, asked.request);
}

#[tokio::test]
async fn an_execution_whose_start_was_not_confirmed_is_the_only_one() {
    let scene = Scene::of("start").await;
    for times in [1, ALWAYS] {
        let item = submitted(&scene.world).await;
        let event = delivery(&message(&item), 1);
        scene
            .proxy
            .fail("StartExecution", "", times, Fault::ReplyLost);
        let reply = scene.function.invoke(&event).await.unwrap();
        let expected = if times == 1 {
            accepted()
        } else {
            refused(&event)
        };
        assert_eq!(reply, expected);
        scene.proxy.heal();
        // Delivered again, it finds the execution there.
        assert_eq!(scene.function.invoke(&event).await.unwrap(), accepted());
        fulfilled_once(&scene.world, &item.unique_identifier).await;
        // Even when all is over.
        assert_eq!(scene.function.invoke(&event).await.unwrap(), accepted());
        fulfilled_once(&scene.world, &item.unique_identifier).await;
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_used_now_comes_again_and_at_last_is_a_dead_letter() {
    let scene = Scene::of("start").await;
    let world = &scene.world;
    let item = submitted(world).await;
    let id = item.unique_identifier.clone();
    let body = message(&item);
    let mine = |letter: &aws_sdk_sqs::types::Message| letter.body.as_deref() == Some(&body);

    scene.proxy.fail("Query", "", ALWAYS, THROTTLED);
    let first = delivery(&body, 1);
    assert_eq!(
        scene.function.invoke(&first).await.unwrap(),
        refused(&first)
    );

    // The dead-letter queue does not take it either: it is not acknowledged.
    scene.proxy.fail("SendMessage", "", ALWAYS, BROKEN);
    let last = delivery(&body, LAST);
    assert_eq!(scene.function.invoke(&last).await.unwrap(), refused(&last));
    assert!(world.dead_letters("requests-dlq", mine).await.is_empty());

    scene.proxy.heal();
    scene.proxy.fail("Query", "", ALWAYS, THROTTLED);
    assert_eq!(scene.function.invoke(&last).await.unwrap(), accepted());
    let letter = world.dead_letter("requests-dlq", &id, mine).await;
    assert_eq!(
        attribute(&letter, "ErrorCode").as_deref(),
        Some("StoreUnavailable")
    );
    let reason = attribute(&letter, "ErrorMessage").unwrap();
    assert!(reason.contains("ProvisionedThroughputExceeded"), "{reason}");

    // Nothing was lost: the dead letter, sent again, is fulfilled.
    scene.proxy.heal();
    let again = delivery(letter.body.as_deref().unwrap(), 1);
    assert_eq!(scene.function.invoke(&again).await.unwrap(), accepted());
    fulfilled_once(world, &id).await;
}

#[tokio::test]
async fn a_rotation_whose_replies_are_lost_makes_one_epoch() {
    let twin = Twin::of_the_stack("rotated").await;
    let proxy = Proxy::before(&twin.url()).await;
    let rotator = Function::start(&twin.world, "rotate-key", proxy.url()).await;
    let rotate = json!({"action": "rotate"});
    let mut newest = twin.world.keys.newest().await.unwrap().unwrap();
    for operation in ["PutSecretValue", "UpdateSecretVersionStage", "PutItem"] {
        for times in [1, ALWAYS] {
            let invocation = unique();
            proxy.fail(operation, "", times, Fault::ReplyLost);
            let outcome = rotator.invoke_as(&invocation, &rotate).await;
            assert_eq!(outcome.is_ok(), times == 1, "{operation}: {outcome:?}");
            proxy.heal();
            // As Lambda does it where the run failed, and sometimes where it did not.
            let reply = rotator.invoke_as(&invocation, &rotate).await.unwrap();
            let next = twin.world.keys.newest().await.unwrap().unwrap();
            assert_eq!(reply["epoch"], next.epoch);
            assert_eq!(next.epoch, newest.epoch + 1, "{operation}");
            assert_ne!(next.public_key, newest.public_key);
            newest = next;
        }
    }
    // The last key is in place and proves.
    let active = newest
        .active_from
        .timestamp()
        .duration_since(Timestamp::now());
    tokio::time::sleep(active.try_into().unwrap_or_default()).await;
    let id = begun(&twin.world).await;
    twin.world
        .invoke("fulfil", &json!({"request_id": id}))
        .await
        .unwrap();
    let (_, bundle) = proved(&twin.world.record(&id).await);
    assert_eq!(hex::encode(&bundle.public_key), newest.public_key);
    bundle.verify().unwrap();
}

#[tokio::test]
async fn a_fulfilment_killed_again_and_again_ends_with_one_value_each() {
    let twin = Twin::of_the_stack("killed").await;
    let world = &twin.world;
    let requests = (0..40).map(async |n| {
        world
            .api
            .request(&json!({"min": 1, "max": 1_000_000, "delay_seconds": 1 + n % 6}))
            .await
    });
    let ids = join_all(requests).await;
    let mut seen = HashMap::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(9) {
        signal("KILL", &twin.processes("fulfil").await);
        for record in world.requests.scan(10_000).await.unwrap() {
            if value(&record).is_some() {
                seen.entry(record.request.unique_identifier.clone())
                    .or_insert(record);
            }
        }
        let pause = rand::rng().random_range(10..250);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    let closed = world.closed(&ids, SOON).await;
    let mut cut_off = 0;
    for (id, record) in ids.iter().zip(&closed) {
        let (_, bundle) = proved(record);
        bundle.verify().unwrap();
        let history = world.history(id).await;
        // A run that is killed cannot count itself; those that say why can.
        if errors(&history)
            .iter()
            .all(|error| error.starts_with("Runtime."))
        {
            assert_eq!(counted(record), 0);
        }
        if let Some(first) = seen.get(id) {
            assert_eq!(record.fulfilment, first.fulfilment, "{id}");
        }
        cut_off += runs(&history).failed;
    }
    assert!(cut_off > 0, "not one run was killed");
    let executions = executions(world, &ids).await;
    assert_eq!(executions.len(), ids.len());
    assert!(executions.values().all(|states| states.len() == 1));
}

/// The errors that tasks of an execution ended with.
fn errors(history: &[HistoryEvent]) -> Vec<&str> {
    let error = |event| match (
        HistoryEvent::task_failed_event_details(event),
        HistoryEvent::lambda_function_failed_event_details(event),
    ) {
        (Some(details), _) => details.error(),
        (_, Some(details)) => details.error(),
        _ => None,
    };
    history.iter().filter_map(error).collect()
}

#[tokio::test]
async fn requests_outlive_the_emulator_and_those_left_over_expire() {
    let mut twin = Twin::of_the_stack("restarted").await;
    let world = &twin.world;
    let body = |delay: u32| json!({"min": 1, "max": 1_000_000, "delay_seconds": delay});
    let done: Vec<String> = join_all((0..3).map(async |_| world.api.request(&body(0)).await)).await;
    let done_before = world.closed(&done, SOON).await;
    let waiting: Vec<String> =
        join_all((0..3).map(async |_| world.api.request(&body(600)).await)).await;
    for id in &waiting {
        crate::harness::until("the execution to wait", SOON, async || {
            let execution = world
                .sfn
                .describe_execution()
                .execution_arn(world.execution_arn(id));
            let execution = execution.send().await.ok()?;
            (execution.status == ExecutionStatus::Running).then_some(())
        })
        .await;
    }
    let mut delayed = schedule();
    delayed["queue_delay_seconds"] = json!({"min": 10, "max": 10});
    let queued = world.invoke("request", &delayed).await.unwrap();
    let queued = queued["request_id"].as_str().unwrap().to_owned();

    twin.stop();
    twin.start().await;

    let world = &twin.world;
    // The values are there, and the message in the queue is.
    assert_eq!(world.closed(&done, SOON).await, done_before);
    fulfilled_once(world, &queued).await;
    // What waited in an execution is open, until the sweep after its deadline.
    for id in &waiting {
        let record = world.record(id).await;
        assert_eq!(record.outcome().unwrap(), None);
        pass_deadline(world, id).await;
    }
    world
        .invoke("expire", &json!({"sweep": true}))
        .await
        .unwrap();
    for (id, record) in waiting.iter().zip(world.closed(&waiting, SOON).await) {
        let outcome = record.outcome().unwrap();
        assert!(
            matches!(&outcome, Some(Outcome::Expired { reason, .. }) if reason == "FulfilmentStalled"),
            "{outcome:?}"
        );
        let letter = world
            .dead_letter("executions-dlq", id, |letter| {
                letter.body.as_ref().is_some_and(|body| body.contains(id))
            })
            .await;
        assert_eq!(
            attribute(&letter, "ErrorCode").as_deref(),
            Some("FulfilmentStalled")
        );
        let refusal = world
            .invoke("fulfil", &json!({"request_id": id}))
            .await
            .unwrap_err();
        assert_eq!(refusal["errorType"], "RequestClosed", "{refusal}");
    }
    assert_eq!(world.closed(&done, SOON).await, done_before);
}

/// Lets the time pass until the sweep may end the request.
pub(crate) async fn pass_deadline(world: &World, id: &str) {
    let past = Moment::from(Timestamp::now() - SignedDuration::from_mins(2));
    world
        .dynamodb
        .update_item()
        .table_name(&world.stack.vrf.table)
        .key("unique_identifier", AttributeValue::S(id.to_owned()))
        .key("action", AttributeValue::S("request".to_owned()))
        .update_expression("SET deadline = :past")
        .expression_attribute_values(":past", AttributeValue::S(past.to_string()))
        .send()
        .await
        .unwrap();
}
