//! The tables' operations, against a fake AWS.

use aws_sdk_dynamodb::Client;
use offchain_codes::Coded;
use offchain_oracle::{FeedId, Kind, Slot};
use serde_json::{Value, json};

use super::*;
use crate::StoreError;
use crate::test_util::{
    FakeAws, Reply, answer, condition_failed, demo_feed, done, feed, item, items, miss, missed,
    page, published, reading, refusal, signing_key,
};

fn readings(aws: &FakeAws) -> Readings {
    Readings::new(Client::new(&aws.sdk_config()), "readings".into())
}

fn feeds(aws: &FakeAws) -> Feeds {
    Feeds::new(Client::new(&aws.sdk_config()), "feeds".into())
}

fn demo() -> FeedId {
    "demo".parse().unwrap()
}

/// A slot of one minute, by its second.
fn slot(second: u8) -> Slot {
    format!("2026-11-21T11:00:{second:02}Z").parse().unwrap()
}

fn key_of(second: u8) -> Value {
    json!({ "feed": "demo", "slot": slot(second) })
}

/// Asserts that these are the queries for the slots from second 10 on and
/// before second 20, a page each, with these parts beside.
#[track_caller]
fn assert_pages(aws: &FakeAws, starts: &[Option<Value>], parts: &Value) {
    let queries = aws.sent("Query");
    assert_eq!(queries.len(), starts.len());
    assert_eq!(aws.operations().len(), starts.len());
    for (query, start) in queries.iter().zip(starts) {
        let mut expected = json!({
            "TableName": "readings",
            "KeyConditionExpression": "feed = :feed AND slot BETWEEN :from AND :last",
            "ExpressionAttributeValues": {
                ":feed": "demo",
                // Both ends are included, and the end of the range is not in it.
                ":from": "2026-11-21T11:00:10Z",
                ":last": "2026-11-21T11:00:19Z",
            },
        });
        for (name, value) in parts.as_object().unwrap() {
            expected[name] = value.clone();
        }
        if let Some(start) = start {
            expected["ExclusiveStartKey"] = start.clone();
        }
        let mut query = query.clone();
        // What a page may hold at most is another test's business.
        query.as_object_mut().unwrap().remove("Limit");
        assert_eq!(query, expected);
    }
}

fn limits(aws: &FakeAws) -> Vec<Value> {
    let queries = aws.sent("Query");
    queries.iter().map(|query| query["Limit"].clone()).collect()
}

#[tokio::test]
async fn a_reading_is_written_only_where_its_slot_has_no_record() {
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("PutItem", condition_failed());
    let reading = reading("demo", slot(2), 1);
    for written in [true, false] {
        let outcome = readings(&aws).publish(&reading, 1_800_000_000).await;
        assert_eq!(outcome.unwrap(), written);
    }
    for put in aws.sent("PutItem") {
        assert_eq!(
            put,
            json!({
                "TableName": "readings",
                "ConditionExpression": "attribute_not_exists(slot)",
                "Item": {
                    "feed": "demo",
                    "slot": "2026-11-21T11:00:02Z",
                    "status": "published",
                    "observed": "2026-11-21T11:00:01.970Z",
                    "written": "2026-11-21T11:00:02.001Z",
                    "value": "537",
                    "exponent": 0,
                    "spread": "0",
                    "sources": [{
                        "source": "random",
                        "value": "537",
                        "observed": "2026-11-21T11:00:01.970Z",
                    }],
                    "left_out": [],
                    "key_epoch": 1,
                    "public_key": signing_key().public_key().to_hex(),
                    "signature": serde_json::to_value(&reading).unwrap()["signature"],
                    "expiration": 1_800_000_000,
                },
            })
        );
    }
}

