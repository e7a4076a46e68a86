use offchain_chains::{ChainFault, TxStatus};
use offchain_codes::Coded;
use offchain_store::test_util::{Reply, done, item, items, refusal, seconds_from_now};

use super::script::{account, no_answer};
use super::*;
use crate::{Census, ConfirmError, Confirmer, Sweeper};

async fn sweep(aws: &FakeAws, chain: &Script) -> Result<Census, ConfirmError> {
    let confirmer = Confirmer {
        chain: chain.clone(),
        tables: tables(aws),
        policy: policy(),
        wake: wake(aws),
    };
    Sweeper { confirmer }.sweep().await
}

/// A fake with these open payouts and these claims that wait.
fn with_open(payouts: &[Value], claims: &[Value]) -> FakeAws {
    FakeAws::new()
        .about("open-payouts", "Query", items(payouts))
        .about("open-claims", "Query", items(claims))
        .about("accountnumber", "GetItem", item(&record("payer")))
        .about(
            "budget#",
            "GetItem",
            item(&json!({ "limit": "b", "spent": 3000 })),
        )
}

fn quiet(payouts: &[Value], claims: &[Value]) -> FakeAws {
    with_open(payouts, claims).about("brokenflag", "GetItem", done())
}

#[tokio::test]
async fn a_faucet_without_work_is_counted_and_nobody_is_woken() {
    let aws = quiet(&[], &[]).on("UpdateItem", done());
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    assert_eq!(
        sweep(&aws, &chain).await.unwrap(),
        Census {
            waiting: 0,
            oldest_unpaid_seconds: 0,
            expired: 0,
            open_payouts: 0,
            broken: None,
            balance: Some(1_000_000),
            spent_today: 3000,
        }
    );
    assert!(aws.sent("SendMessage").is_empty());
    // What was seen of the account is there for whoever asks.
    let noted = &updates(&aws, "accountnumber")[0];
    assert_eq!(values(noted)[":balance"], "1000000");
    assert_eq!(chain.asked(), ["account payer from 0"]);
}

#[tokio::test]
async fn claims_that_wait_wake_the_payer_and_a_flag_is_told() {
    let flag = json!({ "Value": "SequenceUsed", "reason": "x", "since": seconds_from_now(-5).to_string() });
    let waiting = [
        claim(
            "c1",
            &json!({ "created_time": seconds_from_now(-100).to_string() }),
        ),
        claim("c2", &json!({})),
    ];
    let aws = with_open(&[], &waiting)
        .about("brokenflag", "GetItem", item(&flag))
        .always("UpdateItem", done())
        .on("SendMessage", done());
    let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
    let census = sweep(&aws, &chain).await.unwrap();
    assert_eq!(census.waiting, 2);
    assert_eq!(census.broken.as_deref(), Some("SequenceUsed"));
    let oldest = census.oldest_unpaid_seconds;
    assert!((100..110).contains(&oldest), "{oldest}");
    assert_eq!(woken(&aws), [json!({ "waiting": 2 })]);
}

#[tokio::test]
async fn a_claim_that_waited_too_long_ends_with_the_last_reason_why_it_did() {
    let late = seconds_from_now(-1).to_string();
    for (reason, told) in [
        (json!("faucet_empty"), "faucet_empty"),
        (Value::Null, "not_paid_in_time"),
    ] {
        let mut overdue = claim("c1", &json!({ "deadline": late }));
        if !reason.is_null() {
            overdue["reason"] = reason;
        }
        let aws = quiet(&[], std::slice::from_ref(&overdue))
            .on("GetItem", item(&overdue))
            .on("TransactWriteItems", done())
            .on("UpdateItem", done());
        let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
        let census = sweep(&aws, &chain).await.unwrap();
        assert_eq!((census.expired, census.waiting), (1, 0));
        let end = &aws.sent_once("TransactWriteItems")["TransactItems"][0]["Update"];
        assert_eq!(values(end)[":status"], "expired");
        assert_eq!(values(end)[":reason"], told);
        // Nothing is left that the payer could pay.
        assert!(aws.sent("SendMessage").is_empty());
    }
}

