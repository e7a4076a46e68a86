//! Whatever breaks, each slot of each feed has one record, a reading or the
//! reason why there is none; it never changes; and the other slots and feeds go
//! on.
//!
//! All of it happens on twins of the stack on which nothing goes on by itself.
//! Some tests run oracle-publish's own binary, with a proxy between it and AWS;
//! the others trigger the deployed machine by hand, and break what its
//! functions reach. One thing cannot be tried here: the emulator has no
//! dead-letter queue for a schedule that cannot reach its target.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use jiff::{SignedDuration, Timestamp};
use offchain_oracle::{FeedId, Interval, Slot};
use offchain_store::oracle::Record;
use rand::RngExt;
use serde_json::{Value, json};

use crate::faults::{BROKEN, THROTTLED};
use crate::harness::{SOON, World, attribute, unique, until};
use crate::oracle::{MINUTE, TestFeed, demo, missed, published, verify};
use crate::oracle_alarms::ringing;
use crate::proxy::{ALWAYS, Fault, Proxy};
use crate::runtime_api::{Function, Outcome as Ran};
use crate::twin::{Twin, signal};

/// Slots of a minute each: what happens in one has time to happen, however busy
/// this machine is.
pub(crate) const WIDE: (&str, &str) = ("ORACLE_INTERVAL_SECONDS", "60");

/// The slot of the current minute, of which time is left.
pub(crate) async fn wide_slot() -> Slot {
    let minute = Interval::new(60).unwrap();
    until("a minute with time left", SOON, async || {
        let now = Timestamp::now();
        let slot = minute.at_or_before(now);
        let left = minute.next(slot).timestamp().duration_since(now);
        (left > SignedDuration::from_secs(25)).then_some(slot)
    })
    .await
}

/// Takes a slot's record away, as if it had never been.
pub(crate) async fn forget(world: &World, feed: &FeedId, slot: Slot) {
    world
        .dynamodb
        .delete_item()
        .table_name(&world.stack.oracle.table)
        .key("feed", AttributeValue::S(feed.to_string()))
        .key("slot", AttributeValue::S(slot.to_string()))
        .send()
        .await
        .unwrap();
}

/// What oracle-publish replies.
pub(crate) fn ran(published: u32, missed: u32, existing: u32) -> Value {
    json!({"published": published, "missed": missed, "existing": existing})
}

/// What oracle-missed replies.
pub(crate) fn recorded(missed: u32, existing: u32) -> Value {
    json!({"missed": missed, "existing": existing})
}

/// oracle-publish, whose way to AWS can be broken. It has two feeds.
struct Scene {
    other: TestFeed,
    function: Function,
    proxy: Proxy,
    twin: Twin,
}

impl Scene {
    async fn named(name: &str) -> Self {
        let twin = Twin::quiet(name).await;
        let other = twin.world.feed(&json!({"kind": "demo"})).await;
        let proxy = Proxy::before(&twin.url()).await;
        let function =
            Function::start_with(&twin.world, "oracle-publish", proxy.url(), &[WIDE]).await;
        Self {
            other,
            function,
            proxy,
            twin,
        }
    }

    fn world(&self) -> &World {
        &self.twin.world
    }

    /// A slot that is due and has no record.
    async fn slot(&self) -> Slot {
        let slot = wide_slot().await;
        for feed in [demo(), self.other.id.clone()] {
            forget(self.world(), &feed, slot).await;
        }
        slot
    }

    async fn publish(&self, slot: Slot) -> Ran {
        self.function.invoke(&json!({"slot": slot})).await
    }

    /// The run fails with this code.
    async fn fails(&self, slot: Slot, code: &str) {
        let failure = self.publish(slot).await.unwrap_err();
        assert_eq!(failure.error_type, code, "{failure:?}");
    }

    /// Kills the process; another one takes its place.
    async fn kill(&mut self) {
        let next =
            Function::start_with(self.world(), "oracle-publish", self.proxy.url(), &[WIDE]).await;
        std::mem::replace(&mut self.function, next).kill();
        self.proxy.idle().await;
        self.proxy.heal();
    }

    /// The records of the other feed and of `demo`.
    async fn records(&self, slot: Slot) -> [Option<Record>; 2] {
        [
            self.world().slot(&self.other.id, slot).await,
            self.world().slot(&demo(), slot).await,
        ]
    }

