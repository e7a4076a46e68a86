//! Many claims at once, through the functions and through processes of their
//! own: each is paid once, out of one account, without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::future::join_all;
use offchain_faucet::PayoutStatus;
use offchain_store::faucet::Claim;
use serde_json::json;

use crate::chain::{Anvil, CosmosNode, Testnet, new_address};
use crate::faucet_world::{Served, point_faucet_at, post_claim};
use crate::harness::{Api, SOON, World, report, until};
use crate::twin::Twin;

/// Claims at each door, and doors beside the functions.
const EACH: usize = 50;
const PROCESSES: usize = 3;

#[tokio::test]
async fn two_hundred_claims_at_once_are_each_paid_once_on_an_evm_chain() {
    let chain = Anvil::start(&["--block-time", "1"]).await;
    each_paid_once("faucet-many-evm", &*chain, 1_000_000_000_000_000).await;
}

#[tokio::test]
async fn two_hundred_claims_at_once_are_each_paid_once_on_a_cosmos_chain() {
    let chain = CosmosNode::start(&["--block-ms", "1000"]).await;
    each_paid_once("faucet-many-cosmos", &chain, 1000).await;
}

async fn each_paid_once(name: &str, chain: &impl Testnet, amount: u128) {
    let mut twin = Twin::quiet(name).await;
    let policy = json!({"amount": amount.to_string(), "wait_seconds": 25});
    let settings = chain.settings();
    let (_, sender) = point_faucet_at(&mut twin.world, &settings, &policy, &json!({})).await;
    let world = &twin.world;
    let funds = 1_000_000 * amount;
    chain.fund(&sender, funds).await;
    let mut served = Vec::new();
    // Small ones, so that there are many numbers to get in order.
    for _ in 0..PROCESSES {
        served.push(Served::start(world, &["--batch", "7"]).await);
    }
    let began = Instant::now();
    let doors = served.iter().map(|served| &served.api).chain([&world.api]);
    let mut claims = claim_at(world, doors, amount).await;
    let took = began.elapsed().as_secs_f64();
    report(&format!(
        "{name}: {} claims paid in {took:.1} s",
        claims.len()
    ));

    // One process alone, without any function.
    let alone = served.pop().unwrap();
    drop(served);
    claims.extend(claim_at(world, [&alone.api].into_iter(), amount).await);
    for line in alone.output() {
        assert!(!line.contains(r#""level":"ERROR""#), "{line}");
    }

    let faucet = world.faucet();
    let payouts = faucet.settled(&sender).await;
    assert!(
        payouts
            .iter()
            .all(|payout| payout.status == PayoutStatus::Paid),
        "{payouts:?}"
    );
    let sent = chain.sent(&sender).await;
    assert!(sent.iter().all(|sent| sent.made), "{sent:?}");
    let sequences: Vec<_> = sent.iter().map(|sent| sent.sequence).collect();
    let contiguous: Vec<_> = (0..payouts.len() as u64).collect();
    assert_eq!(sequences, contiguous);
    assert_eq!(
        payouts
            .iter()
            .map(|payout| payout.sequence)
            .collect::<Vec<_>>(),
        contiguous
    );
    let most = payouts.iter().map(|payout| payout.transfers.len()).max();
    assert!(most.unwrap() > 1, "no payout pays more than one claim");
    let mut paid_by = BTreeMap::new();
    for (payout, sent) in payouts.iter().zip(&sent) {
        assert_eq!(payout.hash.as_ref(), Some(&sent.hash));
        for transfer in &payout.transfers {
            let before = paid_by.insert(transfer.claim_id.as_str(), sent);
            assert!(before.is_none(), "{} is paid twice", transfer.claim_id);
        }
    }
    let ids: BTreeSet<_> = claims.iter().map(|claim| claim.claim_id.as_str()).collect();
    assert_eq!(paid_by.keys().copied().collect::<BTreeSet<_>>(), ids);
    for claim in &claims {
        let sent = paid_by[claim.claim_id.as_str()];
        assert_eq!(claim.hash.as_ref(), Some(&sent.hash));
        assert_eq!(claim.height, Some(sent.height));
    }

    // To the last unit.
    let addresses: Vec<_> = claims.iter().map(|claim| claim.address.as_str()).collect();
    let balances = chain.balances(&addresses).await;
    assert!(
        balances.iter().all(|balance| *balance == amount),
        "{balances:?}"
    );
    let spent = claims.len() as u128 * amount + chain.fees(&sender).await;
    assert_eq!(chain.balance(&sender).await, funds - spent);
    for queue in ["faucet-claims-dlq", "faucet-executions-dlq"] {
        assert_eq!(world.depth(queue).await, 0, "{queue}");
    }
    report(&format!(
        "{name}: {} claims in {} transactions of at most {}",
        claims.len(),
        payouts.len(),
        most.unwrap()
    ));
}

/// Claims for fresh addresses, as many at each door and all at once, and waits
/// until each is paid.
async fn claim_at<'a>(
    world: &World,
    doors: impl Iterator<Item = &'a Api>,
    amount: u128,
) -> Vec<Claim> {
    let faucet = world.faucet();
    let asked: Vec<_> = doors
        .flat_map(|door| (0..EACH).map(move |_| door))
        .map(|door| (door, new_address(&faucet.chain)))
        .collect();
    let replies = asked.iter().map(async |(door, address)| {
        let body = json!({"address": address}).to_string();
        let reply = post_claim(door, body, &[]).await;
        assert!(reply.status == 200 || reply.status == 202, "{reply:?}");
        (reply.body["claim_id"].as_str().unwrap().to_owned(), address)
    });
    let mut claims = Vec::new();
    for (id, address) in join_all(replies).await {
        let claim = faucet.paid(&id).await;
        assert_eq!((&claim.address, claim.units()), (address, amount));
        claims.push(claim);
    }
    until("nothing to wait", SOON, async || {
        faucet
            .claims
            .waiting(10)
            .await
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    claims
}
