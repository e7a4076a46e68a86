//! What a payer does before it pays anything new.

use offchain_chains::{Broadcast, ChainFault, Refusal};
use offchain_codes::Coded;
use offchain_store::test_util::{Reply, cancelled, done, items};

use super::script::{account, key, no_answer, refused};
use super::*;
use crate::{PayError, Payer, Report};

async fn run(aws: &FakeAws, chain: &Script) -> Result<Report, PayError> {
    let payer = Payer {
        chain: chain.clone(),
        tables: tables(aws),
        policy: policy(),
    };
    payer.run(&key()).await
}

/// These payouts, as the table tells them: the newest first.
fn newest(payouts: &[Value]) -> Reply {
    let mut payouts = payouts.to_vec();
    payouts.reverse();
    items(&payouts)
}

/// A fake with a lease, these payouts, and no claim that waits.
fn sound(payouts: &[Value]) -> FakeAws {
    with_lease("9".into())
        .about("\"payouts\"", "Query", newest(payouts))
        .always("Query", items(&[]))
        .always("UpdateItem", done())
}

/// The same where the last run did not learn what became of a transaction.
fn broken(payouts: &[Value]) -> FakeAws {
    with_broken_lease("9".into())
        .about("\"payouts\"", "Query", newest(payouts))
        .always("Query", items(&[]))
        .always("UpdateItem", done())
}

fn signed() -> Value {
    json!({ "status": "signed" })
}

#[tokio::test]
async fn what_may_not_have_arrived_is_sent_again_and_the_rest_is_left_alone() {
    let payouts = [
        payout(6, &json!({ "status": "signed" })),
        payout(7, &json!({ "status": "committed" })),
        payout(8, &signed()),
    ];
    let aws = sound(&payouts);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Known));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report, Report::default());
    // Number 6 is in a block: what became of it is the confirmer's business.
    assert_eq!(chain.asked_for("broadcast"), ["broadcast bytes of H8"]);
    let noted = updates(&aws, "payouts");
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0]["Key"]["sequence"], 8);
    assert_eq!(values(&noted[0])[":status"], "sent");
    assert!(updates(&aws, "brokenflag").is_empty());
}

#[tokio::test]
async fn after_an_unknown_outcome_all_is_sent_again_in_order_before_the_flag_is_taken_down() {
    let payouts = [
        payout(7, &json!({ "status": "sent" })),
        payout(8, &signed()),
    ];
    let aws = broken(&payouts);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Known))
        .broadcast(Ok(Broadcast::Accepted));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        steps(&aws, &chain),
        [
            "UpdateItem sequence",
            "account payer from 0",
            "GetItem accountnumber",
            "UpdateItem accountnumber",
            "GetItem brokenflag",
            "Query payouts",
            "broadcast bytes of H7",
            "broadcast bytes of H8",
            "UpdateItem payouts",
            "UpdateItem brokenflag",
            "Query payouts",
            "UpdateItem sequence",
        ]
    );
    let cleared = &updates(&aws, "brokenflag")[0];
    assert_eq!(
        cleared["UpdateExpression"],
        "SET #value = :none REMOVE reason, since"
    );
}

#[tokio::test]
async fn a_flag_stays_up_while_what_it_is_about_does_not_get_through() {
    for (answer, code) in [
        (Ok(Broadcast::SequenceAhead), None),
        (Ok(refused(Refusal::Other)), None),
        (Err(no_answer()), Some("ChainUnavailable")),
    ] {
        let aws = broken(&[payout(7, &signed()), payout(8, &signed())]);
        let chain = Script::new(&aws)
            .account(Ok(account(7, 1_000_000)))
            .broadcast(answer);
        match (run(&aws, &chain).await, code) {
            (Ok(report), None) => assert!(report.stopped.is_some()),
            (Err(error), Some(code)) => assert_eq!(error.code(), code),
            (outcome, _) => panic!("{outcome:?}"),
        }
        // Nothing that comes after goes before it.
        assert_eq!(chain.asked_for("broadcast"), ["broadcast bytes of H7"]);
        for update in updates(&aws, "brokenflag") {
            let expression = update["UpdateExpression"].as_str().unwrap();
            assert!(expression.contains(":code"), "{expression}");
        }
        assert!(aws.sent("TransactWriteItems").is_empty());
    }
}

