use offchain_chains::{Broadcast, ChainFault, Refusal};
use offchain_codes::Coded;
use offchain_store::test_util::{Reply, cancelled, condition_failed, done, item, items, refusal};

use super::script::{account, key, no_answer, refused, terms};
use super::*;
use crate::{PayError, Payer, Report};

/// What the sample claims are sent as, under number 7.
const BOTH: &str = "broadcast 7 for 10: addr-c1=1000 addr-c2=1000";

fn payer(aws: &FakeAws, chain: &Script) -> Payer<Script> {
    Payer {
        chain: chain.clone(),
        tables: tables(aws),
        policy: policy(),
    }
}

async fn run(aws: &FakeAws, chain: &Script) -> Result<Report, PayError> {
    payer(aws, chain).run(&key()).await
}

/// A fake without payouts, on which every update is made.
fn fresh() -> FakeAws {
    with_lease("7".into())
        .about("\"payouts\"", "Query", items(&[]))
        .always("UpdateItem", done())
}

/// The two sample claims, as the index tells them.
fn two() -> Reply {
    items(&[claim("c1", &json!({})), claim("c2", &json!({}))])
}

/// What claims that wait were told.
fn told(aws: &FakeAws) -> Vec<(String, String)> {
    let told = |update: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&update["Key"]["claim_id"]),
            text(&values(update)[":reason"]),
        )
    };
    updates(aws, "claims").iter().map(told).collect()
}

fn both_told(reason: &str) -> Vec<(String, String)> {
    ["c1", "c2"]
        .map(|id| (id.to_owned(), reason.to_owned()))
        .to_vec()
}

/// The payout that the transaction at `index` stores.
fn stored(aws: &FakeAws, index: usize) -> Value {
    aws.sent("TransactWriteItems")[index]["TransactItems"][1]["Put"]["Item"].clone()
}

#[tokio::test]
async fn claims_are_paid_in_one_payout_that_is_stored_before_it_is_sent() {
    let aws = fresh()
        .on("Query", two())
        .on("TransactWriteItems", done())
        .on("Query", items(&[]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(
        steps(&aws, &chain),
        [
            "UpdateItem sequence",
            "account payer from 0",
            "GetItem accountnumber",
            "UpdateItem accountnumber",
            "GetItem brokenflag",
            "Query payouts",
            "Query open-claims",
            "terms for 2",
            "TransactWriteItems",
            BOTH,
            "UpdateItem payouts",
            "Query open-claims",
            "UpdateItem sequence",
        ]
    );

    let payout = stored(&aws, 0);
    assert_eq!(payout["account"], "payer");
    assert_eq!(payout["sequence"], 7);
    assert_eq!(payout["status"], "signed");
    assert_eq!(payout["transfers"][1]["claim_id"], "c2");
    let version = &payout["versions"][0];
    assert_eq!(version["hash"], "N7F10");
    // What is sent is what was stored.
    let bytes = hex::decode(version["bytes"].as_str().unwrap()).unwrap();
    let bytes = String::from_utf8(bytes).unwrap();
    assert_eq!(format!("broadcast {bytes}"), BOTH);
    assert_eq!(version["terms"], serde_json::to_string(&terms(10)).unwrap());
    assert_eq!(values(&updates(&aws, "payouts")[0])[":status"], "sent");

    assert_eq!((report.claims, report.stopped), (2, None));
    let [sent] = report.payouts.try_into().unwrap();
    assert_eq!((&*sent.account, sent.sequence), ("payer", 7));
    assert_eq!(sent.hash, "N7F10");
    let left = sent.deadline.duration_since(jiff::Timestamp::now());
    assert!((3500..=3600).contains(&left.as_secs()), "{left}");
}

#[tokio::test]
async fn the_account_is_noted_and_the_lease_given_back_with_its_value_untouched() {
    let aws = fresh().on("Query", items(&[]));
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    assert_eq!(run(&aws, &chain).await.unwrap(), Report::default());
    let noted = &updates(&aws, "accountnumber")[0];
    let noted = values(noted);
    assert_eq!(noted[":address"], "payer");
    assert_eq!(noted[":number"], "17");
    assert_eq!(noted[":balance"], "1000000");
    assert_eq!(
        (&noted[":sequence"], &noted[":height"]),
        (&json!(7), &json!(100))
    );
    let [taken, given] = updates(&aws, "sequence").try_into().unwrap();
    assert_eq!(values(&taken)[":me"], values(&given)[":me"]);
    assert_eq!(values(&given)[":token"], 9);
    assert_eq!(values(&given)[":free"], 0);
    assert_eq!(values(&given).get(":value"), None);
}

#[tokio::test]
async fn more_claims_than_a_payout_takes_go_in_as_many_as_may_be_in_flight() {
    let third = items(&[claim("c2", &json!({})), claim("c3", &json!({}))]);
    let aws = fresh()
        .on("Query", two())
        // The index is late, and still has what was just paid.
        .on("Query", third)
        .always("TransactWriteItems", done());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Known));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!((report.claims, report.payouts.len()), (3, 2));
    assert_eq!(
        chain.asked_for("broadcast"),
        [BOTH, "broadcast 8 for 10: addr-c3=1000"]
    );
    // The third payout waits for the first to be in a block.
    let queries = aws.sent("Query");
    let limits: Vec<_> = queries[1..].iter().map(|query| &query["Limit"]).collect();
    assert_eq!(limits, [2, 4]);
}

