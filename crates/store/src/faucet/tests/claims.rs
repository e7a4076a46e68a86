use offchain_codes::Coded;
use serde_json::json;

use super::*;
use crate::faucet::Fate;
use crate::test_util::{condition_failed, done, item, items, page, refusal};

fn stored(claim: &Claim) -> Value {
    let mut item = serde_json::to_value(claim).unwrap();
    item["open"] = "claim".into();
    item
}

#[tokio::test]
async fn a_claim_is_read_as_it_was_written() {
    let mut sent = claim();
    sent.status = ClaimStatus::Sent;
    sent.sequence = Some(7);
    sent.hash = Some("H1".into());
    let aws = FakeAws::new().on("GetItem", item(&stored(&sent)));
    assert_eq!(claims(&aws).get("c1").await.unwrap(), Some(sent));
    let get = aws.sent_once("GetItem");
    assert_eq!(get["TableName"], "claims");
    assert_eq!(get["Key"], json!({ "claim_id": "c1" }));
    assert_eq!(get["ConsistentRead"], true);
}

#[tokio::test]
async fn a_claim_that_is_not_there_is_none_and_one_of_another_shape_an_error() {
    let aws = FakeAws::new().on("GetItem", done());
    assert_eq!(claims(&aws).get("c1").await.unwrap(), None);
    let aws = FakeAws::new().on("GetItem", item(&json!({ "claim_id": "c1" })));
    let error = claims(&aws).get("c1").await.unwrap_err();
    assert_eq!(error.code(), "StoreRejected");
}

#[tokio::test]
async fn claims_that_wait_come_from_the_sparse_index_the_oldest_first() {
    let mut other = claim();
    other.claim_id = "c2".into();
    other.attempts = 1;
    other.reason = Some("retrying".into());
    let aws = FakeAws::new()
        .on(
            "Query",
            page(&[stored(&claim())], &json!({ "claim_id": "c1" })),
        )
        .on("Query", items(&[stored(&other)]));
    let found = claims(&aws).waiting(5).await.unwrap();
    let ids: Vec<_> = found.iter().map(|c| c.waiting.claim_id.as_str()).collect();
    assert_eq!(ids, ["c1", "c2"]);
    assert_eq!(found[0].waiting.amount, 1000);
    assert_eq!(found[0].waiting.address, "addr1");
    assert_eq!(found[0].created_time, claim().created_time);
    assert_eq!(found[0].deadline, claim().deadline);
    assert_eq!(found[1].waiting.attempts, 1);
    assert_eq!(found[1].reason.as_deref(), Some("retrying"));

    let queries = aws.sent("Query");
    assert_eq!(queries[0]["IndexName"], "open-claims");
    assert_eq!(queries[0]["KeyConditionExpression"], "#open = :open");
    assert_eq!(
        queries[0]["ExpressionAttributeValues"],
        json!({ ":open": "claim" })
    );
    // Ascending is what DynamoDB does unless it is told otherwise.
    assert_eq!(queries[0].get("ScanIndexForward"), None);
    assert_eq!(
        (&queries[0]["Limit"], &queries[1]["Limit"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(queries[1]["ExclusiveStartKey"]["claim_id"], "c1");
}

#[tokio::test]
async fn no_page_is_read_beyond_the_limit() {
    let aws = FakeAws::new().on(
        "Query",
        page(&[stored(&claim())], &json!({ "claim_id": "c1" })),
    );
    assert_eq!(claims(&aws).waiting(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_a_claim_that_waits_is_told_why_and_only_where_that_is_new() {
    for reply in [done(), condition_failed()] {
        let aws = FakeAws::new().on("UpdateItem", reply);
        let before = Timestamp::now();
        claims(&aws).explain("c1", "faucet_empty").await.unwrap();
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["Key"], json!({ "claim_id": "c1" }));
        assert_eq!(
            update["ConditionExpression"],
            "#status = :queued AND (attribute_not_exists(reason) OR reason <> :reason)"
        );
        assert_eq!(
            update["UpdateExpression"],
            "SET reason = :reason, updated_time = :now"
        );
        let values = &update["ExpressionAttributeValues"];
        assert_eq!(values[":queued"], "queued");
        assert_eq!(values[":reason"], "faucet_empty");
        assert_just_now(&values[":now"], before);
    }
    let aws = FakeAws::new().on("UpdateItem", refusal(503, "ServiceUnavailable"));
    let error = claims(&aws).explain("c1", "waiting").await.unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
}

#[tokio::test]
async fn a_fate_is_for_claims_of_the_payout_that_have_not_ended() {
    let committed = "SET #status = :status, #hash = :hash, height = :height, updated_time = :now";
    for (fate, status, expression) in [
        (
            Fate::Committed {
                hash: "H1",
                height: 100,
            },
            "committed",
            committed,
        ),
        (
            Fate::Paid {
                hash: "H1",
                height: 100,
            },
            "paid",
            committed,
        ),
        (
            Fate::Sent,
            "sent",
            "SET #status = :status, updated_time = :now REMOVE height",
        ),
        (
            Fate::Again {
                failed: true,
                reason: "retrying",
            },
            "queued",
            "SET #status = :status, #open = :open, reason = :reason, \
             attempts = attempts + :failed, updated_time = :now \
             REMOVE #sequence, #hash, height",
        ),
    ] {
        let aws = FakeAws::new().on("UpdateItem", done());
        assert!(claims(&aws).decide("c1", 7, &fate).await.unwrap());
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["Key"], json!({ "claim_id": "c1" }));
        assert_eq!(
            update["ConditionExpression"],
            "#sequence = :sequence AND #status IN (:sent, :committed)"
        );
        assert_eq!(update["UpdateExpression"], expression);
        let values = &update["ExpressionAttributeValues"];
        assert_eq!(values[":sequence"], 7);
        assert_eq!(
            (&values[":sent"], &values[":committed"]),
            (&json!("sent"), &json!("committed"))
        );
        assert_eq!(values[":status"], status);
        if matches!(fate, Fate::Committed { .. } | Fate::Paid { .. }) {
            assert_eq!(
                (&values[":hash"], &values[":height"]),
                (&json!("H1"), &json!(100))
            );
        }
    }
}

#[tokio::test]
async fn a_claim_that_waits_again_is_back_in_the_index_and_counts_only_failures() {
    for (failed, count) in [(true, 1), (false, 0)] {
        let aws = FakeAws::new().on("UpdateItem", done());
        let reason = "retrying";
        let fate = Fate::Again { failed, reason };
        assert!(claims(&aws).decide("c1", 7, &fate).await.unwrap());
        let values = &aws.sent_once("UpdateItem")["ExpressionAttributeValues"];
        assert_eq!(values[":open"], "claim");
        assert_eq!(values[":reason"], "retrying");
        assert_eq!(values[":failed"], count);
    }
}

#[tokio::test]
async fn a_claim_of_another_payout_stays_as_it_is() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    assert!(!claims(&aws).decide("c1", 7, &Fate::Sent).await.unwrap());
}
