//! What is not in the records: how transactions fare in the mempool and in
//! blocks.

use cosmos_node::{Genesis, Node};

use crate::http::get;
use crate::wallet::{
    FAUCET, Unsigned, accepted, address, faucet, genesis, multi_send, refused, send, start,
    transfer,
};

/// The code and the log of a transaction in a block.
async fn outcome(node: &Node, hash: &str) -> (u64, String) {
    let url = format!("{}/cosmos/tx/v1beta1/txs/{hash}", node.rest_url);
    let answer = get(&url).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = &answer.body["tx_response"];
    let log = answer["raw_log"].as_str().unwrap();
    (answer["code"].as_u64().unwrap(), log.to_owned())
}

fn with(messages: Vec<cosmrs::Any>, sequence: u64) -> Vec<u8> {
    Unsigned {
        messages,
        sequence,
        ..Unsigned::default()
    }
    .sign()
}

fn until(timeout: u32, sequence: u64) -> Vec<u8> {
    Unsigned {
        timeout,
        sequence,
        ..Unsigned::default()
    }
    .sign()
}

#[tokio::test]
async fn one_transaction_pays_many() {
    let node = start().await;
    let (two, three) = (address(2), address(3));
    let message = multi_send(30, &[(&two, 10), (&three, 20)]);
    let hash = accepted(&node, &with(vec![message], 0)).await;
    node.chain.produce_block();

    assert_eq!(outcome(&node, &hash).await.0, 0);
    assert_eq!(node.chain.balance(&two, "stake"), 10);
    assert_eq!(node.chain.balance(&three, "stake"), 20);
    let ledger = node.chain.ledger();
    let paid = ledger.transactions[0].transfers.iter();
    let paid: Vec<_> = paid.map(|one| (one.to.as_str(), one.coin.amount)).collect();
    assert_eq!(paid, [(two.as_str(), 10), (three.as_str(), 20)]);
    let all = ledger
        .balances
        .values()
        .filter_map(|coins| coins.get("stake"));
    assert_eq!(all.sum::<u128>(), 1_000_000);
}

#[tokio::test]
async fn what_is_paid_must_be_received() {
    let node = start().await;
    let message = multi_send(31, &[(&address(2), 10), (&address(3), 20)]);
    let refusal = refused(&node, &with(vec![message], 0)).await;
    assert_eq!(refusal, (4, "sum inputs != sum outputs".to_owned()));
}

#[tokio::test]
async fn messages_are_carried_out_together_or_not_at_all() {
    let node = start().await;
    let messages = vec![send(&address(2), 10), send(&address(3), 2_000_000)];
    let hash = accepted(&node, &with(messages, 0)).await;
    node.chain.produce_block();
    let (code, log) = outcome(&node, &hash).await;
    assert_eq!(code, 5);
    assert!(
        log.starts_with("failed to execute message; message index: 1: "),
        "{log}"
    );
    assert_eq!(node.chain.balance(&address(2), "stake"), 0);
    assert_eq!(node.chain.balance(&faucet(), "stake"), 995_000);
    assert_eq!(node.chain.sequence(&faucet()), 1);
    assert!(node.chain.ledger().transactions[0].transfers.is_empty());
}

#[tokio::test]
async fn blocked_recipients_fail_in_their_block() {
    let node = Node::start(Genesis {
        blocked: vec![address(2)],
        ..genesis()
    })
    .await
    .unwrap();
    let single = accepted(&node, &with(vec![send(&address(2), 10)], 0)).await;
    let outputs: &[(&str, u128)] = &[(&address(3), 10), (&address(2), 10)];
    let several = accepted(&node, &with(vec![multi_send(20, outputs)], 1)).await;
    node.chain.produce_block();
    let failed = "failed to execute message; message index: 0: ";
    let two = address(2);
    assert_eq!(
        outcome(&node, &single).await,
        (
            4,
            format!("{failed}{two} is not allowed to receive funds: unauthorized")
        )
    );
    assert_eq!(
        outcome(&node, &several).await,
        (
            4,
            format!("{failed}{two} is not allowed to receive transactions: unauthorized")
        )
    );
    assert_eq!(node.chain.sequence(&faucet()), 2);

    node.chain.block_address(&two, false).unwrap();
    accepted(&node, &with(vec![send(&two, 10)], 2)).await;
    node.chain.produce_block();
    assert_eq!(node.chain.balance(&two, "stake"), 10);
}

#[tokio::test]
async fn too_late_is_refused() {
    let node = start().await;
    for _ in 0..3 {
        node.chain.produce_block();
    }
    let refusal = refused(&node, &until(3, 0)).await;
    let log = "block height: 4, timeout height: 3: tx timeout height";
    assert_eq!(refusal, (30, log.to_owned()));
}

#[tokio::test]
async fn what_waits_too_long_is_dropped() {
    let node = start().await;
    node.chain.set_block_size(0);
    let late = until(2, 0);
    accepted(&node, &late).await;
    node.chain.produce_block();
    assert_eq!(node.chain.waiting(), 1);
    node.chain.produce_block();
    assert_eq!(node.chain.waiting(), 0);
    // It is forgotten as well, and its number is free.
    assert_eq!(refused(&node, &late).await.0, 30);
    accepted(&node, &transfer(0)).await;
}

