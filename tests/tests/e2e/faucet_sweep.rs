//! What was forgotten is looked after: by the sweep, by alarms, and by dead
//! letters that go back.

use aws_sdk_sfn::types::ExecutionStatus;
use offchain_faucet::{ClaimStatus, PayoutStatus};
use serde_json::{Value, json};

use crate::chain::{Anvil, Testnet};
use crate::faucet::{followed, states};
use crate::faucet_world::{Faucet, point_faucet_at};
use crate::harness::{SOON, World, until};
use crate::oracle_alarms::ringing;
use crate::redrive::{Desk, text};

const AMOUNT: u128 = 1_000_000_000_000_000;
/// What makes the alarm ring.
const LOW: u128 = 10 * AMOUNT;

async fn pointed(desk: &mut Desk, chain: &Anvil, payout: Value) -> String {
    let policy = json!({"amount": AMOUNT.to_string()});
    let world = &mut desk.twin.world;
    let (_, sender) = point_faucet_at(world, &chain.settings(), &policy, &payout).await;
    chain.fund(&sender, 100 * LOW).await;
    chain.rpc("anvil_mine", json!([1])).await;
    sender
}

/// The newest line of metrics, as its log has it.
async fn metrics(world: &World) -> Value {
    until("a line of metrics", SOON, async || {
        let lines = world.logged("faucet-sweep", "CloudWatchMetrics").await;
        let newest = lines.last()?;
        Some(serde_json::from_str(newest).unwrap())
    })
    .await
}

async fn rings(world: &World, alarm: &str, state: &str) {
    let name = format!("{}-faucet-{alarm}", world.stack.name);
    until(&format!("{name} to be {state}"), SOON, async || {
        (world.alarms().await[&name] == state).then_some(())
    })
    .await;
}

