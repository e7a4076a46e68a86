//! A door to the faults for tests that run the stand-in as a program:
//! `POST /admin/<order>` with the order's members as JSON, and
//! `GET /admin/ledger`.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::SetupError;
use crate::answer::Answer;
use crate::faults::Route;
use crate::node::Door;

pub(crate) fn routes() -> Router<Door> {
    Router::new()
        .route("/ledger", get(ledger))
        .route("/{order}", post(order))
}

/// What can be asked for: the methods of [`Faults`](crate::Faults), which touch
/// this node only, and of [`Chain`](crate::Chain).
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Order {
    Delay { route: Option<Route>, ms: u64 },
    Refuse { calls: u64 },
    Fail { calls: u64 },
    LoseReplies { broadcasts: u64 },
    ChainId { chain_id: Option<String> },
    Behind { blocks: u64 },
    Clear {},
    Halt {},
    Resume {},
    ProduceBlock {},
    BlockSize { transactions: usize },
    DropMempool {},
    Balance { address: String, coins: String },
    BlockAddress { address: String, blocked: bool },
}

impl Order {
    fn read(name: &str, body: &[u8]) -> Result<Self, String> {
        let members: Value = match body {
            [] => json!({}),
            body => serde_json::from_slice(body).map_err(|e| e.to_string())?,
        };
        serde_json::from_value(json!({ name: members })).map_err(|e| e.to_string())
    }

    fn carry_out(self, Door { chain, faults, .. }: &Door) -> Result<(), SetupError> {
        match self {
            Self::Delay { route, ms } => faults.delay(route, Duration::from_millis(ms)),
            Self::Refuse { calls } => faults.refuse(calls),
            Self::Fail { calls } => faults.fail(calls),
            Self::LoseReplies { broadcasts } => faults.lose_replies(broadcasts),
            Self::ChainId { chain_id } => faults.report_chain_id(chain_id.as_deref()),
            Self::Behind { blocks } => faults.stay_behind(blocks),
            Self::Clear {} => faults.clear(),
            Self::Halt {} => chain.halt(),
            Self::Resume {} => chain.resume(),
            Self::ProduceBlock {} => drop(chain.produce_block()),
            Self::BlockSize { transactions } => chain.set_block_size(transactions),
            Self::DropMempool {} => chain.drop_mempool(),
            Self::Balance { address, coins } => chain.set_balance(&address, &coins)?,
            Self::BlockAddress { address, blocked } => chain.block_address(&address, blocked)?,
        }
        Ok(())
    }
}

async fn order(State(door): State<Door>, Path(name): Path<String>, body: Bytes) -> Answer {
    let done = Order::read(&name, &body)
        .and_then(|order| order.carry_out(&door).map_err(|e| e.to_string()));
    match done {
        Ok(()) => Answer::ok(json!({"height": door.chain.height()})),
        Err(message) => Answer::new(StatusCode::BAD_REQUEST, json!({"message": message})),
    }
}

async fn ledger(State(door): State<Door>) -> Answer {
    Answer::ok(json!(door.chain.ledger()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_orders() {
        let read = |name: &str, body: &str| Order::read(name, body.as_bytes());
        assert!(matches!(
            read("lose-replies", r#"{"broadcasts": 2}"#),
            Ok(Order::LoseReplies { broadcasts: 2 })
        ));
        assert!(matches!(
            read("delay", r#"{"route": "broadcast", "ms": 5}"#),
            Ok(Order::Delay {
                route: Some(Route::Broadcast),
                ms: 5
            })
        ));
        assert!(matches!(read("halt", ""), Ok(Order::Halt {})));
        for (name, body) in [
            ("nonsense", "{}"),
            ("halt", r#"{"hard": true}"#),
            ("fail", "{}"),
            ("fail", "3"),
            ("delay", r#"{"route": "nonsense", "ms": 5}"#),
        ] {
            assert!(read(name, body).is_err(), "{name} {body}");
        }
    }
}
