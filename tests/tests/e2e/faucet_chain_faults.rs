//! Faults of the chain, on twins with chains of their own: what is lost,
//! dropped, undone, refused or moved by somebody else, and nodes that cannot be
//! believed. Whatever happens, each claim is paid once or ends with a reason,
//! and no sequence number is left out. The table at the end says how each fault
//! is made.

use std::net::TcpListener;

use aws_sdk_sfn::types::ExecutionStatus;
use offchain_chains::{AccountKey, Broadcast, Chain, Terms, Transfer};
use offchain_faucet::{ClaimStatus, PayoutStatus};
use offchain_store::faucet::{Claim, Payout};
use serde_json::{Value, json};

use crate::chain::{Anvil, CosmosNode, STAKE, Sent, Testnet, network, new_address};
use crate::faucet::{followed, states};
use crate::faucet_world::{Faucet, point_faucet_at, set_policies};
use crate::harness::{SOON, World, until};
use crate::twin::Twin;

/// What a claim is paid on an EVM chain.
const WEI: u128 = 1_000_000_000_000_000;
/// Likewise on a Cosmos chain, where the fee of one transfer is [`FEE`].
const UNITS: u128 = 1000;
const FEE: u128 = 3000;
const GWEI: u128 = 1_000_000_000;

/// Points the faucet of a twin at a chain, and gives the new account coins.
async fn pointed(
    twin: &mut Twin,
    chain: &impl Testnet,
    settings: &Value,
    amount: u128,
    changes: &Value,
) -> (AccountKey, String) {
    let policy = json!({"amount": amount.to_string()});
    let payout = payout_policy(changes);
    let (key, sender) = point_faucet_at(&mut twin.world, settings, &policy, &payout).await;
    chain.fund(&sender, 10_000 * amount).await;
    (key, sender)
}

/// Nothing of an earlier part of a test is left in it, and nothing is signed
/// again without a reason.
pub(crate) fn payout_policy(changes: &Value) -> Value {
    let mut policy = json!({
        "batch": 50, "in_flight": 4, "confirmations": 1, "attempts": 3, "bump_seconds": 3600,
    });
    for (name, value) in changes.as_object().unwrap() {
        policy[name] = value.clone();
    }
    policy
}

/// An EVM chain on which a block comes when the test asks for one, and an
/// account on it.
async fn pointed_at_still_anvil(twin: &mut Twin, changes: &Value) -> (Anvil, AccountKey, String) {
    let chain = Anvil::start(&["--no-mining"]).await;
    let settings = chain.settings();
    let (key, sender) = pointed(twin, &*chain, &settings, WEI, changes).await;
    mine(&chain, 1).await;
    (chain, key, sender)
}

async fn mine(chain: &Anvil, blocks: u64) {
    chain.rpc("anvil_mine", json!([blocks])).await;
}

/// From now on a block comes every second.
async fn let_blocks_come(chain: &Anvil) {
    chain.rpc("evm_setIntervalMining", json!([1])).await;
}

/// Claims that come at one moment.
async fn claims_at_once(world: &World, count: usize) -> Vec<String> {
    let faucet = world.faucet();
    let held = world.hold_messages_of("faucet-pay").await;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(faucet.accepted(&faucet.new_address()).await);
    }
    drop(held);
    ids
}

/// Waits for something to be seen of a payout.
async fn payout_seen(
    faucet: &Faucet<'_>,
    (sender, sequence): (&str, u64),
    what: &str,
    is_so: impl Fn(&Payout) -> bool,
) -> Payout {
    until(&format!("payout {sequence} {what}"), SOON, async || {
        let payout = faucet.payouts.get(sender, sequence).await.unwrap()?;
        is_so(&payout).then_some(payout)
    })
    .await
}

async fn payout_sent(faucet: &Faucet<'_>, sender: &str, sequence: u64) -> Payout {
    let is_sent = |payout: &Payout| payout.status == PayoutStatus::Sent;
    payout_seen(faucet, (sender, sequence), "to be sent", is_sent).await
}

async fn claim_waits(faucet: &Faucet<'_>, id: &str, reason: &str) -> Claim {
    until(&format!("claim {id} to wait: {reason}"), SOON, async || {
        let claim = faucet.item(id).await;
        let waits = claim.status == ClaimStatus::Queued;
        (waits && claim.reason.as_deref() == Some(reason)).then_some(claim)
    })
    .await
}

/// The code of the broken flag, once it is as expected.
pub(crate) async fn flag(faucet: &Faucet<'_>, code: Option<&str>) {
    until(&format!("the broken flag: {code:?}"), SOON, async || {
        let broken = faucet.locks.broken(&faucet.names.broken).await.unwrap();
        (broken.map(|broken| broken.code).as_deref() == code).then_some(())
    })
    .await;
}

