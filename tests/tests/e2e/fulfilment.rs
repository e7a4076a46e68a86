//! Requests end fulfilled: in time, once, and with a proof that anyone can check.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use futures_util::future::join_all;
use futures_util::stream::{StreamExt, iter};
use jiff::{SignedDuration, Timestamp};
use offchain_store::keys::KeyEpoch;
use offchain_store::vrf::{Origin, Outcome, Record, RequestItem};
use offchain_vrf::{ProofBundle, PublicKey};
use serde_json::{Value, json};

use crate::harness::{SOON, World, bundle, offchain_with, report, until};

/// How an execution ran vrf-fulfil.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// Runs a round: between two waits.
    pub(crate) rounds: Vec<u32>,
    pub(crate) failed: u32,
    pub(crate) succeeded: u32,
}

/// Counts the runs of vrf-fulfil in an execution's history. AWS names the
/// events of a Lambda task otherwise than the emulator does.
pub(crate) fn runs(history: &[HistoryEvent]) -> Runs {
    let mut runs = Runs {
        rounds: vec![0],
        ..Runs::default()
    };
    let mut state = "";
    for event in history {
        if let Some(entered) = event.state_entered_event_details() {
            state = entered.name();
            if state == "WaitBackOff" {
                runs.rounds.push(0);
            }
        }
        if state != "FulfilRequest" {
            continue;
        }
        match event.r#type().as_str() {
            "TaskScheduled" | "LambdaFunctionScheduled" => *runs.rounds.last_mut().unwrap() += 1,
            "TaskSucceeded" | "LambdaFunctionSucceeded" => runs.succeeded += 1,
            "TaskFailed" | "LambdaFunctionFailed" | "TaskTimedOut" | "LambdaFunctionTimedOut" => {
                runs.failed += 1;
            }
            _ => {}
        }
    }
    runs
}

pub(crate) fn number(item: &HashMap<String, AttributeValue>, name: &str) -> i64 {
    item[name].as_n().unwrap().parse().unwrap()
}

/// The value and the proof of a fulfilled request.
pub(crate) fn proved(record: &Record) -> (Timestamp, ProofBundle) {
    match record.outcome().unwrap() {
        Some(Outcome::Fulfilled { at, bundle }) => (at.timestamp(), bundle),
        other => panic!("expected a fulfilled request, found {other:?}: {record:?}"),
    }
}

/// The key of an epoch among those that the API publishes.
pub(crate) fn public_key(keys: &[KeyEpoch], epoch: u64) -> PublicKey {
    let key = keys.iter().find(|key| key.epoch == epoch).unwrap();
    let bytes = hex::decode(&key.public_key).unwrap();
    PublicKey::from_bytes(key.suite.parse().unwrap(), &bytes).unwrap()
}

/// Makes many requests, ten at a time.
async fn request_all(world: &World, bodies: Vec<Value>) -> Vec<String> {
    iter(bodies)
        .map(async |body| world.api.request(&body).await)
        .buffered(10)
        .collect()
        .await
}

/// Every bundle that differs from this one in one field. Each must be refused.
fn tampered(bundle: &ProofBundle) -> Vec<(String, String)> {
    let Value::Object(fields) = serde_json::to_value(bundle).unwrap() else {
        panic!("a bundle is an object");
    };
    let mut all = Vec::new();
    for (name, value) in &fields {
        let mut changed = fields.clone();
        changed.insert(name.clone(), other(value));
        all.push((name.clone(), Value::from(changed).to_string()));
        let mut without = fields.clone();
        without.remove(name);
        all.push((format!("no {name}"), Value::from(without).to_string()));
    }
    let mut more = fields.clone();
    more.insert("note".into(), "hello".into());
    all.push(("one more".into(), Value::from(more).to_string()));
    all
}

/// A value of the same shape, with its last character but one changed: the
/// last one of a time is its zone.
fn other(value: &Value) -> Value {
    let Value::String(text) = value else {
        return Value::from(value.as_u64().unwrap() + 1);
    };
    let mut bytes = text.clone().into_bytes();
    let at = bytes.len().saturating_sub(2);
    bytes[at] = match bytes[at] {
        b'0' => b'1',
        b'-' => b'1',
        b'A'..=b'Z' => b'X',
        _ => b'0',
    };
    String::from_utf8(bytes).unwrap().into()
}

