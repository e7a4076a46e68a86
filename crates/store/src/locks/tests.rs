//! The table of locks, against a fake AWS.

use offchain_codes::Coded;
use serde_json::{Value, json};

use super::*;
use crate::test_util::{
    FakeAws, Reply, assert_now, condition_failed, done, item, refusal, updated,
};

const NAME: &str = "suite-testnet-sequence";
const MINUTE: Duration = Duration::from_secs(60);

fn locks(aws: &FakeAws) -> Locks {
    Locks::new(Client::new(&aws.sdk_config()), "locks".into())
}

fn lease() -> Lease {
    Lease {
        name: NAME.into(),
        holder: 42,
        token: 9,
        value: Some("7".into()),
    }
}

/// The item of that lease.
fn held() -> Value {
    json!({ "Name": NAME, "LockerID": 42, "LastWrite": 1, "Token": 9, "Value": "7" })
}

#[tokio::test]
async fn a_lock_is_taken_where_it_is_free_expired_or_one_s_own() {
    let aws = FakeAws::new().on("UpdateItem", updated(&held()));
    let before = Timestamp::now();
    let taken = locks(&aws).acquire(NAME, 42, MINUTE).await.unwrap();
    assert_eq!(taken, lease());

    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["TableName"], "locks");
    assert_eq!(update["Key"], json!({ "Name": NAME }));
    assert_eq!(
        update["ConditionExpression"],
        "attribute_not_exists(#name) OR attribute_not_exists(LockerID) \
         OR LockerID = :free OR LockerID = :me OR LastWrite < :expired"
    );
    // The value of the last holder stays, and the token grows with each change.
    assert_eq!(
        update["UpdateExpression"],
        "SET LockerID = :me, LastWrite = :now ADD #token :one"
    );
    assert_eq!(
        update["ExpressionAttributeNames"],
        json!({ "#name": "Name", "#token": "Token" })
    );
    assert_eq!(update["ReturnValues"], "ALL_NEW");
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":me"], &values[":free"], &values[":one"]),
        (&json!(42), &json!(0), &json!(1))
    );
    assert_now(&values[":now"], before);
    let apart = values[":now"].as_i64().unwrap() - values[":expired"].as_i64().unwrap();
    assert_eq!(apart, 60_000_000_000);
}

#[tokio::test]
async fn a_lock_of_the_original_without_a_value_is_taken_as_well() {
    let item = json!({ "Name": NAME, "LockerID": 42, "LastWrite": 1, "Token": 1 });
    let aws = FakeAws::new().on("UpdateItem", updated(&item));
    let taken = locks(&aws).acquire(NAME, 42, MINUTE).await.unwrap();
    assert_eq!((taken.token, taken.value), (1, None));
}

#[tokio::test]
async fn a_lock_of_another_is_held() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    let error = locks(&aws).acquire(NAME, 42, MINUTE).await.unwrap_err();
    assert!(
        matches!(&error, LockError::Held(name) if name == NAME),
        "{error}"
    );
    assert_eq!((error.code(), error.retryable()), ("LeaseHeld", true));
}

#[tokio::test]
async fn a_store_that_fails_is_no_lock_that_is_held() {
    for (reply, code, retryable) in [
        (
            refusal(400, "ThrottlingException"),
            "StoreUnavailable",
            true,
        ),
        (refusal(400, "AccessDeniedException"), "StoreDenied", false),
    ] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        let locks = locks(&aws);
        // Even with all the patience in the world it is told at once.
        let outcome = locks.acquire_within(NAME, 42, MINUTE, MINUTE).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
    }
}

#[tokio::test]
async fn a_lock_that_is_held_is_waited_for() {
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", updated(&held()));
    let taken = locks(&aws).acquire_within(NAME, 42, MINUTE, MINUTE).await;
    assert_eq!(taken.unwrap(), lease());
    assert_eq!(aws.operations().len(), 3);
}

#[tokio::test]
async fn a_lock_that_stays_held_is_waited_for_no_longer_than_was_asked() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    let outcome = locks(&aws)
        .acquire_within(NAME, 42, MINUTE, Duration::ZERO)
        .await;
    assert!(matches!(outcome, Err(LockError::Held(_))), "{outcome:?}");
    assert_eq!(aws.operations().len(), 1);

    let aws = FakeAws::new().always("UpdateItem", condition_failed());
    let patience = Duration::from_millis(150);
    let began = std::time::Instant::now();
    let outcome = locks(&aws).acquire_within(NAME, 42, MINUTE, patience).await;
    assert!(matches!(outcome, Err(LockError::Held(_))), "{outcome:?}");
    assert!(began.elapsed() >= patience);
    assert!(aws.operations().len() >= 2);
}