    /// Both feeds have a true reading. Whatever is tried after that, it stays.
    async fn settled(&self, slot: Slot) {
        self.proxy.heal();
        let records = self.records(slot).await;
        let keys = self.world().oracle_keys.all().await.unwrap();
        for record in &records {
            verify(published(record.as_ref().unwrap()), &keys);
        }
        assert_eq!(self.publish(slot).await.unwrap(), ran(0, 0, 2));
        let event = json!({"slot": slot, "error": "Test", "cause": ""});
        let reply = self.world().invoke("oracle-missed", &event).await;
        assert_eq!(reply.unwrap(), recorded(0, 2));
        assert_eq!(self.records(slot).await, records);
    }
}

#[tokio::test]
async fn a_run_killed_before_between_or_after_its_writes_is_made_up_for() {
    let mut scene = Scene::named("oracle-killed").await;
    let demo_s = "\"demo\"";
    // What is written when the process is killed: of the other feed, and of `demo`.
    for (operation, holding, fault, written) in [
        ("Scan", "", Fault::Unheard, [false, false]),
        ("Query", "", Fault::Unheard, [false, false]),
        ("GetSecretValue", "", Fault::Unheard, [false, false]),
        ("PutItem", "", Fault::Unheard, [false, false]),
        ("PutItem", demo_s, Fault::Unheard, [true, false]),
        ("PutItem", demo_s, Fault::ReplyHeld, [true, true]),
    ] {
        let slot = scene.slot().await;
        // A fresh process, which remembers nothing.
        scene.kill().await;
        scene.proxy.fail(operation, holding, ALWAYS, fault);
        scene.function.begin(&unique(), &json!({"slot": slot}));
        scene.proxy.struck().await;
        if written[0] {
            scene.world().recorded(&scene.other.id, slot).await;
        }
        scene.kill().await;
        let before = scene.records(slot).await;
        let there = before.each_ref().map(Option::is_some);
        assert_eq!(there, written, "{operation}");

        let existing = written.into_iter().map(u32::from).sum();
        let reply = scene.publish(slot).await.unwrap();
        assert_eq!(reply, ran(2 - existing, 0, existing), "{operation}");
        for (before, after) in before.iter().zip(scene.records(slot).await) {
            assert!(before.is_none() || *before == after, "{operation}");
        }
        scene.settled(slot).await;
    }
}

#[tokio::test]
async fn a_write_that_is_lost_is_sent_again_and_one_whose_reply_is_lost_is_the_reading() {
    let scene = Scene::named("oracle-lost-reply").await;
    // One that never arrives is sent again.
    let slot = scene.slot().await;
    scene.proxy.fail("PutItem", "\"demo\"", 1, Fault::Unheard);
    assert_eq!(scene.publish(slot).await.unwrap(), ran(2, 0, 0));
    scene.settled(slot).await;

    for times in [1, ALWAYS] {
        let slot = scene.slot().await;
        scene
            .proxy
            .fail("PutItem", "\"demo\"", times, Fault::ReplyLost);
        if times == 1 {
            // The SDK asks again, and finds the record there.
            assert_eq!(scene.publish(slot).await.unwrap(), ran(1, 0, 1));
        } else {
            scene.fails(slot, "StoreUnavailable").await;
            let written = scene.records(slot).await;
            scene.proxy.heal();
            assert_eq!(scene.publish(slot).await.unwrap(), ran(0, 0, 2));
            assert_eq!(scene.records(slot).await, written);
        }
        scene.settled(slot).await;
    }
}

