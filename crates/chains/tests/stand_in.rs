//! Payouts on a stand-in for a Cosmos node, which checks what a node checks.
//! Each over REST alone, and with transactions and heights over RPC.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail anywhere"
)]

use cosmos_node::{Genesis, Node as StandIn};
use offchain_chains::{
    Account, AccountKey, Broadcast, Chain, Cosmos, CosmosSettings, Node, Refusal, Signed, Terms,
    Transfer, TxStatus,
};
use offchain_codes::Coded;

const KEY: [u8; 32] = [0x46; 32];
const SENDER: &str = "cosmos1hkfq3zahaqkkzx5mjnamwjsfpq2jk7z0emlrvp";
const ALICE: &str = "cosmos1czn6cfy22e8ermtq6fyjga4857ehn2me4r93qf";
const BOB: &str = "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4";
/// Nobody has paid it yet.
const CAROL: &str = "cosmos1l3e9pgs3mmwuwrh95fecme0s0qtn2880f2jmfe";

#[derive(Clone, Copy, Debug)]
enum Way {
    Rest,
    Rpc,
}

const WAYS: [Way; 2] = [Way::Rest, Way::Rpc];

struct Payer {
    node: StandIn,
    /// A second node of the same chain.
    peer: StandIn,
    cosmos: Cosmos,
    key: AccountKey,
}

impl Payer {
    /// A payer with a million on a chain where blocks come when they are asked for.
    async fn start(way: Way) -> Self {
        let node = StandIn::start(Genesis {
            chain_id: "test-1".to_owned(),
            funds: vec![
                (BOB.to_owned(), "1stake".to_owned()),
                (SENDER.to_owned(), "1000000stake,5uatom".to_owned()),
            ],
            block_time: None,
            ..Genesis::default()
        })
        .await
        .unwrap();
        let peer = node.peer().await.unwrap();
        let nodes = [&node, &peer].map(|node| Node {
            url: node.rest_url.clone(),
            rpc_url: match way {
                Way::Rest => None,
                Way::Rpc => Some(node.rpc_url.clone()),
            },
        });
        let cosmos = Cosmos::new(&CosmosSettings {
            nodes: nodes.to_vec(),
            chain_id: "test-1".to_owned(),
            prefix: "cosmos".to_owned(),
            denom: "stake".to_owned(),
            fee_denom: "stake".to_owned(),
            gas_price: "0.025".to_owned(),
            gas: 100_000,
            gas_each: 40_000,
            memo: "faucet drop".to_owned(),
            timeout_blocks: 10,
        })
        .unwrap();
        let key = AccountKey::from_bytes(&KEY).unwrap();
        assert_eq!(cosmos.sender(&key), SENDER);
        Self {
            node,
            peer,
            cosmos,
            key,
        }
    }

    async fn account(&self) -> Account {
        self.cosmos.account(SENDER, 0).await.unwrap()
    }

    async fn terms(&self, transfers: &[Transfer]) -> Terms {
        let account = self.account().await;
        let terms = self.cosmos.terms(SENDER, &account, transfers, None);
        terms.await.unwrap()
    }

    /// Signs on terms of now.
    async fn sign(&self, sequence: u64, transfers: &[Transfer]) -> Signed {
        let terms = self.terms(transfers).await;
        self.sign_with(sequence, transfers, &terms)
    }

    fn sign_with(&self, sequence: u64, transfers: &[Transfer], terms: &Terms) -> Signed {
        let signed = self.cosmos.sign(&self.key, sequence, transfers, terms);
        signed.unwrap()
    }

    async fn send(&self, signed: &Signed) -> Broadcast {
        self.cosmos.broadcast(&signed.bytes).await.unwrap()
    }

    async fn refusal(&self, signed: &Signed) -> Refusal {
        match self.send(signed).await {
            Broadcast::Refused { refusal, .. } => refusal,
            said => panic!("{said:?}"),
        }
    }

    async fn status(&self, signed: &Signed) -> TxStatus {
        self.cosmos.status(&signed.hash, 0).await.unwrap()
    }
}

fn transfers(to: &[(&str, u128)]) -> Vec<Transfer> {
    to.iter()
        .map(|(to, amount)| Transfer {
            to: (*to).to_owned(),
            amount: *amount,
        })
        .collect()
}

fn included(height: u64, confirmations: u64) -> TxStatus {
    TxStatus::Included {
        height,
        confirmations,
        failure: None,
    }
}

