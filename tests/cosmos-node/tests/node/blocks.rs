//! Blocks, accounts and transactions, looked at in ways that are not recorded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::http::{get, post};
use crate::wallet::{accepted, address, faucet, start, transfer};

#[tokio::test]
async fn a_block_shows_its_transactions() {
    let node = start().await;
    let (first, second) = (transfer(0), transfer(1));
    accepted(&node, &first).await;
    accepted(&node, &second).await;
    let height = node.chain.produce_block();
    node.chain.produce_block();
    let blocks = format!("{}/cosmos/base/tendermint/v1beta1/blocks", node.rest_url);
    let block = get(&format!("{blocks}/{height}")).await.body;
    let txs = [STANDARD.encode(first), STANDARD.encode(second)];
    assert_eq!(block["block"]["data"]["txs"], json!(txs));
    let next = get(&format!("{blocks}/latest")).await.body;
    assert_eq!(next["block"]["header"]["last_block_id"], block["block_id"]);
    for unknown in ["4", "0", "x", "-1"] {
        assert_eq!(
            get(&format!("{blocks}/{unknown}")).await.status,
            400,
            "{unknown}"
        );
    }
}

#[tokio::test]
async fn one_coin_can_be_asked_for() {
    let node = start().await;
    let balances = format!("{}/cosmos/bank/v1beta1/balances", node.rest_url);
    let of = |address: String, denom: &str| format!("{balances}/{address}/by_denom?denom={denom}");
    let balance =
        |denom: &str, amount: &str| json!({"balance": {"denom": denom, "amount": amount}});
    assert_eq!(
        get(&of(faucet(), "uatom")).await.body,
        balance("uatom", "500")
    );
    assert_eq!(get(&of(faucet(), "nope")).await.body, balance("nope", "0"));
    assert_eq!(
        get(&of(address(2), "stake")).await.body,
        balance("stake", "0")
    );
    assert_eq!(get(&of(faucet(), "")).await.status, 400);
    assert_eq!(get(&of("cosmos1xxx".to_owned(), "stake")).await.status, 400);
}

#[tokio::test]
async fn whoever_receives_gets_an_account() {
    let node = start().await;
    let url = format!(
        "{}/cosmos/auth/v1beta1/accounts/{}",
        node.rest_url,
        address(2)
    );
    assert_eq!(get(&url).await.status, 404);
    accepted(&node, &transfer(0)).await;
    node.chain.produce_block();
    // The faucet is 0, the fee collector 1.
    let account = get(&url).await.body["account"].clone();
    assert_eq!(account["account_number"], "2");
    assert_eq!(account["sequence"], "0");
    assert!(account["pub_key"].is_null());
}

#[tokio::test]
async fn transactions_are_found_by_their_number() {
    let node = start().await;
    let hashes = [
        accepted(&node, &transfer(0)).await,
        accepted(&node, &transfer(1)).await,
    ];
    node.chain.produce_block();
    let txs = format!("{}/cosmos/tx/v1beta1/txs", node.rest_url);
    let found = |query: String| {
        let url = format!("{txs}?{query}");
        async move {
            let answer = get(&url).await.body;
            let found = answer["tx_responses"].as_array().unwrap().iter();
            found
                .map(|tx| tx["txhash"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let number = |sequence: u64| format!("events=tx.acc_seq%3D%27{}/{sequence}%27", faucet());
    assert_eq!(found(number(1)).await, hashes[1..]);
    assert!(found(number(2)).await.is_empty());
    let both = "events=tx.height%3D2".to_owned();
    assert_eq!(found(both.clone()).await, hashes);
    assert_eq!(
        found(format!("{both}&pagination.offset=1")).await,
        hashes[1..]
    );
    assert_eq!(
        found(format!("{both}&pagination.limit=1")).await,
        hashes[..1]
    );
    let newest = format!("{both}&order_by=ORDER_BY_DESC&pagination.limit=1");
    assert_eq!(found(newest).await, hashes[1..]);
    assert!(
        found(format!("{both}&events=tx.height%3D3"))
            .await
            .is_empty()
    );
    assert_eq!(get(&txs).await.status, 400);
}

#[tokio::test]
async fn the_rpc_takes_queries_and_calls() {
    let node = start().await;
    let rpc = &node.rpc_url;
    let tx = transfer(0);
    let sent = get(&format!(
        "{rpc}/broadcast_tx_sync?tx=0x{}",
        hex::encode(&tx)
    ))
    .await;
    let hash = sent.body["result"]["hash"].as_str().unwrap().to_owned();
    assert_eq!(sent.body["result"]["code"], 0);

    let waiting = get(&format!("{rpc}/unconfirmed_txs?limit=10")).await.body;
    assert_eq!(waiting["result"]["txs"], json!([STANDARD.encode(&tx)]));
    let missing = get(&format!("{rpc}/tx?hash=0x{hash}")).await;
    assert_eq!(missing.status, 500);
    assert_eq!(
        missing.body["error"]["data"],
        format!("tx ({hash}) not found")
    );

    let height = node.chain.produce_block();
    let call = |method: &str, hash: &[u8]| {
        json!({
            "jsonrpc": "2.0",
            "id": "a",
            "method": method,
            "params": {"hash": STANDARD.encode(hash)},
        })
    };
    let found = post(rpc, &call("tx", &hex::decode(&hash).unwrap()))
        .await
        .body;
    assert_eq!(
        (&found["id"], &found["result"]["height"]),
        (&json!("a"), &json!(height.to_string()))
    );
    let missing = post(rpc, &call("tx", &[0; 32])).await;
    assert_eq!(
        (missing.status, &missing.body["error"]["code"]),
        (200, &json!(-32603))
    );
    let unknown = post(rpc, &call("nope", &[])).await;
    assert_eq!(unknown.body["error"]["code"], -32601);
    assert_eq!(
        post(rpc, &json!("nonsense")).await.body["error"]["code"],
        -32700
    );
    assert_eq!(get(&format!("{rpc}/nope")).await.status, 404);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let node = start().await;
    let txs = format!("{}/cosmos/tx/v1beta1/txs", node.rest_url);
    let mode = "BROADCAST_MODE_SYNC";
    for (body, status) in [
        (json!({"tx_bytes": "", "mode": mode}), 400),
        (json!({"tx_bytes": "AQI", "mode": mode}), 400),
        (json!({"tx_bytes": "AQID"}), 500),
        (json!({"tx_bytes": "AQID", "mode": "SYNC"}), 400),
        (json!([]), 400),
        (json!("nonsense"), 400),
    ] {
        assert_eq!(post(&txs, &body).await.status, status, "{body}");
    }
    let simulate = format!("{}/cosmos/tx/v1beta1/simulate", node.rest_url);
    let ahead = json!({"tx_bytes": STANDARD.encode(transfer(3))});
    let ahead = post(&simulate, &ahead).await;
    assert_eq!(ahead.status, 400);
    assert_eq!(
        ahead.body["message"],
        "account sequence mismatch, expected 0, got 3: incorrect account sequence: invalid request"
    );
}
