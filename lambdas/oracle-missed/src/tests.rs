//! Single slots and sweeps through the handler, against a fake AWS.

use offchain_store::test_util::{
    FakeAws, Reply, condition_failed, demo_feed, done, feed, item, items, page, published, refusal,
};
use serde_json::{Value, json};

use super::*;

fn recorder(aws: &FakeAws, interval: &'static str) -> Recorder {
    let env = Env::new(|name| {
        let value = match name {
            "ORACLE_SUITE" => "offchain",
            "ORACLE_READINGS_TABLE" => "readings",
            "ORACLE_FEEDS_TABLE" => "feeds",
            "ORACLE_INTERVAL_SECONDS" => interval,
            "ORACLE_RETENTION_DAYS" => "30",
            _ => return None,
        };
        Some(value.to_owned())
    });
    Recorder::from_env(env, &aws.sdk_config()).unwrap()
}

/// A run on the grid of 2 s.
async fn run(aws: &FakeAws, event: Value) -> Result<Recorded, MissError> {
    recorder(aws, "2")
        .handle(serde_json::from_value(event).unwrap(), "invocation")
        .await
}

async fn sweep(aws: &FakeAws) -> Result<Recorded, MissError> {
    run(aws, json!({ "sweep": true })).await
}

fn grid() -> Interval {
    Interval::new(2).unwrap()
}

/// The last slot so many seconds ago.
fn ago(seconds: i64) -> Slot {
    grid().at_or_before(Timestamp::now() - SignedDuration::from_secs(seconds))
}

fn event(slot: Slot) -> Value {
    json!({ "slot": slot, "error": "KeyUnavailable", "cause": "no key today" })
}

fn recorded(missed: u32, existing: u32) -> Recorded {
    Recorded { missed, existing }
}

fn expiration(slot: Slot) -> i64 {
    slot.timestamp().as_second() + 30 * 24 * 3600
}

/// What the sweep remembers of a feed.
fn cursor(feed: &str, until: Slot) -> Reply {
    item(&json!({ "feed": "#sweep", "slot": feed, "swept_until": until }))
}

/// A part of the body of the query for the slots that have a record.
const KEPT: &str = r#""ProjectionExpression":"slot, written""#;
/// A part of the body of the query for the newest reading.
const NEWEST: &str = r##""FilterExpression":"#status = :published""##;
/// A part of the body of a write of the sweep's progress.
const CURSOR: &str = r##""feed":"#sweep""##;

/// The slots of the records that were written or were to be, sorted.
fn written(aws: &FakeAws) -> Vec<Slot> {
    let mut slots: Vec<Slot> = aws
        .sent("PutItem")
        .into_iter()
        .filter(|put| put["Item"]["feed"] != "#sweep")
        .map(|put| {
            assert_eq!(put["TableName"], "readings");
            assert_eq!(put["ConditionExpression"], "attribute_not_exists(slot)");
            let item = &put["Item"];
            assert_eq!(item["status"], "missed");
            assert_eq!(item["reason"], "SlotUnrecorded");
            assert_eq!(item["left_out"], json!([]));
            let slot: Slot = serde_json::from_value(item["slot"].clone()).unwrap();
            assert_eq!(item["expiration"], expiration(slot));
            slot
        })
        .collect();
    slots.sort();
    slots
}

/// Where the sweep's progress was set to, in order.
fn cursors(aws: &FakeAws) -> Vec<Slot> {
    aws.sent("PutItem")
        .into_iter()
        .filter(|put| put["Item"]["feed"] == "#sweep")
        .map(|put| {
            assert_eq!(
                put["ConditionExpression"],
                "attribute_not_exists(swept_until) OR swept_until < :until"
            );
            serde_json::from_value(put["Item"]["swept_until"].clone()).unwrap()
        })
        .collect()
}

/// The end of the slots that were ripe for a sweep between `before` and now.
#[track_caller]
fn assert_ripe(until: Slot, before: Timestamp) {
    let two_minutes = SignedDuration::from_secs(120);
    let first = grid().at_or_before(before - two_minutes);
    let last = grid().at_or_before(Timestamp::now() - two_minutes);
    assert!((first..=last).contains(&until), "{first} {until} {last}");
}