#[tokio::test]
async fn a_write_that_arrives_late_finds_the_slot_taken() {
    let mut scene = Scene::named("oracle-late-write").await;
    let late = Fault::Late(Duration::from_secs(5));

    // Another run was faster.
    let slot = scene.slot().await;
    scene.proxy.fail("PutItem", "\"demo\"", ALWAYS, late);
    scene.function.begin(&unique(), &json!({"slot": slot}));
    scene.proxy.reached().await;
    let url = scene.twin.url();
    let faster = Function::start_with(scene.world(), "oracle-publish", &url, &[WIDE]).await;
    faster.invoke(&json!({"slot": slot})).await.unwrap();
    let taken = scene.records(slot).await;
    scene.proxy.struck().await;
    assert_eq!(scene.records(slot).await, taken);
    scene.kill().await;
    scene.settled(slot).await;

    // The slot was given up: it stays missed.
    let slot = scene.slot().await;
    scene.proxy.fail("PutItem", "\"demo\"", ALWAYS, late);
    scene.function.begin(&unique(), &json!({"slot": slot}));
    scene.proxy.reached().await;
    scene.world().recorded(&scene.other.id, slot).await;
    let event = json!({"slot": slot, "error": "Runtime.ExitError", "cause": "of the test"});
    let reply = scene.world().invoke("oracle-missed", &event).await;
    assert_eq!(reply.unwrap(), recorded(1, 1));
    let taken = scene.records(slot).await;
    assert_eq!(
        missed(taken[1].as_ref().unwrap()).reason,
        "Runtime.ExitError"
    );
    assert_eq!(scene.world().detail(&demo(), slot).await, "of the test");
    scene.proxy.struck().await;
    assert_eq!(scene.records(slot).await, taken);
    scene.kill().await;
    assert_eq!(scene.publish(slot).await.unwrap(), ran(0, 0, 2));
    assert_eq!(scene.records(slot).await, taken);
}

#[tokio::test]
async fn a_service_that_refuses_for_a_while_is_waited_for_and_then_is_unavailable() {
    let mut scene = Scene::named("oracle-throttled").await;
    let slot = scene.slot().await;
    for operation in ["Scan", "Query", "GetSecretValue", "PutItem"] {
        scene.proxy.fail(operation, "", 1, THROTTLED);
    }
    assert_eq!(scene.publish(slot).await.unwrap(), ran(2, 0, 0));
    scene.settled(slot).await;

    for (operation, fault, code) in [
        ("Scan", THROTTLED, "StoreUnavailable"),
        ("Query", BROKEN, "StoreUnavailable"),
        ("GetSecretValue", THROTTLED, "KeyUnavailable"),
        ("GetSecretValue", BROKEN, "KeyUnavailable"),
        ("PutItem", THROTTLED, "StoreUnavailable"),
    ] {
        let slot = scene.slot().await;
        // A fresh process, which remembers nothing.
        scene.kill().await;
        scene.proxy.fail(operation, "", ALWAYS, fault);
        scene.fails(slot, code).await;
        assert_eq!(scene.records(slot).await, [None, None], "{operation}");
        scene.proxy.heal();
        assert_eq!(scene.publish(slot).await.unwrap(), ran(2, 0, 0));
        scene.settled(slot).await;
    }

    // One that has run goes on with what it knows.
    let slot = scene.slot().await;
    let known = Timestamp::now() + SignedDuration::from_secs(3);
    until("what is known to be old", SOON, async || {
        (Timestamp::now() > known).then_some(())
    })
    .await;
    for operation in ["Scan", "Query", "GetSecretValue"] {
        scene.proxy.fail(operation, "", ALWAYS, THROTTLED);
    }
    assert_eq!(scene.publish(slot).await.unwrap(), ran(2, 0, 0));
    scene.settled(slot).await;

    // oracle-missed, likewise.
    let slot = scene.slot().await;
    let event = json!({"slot": slot, "error": "StoreUnavailable", "cause": "of the test"});
    let url = scene.proxy.url();
    let recorder = Function::start_with(scene.world(), "oracle-missed", url, &[WIDE]).await;
    for operation in ["Scan", "PutItem"] {
        scene.proxy.fail(operation, "", ALWAYS, THROTTLED);
        let failure = recorder.invoke(&event).await.unwrap_err();
        assert_eq!(failure.error_type, "StoreUnavailable", "{failure:?}");
        assert_eq!(scene.records(slot).await, [None, None], "{operation}");
        scene.proxy.heal();
    }
    assert_eq!(recorder.invoke(&event).await.unwrap(), recorded(2, 0));
    let taken = scene.records(slot).await;
    assert_eq!(recorder.invoke(&event).await.unwrap(), recorded(0, 2));
    assert_eq!(scene.publish(slot).await.unwrap(), ran(0, 0, 2));
    assert_eq!(scene.records(slot).await, taken);
    for record in taken.iter().flatten() {
        assert_eq!(missed(record).reason, "StoreUnavailable");
    }
}