#[tokio::test]
async fn nothing_is_paid_while_as_many_as_may_be_are_in_flight() {
    let open = items(&[payout(8, &json!({})), payout(7, &json!({}))]);
    let aws = with_lease("9".into())
        .about("\"payouts\"", "Query", open)
        .always("UpdateItem", done());
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    assert_eq!(run(&aws, &chain).await.unwrap(), Report::default());
    assert_eq!(chain.asked(), ["account payer from 0"]);
}

#[tokio::test]
async fn the_next_number_is_the_highest_that_anybody_knows() {
    let newest = items(&[payout(8, &json!({}))]);
    for (chain_s, lease_s, payouts, next) in [
        (7, json!("7"), items(&[]), 7),
        (7, json!("8"), items(&[]), 8),
        (8, json!("7"), items(&[]), 8),
        (8, Value::Null, items(&[]), 8),
        (8, json!("none"), items(&[]), 8),
        (8, json!("8"), newest, 9),
    ] {
        let aws = with_lease(lease_s)
            .about("\"payouts\"", "Query", payouts)
            .on("Query", items(&[claim("c1", &json!({}))]))
            .on("TransactWriteItems", done())
            .always("Query", items(&[]))
            .always("UpdateItem", done());
        let chain = Script::new(&aws)
            .account(Ok(account(chain_s, 1_000_000)))
            .broadcast(Ok(Broadcast::Accepted));
        run(&aws, &chain).await.unwrap();
        assert_eq!(stored(&aws, 0)["sequence"], next);
    }
}

#[tokio::test]
async fn the_number_that_was_left_for_another_account_is_not_this_one_s() {
    for (noted, next) in [("payer", 9), ("another", 3)] {
        let aws = lease("9".into())
            .about("brokenflag", "GetItem", done())
            .about("accountnumber", "GetItem", item(&record(noted)))
            .about("\"payouts\"", "Query", items(&[]))
            .on("Query", items(&[claim("c1", &json!({}))]))
            .on("TransactWriteItems", done())
            .always("Query", items(&[]))
            .always("UpdateItem", done());
        let chain = Script::new(&aws)
            .account(Ok(account(next.min(8), 1_000_000)))
            .broadcast(Ok(Broadcast::Accepted));
        run(&aws, &chain).await.unwrap();
        assert_eq!(stored(&aws, 0)["sequence"], next);
    }
}

#[tokio::test]
async fn without_the_lease_the_chain_is_not_asked() {
    let aws = FakeAws::new().on("UpdateItem", refusal(400, "AccessDeniedException"));
    let chain = Script::new(&aws);
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "StoreDenied");
    assert_eq!(steps(&aws, &chain), ["UpdateItem sequence"]);
}

#[tokio::test]
async fn while_the_chain_is_not_to_be_asked_claims_are_told_why() {
    for (fault, code, reason) in [
        (no_answer(), "ChainUnavailable", "chain_unavailable"),
        (
            ChainFault::WrongChain {
                expected: "a".into(),
                found: "b".into(),
            },
            "WrongChain",
            "chain_unavailable",
        ),
        (
            ChainFault::UnknownAccount("payer".into()),
            "AccountUnknown",
            "account_unknown",
        ),
    ] {
        let known = claim("c2", &json!({ "reason": reason }));
        let aws = fresh().on("Query", items(&[claim("c1", &json!({})), known]));
        let chain = Script::new(&aws).account(Err(fault));
        let error = run(&aws, &chain).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, true));
        // Who knows it already is not told again.
        assert_eq!(told(&aws), [("c1".to_owned(), reason.to_owned())]);
        // The lease is given back all the same.
        assert_eq!(steps(&aws, &chain).pop().unwrap(), "UpdateItem sequence");
        assert_eq!(updates(&aws, "sequence").len(), 2);
    }
}