#[tokio::test]
async fn one_and_many_are_paid() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let expected = Account {
            sequence: 0,
            number: 1,
            balance: 1_000_000,
            fee_balance: 1_000_000,
            height: 1,
        };
        assert_eq!(payer.account().await, expected);
        let one = payer.sign(0, &transfers(&[(ALICE, 7)])).await;
        let many = transfers(&[(ALICE, 1), (BOB, 2), (CAROL, 3), (ALICE, 4)]);
        let many = payer.sign(1, &many).await;
        for signed in [&one, &many] {
            assert_eq!(payer.status(signed).await, TxStatus::Unknown);
            assert_eq!(payer.send(signed).await, Broadcast::Accepted);
            assert_eq!(payer.send(signed).await, Broadcast::Known);
        }
        assert_eq!(payer.node.chain.produce_block(), 2);
        for signed in [&one, &many] {
            assert_eq!(payer.status(signed).await, included(2, 1), "{way:?}");
            assert_eq!(payer.send(signed).await, Broadcast::Known);
        }
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&one).await, included(2, 2));
        assert_eq!(payer.cosmos.height().await.unwrap(), 3);

        let chain = &payer.node.chain;
        let paid = [ALICE, BOB, CAROL].map(|address| chain.balance(address, "stake"));
        assert_eq!(paid, [12, 3, 3]);
        let account = payer.account().await;
        assert_eq!((account.sequence, account.height), (2, 3));
        assert_eq!(account.balance, 1_000_000 - 17 - 2500 - 5500);
    }
}

#[tokio::test]
async fn the_largest_batch_is_paid() {
    let payer = Payer::start(Way::Rpc).await;
    let batch = transfers(&vec![(ALICE, 10); payer.cosmos.batch_limit()]);
    let signed = payer.sign(0, &batch).await;
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    payer.node.chain.produce_block();
    assert_eq!(payer.status(&signed).await, included(2, 1));
    assert_eq!(payer.node.chain.balance(ALICE, "stake"), 900);
}

#[tokio::test]
async fn a_sequence_number_counts_once() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let one = transfers(&[(ALICE, 1)]);
        let ahead = payer.sign(1, &one).await;
        assert_eq!(payer.send(&ahead).await, Broadcast::SequenceAhead);
        let first = payer.sign(0, &one).await;
        let second = payer.sign(0, &transfers(&[(BOB, 1)])).await;
        assert_eq!(payer.send(&first).await, Broadcast::Accepted);
        // The mempool holds the first, and gives it up for no fee.
        assert_eq!(payer.send(&second).await, Broadcast::SequenceUsed);
        assert_eq!(payer.send(&ahead).await, Broadcast::Accepted);
        payer.node.chain.produce_block();
        assert_eq!(payer.send(&second).await, Broadcast::SequenceUsed);
        assert_eq!(payer.account().await.sequence, 2);
        assert_eq!(payer.node.chain.balance(BOB, "stake"), 1);
    }
}

#[tokio::test]
async fn refusals_have_their_meaning() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let one = transfers(&[(ALICE, 1)]);
        let with = |account_number, timeout_height, gas, fee| Terms::Cosmos {
            account_number,
            timeout_height,
            gas,
            fee,
        };
        for (terms, refusal) in [
            (with(1, 100, 100_000, 2499), Refusal::Fee),
            (with(1, 100, 100_000, 0), Refusal::Fee),
            (with(1, 100, 100_000, 2_000_000), Refusal::Funds),
            (with(1, 100, 20_000, 2500), Refusal::Gas),
            (with(0, 100, 100_000, 2500), Refusal::Signature),
            (with(1, 1, 100_000, 2500), Refusal::Expired),
        ] {
            payer.node.chain.produce_block();
            let signed = payer.sign_with(0, &one, &terms);
            assert_eq!(payer.refusal(&signed).await, refusal, "{way:?} {terms:?}");
        }
        assert_eq!(payer.account().await.sequence, 0);
    }
}

#[tokio::test]
async fn a_transfer_over_the_balance_fails_in_its_block() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let signed = payer.sign(0, &transfers(&[(ALICE, 1_000_000)])).await;
        assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
        payer.node.chain.produce_block();
        let TxStatus::Included {
            failure: Some(failure),
            ..
        } = payer.status(&signed).await
        else {
            panic!("it did not fail");
        };
        assert!(failure.contains("insufficient funds"), "{failure}");
        assert_eq!(payer.account().await.sequence, 1);
    }
}