#[tokio::test]
async fn a_missed_slot_is_written_only_where_it_has_no_record() {
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("PutItem", condition_failed());
    for written in [true, false] {
        let outcome = readings(&aws)
            .miss(miss("demo", slot(2)), "kraken is asleep", 1_800_000_000)
            .await;
        assert_eq!(outcome.unwrap(), written);
    }
    for put in aws.sent("PutItem") {
        assert_eq!(
            put,
            json!({
                "TableName": "readings",
                "ConditionExpression": "attribute_not_exists(slot)",
                "Item": {
                    "feed": "demo",
                    "slot": "2026-11-21T11:00:02Z",
                    "status": "missed",
                    "reason": "QuorumNotReached",
                    "left_out": [{ "source": "kraken", "reason": "SourceStale" }],
                    "recorded": "2026-11-21T11:00:02.000Z",
                    "detail": "kraken is asleep",
                    "expiration": 1_800_000_000,
                },
            })
        );
    }
}

#[tokio::test]
async fn what_was_written_is_read_back_and_a_reading_still_verifies() {
    let aws = FakeAws::new().always("PutItem", done());
    let reading = reading("demo", slot(12), 250);
    readings(&aws).publish(&reading, 1).await.unwrap();
    let missed = miss("demo", slot(14));
    readings(&aws)
        .miss(missed.clone(), "kraken is asleep", 1)
        .await
        .unwrap();
    let stored: Vec<Value> = aws
        .sent("PutItem")
        .iter()
        .map(|put| put["Item"].clone())
        .collect();

    let aws = FakeAws::new().on("Query", items(&stored));
    let records = readings(&aws)
        .range(&demo(), slot(10), slot(20), 100)
        .await
        .unwrap();
    assert_eq!(
        records,
        [
            Record::Published(Box::new(reading)),
            Record::Missed(missed.clone())
        ]
    );
    assert_eq!([records[0].slot(), records[1].slot()], [slot(12), slot(14)]);
    let Record::Published(read) = &records[0] else {
        panic!("expected a reading, found {records:?}");
    };
    read.verify_with_key(&signing_key().public_key()).unwrap();
}

#[tokio::test]
async fn a_reply_shows_neither_the_operators_detail_nor_the_time_to_live() {
    let aws = FakeAws::new().on(
        "Query",
        items(&[published("demo", slot(12)), missed("demo", slot(14))]),
    );
    let records = readings(&aws)
        .range(&demo(), slot(10), slot(20), 100)
        .await
        .unwrap();
    assert_eq!(
        serde_json::to_value(&records[0]).unwrap(),
        serde_json::to_value(reading("demo", slot(12), 1)).unwrap()
    );
    assert_eq!(
        serde_json::to_value(&records[1]).unwrap(),
        json!({
            "feed": "demo",
            "slot": "2026-11-21T11:00:14Z",
            "status": "missed",
            "reason": "QuorumNotReached",
            "left_out": [{ "source": "kraken", "reason": "SourceStale" }],
            "recorded": "2026-11-21T11:00:14.000Z",
        })
    );
}

#[tokio::test]
async fn every_page_of_a_range_is_read() {
    let aws = FakeAws::new()
        .on("Query", page(&[published("demo", slot(10))], &key_of(10)))
        .on("Query", page(&[], &key_of(12)))
        .on("Query", items(&[missed("demo", slot(14))]));
    let records = readings(&aws)
        .range(&demo(), slot(10), slot(20), 100)
        .await
        .unwrap();
    let slots: Vec<Slot> = records.iter().map(Record::slot).collect();
    assert_eq!(slots, [slot(10), slot(14)]);
    let starts = [None, Some(key_of(10)), Some(key_of(12))];
    assert_pages(&aws, &starts, &json!({}));
    assert_eq!(limits(&aws), [100, 99, 99]);
}

#[tokio::test]
async fn a_range_ends_where_its_limit_is_reached() {
    let aws = FakeAws::new()
        .on("Query", page(&[published("demo", slot(10))], &key_of(10)))
        .on("Query", page(&[published("demo", slot(12))], &key_of(12)));
    let records = readings(&aws)
        .range(&demo(), slot(10), slot(20), 2)
        .await
        .unwrap();
    assert_eq!(records.len(), 2);
    assert_pages(&aws, &[None, Some(key_of(10))], &json!({}));
    assert_eq!(limits(&aws), [2, 1]);
}