#[tokio::test]
async fn each_way_in_which_a_transaction_is_not_delivered_raises_the_flag_first() {
    for (said, code, reason) in [
        (Broadcast::SequenceUsed, "SequenceUsed", "sequence_unclear"),
        (
            Broadcast::SequenceAhead,
            "SequenceAhead",
            "sequence_unclear",
        ),
        (refused(Refusal::Funds), "AccountEmpty", "faucet_empty"),
        (refused(Refusal::Recipient), "TransactionRefused", "refused"),
        (refused(Refusal::Other), "TransactionRefused", "refused"),
    ] {
        let aws = fresh()
            .on("Query", two())
            .on("TransactWriteItems", done())
            .on("Query", two());
        let chain = Script::new(&aws)
            .account(Ok(account(7, 1_000_000)))
            .broadcast(Ok(said));
        let report = run(&aws, &chain).await.unwrap();
        assert_eq!(report.stopped, Some(reason));
        // It is stored, so somebody has to follow it.
        assert_eq!(report.payouts.len(), 1);
        let steps = steps(&aws, &chain);
        let sent = steps.iter().position(|step| step == BOTH).unwrap();
        assert_eq!(
            steps[sent + 1..sent + 3],
            ["UpdateItem brokenflag", "UpdateItem payouts"]
        );
        let flag = &updates(&aws, "brokenflag")[0];
        assert_eq!(values(flag)[":code"], code);
        let why = values(flag)[":reason"].as_str().unwrap();
        assert!(why.starts_with("payout 7:"), "{why}");
        let noted = &updates(&aws, "payouts")[0];
        assert_eq!(values(noted)[":status"], "signed");
        assert_eq!(values(noted)[":reason"], reason);
        assert_eq!(told(&aws), both_told(reason));
    }
}

#[tokio::test]
async fn a_broadcast_without_an_answer_raises_the_flag_and_ends_the_run() {
    let aws = fresh().on("Query", two()).on("TransactWriteItems", done());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Err(no_answer()));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("ChainUnavailable", true)
    );
    let flag = &updates(&aws, "brokenflag")[0];
    assert_eq!(values(flag)[":code"], "BroadcastUnknown");
    let why = values(flag)[":reason"].as_str().unwrap();
    assert!(why.contains("as the test says"), "{why}");
    let noted = &updates(&aws, "payouts")[0];
    assert_eq!(values(noted)[":reason"], "outcome_unknown");
    assert_eq!(steps(&aws, &chain).pop().unwrap(), "UpdateItem sequence");
}

#[tokio::test]
async fn a_fee_that_is_too_low_is_offered_again_and_higher_each_time_stored_first() {
    let aws = fresh()
        .on("Query", two())
        .always("TransactWriteItems", done())
        .on("Query", items(&[]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(refused(Refusal::Fee)))
        .broadcast(Ok(refused(Refusal::Fee)))
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, None);
    let steps = steps(&aws, &chain);
    let first = steps.iter().position(|step| step == "terms for 2").unwrap();
    assert_eq!(
        steps[first..first + 10],
        [
            "terms for 2",
            "TransactWriteItems",
            BOTH,
            "terms for 2 above 10",
            "TransactWriteItems",
            "broadcast 7 for 11: addr-c1=1000 addr-c2=1000",
            "terms for 2 above 11",
            "TransactWriteItems",
            "broadcast 7 for 12: addr-c1=1000 addr-c2=1000",
            "UpdateItem payouts",
        ]
    );
    let added = &aws.sent("TransactWriteItems")[2]["TransactItems"];
    // The lease's value does not move: the number is the same.
    assert_eq!(values(&added[0]["Update"])[":value"], "8");
    assert_eq!(values(&added[1]["Update"])[":version"][0]["hash"], "N7F12");
    assert_eq!(values(&added[1]["Update"])[":count"], 2);
    // The note counts the versions that there are by now.
    assert_eq!(values(&updates(&aws, "payouts")[0])[":count"], 3);
    assert!(updates(&aws, "brokenflag").is_empty());
}