#[tokio::test]
async fn a_recipient_that_cannot_be_paid_spoils_the_batch() {
    let payer = Payer::start(Way::Rpc).await;
    payer.node.chain.block_address(ALICE, true).unwrap();
    let signed = payer.sign(0, &transfers(&[(BOB, 1), (ALICE, 1)])).await;
    assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
    payer.node.chain.produce_block();
    let TxStatus::Included {
        failure: Some(failure),
        ..
    } = payer.status(&signed).await
    else {
        panic!("it did not fail");
    };
    assert!(failure.contains("not allowed to receive"), "{failure}");
    assert_eq!(payer.node.chain.balance(BOB, "stake"), 1);
}

#[tokio::test]
async fn a_transaction_that_a_block_took_too_late_left_its_number_unused() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let one = transfers(&[(ALICE, 1)]);
        let late = Terms::Cosmos {
            account_number: 1,
            timeout_height: 1,
            gas: 100_000,
            fee: 2500,
        };
        // Nodes compare with the newest block's height, and blocks with theirs.
        let late = payer.sign_with(0, &one, &late);
        assert_eq!(payer.send(&late).await, Broadcast::Accepted);
        payer.node.chain.produce_block();
        assert_eq!(payer.account().await.sequence, 0);
        assert_eq!(payer.status(&late).await, TxStatus::Unknown, "{way:?}");
        let again = payer.sign(0, &one).await;
        assert_eq!(payer.send(&again).await, Broadcast::Accepted);
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&again).await, included(3, 1));
        assert_eq!(payer.status(&late).await, TxStatus::Unknown);
    }
}

#[tokio::test]
async fn a_lost_reply_is_made_good_by_the_other_node() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let signed = payer.sign(0, &transfers(&[(ALICE, 1)])).await;
        payer.node.faults.lose_replies(1);
        assert_eq!(payer.send(&signed).await, Broadcast::Known, "{way:?}");
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&signed).await, included(2, 1));

        // Where no reply comes back, nothing is known.
        let signed = payer.sign(1, &transfers(&[(ALICE, 1)])).await;
        payer.node.faults.lose_replies(1);
        payer.peer.faults.lose_replies(1);
        let fault = payer.cosmos.broadcast(&signed.bytes).await.unwrap_err();
        assert_eq!(fault.code(), "ChainUnavailable");
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&signed).await, included(3, 1));
        assert_eq!(payer.node.chain.balance(ALICE, "stake"), 2);
    }
}

#[tokio::test]
async fn a_node_that_is_behind_or_elsewhere_is_passed_over() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        payer.node.chain.produce_block();
        payer.node.faults.stay_behind(1);
        assert_eq!(payer.cosmos.height().await.unwrap(), 1, "{way:?}");
        let account = payer.cosmos.account(SENDER, 2).await.unwrap();
        assert_eq!(account.height, 2);
        payer.peer.faults.stay_behind(1);
        let fault = payer.cosmos.account(SENDER, 2).await.unwrap_err();
        assert_eq!(fault.code(), "ChainBehind");

        // Both are asked who they are once more, as they have failed.
        payer.peer.faults.clear();
        payer.node.faults.report_chain_id(Some("other-1"));
        assert_eq!(payer.cosmos.account(SENDER, 2).await.unwrap().height, 2);
        payer.peer.faults.fail(1);
        payer.cosmos.height().await.unwrap_err();
        payer.peer.faults.report_chain_id(Some("other-1"));
        let fault = payer.cosmos.height().await.unwrap_err();
        assert_eq!(fault.code(), "WrongChain");
    }
}

#[tokio::test]
async fn what_the_mempool_forgot_is_sent_again() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let signed = payer.sign(0, &transfers(&[(ALICE, 1)])).await;
        assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
        payer.node.chain.drop_mempool();
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&signed).await, TxStatus::Unknown);
        assert_eq!(payer.send(&signed).await, Broadcast::Accepted);
        payer.node.chain.produce_block();
        assert_eq!(payer.status(&signed).await, included(3, 1), "{way:?}");
        assert_eq!(payer.node.chain.balance(ALICE, "stake"), 1);
    }
}

#[tokio::test]
async fn an_account_that_was_never_funded_is_unknown() {
    for way in WAYS {
        let payer = Payer::start(way).await;
        let fault = payer.cosmos.account(CAROL, 0).await.unwrap_err();
        assert_eq!(fault.code(), "AccountUnknown", "{way:?}");
    }
}
