//! `offchain dlq`: which letters a redrive takes, how fast, and when it stops;
//! and what it says to what it cannot use.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::faults::BROKEN;
use crate::harness::{Ran, SOON, World, ride_id, unique, until};
use crate::proxy::ALWAYS;
use crate::redrive::{
    Desk, broken_recorder, counts, dead_rides, entry, failed_event, function_arn, new_ride,
    notification, recorded, text,
};
use crate::redrive_sources::fulfilled_once;

const QUEUE: &str = "rides-record-dlq";

/// The message ids that a report lists.
fn listed(report: &Value) -> BTreeSet<String> {
    let letters = report["letters"].as_array().unwrap().iter();
    letters
        .map(|letter| text(letter, "message_id").to_owned())
        .collect()
}

/// Puts the letter of a new ride into the queue. Returns the ride and the
/// message's id.
async fn put(desk: &Desk, code: &str) -> (String, String) {
    let world = desk.world();
    let (ride, message) = new_ride();
    let event = notification(world, &message);
    let body = failed_event(world, "rides-record-sns", &event, code);
    (ride, desk.put(QUEUE, &body, &[]).await)
}

/// A moment between two letters: none of them has its time.
async fn moment() -> String {
    let now = Timestamp::now() + SignedDuration::from_millis(5);
    until("the moment to pass", SOON, async || {
        (Timestamp::now() > now + SignedDuration::from_millis(5)).then_some(())
    })
    .await;
    now.to_string()
}

#[tokio::test]
async fn a_filter_takes_what_it_names_and_a_dry_run_takes_nothing() {
    let desk = Desk::quiet("redrive-filters").await;
    let world = desk.world();
    let before = recorded(world).await;
    let (one, first) = put(&desk, "RideInvalid").await;
    let (two, second) = put(&desk, "StoreDenied").await;
    let time = moment().await;
    let (three, third) = put(&desk, "StoreDenied").await;
    let (four, fourth) = put(&desk, "StoreUnavailable").await;
    let all: BTreeSet<_> = [&first, &second, &third, &fourth]
        .into_iter()
        .cloned()
        .collect();
    let set = |ids: &[&String]| -> BTreeSet<String> { ids.iter().copied().cloned().collect() };
    let letters = desk.dead(QUEUE, 4).await;
    let seen: BTreeSet<_> = letters
        .iter()
        .map(|it| text(it, "message_id").to_owned())
        .collect();
    assert_eq!(seen, all);

    // What it would take.
    for (filter, expected) in [
        (vec![], set(&[&first, &second, &third, &fourth])),
        (vec!["--code", "StoreDenied"], set(&[&second, &third])),
        (vec!["--code", "Store"], set(&[])),
        (vec!["--contains", &one], set(&[&first])),
        (vec!["--contains", "no ride at all"], set(&[])),
        (vec!["--before", &time], set(&[&first, &second])),
        (vec!["--after", &time], set(&[&third, &fourth])),
        (
            vec!["--after", "2026-01-01T00:00:00Z", "--before", &time],
            set(&[&first, &second]),
        ),
        (vec!["--before", "2026-01-01T00:00:00Z"], set(&[])),
        (
            vec!["--message", &first, "--message", &fourth],
            set(&[&first, &fourth]),
        ),
        (vec!["--message", "no such message"], set(&[])),
        (
            vec!["--code", "StoreDenied", "--after", &time],
            set(&[&third]),
        ),
        (vec!["--code", "StoreDenied", "--message", &first], set(&[])),
    ] {
        let (succeeded, report) = desk
            .redrive(QUEUE, &[&filter[..], &["--dry-run"]].concat())
            .await;
        assert!(succeeded, "{filter:?}: {report}");
        assert_eq!(report["held"], 4, "{filter:?}: {report}");
        assert_eq!(report["complete"], true, "{filter:?}: {report}");
        assert_eq!(report["matching"], expected.len(), "{filter:?}: {report}");
        assert_eq!(counts(&report), (0, 0, 0), "{filter:?}: {report}");
        assert_eq!(listed(&report), expected, "{filter:?}: {report}");
    }
    // Nothing has changed for that.
    let after = desk.dead(QUEUE, 4).await;
    for letter in &after {
        assert_eq!(letter["redrives"], 0, "{letter}");
        assert!(entry(world, letter).await.is_none());
    }
    assert_eq!(recorded(world).await, before);
    let printed = desk
        .offchain(&["dlq", "redrive", &desk.queue(QUEUE), "--dry-run"])
        .await;
    let printed = printed.succeeded();
    assert!(printed.contains("4 held, 4 matching"), "{printed}");
    assert!(!printed.contains('\x1b'), "{printed:?}");
    for line in printed.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }

    // What it takes, and nothing else.
    let mut rides = before.clone();
    for (filter, ride) in [
        (vec!["--code", "StoreDenied", "--before", &time], two),
        (vec!["--message", &fourth], four),
        (vec!["--contains", &one], one.clone()),
    ] {
        let (succeeded, report) = desk.redrive(QUEUE, &filter).await;
        assert!(succeeded, "{report}");
        assert_eq!(counts(&report), (1, 0, 0), "{filter:?}: {report}");
        rides.insert(ride);
        assert_eq!(recorded(world).await, rides, "{filter:?}");
    }
    assert_eq!(text(&desk.letter(QUEUE).await, "message_id"), third);
    assert_eq!(desk.redriven(QUEUE).await, 1);
    rides.insert(three);
    assert_eq!(recorded(world).await, rides);
}

