//! Transactions: sent, simulated and looked for.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::block::{Delivered, Outcome};
use crate::clock;
use crate::event::MessageLog;
use crate::machine::Checked;
use crate::node::Door;
use crate::refusal::{IN_CACHE, Refusal};
use crate::search::Search;

/// How long a node waits for a block in mode BLOCK.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Door> {
    Router::new()
        .route("/txs", post(broadcast).get(search))
        .route("/txs/{hash}", get(by_hash))
        .route("/simulate", post(simulate))
}

#[derive(Deserialize)]
struct Broadcast {
    #[serde(default)]
    tx_bytes: String,
    #[serde(default)]
    mode: Mode,
}

/// When a broadcast is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Mode {
    #[default]
    #[serde(rename = "BROADCAST_MODE_UNSPECIFIED")]
    Unspecified,
    /// At once.
    #[serde(rename = "BROADCAST_MODE_ASYNC")]
    Async,
    /// Once the transaction is checked.
    #[serde(rename = "BROADCAST_MODE_SYNC")]
    Sync,
    /// Once a block has it.
    #[serde(rename = "BROADCAST_MODE_BLOCK")]
    Block,
}

async fn broadcast(State(door): State<Door>, body: Bytes) -> Reply {
    let Broadcast { tx_bytes, mode } = read(&body)?;
    let bytes = bytes_of(&tx_bytes)?;
    if mode == Mode::Unspecified {
        return Err(Answer::unknown(
            "unsupported return type ; supported types: sync, async, block",
        ));
    }
    let (height, Checked { hash, refusal }) = {
        let (mut machine, outlook) = (door.chain.machine(), door.faults.outlook());
        (machine.height(), machine.check(&bytes, &outlook))
    };
    let shown = match (mode, refusal) {
        // A transaction that is known is refused before it is checked.
        (Mode::Async, refusal) if !refusal.as_ref().is_some_and(is_known) => {
            response(&hash, 0, "", 0, "")
        }
        (_, Some(refusal)) => refused(&hash, &refusal),
        (Mode::Block, None) => {
            let outcome = door.chain.outcome(&hash, height);
            let outcome = tokio::time::timeout(BLOCK_TIMEOUT, outcome).await;
            let (height, outcome) = outcome.map_err(|_| {
                Answer::unknown("timed out waiting for tx to be included in a block")
            })?;
            included(&hash, height, &outcome)
        }
        (_, None) => response(&hash, 0, "", 0, "[]"),
    };
    Ok(Answer::ok(json!({"tx_response": shown})))
}

fn is_known(refusal: &Refusal) -> bool {
    refusal.is(&IN_CACHE)
}

async fn simulate(State(door): State<Door>, body: Bytes) -> Reply {
    let Broadcast { tx_bytes, .. } = read(&body)?;
    let bytes = bytes_of(&tx_bytes)?;
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let outcome = machine
        .simulate(&bytes, &outlook)
        .map_err(|refusal| Answer::invalid(format!("{}: invalid request", refusal.log)))?;
    let events = outcome.events.iter().map(|event| event.to_abci(false));
    Ok(Answer::ok(json!({
        "gas_info": {"gas_wanted": "0", "gas_used": outcome.gas_used.to_string()},
        "result": {
            "data": STANDARD.encode(&outcome.data),
            "log": outcome.log,
            "events": events.collect::<Vec<_>>(),
        },
    })))
}

async fn by_hash(State(door): State<Door>, Path(hash): Path<String>) -> Reply {
    let hash = hash.to_ascii_uppercase();
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let Some(found) = machine.find(&hash, machine.height_seen(&outlook)) else {
        return Err(Answer::invalid(format!(
            "tx ({hash}) not found: invalid request"
        )));
    };
    Ok(Answer::ok(json!({
        "tx": found.tx.to_json(),
        "tx_response": delivered(found),
    })))
}

async fn search(State(door): State<Door>, Query(pairs): Query<Vec<(String, String)>>) -> Reply {
    let search = Search::read(&pairs).map_err(Answer::invalid)?;
    let (machine, outlook) = (door.chain.machine(), door.faults.outlook());
    let height = machine.height_seen(&outlook);
    let all = machine.delivered().iter().filter(|tx| tx.height <= height);
    let (found, total) = search.run(all);
    let txs = found.iter().map(|found| found.tx.to_json());
    let responses = found.iter().map(|found| delivered(found));
    Ok(Answer::ok(json!({
        "txs": txs.collect::<Vec<_>>(),
        "tx_responses": responses.collect::<Vec<_>>(),
        "pagination": {"next_key": null, "total": total.to_string()},
    })))
}

fn read(body: &[u8]) -> Result<Broadcast, Answer> {
    serde_json::from_slice(body).map_err(|e| Answer::invalid(e.to_string()))
}

fn bytes_of(text: &str) -> Result<Vec<u8>, Answer> {
    let bytes = STANDARD.decode(text).map_err(|e| {
        let at = match e {
            DecodeError::InvalidByte(at, _) => at,
            _ => text.len(),
        };
        Answer::invalid(format!("illegal base64 data at input byte {at}"))
    })?;
    if bytes.is_empty() {
        return Err(Answer::invalid("invalid empty tx"));
    }
    Ok(bytes)
}

/// A `TxResponse` of a transaction that is in no block.
fn response(hash: &str, code: u32, codespace: &str, height: u64, log: &str) -> Value {
    json!({
        "height": height.to_string(),
        "txhash": hash,
        "codespace": codespace,
        "code": code,
        "data": "",
        "raw_log": log,
        "logs": [],
        "info": "",
        "gas_wanted": "0",
        "gas_used": "0",
        "tx": null,
        "timestamp": "",
    })
}

fn refused(hash: &str, refusal: &Refusal) -> Value {
    response(hash, refusal.code(), refusal.codespace(), 0, &refusal.log)
}

fn included(hash: &str, height: u64, outcome: &Outcome) -> Value {
    let mut shown = response(hash, outcome.code, outcome.codespace, height, &outcome.log);
    let logs = outcome.logs.iter().map(MessageLog::to_json);
    shown["data"] = hex::encode_upper(&outcome.data).into();
    shown["logs"] = logs.collect::<Vec<_>>().into();
    shown["gas_wanted"] = outcome.gas_wanted.to_string().into();
    shown["gas_used"] = outcome.gas_used.to_string().into();
    shown
}

fn delivered(found: &Delivered) -> Value {
    let mut shown = included(&found.tx.hash, found.height, &found.outcome);
    let mut tx = found.tx.to_json();
    tx["@type"] = "/cosmos.tx.v1beta1.Tx".into();
    shown["tx"] = tx;
    shown["timestamp"] = clock::seconds(found.time).into();
    shown
}