/// A sweep, as the schedule brings one each minute.
pub(crate) async fn paid_after_sweeps(faucet: &Faucet<'_>, id: &str) -> Claim {
    until(&format!("claim {id} to be paid"), SOON, async || {
        faucet.sweep().await;
        let claim = faucet.item(id).await;
        let paid = claim.status == ClaimStatus::Paid;
        assert!(paid || !claim.status.is_final(), "{claim:?}");
        paid.then_some(claim)
    })
    .await
}

/// Waits until each claim is paid, and checks that blocks have exactly one
/// transfer for each, and every number of the account once. Returns the
/// account's transactions and its payouts.
pub(crate) async fn each_paid_once(
    faucet: &Faucet<'_>,
    chain: &impl Testnet,
    sender: &str,
    ids: &[String],
    amount: u128,
) -> (Vec<Sent>, Vec<Payout>) {
    let mut addresses = Vec::new();
    let mut hashes = Vec::new();
    for id in ids {
        let claim = faucet.paid(id).await;
        hashes.push((claim.hash.unwrap(), claim.height.unwrap()));
        addresses.push(claim.address);
    }
    let payouts = faucet.settled(sender).await;
    let sent = chain.sent(sender).await;
    let mut sequences: Vec<_> = sent.iter().map(|sent| sent.sequence).collect();
    // One that came too late for its block has used no number.
    sequences.dedup();
    let contiguous: Vec<_> = (0..sequences.len() as u64).collect();
    assert_eq!(sequences, contiguous, "{sent:?}");
    for (hash, height) in &hashes {
        let of_it = sent.iter().find(|sent| sent.hash == *hash);
        let of_it = of_it.unwrap_or_else(|| panic!("no block has {hash}: {sent:?}"));
        assert!(of_it.made && of_it.height == *height, "{of_it:?}");
    }
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let balances = chain.balances(&addresses).await;
    assert!(
        balances.iter().all(|balance| *balance == amount),
        "{balances:?}"
    );
    flag(faucet, None).await;
    (sent, payouts)
}

fn statuses(payouts: &[Payout]) -> Vec<PayoutStatus> {
    payouts.iter().map(|payout| payout.status).collect()
}

