//! Transactions of every kind, also of kinds that no wallet would sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosmos_node::{Genesis, Node, address_of};
use cosmrs::Any;
use cosmrs::bank::{MsgMultiSend, MsgSend, MultiSendIo};
use cosmrs::crypto::secp256k1::SigningKey;
use cosmrs::tx::{Body, Fee, Msg as _, SignDoc, SignerInfo};
use serde_json::{Value, json};

use crate::http::post;

pub(crate) const CHAIN_ID: &str = "test-1";
pub(crate) const FAUCET: [u8; 32] = [1; 32];

/// The address of a key of so many equal bytes.
pub(crate) fn address(key: u8) -> String {
    address_of(&[key; 32], "cosmos").unwrap()
}

pub(crate) fn faucet() -> String {
    address(FAUCET[0])
}

/// A chain on which only the faucet has something, and whose blocks come when
/// they are asked for.
pub(crate) fn genesis() -> Genesis {
    Genesis {
        chain_id: CHAIN_ID.to_owned(),
        funds: vec![(faucet(), "1000000stake,500uatom".to_owned())],
        block_time: None,
        ..Genesis::default()
    }
}

pub(crate) async fn start() -> Node {
    Node::start(genesis()).await.unwrap()
}

/// What the faucet is to sign: a transfer of 10 stake to somebody, unless
/// something else is said.
pub(crate) struct Unsigned {
    pub(crate) key: [u8; 32],
    pub(crate) messages: Vec<Any>,
    pub(crate) sequence: u64,
    pub(crate) fee: (u128, &'static str),
    pub(crate) gas: u64,
    pub(crate) timeout: u32,
}

impl Default for Unsigned {
    fn default() -> Self {
        Self {
            key: FAUCET,
            messages: vec![send(&address(2), 10)],
            sequence: 0,
            fee: (5_000, "stake"),
            gas: 200_000,
            timeout: 0,
        }
    }
}

impl Unsigned {
    pub(crate) fn sign(self) -> Vec<u8> {
        let key = SigningKey::from_slice(&self.key).unwrap();
        let body = Body::new(self.messages, "", self.timeout);
        let fee = cosmrs::Coin::new(self.fee.0, self.fee.1).unwrap();
        let fee = Fee::from_amount_and_gas(fee, self.gas);
        let signer = SignerInfo::single_direct(Some(key.public_key()), self.sequence);
        let chain_id = CHAIN_ID.parse().unwrap();
        let document = SignDoc::new(&body, &signer.auth_info(fee), &chain_id, 0).unwrap();
        document.sign(&key).unwrap().to_bytes().unwrap()
    }
}

/// 10 stake to somebody.
pub(crate) fn transfer(sequence: u64) -> Vec<u8> {
    Unsigned {
        sequence,
        ..Unsigned::default()
    }
    .sign()
}

pub(crate) fn stake(amount: u128) -> Vec<cosmrs::Coin> {
    vec![cosmrs::Coin::new(amount, "stake").unwrap()]
}

pub(crate) fn send(to: &str, amount: u128) -> Any {
    let message = MsgSend {
        from_address: faucet().parse().unwrap(),
        to_address: to.parse().unwrap(),
        amount: stake(amount),
    };
    message.to_any().unwrap()
}

/// One input of the faucet, and an output for each recipient.
pub(crate) fn multi_send(input: u128, outputs: &[(&str, u128)]) -> Any {
    let part = |address: &str, amount: u128| MultiSendIo {
        address: address.parse().unwrap(),
        coins: stake(amount),
    };
    let outputs = outputs.iter().map(|(to, amount)| part(to, *amount));
    let message = MsgMultiSend {
        inputs: vec![part(&faucet(), input)],
        outputs: outputs.collect(),
    };
    message.to_any().unwrap()
}

pub(crate) fn sync(bytes: &[u8]) -> Value {
    json!({"tx_bytes": STANDARD.encode(bytes), "mode": "BROADCAST_MODE_SYNC"})
}

/// Sends a transaction; returns the code, the log and the hash.
pub(crate) async fn broadcast(node: &Node, bytes: &[u8]) -> (u64, String, String) {
    let url = format!("{}/cosmos/tx/v1beta1/txs", node.rest_url);
    let answer = post(&url, &sync(bytes)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = &answer.body["tx_response"];
    let text = |member: &str| answer[member].as_str().unwrap().to_owned();
    (
        answer["code"].as_u64().unwrap(),
        text("raw_log"),
        text("txhash"),
    )
}

/// Sends a transaction that is taken, and returns its hash.
pub(crate) async fn accepted(node: &Node, bytes: &[u8]) -> String {
    let (code, log, hash) = broadcast(node, bytes).await;
    assert_eq!((code, log.as_str()), (0, "[]"));
    hash
}

/// Sends a transaction that is not taken, and returns why.
pub(crate) async fn refused(node: &Node, bytes: &[u8]) -> (u64, String) {
    let (code, log, _) = broadcast(node, bytes).await;
    assert_ne!(code, 0);
    (code, log)
}
