//! What is broken is mended, and then nothing is missing: dead letters go back
//! where they came from, by the real command, on a twin of the stack. Each test
//! that follows says how letters come about, and what is there after a redrive.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageAttributeValue;
use offchain_store::redrive::{Entry, Ledger};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::{Ran, SOON, Undo, World, full_name, offchain_with, ride_id, unique, until};
use crate::oracle_alarms::ringing;
use crate::proxy::Proxy;
use crate::twin::Twin;

/// How long a redrive of some dozens of letters takes at most.
pub(crate) const REDRIVEN: Duration = Duration::from_secs(300);

/// A twin of the stack, and the command that looks after its dead letters.
pub(crate) struct Desk {
    pub(crate) twin: Twin,
    outputs: PathBuf,
}

impl Desk {
    pub(crate) async fn quiet(name: &str) -> Self {
        Self::of(Twin::quiet(name).await)
    }

    pub(crate) async fn behind_a_proxy(name: &str) -> (Self, Proxy) {
        let (twin, proxy) = Twin::behind_a_proxy(name).await;
        (Self::of(twin), proxy)
    }

    fn of(twin: Twin) -> Self {
        // The stack's outputs, with the twin's port.
        let original = PathBuf::from(std::env::var("OFFCHAIN_STACK").unwrap());
        let port = fs::read_to_string(original.parent().unwrap().join("port")).unwrap();
        let port = format!(":{}", port.trim());
        let url = twin.url();
        let (_, twins) = url.rsplit_once(':').unwrap();
        let text = fs::read_to_string(&original).unwrap();
        let text = ["localhost", "127.0.0.1"].iter().fold(text, |text, host| {
            text.replace(&format!("{host}{port}"), &format!("{host}:{twins}"))
        });
        let outputs = twin.folder().join("stack.json");
        fs::write(&outputs, text).unwrap();
        Self { twin, outputs }
    }

    pub(crate) fn world(&self) -> &World {
        &self.twin.world
    }

    /// The queue's name, as the command knows it.
    pub(crate) fn queue(&self, name: &str) -> String {
        queue_name(self.world(), name)
    }

    /// Runs the command against the twin.
    pub(crate) async fn offchain(&self, arguments: &[&str]) -> Ran {
        let url = self.twin.url();
        let variables = [
            ("OFFCHAIN_STACK", self.outputs.to_str()),
            ("AWS_ENDPOINT_URL", Some(url.as_str())),
        ];
        offchain_with(arguments, "", &variables).await
    }

    /// Redrives a queue. The report, and whether all went well.
    pub(crate) async fn redrive(&self, queue: &str, more: &[&str]) -> (bool, Value) {
        let queue = self.queue(queue);
        let arguments = [&["dlq", "redrive", &queue, "--json"], more].concat();
        let ran = self.offchain(&arguments).await;
        let report = serde_json::from_str(&ran.stdout);
        let report = report.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"));
        let succeeded = match ran.code {
            Some(0) => true,
            Some(1) => false,
            _ => panic!("{arguments:?}: {ran:?}"),
        };
        (succeeded, report)
    }

    /// Redrives a queue whose letters all go back. Returns how many did.
    pub(crate) async fn redriven(&self, queue: &str) -> u64 {
        let (succeeded, report) = self.redrive(queue, &["--rate", "100"]).await;
        assert!(succeeded, "{report}");
        assert_eq!(
            counts(&report),
            (report["matching"].as_u64().unwrap(), 0, 0)
        );
        report["redriven"].as_u64().unwrap()
    }

    /// Redrives a queue again and again, until it holds nothing. Who was killed
    /// may hold letters for a while yet.
    pub(crate) async fn drain(&self, queue: &str) {
        until(&format!("{queue} to be empty"), REDRIVEN, async || {
            let depth = self.world().depth(queue).await;
            if depth == 0 {
                return Some(());
            }
            self.redrive(queue, &["--rate", "100"]).await;
            None
        })
        .await;
    }