/// How often sources have claimed, as far as it is counted.
async fn counted(faucet: &Faucet<'_>) -> u64 {
    let counts = faucet.limits("source#").await;
    let counts = counts.values().map(|item| item["spent"].as_n().unwrap());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_cosmos_broadcast_whose_reply_is_lost_is_sent_again_and_paid_once() {
    let mut twin = Twin::quiet("faucet-lost-reply").await;
    let chain = CosmosNode::start(&["--block-ms", "500"]).await;
    let settings = chain.settings();
    let (_, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let faucet = twin.world.faucet();
    chain.admin("halt", json!({})).await;
    chain.admin("lose-replies", json!({"broadcasts": 1})).await;
    let first = faucet.accepted(&faucet.new_address()).await;
    flag(&faucet, Some("BroadcastUnknown")).await;
    let payout = faucet.payouts.get(&sender, 0).await.unwrap().unwrap();
    assert_eq!(
        (payout.status, payout.reason.as_deref()),
        (PayoutStatus::Signed, Some("outcome_unknown"))
    );
    assert_eq!(faucet.item(&first).await.status, ClaimStatus::Sent);
    assert_eq!(faucet.status().await["status"], "broken");

    // The next run sends the same bytes again before it signs anything.
    let second = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 1).await;
    payout_sent(&faucet, &sender, 0).await;
    flag(&faucet, None).await;
    assert_eq!(faucet.status().await["status"], "ok");
    chain.admin("resume", json!({})).await;
    // Nobody follows a payout whose run broke off: the sweep does.
    paid_after_sweeps(&faucet, &first).await;
    let ids = [first, second];
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!((sent.len(), payouts.len()), (2, 2));
    assert!(payouts.iter().all(|payout| payout.versions.len() == 1));

    // One whose reply is lost, and nobody claims after it: the sweep alone.
    chain.admin("lose-replies", json!({"broadcasts": 1})).await;
    let third = faucet.accepted(&faucet.new_address()).await;
    // A wake of the payouts before may have come since, and cleared the flag.
    until("the second lost reply", SOON, async || {
        let lines = twin.world.logged("faucet-pay", "BroadcastUnknown").await;
        let of_it = lines.iter().any(|line| line.contains(r#""sequence":2"#));
        of_it.then_some(())
    })
    .await;
    paid_after_sweeps(&faucet, &third).await;
    let (sent, _) = each_paid_once(&faucet, &chain, &sender, &[third], UNITS).await;
    assert_eq!(sent.len(), 3);
}

/// Signs what waits while no block comes, takes the coins away, and lets the
/// block come: the transfer is over the balance, and the fee is not.
async fn drained_before_its_block(
    faucet: &Faucet<'_>,
    chain: &CosmosNode,
    sender: &str,
    sequence: u64,
    start: impl AsyncFnOnce(),
) {
    chain.admin("halt", json!({})).await;
    chain.fund(sender, 10_000 * UNITS).await;
    start().await;
    payout_sent(faucet, sender, sequence).await;
    chain.fund(sender, FEE + UNITS / 2).await;
    chain.admin("resume", json!({})).await;
    let at = (sender, sequence);
    let is_final = |payout: &Payout| payout.status.is_final();
    let payout = payout_seen(faucet, at, "to end", is_final).await;
    assert_eq!(payout.status, PayoutStatus::Failed, "{payout:?}");
    let why = payout.reason.unwrap();
    assert!(why.contains("insufficient funds"), "{why}");
}

#[tokio::test]
async fn a_cosmos_transfer_over_the_balance_fails_in_its_block_and_waits_for_coins() {
    let mut twin = Twin::quiet("faucet-drained").await;
    let chain = CosmosNode::start(&["--block-ms", "500"]).await;
    let settings = chain.settings();
    let (_, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let faucet = twin.world.faucet();
    let ids = claims_at_once(&twin.world, 2).await;
    let paid_before = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    let first = paid_before.0.len() as u64;

    let address = faucet.new_address();
    let mut id = String::new();
    let claim = async || id = faucet.accepted(&address).await;
    drained_before_its_block(&faucet, &chain, &sender, first, claim).await;
    let claim = claim_waits(&faucet, &id, "faucet_empty").await;
    assert_eq!((claim.attempts, claim.sequence), (1, None));
    let view = faucet.show(&id).await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("queued"), &json!("faucet_empty"))
    );
    chain.fund(&sender, 10_000 * UNITS).await;
    paid_after_sweeps(&faucet, &id).await;
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &[id], UNITS).await;
    let end: Vec<_> = sent[sent.len() - 2..].iter().map(|it| it.made).collect();
    assert_eq!(end, [false, true], "{sent:?}");
    let end = &payouts[payouts.len() - 2..];
    assert_eq!(statuses(end), [PayoutStatus::Failed, PayoutStatus::Paid]);

    // Nobody funds it in time, as often as it is tried.
    let changes = payout_policy(&json!({"attempts": 2}));
    set_policies(&mut twin.world, &json!({}), &changes).await;
    let faucet = twin.world.faucet();
    let (spent, claims) = (faucet.spent().await, counted(&faucet).await);
    let sequence = sent.len() as u64;
    let address = faucet.new_address();
    let mut id = String::new();
    let claim = async || id = faucet.accepted(&address).await;
    drained_before_its_block(&faucet, &chain, &sender, sequence, claim).await;
    claim_waits(&faucet, &id, "faucet_empty").await;
    assert_eq!(
        (faucet.spent().await, counted(&faucet).await),
        (spent + UNITS, claims + 1)
    );
    let again = async || {
        faucet.sweep().await;
    };
    drained_before_its_block(&faucet, &chain, &sender, sequence + 1, again).await;
    let claim = faucet.reached(&id, ClaimStatus::Failed).await;
    assert_eq!(claim.reason.as_deref(), Some("transfer_failed"));
    assert_eq!(claim.reserved, None);
    let view = faucet.show(&id).await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("failed"), &json!("transfer_failed"))
    );
    // Whatever was reserved is given back.
    assert_eq!(
        (faucet.spent().await, counted(&faucet).await),
        (spent, claims)
    );
    let cooldowns = faucet.limits(&format!("address#{address}")).await;
    assert!(cooldowns.is_empty(), "{cooldowns:?}");
    assert_eq!(chain.balance(&address).await, 0);
    chain.fund(&sender, 10_000 * UNITS).await;
    let id = faucet.accepted(&address).await;
    each_paid_once(&faucet, &chain, &sender, &[id], UNITS).await;

    // It is funded too late.
    chain.fund(&sender, UNITS / 2).await;
    let policy = json!({"claim_deadline_seconds": 1});
    set_policies(&mut twin.world, &policy, &changes).await;
    let faucet = twin.world.faucet();
    let before = (faucet.spent().await, counted(&faucet).await);
    let id = faucet.accepted(&faucet.new_address()).await;
    let claim = until("the claim to expire", SOON, async || {
        faucet.sweep().await;
        let claim = faucet.item(&id).await;
        claim.status.is_final().then_some(claim)
    })
    .await;
    assert_eq!(
        (claim.status, claim.reason.as_deref()),
        (ClaimStatus::Expired, Some("faucet_empty"))
    );
    assert_eq!((faucet.spent().await, counted(&faucet).await), before);
}

