use std::time::Duration;

use offchain_codes::Coded;
use serde_json::json;

use super::*;
use crate::faucet::{Counted, Refusal, Reservation, Reserved};
use crate::test_util::{done, item, refusal};

const DAY: u64 = 24 * 60 * 60;

/// A claim that is counted in everything, with a challenge.
fn asked() -> Reservation<'static> {
    Reservation {
        claim_id: "c1",
        address: "addr1",
        amount: 1000,
        now: noon(),
        patience: SignedDuration::from_hours(1),
        retention: SignedDuration::from_hours(24 * 30),
        limits: Some(Counted {
            source: "192.0.2.1",
            address_cooldown: Duration::from_secs(DAY),
            source_claims: 5,
            source_window: Duration::from_secs(3600),
            daily_budget: 10_000,
        }),
        challenge: Some(("ab12", time("2026-11-21T12:05:00Z"))),
    }
}

/// The same claim, of which nothing is counted.
fn unlimited() -> Reservation<'static> {
    Reservation {
        limits: None,
        challenge: None,
        ..asked()
    }
}

#[tokio::test]
async fn a_claim_is_written_with_all_that_is_reserved_for_it_in_one_transaction() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let Reserved::New(claim) = desk(&aws).reserve(&asked()).await.unwrap() else {
        panic!("the claim is new");
    };
    let [put, address, source, budget, challenge] = parts(&aws).try_into().unwrap();

    let put = &put["Put"];
    assert_eq!(put["TableName"], "claims");
    assert_eq!(put["ConditionExpression"], "attribute_not_exists(claim_id)");
    let mut expected = serde_json::to_value(&*claim).unwrap();
    expected["open"] = "claim".into();
    assert_eq!(put["Item"], expected);
    let hour = noon().as_second().div_euclid(3600);
    assert_eq!(
        expected,
        json!({
            "claim_id": "c1",
            "address": "addr1",
            "amount": "1000",
            "status": "queued",
            "attempts": 0,
            "created_time": "2026-11-21T12:00:00.250Z",
            "updated_time": "2026-11-21T12:00:00.250Z",
            "deadline": "2026-11-21T13:00:00.250Z",
            "reserved": {
                "address": "address#addr1",
                "source": format!("source#192.0.2.1#{hour}"),
                "budget": "budget#2026-11-21",
            },
            "expiration": noon().as_second() + 3600 + 30 * 86_400,
            "open": "claim",
        })
    );

    let until = noon().as_second() + 86_400;
    let address = &address["Update"];
    assert_eq!(address["TableName"], "limits");
    assert_eq!(address["Key"], json!({ "limit": "address#addr1" }));
    assert_eq!(
        address["ConditionExpression"],
        "attribute_not_exists(#until) OR #until <= :now"
    );
    assert_eq!(
        address["UpdateExpression"],
        "SET claim_id = :claim, #until = :until, expiration = :until"
    );
    assert_eq!(
        address["ExpressionAttributeValues"],
        json!({ ":claim": "c1", ":until": until, ":now": noon().as_second() })
    );
    // Whoever is refused is told until when.
    assert_eq!(address["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");

    for (part, key, units, room, most, expiration) in [
        (
            &source,
            format!("source#192.0.2.1#{hour}"),
            1,
            4,
            5,
            time("2026-11-21T13:00:00Z").as_second(),
        ),
        (
            &budget,
            "budget#2026-11-21".to_owned(),
            1000,
            9000,
            10_000,
            // A day after its own, so that a claim may still give back.
            time("2026-11-23T00:00:00Z").as_second(),
        ),
    ] {
        let update = &part["Update"];
        assert_eq!(update["Key"], json!({ "limit": key }));
        assert_eq!(
            update["ConditionExpression"],
            "(attribute_not_exists(spent) AND :units <= :most) OR spent <= :room"
        );
        assert_eq!(
            update["UpdateExpression"],
            "SET expiration = :expiration ADD spent :units"
        );
        assert_eq!(
            update["ExpressionAttributeValues"],
            json!({ ":units": units, ":room": room, ":most": most, ":expiration": expiration })
        );
    }

    let challenge = &challenge["Put"];
    assert_eq!(challenge["TableName"], "limits");
    assert_eq!(
        challenge["ConditionExpression"],
        "attribute_not_exists(#limit)"
    );
    assert_eq!(
        challenge["Item"],
        json!({
            "limit": "challenge#ab12",
            "expiration": time("2026-11-21T12:05:00Z").as_second() + 3600,
        })
    );
}