#[tokio::test]
async fn a_slot_is_recorded_for_every_feed_with_the_error_that_the_machine_saw() {
    let aws = FakeAws::new()
        .on(
            "Scan",
            items(&[
                demo_feed("demo"),
                feed("odd", &json!({ "kind": "telepathy" })),
            ]),
        )
        .always("PutItem", done());
    let (slot, before) = (ago(4), Timestamp::now());
    let reply = run(&aws, event(slot)).await.unwrap();
    assert_eq!(
        serde_json::to_value(&reply).unwrap(),
        json!({ "missed": 2, "existing": 0 })
    );
    assert_eq!(aws.operations(), ["Scan", "PutItem", "PutItem"]);
    assert_eq!(aws.sent_once("Scan"), json!({ "TableName": "feeds" }));
    for (put, feed) in aws.sent("PutItem").iter().zip(["demo", "odd"]) {
        let at: Moment = serde_json::from_value(put["Item"]["recorded"].clone()).unwrap();
        assert!(Moment::from(before) <= at && at.timestamp() <= Timestamp::now());
        assert_eq!(
            *put,
            json!({
                "TableName": "readings",
                "ConditionExpression": "attribute_not_exists(slot)",
                "Item": {
                    "feed": feed,
                    "slot": slot,
                    "status": "missed",
                    "reason": "KeyUnavailable",
                    "left_out": [],
                    "recorded": at,
                    "detail": "no key today",
                    "expiration": expiration(slot),
                },
            })
        );
    }
}

#[tokio::test]
async fn a_feed_whose_slot_has_a_record_keeps_it() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("alpha"), demo_feed("beta")]))
        .about(r#""feed":"alpha""#, "PutItem", condition_failed())
        .on("PutItem", done());
    assert_eq!(run(&aws, event(ago(4))).await.unwrap(), recorded(1, 1));
}

#[tokio::test]
async fn a_slot_that_is_told_without_a_cause_is_recorded() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("PutItem", done());
    let event = json!({ "slot": ago(4), "error": "States.Timeout" });
    assert_eq!(run(&aws, event).await.unwrap(), recorded(1, 0));
    let item = &aws.sent_once("PutItem")["Item"];
    assert_eq!(item["reason"], "States.Timeout");
    assert_eq!(item["detail"], "");
}

#[tokio::test]
async fn only_a_slot_that_has_begun_is_recorded() {
    let aws = FakeAws::new();
    let odd = ago(4).timestamp() + SignedDuration::from_secs(1);
    for (slot, code, retryable) in [
        (Slot::try_from(odd).unwrap(), "SlotInvalid", false),
        (ago(-60), "SlotNotDue", true),
    ] {
        let error = run(&aws, event(slot)).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        assert!(error.to_string().contains(&slot.to_string()), "{error}");
    }
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_slot_that_cannot_be_recorded_is_an_error_so_that_it_is_tried_again() {
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (Reply::NoConnection, "StoreUnavailable", true),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
        (refusal(400, "ValidationException"), "StoreRejected", false),
    ] {
        let unread = FakeAws::new().on("Scan", reply.clone());
        let unwritten = FakeAws::new()
            .on("Scan", items(&[demo_feed("demo")]))
            .on("PutItem", reply);
        for aws in [unread, unwritten] {
            let error = run(&aws, event(ago(4))).await.unwrap_err();
            assert_eq!((error.code(), error.retryable()), (code, retryable));
        }
    }
}

#[tokio::test]
async fn a_sweep_records_what_nobody_recorded_and_then_remembers_how_far_it_came() {
    let from = ago(150);
    let second = grid().next(from);
    let third = grid().next(second);
    let written_at = Moment::from(second.timestamp());
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("GetItem", cursor("demo", from))
        .on(
            "Query",
            page(
                &[json!({ "slot": second, "written": written_at })],
                &json!({ "feed": "demo" }),
            ),
        )
        .on("Query", items(&[json!({ "slot": third })]))
        .on("Query", items(&[published("demo", ago(2))]))
        .always("PutItem", done());
    let before = Timestamp::now();
    let reply = sweep(&aws).await.unwrap();

    let [until] = cursors(&aws).try_into().unwrap();
    assert_ripe(until, before);
    let silent: Vec<Slot> = grid()
        .slots(from.timestamp(), until.timestamp())
        .filter(|slot| ![second, third].contains(slot))
        .collect();
    assert!(silent.len() >= 12, "{silent:?}");
    assert_eq!(written(&aws), silent);
    assert_eq!(reply, recorded(silent.len().try_into().unwrap(), 2));

    let get = aws.sent_once("GetItem");
    assert_eq!(get["Key"], json!({ "feed": "#sweep", "slot": "demo" }));
    let operations = aws.operations();
    assert_eq!(operations[..4], ["Scan", "GetItem", "Query", "Query"]);
    // The cursor comes after the records and the metrics, or they could be lost.
    assert_eq!(operations[operations.len() - 2..], ["Query", "PutItem"]);
    assert!(
        aws.calls()
            .last()
            .unwrap()
            .body
            .to_string()
            .contains(CURSOR)
    );
    let kept = &aws.sent("Query")[0];
    assert!(kept.to_string().contains(KEPT), "{kept}");
    let last = until.timestamp() - SignedDuration::from_secs(1);
    assert_eq!(
        kept["ExpressionAttributeValues"],
        json!({ ":feed": "demo", ":from": from, ":last": last })
    );
}

