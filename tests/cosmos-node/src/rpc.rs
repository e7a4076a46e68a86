//! The RPC: each method by a GET with a query, and by a POST of JSON-RPC.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::block;
use crate::clock;
use crate::machine::Machine;
use crate::node::{Door, NodeInfo};
use crate::refusal::IN_CACHE;

pub(crate) fn routes() -> Router<Door> {
    Router::new()
        .route("/", post(by_json))
        .route("/{method}", get(by_query))
}

/// An error of JSON-RPC.
struct RpcError {
    code: i32,
    message: &'static str,
    data: Option<String>,
}

impl RpcError {
    fn method_not_found() -> Self {
        Self {
            code: -32601,
            message: "Method not found",
            data: None,
        }
    }

    fn invalid_params(data: impl Into<String>) -> Self {
        Self {
            code: -32602,
            message: "Invalid params",
            data: Some(data.into()),
        }
    }

    fn internal(data: impl Into<String>) -> Self {
        Self {
            code: -32603,
            message: "Internal error",
            data: Some(data.into()),
        }
    }
}

fn envelope(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(RpcError {
            code,
            message,
            data,
        }) => {
            let mut error = json!({"code": code, "message": message});
            if let Some(data) = data {
                error["data"] = data.into();
            }
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        }
    }
}

async fn by_query(
    State(door): State<Door>,
    Path(method): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let bytes = |name: &str| {
        let text = query.get(name).map(String::as_str).unwrap_or_default();
        if let Some(digits) = text.strip_prefix("0x") {
            hex::decode(digits).map_err(|e| RpcError::invalid_params(e.to_string()))
        } else {
            Ok(text.trim_matches('"').as_bytes().to_vec())
        }
    };
    let result = call(&door, &method, bytes);
    let status = match &result {
        Ok(_) => StatusCode::OK,
        Err(error) if error.code == RpcError::method_not_found().code => {
            return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    // The id of those who sent none.
    Answer::new(status, envelope(&json!(-1), result)).into_response()
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Value,
}

async fn by_json(State(door): State<Door>, body: Bytes) -> Answer {
    let (id, result) = match serde_json::from_slice(&body) {
        Ok(Call { id, method, params }) => {
            let bytes = |name: &str| {
                // Members by name, or the first by its place.
                let text = params.get(name).or_else(|| params.get(0));
                let text = text.and_then(Value::as_str).unwrap_or_default();
                let bytes = STANDARD.decode(text);
                bytes.map_err(|e| RpcError::invalid_params(e.to_string()))
            };
            (id, call(&door, &method, bytes))
        }
        Err(e) => {
            let error = RpcError {
                code: -32700,
                message: "Parse error. Invalid JSON",
                data: Some(e.to_string()),
            };
            (json!(-1), Err(error))
        }
    };
    Answer::ok(envelope(&id, result))
}

fn call(
    door: &Door,
    method: &str,
    bytes: impl Fn(&str) -> Result<Vec<u8>, RpcError>,
) -> Result<Value, RpcError> {
    match method {
        "health" => Ok(json!({})),
        "status" => Ok(status(door)),
        "broadcast_tx_sync" => broadcast(door, &bytes("tx")?, true),
        "broadcast_tx_async" => broadcast(door, &bytes("tx")?, false),
        "tx" => tx(door, &bytes("hash")?),
        "unconfirmed_txs" => Ok(unconfirmed(&door.chain.machine())),
        _ => Err(RpcError::method_not_found()),
    }
}

fn broadcast(door: &Door, bytes: &[u8], says: bool) -> Result<Value, RpcError> {
    let checked = door.chain.machine().check(bytes, &door.faults.outlook());
    let shown = |code: u32, log: &str, codespace: &str| json!({"code": code, "data": "", "log": log, "codespace": codespace, "hash": checked.hash});
    match &checked.refusal {
        Some(refusal) if refusal.is(&IN_CACHE) => {
            Err(RpcError::internal("tx already exists in cache"))
        }
        _ if !says => Ok(shown(0, "", "")),
        Some(refusal) => Ok(shown(refusal.code(), &refusal.log, refusal.codespace())),
        None => Ok(shown(0, "[]", "")),
    }
}

fn tx(door: &Door, hash: &[u8]) -> Result<Value, RpcError> {
    let hash = hex::encode_upper(hash);
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let Some(found) = machine.find(&hash, machine.height_seen(&outlook)) else {
        return Err(RpcError::internal(format!("tx ({hash}) not found")));
    };
    let outcome = &found.outcome;
    let events = outcome.events.iter().map(|event| event.to_abci(true));
    Ok(json!({
        "hash": hash,
        "height": found.height.to_string(),
        "index": found.index,
        "tx_result": {
            "code": outcome.code,
            "data": STANDARD.encode(&outcome.data),
            "log": outcome.log,
            "info": "",
            "gas_wanted": outcome.gas_wanted.to_string(),
            "gas_used": outcome.gas_used.to_string(),
            "events": events.collect::<Vec<_>>(),
            "codespace": outcome.codespace,
        },
        "tx": STANDARD.encode(&found.tx.bytes),
    }))
}

fn unconfirmed(machine: &Machine) -> Value {
    let waiting = machine.waiting();
    let bytes: usize = waiting.iter().map(|tx| tx.bytes.len()).sum();
    let txs = waiting.iter().map(|tx| STANDARD.encode(&tx.bytes));
    json!({
        "n_txs": waiting.len().to_string(),
        "total": waiting.len().to_string(),
        "total_bytes": bytes.to_string(),
        "txs": txs.collect::<Vec<_>>(),
    })
}

fn status(door: &Door) -> Value {
    let NodeInfo {
        id,
        channels,
        mut shown,
    } = door.info();
    shown["id"] = id.into();
    shown["channels"] = hex::encode_upper(channels).into();
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let chain_id = outlook.chain_id.as_ref();
    let chain_id = chain_id.unwrap_or(&machine.constants.chain_id);
    let height = machine.height_seen(&outlook);
    let hash = |height, what: &str| hex::encode_upper(block::hash(chain_id, height, what));
    let time = |height| {
        machine
            .block(height)
            .map(|block| clock::nanoseconds(block.time))
    };
    let key = block::hash(chain_id, 0, "validator key");
    json!({
        "node_info": shown,
        "sync_info": {
            "latest_block_hash": hash(height, "block"),
            "latest_app_hash": hash(height, "app"),
            "latest_block_height": height.to_string(),
            "latest_block_time": time(height),
            "earliest_block_hash": hash(1, "block"),
            "earliest_app_hash": hash(1, "app"),
            "earliest_block_height": "1",
            "earliest_block_time": time(1),
            "catching_up": false,
        },
        "validator_info": {
            "address": hex::encode_upper(block::validator(chain_id)),
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": STANDARD.encode(key)},
            "voting_power": "10",
        },
    })
}
