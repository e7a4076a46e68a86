//! Nodes that are not well.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosmos_node::{Genesis, Node, Route};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::http::{get, post, request};
use crate::wallet::{accepted, broadcast, faucet, genesis, refused, start, sync, transfer};

const PATIENCE: Duration = Duration::from_secs(30);

fn txs(node: &Node) -> String {
    format!("{}/cosmos/tx/v1beta1/txs", node.rest_url)
}

async fn latest(node: &Node) -> Value {
    let path = "cosmos/base/tendermint/v1beta1/blocks/latest";
    let answer = get(&format!("{}/{path}", node.rest_url)).await;
    answer.body["block"]["header"].clone()
}

async fn account(node: &Node) -> Value {
    let path = format!("cosmos/auth/v1beta1/accounts/{}", faucet());
    let answer = get(&format!("{}/{path}", node.rest_url)).await;
    answer.body["account"].clone()
}

#[tokio::test]
async fn a_lost_reply_loses_no_transaction() {
    let node = start().await;
    node.faults.lose_replies(2);
    let rest = request("POST", &txs(&node), Some(&sync(&transfer(0)))).await;
    assert_eq!(rest.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let call = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "broadcast_tx_sync",
        "params": {"tx": STANDARD.encode(transfer(1))},
    });
    let rpc = request("POST", &node.rpc_url, Some(&call)).await;
    assert_eq!(rpc.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(node.chain.waiting(), 2);
    // What is not a broadcast is answered, and so is the next one.
    assert_eq!(account(&node).await["sequence"], "0");
    accepted(&node, &transfer(2)).await;
}

#[tokio::test]
async fn a_dead_node_takes_nothing() {
    let node = start().await;
    node.faults.refuse(1);
    let refused = request("POST", &txs(&node), Some(&sync(&transfer(0)))).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    node.faults.fail(1);
    let failed = post(&txs(&node), &sync(&transfer(0))).await;
    assert_eq!(failed.status, 500);
    assert_eq!(node.chain.waiting(), 0);
    accepted(&node, &transfer(0)).await;
}

#[tokio::test]
async fn a_slow_node_has_taken_it_long_before_it_answers() {
    let node = start().await;
    let (first, second) = (transfer(0), transfer(1));
    node.faults
        .delay(Some(Route::Broadcast), Duration::from_secs(3_600));
    {
        let asked = broadcast(&node, &first);
        tokio::pin!(asked);
        while node.chain.waiting() == 0 {
            assert!(timeout(Duration::from_millis(1), &mut asked).await.is_err());
        }
    }
    assert_eq!(account(&node).await["sequence"], "0");

    let delay = Duration::from_millis(50);
    node.faults.delay(None, delay);
    let began = Instant::now();
    accepted(&node, &second).await;
    latest(&node).await;
    assert!(began.elapsed() >= delay * 2);
    node.faults.clear();
}

#[tokio::test]
async fn a_node_on_another_chain_refuses_and_its_peer_does_not() {
    let node = start().await;
    let peer = node.peer().await.unwrap();
    node.faults.report_chain_id(Some("other-1"));
    assert_eq!(latest(&node).await["chain_id"], "other-1");
    assert_eq!(latest(&peer).await["chain_id"], "test-1");
    let status = get(&format!("{}/status", node.rpc_url)).await.body;
    assert_eq!(status["result"]["node_info"]["network"], "other-1");

    let (code, log) = refused(&node, &transfer(0)).await;
    assert_eq!(code, 4);
    assert!(log.contains("chain-id (other-1)"), "{log}");
    accepted(&peer, &transfer(0)).await;
    node.faults.report_chain_id(None);
    assert_eq!(latest(&node).await["chain_id"], "test-1");
}

#[tokio::test]
async fn a_node_that_is_behind_knows_what_was() {
    let node = start().await;
    let behind = node.peer().await.unwrap();
    behind.faults.stay_behind(2);
    let first = transfer(0);
    let hash = accepted(&node, &first).await;
    for _ in 0..3 {
        node.chain.produce_block();
    }
    assert_eq!(latest(&node).await["height"], "4");
    assert_eq!(account(&node).await["sequence"], "1");

    // The block with the transaction is the newest that it has.
    assert_eq!(latest(&behind).await["height"], "2");
    assert_eq!(account(&behind).await["sequence"], "1");
    assert_eq!(get(&format!("{}/{hash}", txs(&behind))).await.status, 200);

    behind.faults.stay_behind(3);
    let status = get(&format!("{}/status", behind.rpc_url)).await.body;
    assert_eq!(status["result"]["sync_info"]["latest_block_height"], "1");
    assert_eq!(account(&behind).await["sequence"], "0");
    assert!(account(&behind).await["pub_key"].is_null());
    assert_eq!(get(&format!("{}/{hash}", txs(&behind))).await.status, 400);
    let (code, log) = refused(&behind, &transfer(1)).await;
    assert_eq!(code, 32);
    assert!(log.contains("expected 0, got 1"), "{log}");
    accepted(&node, &transfer(1)).await;
}

#[tokio::test]
async fn a_halted_chain_makes_no_blocks() {
    let node = Node::start(Genesis {
        block_time: Some(Duration::from_millis(1)),
        ..genesis()
    })
    .await
    .unwrap();
    timeout(PATIENCE, node.chain.reach(3)).await.unwrap();
    node.chain.halt();
    let height = node.chain.height();
    accepted(&node, &transfer(0)).await;
    // Far longer than the time between two blocks.
    for _ in 0..100 {
        latest(&node).await;
    }
    assert_eq!(node.chain.height(), height);
    assert_eq!(node.chain.waiting(), 1);
    node.chain.resume();
    timeout(PATIENCE, node.chain.reach(height + 2))
        .await
        .unwrap();
    assert_eq!(node.chain.sequence(&faucet()), 1);
}

#[tokio::test]
async fn a_node_that_is_gone_is_not_reached() {
    let node = start().await;
    let peer = node.peer().await.unwrap();
    let url = txs(&node);
    drop(node);
    let gone = async { while request("GET", &url, None).await.is_ok() {} };
    timeout(PATIENCE, gone).await.unwrap();
    accepted(&peer, &transfer(0)).await;
}