#[tokio::test]
async fn the_newest_reading_is_looked_for_backwards_past_what_was_missed() {
    let aws = FakeAws::new()
        .on("Query", page(&[], &key_of(16)))
        .on("Query", page(&[], &key_of(14)))
        .on(
            "Query",
            page(&[published("demo", slot(12))], &json!({ "feed": "demo" })),
        );
    let newest = readings(&aws)
        .newest(&demo(), slot(10), slot(20))
        .await
        .unwrap();
    assert_eq!(newest, Some(reading("demo", slot(12), 1)));
    assert_pages(
        &aws,
        &[None, Some(key_of(16)), Some(key_of(14))],
        &json!({
            "ScanIndexForward": false,
            "FilterExpression": "#status = :published",
            "ExpressionAttributeNames": { "#status": "status" },
            "ExpressionAttributeValues": {
                ":feed": "demo",
                ":from": "2026-11-21T11:00:10Z",
                ":last": "2026-11-21T11:00:19Z",
                ":published": "published",
            },
        }),
    );
    // Where all is well, little is read.
    assert_eq!(limits(&aws), [5, 1000, 1000]);
}

#[tokio::test]
async fn a_stretch_without_a_reading_has_no_newest_one() {
    let aws = FakeAws::new()
        .on("Query", page(&[], &key_of(16)))
        .on("Query", items(&[]));
    let newest = readings(&aws).newest(&demo(), slot(10), slot(20)).await;
    assert_eq!(newest.unwrap(), None);
}

#[tokio::test]
async fn the_sweep_reads_consistently_and_only_what_it_needs() {
    let written = "2026-11-21T11:00:10.250Z";
    let aws = FakeAws::new()
        .on(
            "Query",
            page(
                &[json!({ "slot": slot(10), "written": written })],
                &key_of(10),
            ),
        )
        .on("Query", items(&[json!({ "slot": slot(14) })]));
    let kept = readings(&aws)
        .kept(&demo(), slot(10), slot(20))
        .await
        .unwrap();
    assert_eq!(
        kept,
        [
            Kept {
                slot: slot(10),
                written: Some(serde_json::from_value(written.into()).unwrap()),
            },
            Kept {
                slot: slot(14),
                written: None,
            },
        ]
    );
    assert_pages(
        &aws,
        &[None, Some(key_of(10))],
        &json!({ "ConsistentRead": true, "ProjectionExpression": "slot, written" }),
    );
    // DynamoDB's own limit of a page is the only one.
    assert_eq!(limits(&aws), [Value::Null, Value::Null]);
}

#[tokio::test]
async fn bounds_that_are_not_in_order_make_no_call_and_hold_nothing() {
    let aws = FakeAws::new();
    let table = readings(&aws);
    for to in [slot(10), slot(8)] {
        assert_eq!(
            table.range(&demo(), slot(10), to, 100).await.unwrap(),
            Vec::new()
        );
        assert_eq!(table.newest(&demo(), slot(10), to).await.unwrap(), None);
        assert_eq!(table.kept(&demo(), slot(10), to).await.unwrap(), Vec::new());
    }
    assert!(aws.operations().is_empty());
}

#[tokio::test]
async fn a_range_of_one_second_asks_for_that_second() {
    let aws = FakeAws::new().on("Query", items(&[]));
    readings(&aws)
        .range(&demo(), slot(10), slot(11), 100)
        .await
        .unwrap();
    let values = &aws.sent_once("Query")["ExpressionAttributeValues"];
    assert_eq!(values[":from"], "2026-11-21T11:00:10Z");
    assert_eq!(values[":last"], "2026-11-21T11:00:10Z");
}