#[tokio::test]
async fn one_recipient_that_cannot_be_paid_costs_the_others_of_its_batch_nothing() {
    let mut twin = Twin::quiet("faucet-blocked").await;
    let chain = CosmosNode::start(&["--block-ms", "500"]).await;
    let settings = chain.settings();
    let (_, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let held = world.hold_messages_of("faucet-pay").await;
    let mut claims = Vec::new();
    for _ in 0..5 {
        let address = faucet.new_address();
        claims.push((faucet.accepted(&address).await, address));
    }
    let (blocked_id, blocked) = claims.remove(2);
    let members = json!({"address": blocked, "blocked": true});
    chain.admin("block-address", members).await;
    drop(held);

    let (status, history) = followed(world, 0).await;
    assert_eq!(status, ExecutionStatus::Failed);
    assert_eq!(states(&history).last(), Some(&"PayoutFailed"));
    let claim = faucet.reached(&blocked_id, ClaimStatus::Failed).await;
    assert_eq!(claim.reason.as_deref(), Some("transfer_failed"));
    let ids: Vec<_> = claims.iter().map(|(id, _)| id.clone()).collect();
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    // The batch, each one alone, and the blocked one for the last time.
    assert_eq!(sent.len(), 7, "{sent:?}");
    for (payout, sent) in payouts.iter().zip(&sent) {
        assert_eq!(payout.sequence, sent.sequence);
        assert_eq!(payout.hash.as_ref(), Some(&sent.hash));
        let of = if sent.sequence == 0 { 5 } else { 1 };
        assert_eq!(payout.transfers.len(), of, "{payout:?}");
        let pays_it = payout.transfers.iter().any(|it| it.address == blocked);
        let expected = if pays_it {
            PayoutStatus::Failed
        } else {
            PayoutStatus::Paid
        };
        assert_eq!(payout.status, expected, "{payout:?}");
        assert_eq!(sent.made, !pays_it, "{sent:?}");
    }

    let ledger = chain.ledger().await;
    let transfers = ledger
        .transactions
        .iter()
        .flat_map(|entry| &entry.transfers);
    let mut paid: Vec<_> = transfers.map(|it| it["to"].as_str().unwrap()).collect();
    let mut expected: Vec<_> = claims.iter().map(|(_, to)| to.as_str()).collect();
    paid.sort_unstable();
    expected.sort_unstable();
    assert_eq!(paid, expected);
    assert_eq!(chain.balance(&blocked).await, 0);
    assert_eq!(faucet.spent().await, 4 * UNITS);
    assert_eq!(counted(&faucet).await, 4);
    let cooldowns = faucet.limits("address#").await;
    let mut expected: Vec<_> = claims
        .iter()
        .map(|(_, to)| format!("address#{to}"))
        .collect();
    expected.sort();
    assert_eq!(cooldowns.into_keys().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn dropped_transactions_are_sent_again_and_a_gap_is_closed() {
    let mut twin = Twin::quiet("faucet-dropped").await;
    let (chain, _, sender) = pointed_at_still_anvil(&mut twin, &json!({"batch": 1})).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let ids = claims_at_once(world, 3).await;
    // The first leaves a gap: the others cannot be in a block without it.
    for sequence in [2, 0] {
        let payout = payout_sent(&faucet, &sender, sequence).await;
        let hash = payout.last().unwrap().hash.clone();
        chain.rpc("anvil_dropTransaction", json!([hash])).await;
        until("the transaction to be sent again", SOON, async || {
            let found = chain.rpc("eth_getTransactionByHash", json!([hash])).await;
            (!found.is_null()).then_some(())
        })
        .await;
    }
    let_blocks_come(&chain).await;
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(sent.len(), 3);
    assert!(payouts.iter().all(|payout| payout.versions.len() == 1));

    // The coins go while a transaction waits: no block takes it until they are
    // back.
    chain.rpc("evm_setIntervalMining", json!([0])).await;
    let id = faucet.accepted(&faucet.new_address()).await;
    let payout = payout_sent(&faucet, &sender, 3).await;
    let funds = chain.balance(&sender).await;
    chain.fund(&sender, WEI / 2).await;
    mine(&chain, 2).await;
    assert_eq!(chain.nonce(&sender).await, 3);
    assert_eq!(faucet.item(&id).await.status, ClaimStatus::Sent);
    chain.fund(&sender, funds).await;
    let_blocks_come(&chain).await;
    let (sent, _) = each_paid_once(&faucet, &*chain, &sender, &[id], WEI).await;
    assert_eq!(
        Some(&sent[3].hash),
        payout.last().map(|version| &version.hash)
    );
    assert_eq!(sent.len(), 4);
}

#[tokio::test]
async fn a_cosmos_transaction_that_is_dropped_or_comes_too_late_is_replaced() {
    let mut twin = Twin::quiet("faucet-too-late").await;
    let chain = CosmosNode::start(&["--block-ms", "500"]).await;
    let mut settings = chain.settings();
    settings["timeout_blocks"] = json!(6);
    let (_, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let faucet = twin.world.faucet();
    chain.admin("halt", json!({})).await;
    let dropped = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 0).await;
    chain.admin("drop-mempool", json!({})).await;
    chain.admin("resume", json!({})).await;
    let ids = [dropped];
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!((sent.len(), payouts[0].versions.len()), (1, 1));

    // Blocks come, and take nothing.
    chain.admin("block-size", json!({"transactions": 0})).await;
    let late = faucet.accepted(&faucet.new_address()).await;
    let again = |payout: &Payout| payout.versions.len() >= 2;
    payout_seen(&faucet, (&sender, 1), "to be signed again", again).await;
    chain
        .admin("block-size", json!({"transactions": 100}))
        .await;
    let ids = [late];
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!(payouts.len(), 2);
    let made: Vec<_> = sent.iter().filter(|sent| sent.made).collect();
    assert_eq!(made.len(), 2, "{sent:?}");
    let mut versions = payouts[1].versions.iter();
    assert_ne!(versions.next().map(|it| &it.hash), Some(&made[1].hash));
    assert!(versions.any(|version| version.hash == made[1].hash));
}

#[tokio::test]
async fn a_payout_whose_block_is_undone_is_paid_in_another() {
    let mut twin = Twin::quiet("faucet-reorg").await;
    let changes = json!({"confirmations": 3});
    let (chain, _, sender) = pointed_at_still_anvil(&mut twin, &changes).await;
    let faucet = twin.world.faucet();
    let id = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 0).await;
    mine(&chain, 1).await;
    let claim = faucet.reached(&id, ClaimStatus::Committed).await;
    assert_eq!(claim.height, Some(chain.height().await));
    assert_eq!(chain.balance(&claim.address).await, WEI);
    chain.rpc("anvil_reorg", json!([1, []])).await;
    let gone = chain.balance(&claim.address).await;
    assert_eq!(gone, 0, "the block is still there");
    let claim = faucet.reached(&id, ClaimStatus::Sent).await;
    assert_eq!(claim.height, None);
    payout_sent(&faucet, &sender, 0).await;
    let_blocks_come(&chain).await;
    let ids = [id];
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!((sent.len(), payouts.len()), (1, 1));

    // One that was taken for final is put back by the next run.
    let policy = payout_policy(&json!({"confirmations": 1}));
    set_policies(&mut twin.world, &json!({}), &policy).await;
    let faucet = twin.world.faucet();
    let second = faucet.accepted(&faucet.new_address()).await;
    let claim = faucet.paid(&second).await;
    chain.rpc("evm_setIntervalMining", json!([0])).await;
    let depth = chain.height().await + 1 - claim.height.unwrap();
    chain.rpc("anvil_reorg", json!([depth, []])).await;
    assert_eq!(chain.balance(&claim.address).await, 0);
    let third = faucet.accepted(&faucet.new_address()).await;
    let_blocks_come(&chain).await;
    faucet.paid(&third).await;
    let addresses = [&claim.address, &faucet.item(&third).await.address];
    for address in addresses {
        assert_eq!(chain.balance(address).await, WEI);
    }
    let sent = chain.sent(&sender).await;
    let sequences: Vec<_> = sent.iter().map(|sent| sent.sequence).collect();
    assert_eq!(sequences, [0, 1, 2]);
    assert_eq!(Some(&sent[1].hash), claim.hash.as_ref());
}

#[tokio::test]
async fn a_number_that_an_undone_block_gave_back_is_filled() {
    let mut twin = Twin::quiet("faucet-filled").await;
    let (chain, key, sender) = pointed_at_still_anvil(&mut twin, &json!({})).await;
    let faucet = twin.world.faucet();
    let terms = Terms::Evm {
        gas: 21_000,
        max_fee: 10 * GWEI,
        priority_fee: GWEI,
    };
    let other = foreign(&faucet.chain, &key, 0, &terms).await;
    mine(&chain, 1).await;
    let first = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 1).await;
    mine(&chain, 1).await;
    let claim = faucet.paid(&first).await;
    // Both are gone, and nobody has the bytes of the other one.
    chain.rpc("anvil_reorg", json!([2, []])).await;
    assert_eq!(chain.nonce(&sender).await, 0);
    let second = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 2).await;
    let_blocks_come(&chain).await;
    faucet.paid(&second).await;
    // Nobody claimed what fills the gap, and only the sweep asks about it.
    faucet.sweep().await;
    let payouts = faucet.settled(&sender).await;
    assert_eq!(payouts.len(), 3);
    assert!(payouts[0].transfers.is_empty(), "{payouts:?}");
    let sent = chain.sent(&sender).await;
    let hashes: Vec<_> = sent.iter().map(|sent| Some(&sent.hash)).collect();
    let expected: Vec<_> = payouts.iter().map(|payout| payout.hash.as_ref()).collect();
    assert_eq!(hashes, expected);
    assert_eq!(hashes[1], claim.hash.as_ref());
    let second = faucet.item(&second).await;
    let balances = chain
        .balances(&[&claim.address, &second.address, &other.to])
        .await;
    assert_eq!(balances, [WEI, WEI, 0]);
}