#[tokio::test]
async fn of_a_hundred_requests_that_fail_nine_times_in_ten_each_ends_fulfilled_once_and_proved() {
    let world = World::alone().await;
    let failing = world
        .set_env("fulfil", &[("VRF_SIMULATED_FAILURE_RATE", Some("0.9"))])
        .await;
    let start = Instant::now();
    let bodies = (0..100)
        .map(|n| json!({"min": -n, "max": 1000, "seed": format!("{n:02x}")}))
        .collect();
    let ids = request_all(&world, bodies).await;
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 100);
    let window = Duration::from_secs(900);
    let records = world.closed(&ids, window).await;
    let took = start.elapsed();
    drop(failing);
    let world = world.no_longer_alone();
    let keys = world.api.keys().await;

    let mut failures = Vec::new();
    for (id, record) in ids.iter().zip(&records) {
        let (at, bundle) = proved(record);
        assert!(at < record.request.deadline.timestamp(), "{id}: {at}");
        assert!((bundle.min..=bundle.max).contains(&bundle.value), "{id}");

        // Each failed run is counted once, and one run succeeded.
        let item = world.item(id, "fulfill").await.unwrap();
        let failed = number(&item, "failed_fulfill_attempts");
        assert_eq!(number(&item, "fulfill_attempts"), failed + 1, "{id}");
        let execution = world
            .sfn
            .describe_execution()
            .execution_arn(world.execution_arn(id))
            .send()
            .await
            .unwrap();
        assert_eq!(execution.status, ExecutionStatus::Succeeded, "{id}");
        let runs = runs(&world.history(id).await);
        assert_eq!(
            (i64::from(runs.failed), runs.succeeded),
            (failed, 1),
            "{id}: {runs:?}"
        );
        assert!(
            runs.rounds.iter().all(|runs| (1..=3).contains(runs)),
            "{id}: {runs:?}"
        );
        failures.push(failed);

        // Nothing in the bundle can be changed.
        bundle
            .verify_with_key(&public_key(&keys, record.request.key_epoch))
            .unwrap();
        for (field, text) in tampered(&bundle) {
            let refused =
                ProofBundle::from_json(&text).map_or(true, |bundle| bundle.verify().is_err());
            assert!(refused, "{id}: {field}: {text}");
        }
    }
    failures.sort_unstable();
    let attempts = failures.iter().map(|failed| failed + 1).sum::<i64>();
    report(&format!(
        "100 requests at failure rate 0.9: all fulfilled in {:.1} s, {attempts} attempts, \
         median {}, most {}",
        took.as_secs_f64(),
        failures[49] + 1,
        failures[99] + 1,
    ));
    // A hundred requests that fail nine times in ten need a thousand runs, give
    // or take 95 (a standard deviation): the knob is a rate, not a switch.
    assert!((500..=1600).contains(&attempts), "{attempts}");

    // What is written stays.
    for (id, record) in ids.iter().zip(&records).take(10) {
        assert_eq!(&world.record(id).await, record);
        assert!(
            world
                .invoke("fulfil", &json!({"request_id": id}))
                .await
                .is_ok()
        );
        assert_eq!(&world.record(id).await, record);
    }
}

#[tokio::test]
async fn the_command_verifies_a_bundle_and_refuses_it_with_any_field_changed() {
    let world = World::shared().await;
    let id = world
        .api
        .request(&json!({"min": 1, "max": 1000, "seed": "c0ffee"}))
        .await;
    let view = world.api.closed(&id, SOON).await;
    let bundle = bundle(&view);
    let key = public_key(&world.api.keys().await, view["key_epoch"].as_u64().unwrap());
    let text = bundle.to_string();
    // Verifying needs neither a deployment nor AWS.
    let offline = [
        ("OFFCHAIN_STACK", None),
        ("OFFCHAIN_API_TOKEN", None),
        ("AWS_ENDPOINT_URL", None),
        ("AWS_ACCESS_KEY_ID", None),
    ];
    let ran = offchain_with(&["vrf", "verify", "-"], &text, &offline).await;
    assert!(ran.succeeded().starts_with("valid: "));
    let by_key = ["vrf", "verify", "-", "--json", "--key", &key.to_string()];
    let report = offchain_with(&by_key, &text, &offline).await.json();
    assert_eq!(report["valid"], true);
    assert_eq!(report["value"], bundle.value.to_string());
    for (field, text) in tampered(&bundle) {
        let ran = offchain_with(&["vrf", "verify", "-"], &text, &offline).await;
        assert!(matches!(ran.code, Some(1 | 2)), "{field}: {ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            said.contains("expected") || said.contains("invalid"),
            "{field}: {said}"
        );
    }
    // A true bundle of another key is refused where a key is asked for.
    let other = "66".repeat(32);
    let by_other = ["vrf", "verify", "-", "--key", &other];
    let ran = offchain_with(&by_other, &text, &offline).await;
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
}