#[tokio::test]
async fn a_run_that_is_started_early_waits_or_refuses_and_one_that_is_late_refuses() {
    let scene = Scene::named("oracle-clock").await;
    let url = scene.proxy.url().to_owned();
    let second = [("ORACLE_INTERVAL_SECONDS", "1")];
    let function = Function::start_with(scene.world(), "oracle-publish", &url, &second).await;
    let grid = Interval::new(1).unwrap();
    let refused = async |slot: Slot, code: &str| {
        let writes = scene.proxy.calls("PutItem");
        let failure = function.invoke(&json!({"slot": slot})).await.unwrap_err();
        assert_eq!(failure.error_type, code, "{failure:?}");
        assert_eq!(scene.proxy.calls("PutItem"), writes);
        assert_eq!(scene.records(slot).await, [None, None]);
    };
    let ahead = |seconds| grid.at_or_after(Timestamp::now() + SignedDuration::from_secs(seconds));

    // The head start is 1 s, and clocks may differ by 2 s.
    refused(ahead(4), "SlotNotDue").await;
    refused(ahead(60), "SlotNotDue").await;
    refused(ahead(-3), "SlotPassed").await;
    refused(ahead(-86_400), "SlotPassed").await;

    let keys = scene.world().oracle_keys.all().await.unwrap();
    for _ in 0..3 {
        let writes = scene.proxy.calls("PutItem");
        let slot = ahead(2);
        let event = json!({"slot": slot});
        let run = function.invoke(&event);
        let watch = async {
            // Whoever looks before the slot finds no write.
            until("the slot", SOON, async || {
                let written = scene.proxy.calls("PutItem") > writes;
                let now = Timestamp::now();
                assert!(!written || now >= slot.timestamp(), "{now}: {slot}");
                (now >= slot.timestamp()).then_some(())
            })
            .await;
        };
        let (reply, ()) = futures_util::join!(run, watch);
        assert_eq!(reply.unwrap(), ran(2, 0, 0));
        for record in scene.records(slot).await {
            let record = record.unwrap();
            let reading = published(&record);
            assert!(reading.reading().written >= slot.timestamp());
            verify(reading, &keys);
        }
    }
}

/// A minute that the machine works on.
pub(crate) struct Minute {
    pub(crate) execution: String,
    /// Its first slot, and the one after its last.
    pub(crate) begin: Slot,
    pub(crate) end: Slot,
    /// Its slots to come.
    pub(crate) ahead: Vec<Slot>,
}

impl Minute {
    /// Triggers the minute whose slots are due now or soon.
    pub(crate) async fn now(world: &World) -> Self {
        Self::lasting(world, SignedDuration::from_secs(30)).await
    }

    /// Likewise, one that lasts for so long from now on.
    pub(crate) async fn lasting(world: &World, time: SignedDuration) -> Self {
        let lead = SignedDuration::from_secs(world.stack.oracle.lead_seconds.into());
        let minute = Interval::new(60).unwrap();
        let scheduled = minute.at_or_before(Timestamp::now() + time - lead);
        Self::of(world, scheduled.into()).await
    }

    /// Triggers the minute that was scheduled for a time.
    pub(crate) async fn of(world: &World, scheduled_time: Timestamp) -> Self {
        let lead = SignedDuration::from_secs(world.stack.oracle.lead_seconds.into());
        let begin = scheduled_time + lead;
        let end = begin + SignedDuration::from_mins(1);
        let interval = world.interval();
        // Nobody has begun with these.
        let from = begin.max(Timestamp::now() + SignedDuration::from_secs(4));
        Self {
            execution: world.start_minute(scheduled_time).await,
            begin: interval.at_or_after(begin),
            end: interval.at_or_after(end),
            ahead: interval.slots(from, end).collect(),
        }
    }

    /// Every slot of the minute has a record of `demo`. Returns them.
    async fn complete(&self, world: &World) -> Vec<Record> {
        world.recorded_between(&demo(), self.begin, self.end).await
    }
}

/// A true reading.
pub(crate) async fn proved(world: &World, record: &Record) {
    let keys = world.oracle_keys.all().await.unwrap();
    let reading = published(record);
    verify(reading, &keys);
    let end = world.interval().next(reading.reading().slot);
    assert!(reading.reading().written < end.timestamp(), "{reading:?}");
}