#[tokio::test]
async fn what_nodes_go_on_refusing_waits_for_the_next_run() {
    for (refusal, reason, dearer) in [
        (Refusal::Fee, "fee_too_high", true),
        (Refusal::Gas, "refused", false),
        (Refusal::Expired, "refused", false),
        (Refusal::Signature, "refused", false),
    ] {
        let aws = fresh()
            .on("Query", two())
            .always("TransactWriteItems", done())
            .on("Query", two());
        let mut chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
        for fee in 10..14 {
            chain = chain.terms(Ok(terms(fee))).broadcast(Ok(refused(refusal)));
        }
        let report = run(&aws, &chain).await.unwrap();
        assert_eq!(report.stopped, Some(reason));
        // A first version and three more; the last one's refusal counts.
        assert_eq!(chain.asked_for("broadcast").len(), 4);
        let asked = chain.asked_for("terms");
        let above = asked.iter().filter(|what| what.contains("above")).count();
        assert_eq!(above, if dearer { 3 } else { 0 });
        let flag = &updates(&aws, "brokenflag")[0];
        assert_eq!(values(flag)[":code"], "TransactionRefused");
        assert_eq!(told(&aws), both_told(reason));
    }
}

#[tokio::test]
async fn where_no_better_terms_are_to_be_had_nothing_is_signed_again() {
    let too_dear = || ChainFault::TooDear { needed: 2, most: 1 };
    for (answer, reason) in [
        (Err(too_dear()), "fee_too_high"),
        (Err(ChainFault::Impossible("x".into())), "fee_too_high"),
        // The same bytes again are no other version.
        (Ok(terms(10)), "fee_too_high"),
    ] {
        let aws = fresh()
            .on("Query", two())
            .on("TransactWriteItems", done())
            .on("Query", two());
        let chain = Script::new(&aws)
            .account(Ok(account(7, 1_000_000)))
            .terms(Ok(terms(10)))
            .terms(answer)
            .broadcast(Ok(refused(Refusal::Fee)));
        let report = run(&aws, &chain).await.unwrap();
        assert_eq!(report.stopped, Some(reason));
        assert_eq!(aws.sent("TransactWriteItems").len(), 1);
    }
}

#[tokio::test]
async fn a_faucet_without_money_says_so_and_signs_nothing() {
    let aws = fresh().on("Query", two()).on("Query", two());
    let chain = Script::new(&aws).account(Ok(account(7, 999)));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, Some("faucet_empty"));
    assert_eq!(chain.asked(), ["account payer from 0"]);
    assert_eq!(told(&aws), both_told("faucet_empty"));
}

#[tokio::test]
async fn what_the_fee_leaves_no_room_for_shrinks_to_one_claim_and_then_waits() {
    // Two claims and the fee are too much, one claim and the fee are not.
    let aws = fresh()
        .on("Query", two())
        .on("Query", two())
        .on("TransactWriteItems", done())
        .always("Query", items(&[claim("c2", &json!({}))]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 2005)))
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, Some("faucet_empty"));
    assert_eq!(report.claims, 1);
    assert_eq!(
        chain.asked_for("broadcast"),
        ["broadcast 7 for 10: addr-c1=1000"]
    );

    // Not even one claim and the fee.
    let aws = fresh().always("Query", two());
    let chain = Script::new(&aws).account(Ok(account(7, 1005)));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, Some("faucet_empty"));
    assert!(aws.sent("TransactWriteItems").is_empty());
}

#[tokio::test]
async fn the_coin_of_fees_is_looked_at_by_itself() {
    let mut poor = account(7, 1_000_000);
    poor.fee_balance = 9;
    let aws = fresh().always("Query", two());
    let chain = Script::new(&aws).account(Ok(poor));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, Some("faucet_empty"));

    let mut enough = account(7, 2000);
    enough.fee_balance = 10;
    let aws = fresh()
        .on("Query", two())
        .on("TransactWriteItems", done())
        .on("Query", items(&[]));
    let chain = Script::new(&aws)
        .account(Ok(enough))
        .broadcast(Ok(Broadcast::Accepted));
    assert_eq!(run(&aws, &chain).await.unwrap().claims, 2);
}

