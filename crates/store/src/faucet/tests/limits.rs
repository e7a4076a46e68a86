use offchain_codes::Coded;
use offchain_faucet::Gcra;
use serde_json::json;

use super::*;
use crate::test_util::{answer, condition_failed, condition_failed_over, done, item, refusal};

const SOURCE: &str = "192.0.2.1";

/// Three at once, and one each ten seconds.
fn gcra() -> Gcra {
    Gcra::new(6, 3)
}

/// The item of a throttle whose arrival lies so many milliseconds after noon.
fn arrival(after: i64) -> Value {
    json!({ "limit": "throttle#192.0.2.1", "arrival_ms": noon().as_millisecond() + after })
}

#[tokio::test]
async fn the_first_request_begins_an_arrival() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done());
    let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
    let judged = judged.unwrap();
    assert!(judged.allowed);
    assert_eq!((judged.limit, judged.remaining), (3, 2));

    let [move_on, begin] = aws.sent("UpdateItem").try_into().unwrap();
    let now = noon().as_millisecond();
    for update in [&move_on, &begin] {
        assert_eq!(update["TableName"], "limits");
        assert_eq!(update["Key"], json!({ "limit": "throttle#192.0.2.1" }));
    }
    assert_eq!(
        move_on["ConditionExpression"],
        "arrival_ms > :now AND arrival_ms <= :latest"
    );
    assert_eq!(
        move_on["UpdateExpression"],
        "SET expiration = :expiration ADD arrival_ms :interval"
    );
    assert_eq!(move_on["ReturnValues"], "UPDATED_NEW");
    assert_eq!(move_on["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
    assert_eq!(
        move_on["ExpressionAttributeValues"],
        json!({
            ":now": now,
            ":latest": now + 20_000,
            ":interval": 10_000,
            ":expiration": noon().as_second() + 20 + 3600,
        })
    );
    assert_eq!(
        begin["ConditionExpression"],
        "attribute_not_exists(arrival_ms) OR arrival_ms <= :now OR arrival_ms > :absurd"
    );
    assert_eq!(
        begin["UpdateExpression"],
        "SET arrival_ms = :next, expiration = :expiration"
    );
    assert_eq!(
        begin["ExpressionAttributeValues"],
        json!({
            ":now": now,
            ":next": now + 10_000,
            // What requests can bring about, and five seconds for the clocks.
            ":absurd": now + 35_000,
            ":expiration": noon().as_second() + 10 + 3600,
        })
    );
}

#[tokio::test]
async fn the_next_request_moves_the_arrival_on_in_one_write() {
    for (after, remaining) in [(20_000, 1), (30_000, 0)] {
        let aws = FakeAws::new().on("UpdateItem", updated(&arrival(after)));
        let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
        let judged = judged.unwrap();
        assert!(judged.allowed);
        assert_eq!(judged.remaining, remaining);
        assert_eq!(judged.reset_after, jiff::SignedDuration::from_millis(after));
        assert_eq!(aws.operations().len(), 1);
    }
}

#[tokio::test]
async fn one_request_too_many_is_told_when_to_come_again_and_is_not_counted() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed_over(&arrival(30_000)));
    let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
    let judged = judged.unwrap();
    assert!(!judged.allowed);
    assert_eq!((judged.limit, judged.remaining), (3, 0));
    assert_eq!(judged.retry_after, Some(SignedDuration::from_secs(10)));
    assert_eq!(aws.operations().len(), 1);
}

#[tokio::test]
async fn an_arrival_that_has_passed_begins_anew() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed_over(&arrival(-1)))
        .on("UpdateItem", done());
    let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
    assert_eq!(judged.unwrap().remaining, 2);
    // It is allowed because it was counted.
    assert_eq!(aws.operations().len(), 2);
}

#[tokio::test]
async fn an_arrival_that_no_request_can_have_put_there_begins_anew() {
    let day = 24 * 60 * 60 * 1000;
    for (after, allowed) in [(35_001, true), (day, true), (35_000, false)] {
        let aws = FakeAws::new()
            .on("UpdateItem", condition_failed_over(&arrival(after)))
            .on("UpdateItem", done());
        let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
        assert_eq!(judged.unwrap().allowed, allowed, "{after}");
    }
}

#[tokio::test]
async fn whoever_loses_the_race_to_begin_moves_the_winner_s_arrival_on() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", updated(&arrival(20_000)));
    let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
    let judged = judged.unwrap();
    assert_eq!((judged.allowed, judged.remaining), (true, 1));
    let kinds: Vec<_> = aws
        .sent("UpdateItem")
        .iter()
        .map(|update| update.get("ReturnValues").is_some())
        .collect();
    assert_eq!(kinds, [true, false, true]);
}

#[tokio::test]
async fn whoever_loses_every_race_sends_too_many() {
    let aws = FakeAws::new().always("UpdateItem", condition_failed());
    let judged = limits(&aws).throttle(SOURCE, &gcra(), noon()).await;
    let judged = judged.unwrap();
    assert!(!judged.allowed);
    assert_eq!(judged.retry_after, Some(SignedDuration::from_secs(10)));
    assert_eq!(aws.operations().len(), 16);
}

#[tokio::test]
async fn an_interval_that_is_no_whole_millisecond_is_rounded_up() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", done());
    let seven = Gcra::new(7, 1);
    limits(&aws).throttle(SOURCE, &seven, noon()).await.unwrap();
    let [move_on, begin] = aws.sent("UpdateItem").try_into().unwrap();
    // A minute by seven is 8571.4 ms.
    assert_eq!(move_on["ExpressionAttributeValues"][":interval"], 8572);
    assert_eq!(
        begin["ExpressionAttributeValues"][":next"],
        noon().as_millisecond() + 8572
    );
}

#[tokio::test]
async fn a_throttle_that_cannot_be_written_lets_nobody_pass() {
    for replies in [
        vec![refusal(400, "ThrottlingException")],
        vec![condition_failed(), refusal(400, "ThrottlingException")],
    ] {
        let aws = replies
            .into_iter()
            .fold(FakeAws::new(), |aws, reply| aws.on("UpdateItem", reply));
        let error = limits(&aws)
            .throttle(SOURCE, &gcra(), noon())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "StoreUnavailable");
    }
}

#[tokio::test]
async fn what_was_spent_is_a_sum_of_any_size() {
    let large = "99999999999999999999999999999999999999";
    for (reply, spent) in [
        (item(&json!({ "limit": "b", "spent": 1500 })), 1500),
        (
            answer(json!({ "Item": { "limit": { "S": "b" }, "spent": { "N": large } } })),
            large.parse().unwrap(),
        ),
        (item(&json!({ "limit": "b" })), 0),
        (done(), 0),
    ] {
        let aws = FakeAws::new().on("GetItem", reply);
        assert_eq!(limits(&aws).spent("2026-11-21").await.unwrap(), spent);
        let get = aws.sent_once("GetItem");
        assert_eq!(get["Key"], json!({ "limit": "budget#2026-11-21" }));
    }
}