#[tokio::test]
async fn at_the_last_moment_it_fails_and_keeps_its_number() {
    let node = start().await;
    let hash = accepted(&node, &until(1, 0)).await;
    node.chain.produce_block();
    assert_eq!(outcome(&node, &hash).await.0, 30);
    assert_eq!(node.chain.sequence(&faucet()), 0);
    assert_eq!(node.chain.balance(&faucet(), "stake"), 1_000_000);
    accepted(&node, &transfer(0)).await;
}

#[tokio::test]
async fn who_can_no_longer_pay_the_fee_is_dropped() {
    let node = start().await;
    accepted(&node, &transfer(0)).await;
    node.chain.set_balance(&faucet(), "4999stake").unwrap();
    assert_eq!(node.chain.waiting(), 0);
    let (code, log) = refused(&node, &transfer(0)).await;
    assert_eq!(code, 5);
    let smaller = "4999stake is smaller than 5000stake";
    assert_eq!(
        log,
        format!("{smaller}: insufficient funds: insufficient funds")
    );
}

/// The check counts fees, not transfers: only the block finds out.
#[tokio::test]
async fn a_fee_that_is_gone_by_then_fails_in_the_block_and_keeps_its_number() {
    let node = start().await;
    accepted(&node, &with(vec![send(&address(2), 990_000)], 0)).await;
    let poor = Unsigned {
        sequence: 1,
        fee: (6_000, "stake"),
        ..Unsigned::default()
    };
    let poor = accepted(&node, &poor.sign()).await;
    let next = accepted(&node, &transfer(2)).await;
    node.chain.produce_block();
    assert_eq!(outcome(&node, &poor).await.0, 5);
    assert_eq!(outcome(&node, &next).await.0, 32);
    assert_eq!(node.chain.sequence(&faucet()), 1);
}

#[tokio::test]
async fn what_failed_is_not_a_duplicate() {
    let node = start().await;
    let over = with(vec![send(&address(2), 2_000_000)], 0);
    accepted(&node, &over).await;
    assert_eq!(refused(&node, &over).await, (19, String::new()));
    node.chain.produce_block();
    assert_eq!(refused(&node, &over).await.0, 32);
}

#[tokio::test]
async fn a_dropped_mempool_leaves_no_trace() {
    let node = start().await;
    let first = transfer(0);
    accepted(&node, &first).await;
    accepted(&node, &transfer(1)).await;
    node.chain.drop_mempool();
    node.chain.produce_block();
    assert_eq!(node.chain.sequence(&faucet()), 0);
    assert_eq!(refused(&node, &transfer(1)).await.0, 32);
    let hash = accepted(&node, &first).await;
    node.chain.produce_block();
    assert_eq!(outcome(&node, &hash).await.0, 0);
}

#[tokio::test]
async fn another_holder_of_the_key_takes_the_next_number() {
    let node = start().await;
    accepted(&node, &transfer(0)).await;
    node.chain.transfer(&FAUCET, &address(3), "7uatom").unwrap();
    let (code, log) = refused(&node, &transfer(1)).await;
    assert_eq!(code, 32);
    assert!(log.contains("expected 2, got 1"), "{log}");
    node.chain.produce_block();
    assert_eq!(node.chain.balance(&address(3), "uatom"), 7);
    let nobody = node.chain.transfer(&[9; 32], &address(3), "7uatom");
    assert!(nobody.unwrap_err().to_string().ends_with("has no account"));
}

#[tokio::test]
async fn nobody_signs_for_another() {
    let node = start().await;
    let stolen = Unsigned {
        key: [9; 32],
        ..Unsigned::default()
    };
    let (code, log) = refused(&node, &stolen.sign()).await;
    assert_eq!(code, 8);
    assert!(
        log.starts_with("pubKey does not match signer address"),
        "{log}"
    );
}

#[tokio::test]
async fn any_of_the_coins_pays_for_gas() {
    let node = Node::start(Genesis {
        min_gas_price: "0.025stake,0.001uatom".to_owned(),
        ..genesis()
    })
    .await
    .unwrap();
    let fee = |fee, sequence| {
        Unsigned {
            fee,
            sequence,
            ..Unsigned::default()
        }
        .sign()
    };
    accepted(&node, &fee((200, "uatom"), 0)).await;
    accepted(&node, &fee((5_000, "stake"), 1)).await;
    assert_eq!(
        refused(&node, &fee((199, "uatom"), 2)).await,
        (
            13,
            "insufficient fees; got: 199uatom required: 5000stake,200uatom: insufficient fee"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn what_is_no_transaction_is_refused() {
    let node = start().await;
    assert_eq!(refused(&node, b"nonsense").await.0, 2);
    let unknown = cosmrs::Any {
        type_url: "/cosmos.gov.v1beta1.MsgVote".to_owned(),
        value: Vec::new(),
    };
    let (code, log) = refused(&node, &with(vec![unknown], 0)).await;
    assert_eq!(code, 2);
    assert!(
        log.starts_with("unable to resolve type URL /cosmos.gov"),
        "{log}"
    );
    assert_eq!(refused(&node, &with(Vec::new(), 0)).await.0, 18);
}