/// The events of an execution.
async fn history(world: &World, execution: &str) -> Vec<HistoryEvent> {
    let (mut events, mut token) = (Vec::new(), None);
    loop {
        let page = world
            .sfn
            .get_execution_history()
            .execution_arn(execution)
            .max_results(1000)
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        events.extend(page.events);
        token = page.next_token;
        if token.is_none() {
            return events;
        }
    }
}

/// The errors that tasks of an execution ended with.
pub(crate) async fn failures(world: &World, execution: &str) -> Vec<String> {
    let events = history(world, execution).await;
    let details = events
        .iter()
        .filter_map(HistoryEvent::task_failed_event_details);
    details
        .filter_map(|details| details.error().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn the_machine_tries_a_killed_run_again_and_the_slot_has_one_record() {
    let (twin, proxy) = Twin::behind_a_proxy("oracle-crash").await;
    let world = &twin.world;
    let minute = Minute::now(world).await;
    // Apart, so that each has neighbours to which nothing happens.
    let struck = [minute.ahead[2], minute.ahead[5]];
    for (slot, fault) in [(struck[0], Fault::Unheard), (struck[1], Fault::ReplyHeld)] {
        proxy.fail("PutItem", &slot.to_string(), 1, fault);
        proxy.struck().await;
        let written = world.slot(&demo(), slot).await;
        signal("KILL", &twin.processes("oracle-publish").await);
        proxy.heal();
        let record = world.recorded(&demo(), slot).await;
        match (&written, &record) {
            (Some(written), _) => assert_eq!(record, *written),
            (None, Record::Published(_)) => proved(world, &record).await,
            // A machine this busy tried again too late.
            (None, Record::Missed(missed)) => assert_eq!(missed.reason, "SlotPassed"),
        }
        assert_eq!(written.is_some(), matches!(fault, Fault::ReplyHeld));
    }
    for slot in &minute.ahead[..8] {
        let record = world.recorded(&demo(), *slot).await;
        if !struck.contains(slot) {
            proved(world, &record).await;
        }
    }
    let killed = failures(world, &minute.execution).await;
    let killed = killed.iter().filter(|error| *error == "Runtime.ExitError");
    assert_eq!(killed.count(), 2);
}

#[tokio::test]
async fn a_minute_under_fire_has_one_record_a_slot_and_none_changes() {
    let twin = Twin::quiet("oracle-fire").await;
    let world = &twin.world;
    let minute = Minute::now(world).await;
    world.recorded(&demo(), minute.ahead[0]).await;
    let mut seen: Vec<Record> = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        signal("KILL", &twin.processes("oracle-publish").await);
        for record in world.records(&demo(), minute.begin, minute.end).await {
            if !seen.iter().any(|known| known.slot() == record.slot()) {
                seen.push(record);
            }
        }
        let pause = rand::rng().random_range(50..1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let records = minute.complete(world).await;
    for record in &records {
        if let Record::Published(_) = record {
            proved(world, record).await;
        }
    }
    for record in &seen {
        assert!(records.contains(record), "{record:?}");
    }
    let killed = failures(world, &minute.execution).await;
    assert!(killed.iter().any(|error| error == "Runtime.ExitError"));
    // The last slot is of peaceful times.
    proved(world, records.last().unwrap()).await;
}

#[tokio::test]
async fn a_slot_whose_readings_the_table_refuses_is_missed_and_no_other_is() {
    let (twin, proxy) = Twin::behind_a_proxy("oracle-refused-slot").await;
    let world = &twin.world;
    let minute = Minute::now(world).await;
    // As it is in a short burst, the SDK's own tries outlast it.
    let (short, long) = (minute.ahead[2], minute.ahead[5]);
    proxy.fail("PutItem", &short.to_string(), 1, THROTTLED);
    // None of its readings is taken; the record that says so is.
    let reading = format!("{long} signature");
    proxy.fail("PutItem", &reading, ALWAYS, THROTTLED);
    let record = world.recorded(&demo(), long).await;
    assert!(REFUSED.contains(&missed(&record).reason.as_str()));
    let event = json!({"slot": long, "error": "Test", "cause": ""});
    let reply = world.invoke("oracle-missed", &event).await.unwrap();
    assert_eq!(reply, recorded(0, 1));
    assert_eq!(world.recorded(&demo(), long).await, record);
    for slot in minute.ahead[..8].iter().filter(|slot| **slot != long) {
        let record = world.recorded(&demo(), *slot).await;
        proved(world, &record).await;
    }
}

/// How a slot ends that the table refuses: where a run is tried again, it finds
/// the slot over.
const REFUSED: [&str; 2] = ["StoreUnavailable", "SlotPassed"];

/// The alarms of dead-letter queues that ring.
pub(crate) async fn ringing_queues(world: &World) -> Vec<String> {
    ringing(world, "-dlq-depth").await.into_iter().collect()
}

#[tokio::test]
async fn a_slot_that_cannot_be_recorded_is_a_dead_letter_that_records_it_once() {
    let (twin, proxy) = Twin::behind_a_proxy("oracle-unrecorded").await;
    let world = &twin.world;
    let minute = Minute::now(world).await;
    let slot = minute.ahead[2];
    proxy.fail("PutItem", &slot.to_string(), ALWAYS, THROTTLED);
    let alarm = format!("{}-oracle-minutes-dlq-depth", world.stack.name);
    until("the alarm to ring", MINUTE, async || {
        let ringing = ringing_queues(world).await;
        (!ringing.is_empty()).then(|| assert_eq!(ringing, [alarm.as_str()]))
    })
    .await;
    let ended = world.minute_ended(&minute.execution).await;
    assert_eq!(ended.status, ExecutionStatus::Succeeded);
    let output: Value = serde_json::from_str(ended.output().unwrap()).unwrap();
    assert_eq!(output["dead_lettered"], 1, "{output}");
    assert_eq!(output["lost"], 0, "{output}");
    let slots = world
        .interval()
        .slots(minute.begin.into(), minute.end.into());
    let slots: Vec<_> = slots.collect();
    let count = |field: &str| output[field].as_u64().unwrap();
    assert_eq!(count("ran") + count("missed") + 1, slots.len() as u64);
    let records = world.records(&demo(), minute.begin, minute.end).await;
    let with: Vec<_> = records.iter().map(Record::slot).collect();
    let without = slots.into_iter().filter(|one| *one != slot);
    assert_eq!(with, without.collect::<Vec<_>>());

    let mut letters = world.dead_letters("oracle-minutes-dlq", |_| true).await;
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = letters.pop().unwrap();
    assert_eq!(
        attribute(&letter, "ErrorCode").as_deref(),
        Some("StoreUnavailable")
    );
    let message = attribute(&letter, "ErrorMessage").unwrap();
    assert!(
        message.contains("ProvisionedThroughputExceeded"),
        "{message}"
    );
    let body: Value = serde_json::from_str(letter.body().unwrap()).unwrap();
    assert_eq!(body["slot"], json!(slot), "{body}");
    let error = body["error"].as_str().unwrap();
    assert!(REFUSED.contains(&error), "{body}");
    assert!(body["cause"].is_string(), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");

    proxy.heal();
    let reply = world.invoke("oracle-missed", &body).await.unwrap();
    assert_eq!(reply, recorded(1, 0));
    let record = world.recorded(&demo(), slot).await;
    assert_eq!(missed(&record).reason, error);
    let reply = world.invoke("oracle-missed", &body).await.unwrap();
    assert_eq!(reply, recorded(0, 1));
    assert_eq!(world.recorded(&demo(), slot).await, record);
    until("the alarm to be quiet again", SOON, async || {
        ringing_queues(world).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_neither_the_table_nor_the_queue_takes_is_left_to_the_sweep() {
    let twin = Twin::quiet("oracle-lost").await;
    let world = &twin.world;
    let queue = world.queue("oracle-minutes-dlq");
    world
        .sqs
        .delete_queue()
        .queue_url(queue)
        .send()
        .await
        .unwrap();
    // A table that the function may not write to.
    let broken = world
        .set_env(
            "oracle-missed",
            &[("ORACLE_READINGS_TABLE", Some("no-such-table"))],
        )
        .await;
    // All its slots have passed: none is published.
    let scheduled = Timestamp::now() - SignedDuration::from_mins(10);
    let scheduled = Interval::new(60).unwrap().at_or_before(scheduled);
    let minute = Minute::of(world, scheduled.into()).await;
    let ended = world.minute_ended(&minute.execution).await;
    assert_eq!(ended.status, ExecutionStatus::Failed);
    assert_eq!(ended.error(), Some("SlotsUnrecorded"), "{ended:?}");
    assert!(ended.cause().unwrap().ends_with(": 30"), "{ended:?}");
    assert_eq!(world.records(&demo(), minute.begin, minute.end).await, []);

    drop(broken);
    world.sweep_from(&demo(), minute.begin).await;
    let sweep = json!({"sweep": true});
    world.invoke("oracle-missed", &sweep).await.unwrap();
    let records = world.records(&demo(), minute.begin, minute.end).await;
    assert_eq!(records.len(), 30);
    for record in &records {
        assert_eq!(missed(record).reason, "SlotUnrecorded");
    }
    // Whoever comes later changes nothing.
    world.sweep_from(&demo(), minute.begin).await;
    world.invoke("oracle-missed", &sweep).await.unwrap();
    let again = Minute::of(world, scheduled.into()).await;
    let ended = world.minute_ended(&again.execution).await;
    assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
    let now = world.records(&demo(), minute.begin, minute.end).await;
    assert_eq!(now, records);
}

#[tokio::test]
async fn two_executions_of_one_minute_publish_each_slot_once() {
    let twin = Twin::quiet("oracle-twice").await;
    let world = &twin.world;
    let first = Minute::now(world).await;
    let lead = SignedDuration::from_secs(world.stack.oracle.lead_seconds.into());
    let second = world.start_minute(first.begin.timestamp() - lead).await;
    let mut seen = Vec::new();
    for slot in &first.ahead {
        seen.push(world.recorded(&demo(), *slot).await);
    }
    for execution in [&first.execution, &second] {
        let ended = world.minute_ended(execution).await;
        assert_eq!(ended.status, ExecutionStatus::Succeeded, "{ended:?}");
    }
    let records = first.complete(world).await;
    for record in &seen {
        assert!(records.contains(record), "{record:?}");
        proved(world, record).await;
    }
    // What the two say that they wrote is what there is.
    let (mut published, mut missed) = (0, 0);
    for execution in [&first.execution, &second] {
        for event in history(world, execution).await {
            let Some(details) = event.task_succeeded_event_details() else {
                continue;
            };
            let reply: Value = serde_json::from_str(details.output().unwrap()).unwrap();
            published += reply["published"].as_u64().unwrap_or_default();
            missed += reply["missed"].as_u64().unwrap();
        }
    }
    let readings = records
        .iter()
        .filter(|record| matches!(record, Record::Published(_)));
    let readings = readings.count() as u64;
    assert_eq!(
        (published, missed),
        (readings, records.len() as u64 - readings)
    );
}

#[tokio::test]
async fn slots_that_the_emulator_s_end_has_cost_are_missed_after_the_sweep() {
    let mut twin = Twin::quiet("oracle-restarted").await;
    let minute = Minute::now(&twin.world).await;
    let first = minute.ahead[1];
    twin.world.recorded(&demo(), first).await;
    let before = twin.world.records(&demo(), minute.begin, minute.end).await;
    twin.stop();
    twin.start().await;
    // The execution begins again, and goes on with what is to come.
    let world = &twin.world;
    let next = world.slot_in(SignedDuration::from_secs(3));
    world.recorded(&demo(), next).await;
    let after = world.recorded_between(&demo(), minute.begin, next).await;
    for record in &before {
        assert!(after.contains(record), "{record:?}");
    }

    // Now it is ended for good, and with it all that it had before it.
    let stop = world.sfn.stop_execution().execution_arn(&minute.execution);
    stop.send().await.unwrap();
    twin.stop();
    twin.start().await;
    let world = &twin.world;
    let kept = world.records(&demo(), minute.begin, minute.end).await;
    let last = kept.last().unwrap().slot();
    let lost = world.interval().next(last);
    let sweep = json!({"sweep": true});
    let record = until("the sweep to find the slot", MINUTE, async || {
        world.invoke("oracle-missed", &sweep).await.unwrap();
        world.slot(&demo(), lost).await
    })
    .await;
    assert_eq!(missed(&record).reason, "SlotUnrecorded");
    assert!(missed(&record).recorded.timestamp() > lost.timestamp() + SignedDuration::from_mins(2));
    world.invoke("oracle-missed", &sweep).await.unwrap();
    let all = world
        .records(&demo(), minute.begin, world.interval().next(lost))
        .await;
    assert_eq!(all, [kept, vec![record]].concat());
}