#[tokio::test]
async fn a_fee_spike_is_outbid_as_far_as_the_limit_goes() {
    let mut twin = Twin::quiet("faucet-fee-spike").await;
    let changes = json!({"bump_seconds": 1});
    let (chain, _, sender) = pointed_at_still_anvil(&mut twin, &changes).await;
    let faucet = twin.world.faucet();
    let id = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, 0).await;
    spike(&chain, 20 * GWEI).await;
    assert_eq!(chain.nonce(&sender).await, 0);
    let versions = |payout: &Payout| payout.versions.len() >= 3;
    payout_seen(&faucet, (&sender, 0), "to be signed again", versions).await;
    until("a version that a block takes", SOON, async || {
        mine(&chain, 1).await;
        (chain.nonce(&sender).await == 1).then_some(())
    })
    .await;
    let_blocks_come(&chain).await;
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &[id], WEI).await;
    assert_eq!((sent.len(), payouts.len()), (1, 1));
    let payout = &payouts[0];
    let landed = payout.versions.iter().filter(|it| it.hash == sent[0].hash);
    assert_eq!(landed.count(), 1, "{payout:?}");
    assert_eq!(payout.hash.as_ref(), Some(&sent[0].hash));
    let mut offers = payout.versions.iter().map(|version| {
        let Terms::Evm { max_fee, .. } = serde_json::from_str(&version.terms).unwrap() else {
            panic!("{version:?}");
        };
        max_fee
    });
    assert!(offers.clone().is_sorted_by(|a, b| a < b), "{payout:?}");
    assert!(offers.all(|offer| offer <= 100 * GWEI), "{payout:?}");

    // Above the most that may be paid, nothing is signed.
    chain.rpc("evm_setIntervalMining", json!([0])).await;
    spike(&chain, 500 * GWEI).await;
    let id = faucet.accepted(&faucet.new_address()).await;
    claim_waits(&faucet, &id, "fee_too_high").await;
    assert_eq!(faucet.payouts_of(&sender).await.len(), 1);
    spike(&chain, GWEI).await;
    let_blocks_come(&chain).await;
    paid_after_sweeps(&faucet, &id).await;
    let (sent, _) = each_paid_once(&faucet, &*chain, &sender, &[id], WEI).await;
    assert_eq!(sent.len(), 2);
}

