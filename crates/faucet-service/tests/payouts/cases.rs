//! One fault at a time, at every call that a run makes.

use offchain_faucet::{ClaimStatus, PayoutPolicy, PayoutStatus};

use crate::gate::Fate;
use crate::model::Habits;
use crate::world::{End, World, policy};

/// The kinds of chain.
const KINDS: [Habits; 2] = [
    Habits {
        evm: true,
        keeps_gaps: true,
        timeout_blocks: 0,
        estimates: true,
        late_index: 0,
    },
    Habits {
        evm: false,
        keeps_gaps: false,
        timeout_blocks: 3,
        estimates: false,
        late_index: 0,
    },
];
const EVM: Habits = KINDS[0];

/// A faucet with five claims, for which there have to be two payouts.
async fn five(habits: Habits) -> World {
    five_with(habits, policy()).await
}

async fn five_with(habits: Habits, policy: PayoutPolicy) -> World {
    let mut world = World::new(habits, policy, 100_000);
    world.claim_times(5).await;
    world
}

/// Who runs into the fault.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// A payer, with all of it before it.
    Pays,
    /// A payer that goes on where another was killed, having stored a payout.
    GoesOn,
    /// A payer whose payout is to offer more.
    Bumps,
    /// A confirmer of a payout that a block has.
    Settles,
    /// A confirmer of a payout that failed.
    Fails,
    /// A confirmer of a payout whose number another has used.
    Loses,
    /// A sweep with all of it before it.
    Sweeps,
}

const ALL: [Who; 7] = [
    Who::Pays,
    Who::GoesOn,
    Who::Bumps,
    Who::Settles,
    Who::Fails,
    Who::Loses,
    Who::Sweeps,
];

impl Who {
    async fn begin(self, habits: Habits) -> (World, usize) {
        let mut policy = policy();
        if matches!(self, Self::Bumps) {
            policy.bump_seconds = 0;
        }
        let mut world = five_with(habits, policy).await;
        match self {
            Self::Pays => {}
            Self::GoesOn => {
                let dies = world.begin_pay();
                world.up_to(dies, "TransactWriteItems", 1).await;
                world.step(dies, Fate::Fatal).await;
            }
            Self::Bumps => {
                world.pay().await.unwrap();
                world.sweep().await.unwrap();
            }
            Self::Settles => {
                world.pay().await.unwrap();
                world.mine();
                world.mine();
            }
            Self::Fails => {
                world.pay().await.unwrap();
                world.chain.net().closed.insert("address-001".to_owned());
                world.mine();
                world.mine();
            }
            Self::Loses => {
                world.pay().await.unwrap();
                world.chain.net().steal(0, 2);
                world.look(0).await.unwrap();
                (0..3).for_each(|_| world.mine());
            }
            Self::Sweeps => {
                world.pay().await.unwrap();
                world.mine();
                world.mine();
                world.claim_times(2).await;
            }
        }
        let actor = match self {
            Self::Pays | Self::GoesOn | Self::Bumps => world.begin_pay(),
            Self::Settles | Self::Fails | Self::Loses => world.begin_look(0),
            Self::Sweeps => world.begin_sweep(),
        };
        // It waits with its first call.
        world.step(actor, Fate::Done).await;
        (world, actor)
    }
}

/// Has each call of each run on each kind of chain meet what `meet` does, alone;
/// afterwards all is well.
async fn at_every_call(meet: impl AsyncFn(&mut World, usize) -> Option<End>) {
    let mut met = 0;
    for habits in KINDS {
        for who in ALL {
            for nth in 0.. {
                let (mut world, actor) = who.begin(habits).await;
                let mut ended = None;
                for _ in 0..nth {
                    ended = ended.or(world.step(actor, Fate::Done).await);
                }
                if let Some(ended) = ended {
                    // There are no more calls.
                    ended.unwrap();
                    break;
                }
                println!("{habits:?} {who:?} call {nth}: {}", world.call(actor));
                let mut ended = meet(&mut world, actor).await;
                while ended.is_none() {
                    ended = world.step(actor, Fate::Done).await;
                }
                world.settle().await;
                assert!(world.paid() > 0);
                met += 1;
            }
        }
    }
    assert!(met > 100, "{met}");
}

#[tokio::test]
async fn a_process_may_die_before_any_call() {
    at_every_call(async |world, actor| {
        world.kill(actor);
        Some(Err("dead".to_owned()))
    })
    .await;
}

#[tokio::test]
async fn a_process_may_die_after_any_call() {
    at_every_call(async |world, actor| world.step(actor, Fate::Fatal).await).await;
}

#[tokio::test]
async fn any_call_may_be_refused() {
    at_every_call(async |world, actor| world.step(actor, Fate::Refused).await).await;
}

#[tokio::test]
async fn any_reply_may_be_lost() {
    at_every_call(async |world, actor| world.step(actor, Fate::Unanswered).await).await;
}