#[tokio::test]
async fn a_redrive_takes_no_more_than_its_limit_and_no_faster_than_its_rate() {
    let desk = Desk::quiet("redrive-rate").await;
    let world = desk.world();
    dead_rides(world, 8).await;
    let letters = desk.dead(QUEUE, 8).await;
    let (succeeded, report) = desk.redrive(QUEUE, &["--limit", "3", "--rate", "1"]).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (3, 0, 0), "{report}");
    assert_eq!(
        (&report["matching"], &report["left"]),
        (&json!(8), &json!(0))
    );
    assert_eq!(world.depth(QUEUE).await, 5);
    let mut times = Vec::new();
    for letter in &letters {
        if let Some(entry) = entry(world, letter).await {
            times.push(entry.history[0].time.timestamp());
        }
    }
    times.sort();
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart >= SignedDuration::from_millis(900), "{times:?}");
    }
    let (succeeded, report) = desk.redrive(QUEUE, &["--limit", "100"]).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (5, 0, 0), "{report}");
    assert_eq!(world.depth(QUEUE).await, 0);
}

#[tokio::test]
async fn a_canary_that_its_function_refuses_is_the_only_one_that_was_tried() {
    let desk = Desk::quiet("redrive-canary").await;
    let world = desk.world();
    let before = recorded(world).await.len();
    let broken = broken_recorder(world).await;
    dead_rides(world, 4).await;
    let letters = desk.dead(QUEUE, 4).await;
    let canary = ["--canary", "--observe-seconds", "1"];
    let (succeeded, report) = desk.redrive(QUEUE, &canary).await;
    assert!(!succeeded, "{report}");
    assert_eq!(report["error"], "CanaryFailed", "{report}");
    assert!(text(&report, "cause").contains("StoreDenied"), "{report}");
    assert_eq!(counts(&report), (0, 1, 0), "{report}");
    assert_eq!(report["left"], 3, "{report}");
    let tried = async || {
        let mut tried = 0;
        for letter in &letters {
            tried += usize::from(entry(world, letter).await.is_some());
        }
        tried
    };
    assert_eq!(tried().await, 1);
    desk.dead(QUEUE, 4).await;
    assert_eq!(recorded(world).await.len(), before);

    drop(broken);
    let (succeeded, report) = desk.redrive(QUEUE, &canary).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (4, 0, 0), "{report}");
    assert_eq!(recorded(world).await.len(), before + 4);
    // One letter is a canary, too; and of none there is none.
    dead_rides(world, 1).await;
    desk.dead(QUEUE, 1).await;
    let (succeeded, report) = desk.redrive(QUEUE, &canary).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (1, 0, 0), "{report}");
    let (succeeded, report) = desk.redrive(QUEUE, &canary).await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (0, 0, 0), "{report}");
}