/// Makes a block with this base fee.
async fn spike(chain: &Anvil, base_fee: u128) {
    let fee = format!("{base_fee:#x}");
    chain
        .rpc("anvil_setNextBlockBaseFeePerGas", json!([fee]))
        .await;
    mine(chain, 1).await;
}

/// Sends the smallest sum to an address, with the faucet's own key and a
/// number, as another holder of the key would.
async fn foreign(settings: &Value, key: &AccountKey, sequence: u64, terms: &Terms) -> Transfer {
    let network = network(settings);
    let transfer = Transfer {
        to: new_address(settings),
        amount: 1,
    };
    let transfers = std::slice::from_ref(&transfer);
    let signed = network.sign(key, sequence, transfers, terms).unwrap();
    let said = network.broadcast(&signed.bytes).await.unwrap();
    assert_eq!(said, Broadcast::Accepted);
    transfer
}

#[tokio::test]
async fn a_number_that_somebody_else_used_on_an_evm_chain_is_left_to_them() {
    let mut twin = Twin::quiet("faucet-foreign-evm").await;
    let (chain, key, sender) = pointed_at_still_anvil(&mut twin, &json!({})).await;
    let world = &twin.world;
    let faucet = world.faucet();
    // More than the faucet would ever offer.
    let dear = Terms::Evm {
        gas: 21_000,
        max_fee: 300 * GWEI,
        priority_fee: 200 * GWEI,
    };
    let before = foreign(&faucet.chain, &key, 0, &dear).await;
    let mut ids = claims_at_once(world, 2).await;
    flag(&faucet, Some("TransactionRefused")).await;
    let_blocks_come(&chain).await;
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(chain.balance(&before.to).await, 1);
    assert_eq!((sent.len(), payouts.len()), (2, 2));
    assert_eq!(statuses(&payouts), [PayoutStatus::Lost, PayoutStatus::Paid]);
    assert_eq!(payouts[0].reason.as_deref(), Some("number_used"));
    let (status, history) = followed(world, 0).await;
    assert_eq!(status, ExecutionStatus::Succeeded);
    assert_eq!(states(&history).last(), Some(&"Requeued"));
    assert_eq!(faucet.item(&ids[0]).await.attempts, 0);

    // It comes after the faucet's own, and pushes that out of the mempool.
    chain.rpc("evm_setIntervalMining", json!([0])).await;
    ids.extend(claims_at_once(world, 2).await);
    payout_sent(&faucet, &sender, 2).await;
    let after = foreign(&faucet.chain, &key, 2, &dear).await;
    let_blocks_come(&chain).await;
    let (sent, payouts) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(chain.balance(&after.to).await, 1);
    assert_eq!(sent.len(), 4);
    use PayoutStatus::{Lost, Paid};
    assert_eq!(statuses(&payouts), [Lost, Paid, Lost, Paid]);
}