    /// What a queue holds, as the command shows it.
    pub(crate) async fn letters(&self, queue: &str) -> Vec<Value> {
        let queue = self.queue(queue);
        let arguments = ["dlq", "show", &queue, "--limit", "1000", "--json"];
        let shown = self.offchain(&arguments).await.json();
        Vec::deserialize(shown).unwrap()
    }

    /// Waits until a queue holds so many letters, and returns them.
    pub(crate) async fn dead(&self, queue: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} letters in {queue}"), SOON, async || {
            let depth = self.world().depth(queue).await;
            let letters = if depth as usize == count {
                self.letters(queue).await
            } else {
                Vec::new()
            };
            (letters.len() == count).then_some(letters)
        })
        .await
    }

    /// The one letter of a queue.
    pub(crate) async fn letter(&self, queue: &str) -> Value {
        self.dead(queue, 1).await.remove(0)
    }

    /// What is in quarantine, as the command shows it.
    pub(crate) async fn quarantine(&self) -> Vec<Value> {
        let shown = self.offchain(&["dlq", "quarantine", "--json"]).await.json();
        Vec::deserialize(shown).unwrap()
    }

    /// Puts a message into a queue, as whoever writes its letters does. Returns
    /// its id.
    pub(crate) async fn put(&self, queue: &str, body: &str, attributes: &[(&str, &str)]) -> String {
        put(self.world(), queue, body, attributes).await
    }
}

pub(crate) async fn put(
    world: &World,
    queue: &str,
    body: &str,
    attributes: &[(&str, &str)],
) -> String {
    let mut message = world
        .sqs
        .send_message()
        .queue_url(world.queue(queue))
        .message_body(body);
    for (name, text) in attributes {
        let value = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(*text)
            .build();
        message = message.message_attributes(*name, value.unwrap());
    }
    message.send().await.unwrap().message_id.unwrap()
}

pub(crate) fn queue_name(world: &World, name: &str) -> String {
    format!("{}-{}", world.stack.name, full_name(name))
}

/// An ARN of the stack's account.
pub(crate) fn arn(world: &World, service: &str, resource: &str) -> String {
    format!(
        "arn:aws:{service}:{}:000000000000:{resource}",
        world.stack.region
    )
}

pub(crate) fn function_arn(world: &World, role: &str) -> String {
    arn(
        world,
        "lambda",
        &format!("function:{}", world.function(role)),
    )
}

/// How many letters were redriven, failed, and are quarantined.
pub(crate) fn counts(report: &Value) -> (u64, u64, u64) {
    let count = |name: &str| {
        let count = report[name].as_u64();
        count.unwrap_or_else(|| panic!("{name}: {report}"))
    };
    (count("redriven"), count("failed"), count("quarantined"))
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("{name}: expected a text: {value}"))
}

/// What is kept of a letter's redrives.
pub(crate) async fn entry(world: &World, letter: &Value) -> Option<Entry> {
    let ledger = Ledger::new(world.dynamodb.clone(), world.stack.redrive.table.clone());
    let fingerprint = Deserialize::deserialize(&letter["fingerprint"]).unwrap();
    ledger.load(&fingerprint).await.unwrap()
}

/// The text of a ride that nobody has recorded.
pub(crate) fn new_ride() -> (String, String) {
    let id = unique();
    let ride = json!({
        "RideId": id,
        "Unicorn": {"Name": "Shadowfax", "Color": "White"},
        "RequestTime": "2026-01-02 03:04:05.678901",
        "PickupLocation": {"Latitude": 42.35, "Longitude": -71.05},
    });
    (id, ride.to_string())
}

/// What a function is given of a message of the topic.
pub(crate) fn notification(world: &World, message: &str) -> Value {
    json!({"Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": format!("{}:{}", world.stack.rides.topic_arn, unique()),
        "Sns": {
            "Type": "Notification",
            "MessageId": unique(),
            "TopicArn": world.stack.rides.topic_arn,
            "Message": message,
            "Timestamp": "2026-01-02T03:04:05.678Z",
        },
    }]})
}