#[tokio::test]
async fn any_node_may_be_behind_or_its_index_late() {
    at_every_call(async |world, actor| {
        let fate = match world.call(actor).as_str() {
            "status" => Fate::LateIndex(2),
            _ => Fate::Behind(2),
        };
        world.step(actor, fate).await
    })
    .await;
}

#[tokio::test]
async fn another_may_do_all_there_is_to_do_while_one_is_paused_before_any_call() {
    at_every_call(async |world, _| {
        for _ in 0..3 {
            // One that the paused one is in the way of tells so.
            let _ = world.pay().await;
            world.mine();
            let _ = world.sweep().await;
        }
        None
    })
    .await;
}

#[tokio::test]
async fn the_key_may_be_used_by_another_before_any_call() {
    at_every_call(async |world, _| {
        world.chain.net().steal(0, 2);
        None
    })
    .await;
}

#[tokio::test]
async fn whatever_waits_may_be_dropped_before_any_call() {
    at_every_call(async |world, _| {
        let mut net = world.chain.net();
        for number in net.waiting() {
            net.forget(number);
        }
        None
    })
    .await;
}

#[tokio::test]
async fn the_balance_may_go_before_any_call() {
    at_every_call(async |world, _| {
        world.chain.net().steal(u128::MAX, 2);
        None
    })
    .await;
}

#[tokio::test]
async fn the_fee_may_rise_before_any_call() {
    at_every_call(async |world, _| {
        world.chain.net().base_fee = 400;
        None
    })
    .await;
}

/// Another's transaction has the number, until its block is taken back; then the
/// payout's own has it, and the node's index is late.
#[tokio::test]
async fn a_number_that_another_had_for_a_while_is_not_given_up() {
    let mut policy = policy();
    policy.confirmations = 3;
    let mut world = five_with(EVM, policy).await;
    world.pay().await.unwrap();
    world.chain.net().steal(0, 3);
    world.look(0).await.unwrap();
    world.chain.net().reorganise(1, false);
    let payout = &world.payouts().await[0];
    let bytes = hex::decode(&payout.last().unwrap().bytes).unwrap();
    (0..4).for_each(|_| world.mine());
    world.chain.net().put_back(&bytes);
    world.mine();
    let looks = world.begin_look(0);
    while world.call(looks) != "status" {
        assert!(world.step(looks, Fate::Done).await.is_none());
    }
    while world.step(looks, Fate::LateIndex(1)).await.is_none() {}
    assert_eq!(world.payouts().await[0].status, PayoutStatus::Sent);
    world.settle().await;
}

/// As before; and while somebody looks who knows one version, another one is
/// signed and is in a block for good.
#[tokio::test]
async fn a_number_that_a_newer_version_has_is_not_given_up() {
    let mut policy = policy();
    policy.bump_seconds = 0;
    let mut world = five_with(EVM, policy).await;
    world.pay().await.unwrap();
    world.chain.net().steal(0, 2);
    world.look(0).await.unwrap();
    assert_eq!(world.chain.net().reorganise(1, false), 1);
    let looks = world.begin_look(0);
    while world.call(looks) != "status" {
        assert!(world.step(looks, Fate::Done).await.is_none());
    }
    world.look(0).await.unwrap();
    world.pay().await.unwrap();
    assert_eq!(world.payouts().await[0].versions.len(), 2);
    (0..5).for_each(|_| world.mine());
    world.through(looks).await.unwrap();
    assert_eq!(world.payouts().await[0].status, PayoutStatus::Sent);
    world.settle().await;
    assert_eq!(world.paid(), 5);
}

/// A number that the chain has lost with its block, and nobody has signed for.
#[tokio::test]
async fn a_number_that_nobody_uses_any_more_is_filled() {
    for keeps_gaps in [true, false] {
        let mut world = five(Habits { keeps_gaps, ..EVM }).await;
        world.chain.net().steal(0, 2);
        world.pay().await.unwrap();
        assert_eq!(world.chain.net().reorganise(1, false), 1);
        world.settle().await;
        let payouts = world.payouts().await;
        assert!(payouts[0].transfers.is_empty());
        assert_eq!(world.paid(), 5);
    }
}

