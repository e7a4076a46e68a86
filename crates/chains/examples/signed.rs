//! Signs transactions of both kinds and prints each with what is in it, a line
//! of JSON each, for a decoder that is not ours: `scripts/check --only decoder`.

use std::error::Error;
use std::io::{self, Write as _};

use offchain_chains::{
    AccountKey, Chain, ChainSettings, Cosmos, CosmosSettings, Evm, EvmSettings, Node, Terms,
    Transfer,
};
use serde_json::{Value, json};

/// More than fits in 64 bits.
const LARGE: u128 = 20_000_000_000_000_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for line in cosmos_lines()?.into_iter().chain(evm_lines()?) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Nobody is asked.
fn nodes() -> Vec<Node> {
    vec![Node {
        url: "http://localhost".to_owned(),
        rpc_url: None,
    }]
}

/// So many sums, each to another address and none like the other.
fn transfers(chain: &impl Chain, count: u8) -> Result<Vec<Transfer>, Box<dyn Error>> {
    (1..=count)
        .map(|index| {
            let recipient = AccountKey::from_bytes(&[index; 32])?;
            Ok(Transfer {
                to: chain.sender(&recipient),
                amount: match index {
                    1 => 1,
                    2 => LARGE,
                    _ => 1_000_000 * u128::from(index),
                },
            })
        })
        .collect()
}

fn told(transfers: &[Transfer]) -> Value {
    transfers
        .iter()
        .map(|transfer| json!({"to": transfer.to, "amount": transfer.amount.to_string()}))
        .collect()
}

fn cosmos_lines() -> Result<Vec<Value>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for (prefix, memo, timeout_height, sequence, fee, count) in [
        ("cosmos", "faucet drop", 1020, 0, 2500, 1),
        ("cosmos", "", u64::from(u32::MAX), 7, 4000, 2),
        ("cosmos", "faucet drop", 1020, u64::MAX, LARGE, 90),
        ("osmo", "a drop of Ω, 水", 1, 1, 0, 1),
        ("osmo", "faucet drop", 77, 300, 70_000, 90),
    ] {
        let (gas, account_number) = (100_000 + 30_000 * u64::from(count - 1), 4711);
        let settings = CosmosSettings {
            nodes: nodes(),
            chain_id: "probe-1".to_owned(),
            prefix: prefix.to_owned(),
            denom: "stake".to_owned(),
            fee_denom: "ufee".to_owned(),
            gas_price: "0.025".to_owned(),
            gas: 100_000,
            gas_each: 30_000,
            memo: memo.to_owned(),
            timeout_blocks: 20,
        };
        ChainSettings::Cosmos(settings.clone()).validate()?;
        let chain = Cosmos::new(&settings)?;
        let key = AccountKey::from_bytes(&[0x46; 32])?;
        let transfers = transfers(&chain, count)?;
        let terms = Terms::Cosmos {
            account_number,
            timeout_height,
            gas,
            fee,
        };
        let signed = chain.sign(&key, sequence, &transfers, &terms)?;
        let fees = [json!({"denom": "ufee", "amount": fee.to_string()})];
        lines.push(json!({
            "kind": "cosmos",
            "bytes": hex::encode(&signed.bytes),
            // What is signed and not sent.
            "chain_id": settings.chain_id,
            "account_number": account_number.to_string(),
            "expected": {
                "hash": signed.hash,
                "sender": chain.sender(&key),
                "public_key": key.public_key(),
                "message": if count == 1 { "MsgSend" } else { "MsgMultiSend" },
                "transfers": told(&transfers),
                "denom": "stake",
                "memo": memo,
                "timeout_height": timeout_height.to_string(),
                "sequence": sequence.to_string(),
                "gas": gas.to_string(),
                "fee": &fees[..usize::from(fee > 0)],
            },
        }));
    }
    Ok(lines)
}

fn evm_lines() -> Result<Vec<Value>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for (chain_id, sequence, gas, max_fee, priority_fee, count) in [
        (31_337, 0, 21_000, 3_000_000_000, 1_000_000_000, 1),
        (11_155_111, 7, 100_000, 1, 0, 2),
        (u64::from(u32::MAX), 1 << 40, 30_000_000, LARGE, LARGE, 90),
    ] {
        let chain = Evm::new(&EvmSettings {
            nodes: nodes(),
            chain_id,
            max_fee_wei: max_fee,
            priority_fee_wei: priority_fee,
        })?;
        let key = AccountKey::from_bytes(&[0x46; 32])?;
        let transfers = transfers(&chain, count)?;
        let terms = Terms::Evm {
            gas,
            max_fee,
            priority_fee,
        };
        let signed = chain.sign(&key, sequence, &transfers, &terms)?;
        let value: u128 = transfers.iter().map(|transfer| transfer.amount).sum();
        lines.push(json!({
            "kind": "evm",
            "bytes": hex::encode(&signed.bytes),
            "expected": {
                "hash": signed.hash,
                "sender": chain.sender(&key),
                "public_key": key.public_key(),
                "type": 2,
                "chain_id": chain_id.to_string(),
                "nonce": sequence.to_string(),
                // Several transfers are made by the code of a creation.
                "to": (count == 1).then(|| &transfers[0].to),
                "value": value.to_string(),
                "transfers": told(&transfers),
                "gas": gas.to_string(),
                "max_fee": max_fee.to_string(),
                "priority_fee": priority_fee.to_string(),
            },
        }));
    }
    Ok(lines)
}
