//! A redrive that ends half-way is run again: nothing is lost, nothing is done
//! twice, and no letter's count is raised for it. The function is the real one,
//! with its deployed settings and role; between it and AWS stands a proxy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use offchain_store::redrive::Progress;
use rand::RngExt;
use serde_json::{Value, json};

use crate::faults::{BROKEN, THROTTLED, begun, message, submitted};
use crate::harness::{SOON, World, unique, until};
use crate::oracle_faults::failures;
use crate::proxy::{ALWAYS, Fault, Proxy};
use crate::redrive::{Desk, counts, dead_rides, entry, new_ride, queue_name, recorded};
use crate::redrive_sources::fulfilled_once;
use crate::runtime_api::Function;
use crate::twin::signal;

/// So long a letter is hidden by a run that was killed.
const HOLD: (&str, &str) = ("DLQ_HOLD_SECONDS", "2");

/// The writes of the ledger, each known by its update expression.
const COUNTS: &str = ":sending";
const SETTLES: &str = "list_append";

/// dlq-redrive's own binary, whose way to AWS can be broken.
struct Scene {
    function: Function,
    proxy: Proxy,
    desk: Desk,
}

impl Scene {
    async fn named(name: &str) -> Self {
        let desk = Desk::quiet(name).await;
        let proxy = Proxy::before(&desk.twin.url()).await;
        let function = start(desk.world(), &proxy).await;
        Self {
            function,
            proxy,
            desk,
        }
    }

    fn world(&self) -> &World {
        self.desk.world()
    }

    /// Kills the process; another one takes its place.
    async fn kill(&mut self) {
        let next = start(self.world(), &self.proxy).await;
        std::mem::replace(&mut self.function, next).kill();
        self.proxy.heal();
    }

    /// One run of a batch with a single letter.
    async fn redrive(&self, queue: &str) -> Value {
        let event = one(self.world(), queue);
        let done = self.function.invoke(&event).await;
        done.unwrap_or_else(|failure| panic!("{queue}: {failure:?}"))
    }

    /// Begins a run, and kills it when the fault strikes. The letter is there
    /// again when it is no longer hidden, if it has not left the queue.
    async fn killed(&mut self, queue: &str, operation: &'static str, holding: &str, fault: Fault) {
        self.proxy.fail(operation, holding, ALWAYS, fault);
        let event = one(self.world(), queue);
        self.function.begin(&unique(), &event);
        self.proxy.struck().await;
        self.kill().await;
    }

    /// Runs until the queue is empty, and returns what was said of its letter.
    async fn made_up_for(&self, queue: &str) -> Option<Value> {
        let mut said = None;
        until("the letter to leave its queue", SOON, async || {
            if self.world().depth(queue).await == 0 {
                return Some(());
            }
            let done = self.redrive(queue).await;
            assert_eq!(
                (&done["failed"], &done["quarantined"]),
                (&json!(0), &json!(0)),
                "{done}"
            );
            if let Some(letter) = done["letters"].get(0) {
                said = Some(letter.clone());
            }
            None
        })
        .await;
        said
    }
}

async fn start(world: &World, proxy: &Proxy) -> Function {
    Function::start_with(world, "dlq-redrive", proxy.url(), &[HOLD]).await
}

/// The step that puts one letter back.
fn one(world: &World, queue: &str) -> Value {
    json!({"action": "redrive", "queue": queue_name(world, queue), "count": 1})
}