#[tokio::test]
async fn a_request_of_the_schedule_has_the_two_items_with_their_keys() {
    let world = World::shared().await;
    let input = json!({
        "queue_delay_seconds": {"min": 5, "max": 5},
        "target_blocks": {"min": 2, "max": 2},
        "block_seconds": 1,
        "bounds": {"min": 0, "max": 999},
    });
    let reply = world.invoke("request", &input).await.unwrap();
    let id = reply["request_id"].as_str().unwrap().to_owned();

    let item = world.item(&id, "request").await.unwrap();
    let text = |name: &str| item[name].as_s().unwrap().clone();
    let time = |name: &str| text(name).parse::<Timestamp>().unwrap();
    assert_eq!(text("unique_identifier"), id);
    assert_eq!(text("action"), "request");
    let ahead = time("fulfill_time_expected").duration_since(time("request_time"));
    assert_eq!(ahead, SignedDuration::from_secs(7));
    let (min, max) = (
        number(&item, "min_random_value"),
        number(&item, "max_random_value"),
    );
    assert!(0 <= min && min < max && max <= 999, "{min}, {max}");
    assert_eq!(number(&item, "target_block_in_the_future"), 2);
    let deadline = time("deadline");
    let month = SignedDuration::from_hours(30 * 24);
    assert_eq!(number(&item, "expiration"), (deadline + month).as_second());
    assert!(
        world.item(&id, "fulfill").await.is_none(),
        "it is picked up after its delay only"
    );

    let records = world.closed(std::slice::from_ref(&id), SOON).await;
    let (at, bundle) = proved(&records[0]);
    let done = world.item(&id, "fulfill").await.unwrap();
    let moment = |name: &str| done[name].as_s().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(done["action"].as_s().unwrap(), "fulfill");
    assert_eq!(number(&done, "failed_fulfill_attempts"), 0);
    assert_eq!(number(&done, "fulfill_attempts"), 1);
    assert_eq!(number(&done, "vrf_value"), bundle.value);
    assert_eq!(moment("fulfill_time_actual"), at);
    assert!(min <= bundle.value && bundle.value <= max);
    // The queue held the message for its delay.
    let held = moment("received_time").duration_since(time("request_time"));
    assert!(held >= SignedDuration::from_secs(5), "{held}");
    assert!(at >= time("fulfill_time_expected"));
    assert_eq!(number(&done, "expiration"), number(&item, "expiration"));
}

#[tokio::test]
async fn the_schedule_makes_requests_a_minute_apart_and_they_are_fulfilled() {
    let world = World::shared().await;
    // Other tests invoke the function too, at moments and with bounds of their own.
    let bounds = 0..=999;
    let limit = SOON + Duration::from_secs(60);
    let pair = until("two requests a minute apart", limit, async || {
        let records = world.requests.scan(usize::MAX).await.unwrap();
        let made: Vec<_> = records
            .into_iter()
            .map(|record| record.request)
            .filter(|request| request.origin == Origin::Schedule)
            .filter(|request| bounds.contains(&request.min_random_value))
            .filter(|request| bounds.contains(&request.max_random_value))
            .collect();
        let a_minute_before = |next: &RequestItem| {
            made.iter().find(|one| {
                let next = next.request_time.timestamp();
                let apart = next.duration_since(one.request_time.timestamp());
                (55..65).contains(&apart.as_secs())
            })
        };
        made.iter().find_map(|next| {
            let one = a_minute_before(next)?;
            Some([
                one.unique_identifier.clone(),
                next.unique_identifier.clone(),
            ])
        })
    })
    .await;
    for record in world.closed(&pair, SOON).await {
        proved(&record);
    }
}