#[tokio::test]
async fn a_payout_that_is_to_offer_more_is_signed_again_above_its_last_terms() {
    let wanting = payout(7, &json!({ "wants_version": true }));
    let aws = sound(&[wanting]).on("TransactWriteItems", done());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        chain.asked(),
        [
            "account payer from 0",
            "terms for 2 above 10",
            "broadcast 7 for 11: addr-c1=1000 addr-c2=1000",
        ]
    );
    let steps = steps(&aws, &chain);
    let stored = steps.iter().position(|step| step == "TransactWriteItems");
    let sent = steps.iter().position(|step| step.starts_with("broadcast"));
    assert!(stored < sent, "{steps:?}");
    let added = &aws.sent_once("TransactWriteItems")["TransactItems"];
    // The lease's value stays what it was.
    assert_eq!(values(&added[0]["Update"])[":value"], "9");
    assert_eq!(values(&added[1]["Update"])[":version"][0]["hash"], "N7F11");
    let noted = &updates(&aws, "payouts")[0];
    assert_eq!(values(noted)[":status"], "sent");
    assert_eq!(values(noted)[":wants"], false);
    assert_eq!(values(noted)[":count"], 2);
}

#[tokio::test]
async fn a_version_that_no_block_may_take_any_more_is_signed_anew() {
    let aws = sound(&[payout(7, &json!({}))]).on("TransactWriteItems", done());
    let mut late = account(7, 1_000_000);
    // The sample versions may be taken up to block 1000.
    late.height = 1000;
    let chain = Script::new(&aws)
        .account(Ok(late))
        .terms(Ok(super::script::terms(12)))
        .broadcast(Ok(Broadcast::Accepted));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        chain.asked()[1..],
        [
            // Nobody holds the last one, so nobody has to be outbid.
            "terms for 2",
            "broadcast 7 for 12: addr-c1=1000 addr-c2=1000",
        ]
    );
}

#[tokio::test]
async fn where_no_better_terms_are_to_be_had_the_last_version_stays_the_best_offer() {
    for fault in [
        ChainFault::TooDear { needed: 2, most: 1 },
        ChainFault::Impossible("x".into()),
    ] {
        let aws = sound(&[payout(7, &json!({ "wants_version": true }))]);
        let chain = Script::new(&aws)
            .account(Ok(account(7, 1_000_000)))
            .terms(Err(fault))
            .broadcast(Ok(Broadcast::Known));
        run(&aws, &chain).await.unwrap();
        assert_eq!(chain.asked_for("broadcast"), ["broadcast bytes of H7"]);
    }
    let aws = sound(&[payout(7, &json!({ "wants_version": true }))]);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .terms(Err(no_answer()));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "ChainUnavailable");
}

#[tokio::test]
async fn a_payout_has_no_more_versions_than_its_item_has_room_for() {
    let versions: Vec<_> = (0..24).map(|at| version(&format!("V{at}"), at)).collect();
    let full = json!({ "wants_version": true, "versions": versions });
    let aws = sound(&[payout(7, &full)]);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Known));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        chain.asked(),
        ["account payer from 0", "broadcast bytes of V23"]
    );
}

#[tokio::test]
async fn versions_that_expired_long_ago_make_room_for_the_next() {
    // The sample versions may be taken up to block 1000.
    for (height, room) in [(1100, false), (1101, true)] {
        let versions: Vec<_> = (0..24).map(|at| version(&format!("V{at}"), at)).collect();
        let aws = sound(&[payout(7, &json!({ "versions": versions }))])
            .on("TransactWriteItems", done())
            .on("TransactWriteItems", done());
        let mut late = account(7, 1_000_000);
        late.height = height;
        let chain = Script::new(&aws)
            .account(Ok(late))
            .broadcast(Ok(Broadcast::Accepted));
        run(&aws, &chain).await.unwrap();
        let written = aws.sent("TransactWriteItems");
        if !room {
            assert!(written.is_empty());
            continue;
        }
        let [forgotten, added] = written.try_into().unwrap();
        let kept = &values(&forgotten["TransactItems"][1]["Update"])[":kept"];
        assert_eq!(kept.as_array().unwrap().len(), 12);
        assert_eq!(kept[0]["hash"], "V12");
        assert_eq!(values(&added["TransactItems"][1]["Update"])[":count"], 12);
    }
}