#[tokio::test]
async fn a_run_killed_anywhere_is_made_up_for_by_the_next() {
    let mut scene = Scene::named("redrive-killed").await;
    let queue = "rides-record-dlq";
    let mut known = recorded(scene.world()).await.len();
    // Whether the ride is recorded when the process is killed, and whether the
    // next run sends it.
    for (operation, holding, fault, done, sends) in [
        ("ReceiveMessage", "", Fault::Unheard, false, 1),
        ("ReceiveMessage", "", Fault::ReplyHeld, false, 1),
        ("GetItem", "", Fault::Unheard, false, 1),
        ("UpdateItem", COUNTS, Fault::Unheard, false, 1),
        ("UpdateItem", COUNTS, Fault::ReplyHeld, false, 1),
        ("Invoke", "", Fault::Unheard, false, 1),
        ("Invoke", "", Fault::ReplyHeld, true, 1),
        ("UpdateItem", SETTLES, Fault::Unheard, true, 1),
        ("UpdateItem", SETTLES, Fault::ReplyHeld, true, 0),
        ("DeleteMessage", "", Fault::Unheard, true, 0),
        ("DeleteMessage", "", Fault::ReplyHeld, true, 0),
    ] {
        let point = format!("{operation} {holding} {fault:?}");
        let ride = dead_rides(scene.world(), 1).await.remove(0);
        let letter = scene.desk.letter(queue).await;
        scene.killed(queue, operation, holding, fault).await;
        assert_eq!(
            recorded(scene.world()).await.contains(&ride),
            done,
            "{point}"
        );
        let sent = scene.proxy.calls("Invoke");
        scene.made_up_for(queue).await;
        assert_eq!(scene.proxy.calls("Invoke") - sent, sends, "{point}");
        let world = scene.world();
        world.rides().recorded(&ride).await;
        known += 1;
        assert_eq!(recorded(world).await.len(), known, "{point}");
        let entry = entry(world, &letter).await.unwrap();
        assert_eq!(entry.redrives, 1, "{point}: {entry:?}");
        assert_eq!(entry.progress, Progress::Sent, "{point}: {entry:?}");
        assert_eq!(entry.history.len(), 1, "{point}: {entry:?}");
    }
}

#[tokio::test]
async fn a_run_killed_as_it_sends_to_a_queue_or_a_topic_has_its_effect_once() {
    let mut scene = Scene::named("redrive-killed-sending").await;
    let queue = "requests-dlq";
    for (operation, holding, fault) in [
        ("SendMessage", "", Fault::Unheard),
        ("SendMessage", "", Fault::ReplyHeld),
        ("UpdateItem", SETTLES, Fault::Unheard),
        ("DeleteMessage", "", Fault::Unheard),
    ] {
        let world = scene.world();
        let item = submitted(world).await;
        let body = message(&item);
        scene
            .desk
            .put(
                queue,
                &body,
                &[("ErrorCode", "Test"), ("ErrorMessage", "-")],
            )
            .await;
        scene.desk.letter(queue).await;
        scene.killed(queue, operation, holding, fault).await;
        scene.made_up_for(queue).await;
        fulfilled_once(scene.world(), &item.unique_identifier).await;
        assert_eq!(scene.world().depth(queue).await, 0, "{operation}");
    }

    let queue = "rides-unsent-dlq";
    let before = recorded(scene.world()).await.len();
    let mut rides = Vec::new();
    for (operation, fault) in [
        ("Publish", Fault::Unheard),
        ("Publish", Fault::ReplyHeld),
        ("DeleteMessage", Fault::Unheard),
    ] {
        let (ride, text) = new_ride();
        scene
            .desk
            .put(queue, &text, &[("ErrorCode", "PublishFailed")])
            .await;
        scene.desk.letter(queue).await;
        scene.killed(queue, operation, "", fault).await;
        scene.made_up_for(queue).await;
        scene.world().rides().recorded(&ride).await;
        rides.push(ride);
    }
    assert_eq!(recorded(scene.world()).await.len(), before + rides.len());
    assert_eq!(scene.world().depth("rides-record-dlq").await, 0);
}

#[tokio::test]
async fn a_run_killed_as_it_starts_an_execution_starts_one() {
    let mut scene = Scene::named("redrive-killed-starting").await;
    let queue = "executions-dlq";
    for (operation, holding, fault) in [
        ("StartExecution", "", Fault::Unheard),
        ("StartExecution", "", Fault::ReplyHeld),
        ("UpdateItem", SETTLES, Fault::Unheard),
        ("DeleteMessage", "", Fault::Unheard),
    ] {
        let id = begun(scene.world()).await;
        let body = json!({"request_id": id}).to_string();
        scene
            .desk
            .put(queue, &body, &[("ErrorCode", "FulfilmentStalled")])
            .await;
        scene.desk.letter(queue).await;
        scene.killed(queue, operation, holding, fault).await;
        scene.made_up_for(queue).await;
        fulfilled_once(scene.world(), &id).await;
        assert_eq!(scene.world().depth(queue).await, 0, "{operation}");
    }
}