#[tokio::test]
async fn a_number_that_somebody_else_used_on_a_cosmos_chain_is_left_to_them() {
    let mut twin = Twin::quiet("faucet-foreign-cosmos").await;
    let chain = CosmosNode::start(&["--block-ms", "500"]).await;
    let settings = chain.settings();
    let (key, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let world = &twin.world;
    let faucet = world.faucet();
    let network = network(&settings);
    let account = network.account(&sender, 0).await.unwrap();
    let some = [Transfer {
        to: sender.clone(),
        amount: 1,
    }];
    let terms = network.terms(&sender, &account, &some, None).await.unwrap();
    chain.admin("halt", json!({})).await;
    let taken = foreign(&settings, &key, 0, &terms).await;
    let ids = claims_at_once(world, 2).await;
    flag(&faucet, Some("SequenceUsed")).await;
    let payout = faucet.payouts.get(&sender, 0).await.unwrap().unwrap();
    assert_eq!(payout.reason.as_deref(), Some("sequence_unclear"));
    chain.admin("resume", json!({})).await;
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!(chain.balance(&taken.to).await, 1);
    assert_eq!(sent.len(), 2);
    assert_eq!(statuses(&payouts), [PayoutStatus::Lost, PayoutStatus::Paid]);
    assert_eq!(faucet.item(&ids[0]).await.attempts, 0);
    let (status, history) = followed(world, 0).await;
    assert_eq!(status, ExecutionStatus::Succeeded);
    assert_eq!(states(&history).last(), Some(&"Requeued"));
}

#[tokio::test]
async fn the_second_node_pays_where_the_first_cannot_be_believed() {
    let mut twin = Twin::quiet("faucet-nodes").await;
    let chain = CosmosNode::start(&["--block-ms", "500", "--peers", "1"]).await;
    let mut settings = chain.settings();
    let peer = chain.peers()[0].clone();
    let second = json!({"url": peer.rest, "rpc_url": peer.rpc});
    settings["nodes"].as_array_mut().unwrap().push(second);
    let (_, sender) = pointed(&mut twin, &chain, &settings, UNITS, &json!({})).await;
    let mut ids = Vec::new();
    for (number, (order, members)) in [
        ("refuse", json!({"calls": 100_000})),
        ("fail", json!({"calls": 100_000})),
        ("chain-id", json!({"chain_id": "another-1"})),
        ("behind", json!({"blocks": 6})),
        ("delay", json!({"route": null, "ms": 20_000})),
    ]
    .into_iter()
    .enumerate()
    {
        // Fresh processes, which ask the first node first.
        let changes = payout_policy(&json!({"bump_seconds": 1000 + number}));
        set_policies(&mut twin.world, &json!({}), &changes).await;
        chain.admin("clear", json!({})).await;
        chain.admin(order, members).await;
        let faucet = twin.world.faucet();
        let passed_over = async || {
            let lines = twin
                .world
                .logged("faucet-pay", "a node of the chain failed");
            lines.await.len()
        };
        let before = passed_over().await;
        let id = faucet.accepted(&faucet.new_address()).await;
        faucet.paid(&id).await;
        ids.push(id);
        // One that is behind does not say so, and its answers are used.
        if order != "behind" {
            until(&format!("{order} to be seen"), SOON, async || {
                (passed_over().await > before).then_some(())
            })
            .await;
        }
    }
    chain.admin("clear", json!({})).await;
    let faucet = twin.world.faucet();
    let (sent, _) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!(sent.len(), ids.len());

    // No node of the chain is left, and one comes back.
    let changes = payout_policy(&json!({"bump_seconds": 2000}));
    set_policies(&mut twin.world, &json!({}), &changes).await;
    let faucet = twin.world.faucet();
    let other = json!({"chain_id": "another-1"});
    chain.admin("chain-id", other.clone()).await;
    chain.admin_of(&peer, "chain-id", other).await;
    let id = faucet.accepted(&faucet.new_address()).await;
    claim_waits(&faucet, &id, "chain_unavailable").await;
    faucet.sweep().await;
    let view = faucet.show(&id).await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("queued"), &json!("chain_unavailable"))
    );
    assert_eq!(faucet.payouts_of(&sender).await.len(), ids.len());
    chain.admin_of(&peer, "clear", json!({})).await;
    paid_after_sweeps(&faucet, &id).await;
    chain.admin("clear", json!({})).await;
    ids.push(id);

    // The nodes go away while the payout waits for its block.
    chain.admin("halt", json!({})).await;
    let id = faucet.accepted(&faucet.new_address()).await;
    payout_sent(&faucet, &sender, ids.len() as u64).await;
    let away = json!({"calls": 100_000});
    chain.admin("refuse", away.clone()).await;
    chain.admin_of(&peer, "refuse", away).await;
    chain.admin("resume", json!({})).await;
    let confirms = async || {
        let failed = twin.world.logged("faucet-confirm", "ChainUnavailable");
        failed.await.len()
    };
    let before = confirms().await;
    until("a look in vain", SOON, async || {
        (confirms().await > before).then_some(())
    })
    .await;
    assert_eq!(faucet.item(&id).await.status, ClaimStatus::Sent);
    chain.admin("clear", json!({})).await;
    ids.push(id);
    let (sent, payouts) = each_paid_once(&faucet, &chain, &sender, &ids, UNITS).await;
    assert_eq!((sent.len(), payouts.len()), (ids.len(), ids.len()));
    assert!(sent.iter().all(|sent| sent.made), "{sent:?}");
    assert_eq!(
        chain.ledger().await.balances[&sender][STAKE].parse::<u128>(),
        {
            let paid = ids.len() as u128 * (UNITS + FEE);
            Ok(10_000 * UNITS - paid)
        }
    );
}