#[tokio::test]
async fn without_limits_nothing_but_the_claim_is_written() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let Reserved::New(claim) = desk(&aws).reserve(&unlimited()).await.unwrap() else {
        panic!("the claim is new");
    };
    assert_eq!(claim.reserved, None);
    assert_eq!(parts(&aws).len(), 1);
}

#[tokio::test]
async fn a_sum_over_the_whole_budget_leaves_no_room() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let mut asked = asked();
    asked.amount = 10_001;
    desk(&aws).reserve(&asked).await.unwrap();
    let values = &parts(&aws)[3]["Update"]["ExpressionAttributeValues"];
    assert_eq!(values[":units"], 10_001);
    assert_eq!(values[":room"], -1);
}

#[tokio::test]
async fn each_part_that_does_not_hold_is_a_refusal_of_its_own() {
    let later = time("2026-11-22T06:00:00Z");
    let cooldown = json!({ "limit": "address#addr1", "until": later.as_second() });
    let hour = time("2026-11-21T13:00:00Z");
    let midnight = time("2026-11-22T00:00:00Z");
    for (at, item, refusal) in [
        (1, Some(cooldown), Refusal::Address(later)),
        // Whoever stored something else does not keep the address out.
        (
            1,
            Some(json!({ "limit": "address#addr1" })),
            Refusal::Address(noon()),
        ),
        (2, None, Refusal::Source(hour)),
        (3, None, Refusal::Budget(midnight)),
        (4, None, Refusal::Challenge),
    ] {
        let mut reasons = vec![(NONE, None); 5];
        reasons[at] = (HELD, item);
        let aws = FakeAws::new().on("TransactWriteItems", cancelled(&reasons));
        let reserved = desk(&aws).reserve(&asked()).await.unwrap();
        assert_eq!(reserved, Reserved::Refused(refusal));
    }
}

#[tokio::test]
async fn the_first_of_several_refusals_is_told() {
    let aws = FakeAws::new().on("TransactWriteItems", cancelled_at(5, &[2, 3, 4]));
    let reserved = desk(&aws).reserve(&asked()).await.unwrap();
    assert!(
        matches!(reserved, Reserved::Refused(Refusal::Source(_))),
        "{reserved:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_found_where_some_limits_are_left_out() {
    let mut without_limits = asked();
    without_limits.limits = None;
    let aws = FakeAws::new().on("TransactWriteItems", cancelled_at(2, &[1]));
    let reserved = desk(&aws).reserve(&without_limits).await.unwrap();
    assert_eq!(reserved, Reserved::Refused(Refusal::Challenge));
}

#[tokio::test]
async fn a_claim_that_is_there_explains_all_the_rest() {
    let mut known = claim();
    known.status = ClaimStatus::Paid;
    let aws = FakeAws::new()
        .on("TransactWriteItems", cancelled_at(5, &[0, 1, 2, 3, 4]))
        .on("GetItem", item(&serde_json::to_value(&known).unwrap()));
    let reserved = desk(&aws).reserve(&asked()).await.unwrap();
    assert_eq!(reserved, Reserved::Existing(Box::new(known)));
}

#[tokio::test]
async fn what_cannot_be_reserved_now_is_the_store_s_error() {
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
        let aws = FakeAws::new().on("TransactWriteItems", reply);
        let error = desk(&aws).reserve(&asked()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
    }
}

#[tokio::test]
async fn a_claim_that_nobody_pays_gives_back_what_was_reserved_for_it() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let before = Timestamp::now();
    let ended = desk(&aws)
        .give_up(&claim(), ClaimStatus::Expired, "not_paid_in_time")
        .await
        .unwrap();
    assert!(ended);
    let [end, source, budget, address] = parts(&aws).try_into().unwrap();

    let end = &end["Update"];
    assert_eq!(end["TableName"], "claims");
    assert_eq!(end["Key"], json!({ "claim_id": "c1" }));
    assert_eq!(end["ConditionExpression"], "#status = :was");
    assert_eq!(
        end["UpdateExpression"],
        "SET #status = :status, reason = :reason, updated_time = :now REMOVE #open, reserved"
    );
    let values = &end["ExpressionAttributeValues"];
    assert_eq!(values[":was"], "queued");
    assert_eq!(values[":status"], "expired");
    assert_eq!(values[":reason"], "not_paid_in_time");
    assert_just_now(&values[":now"], before);

    for (part, key, units) in [
        (&source, "source#192.0.2.1#20413", -1),
        (&budget, "budget#2026-11-21", -1000),
    ] {
        let update = &part["Update"];
        assert_eq!(update["TableName"], "limits");
        assert_eq!(update["Key"], json!({ "limit": key }));
        assert_eq!(update.get("ConditionExpression"), None);
        // What the time-to-live has taken is not there for ever again.
        assert_eq!(
            update["UpdateExpression"],
            "SET expiration = if_not_exists(expiration, :soon) ADD spent :units"
        );
        assert_eq!(update["ExpressionAttributeValues"][":units"], units);
    }

    let delete = &address["Delete"];
    assert_eq!(delete["Key"], json!({ "limit": "address#addr1" }));
    // The next claim's cooldown stays.
    assert_eq!(delete["ConditionExpression"], "claim_id = :claim");
    assert_eq!(
        delete["ExpressionAttributeValues"],
        json!({ ":claim": "c1" })
    );
}