/// Takes every message out of the queue that wakes the payer.
async fn lose_messages(world: &World) {
    let queue = &world.stack.faucet.queue_url;
    let purge = world.sqs.purge_queue().queue_url(queue);
    purge.send().await.unwrap();
    until("the messages to be gone", SOON, async || {
        (world.depth("faucet-claims").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_claim_whose_message_was_lost_is_paid_after_a_sweep_and_all_is_counted() {
    let mut desk = Desk::quiet("faucet-swept").await;
    let chain = Anvil::start(&[]).await;
    let sender = pointed(&mut desk, &chain, json!({"low_balance": LOW.to_string()})).await;
    let world = desk.world();
    let faucet = world.faucet();
    let held = world.hold_messages_of("faucet-pay").await;
    let ids = [
        faucet.accepted(&faucet.new_address()).await,
        faucet.accepted(&faucet.new_address()).await,
    ];
    lose_messages(world).await;
    drop(held);
    for id in &ids {
        assert_eq!(faucet.item(id).await.status, ClaimStatus::Queued);
    }
    let census = faucet.sweep().await;
    assert_eq!(
        (&census["waiting"], &census["expired"]),
        (&json!(2), &json!(0)),
        "{census}"
    );
    for id in &ids {
        assert_eq!(faucet.paid(id).await.sequence, Some(0));
    }
    faucet.settled(&sender).await;

    // What there is, in a line of metrics.
    let census = faucet.sweep().await;
    assert_eq!(census["waiting"], 0, "{census}");
    assert_eq!(census["broken"], Value::Null, "{census}");
    let balance = chain.balance(&sender).await;
    let line = until("the newest line of metrics", SOON, async || {
        let line = metrics(world).await;
        (line["WaitingClaims"] == 0).then_some(line)
    })
    .await;
    let coins = |units: u128| units as f64 / 1e18;
    let number = |name: &str| {
        line[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {line}"))
    };
    assert!((number("Balance") - coins(balance)).abs() < 1e-12, "{line}");
    assert!(
        (number("SpentToday") - coins(2 * AMOUNT)).abs() < 1e-12,
        "{line}"
    );
    for name in ["Broken", "OldestUnpaidSeconds", "OpenPayouts"] {
        assert!(number(name).abs() < 1e-12, "{name}: {line}");
    }
    assert_eq!(line["Suite"], world.stack.name);
    assert_eq!(line["Network"], world.stack.faucet.network);
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "offchain/faucet");
    assert_eq!(directive["Dimensions"], json!([["Suite", "Network"]]));
}

#[tokio::test]
async fn a_payout_that_no_block_takes_is_reported_and_settled_when_one_does() {
    let mut desk = Desk::quiet("faucet-stuck").await;
    let chain = Anvil::start(&["--no-mining"]).await;
    let payout = json!({"settle_deadline_seconds": 2, "bump_seconds": 3600});
    let sender = pointed(&mut desk, &chain, payout).await;
    let world = desk.world();
    let faucet = world.faucet();
    let id = faucet.accepted(&faucet.new_address()).await;
    let (status, history) = followed(world, 0).await;
    assert_eq!(status, ExecutionStatus::Failed);
    assert_eq!(states(&history).last(), Some(&"PayoutStuck"));
    let letter = desk.letter("faucet-executions-dlq").await;
    assert_eq!(text(&letter, "code"), "PayoutStuck", "{letter}");
    rings(world, "executions-dlq-depth", "ALARM").await;
    // A payout is open until its number is used.
    assert_eq!(faucet.item(&id).await.status, ClaimStatus::Sent);
    assert_eq!(faucet.sweep().await["open_payouts"], 1);
    assert_eq!(desk.redriven("faucet-executions-dlq").await, 1);
    let again = desk.letter("faucet-executions-dlq").await;
    assert_eq!(text(&again, "code"), "PayoutStuck", "{again}");

    chain.rpc("anvil_mine", json!([1])).await;
    // Whichever is first: the letter that goes back, or the sweep.
    assert_eq!(desk.redriven("faucet-executions-dlq").await, 1);
    let claim = faucet.paid(&id).await;
    assert_eq!(chain.balance(&claim.address).await, AMOUNT);
    let payouts = faucet.settled(&sender).await;
    assert_eq!(payouts.len(), 1);
    assert_eq!(payouts[0].status, PayoutStatus::Paid);
    assert_eq!(payouts[0].versions.len(), 1);
    until("every execution to end", SOON, async || {
        let list = world.sfn.list_executions();
        let list = list.state_machine_arn(&world.stack.faucet.state_machine_arn);
        let executions = list.send().await.unwrap().executions;
        assert_eq!(executions.len(), 3, "{executions:?}");
        let mut executions = executions.iter();
        let running = executions.any(|it| it.status == ExecutionStatus::Running);
        (!running).then_some(())
    })
    .await;
    assert_eq!(world.depth("faucet-executions-dlq").await, 0);
    rings(world, "executions-dlq-depth", "OK").await;
    assert_eq!(chain.sent(&sender).await.len(), 1);

    // The next is settled by the sweep alone.
    let id = faucet.accepted(&faucet.new_address()).await;
    let (status, _) = followed(world, 1).await;
    assert_eq!(status, ExecutionStatus::Failed);
    chain.rpc("anvil_mine", json!([1])).await;
    assert_eq!(faucet.sweep().await["open_payouts"], 1);
    assert_eq!(faucet.item(&id).await.status, ClaimStatus::Paid);
    settled_letter(&desk, &faucet).await;
}

/// The letter of a payout that is settled goes back, and has nothing to do.
async fn settled_letter(desk: &Desk, faucet: &Faucet<'_>) {
    desk.letter("faucet-executions-dlq").await;
    let before = faucet.tables().await;
    assert_eq!(desk.redriven("faucet-executions-dlq").await, 1);
    let world = desk.world();
    until("the execution to have ended", SOON, async || {
        let list = world.sfn.list_executions();
        let list = list.state_machine_arn(&world.stack.faucet.state_machine_arn);
        let executions = list.send().await.unwrap().executions;
        let succeeded = executions
            .iter()
            .filter(|it| it.status == ExecutionStatus::Succeeded);
        (succeeded.count() == 2).then_some(())
    })
    .await;
    assert_eq!(faucet.tables().await, before);
    assert_eq!(world.depth("faucet-executions-dlq").await, 0);
}

#[tokio::test]
async fn an_account_that_runs_low_rings_until_somebody_funds_it() {
    let mut desk = Desk::quiet("faucet-low").await;
    let chain = Anvil::start(&[]).await;
    let sender = pointed(&mut desk, &chain, json!({})).await;
    let world = desk.world();
    let faucet = world.faucet();
    let low = 100 * AMOUNT;
    let id = faucet.accepted(&faucet.new_address()).await;
    faucet.paid(&id).await;
    chain.fund(&sender, low - 1).await;
    assert_eq!(faucet.sweep().await["balance"], json!(low - 1));
    rings(world, "low-balance", "ALARM").await;
    let others = ringing(world, "-faucet-").await;
    assert_eq!(others.len(), 1, "{others:?}");
    chain.fund(&sender, 100 * low).await;
    faucet.sweep().await;
    // The lowest of five minutes is what counts: the one before is over by then.
    let low = metrics(world).await["Balance"].as_f64().unwrap();
    assert!(low > 1.0, "{low}");
}