#[tokio::test]
async fn a_slot_that_was_recorded_during_the_sweep_is_not_missed() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("GetItem", cursor("demo", ago(130)))
        .always("Query", items(&[]))
        .about(CURSOR, "PutItem", done())
        .always("PutItem", condition_failed());
    let reply = sweep(&aws).await.unwrap();
    let found = written(&aws).len();
    assert!(found >= 4, "{found}");
    assert_eq!(reply, recorded(0, found.try_into().unwrap()));
    assert_eq!(cursors(&aws).len(), 1);
}

#[tokio::test]
async fn a_long_outage_is_recorded_a_quarter_of_an_hour_at_a_time() {
    for (interval, slots) in [("2", 450), ("60", 15), ("1", 900)] {
        // A whole minute, which is on every grid.
        let from = Interval::new(60)
            .unwrap()
            .at_or_before(ago(7200).timestamp());
        let aws = FakeAws::new()
            .on("Scan", items(&[demo_feed("demo")]))
            .on("GetItem", cursor("demo", from))
            .always("Query", items(&[]))
            .always("PutItem", done());
        let event = serde_json::from_value(json!({ "sweep": true })).unwrap();
        let reply = recorder(&aws, interval)
            .handle(event, "invocation")
            .await
            .unwrap();
        assert_eq!(reply, recorded(slots, 0));
        let until = from.timestamp() + SignedDuration::from_mins(15);
        assert_eq!(cursors(&aws), [Slot::try_from(until).unwrap()]);
        let written = written(&aws);
        assert_eq!(written.len(), slots as usize);
        assert_eq!(written[0], from);
        assert!(written.iter().all(|slot| slot.timestamp() < until));
    }
}

#[tokio::test]
async fn the_first_sweep_of_a_feed_begins_at_its_first_record() {
    let first = ago(140);
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("GetItem", done())
        .about(KEPT, "Query", items(&[json!({ "slot": first })]))
        .about(NEWEST, "Query", items(&[published("demo", first)]))
        .on("Query", items(&[published("demo", first)]))
        .always("PutItem", done());
    let before = Timestamp::now();
    let reply = sweep(&aws).await.unwrap();

    let look = &aws.sent("Query")[0];
    assert_eq!(look["Limit"], 1);
    assert_eq!(look.get("ScanIndexForward"), None);
    let an_hour_ago = before - SignedDuration::from_hours(1);
    let from: Slot =
        serde_json::from_value(look["ExpressionAttributeValues"][":from"].clone()).unwrap();
    assert!(grid().at_or_before(an_hour_ago) <= from);
    assert!(from <= ago(3600));

    let [begun, until] = cursors(&aws).try_into().unwrap();
    assert_eq!(begun, first);
    assert_ripe(until, before);
    let silent: Vec<Slot> = grid()
        .slots(grid().next(first).timestamp(), until.timestamp())
        .collect();
    assert_eq!(written(&aws), silent);
    assert_eq!(reply, recorded(silent.len().try_into().unwrap(), 1));
}

#[tokio::test]
async fn a_feed_without_records_is_given_time_for_its_first_minute() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("GetItem", done())
        .always("Query", items(&[]))
        .on("PutItem", done());
    let before = Timestamp::now();
    assert_eq!(sweep(&aws).await.unwrap(), recorded(0, 0));
    assert_eq!(
        aws.operations(),
        ["Scan", "GetItem", "Query", "PutItem", "Query"]
    );
    let [begun] = cursors(&aws).try_into().unwrap();
    let grace = SignedDuration::from_secs(120);
    assert!(grid().at_or_after(before + grace) <= begun);
    assert!(begun <= grid().at_or_after(Timestamp::now() + grace));
}

#[tokio::test]
async fn with_nothing_to_sweep_it_is_still_told_how_old_the_newest_reading_is() {
    for from in [ago(-120), ago(60)] {
        let aws = FakeAws::new()
            .on("Scan", items(&[demo_feed("demo")]))
            .on("GetItem", cursor("demo", from))
            .on("Query", items(&[published("demo", ago(2))]));
        assert_eq!(sweep(&aws).await.unwrap(), recorded(0, 0));
        assert_eq!(aws.operations(), ["Scan", "GetItem", "Query"]);
        let newest = aws.sent_once("Query").to_string();
        assert!(newest.contains(NEWEST), "{newest}");
    }
}

