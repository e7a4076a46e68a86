use offchain_chains::{Broadcast, Refusal, TxStatus};
use offchain_codes::Coded;
use offchain_store::test_util::{Reply, condition_failed, done, item, refusal, seconds_from_now};

use super::script::{account, no_answer, refused};
use super::*;
use crate::{ConfirmError, Confirmer, Look};

fn included(height: u64, confirmations: u64) -> TxStatus {
    TxStatus::Included {
        height,
        confirmations,
        failure: None,
    }
}

fn failed(confirmations: u64) -> TxStatus {
    TxStatus::Included {
        height: 100,
        confirmations,
        failure: Some("insufficient funds".to_owned()),
    }
}

/// A fake that has this payout and takes every write.
fn having(payout: &Value) -> FakeAws {
    FakeAws::new()
        .about("\"payouts\"", "GetItem", item(payout))
        .always("UpdateItem", done())
        .always("SendMessage", done())
}

fn sent() -> Value {
    payout(7, &json!({}))
}

async fn look(aws: &FakeAws, chain: &Script) -> Result<Look, ConfirmError> {
    let confirmer = Confirmer {
        chain: chain.clone(),
        tables: tables(aws),
        policy: policy(),
        wake: wake(aws),
    };
    confirmer.look("payer", 7).await
}

/// What is told of the sample payout, where the chain answers so.
async fn told(aws: &FakeAws, chain: &Script) -> (&'static str, Option<String>) {
    let look = look(aws, chain).await.unwrap();
    (look.status, look.reason)
}

/// What the claims and the payout were made: their statuses, in order.
fn written(aws: &FakeAws) -> Vec<(String, Value)> {
    aws.sent("UpdateItem")
        .iter()
        .map(|update| {
            let table = update["TableName"].as_str().unwrap().to_owned();
            (table, values(update)[":status"].clone())
        })
        .collect()
}

fn made(steps: &[(&str, &str)]) -> Vec<(String, Value)> {
    steps
        .iter()
        .map(|(table, status)| ((*table).to_owned(), json!(status)))
        .collect()
}

#[tokio::test]
async fn a_payout_that_is_not_there_is_an_error() {
    let aws = FakeAws::new().on("GetItem", done());
    let error = look(&aws, &Script::new(&aws)).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("PayoutNotFound", false));
}

#[tokio::test]
async fn what_has_ended_is_told_and_nobody_is_asked() {
    for status in ["paid", "failed", "lost"] {
        let ended = payout(7, &json!({ "status": status, "reason": "why" }));
        let aws = FakeAws::new().on("GetItem", item(&ended));
        let chain = Script::new(&aws);
        assert_eq!(told(&aws, &chain).await, (status, Some("why".to_owned())));
        assert!(chain.asked().is_empty());
    }
}

#[tokio::test]
async fn a_payout_that_blocks_follow_is_paid_its_claims_first() {
    let aws = having(&sent());
    let chain = Script::new(&aws).status(Ok(included(100, 2)));
    assert_eq!(told(&aws, &chain).await, ("paid", None));
    assert_eq!(
        steps(&aws, &chain),
        [
            "GetItem payouts",
            "status H7 from 0",
            "UpdateItem claims",
            "UpdateItem claims",
            "UpdateItem payouts",
            "SendMessage",
        ]
    );
    assert_eq!(
        written(&aws),
        made(&[("claims", "paid"), ("claims", "paid"), ("payouts", "paid")])
    );
    let claim = &updates(&aws, "claims")[0];
    assert_eq!(
        (&values(claim)[":hash"], &values(claim)[":height"]),
        (&json!("H7"), &json!(100))
    );
    let end = &updates(&aws, "payouts")[0];
    let expression = end["UpdateExpression"].as_str().unwrap();
    assert!(expression.contains("#open"), "{expression}");
    assert_eq!(
        (&values(end)[":hash"], &values(end)[":height"]),
        (&json!("H7"), &json!(100))
    );
    assert_eq!(woken(&aws), [json!({ "sequence": 7 })]);
}