#[tokio::test]
async fn whoever_lost_the_lease_adds_no_version_and_sends_none() {
    let lost = [("ConditionalCheckFailed", None), ("None", None)];
    let aws = sound(&[payout(7, &json!({ "wants_version": true }))])
        .on("TransactWriteItems", cancelled(&lost));
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    let error = run(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "LeaseLost");
    assert!(chain.asked_for("broadcast").is_empty());
}

#[tokio::test]
async fn payouts_that_the_chain_has_lost_again_are_sent_as_they_counted() {
    let counted = json!({
        "status": "paid",
        "versions": [version("H7", 10), version("H7b", 11)],
        "hash": "H7",
        "height": 90,
    });
    let aws = sound(&[payout(7, &counted), payout(8, &json!({}))]);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Known));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        chain.asked_for("broadcast"),
        ["broadcast bytes of H7", "broadcast bytes of H8"]
    );
    // One that has ended is not written to.
    assert!(updates(&aws, "payouts").is_empty());
}

#[tokio::test]
async fn a_node_that_was_only_behind_is_no_reason_to_stop() {
    let paid = json!({ "status": "paid", "hash": "H7", "height": 90 });
    let aws = sound(&[payout(7, &paid), payout(8, &json!({}))]);
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::SequenceUsed))
        .broadcast(Ok(Broadcast::Known));
    let report = run(&aws, &chain).await.unwrap();
    assert_eq!(report.stopped, None);
    assert!(updates(&aws, "brokenflag").is_empty());
}

#[tokio::test]
async fn payouts_before_those_that_were_read_are_fetched_where_the_chain_has_lost_them() {
    let paid = |sequence| {
        payout(
            sequence,
            &json!({ "status": "paid", "hash": format!("H{sequence}") }),
        )
    };
    let aws = sound(&[paid(7), paid(8)])
        .on("GetItem", item(&paid(5)))
        .on("GetItem", item(&paid(6)));
    let chain = Script::new(&aws)
        .account(Ok(account(5, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Accepted));
    run(&aws, &chain).await.unwrap();
    let sequences: Vec<_> = aws.sent("GetItem")[2..]
        .iter()
        .map(|get| get["Key"]["sequence"].clone())
        .collect();
    assert_eq!(sequences, [5, 6]);
    assert_eq!(
        chain.asked_for("broadcast"),
        [
            "broadcast bytes of H5",
            "broadcast bytes of H6",
            "broadcast bytes of H7",
            "broadcast bytes of H8",
        ]
    );
}

#[tokio::test]
async fn a_number_below_a_payout_s_that_nobody_uses_is_filled_before_that_is_sent() {
    let aws = sound(&[payout(8, &signed())])
        .on("GetItem", done())
        .on("TransactWriteItems", done());
    let chain = Script::new(&aws)
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted))
        .broadcast(Ok(Broadcast::Accepted));
    run(&aws, &chain).await.unwrap();
    assert_eq!(
        chain.asked_for("broadcast"),
        ["broadcast 7 for 10: payer=1", "broadcast bytes of H8"]
    );
    let stored = &aws.sent_once("TransactWriteItems")["TransactItems"];
    // It pays no claim.
    assert_eq!(stored.as_array().unwrap().len(), 2);
    assert_eq!(stored[1]["Put"]["Item"]["transfers"], json!([]));
}

#[tokio::test]
async fn what_failed_or_was_lost_is_not_sent_again() {
    for status in ["failed", "lost"] {
        let ended = payout(7, &json!({ "status": status }));
        let aws = broken(&[ended, payout(8, &signed())]);
        let chain = Script::new(&aws)
            .account(Ok(account(7, 1_000_000)))
            .broadcast(Ok(Broadcast::Accepted));
        run(&aws, &chain).await.unwrap();
        assert_eq!(chain.asked_for("broadcast"), ["broadcast bytes of H8"]);
    }
}