#[tokio::test]
async fn what_is_measured_is_what_was_swept_and_the_age_of_the_newest_reading() {
    let now = Timestamp::now();
    let demo: FeedId = "demo".parse().unwrap();
    let swept = [
        Kept {
            slot: ago(140),
            written: Some(Moment::from(ago(140).timestamp())),
        },
        Kept {
            slot: ago(138),
            written: None,
        },
    ];
    let newest = ago(40);
    let age = now.duration_since(newest.timestamp());
    // Where there is no reading, it is as old as the look back is long.
    let none = now.duration_since(grid().at_or_before(now - LOOK_BACK).timestamp());
    for (found, age) in [(vec![published("demo", newest)], age), (vec![], none)] {
        let aws = FakeAws::new().on("Query", items(&found));
        let measured = recorder(&aws, "2")
            .measure(&demo, now, &swept, &recorded(3, 1))
            .await
            .unwrap();
        assert_eq!(measured, Metrics::new(&swept, 3, age));
        let query = aws.sent_once("Query");
        assert_eq!(query["ScanIndexForward"], false);
        let values = &query["ExpressionAttributeValues"];
        assert_eq!(values[":from"], json!(grid().at_or_before(now - LOOK_BACK)));
    }
}

#[tokio::test]
async fn one_feeds_trouble_is_not_the_others() {
    let from = ago(130);
    let feeds = || items(&[demo_feed("alpha"), demo_feed("beta")]);
    let throttled = || refusal(400, "ThrottlingException");
    // Whatever it is that fails for alpha: each call of the sweep in its turn.
    for failing in [
        FakeAws::new().about(r#""slot":"alpha""#, "GetItem", throttled()),
        FakeAws::new().about(r#"":feed":"alpha""#, "Query", throttled()),
        FakeAws::new().about(r#""feed":"alpha""#, "PutItem", throttled()),
        FakeAws::new()
            .on("Query", items(&[]))
            .about(r#"":feed":"alpha""#, "Query", throttled()),
    ] {
        let aws = failing
            .on("Scan", feeds())
            .always("GetItem", cursor("either", from))
            .always("Query", items(&[]))
            .always("PutItem", done());
        let error = sweep(&aws).await.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("StoreUnavailable", true)
        );
        let puts = aws.sent("PutItem");
        let of_beta = puts.iter().filter(|put| put["Item"]["feed"] == "beta");
        assert!(of_beta.count() >= 4);
        // The next sweep takes alpha's slots again.
        let moved: Vec<_> = puts
            .iter()
            .filter(|put| put["Item"]["feed"] == "#sweep")
            .map(|put| put["Item"]["slot"].clone())
            .collect();
        assert_eq!(moved, ["beta"]);
    }
}

#[tokio::test]
async fn a_sweep_that_another_one_overtook_succeeds() {
    let aws = FakeAws::new()
        .on("Scan", items(&[demo_feed("demo")]))
        .on("GetItem", cursor("demo", ago(130)))
        .always("Query", items(&[]))
        .always("PutItem", condition_failed());
    let reply = sweep(&aws).await.unwrap();
    assert_eq!(reply.missed, 0);
}

#[tokio::test]
async fn without_feeds_there_is_nothing_to_do() {
    for event in [event(ago(4)), json!({ "sweep": true })] {
        let aws = FakeAws::new().on("Scan", items(&[]));
        assert_eq!(run(&aws, event).await.unwrap(), recorded(0, 0));
        assert_eq!(aws.operations(), ["Scan"]);
    }
}

#[tokio::test]
async fn a_sweep_that_is_not_wanted_is_refused() {
    let aws = FakeAws::new();
    let error = run(&aws, json!({ "sweep": false })).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("InputInvalid", false));
    assert!(aws.operations().is_empty());
}

#[test]
fn an_event_of_another_shape_is_refused() {
    let slot = "2026-11-21T11:00:02Z";
    for event in [
        json!({}),
        json!({ "slot": slot }),
        json!({ "slot": "soon", "error": "KeyInvalid" }),
        json!({ "slot": slot, "error": "KeyInvalid", "why": "?" }),
        json!({ "sweep": "true" }),
        json!({ "sweep": true, "slot": slot }),
    ] {
        assert!(
            serde_json::from_value::<Miss>(event.clone()).is_err(),
            "{event}"
        );
    }
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once() {
    let sdk = FakeAws::new().sdk_config();
    let error = Recorder::from_env(Env::new(|_| None), &sdk).err().unwrap();
    assert_eq!(error.code(), "ConfigInvalid");
    for name in [
        "ORACLE_SUITE",
        "ORACLE_READINGS_TABLE",
        "ORACLE_FEEDS_TABLE",
        "ORACLE_INTERVAL_SECONDS",
        "ORACLE_RETENTION_DAYS",
    ] {
        assert!(error.to_string().contains(name), "{error}");
    }
}