#[tokio::test]
async fn a_payout_in_a_block_is_committed_until_enough_blocks_follow() {
    let aws = having(&sent());
    let chain = Script::new(&aws).status(Ok(included(100, 1)));
    let told_now = told(&aws, &chain).await;
    assert_eq!(told_now, ("committed", Some("confirming".to_owned())));
    assert_eq!(
        written(&aws),
        made(&[
            ("claims", "committed"),
            ("claims", "committed"),
            ("payouts", "committed")
        ])
    );
    let noted = updates(&aws, "payouts")[0]["UpdateExpression"].clone();
    assert!(!noted.as_str().unwrap().contains("#open"), "{noted}");
    // There is room for the next payout.
    assert_eq!(woken(&aws).len(), 1);

    // Seen a second time, it is no news.
    let known =
        json!({ "status": "committed", "reason": "confirming", "hash": "H7", "height": 100 });
    let aws = having(&payout(7, &known));
    let chain = Script::new(&aws).status(Ok(included(100, 1)));
    assert_eq!(told(&aws, &chain).await, told_now);
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn an_older_version_counts_as_well_and_the_newest_is_asked_for_first() {
    let both = json!({ "versions": [version("H7", 10), version("H7b", 11)] });
    let aws = having(&payout(7, &both));
    let chain = Script::new(&aws)
        .status(Ok(TxStatus::Unknown))
        .status(Ok(included(100, 2)));
    assert_eq!(told(&aws, &chain).await, ("paid", None));
    assert_eq!(chain.asked(), ["status H7b from 0", "status H7 from 0"]);
    let end = &updates(&aws, "payouts")[0];
    assert_eq!(values(end)[":hash"], "H7");
}

#[tokio::test]
async fn a_failure_that_its_block_may_still_lose_changes_nothing() {
    let aws = having(&sent());
    let chain = Script::new(&aws).status(Ok(failed(1)));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn claims_of_a_payout_that_failed_wait_again_or_are_given_up() {
    let of_it = |fields: Value| {
        let mine = json!({ "status": "sent", "sequence": 7 });
        with(claim("c", &mine), &fields)
    };
    let aws = FakeAws::new()
        .about("\"payouts\"", "GetItem", item(&sent()))
        .on(
            "GetItem",
            item(&of_it(json!({ "claim_id": "c1", "attempts": 1 }))),
        )
        .on(
            "GetItem",
            item(&of_it(json!({ "claim_id": "c2", "attempts": 2 }))),
        )
        .always("UpdateItem", done())
        .on("TransactWriteItems", done())
        .on("SendMessage", done());
    let chain = Script::new(&aws)
        .status(Ok(failed(2)))
        .account(Ok(account(8, 1_000_000)));
    let why = Some("insufficient funds".to_owned());
    assert_eq!(told(&aws, &chain).await, ("failed", why));

    let [again] = updates(&aws, "claims").try_into().unwrap();
    assert_eq!(again["Key"]["claim_id"], "c1");
    assert_eq!(values(&again)[":status"], "queued");
    assert_eq!(values(&again)[":failed"], 1);
    assert_eq!(values(&again)[":reason"], "retrying");
    // The third attempt was the last.
    let end = &aws.sent_once("TransactWriteItems")["TransactItems"][0]["Update"];
    assert_eq!(end["Key"]["claim_id"], "c2");
    assert_eq!(values(end)[":status"], "failed");
    assert_eq!(values(end)[":reason"], "transfer_failed");
    assert_eq!(values(end)[":sequence"], 7);
    // The payout ends last.
    assert_eq!(
        steps(&aws, &chain)[7..],
        ["UpdateItem payouts", "SendMessage"]
    );
    // Whether the number is used, a node tells that has the block.
    assert_eq!(chain.asked_for("account"), ["account payer from 100"]);
    let end = &updates(&aws, "payouts")[0];
    assert_eq!(values(end)[":status"], "failed");
    assert_eq!(values(end)[":reason"], "insufficient funds");
}

#[tokio::test]
async fn claims_that_are_another_payout_s_by_now_stay_as_they_are() {
    for theirs in [
        item(&claim("c1", &json!({ "status": "sent", "sequence": 8 }))),
        item(&claim("c1", &json!({ "status": "queued" }))),
        item(&claim("c1", &json!({ "status": "failed", "sequence": 7 }))),
        // Only the time-to-live can have taken it.
        done(),
    ] {
        let aws = FakeAws::new()
            .about("\"payouts\"", "GetItem", item(&sent()))
            .always("GetItem", theirs)
            .on("UpdateItem", done())
            .on("SendMessage", done());
        let chain = Script::new(&aws)
            .status(Ok(failed(2)))
            .account(Ok(account(8, 1_000_000)));
        assert_eq!(told(&aws, &chain).await.0, "failed");
        assert_eq!(written(&aws), made(&[("payouts", "failed")]));
    }
}

#[tokio::test]
async fn a_failure_that_left_the_number_unused_leaves_the_payout_open() {
    let both = json!({ "versions": [version("H7", 10), version("H7b", 11)] });
    let failed_first = |aws: &FakeAws, newest: TxStatus| {
        Script::new(aws)
            .status(Ok(newest))
            .status(Ok(failed(2)))
            .account(Ok(account(7, 1_000_000)))
    };

    // The newest version is the one that failed: another is needed.
    let aws = having(&sent());
    let chain = Script::new(&aws)
        .status(Ok(failed(2)))
        .account(Ok(account(7, 1_000_000)));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    assert_eq!(values(&updates(&aws, "payouts")[0])[":wants"], true);
    assert!(updates(&aws, "claims").is_empty());

    // A newer one waits.
    let aws = having(&payout(7, &both));
    let chain = failed_first(&aws, TxStatus::Pending).status(Ok(TxStatus::Pending));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    assert_eq!(aws.operations(), ["GetItem"]);

    // A newer one has not arrived.
    let aws = having(&payout(7, &both));
    let chain = failed_first(&aws, TxStatus::Unknown)
        .status(Ok(TxStatus::Unknown))
        .account(Ok(account(7, 1_000_000)))
        .broadcast(Ok(Broadcast::Accepted));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    assert_eq!(chain.asked_for("broadcast"), ["broadcast bytes of H7b"]);
}

#[tokio::test]
async fn a_version_that_was_paid_counts_for_more_than_one_that_failed() {
    let both = json!({ "versions": [version("H7", 10), version("H7b", 11)] });
    let aws = having(&payout(7, &both));
    let chain = Script::new(&aws)
        .status(Ok(failed(2)))
        .status(Ok(included(99, 3)));
    assert_eq!(told(&aws, &chain).await, ("paid", None));
    assert_eq!(values(&updates(&aws, "payouts")[0])[":hash"], "H7");
}

#[tokio::test]
async fn what_waits_in_a_mempool_is_to_offer_more_after_a_time() {
    for (age, wants) in [(-30, false), (-90, true)] {
        let mut old = version("H7", 10);
        old["created_time"] = seconds_from_now(age).to_string().into();
        let aws = having(&payout(7, &json!({ "versions": [old] })));
        let chain = Script::new(&aws).status(Ok(TxStatus::Pending));
        assert_eq!(told(&aws, &chain).await, ("pending", None));
        if wants {
            let noted = &updates(&aws, "payouts")[0];
            assert_eq!(values(noted)[":wants"], true);
            assert_eq!(woken(&aws), [json!({ "sequence": 7 })]);
        } else {
            assert_eq!(aws.operations(), ["GetItem"]);
        }
    }
}

/// A chain that knows no version of the payout, and this of its account.
fn unknown(aws: &FakeAws, sequence: u64, height: u64) -> Script {
    let mut seen = account(sequence, 1_000_000);
    seen.height = height;
    Script::new(aws)
        .status(Ok(TxStatus::Unknown))
        .account(Ok(seen))
}

#[tokio::test]
async fn what_no_node_knows_is_sent_again() {
    for answer in [Broadcast::Accepted, Broadcast::Known] {
        let aws = having(&payout(
            7,
            &json!({ "status": "signed", "reason": "refused" }),
        ));
        let chain = unknown(&aws, 7, 100).broadcast(Ok(answer));
        assert_eq!(told(&aws, &chain).await, ("pending", None));
        assert_eq!(
            chain.asked(),
            [
                "status H7 from 0",
                "account payer from 0",
                "broadcast bytes of H7"
            ]
        );
        assert_eq!(written(&aws), made(&[("payouts", "sent")]));
    }
}

#[tokio::test]
async fn a_node_that_takes_a_transaction_again_and_again_is_offered_more_after_a_time() {
    let mut old = version("H7", 10);
    old["created_time"] = seconds_from_now(-90).to_string().into();
    let aws = having(&payout(7, &json!({ "versions": [old] })));
    let chain = unknown(&aws, 7, 100).broadcast(Ok(Broadcast::Known));
    told(&aws, &chain).await;
    assert_eq!(values(&updates(&aws, "payouts")[0])[":wants"], true);
}

#[tokio::test]
async fn the_payer_signs_anew_what_nodes_refuse_and_only_hears_of_the_rest() {
    for (answer, wants) in [
        (refused(Refusal::Fee), true),
        (refused(Refusal::Gas), true),
        (refused(Refusal::Expired), true),
        (refused(Refusal::Funds), false),
        (refused(Refusal::Signature), false),
        (Broadcast::SequenceUsed, false),
        (Broadcast::SequenceAhead, false),
    ] {
        let aws = having(&sent());
        let chain = unknown(&aws, 7, 100).broadcast(Ok(answer));
        assert_eq!(told(&aws, &chain).await.0, "pending");
        let noted = updates(&aws, "payouts");
        assert_eq!(!noted.is_empty(), wants);
        if wants {
            assert_eq!(values(&noted[0])[":wants"], true);
        }
        assert_eq!(woken(&aws), [json!({ "sequence": 7 })]);
    }
}

#[tokio::test]
async fn a_version_that_no_block_may_take_any_more_is_not_sent_again() {
    let aws = having(&sent());
    let chain = unknown(&aws, 7, 1000);
    assert_eq!(told(&aws, &chain).await.0, "pending");
    assert!(chain.asked_for("broadcast").is_empty());
    assert_eq!(values(&updates(&aws, "payouts")[0])[":wants"], true);
    assert_eq!(woken(&aws).len(), 1);
}

#[tokio::test]
async fn where_the_chain_does_not_answer_nothing_is_decided() {
    let aws = having(&sent());
    let chain = Script::new(&aws).status(Err(no_answer()));
    let error = look(&aws, &chain).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("ChainUnavailable", true)
    );
    let chain = unknown(&aws, 7, 100).broadcast(Err(no_answer()));
    assert_eq!(
        look(&aws, &chain).await.unwrap_err().code(),
        "ChainUnavailable"
    );
    assert!(aws.sent("UpdateItem").is_empty());
}

#[tokio::test]
async fn a_block_that_is_gone_gives_its_payout_back_to_be_sent_again() {
    let known =
        json!({ "status": "committed", "reason": "confirming", "hash": "H7", "height": 90 });
    let aws = having(&payout(7, &known));
    let chain = unknown(&aws, 7, 100).broadcast(Ok(Broadcast::Accepted));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    assert_eq!(
        written(&aws),
        made(&[("claims", "sent"), ("claims", "sent"), ("payouts", "sent")])
    );
    let noted = updates(&aws, "payouts")[0]["UpdateExpression"].clone();
    let noted = noted.as_str().unwrap();
    assert!(noted.contains("REMOVE #reason, #hash, #height"), "{noted}");
    assert_eq!(chain.asked_for("broadcast").len(), 1);
}

#[tokio::test]
async fn a_number_that_another_transaction_has_is_first_only_noted() {
    let aws = having(&sent());
    let chain = unknown(&aws, 8, 100);
    let told = told(&aws, &chain).await;
    assert_eq!(told, ("pending", Some("sequence_unclear".to_owned())));
    let [noted] = updates(&aws, "payouts").try_into().unwrap();
    assert_eq!(values(&noted)[":used_height"], 100);
    assert_eq!(values(&noted)[":status"], "sent");
    assert!(updates(&aws, "claims").is_empty());
}

fn used(height: u64) -> Value {
    let fields = json!({ "used_height": height, "reason": "sequence_unclear" });
    payout(7, &fields)
}

#[tokio::test]
async fn a_number_is_given_up_only_blocks_later() {
    let aws = having(&used(100));
    let chain = unknown(&aws, 8, 101);
    assert_eq!(told(&aws, &chain).await.0, "pending");
    assert_eq!(aws.operations(), ["GetItem"]);
    // Nobody was asked a second time.
    assert_eq!(chain.asked_for("status").len(), 1);
}

#[tokio::test]
async fn a_number_is_given_up_only_where_a_node_that_has_the_blocks_knows_nothing_still() {
    for (answer, lost) in [
        (TxStatus::Unknown, true),
        (TxStatus::Pending, false),
        (included(100, 2), false),
    ] {
        let aws = having(&used(100));
        let chain = unknown(&aws, 8, 102)
            .account(Ok(account(8, 1_000_000)))
            .status(Ok(answer));
        let (status, reason) = told(&aws, &chain).await;
        assert_eq!(
            chain.asked(),
            [
                "status H7 from 0",
                "account payer from 0",
                // As block 100 left it.
                "account payer from 100",
                "status H7 from 102",
            ]
        );
        if !lost {
            assert_eq!(status, "pending");
            assert_eq!(aws.operations(), ["GetItem"]);
            continue;
        }
        assert_eq!((status, reason.as_deref()), ("lost", Some("number_used")));
        assert_eq!(
            written(&aws),
            made(&[
                // Where a version was added meanwhile, this is not written.
                ("payouts", "sent"),
                ("claims", "queued"),
                ("claims", "queued"),
                ("payouts", "lost")
            ])
        );
        let again = &updates(&aws, "claims")[0];
        assert_eq!(values(again)[":failed"], 0);
        assert_eq!(values(again)[":reason"], "retrying");
        assert_eq!(woken(&aws), [json!({ "sequence": 7 })]);
    }
    // A node that is behind is not believed either.
    let aws = having(&used(100));
    let chain = unknown(&aws, 8, 102)
        .account(Ok(account(8, 1_000_000)))
        .status(Err(no_answer()));
    look(&aws, &chain).await.unwrap_err();
    assert_eq!(aws.operations(), ["GetItem"]);
}

#[tokio::test]
async fn a_number_is_not_given_up_for_what_may_still_be_taken_back() {
    let aws = having(&used(90));
    let chain = unknown(&aws, 8, 102).account(Ok(account(7, 1_000_000)));
    assert_eq!(told(&aws, &chain).await.0, "pending");
    assert_eq!(aws.operations(), ["GetItem"]);
    assert_eq!(chain.asked_for("status").len(), 1);
}

#[tokio::test]
async fn a_number_is_not_given_up_where_a_version_was_added_meanwhile() {
    let aws = FakeAws::new()
        .about("\"payouts\"", "GetItem", item(&used(90)))
        .on("UpdateItem", condition_failed());
    let chain = unknown(&aws, 8, 102)
        .account(Ok(account(8, 1_000_000)))
        .status(Ok(TxStatus::Unknown));
    assert_eq!(told(&aws, &chain).await.0, "pending");
    assert!(updates(&aws, "claims").is_empty());
}

#[tokio::test]
async fn a_number_that_is_free_again_was_never_used() {
    // A block was lost in which the number was used; the next time that it is
    // used, blocks have to follow again before the payout is given up.
    let aws = having(&used(90));
    let chain = unknown(&aws, 7, 100).broadcast(Ok(Broadcast::Known));
    assert_eq!(told(&aws, &chain).await, ("pending", None));
    let noted = &updates(&aws, "payouts")[0];
    let expression = noted["UpdateExpression"].as_str().unwrap();
    let (_, removed) = expression.split_once("REMOVE").unwrap();
    assert!(removed.contains("#used_height"), "{expression}");
    assert!(removed.contains("#reason"), "{expression}");

    for answer in [TxStatus::Pending, included(100, 1)] {
        let aws = having(&used(90));
        let chain = Script::new(&aws).status(Ok(answer));
        told(&aws, &chain).await;
        let noted = &updates(&aws, "payouts")[0];
        assert_eq!(values(noted).get(":used_height"), None);
    }
}

#[tokio::test]
async fn a_payer_that_cannot_be_woken_is_no_reason_to_fail() {
    let aws = FakeAws::new()
        .about("\"payouts\"", "GetItem", item(&sent()))
        .always("UpdateItem", done())
        .on("SendMessage", Reply::NoConnection);
    let chain = Script::new(&aws).status(Ok(included(100, 2)));
    assert_eq!(told(&aws, &chain).await, ("paid", None));
}

#[tokio::test]
async fn a_payout_does_not_end_before_all_its_claims_have_their_fate() {
    let aws = FakeAws::new()
        .about("\"payouts\"", "GetItem", item(&sent()))
        .on("UpdateItem", done())
        .on("UpdateItem", refusal(400, "ThrottlingException"));
    let chain = Script::new(&aws).status(Ok(included(100, 2)));
    let error = look(&aws, &chain).await.unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
    assert!(updates(&aws, "payouts").is_empty());

    // The next run finds the first claim as it is, and goes on.
    let aws = FakeAws::new()
        .about("\"payouts\"", "GetItem", item(&sent()))
        .on("UpdateItem", condition_failed())
        .always("UpdateItem", done())
        .on("SendMessage", done());
    let chain = Script::new(&aws).status(Ok(included(100, 2)));
    assert_eq!(told(&aws, &chain).await, ("paid", None));
}