#[tokio::test]
async fn no_value_comes_early_and_each_comes_soon_after_it_is_due() {
    let world = World::shared().await;
    let begin = Timestamp::now();
    let bodies = (0..100_i64)
        .map(|n| {
            let due = begin + SignedDuration::from_millis(5000 + 80 * n);
            json!({"min": 1, "max": 6, "due_time": due.to_string()})
        })
        .collect();
    let ids = request_all(&world, bodies).await;
    let records = world.closed(&ids, SOON).await;
    let mut late = Vec::new();
    for record in &records {
        let id = &record.request.unique_identifier;
        let (at, _) = proved(record);
        let due = record.request.fulfill_time_expected.unwrap().timestamp();
        assert!(at >= due, "{id}: {at} is before {due}");
        late.push(at.duration_since(due).as_millis());
        // The item was there before its message was.
        let received = record.fulfilment.as_ref().unwrap().received_time.unwrap();
        assert!(received >= record.request.request_time, "{id}");
    }
    let orphans = world
        .dead_letters("requests-dlq", |letter| {
            ids.iter()
                .any(|id| letter.body().unwrap_or_default().contains(id))
        })
        .await;
    assert!(orphans.is_empty(), "{orphans:?}");
    late.sort_unstable();
    report(&format!(
        "lateness of 100 requests: p50 {} ms, p99 {} ms, max {} ms",
        late[49], late[98], late[99]
    ));
}

#[tokio::test]
async fn a_message_delivered_ten_times_starts_one_execution_and_changes_nothing() {
    let world = World::shared().await;
    let id = world
        .api
        .request(&json!({"min": 1, "max": 1000, "delay_seconds": 3}))
        .await;
    let item = world.item(&id, "request").await.unwrap();
    let message = json!({
        "unique_identifier": id,
        "target_block_in_the_future": number(&item, "target_block_in_the_future"),
        "min_random_value": 1,
        "max_random_value": 1000,
    })
    .to_string();
    let send = async || {
        let sent = world
            .sqs
            .send_message()
            .queue_url(&world.stack.vrf.queue_url)
            .message_body(&message)
            .send()
            .await;
        sent.unwrap();
    };
    // Five before the value is there, and five after.
    for _ in 0..5 {
        send().await;
    }
    let before = world.closed(std::slice::from_ref(&id), SOON).await;
    for _ in 0..5 {
        send().await;
    }
    until("the queue to be empty", SOON, async || {
        (world.depth("requests").await == 0).then_some(())
    })
    .await;
    let after = world.closed(std::slice::from_ref(&id), SOON).await;
    assert_eq!(before, after);
    assert_eq!(executions(&world, &id).await, 1);
    let fulfilled = runs(&world.history(&id).await);
    assert_eq!(fulfilled.rounds, [1], "{fulfilled:?}");
}

/// How many executions of this name there are.
pub(crate) async fn executions(world: &World, id: &str) -> usize {
    let (mut found, mut token) = (0, None);
    loop {
        let page = world
            .sfn
            .list_executions()
            .state_machine_arn(&world.stack.vrf.state_machine_arn)
            .max_results(1000)
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        found += page
            .executions
            .iter()
            .filter(|execution| execution.name == id)
            .count();
        token = page.next_token;
        if token.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn ten_fulfilments_at_once_write_one_value() {
    let world = World::shared().await;
    // Due now for the parallel runs, which do not wait for the machine.
    let due = Timestamp::now() + SignedDuration::from_millis(1500);
    let id = world
        .api
        .request(&json!({"min": 0, "max": i64::MAX.to_string(), "due_time": due.to_string()}))
        .await;
    let event = json!({"request_id": id});
    let replies = join_all((0..10).map(|_| async {
        // A run that is more than a second early is refused.
        until("a fulfilment", SOON, async || {
            world.invoke("fulfil", &event).await.ok()
        })
        .await
    }))
    .await;
    let records = world.closed(std::slice::from_ref(&id), SOON).await;
    let (_, bundle) = proved(&records[0]);
    for reply in &replies {
        assert_eq!(reply["value"], bundle.value.to_string(), "{replies:?}");
    }
    bundle.verify().unwrap();
}
