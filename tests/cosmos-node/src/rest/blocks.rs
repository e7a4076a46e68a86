//! Blocks, and what the node says of itself.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::block::{self, Block};
use crate::clock;
use crate::machine::{Machine, Outlook};
use crate::node::{Door, NodeInfo};

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/node_info", get(node_info))
        .route("/blocks/latest", get(latest))
        .route("/blocks/{height}", get(by_height))
}

async fn node_info(State(door): State<Door>) -> Answer {
    let NodeInfo {
        id,
        channels,
        mut shown,
    } = door.info();
    shown["default_node_id"] = id.into();
    shown["channels"] = STANDARD.encode(channels).into();
    Answer::ok(json!({
        "default_node_info": shown,
        "application_version": {
            "name": "cosmos-node",
            "app_name": "cosmos-node",
            "version": "",
            "git_commit": "",
            "build_tags": "",
            "go_version": "none",
            "build_deps": [],
            "cosmos_sdk_version": "v0.43.0",
        },
    }))
}

async fn latest(State(door): State<Door>) -> Reply {
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    show(&machine, &outlook, machine.height_seen(&outlook))
}

async fn by_height(State(door): State<Door>, Path(height): Path<String>) -> Reply {
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let height: u64 = height.parse().map_err(|_| {
        Answer::invalid(format!(
            "type mismatch, parameter: height, error: strconv.ParseInt: parsing \"{height}\": invalid syntax"
        ))
    })?;
    if height > machine.height_seen(&outlook) {
        return Err(Answer::invalid(
            "rpc error: code = InvalidArgument desc = requested block height is bigger then the chain length: invalid request",
        ));
    }
    show(&machine, &outlook, height)
}

fn show(machine: &Machine, outlook: &Outlook, height: u64) -> Reply {
    let constants = &machine.constants;
    let chain_id = outlook.chain_id.as_ref().unwrap_or(&constants.chain_id);
    let Some(block) = machine.block(height) else {
        return Err(Answer::invalid(
            "height must be greater than 0: invalid request",
        ));
    };
    let txs = machine.delivered().get(block.txs.clone());
    let txs = txs.unwrap_or_default().iter();
    let txs: Vec<String> = txs.map(|tx| STANDARD.encode(&tx.tx.bytes)).collect();
    let hash = |what: &str| STANDARD.encode(block::hash(chain_id, height, what));
    let forever = |what: &str| STANDARD.encode(block::hash(chain_id, 0, what));
    let before = machine.block(height - 1);
    Ok(Answer::ok(json!({
        "block_id": block_id(chain_id, Some(block)),
        "block": {
            "header": {
                "version": {"block": "11", "app": "0"},
                "chain_id": chain_id,
                "height": height.to_string(),
                "time": clock::nanoseconds(block.time),
                "last_block_id": block_id(chain_id, before),
                "last_commit_hash": hash("last commit"),
                "data_hash": hash("data"),
                "validators_hash": forever("validators"),
                "next_validators_hash": forever("validators"),
                "consensus_hash": forever("consensus"),
                "app_hash": hash("app"),
                "last_results_hash": hash("last results"),
                "evidence_hash": forever("evidence"),
                "proposer_address": STANDARD.encode(block::validator(chain_id)),
            },
            "data": {"txs": txs},
            "evidence": {"evidence": []},
            "last_commit": last_commit(chain_id, before),
        },
    })))
}

fn last_commit(chain_id: &str, before: Option<&Block>) -> Value {
    let signature = |block: &Block| {
        json!({
            "block_id_flag": "BLOCK_ID_FLAG_COMMIT",
            "validator_address": STANDARD.encode(block::validator(chain_id)),
            "timestamp": clock::nanoseconds(block.time),
            "signature": STANDARD.encode(
                [block::hash(chain_id, block.height, "r"), block::hash(chain_id, block.height, "s")].concat()
            ),
        })
    };
    json!({
        "height": before.map_or(0, |block| block.height).to_string(),
        "round": 0,
        "block_id": block_id(chain_id, before),
        "signatures": before.map(signature).into_iter().collect::<Vec<_>>(),
    })
}

fn block_id(chain_id: &str, block: Option<&Block>) -> Value {
    let hash =
        |what: &str| block.map(|block| STANDARD.encode(block::hash(chain_id, block.height, what)));
    json!({
        "hash": hash("block"),
        "part_set_header": {"total": u8::from(block.is_some()), "hash": hash("parts")},
    })
}
