use offchain_codes::Coded;
use serde_json::json;

use super::*;
use crate::faucet::{LockError, StoreOutcome};
use crate::test_util::{condition_failed, done, item, items, refusal};

const FENCED: &str = "LockerID = :me AND #token = :token";

/// Stores the sample payout, to which DynamoDB answers so.
async fn store(reply: Reply) -> (FakeAws, Result<StoreOutcome, LockError>) {
    let aws = FakeAws::new().on("TransactWriteItems", reply);
    let outcome = payouts(&aws)
        .store(&payout(), &lease(), &locks(&aws), &claims(&aws))
        .await;
    (aws, outcome)
}

/// The part by which the lease is held and its value becomes `next`.
#[track_caller]
fn assert_fence(part: &Value, next: &str, before: Timestamp) {
    let fence = &part["Update"];
    assert_eq!(fence["TableName"], "locks");
    assert_eq!(fence["Key"], json!({ "Name": "suite-testnet-sequence" }));
    assert_eq!(fence["ConditionExpression"], FENCED);
    assert_eq!(
        fence["UpdateExpression"],
        "SET LastWrite = :now, #value = :value"
    );
    assert_eq!(
        fence["ExpressionAttributeNames"],
        json!({ "#token": "Token", "#value": "Value" })
    );
    let values = &fence["ExpressionAttributeValues"];
    assert_eq!((&values[":me"], &values[":token"]), (&json!(42), &json!(9)));
    assert_eq!(values[":value"], next);
    // A holder at work does not expire.
    assert_now(&values[":now"], before);
}

#[tokio::test]
async fn a_payout_is_stored_with_its_claims_under_the_fencing_token() {
    let before = Timestamp::now();
    let (aws, outcome) = store(done()).await;
    assert_eq!(outcome.unwrap(), StoreOutcome::Stored);
    let [fence, put, first, second] = parts(&aws).try_into().unwrap();
    assert_fence(&fence, "8", before);

    let put = &put["Put"];
    assert_eq!(put["TableName"], "payouts");
    assert_eq!(
        put["ConditionExpression"],
        "attribute_not_exists(#sequence)"
    );
    let mut expected = serde_json::to_value(payout()).unwrap();
    expected["open"] = "payout".into();
    assert_eq!(put["Item"], expected);

    for (part, id) in [(&first, "c1"), (&second, "c2")] {
        let update = &part["Update"];
        assert_eq!(update["TableName"], "claims");
        assert_eq!(update["Key"], json!({ "claim_id": id }));
        assert_eq!(update["ConditionExpression"], "#status = :queued");
        assert_eq!(
            update["UpdateExpression"],
            "SET #status = :sent, #sequence = :sequence, #hash = :hash, updated_time = :now \
             REMOVE #open, reason"
        );
        let values = &update["ExpressionAttributeValues"];
        assert_eq!(
            (&values[":queued"], &values[":sent"]),
            (&json!("queued"), &json!("sent"))
        );
        assert_eq!(
            (&values[":sequence"], &values[":hash"]),
            (&json!(7), &json!("H1"))
        );
    }
}

#[tokio::test]
async fn claims_that_do_not_wait_any_more_are_named_and_nothing_is_stored() {
    for (failed, taken) in [
        (vec![2], vec!["c1"]),
        (vec![3], vec!["c2"]),
        (vec![2, 3], vec!["c1", "c2"]),
    ] {
        let (_, outcome) = store(cancelled_at(4, &failed)).await;
        let taken = taken.into_iter().map(str::to_owned).collect();
        assert_eq!(outcome.unwrap(), StoreOutcome::Taken(taken));
    }
}

#[tokio::test]
async fn without_the_lease_or_with_a_number_that_is_stored_the_lease_is_lost() {
    for failed in [vec![0], vec![1], vec![0, 1], vec![0, 2, 3], vec![1, 3]] {
        let (_, outcome) = store(cancelled_at(4, &failed)).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, LockError::Lost(_)), "{failed:?}: {error}");
        assert_eq!(error.code(), "LeaseLost");
    }
}

