use serde_json::json;

use super::*;
use crate::faucet::{AccountRecord, Broken, LockNames};
use crate::test_util::{condition_failed, done, item, seconds_from_now};

#[test]
fn locks_are_named_by_the_environment_and_the_network() {
    let names = LockNames::new("suite", "testnet");
    assert_eq!(names.sequence, "suite-testnet-sequence");
    assert_eq!(names.account, "suite-testnet-accountnumber");
    assert_eq!(names.broken, "suite-testnet-brokenflag");
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