#[tokio::test]
async fn a_canary_that_comes_back_to_its_queue_is_the_only_one_that_was_tried() {
    let (desk, proxy) = Desk::behind_a_proxy("redrive-canary-back").await;
    let world = desk.world();
    let queue = "requests-dlq";
    let hasty = world
        .set_env("start", &[("VRF_MAX_RECEIVES", Some("1"))])
        .await;
    proxy.fail("StartExecution", "vrf", ALWAYS, BROKEN);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.api.request(&json!({"min": 1, "max": 6})).await);
    }
    let letters = desk.dead(queue, 3).await;
    let (succeeded, report) = desk
        .redrive(queue, &["--canary", "--observe-seconds", "10"])
        .await;
    assert!(!succeeded, "{report}");
    assert_eq!(report["error"], "CanaryFailed", "{report}");
    assert_eq!(counts(&report), (1, 0, 0), "{report}");
    assert_eq!(report["left"], 2, "{report}");
    assert_eq!(report["canary"]["code"], "StartFailed", "{report}");
    let back = desk.dead(queue, 3).await;
    let ids_of = |letters: &[Value]| -> BTreeSet<String> {
        letters
            .iter()
            .map(|it| text(it, "message_id").to_owned())
            .collect()
    };
    assert_eq!(ids_of(&back).intersection(&ids_of(&letters)).count(), 2);

    proxy.heal();
    drop(hasty);
    let (succeeded, report) = desk
        .redrive(queue, &["--canary", "--observe-seconds", "2"])
        .await;
    assert!(succeeded, "{report}");
    assert_eq!(counts(&report), (3, 0, 0), "{report}");
    for id in &ids {
        fulfilled_once(world, id).await;
    }
    assert_eq!(world.depth(queue).await, 0);
}