#[tokio::test]
async fn an_evm_node_that_is_dead_or_of_another_chain_is_passed_over() {
    let mut twin = Twin::quiet("faucet-nodes-evm").await;
    let chain = Anvil::start(&[]).await;
    let other = Anvil::start(&["--chain-id", "1"]).await;
    let slow = Anvil::start(&[]).await;
    slow.signal("STOP");
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let dead = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let mut settings = chain.settings();
    let nodes = [&dead, other.url(), slow.url(), chain.url()];
    settings["nodes"] = nodes.map(|url| json!({"url": url})).into_iter().collect();
    let (_, sender) = pointed(&mut twin, &*chain, &settings, WEI, &json!({})).await;
    mine(&chain, 1).await;
    let ids = claims_at_once(&twin.world, 2).await;
    let faucet = twin.world.faucet();
    let (sent, _) = each_paid_once(&faucet, &*chain, &sender, &ids, WEI).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(other.nonce(&sender).await, 0);
    assert_eq!(other.height().await, 0);

    // Only the other chain's node: nothing is even signed.
    settings["nodes"] = json!([{"url": other.url()}]);
    let (_, sender) = pointed(&mut twin, &*other, &settings, WEI, &json!({})).await;
    let faucet = twin.world.faucet();
    let id = faucet.accepted(&faucet.new_address()).await;
    claim_waits(&faucet, &id, "chain_unavailable").await;
    assert!(faucet.payouts_of(&sender).await.is_empty());
    // Somebody writes the right chain id down.
    settings["chain_id"] = json!(1);
    let environment = &mut twin.world.stack.faucet.environment;
    environment.insert("FAUCET_CHAIN".to_owned(), settings.to_string());
    set_policies(&mut twin.world, &json!({}), &json!({})).await;
    let faucet = twin.world.faucet();
    paid_after_sweeps(&faucet, &id).await;
    let (sent, _) = each_paid_once(&faucet, &*other, &sender, &[id], WEI).await;
    assert_eq!(sent.len(), 1);
}

// What is done to the chain, and what is seen then. "Once" means: blocks have
// one transfer for the claim, and every number of the account is used once.
//
// | fault | how it is made | what is seen |
// |---|---|---|
// | Cosmos: the reply to a broadcast is lost | `lose-replies` | flag `BroadcastUnknown`, reason `outcome_unknown`; the same bytes go out again before anything is signed, the flag is cleared; once |
// | Cosmos: over the balance in its block | `halt`, `balance` after signing, `resume` | payout `failed`, claim `queued` (`faucet_empty`); once when funded |
// | the same, as often as `attempts` says | the same again | claim `failed` (`transfer_failed`); cooldown, count and budget given back |
// | Cosmos: never funded | `balance`, a short deadline | claim `expired` (`faucet_empty`); count and budget given back |
// | Cosmos: one of five recipients is blocked | `block-address` | the batch `failed`, each tried alone; four once, the fifth `failed` and given back |
// | Cosmos: the mempool is lost | `drop-mempool` | the same bytes again; once |
// | Cosmos: no block takes it before its timeout height | `block-size` 0 | another version; once |
// | EVM: dropped, also before others (a nonce gap) | `anvil_dropTransaction` | the same bytes again; once |
// | EVM: the coins are gone while it waits | `anvil_setBalance` | `sent` until they are back; once |
// | EVM: the block is undone before it is final | `anvil_reorg` | `committed`, `sent` again; once |
// | EVM: the block is undone after it was final | `anvil_reorg` | the next run sends the bytes again; once |
// | EVM: an undone block gives a foreign number back | `anvil_reorg` | a payout to the account itself fills it; once |
// | EVM: the base fee is above the offer | `anvil_setNextBlockBaseFeePerGas` | versions that offer more, one of them in a block; once |
// | EVM: the base fee is above the limit | the same | nothing is signed, `queued` (`fee_too_high`); once when it falls |
// | another holder of the key is first (both chains) | signed and sent by the test | payout `lost` (`number_used`), claims `queued` again; once, no attempt counted |
// | EVM: another holder pushes it out of the mempool | a higher fee | the same |
// | first node refuses, fails, is slow, behind or of another chain (Cosmos) | `refuse`, `fail`, `delay`, `behind`, `chain-id` | the second one is asked; once |
// | first nodes dead, of another chain, hanging (EVM) | closed port, `--chain-id`, SIGSTOP | the fourth one is asked; once |
// | no node of this chain | `chain-id` at both; anvil of another chain | `queued` (`chain_unavailable`), nothing signed; once when one is back |
// | all nodes go while it waits for its block | `refuse` at both | `sent`; once when they are back |
