use std::time::Duration;

use offchain_codes::Coded;
use serde_json::json;

use super::*;
use crate::faucet::{AccountRecord, Broken, LockError, LockNames};
use crate::test_util::{condition_failed, done, item, refusal, seconds_from_now};

const NAME: &str = "suite-testnet-sequence";
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn locks_are_named_by_the_environment_and_the_network() {
    let names = LockNames::new("suite", "testnet");
    assert_eq!(names.sequence, NAME);
    assert_eq!(names.account, "suite-testnet-accountnumber");
    assert_eq!(names.broken, "suite-testnet-brokenflag");
}

#[tokio::test]
async fn a_lock_is_taken_where_it_is_free_expired_or_one_s_own() {
    let item = json!({ "Name": NAME, "LockerID": 42, "LastWrite": 1, "Token": 9, "Value": "7" });
    let aws = FakeAws::new().on("UpdateItem", updated(&item));
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
    let item = json!({ "Name": NAME, "LockerID": 42, "LastWrite": 1, "Token": 9, "Value": "7" });
    let aws = FakeAws::new()
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", condition_failed())
        .on("UpdateItem", updated(&item));
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
async fn the_account_is_noted_and_read_back() {
    let seen = AccountRecord {
        address: "addr".into(),
        number: "17".into(),
        balance: u128::MAX.to_string(),
        fee_balance: "5".into(),
        sequence: 8,
        height: 100,
        observed_time: noon().into(),
    };
    let aws = FakeAws::new().on("UpdateItem", done()).on(
        "GetItem",
        item(&json!({
            "Name": "account",
            "Value": "17",
            "address": "addr",
            "balance": u128::MAX.to_string(),
            "fee_balance": "5",
            "sequence": 8,
            "height": 100,
            "observed_time": "2026-11-21T12:00:00.250Z",
        })),
    );
    let locks = locks(&aws);
    locks.note_account("account", &seen).await.unwrap();
    assert_eq!(locks.account("account").await.unwrap(), Some(seen));

    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"], json!({ "Name": "account" }));
    // As in the original, the value is the account's number.
    assert_eq!(update["ExpressionAttributeNames"]["#value"], "Value");
    assert_eq!(
        update["ExpressionAttributeValues"],
        json!({
            ":address": "addr",
            ":number": "17",
            ":balance": u128::MAX.to_string(),
            ":fee_balance": "5",
            ":sequence": 8,
            ":height": 100,
            ":time": "2026-11-21T12:00:00.250Z",
        })
    );
    let get = aws.sent_once("GetItem");
    assert_eq!(get["Key"], json!({ "Name": "account" }));
    assert_eq!(get["ConsistentRead"], true);
}

#[tokio::test]
async fn an_account_that_nobody_saw_is_not_known() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(locks(&aws).account("account").await.unwrap(), None);
}

#[tokio::test]
async fn a_raised_flag_keeps_its_time() {
    let aws = FakeAws::new().on("UpdateItem", done());
    let before = Timestamp::now();
    locks(&aws)
        .set_broken("flag", "BroadcastUnknown", "payout 7: no answer")
        .await
        .unwrap();
    let update = aws.sent_once("UpdateItem");
    assert_eq!(
        update["UpdateExpression"],
        "SET #value = :code, reason = :reason, since = if_not_exists(since, :now)"
    );
    assert_eq!(update.get("ConditionExpression"), None);
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":code"], "BroadcastUnknown");
    assert_eq!(values[":reason"], "payout 7: no answer");
    assert_just_now(&values[":now"], before);
}

#[tokio::test]
async fn a_flag_is_taken_down_where_one_is_raised() {
    for reply in [done(), condition_failed()] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        locks(&aws).clear_broken("flag").await.unwrap();
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["ConditionExpression"], "attribute_exists(since)");
        assert_eq!(
            update["UpdateExpression"],
            "SET #value = :none REMOVE reason, since"
        );
        assert_eq!(update["ExpressionAttributeValues"], json!({ ":none": "" }));
    }
}

#[tokio::test]
async fn a_flag_is_read_as_it_is() {
    let since = seconds_from_now(-60);
    let raised = json!({
        "Name": "flag",
        "Value": "SequenceUsed",
        "reason": "payout 7: ",
        "since": since.to_string(),
    });
    let broken = Broken {
        code: "SequenceUsed".into(),
        reason: "payout 7: ".into(),
        since,
    };
    for (reply, expected) in [
        (item(&raised), Some(broken)),
        (item(&json!({ "Name": "flag", "Value": "" })), None),
        (done(), None),
    ] {
        let aws = FakeAws::new().on("GetItem", reply);
        assert_eq!(locks(&aws).broken("flag").await.unwrap(), expected);
    }
}