#[tokio::test]
async fn a_lock_is_given_back_by_its_holder_alone() {
    for (value, set) in [
        (None, "SET LockerID = :free, LastWrite = :now"),
        (
            Some("8"),
            "SET LockerID = :free, LastWrite = :now, #value = :value",
        ),
    ] {
        let aws = FakeAws::new().on("UpdateItem", done());
        let before = Timestamp::now();
        locks(&aws).release(&lease(), value).await.unwrap();
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["Key"], json!({ "Name": NAME }));
        assert_eq!(
            update["ConditionExpression"],
            "LockerID = :me AND #token = :token"
        );
        assert_eq!(update["UpdateExpression"], set);
        assert_eq!(update["ExpressionAttributeNames"]["#token"], "Token");
        let values = &update["ExpressionAttributeValues"];
        assert_eq!((&values[":me"], &values[":token"]), (&json!(42), &json!(9)));
        assert_eq!(values[":free"], 0);
        assert_eq!(values.get(":value").and_then(Value::as_str), value);
        assert_now(&values[":now"], before);
    }
}

#[tokio::test]
async fn a_lock_that_was_taken_over_is_lost() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    let error = locks(&aws).release(&lease(), None).await.unwrap_err();
    assert!(
        matches!(&error, LockError::Lost(name) if name == NAME),
        "{error}"
    );
    assert_eq!((error.code(), error.retryable()), ("LeaseLost", true));
}

#[tokio::test]
async fn a_younger_holder_takes_a_lock_over_and_an_older_one_does_not() {
    let aws = FakeAws::new()
        .on("UpdateItem", updated(&held()))
        .on("UpdateItem", condition_failed());
    let before = Timestamp::now();
    let taken = locks(&aws).take_over(NAME, 42, MINUTE).await.unwrap();
    assert_eq!(taken, lease());
    let error = locks(&aws).take_over(NAME, 41, MINUTE).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("LeaseHeld", true));

    let [first, second] = aws.sent("UpdateItem").try_into().unwrap();
    // Its own number as well: a run that is tried again goes on with its lock.
    assert_eq!(
        first["ConditionExpression"],
        "attribute_not_exists(#name) OR attribute_not_exists(LockerID) \
         OR LockerID = :free OR LockerID <= :me OR LastWrite < :expired"
    );
    assert_eq!(
        first["UpdateExpression"],
        "SET LockerID = :me, LastWrite = :now ADD #token :one"
    );
    assert_eq!(first["ReturnValues"], "ALL_NEW");
    let values = &first["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":me"], &values[":free"], &values[":one"]),
        (&json!(42), &json!(0), &json!(1))
    );
    assert_now(&values[":now"], before);
    let apart = values[":now"].as_i64().unwrap() - values[":expired"].as_i64().unwrap();
    assert_eq!(apart, 60_000_000_000);
    assert_eq!(second["ExpressionAttributeValues"][":me"], 41);
}

#[tokio::test]
async fn a_lock_is_kept_by_its_holder_alone_and_holds_what_it_is_told() {
    let aws = FakeAws::new()
        .on("UpdateItem", done())
        .on("UpdateItem", condition_failed());
    let before = Timestamp::now();
    locks(&aws).renew(&lease(), "8").await.unwrap();
    let error = locks(&aws).renew(&lease(), "8").await.unwrap_err();
    assert!(
        matches!(&error, LockError::Lost(name) if name == NAME),
        "{error}"
    );
    assert_eq!((error.code(), error.retryable()), ("LeaseLost", true));
    for update in aws.sent("UpdateItem") {
        let now = &update["ExpressionAttributeValues"][":now"];
        assert_now(now, before);
        assert_eq!(
            update,
            json!({
                "TableName": "locks",
                "Key": { "Name": NAME },
                "ConditionExpression": "LockerID = :me AND #token = :token",
                // Who holds it stays, and so does its token.
                "UpdateExpression": "SET LastWrite = :now, #value = :value",
                "ExpressionAttributeNames": { "#token": "Token", "#value": "Value" },
                "ExpressionAttributeValues": {
                    ":me": 42, ":token": 9, ":value": "8", ":now": now,
                },
            })
        );
    }
}