#[tokio::test]
async fn a_payout_that_cannot_be_stored_is_the_store_s_error() {
    let (_, outcome) = store(refusal(400, "ThrottlingException")).await;
    assert_eq!(outcome.unwrap_err().code(), "StoreUnavailable");
}

#[tokio::test]
async fn a_version_is_added_under_the_fencing_token_to_those_that_were_seen() {
    let before = Timestamp::now();
    let aws = FakeAws::new().on("TransactWriteItems", done());
    payouts(&aws)
        .add_version(&payout(), &version("H2"), &lease(), &locks(&aws), 9)
        .await
        .unwrap();
    let [fence, update] = parts(&aws).try_into().unwrap();
    assert_fence(&fence, "9", before);
    let update = &update["Update"];
    assert_eq!(update["TableName"], "payouts");
    assert_eq!(update["Key"], json!({ "account": "payer", "sequence": 7 }));
    assert_eq!(
        update["ConditionExpression"],
        "attribute_exists(#open) AND size(versions) = :count"
    );
    assert_eq!(
        update["UpdateExpression"],
        "SET versions = list_append(versions, :version), #status = :signed, \
         wants_version = :no, updated_time = :now REMOVE reason"
    );
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":version"], json!([version("H2")]));
    assert_eq!(values[":count"], 1);
    assert_eq!(
        (&values[":signed"], &values[":no"]),
        (&json!("signed"), &json!(false))
    );
}

#[tokio::test]
async fn a_version_that_may_not_be_added_means_that_the_lease_is_lost() {
    for failed in [[0], [1]] {
        let aws = FakeAws::new().on("TransactWriteItems", cancelled_at(2, &failed));
        let error = payouts(&aws)
            .add_version(&payout(), &version("H2"), &lease(), &locks(&aws), 9)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "LeaseLost");
    }
}

#[tokio::test]
async fn older_versions_are_forgotten_under_the_fencing_token() {
    let before = Timestamp::now();
    let aws = FakeAws::new()
        .on("TransactWriteItems", done())
        .on("TransactWriteItems", cancelled_at(2, &[0]));
    let mut payout = payout();
    payout.versions = ["H1", "H2", "H3"].map(version).to_vec();
    payouts(&aws)
        .forget_versions(&payout, 1, &lease(), &locks(&aws), 9)
        .await
        .unwrap();
    let [fence, update] = parts(&aws).try_into().unwrap();
    assert_fence(&fence, "9", before);
    let update = &update["Update"];
    assert_eq!(
        update["ConditionExpression"],
        "attribute_exists(#open) AND size(versions) = :count"
    );
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":kept"], json!([version("H3")]));
    assert_eq!(values[":count"], 3);
    let error = payouts(&aws)
        .forget_versions(&payout, 1, &lease(), &locks(&aws), 9)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "LeaseLost");
}

/// A payout that a block has.
fn committed() -> Payout {
    let mut payout = payout();
    payout.status = PayoutStatus::Committed;
    payout.versions.push(version("H2"));
    payout.reason = Some("confirming".into());
    payout.hash = Some("H2".into());
    payout.height = Some(100);
    payout
}

#[tokio::test]
async fn an_open_payout_is_noted_where_no_newer_version_is_there() {
    let before = Timestamp::now();
    let aws = FakeAws::new().on("UpdateItem", done());
    assert!(payouts(&aws).note(&committed()).await.unwrap());
    let update = aws.sent_once("UpdateItem");
    assert_eq!(update["Key"], json!({ "account": "payer", "sequence": 7 }));
    assert_eq!(
        update["ConditionExpression"],
        "attribute_exists(#open) AND size(versions) = :count"
    );
    // The versions are the lease holder's business, and stay.
    assert_eq!(
        update["UpdateExpression"],
        "SET #status = :status, wants_version = :wants, updated_time = :now, \
         #reason = :reason, #hash = :hash, #height = :height REMOVE #used_height"
    );
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(values[":count"], 2);
    assert_eq!(
        (&values[":status"], &values[":wants"]),
        (&json!("committed"), &json!(false))
    );
    assert_eq!(values[":reason"], "confirming");
    assert_eq!(
        (&values[":hash"], &values[":height"]),
        (&json!("H2"), &json!(100))
    );
    assert_just_now(&values[":now"], before);
}