#[tokio::test]
async fn a_message_that_a_run_has_sent_and_not_deleted_is_only_deleted() {
    let scene = Scene::named("redrive-undeleted").await;
    let (world, queue) = (scene.world(), "rides-record-dlq");
    let ride = dead_rides(world, 1).await.remove(0);
    let letter = scene.desk.letter(queue).await;
    // Deleting is refused, again and again: the letter is there again and again.
    scene.proxy.fail("DeleteMessage", "", ALWAYS, BROKEN);
    let done = scene.redrive(queue).await;
    assert_eq!(done["redriven"], 1, "{done}");
    world.rides().recorded(&ride).await;
    let sent = scene.proxy.calls("Invoke");
    let again = until("the letter to be seen again", SOON, async || {
        let done = scene.redrive(queue).await;
        done["letters"].get(0).cloned()
    })
    .await;
    assert_eq!(again["outcome"], "redriven", "{again}");
    assert!(
        again["detail"].as_str().unwrap().contains("earlier run"),
        "{again}"
    );
    assert_eq!(scene.proxy.calls("Invoke"), sent);
    scene.proxy.heal();
    scene.made_up_for(queue).await;
    assert_eq!(scene.proxy.calls("Invoke"), sent);
    let entry = entry(world, &letter).await.unwrap();
    assert_eq!((entry.redrives, entry.history.len()), (1, 1), "{entry:?}");
}

#[tokio::test]
async fn a_note_whose_reply_was_lost_is_kept_once() {
    let scene = Scene::named("redrive-lost-reply").await;
    let (world, queue) = (scene.world(), "rides-record-dlq");
    for holding in [COUNTS, SETTLES] {
        let ride = dead_rides(world, 1).await.remove(0);
        let letter = scene.desk.letter(queue).await;
        // The SDK asks again.
        scene.proxy.fail("UpdateItem", holding, 1, Fault::ReplyLost);
        let done = scene.redrive(queue).await;
        scene.proxy.heal();
        assert_eq!(done["redriven"], 1, "{done}");
        world.rides().recorded(&ride).await;
        let entry = entry(world, &letter).await.unwrap();
        assert_eq!(entry.redrives, 1, "{holding}: {entry:?}");
        assert_eq!(entry.history.len(), 1, "{holding}: {entry:?}");
    }
}

#[tokio::test]
async fn a_service_that_refuses_leaves_the_letter_where_it_is() {
    let scene = Scene::named("redrive-refused").await;
    let (world, queue) = (scene.world(), "rides-record-dlq");
    let ride = dead_rides(world, 1).await.remove(0);
    let letter = scene.desk.letter(queue).await;
    // Before anything is done, the run fails; its caller tries again.
    for (operation, fault) in [
        ("GetQueueUrl", BROKEN),
        ("ReceiveMessage", BROKEN),
        ("ReceiveMessage", THROTTLED),
    ] {
        scene.proxy.fail(operation, "", ALWAYS, fault);
        let failure = scene.function.invoke(&one(world, queue)).await.unwrap_err();
        assert_eq!(failure.error_type, "StoreUnavailable", "{failure:?}");
        scene.proxy.heal();
    }
    // Afterwards, it is this letter's trouble.
    for (operation, holding, fault, code) in [
        ("GetItem", "", THROTTLED, "StoreUnavailable"),
        ("UpdateItem", COUNTS, THROTTLED, "StoreUnavailable"),
        ("Invoke", "", BROKEN, "DestinationUnavailable"),
    ] {
        scene.proxy.fail(operation, holding, ALWAYS, fault);
        let done = until("the letter to be tried", SOON, async || {
            let done = scene.redrive(queue).await;
            done["letters"].get(0).is_some().then_some(done)
        })
        .await;
        scene.proxy.heal();
        assert_eq!(done["failed"], 1, "{operation}: {done}");
        let detail = done["letters"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with(code), "{operation}: {done}");
        // It is seen again at once.
        assert_eq!(
            scene.desk.letter(queue).await["message_id"],
            letter["message_id"]
        );
        assert!(!recorded(world).await.contains(&ride));
    }
    assert_eq!(entry(world, &letter).await.unwrap().redrives, 1);
    // A history that could not be kept does not hold the letter up, nor does it
    // hide the redrive: that was counted before.
    scene.proxy.fail("UpdateItem", SETTLES, ALWAYS, THROTTLED);
    let done = scene.redrive(queue).await;
    assert_eq!(done["redriven"], 1, "{done}");
    scene.proxy.heal();
    world.rides().recorded(&ride).await;
    assert_eq!(world.depth(queue).await, 0);
    let entry = entry(world, &letter).await.unwrap();
    assert_eq!(entry.redrives, 2, "{entry:?}");
    assert_eq!(entry.progress, Progress::Sending, "{entry:?}");
}