#[tokio::test]
async fn the_sweep_remembers_how_far_it_came() {
    let aws = FakeAws::new().on("GetItem", done()).on(
        "GetItem",
        item(&json!({ "feed": "#sweep", "slot": "demo", "swept_until": slot(10) })),
    );
    let table = readings(&aws);
    for until in [None, Some(slot(10))] {
        assert_eq!(table.swept_until(&demo()).await.unwrap(), until);
    }
    assert_eq!(
        aws.sent("GetItem")[0],
        json!({
            "TableName": "readings",
            "Key": { "feed": "#sweep", "slot": "demo" },
            "ConsistentRead": true,
        })
    );
}

#[tokio::test]
async fn the_sweep_never_goes_back() {
    let aws = FakeAws::new()
        .on("PutItem", done())
        .on("PutItem", condition_failed());
    for moved in [true, false] {
        let outcome = readings(&aws).set_swept_until(&demo(), slot(20)).await;
        assert_eq!(outcome.unwrap(), moved);
    }
    for put in aws.sent("PutItem") {
        assert_eq!(
            put,
            json!({
                "TableName": "readings",
                "Item": { "feed": "#sweep", "slot": "demo", "swept_until": slot(20) },
                "ConditionExpression":
                    "attribute_not_exists(swept_until) OR swept_until < :until",
                "ExpressionAttributeValues": { ":until": "2026-11-21T11:00:20Z" },
            })
        );
    }
}

/// The code of every operation of the readings, each answered so, and whether
/// it is worth another try.
async fn outcomes(reply: Reply) -> Vec<(&'static str, bool)> {
    let aws = FakeAws::new()
        .always("Query", reply.clone())
        .always("GetItem", reply.clone())
        .always("PutItem", reply);
    let table = readings(&aws);
    let errors: Vec<Option<StoreError>> = vec![
        table.range(&demo(), slot(10), slot(20), 1).await.err(),
        table.newest(&demo(), slot(10), slot(20)).await.err(),
        table.kept(&demo(), slot(10), slot(20)).await.err(),
        table.swept_until(&demo()).await.err(),
        table.set_swept_until(&demo(), slot(20)).await.err(),
        table.publish(&reading("demo", slot(2), 1), 1).await.err(),
        table.miss(miss("demo", slot(2)), "", 1).await.err(),
    ];
    errors
        .iter()
        .map(|error| {
            let error = error.as_ref().unwrap();
            (error.code(), error.retryable())
        })
        .collect()
}

#[tokio::test]
async fn a_table_that_cannot_be_used_is_told_as_such() {
    for (reply, outcome) in [
        (
            refusal(400, "ThrottlingException"),
            ("StoreUnavailable", true),
        ),
        (Reply::NoConnection, ("StoreUnavailable", true)),
        (
            refusal(400, "AccessDeniedException"),
            ("StoreDenied", false),
        ),
        (
            refusal(400, "ResourceNotFoundException"),
            ("StoreRejected", false),
        ),
    ] {
        assert_eq!(outcomes(reply).await, [outcome; 7]);
    }
}

