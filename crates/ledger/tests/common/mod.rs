//! People, and what they sign.

#![allow(dead_code, reason = "each test takes what it needs")]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use offchain_ledger::PublicKey;
use serde_json::{Value, json};
use sha2::Sha256;
use sha3::{Digest, Sha3_256};

/// The secret key of somebody.
pub(crate) fn secret(who: u8) -> SigningKey {
    SigningKey::from_bytes(&[who; 32])
}

/// Their public key.
pub(crate) fn key(who: u8) -> PublicKey {
    PublicKey::from_bytes(secret(who).verifying_key().to_bytes())
}

/// What an output of one owner demands.
pub(crate) fn condition(owner: &PublicKey) -> Value {
    let mut contents = vec![0x30, 34, 0x80, 32];
    contents.extend_from_slice(owner.as_bytes());
    let fingerprint = URL_SAFE_NO_PAD.encode(Sha256::digest(contents));
    json!({
        "details": {"type": "ed25519-sha-256", "public_key": owner},
        "uri": format!("ni:///sha-256;{fingerprint}?fpt=ed25519-sha-256&cost=131072")
    })
}

/// An output.
pub(crate) fn output(owner: u8, amount: u64) -> Value {
    let owner = key(owner);
    json!({"public_keys": [owner], "condition": condition(&owner), "amount": amount.to_string()})
}

/// An input that is not signed yet; it spends an output, or nothing.
pub(crate) fn input(owner: u8, fulfills: Option<(&Value, u32)>) -> Value {
    let fulfills = fulfills.map(
        |(transaction, index)| json!({"transaction_id": transaction["id"], "output_index": index}),
    );
    json!({"owners_before": [key(owner)], "fulfills": fulfills, "fulfillment": null})
}

/// A transaction that nobody has signed.
pub(crate) fn create(data: Value, outputs: Vec<Value>) -> Value {
    json!({
        "inputs": [input(1, None)],
        "outputs": outputs,
        "operation": "CREATE",
        "metadata": null,
        "asset": {"data": data},
        "version": "2.0",
        "id": null
    })
}

/// A transaction that nobody has signed.
pub(crate) fn transfer(asset: &Value, inputs: Vec<Value>, outputs: Vec<Value>) -> Value {
    json!({
        "inputs": inputs,
        "outputs": outputs,
        "operation": "TRANSFER",
        "metadata": null,
        "asset": {"id": asset["id"]},
        "version": "2.0",
        "id": null
    })
}

/// What the input signs. serde_json sorts members, and writes the texts of these
/// tests as nodes do.
pub(crate) fn message(transaction: &Value, index: usize) -> Vec<u8> {
    let mut unsigned = transaction.clone();
    unsigned["id"] = Value::Null;
    for input in unsigned["inputs"].as_array_mut().unwrap() {
        input["fulfillment"] = Value::Null;
    }
    let mut text = unsigned.to_string();
    if let Value::Object(spent) = &transaction["inputs"][index]["fulfills"] {
        text += spent["transaction_id"].as_str().unwrap();
        text += &spent["output_index"].to_string();
    }
    Sha3_256::digest(text).to_vec()
}

/// The fulfilment of one key.
pub(crate) fn fulfilment(who: &SigningKey, message: &[u8]) -> Vec<u8> {
    let mut der = vec![0xa4, 100, 0x80, 32];
    der.extend_from_slice(who.verifying_key().as_bytes());
    der.extend_from_slice(&[0x81, 64]);
    der.extend_from_slice(&who.sign(message).to_bytes());
    der
}

/// The transaction with its id.
pub(crate) fn named(mut transaction: Value) -> Value {
    transaction["id"] = Value::Null;
    let id = hex::encode(Sha3_256::digest(transaction.to_string()));
    transaction["id"] = id.into();
    transaction
}

/// The transaction, each input signed by one of these.
pub(crate) fn signed(mut transaction: Value, by: &[u8]) -> Value {
    for (index, who) in by.iter().enumerate() {
        let der = fulfilment(&secret(*who), &message(&transaction, index));
        transaction["inputs"][index]["fulfillment"] = URL_SAFE_NO_PAD.encode(der).into();
    }
    named(transaction)
}