#[tokio::test]
async fn after_an_unknown_outcome_nothing_is_signed_before_the_chain_is_as_the_table() {
    for habits in KINDS {
        let mut world = five(habits).await;
        let pays = world.begin_pay();
        world.up_to(pays, "broadcast", 1).await;
        // Nobody took it, but who knows?
        world.step(pays, Fate::Refused).await;
        assert_eq!(
            world.through(pays).await,
            Err("ChainUnavailable".to_owned())
        );
        assert_eq!(world.broken().await.unwrap(), "BroadcastUnknown");
        let payouts = world.payouts().await;
        assert_eq!(payouts.len(), 1);
        assert_eq!(payouts[0].reason.as_deref(), Some("outcome_unknown"));

        // While the node fails, the flag stays and nothing more is signed.
        for call in ["account", "broadcast"] {
            let pays = world.begin_pay();
            world.up_to(pays, call, 1).await;
            world.step(pays, Fate::Refused).await;
            assert_eq!(
                world.through(pays).await,
                Err("ChainUnavailable".to_owned())
            );
            assert_eq!(world.broken().await.unwrap(), "BroadcastUnknown");
            assert_eq!(world.payouts().await.len(), 1);
            assert!(world.chain.net().waiting().is_empty());
        }

        // What was signed goes first.
        let pays = world.begin_pay();
        world.up_to(pays, "TransactWriteItems", 1).await;
        assert_eq!(world.chain.net().waiting(), [0]);
        assert_eq!(world.broken().await, None);
        world.through(pays).await.unwrap();
        world.settle().await;
        assert_eq!(world.paid(), 5);
    }
}

#[tokio::test]
async fn a_holder_that_wakes_after_its_lease_writes_nothing() {
    for habits in KINDS {
        let mut world = five(habits).await;
        let sleeps = world.begin_pay();
        world.up_to(sleeps, "TransactWriteItems", 1).await;
        world.pay().await.unwrap();
        let before = world.payouts().await;
        assert_eq!(world.through(sleeps).await, Err("LeaseLost".to_owned()));
        assert_eq!(world.payouts().await, before);
        world.settle().await;
        assert_eq!(world.paid(), 5);

        // Nor does it where the next one has the lease, and no more yet.
        let mut world = five(habits).await;
        let sleeps = world.begin_pay();
        world.up_to(sleeps, "TransactWriteItems", 1).await;
        let next = world.begin_pay();
        world.up_to(next, "account", 1).await;
        assert_eq!(world.through(sleeps).await, Err("LeaseLost".to_owned()));
        assert!(world.payouts().await.is_empty());
        world.through(next).await.unwrap();
        world.settle().await;
        assert_eq!(world.paid(), 5);
    }
}

#[tokio::test]
async fn one_recipient_that_takes_nothing_fails_alone() {
    for habits in KINDS {
        let mut world = five(habits).await;
        world.pay().await.unwrap();
        // It took them when the batch was signed.
        world.chain.net().closed.insert("address-001".to_owned());
        world.settle().await;
        assert_eq!(world.paid(), 4);
        let claim = world.of("claim-001").await;
        assert_eq!(claim.status, ClaimStatus::Failed);
        let reason = if habits.estimates {
            "transfer_impossible"
        } else {
            "transfer_failed"
        };
        assert_eq!(claim.reason.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn a_balance_that_went_after_signing_is_tried_again_and_no_more_than_so_often() {
    // Of the kind of Cosmos, where it fails in its block.
    let mut world = five(KINDS[1]).await;
    world.pay().await.unwrap();
    world.chain.net().spend_all_but(40);
    world.mine();
    world.mine();
    world.sweep().await.unwrap();
    for id in world.claims.clone() {
        let claim = world.of(&id).await;
        assert_eq!((claim.status, claim.attempts), (ClaimStatus::Queued, 1));
        assert_eq!(claim.reason.as_deref(), Some("retrying"));
    }
    world.pay().await.unwrap();
    let claim = world.of("claim-000").await;
    assert_eq!(claim.reason.as_deref(), Some("faucet_empty"));
    world.settle().await;
    assert_eq!(world.paid(), 5);

    let mut world = five(KINDS[1]).await;
    for _ in 0..20 {
        world.chain.net().refund(1000);
        world.pay().await.unwrap();
        world.chain.net().spend_all_but(40);
        world.mine();
        world.mine();
        world.sweep().await.unwrap();
    }
    for id in world.claims.clone() {
        let claim = world.of(&id).await;
        assert_eq!((claim.status, claim.attempts), (ClaimStatus::Failed, 2));
        assert_eq!(claim.reason.as_deref(), Some("transfer_failed"));
    }
    world.settle().await;
    assert_eq!(world.paid(), 0);
}

/// Versions expire one after another, and there is room for the next one still.
#[tokio::test]
async fn a_chain_that_takes_nothing_for_long_is_outlasted() {
    for habits in KINDS {
        let mut policy = policy();
        policy.bump_seconds = 0;
        let mut world = five_with(habits, policy).await;
        for _ in 0..30 {
            world.pay().await.unwrap();
            world.chain.net().mine(0, 2);
            world.sweep().await.unwrap();
        }
        (0..110).for_each(|_| world.chain.net().mine(0, 2));
        let waiting = world.chain.net().waiting();
        for number in waiting {
            world.chain.net().forget(number);
        }
        world.settle().await;
        assert_eq!(world.paid(), 5);
    }
}