#[tokio::test]
async fn an_item_of_another_shape_is_an_error_and_not_a_guess() {
    let mut without_key = published("demo", slot(10));
    without_key.as_object_mut().unwrap().remove("public_key");
    let mut of_tomorrow = published("demo", slot(10));
    of_tomorrow["confidence"] = "0.9".into();
    let mut undecided = missed("demo", slot(10));
    undecided["status"] = "undecided".into();
    undecided.as_object_mut().unwrap().remove("reason");
    for torn in [without_key, of_tomorrow, undecided] {
        let aws = FakeAws::new().on("Query", items(std::slice::from_ref(&torn)));
        let error = readings(&aws)
            .range(&demo(), slot(10), slot(20), 1)
            .await
            .unwrap_err();
        let outcome = (error.code(), error.retryable());
        assert_eq!(outcome, ("StoreRejected", false), "{torn}");
    }

    let torn = json!({ "feed": "demo", "slot": "soon", "swept_until": "soon" });
    let aws = FakeAws::new()
        .always("Query", items(std::slice::from_ref(&torn)))
        .always("GetItem", item(&torn));
    let table = readings(&aws);
    for error in [
        table.newest(&demo(), slot(10), slot(20)).await.err(),
        table.swept_until(&demo()).await.err(),
    ] {
        assert_eq!(error.unwrap().code(), "StoreRejected");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_from_the_sweep() {
    let aws = FakeAws::new().on(
        "Query",
        items(&[
            json!({ "slot": "2026-11-21T11:00:10Zzz" }),
            json!({ "slot": slot(12), "written": 12 }),
            json!({ "slot": slot(14) }),
        ]),
    );
    let kept = readings(&aws).kept(&demo(), slot(10), slot(20)).await;
    let whole = Kept {
        slot: slot(14),
        written: None,
    };
    assert_eq!(kept.unwrap(), [whole]);
}

#[tokio::test]
async fn every_page_of_feeds_is_read_in_the_order_of_their_names() {
    let aws = FakeAws::new()
        .on(
            "Scan",
            page(&[demo_feed("zeta")], &json!({ "feed": "zeta" })),
        )
        .on("Scan", page(&[], &json!({ "feed": "between" })))
        .on("Scan", items(&[demo_feed("alpha")]));
    let all = feeds(&aws).all().await.unwrap();
    let names: Vec<&str> = all.keys().map(FeedId::as_str).collect();
    assert_eq!(names, ["alpha", "zeta"]);
    for (id, feed) in &all {
        let feed = feed.as_ref().unwrap();
        assert_eq!((&feed.id, &feed.kind), (id, &Kind::Demo));
    }
    assert_eq!(
        aws.sent("Scan"),
        [
            json!({ "TableName": "feeds" }),
            json!({ "TableName": "feeds", "ExclusiveStartKey": { "feed": "zeta" } }),
            json!({ "TableName": "feeds", "ExclusiveStartKey": { "feed": "between" } }),
        ]
    );
}

#[tokio::test]
async fn a_definition_that_cannot_be_used_is_its_own_feeds_trouble_alone() {
    let aws = FakeAws::new().on(
        "Scan",
        items(&[
            demo_feed("good"),
            feed("odd", &json!({ "kind": "telepathy" })),
            json!({ "feed": "torn", "definition": "{" }),
            json!({ "feed": "number", "definition": 1 }),
            json!({ "feed": "without" }),
            json!({ "feed": "Not A Name", "definition": r#"{"kind":"demo"}"# }),
        ]),
    );
    let mut all = feeds(&aws).all().await.unwrap();
    all.remove(&"good".parse().unwrap()).unwrap().unwrap();
    assert_eq!(all.len(), 4);
    for (id, feed) in all {
        let error = feed.unwrap_err();
        assert_eq!(error.id, id);
        assert_eq!((error.code(), error.retryable()), ("FeedInvalid", false));
        let said = offchain_codes::chain(&error);
        assert!(said.contains(id.as_str()), "{said}");
        assert!(said.contains("expected"), "{said}");
    }
}

#[tokio::test]
async fn feeds_that_cannot_be_read_are_an_error_and_not_an_empty_list() {
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
    ] {
        let aws = FakeAws::new().on("Scan", reply);
        let error = feeds(&aws).all().await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
    }
}

#[tokio::test]
async fn a_page_that_fails_fails_the_whole_read() {
    let aws = FakeAws::new()
        .on(
            "Scan",
            page(&[demo_feed("zeta")], &json!({ "feed": "zeta" })),
        )
        .on("Scan", refusal(500, "InternalServerError"))
        .on("Query", page(&[published("demo", slot(10))], &key_of(10)))
        .on("Query", refusal(500, "InternalServerError"));
    let error = feeds(&aws).all().await.unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
    let error = readings(&aws)
        .range(&demo(), slot(10), slot(20), 100)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
}

#[tokio::test]
async fn an_empty_table_is_no_error() {
    let aws = FakeAws::new()
        .on("Scan", answer(json!({})))
        .on("Query", answer(json!({})));
    assert!(feeds(&aws).all().await.unwrap().is_empty());
    let records = readings(&aws).range(&demo(), slot(10), slot(20), 100).await;
    assert_eq!(records.unwrap(), Vec::new());
}