#[tokio::test]
async fn what_cannot_go_back_is_quarantined_at_once_with_its_reason() {
    let desk = Desk::quiet("redrive-garbage").await;
    let world = desk.world();
    let record = |arn: &str| {
        json!({
            "version": "1.0",
            "requestContext": {"requestId": unique(), "functionArn": arn, "condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": {},
            "responsePayload": {"errorType": "Test", "errorMessage": "-"},
        })
        .to_string()
    };
    let bucket = record("arn:aws:s3:::bucket");
    let cases = [
        (
            "schedules-dlq",
            "garbage",
            "neither the message nor its queue names one",
        ),
        (
            "schedules-dlq",
            "{}",
            "neither the message nor its queue names one",
        ),
        ("schedules-dlq", &bucket, "arn:aws:s3:::bucket"),
        (
            "oracle-schedules-dlq",
            "[]",
            "neither the message nor its queue names one",
        ),
        (QUEUE, "no JSON", "in JSON"),
        ("executions-dlq", "no JSON", "in JSON"),
    ];
    for (queue, body, reason) in cases {
        desk.put(queue, body, &[]).await;
        let letter = desk.letter(queue).await;
        assert_eq!(letter["destination"], Value::Null, "{queue}: {letter}");
        assert!(
            text(&letter, "undeliverable").contains(reason),
            "{queue}: {letter}"
        );
        let (succeeded, report) = desk.redrive(queue, &[]).await;
        assert!(!succeeded, "{queue}: {report}");
        assert_eq!(counts(&report), (0, 0, 1), "{queue}: {report}");
        assert_eq!(world.depth(queue).await, 0, "{queue}");
        let kept = desk.quarantine().await;
        let kept = kept
            .iter()
            .find(|kept| kept["quarantine"]["body"] == body && kept["queue"] == desk.queue(queue));
        let kept = kept.unwrap_or_else(|| panic!("{queue}: {body} is not in quarantine"));
        assert!(
            text(&kept["quarantine"], "reason").contains(reason),
            "{kept}"
        );
        assert_eq!(kept["fingerprint"], letter["fingerprint"], "{kept}");
        let fingerprint = text(kept, "fingerprint");
        let discard = ["dlq", "quarantine", "discard", fingerprint, "--yes"];
        desk.offchain(&discard).await.succeeded();
    }
    assert!(desk.quarantine().await.is_empty());

    // One that names a destination which it may not go to goes nowhere.
    let foreign = record(&function_arn(world, "fulfil"));
    desk.put(QUEUE, &foreign, &[]).await;
    desk.letter(QUEUE).await;
    let (succeeded, report) = desk.redrive(QUEUE, &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(counts(&report), (0, 1, 0), "{report}");
    let detail = text(&report["letters"][0], "detail");
    assert!(detail.contains("DestinationDenied"), "{report}");
    let history = desk.letter(QUEUE).await["history"].take();
    assert!(
        text(&history[0], "reason").contains("lambda:InvokeFunction"),
        "{history}"
    );
    // Nor does it keep others.
    dead_rides(world, 2).await;
    desk.dead(QUEUE, 3).await;
    let (_, report) = desk.redrive(QUEUE, &[]).await;
    assert_eq!(counts(&report), (2, 1, 0), "{report}");
}

#[tokio::test]
async fn the_command_lists_each_queue_with_what_it_holds_and_where_that_goes_back() {
    let desk = Desk::quiet("redrive-list").await;
    let world = desk.world();
    dead_rides(world, 2).await;
    desk.dead(QUEUE, 2).await;
    let listed = desk.offchain(&["dlq", "list", "--json"]).await.json();
    let listed = listed.as_array().unwrap();
    let find = |name: &str| {
        let name = desk.queue(name);
        let found = listed.iter().find(|queue| queue["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {listed:?}"))
    };
    let queue = find(QUEUE);
    assert_eq!(queue["waiting"], 2, "{queue}");
    assert_eq!(
        queue["destination"],
        function_arn(world, "rides-record-sns")
    );
    assert_eq!(
        find("executions-dlq")["destination"],
        *world.stack.vrf.state_machine_arn
    );
    assert_eq!(
        find("rides-unsent-dlq")["destination"],
        *world.stack.rides.topic_arn
    );
    assert_eq!(find("schedules-dlq")["destination"], Value::Null);
    assert_eq!(find("schedules-dlq")["oldest_seconds"], Value::Null);
    let letters = world
        .stack
        .queues
        .keys()
        .filter(|name| name.ends_with("-dlq"));
    assert_eq!(listed.len(), letters.count());
    until("the oldest letter's age", SOON, async || {
        let listed = desk.offchain(&["dlq", "list", "--json"]).await.json();
        let queue = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == desk.queue(QUEUE));
        queue.unwrap()["oldest_seconds"].as_u64()
    })
    .await;
    desk.offchain(&["dlq", "show", &desk.queue(QUEUE), "--limit", "1"])
        .await
        .succeeded();
    assert_eq!(desk.redriven(QUEUE).await, 2);
}

#[tokio::test]
async fn the_redrive_of_dead_letters_refuses_what_it_cannot_use() {
    let world = World::shared().await;
    let queue = crate::redrive::queue_name(&world, QUEUE);
    let requests = format!("{}-vrf-requests", world.stack.name);
    let refused = |ran: &Ran, words: &str| {
        assert_eq!(ran.code, Some(2), "expected {words:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "expected {words:?} in {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        assert!(ran.stdout.is_empty(), "{ran:?}");
    };
    let name = queue.as_str();
    for (arguments, words) in [
        (vec![], "<QUEUE>"),
        (vec!["nowhere"], "expected one of"),
        (vec![""], "expected one of"),
        (vec![requests.as_str()], "expected one of"),
        (
            vec![name, "--code", ""],
            "expected a text that is not empty",
        ),
        (
            vec![name, "--contains", ""],
            "expected a text that is not empty",
        ),
        (
            vec![name, "--message", ""],
            "expected a text that is not empty",
        ),
        (
            vec![name, "--before", "yesterday"],
            "expected a time such as",
        ),
        (
            vec![name, "--after", "2026-13-01T00:00:00Z"],
            "expected a time such as",
        ),
        (
            vec![
                name,
                "--after",
                "2026-01-02T00:00:00Z",
                "--before",
                "2026-01-01T00:00:00Z",
            ],
            "expected --before to be later than --after",
        ),
        (vec![name, "--limit", "0"], "--limit"),
        (vec![name, "--limit=-1"], "--limit"),
        (vec![name, "--limit", "many"], "--limit"),
        (vec![name, "--rate", "0"], "1..=100"),
        (vec![name, "--rate", "101"], "1..=100"),
        (vec![name, "--rate", "0.5"], "--rate"),
        (vec![name, "--observe-seconds", "5"], "--canary"),
        (vec![name, "--canary", "--observe-seconds", "0"], "1..=3600"),
        (vec![name, "--canary", "--dry-run"], "cannot be used with"),
        (vec![name, "--faster"], "--faster"),
        (vec![name, name], "unexpected argument"),
        (
            vec![
                "--execution",
                "arn:aws:states:us-east-1:0:execution:other:x",
            ],
            "expected an ARN that begins with",
        ),
    ] {
        let all = [&["dlq", "redrive"], &arguments[..]].concat();
        refused(&crate::harness::offchain(&all).await, words);
    }
    for (arguments, words) in [
        (vec!["show", "nowhere"], "expected one of"),
        (vec!["show", name, "--limit", "0"], "1..=1000"),
        (vec!["quarantine", "show", "none"], "hex digits"),
        (vec!["quarantine", "release", ""], "hex digits"),
        (
            vec!["quarantine", "discard", "0123456789abcdef", "--yes"],
            "quarantine",
        ),
        (vec!["quarantine", "frobnicate"], "unrecognized subcommand"),
    ] {
        let all = [&["dlq"], &arguments[..]].concat();
        refused(&crate::harness::offchain(&all).await, words);
    }

    // The function and the machine refuse by themselves, whoever asks.
    for (step, code) in [
        (
            json!({"action": "plan", "queue": "nowhere"}),
            "QueueUnknown",
        ),
        (
            json!({"action": "plan", "queue": name, "rate": 0}),
            "InputInvalid",
        ),
        (
            json!({"action": "plan", "queue": name, "rate": 101}),
            "InputInvalid",
        ),
        (
            json!({"action": "plan", "queue": name, "limit": 0}),
            "InputInvalid",
        ),
        (
            json!({"action": "plan", "queue": name, "filter": {"cod": "x"}}),
            "InputInvalid",
        ),
        (json!({"action": "plan"}), "InputInvalid"),
        (
            json!({"action": "redrive", "queue": name, "count": 0}),
            "InputInvalid",
        ),
        (
            json!({"action": "redrive", "queue": name, "count": 11}),
            "InputInvalid",
        ),
        (json!({"action": "redrive", "queue": name}), "InputInvalid"),
        (
            json!({"action": "observe", "queue": name, "fingerprint": "x"}),
            "InputInvalid",
        ),
        (json!({"action": "burn", "queue": name}), "InputInvalid"),
        (json!([]), "InputInvalid"),
        (json!(null), "InputInvalid"),
    ] {
        let error = world.invoke("dlq-redrive", &step).await.unwrap_err();
        assert_eq!(error["errorType"], code, "{step}: {error}");
        assert!(
            text(&error, "errorMessage").contains("expected"),
            "{step}: {error}"
        );
    }
    for input in [
        json!({}),
        json!({"queue": "nowhere"}),
        json!({"queue": name, "rate": "fast"}),
        json!({"queue": name, "filter": []}),
        json!({"queue": name, "limit": 0, "canary": true}),
    ] {
        let machine = &world.stack.redrive.state_machine_arn;
        let start = world.sfn.start_execution().state_machine_arn(machine);
        let started = start.input(input.to_string()).send().await.unwrap();
        let ended = until("the execution to end", SOON, async || {
            let describe = world.sfn.describe_execution();
            let describe = describe.execution_arn(&started.execution_arn);
            let ended = describe.send().await.unwrap();
            (ended.status.as_str() != "RUNNING").then_some(ended)
        })
        .await;
        assert_eq!(ended.status.as_str(), "FAILED", "{input}: {ended:?}");
        assert_eq!(ended.error(), Some("PlanFailed"), "{input}: {ended:?}");
        assert!(
            ended.cause().unwrap().contains("expected"),
            "{input}: {ended:?}"
        );
    }

    // What cannot be reached is another matter.
    let nobody = [("AWS_ENDPOINT_URL", Some("http://127.0.0.1:9"))];
    for arguments in [
        vec!["dlq", "redrive", name],
        vec!["dlq", "list"],
        vec!["dlq", "show", name],
        vec!["dlq", "quarantine"],
    ] {
        let ran = crate::harness::offchain_with(&arguments, "", &nobody).await;
        assert_eq!(ran.code, Some(3), "{ran:?}");
    }
}

#[tokio::test]
async fn an_execution_that_nobody_followed_is_followed_later() {
    let desk = Desk::quiet("redrive-followed").await;
    let world = desk.world();
    let ride = dead_rides(world, 1).await.remove(0);
    desk.letter(QUEUE).await;
    let (_, report) = desk.redrive(QUEUE, &[]).await;
    world.rides().recorded(&ride).await;
    let execution = text(&report, "execution");
    let follow = ["dlq", "redrive", "--execution", execution, "--json"];
    let again = desk.offchain(&follow).await.json();
    assert_eq!(again, report);
    // A ride of the API goes on meanwhile.
    let ride = world.rides().ride().await;
    world.rides().recorded(ride_id(&ride)).await;
}