#[tokio::test]
async fn what_is_not_known_any_more_is_removed() {
    let mut sent = payout();
    sent.status = PayoutStatus::Sent;
    sent.wants_version = true;
    sent.used_height = Some(90);
    let aws = FakeAws::new().on("UpdateItem", done());
    assert!(payouts(&aws).note(&sent).await.unwrap());
    let update = aws.sent_once("UpdateItem");
    assert_eq!(
        update["UpdateExpression"],
        "SET #status = :status, wants_version = :wants, updated_time = :now, \
         #used_height = :used_height REMOVE #reason, #hash, #height"
    );
    let values = &update["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":wants"], &values[":used_height"]),
        (&json!(true), &json!(90))
    );
}

#[tokio::test]
async fn a_payout_that_ends_leaves_the_index() {
    let mut paid = committed();
    paid.status = PayoutStatus::Paid;
    paid.reason = None;
    let aws = FakeAws::new().on("UpdateItem", done());
    assert!(payouts(&aws).end(&paid).await.unwrap());
    let update = aws.sent_once("UpdateItem");
    assert_eq!(
        update["UpdateExpression"],
        "SET #status = :status, wants_version = :wants, updated_time = :now, \
         #hash = :hash, #height = :height REMOVE #reason, #used_height, #open"
    );
    assert_eq!(update["ExpressionAttributeNames"]["#open"], "open");
    assert_eq!(update["ExpressionAttributeValues"][":status"], "paid");
}

#[tokio::test]
async fn a_payout_that_has_ended_or_has_a_newer_version_stays_as_it_is() {
    let aws = FakeAws::new().always("UpdateItem", condition_failed());
    let payouts = payouts(&aws);
    assert!(!payouts.note(&committed()).await.unwrap());
    assert!(!payouts.end(&committed()).await.unwrap());
}

#[tokio::test]
async fn a_payout_is_read_as_it_was_written() {
    let mut stored = serde_json::to_value(committed()).unwrap();
    stored["open"] = "payout".into();
    let aws = FakeAws::new().on("GetItem", item(&stored));
    let found = payouts(&aws).get("payer", 7).await.unwrap();
    assert_eq!(found, Some(committed()));
    let get = aws.sent_once("GetItem");
    assert_eq!(get["Key"], json!({ "account": "payer", "sequence": 7 }));
    assert_eq!(get["ConsistentRead"], true);

    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(payouts(&aws).get("payer", 7).await.unwrap(), None);
}

#[tokio::test]
async fn the_newest_payouts_come_the_oldest_of_them_first() {
    let mut newer = payout();
    newer.sequence = 8;
    let stored = [&newer, &payout()].map(|payout| serde_json::to_value(payout).unwrap());
    let aws = FakeAws::new().on("Query", items(&stored));
    let found = payouts(&aws).newest("payer", 8).await.unwrap();
    assert_eq!(found, [payout(), newer]);
    let query = aws.sent_once("Query");
    assert_eq!(query["KeyConditionExpression"], "account = :account");
    assert_eq!(
        query["ExpressionAttributeValues"],
        json!({ ":account": "payer" })
    );
    assert_eq!(query["ScanIndexForward"], false);
    assert_eq!(query["ConsistentRead"], true);
    assert_eq!(query["Limit"], 8);
    assert_eq!(query.get("IndexName"), None);
}

#[tokio::test]
async fn open_payouts_come_from_the_sparse_index() {
    let aws = FakeAws::new().on("Query", items(&[serde_json::to_value(payout()).unwrap()]));
    let open = payouts(&aws).open(50).await.unwrap();
    assert_eq!(open, [("payer".to_owned(), 7)]);
    let query = aws.sent_once("Query");
    assert_eq!(query["IndexName"], "open-payouts");
    assert_eq!(query["KeyConditionExpression"], "#open = :open");
    assert_eq!(
        query["ExpressionAttributeValues"],
        json!({ ":open": "payout" })
    );
    assert_eq!(query["Limit"], 50);
}