#[tokio::test]
async fn a_lock_is_seized_from_whoever_has_it_and_left_free() {
    let aws = FakeAws::new().on("UpdateItem", done());
    let before = Timestamp::now();
    locks(&aws).seize(NAME, "8").await.unwrap();
    let update = aws.sent_once("UpdateItem");
    let now = &update["ExpressionAttributeValues"][":now"];
    assert_now(now, before);
    assert_eq!(
        update,
        json!({
            "TableName": "locks",
            "Key": { "Name": NAME },
            // The token grows, so that what the holder writes next does not hold.
            "UpdateExpression":
                "SET LockerID = :free, LastWrite = :now, #value = :value ADD #token :one",
            "ExpressionAttributeNames": { "#token": "Token", "#value": "Value" },
            "ExpressionAttributeValues": { ":free": 0, ":value": "8", ":now": now, ":one": 1 },
        })
    );
}

#[tokio::test]
async fn a_lock_is_looked_at_and_left_as_it_is() {
    let written: Timestamp = "2026-11-21T12:00:00.250000007Z".parse().unwrap();
    let nanoseconds = i64::try_from(written.as_nanosecond()).unwrap();
    let state = |holder, value: Option<&str>| LockState {
        holder,
        written,
        token: 9,
        value: value.map(str::to_owned),
    };
    for (found, expected) in [
        (
            json!({ "LockerID": 42, "LastWrite": nanoseconds, "Token": 9, "Value": "7" }),
            state(Some(42), Some("7")),
        ),
        (
            json!({ "LockerID": 0, "LastWrite": nanoseconds, "Token": 9 }),
            state(None, None),
        ),
        // Nothing follows from a time that is none.
        (
            json!({ "LockerID": 0, "LastWrite": "soon", "Token": 9 }),
            LockState {
                written: Timestamp::UNIX_EPOCH,
                ..state(None, None)
            },
        ),
    ] {
        let aws = FakeAws::new().on("GetItem", item(&found));
        assert_eq!(locks(&aws).look(NAME).await.unwrap(), Some(expected));
        assert_eq!(aws.operations(), ["GetItem"]);
        assert_eq!(
            aws.sent_once("GetItem"),
            json!({ "TableName": "locks", "Key": { "Name": NAME }, "ConsistentRead": true })
        );
    }
}

#[tokio::test]
async fn a_lock_that_nobody_ever_took_is_not_known() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(locks(&aws).look(NAME).await.unwrap(), None);
    let aws = FakeAws::new().on("GetItem", item(&json!({ "Name": NAME })));
    let error = locks(&aws).look(NAME).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("StoreRejected", false));
}

#[tokio::test]
async fn locks_that_cannot_be_used_are_told_as_such() {
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
        let aws = FakeAws::new()
            .always("UpdateItem", reply.clone())
            .always("GetItem", reply);
        let locks = locks(&aws);
        let told = |error: &dyn Coded| (error.code(), error.retryable());
        for error in [
            locks.acquire(NAME, 42, MINUTE).await.err(),
            locks.take_over(NAME, 42, MINUTE).await.err(),
            locks.renew(&lease(), "8").await.err(),
            locks.release(&lease(), None).await.err(),
        ] {
            assert_eq!(told(&error.unwrap()), outcome);
        }
        for error in [
            locks.seize(NAME, "8").await.err(),
            locks.look(NAME).await.err(),
        ] {
            assert_eq!(told(&error.unwrap()), outcome);
        }
    }
}

#[test]
fn a_lock_is_its_holder_s_until_it_expires() {
    let written: Timestamp = "2026-11-22T02:00:00Z".parse().unwrap();
    let state = |holder| LockState {
        holder,
        written,
        token: 3,
        value: None,
    };
    let after = |seconds| {
        let now = written + jiff::SignedDuration::from_secs(seconds);
        state(Some(7)).holder_at(now, Duration::from_secs(4))
    };
    // A clock that is behind the holder's has it held.
    assert_eq!([-3600, 0, 4].map(after), [Some(7); 3]);
    assert_eq!([5, 3600].map(after), [None; 2]);
    assert_eq!(state(None).holder_at(written, Duration::from_secs(4)), None);
}