/// What Lambda tells of an event that a function failed on for good.
pub(crate) fn failed_event(world: &World, role: &str, event: &Value, code: &str) -> String {
    json!({
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "requestContext": {
            "requestId": unique(),
            "functionArn": format!("{}:$LATEST", function_arn(world, role)),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorType": code, "errorMessage": "as the test says"},
    })
    .to_string()
}

/// Puts letters of so many rides into the recorder's queue. Returns the rides.
pub(crate) async fn dead_rides(world: &World, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let (id, ride) = new_ride();
        let event = notification(world, &ride);
        let body = failed_event(world, "rides-record-sns", &event, "StoreUnavailable");
        put(world, "rides-record-dlq", &body, &[]).await;
        ids.push(id);
    }
    ids
}

/// The recorder finds no table until the returned value is dropped.
pub(crate) async fn broken_recorder(world: &World) -> Undo {
    let changes = [("RIDES_TABLE", Some("no-such-table"))];
    world.set_env("rides-record-sns", &changes).await
}

/// The ids of all recorded rides. Each ride has one item, whose key it is.
pub(crate) async fn recorded(world: &World) -> BTreeSet<String> {
    let items = world.rides().items().await.into_iter();
    items.map(|item| field(&item, "RideId")).collect()
}

fn field(item: &crate::harness::Item, name: &str) -> String {
    match &item[name] {
        AttributeValue::S(text) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn rides_are_taken_while_the_recorder_is_broken_and_a_redrive_records_each_once() {
    let desk = Desk::quiet("redrive-rides").await;
    let world = desk.world();
    let before = recorded(world).await;
    let queue = "rides-record-dlq";
    let alarm = format!("{}-depth", desk.queue(queue));
    let rings = async || ringing(world, "-dlq-depth").await;

    let going = AtomicBool::new(true);
    let stream = async {
        let mut rides = Vec::new();
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        while going.load(Ordering::Relaxed) {
            pace.tick().await;
            rides.push(world.rides().ride().await);
        }
        rides
    };
    let trouble = async {
        let more_than = async |count: usize| {
            until("rides to be recorded", SOON, async || {
                (recorded(world).await.len() > count).then_some(())
            })
            .await;
        };
        more_than(before.len() + 5).await;
        let broken = broken_recorder(world).await;
        until("the alarm to ring", SOON, async || {
            let ringing = rings().await;
            (!ringing.is_empty()).then(|| assert_eq!(ringing, BTreeSet::from([alarm.clone()])))
        })
        .await;
        until("some more letters", SOON, async || {
            (world.depth(queue).await >= 12).then_some(())
        })
        .await;
        drop(broken);
        let now = recorded(world).await.len();
        more_than(now + 5).await;
        going.store(false, Ordering::Relaxed);
    };
    let (rides, ()) = futures_util::join!(stream, trouble);

    // What was tried for the last time as the recorder was mended is through.
    let dead = until("each ride to be recorded or dead", SOON, async || {
        let dead = world.depth(queue).await as usize;
        let done = recorded(world).await.len() - before.len();
        assert!(done + dead <= rides.len(), "{done} + {dead}");
        (done + dead == rides.len()).then_some(dead as u64)
    })
    .await;
    assert!(dead >= 12, "{dead}");
    assert_eq!(desk.redriven(queue).await, dead);

    let items = world.rides().items().await;
    assert_eq!(items.len(), before.len() + rides.len());
    for ride in &rides {
        let item = items
            .iter()
            .find(|item| field(item, "RideId") == ride_id(ride))
            .unwrap_or_else(|| panic!("{ride} is not recorded"));
        assert_eq!(field(item, "RequestTime"), text(ride, "RequestTime"));
        assert_eq!(item.len(), 4, "{item:?}");
    }
    until("the alarm to be quiet again", SOON, async || {
        rings().await.is_empty().then_some(())
    })
    .await;
    // There is nothing left to do, and so nothing is done.
    assert_eq!(desk.redriven(queue).await, 0);
    assert_eq!(world.rides().count().await, items.len());
    assert!(ringing(world, "-dlq-quarantined").await.is_empty());
}

#[tokio::test]
async fn a_poison_message_is_redriven_as_often_as_allowed_and_then_quarantined() {
    let desk = Desk::quiet("redrive-poison").await;
    let world = desk.world();
    let queue = "rides-record-dlq";
    let full = desk.queue(queue);
    let most = world.stack.redrive.max_redrives;
    let mark = unique();
    let poison = json!({"RideId": mark}).to_string();
    let publish = async |message: &str| {
        let publish = world.sns.publish();
        let publish = publish.topic_arn(&world.stack.rides.topic_arn);
        publish.message(message).send().await.unwrap();
    };

    let broken = broken_recorder(world).await;
    let others = [world.rides().ride().await, world.rides().ride().await];
    publish(&poison).await;
    let letters = desk.dead(queue, 3).await;
    drop(broken);
    // Three attempts, and the event as it was.
    let is_poison = |letter: &&Value| letter["event"].to_string().contains(&mark);
    let letter = letters.iter().find(is_poison).unwrap();
    assert_eq!(letter["source"], "function", "{letter}");
    assert_eq!(letter["code"], "RideInvalid", "{letter}");
    assert_eq!(letter["attempts"], 3, "{letter}");
    assert_eq!(letter["redrives"], 0, "{letter}");
    assert_eq!(letter["history"], json!([]), "{letter}");
    assert_eq!(
        letter["destination"],
        function_arn(world, "rides-record-sns")
    );
    let record = &letter["event"]["Records"][0];
    assert_eq!(record["Sns"]["Message"], poison, "{letter}");
    assert_eq!(record["Sns"]["TopicArn"], world.stack.rides.topic_arn);
    for letter in letters.iter().filter(|letter| !is_poison(letter)) {
        assert_eq!(letter["attempts"], 3, "{letter}");
        assert_eq!(letter["code"], "StoreDenied", "{letter}");
    }

    // The others go their way, and it stays: k times.
    for redrives in 1..=most {
        let (succeeded, report) = desk.redrive(queue, &[]).await;
        assert!(!succeeded, "{report}");
        let good = if redrives == 1 { 2 } else { 0 };
        assert_eq!(counts(&report), (good, 1, 0), "{report}");
        let letter = desk.letter(queue).await;
        assert_eq!(letter["redrives"], redrives, "{letter}");
        let history = letter["history"].as_array().unwrap();
        assert_eq!(history.len(), redrives as usize, "{letter}");
        for attempt in history {
            assert_eq!(attempt["outcome"], "failed", "{letter}");
            assert_eq!(attempt["code"], "RideInvalid", "{letter}");
        }
        for ride in &others {
            world.rides().recorded(ride_id(ride)).await;
        }
    }
    let printed = desk.offchain(&["dlq", "show", &full]).await.succeeded();
    assert!(printed.contains(&format!("{most} times")), "{printed}");
    assert!(desk.quarantine().await.is_empty());

    let (succeeded, report) = desk.redrive(queue, &[]).await;
    assert!(!succeeded, "{report}");
    assert_eq!(counts(&report), (0, 0, 1), "{report}");
    assert_eq!(world.depth(queue).await, 0);
    let alarm = format!("{}-dlq-quarantined", world.stack.name);
    until("the quarantine's alarm to ring", SOON, async || {
        ringing(world, "-dlq-quarantined")
            .await
            .contains(&alarm)
            .then_some(())
    })
    .await;
    let quarantined = desk.quarantine().await;
    assert_eq!(quarantined.len(), 1, "{quarantined:?}");
    let kept = &quarantined[0];
    assert_eq!(kept["fingerprint"], letter["fingerprint"]);
    assert_eq!(kept["queue"], *full);
    assert_eq!(kept["redrives"], most);
    let outcomes: Vec<_> = kept["history"].as_array().unwrap().iter().collect();
    assert_eq!(outcomes.len(), most as usize + 1, "{kept}");
    assert_eq!(outcomes.last().unwrap()["outcome"], "quarantined");
    let body: Value = serde_json::from_str(text(&kept["quarantine"], "body")).unwrap();
    assert_eq!(body["requestPayload"], letter["event"], "{kept}");
    // What is known of it is in the plain text as well.
    let start = &text(kept, "fingerprint")[..12];
    let printed = desk.offchain(&["dlq", "quarantine"]).await.succeeded();
    assert!(printed.contains(start), "{printed}");
    let shown = desk.offchain(&["dlq", "quarantine", "show", start]).await;
    let shown = shown.succeeded();
    assert!(
        shown.contains(&mark) && shown.contains("RideInvalid"),
        "{shown}"
    );
    assert_eq!(desk.redriven(queue).await, 0);
    let ride = world.rides().ride().await;
    world.rides().recorded(ride_id(&ride)).await;

    // Released, it is a letter like any other: the count begins anew.
    let released = desk
        .offchain(&["dlq", "quarantine", "release", start])
        .await;
    assert!(released.succeeded().contains(&full));
    assert!(desk.quarantine().await.is_empty());
    let again = desk.letter(queue).await;
    assert_eq!(again["fingerprint"], letter["fingerprint"]);
    assert_eq!(again["redrives"], 0, "{again}");
    assert_eq!(again["event"], letter["event"]);
    let twice = desk
        .offchain(&["dlq", "quarantine", "release", start])
        .await;
    assert_eq!(twice.code, Some(2), "{twice:?}");
    for _ in 0..most {
        let (_, report) = desk.redrive(queue, &[]).await;
        assert_eq!(counts(&report), (0, 1, 0), "{report}");
    }
    let (_, report) = desk.redrive(queue, &[]).await;
    assert_eq!(counts(&report), (0, 0, 1), "{report}");

    // Nobody is there to be asked.
    let unasked = desk
        .offchain(&["dlq", "quarantine", "discard", start])
        .await;
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    assert_eq!(desk.quarantine().await.len(), 1);
    let discard = ["dlq", "quarantine", "discard", start, "--yes"];
    desk.offchain(&discard).await.succeeded();
    assert!(desk.quarantine().await.is_empty());
    let gone = desk.offchain(&["dlq", "quarantine", "show", start]).await;
    assert_eq!(gone.code, Some(2), "{gone:?}");
    assert!(entry(world, letter).await.is_none());
    assert!(!recorded(world).await.contains(&mark));
}

#[tokio::test]
async fn a_letter_that_was_redriven_in_vain_is_released_and_goes_back_once_all_is_mended() {
    let desk = Desk::quiet("redrive-vain").await;
    let world = desk.world();
    let queue = "rides-record-dlq";
    let broken = broken_recorder(world).await;
    let ride = dead_rides(world, 1).await.remove(0);
    for _ in 0..world.stack.redrive.max_redrives {
        let (_, report) = desk.redrive(queue, &[]).await;
        assert_eq!(counts(&report), (0, 1, 0), "{report}");
    }
    let (_, report) = desk.redrive(queue, &[]).await;
    assert_eq!(counts(&report), (0, 0, 1), "{report}");
    drop(broken);
    let kept = desk.quarantine().await.remove(0);
    let fingerprint = text(&kept, "fingerprint");
    let release = ["dlq", "quarantine", "release", fingerprint];
    desk.offchain(&release).await.succeeded();
    assert_eq!(desk.redriven(queue).await, 1);
    world.rides().recorded(&ride).await;
    assert_eq!(world.depth(queue).await, 0);
    assert!(desk.quarantine().await.is_empty());
}