#[tokio::test]
async fn a_claim_that_a_payout_took_at_the_last_moment_does_not_expire() {
    let overdue = claim(
        "c1",
        &json!({ "deadline": seconds_from_now(-1).to_string() }),
    );
    let sent = with(overdue.clone(), &json!({ "status": "sent", "sequence": 7 }));
    let cancelled = || {
        let reasons = [("ConditionalCheckFailed", None)];
        offchain_store::test_util::cancelled(&reasons)
    };
    for (read, write) in [
        (item(&sent), None),
        (done(), None),
        (item(&overdue), Some(cancelled())),
    ] {
        let mut aws = quiet(&[], std::slice::from_ref(&overdue))
            .on("GetItem", read)
            .on("SendMessage", done())
            .on("UpdateItem", done());
        if let Some(write) = write {
            aws = aws.on("TransactWriteItems", write);
        }
        let chain = Script::new(&aws).account(Ok(account(7, 1_000_000)));
        assert_eq!(sweep(&aws, &chain).await.unwrap().expired, 0);
    }
}

#[tokio::test]
async fn every_open_payout_is_looked_at_even_where_one_fails() {
    let old = json!({ "created_time": seconds_from_now(-200).to_string() });
    let open = [payout(7, &old), payout(8, &json!({}))];
    let aws = quiet(&open, &[])
        .on("GetItem", item(&open[0]))
        .on("GetItem", item(&open[0]))
        .on("GetItem", item(&open[1]))
        .on("GetItem", item(&open[1]))
        .always("UpdateItem", done())
        .on("SendMessage", done());
    let chain = Script::new(&aws)
        .status(Err(no_answer()))
        .status(Ok(TxStatus::Included {
            height: 90,
            confirmations: 2,
            failure: None,
        }))
        .account(Ok(account(9, 1_000_000)));
    let census = sweep(&aws, &chain).await.unwrap();
    assert_eq!(census.open_payouts, 2);
    let oldest = census.oldest_unpaid_seconds;
    assert!((200..210).contains(&oldest), "{oldest}");
    assert_eq!(
        chain.asked(),
        [
            "status H7 from 0",
            "status H8 from 0",
            "account payer from 0"
        ]
    );
    let [ended] = updates(&aws, "payouts").try_into().unwrap();
    assert_eq!(ended["Key"]["sequence"], 8);
    assert_eq!(values(&ended)[":status"], "paid");
}

#[tokio::test]
async fn a_payout_that_the_index_still_has_is_no_harm() {
    let aws = quiet(&[payout(7, &json!({}))], &[])
        .on("GetItem", done())
        .on("GetItem", done())
        .on("UpdateItem", done());
    let chain = Script::new(&aws).account(Ok(account(8, 1_000_000)));
    let census = sweep(&aws, &chain).await.unwrap();
    assert_eq!(census.oldest_unpaid_seconds, 0);
}

#[tokio::test]
async fn a_balance_is_told_as_far_as_it_is_known() {
    for (fault, balance) in [
        (ChainFault::UnknownAccount("payer".into()), Some(0)),
        (no_answer(), None),
    ] {
        let aws = quiet(&[], &[]);
        let chain = Script::new(&aws).account(Err(fault));
        assert_eq!(sweep(&aws, &chain).await.unwrap().balance, balance);
    }
    // Before the first payout nobody knows which account it is.
    let aws = FakeAws::new()
        .always("Query", items(&[]))
        .always("GetItem", done());
    let census = sweep(&aws, &Script::new(&aws)).await.unwrap();
    assert_eq!((census.balance, census.spent_today), (None, 0));
}

#[tokio::test]
async fn a_store_that_cannot_be_used_fails_the_sweep() {
    let aws = FakeAws::new().on("Query", refusal(400, "ThrottlingException"));
    let error = sweep(&aws, &Script::new(&aws)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
    // Nor does it count where claims wait and the payer cannot be woken.
    let aws = quiet(&[], &[claim("c1", &json!({}))]).on("SendMessage", Reply::NoConnection);
    let error = sweep(&aws, &Script::new(&aws)).await.unwrap_err();
    assert_eq!(error.code(), "StoreUnavailable");
}