#[tokio::test]
async fn a_claim_of_a_payout_ends_only_while_it_belongs_to_it() {
    let aws = FakeAws::new().on("TransactWriteItems", done());
    let mut sent = claim();
    sent.status = ClaimStatus::Sent;
    sent.sequence = Some(7);
    let desk = desk(&aws);
    assert!(desk.give_up(&sent, ClaimStatus::Failed, "x").await.unwrap());
    let end = &parts(&aws)[0]["Update"];
    assert_eq!(
        end["ConditionExpression"],
        "#status = :was AND #sequence = :sequence"
    );
    let values = &end["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":was"], &values[":sequence"]),
        (&json!("sent"), &json!(7))
    );
}

#[tokio::test]
async fn a_cooldown_that_is_another_s_by_now_stays_and_the_rest_is_given_back() {
    let aws = FakeAws::new()
        .on("TransactWriteItems", cancelled_at(4, &[3]))
        .on("TransactWriteItems", done());
    let ended = desk(&aws)
        .give_up(&claim(), ClaimStatus::Expired, "x")
        .await;
    assert!(ended.unwrap());
    let [all, rest] = aws.sent("TransactWriteItems").try_into().unwrap();
    let all = all["TransactItems"].as_array().unwrap().clone();
    assert_eq!(rest["TransactItems"], json!(all[..3]));
}

#[tokio::test]
async fn a_claim_that_has_ended_meanwhile_gives_nothing_back() {
    for replies in [
        vec![cancelled_at(4, &[0])],
        vec![cancelled_at(4, &[0, 3])],
        // It ended between the two transactions.
        vec![cancelled_at(4, &[3]), cancelled_at(3, &[0])],
    ] {
        let count = replies.len();
        let aws = replies.into_iter().fold(FakeAws::new(), |aws, reply| {
            aws.on("TransactWriteItems", reply)
        });
        let ended = desk(&aws)
            .give_up(&claim(), ClaimStatus::Expired, "x")
            .await;
        assert!(!ended.unwrap());
        assert_eq!(aws.operations().len(), count);
    }
}

#[tokio::test]
async fn a_claim_for_which_nothing_is_reserved_just_ends() {
    let mut bare = claim();
    bare.reserved = None;
    for (reply, ended) in [(done(), true), (cancelled_at(1, &[0]), false)] {
        let aws = FakeAws::new().on("TransactWriteItems", reply);
        let outcome = desk(&aws).give_up(&bare, ClaimStatus::Failed, "x").await;
        assert_eq!(outcome.unwrap(), ended);
        assert_eq!(parts(&aws).len(), 1);
    }
}