#[tokio::test]
async fn what_is_promised_to_payouts_in_flight_is_not_spent_again() {
    // The payout in flight takes 2010 of these 3500.
    let aws = with_lease("8".into())
        .about(
            "\"payouts\"",
            "Query",
            items(&[
                payout(7, &json!({})),
                payout(6, &json!({ "status": "paid" })),
            ]),
        )
        .always("UpdateItem", done())
        .on(
            "Query",
            items(&[claim("c3", &json!({})), claim("c4", &json!({}))]),
        )
        .on("TransactWriteItems", done());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 3500)))
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.claims, 1);
    assert_eq!(
        chain.asked_for("broadcast"),
        ["broadcast 8 for 10: addr-c3=1000"]
    );
}

#[tokio::test]
async fn a_batch_that_cannot_be_made_is_tried_claim_by_claim_and_the_bad_one_given_up() {
    let impossible = || Err(ChainFault::Impossible("execution reverted".into()));
    let aws = fresh()
        .on("Query", two())
        .on("Query", two())
        .on("GetItem", item(&claim("c1", &json!({}))))
        // Without reservations, its end is a transaction of one part.
        .on("TransactWriteItems", done())
        .on("Query", two())
        .on("TransactWriteItems", done())
        .on("Query", items(&[]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .terms(impossible())
        .terms(impossible())
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!((report.claims, report.stopped), (1, None));
    assert_eq!(
        chain.asked(),
        [
            "account payer from 0",
            "terms for 2",
            "terms for 1",
            "terms for 1",
            "broadcast 7 for 10: addr-c2=1000",
        ]
    );
    let end = &aws.sent("TransactWriteItems")[0]["TransactItems"][0]["Update"];
    assert_eq!(end["Key"]["claim_id"], "c1");
    assert_eq!(values(end)[":status"], "failed");
    assert_eq!(values(end)[":reason"], "transfer_impossible");
}

#[tokio::test]
async fn a_claim_that_failed_before_goes_alone() {
    let tried = claim("c1", &json!({ "attempts": 1 }));
    let aws = fresh()
        .on("Query", items(&[tried, claim("c2", &json!({}))]))
        .always("TransactWriteItems", done())
        .on("Query", items(&[claim("c2", &json!({}))]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Accepted));
    assert_eq!(run(&aws, &chain).await.unwrap().payouts.len(), 2);
    assert_eq!(
        chain.asked_for("broadcast"),
        [
            "broadcast 7 for 10: addr-c1=1000",
            "broadcast 8 for 10: addr-c2=1000",
        ]
    );
}

#[tokio::test]
async fn while_no_terms_are_to_be_had_claims_are_told_why() {
    let too_dear = ChainFault::TooDear { needed: 2, most: 1 };
    let aws = fresh().always("Query", two());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .terms(Err(too_dear));
    // It will fall: no message has to be delivered again for that.
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, Some("fee_too_high"));
    assert_eq!(told(&aws), both_told("fee_too_high"));

    let aws = fresh().always("Query", two());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .terms(Err(no_answer()));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "ChainUnavailable");
    assert_eq!(told(&aws), both_told("chain_unavailable"));
}

#[tokio::test]
async fn claims_that_were_taken_meanwhile_are_left_out() {
    let held = ("ConditionalCheckFailed", None);
    let none = || ("None", None);
    let aws = fresh()
        .on("Query", two())
        .on(
            "TransactWriteItems",
            cancelled(&[none(), none(), held, none()]),
        )
        .on("Query", two())
        .on("TransactWriteItems", done())
        .on("Query", items(&[]));
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.claims, 1);
    // The number is still free.
    assert_eq!(
        chain.asked_for("broadcast"),
        ["broadcast 7 for 10: addr-c2=1000"]
    );
}

#[tokio::test]
async fn whoever_lost_the_lease_sends_nothing() {
    let held = || ("ConditionalCheckFailed", None);
    let none = || ("None", None);
    let aws = with_lease("7".into())
        .about("\"payouts\"", "Query", items(&[]))
        .on("UpdateItem", done())
        .on("Query", two())
        .on(
            "TransactWriteItems",
            cancelled(&[held(), none(), none(), none()]),
        )
        // The lease is another's, so giving it back changes nothing.
        .on("UpdateItem", condition_failed());
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("LeaseLost", true));
    assert!(chain.asked_for("broadcast").is_empty());
    assert!(updates(&aws, "brokenflag").is_empty());
}

#[tokio::test]
async fn a_payout_that_cannot_be_stored_is_not_sent() {
    let aws = fresh()
        .on("Query", two())
        .on("TransactWriteItems", Reply::NoConnection);
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
    assert!(chain.asked_for("broadcast").is_empty());
}
