use std::time::Duration;

use super::deliveries::{behind, failing};
use super::*;
use crate::ledger::{Cursor, Delivery, Feed, Mark};
use crate::locks::{Lease, LockError};
use crate::test_util::{assert_now, cancelled, condition_failed, done, item, parts, updated};

const NAME: &str = "suite-ledger-listener";
const SECONDS: Duration = Duration::from_secs(4);

fn feed(aws: &FakeAws) -> Feed {
    Feed::new(&client(aws), "locks".into(), "deliveries".into(), "suite")
}

fn lease() -> Lease {
    Lease {
        name: NAME.into(),
        holder: 42,
        token: 9,
        value: Some(r#"{"height":7,"mark":{"height":7,"digest":"ab"}}"#.into()),
    }
}

/// The item of that lease.
fn held() -> Value {
    json!({
        "Name": NAME,
        "LockerID": 42,
        "LastWrite": 1_000_000_000,
        "Token": 9,
        "Value": r#"{"height":7,"mark":{"height":7,"digest":"ab"}}"#,
    })
}

fn cursor(height: u64, digest: Option<&str>) -> Cursor {
    Cursor {
        height,
        mark: digest.map(|digest| Mark {
            height,
            digest: digest.to_owned(),
        }),
    }
}

#[tokio::test]
async fn the_lease_is_named_by_the_suite() {
    let aws = FakeAws::new().always("UpdateItem", updated(&held()));
    for taken in [
        feed(&aws).acquire(42, SECONDS).await,
        feed(&aws).take_over(42, SECONDS).await,
    ] {
        assert_eq!(taken.unwrap(), lease());
    }
    let [acquired, taken] = aws.sent("UpdateItem").try_into().unwrap();
    for (update, whose) in [(acquired, "LockerID = :me"), (taken, "LockerID <= :me")] {
        assert_eq!(update["TableName"], "locks");
        assert_eq!(update["Key"], json!({ "Name": NAME }));
        let condition = update["ConditionExpression"].as_str().unwrap();
        assert!(
            condition.contains(&format!(" OR {whose} OR ")),
            "{condition}"
        );
    }
}

#[test]
fn a_listener_begins_where_the_last_one_ended() {
    for (value, begins) in [
        (None, None),
        (Some(r#"{"height":7}"#), Some(cursor(7, None))),
        (
            Some(r#"{"height":7,"mark":{"height":7,"digest":"ab"}}"#),
            Some(cursor(7, Some("ab"))),
        ),
    ] {
        let lease = Lease {
            value: value.map(str::to_owned),
            ..lease()
        };
        assert_eq!(Feed::cursor(&lease).unwrap(), begins);
    }
    for torn in [
        "",
        "7",
        r#"{"mark":null}"#,
        r#"{"height":7,"mark":{"height":7}}"#,
        r#"{"height":-1}"#,
    ] {
        let lease = Lease {
            value: Some(torn.into()),
            ..lease()
        };
        // Whoever took it for the beginning would deliver everything again.
        let outcome = Feed::cursor(&lease);
        assert_eq!(failed(outcome), ("StoreRejected", false), "{torn}");
    }
}

#[tokio::test]
async fn where_nothing_is_kept_the_cursor_moves_with_the_renewal() {
    let aws = FakeAws::new().on("UpdateItem", done());
    let before = Timestamp::now();
    let (from, to) = (cursor(7, Some("ab")), cursor(9, Some("cd")));
    let moved = feed(&aws).checkpoint(&lease(), &from, &to, &[]).await;
    moved.unwrap();
    assert_eq!(aws.operations(), ["UpdateItem"]);
    let update = aws.sent_once("UpdateItem");
    let now = &update["ExpressionAttributeValues"][":now"];
    assert_now(now, before);
    assert_eq!(
        update,
        json!({
            "TableName": "locks",
            "Key": { "Name": NAME },
            "ConditionExpression": "LockerID = :me AND #token = :token",
            "UpdateExpression": "SET LastWrite = :now, #value = :value",
            "ExpressionAttributeNames": { "#token": "Token", "#value": "Value" },
            "ExpressionAttributeValues": {
                ":me": 42,
                ":token": 9,
                ":value": r#"{"height":9,"mark":{"height":9,"digest":"cd"}}"#,
                ":now": now,
            },
        })
    );
}

#[tokio::test]
async fn what_is_kept_is_put_there_with_the_move_of_the_cursor() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let before = Timestamp::now();
    let (from, to) = (cursor(6, None), cursor(7, None));
    let kept = [failing(), behind()];
    feed(&aws)
        .checkpoint(&lease(), &from, &to, &kept)
        .await
        .unwrap();
    let [fence, first, second] = parts(&aws).try_into().unwrap();
    let fence = &fence["Update"];
    assert_eq!(fence["TableName"], "locks");
    assert_eq!(fence["Key"], json!({ "Name": NAME }));
    assert_eq!(
        fence["ConditionExpression"],
        "LockerID = :me AND #token = :token"
    );
    assert_eq!(
        fence["UpdateExpression"],
        "SET LastWrite = :now, #value = :value"
    );
    let values = &fence["ExpressionAttributeValues"];
    assert_eq!((&values[":me"], &values[":token"]), (&json!(42), &json!(9)));
    assert_eq!(values[":value"], r#"{"height":7}"#);
    assert_now(&values[":now"], before);
    // A retry is put over what is there: it is the same delivery.
    assert_eq!(
        first,
        json!({
            "Put": {
                "TableName": "deliveries",
                "Item": {
                    "subscriber": "ledger",
                    "position": failing().position,
                    "event": {
                        "height": 7,
                        "asset_id": id('a'),
                        "transaction_id": id('b'),
                    },
                    "attempts": 2,
                    "next_attempt": "2026-11-21T12:00:00.250Z",
                    "reason": "RemoteStatus",
                },
            },
        })
    );
    assert_eq!(second["Put"]["Item"]["attempts"], 0);
    assert_eq!(second["Put"]["Item"].get("reason"), None);
}

#[tokio::test]
async fn more_than_one_transaction_takes_move_the_cursor_with_the_last() {
    let (from, to) = (cursor(6, None), cursor(7, None));
    for (kept, sizes) in [
        (1, vec![1]),
        (99, vec![99]),
        (100, vec![99, 1]),
        (250, vec![99, 99, 52]),
    ] {
        let aws = FakeAws::new().always("TransactWriteItems", done());
        let kept: Vec<Delivery> = (0..kept)
            .map(|index| Delivery {
                position: Delivery::position(7, index, &id('b')),
                ..failing()
            })
            .collect();
        feed(&aws)
            .checkpoint(&lease(), &from, &to, &kept)
            .await
            .unwrap();
        let sent = aws.sent("TransactWriteItems");
        assert_eq!(sent.len(), sizes.len());
        let mut positions = Vec::new();
        for (index, (transaction, size)) in sent.iter().zip(&sizes).enumerate() {
            let items = transaction["TransactItems"].as_array().unwrap();
            // The most that DynamoDB takes is 100.
            assert!(items.len() <= 100);
            assert_eq!(items.len(), size + 1);
            let last = index == sizes.len() - 1;
            let height = if last { 7 } else { 6 };
            assert_eq!(
                items[0]["Update"]["ExpressionAttributeValues"][":value"],
                json!({ "height": height }).to_string()
            );
            let puts = items[1..].iter();
            positions.extend(puts.map(|put| put["Put"]["Item"]["position"].clone()));
        }
        let all: Vec<Value> = kept.iter().map(|one| json!(one.position)).collect();
        assert_eq!(positions, all);
    }
}

#[tokio::test]
async fn whoever_lost_the_lease_moves_nothing() {
    let (from, to) = (cursor(6, None), cursor(7, None));
    let gone = cancelled(&[("ConditionalCheckFailed", None), ("None", None)]);
    let many = vec![failing(); 150];
    for (aws, kept, calls) in [
        (FakeAws::new().on("UpdateItem", condition_failed()), 0, 1),
        (FakeAws::new().on("TransactWriteItems", gone.clone()), 1, 1),
        (
            FakeAws::new()
                .on("TransactWriteItems", done())
                .on("TransactWriteItems", gone.clone()),
            150,
            2,
        ),
        // Nothing is tried after the first transaction that does not hold.
        (
            FakeAws::new().on("TransactWriteItems", gone.clone()),
            150,
            1,
        ),
    ] {
        let outcome = feed(&aws)
            .checkpoint(&lease(), &from, &to, &many[..kept])
            .await;
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, LockError::Lost(name) if name == NAME),
            "{error}"
        );
        assert_eq!(aws.operations().len(), calls);
    }
}

#[tokio::test]
async fn the_lease_is_given_back_with_the_cursor_or_as_it_was_taken() {
    let aws = FakeAws::new().always("UpdateItem", done());
    let feed = feed(&aws);
    let at = cursor(9, Some("cd"));
    feed.release(&lease(), &at).await.unwrap();
    feed.give_back(&lease()).await.unwrap();
    let [with, without] = aws.sent("UpdateItem").try_into().unwrap();
    for update in [&with, &without] {
        assert_eq!(update["Key"], json!({ "Name": NAME }));
        assert_eq!(
            update["ConditionExpression"],
            "LockerID = :me AND #token = :token"
        );
        assert_eq!(update["ExpressionAttributeValues"][":free"], 0);
    }
    assert_eq!(
        with["UpdateExpression"],
        "SET LockerID = :free, LastWrite = :now, #value = :value"
    );
    assert_eq!(
        with["ExpressionAttributeValues"][":value"],
        r#"{"height":9,"mark":{"height":9,"digest":"cd"}}"#
    );
    assert_eq!(
        without["UpdateExpression"],
        "SET LockerID = :free, LastWrite = :now"
    );
}

#[tokio::test]
async fn the_cursor_is_set_whoever_listens() {
    let aws = FakeAws::new().on("UpdateItem", done());
    feed(&aws).rewind(&cursor(3, None)).await.unwrap();
    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"], json!({ "Name": NAME }));
    assert_eq!(update.get("ConditionExpression"), None);
    let values = &update["ExpressionAttributeValues"];
    // Without a digest: what the block there is was not looked at.
    assert_eq!(values[":value"], r#"{"height":3}"#);
    assert_eq!((&values[":free"], &values[":one"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn who_listens_and_where_the_cursor_is_can_be_looked_at() {
    let mut fresh = held();
    fresh.as_object_mut().unwrap().remove("Value");
    for (found, begun) in [(held(), Some(cursor(7, Some("ab")))), (fresh, None)] {
        let aws = FakeAws::new().on("GetItem", item(&found));
        let (state, cursor) = feed(&aws).look().await.unwrap().unwrap();
        assert_eq!((state.holder, state.token), (Some(42), 9));
        assert_eq!(state.written, time("1970-01-01T00:00:01Z"));
        assert_eq!(cursor, begun);
        assert_eq!(aws.sent_once("GetItem")["Key"], json!({ "Name": NAME }));
    }
    let aws = FakeAws::new().on("GetItem", done());
    assert!(feed(&aws).look().await.unwrap().is_none());
    let mut torn = held();
    torn["Value"] = "seven".into();
    let aws = FakeAws::new().on("GetItem", item(&torn));
    assert_eq!(failed(feed(&aws).look().await), ("StoreRejected", false));
}

#[tokio::test]
async fn a_cursor_that_cannot_be_moved_is_no_lease_that_is_lost() {
    let (from, to) = (cursor(6, None), cursor(7, None));
    for (reply, outcome) in troubles() {
        for kept in [vec![], vec![failing()]] {
            let aws = FakeAws::new()
                .always("UpdateItem", reply.clone())
                .always("TransactWriteItems", reply.clone());
            let moved = feed(&aws).checkpoint(&lease(), &from, &to, &kept).await;
            let error = moved.unwrap_err();
            assert_eq!((error.code(), error.retryable()), outcome);
        }
    }
}
