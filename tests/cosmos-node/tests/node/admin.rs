//! The faults, asked for over HTTP.

use cosmos_node::Node;
use serde_json::{Value, json};

use crate::http::{Response, get, post, request};
use crate::wallet::{accepted, address, faucet, start, sync, transfer};

async fn order(node: &Node, name: &str, members: Value) -> Response {
    post(&format!("{}/admin/{name}", node.rest_url), &members).await
}

#[tokio::test]
async fn orders_are_carried_out() {
    let node = start().await;
    accepted(&node, &transfer(0)).await;
    let done = order(&node, "produce-block", json!({})).await;
    assert_eq!((done.status, done.body), (200, json!({"height": 2})));

    order(
        &node,
        "balance",
        json!({"address": address(5), "coins": "70stake"}),
    )
    .await;
    assert_eq!(node.chain.balance(&address(5), "stake"), 70);

    let broadcast = format!("{}/cosmos/tx/v1beta1/txs", node.rest_url);
    order(&node, "lose-replies", json!({"broadcasts": 1})).await;
    let lost = request("POST", &broadcast, Some(&sync(&transfer(1)))).await;
    assert!(lost.is_err());
    assert_eq!(node.chain.waiting(), 1);
    order(&node, "drop-mempool", json!({})).await;
    assert_eq!(node.chain.waiting(), 0);

    // Orders are taken whatever else is not.
    order(&node, "refuse", json!({"calls": 1_000})).await;
    assert!(
        request("POST", &broadcast, Some(&sync(&transfer(1))))
            .await
            .is_err()
    );
    order(&node, "clear", json!({})).await;
    accepted(&node, &transfer(1)).await;
}

#[tokio::test]
async fn what_is_no_order_is_refused() {
    let node = start().await;
    for (name, members) in [
        ("nonsense", json!({})),
        ("fail", json!({})),
        ("halt", json!({"hard": true})),
        ("balance", json!({"address": "nobody", "coins": "1stake"})),
        ("balance", json!({"address": faucet(), "coins": "much"})),
    ] {
        let answer = order(&node, name, members).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.body["message"].is_string(), "{name}");
    }
    assert_eq!(node.chain.balance(&faucet(), "stake"), 1_000_000);
}

#[tokio::test]
async fn the_ledger_adds_up() {
    let node = start().await;
    let hash = accepted(&node, &transfer(0)).await;
    node.chain.produce_block();
    let ledger = get(&format!("{}/admin/ledger", node.rest_url)).await.body;
    assert_eq!(
        ledger["transactions"],
        json!([{
            "height": 2,
            "hash": hash,
            "sender": faucet(),
            "sequence": 0,
            "code": 0,
            "transfers": [{"to": address(2), "denom": "stake", "amount": "10"}],
        }])
    );
    let collector = "cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta";
    assert_eq!(ledger["balances"][collector], json!({"stake": "5000"}));
    assert_eq!(ledger["balances"][address(2)], json!({"stake": "10"}));
    assert_eq!(
        ledger["balances"][faucet()],
        json!({"stake": "994990", "uatom": "500"})
    );
}