/// The redrive that was started last.
async fn newest(world: &World) -> Option<String> {
    let list = world.sfn.list_executions();
    let list = list.state_machine_arn(&world.stack.redrive.state_machine_arn);
    let found = list.send().await.unwrap().executions;
    let newest = found.into_iter().max_by_key(|found| found.start_date);
    newest.map(|newest| newest.execution_arn)
}

#[tokio::test]
async fn a_redrive_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let desk = Desk::quiet("redrive-fire").await;
    let world = desk.world();
    let queue = "rides-record-dlq";
    let before = recorded(world).await.len();
    let rides = dead_rides(world, 60).await;
    let letters = desk.dead(queue, rides.len()).await;
    let done = AtomicBool::new(false);
    let run = async {
        let (_, report) = desk.redrive(queue, &["--rate", "10"]).await;
        done.store(true, Ordering::Relaxed);
        report
    };
    let shoot = async {
        let mut struck = Vec::new();
        // A task is given up after four attempts.
        while struck.len() < 2 && !done.load(Ordering::Relaxed) {
            signal("KILL", &desk.twin.processes("dlq-redrive").await);
            let pause = rand::rng().random_range(50..900);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if let Some(execution) = newest(world).await {
                struck = failures(world, &execution).await;
            }
        }
        struck
    };
    let (report, struck) = futures_util::join!(run, shoot);
    assert!(!struck.is_empty(), "not one run was killed");
    for error in struck {
        assert_eq!(error, "Runtime.ExitError");
    }
    let (redriven, failed, quarantined) = counts(&report);
    assert!(redriven <= rides.len() as u64, "{report}");
    assert_eq!((failed, quarantined), (0, 0), "{report}");
    desk.drain(queue).await;

    let found = recorded(world).await;
    assert_eq!(found.len(), before + rides.len());
    assert!(rides.iter().all(|ride| found.contains(ride)));
    for letter in &letters {
        let entry = entry(world, letter).await.unwrap();
        assert_eq!(entry.redrives, 1, "{entry:?}");
    }
    assert!(desk.quarantine().await.is_empty());
}

#[tokio::test]
async fn two_redrives_of_one_queue_at_the_same_time_put_each_letter_back_once() {
    let desk = Desk::quiet("redrive-twice").await;
    let world = desk.world();
    let queue = "rides-record-dlq";
    let before = recorded(world).await.len();
    let rides = dead_rides(world, 30).await;
    let letters = desk.dead(queue, rides.len()).await;
    let runs = [(); 2].map(|()| desk.redrive(queue, &["--rate", "20"]));
    let reports = join_all(runs).await;
    let sent: u64 = reports.iter().map(|(_, report)| counts(report).0).sum();
    assert!(sent <= rides.len() as u64, "{reports:?}");
    for (_, report) in &reports {
        let (_, failed, quarantined) = counts(report);
        assert_eq!((failed, quarantined), (0, 0), "{report}");
    }
    desk.drain(queue).await;
    let found = recorded(world).await;
    assert_eq!(found.len(), before + rides.len());
    assert!(rides.iter().all(|ride| found.contains(ride)));
    for letter in &letters {
        let entry = entry(world, letter).await.unwrap();
        assert_eq!((entry.redrives, entry.history.len()), (1, 1), "{entry:?}");
    }
}
