//! Where faults come between a call and its answer.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::answer::Answer;
use crate::faults::{Faults, Route};
use crate::line::Cut;

const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Does to a call what the faults say.
pub(crate) async fn interfere(
    State(faults): State<Faults>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Answer::error(StatusCode::PAYLOAD_TOO_LARGE, 8, "request too large")
            .into_response();
    };
    let Some(route) = route_of(&parts.method, &parts.uri, &body) else {
        return next.run(rebuild(parts, body)).await;
    };
    if faults.refuses() {
        cut.cut();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if faults.fails() {
        return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, 13, "internal error")
            .into_response();
    }
    let lost = route == Route::Broadcast && faults.loses_reply();
    let response = next.run(rebuild(parts, body)).await;
    if lost {
        cut.cut();
    }
    if let Some(delay) = faults.delay_of(route) {
        tokio::time::sleep(delay).await;
    }
    response
}

fn rebuild(parts: Parts, body: Bytes) -> Request {
    Request::from_parts(parts, Body::from(body))
}

/// What a request asks for, where faults touch it.
fn route_of(method: &Method, uri: &Uri, body: &[u8]) -> Option<Route> {
    let path = uri.path();
    let call = match (method, path) {
        (&Method::POST, "/") => method_of(body),
        _ => path.trim_start_matches('/').to_owned(),
    };
    match call.as_str() {
        "status" | "health" => Some(Route::Status),
        "broadcast_tx_sync" | "broadcast_tx_async" => Some(Route::Broadcast),
        "tx" | "unconfirmed_txs" => Some(Route::Tx),
        "cosmos/tx/v1beta1/simulate" => Some(Route::Simulate),
        "cosmos/tx/v1beta1/txs" if method == Method::POST => Some(Route::Broadcast),
        "cosmos/base/tendermint/v1beta1/node_info" => Some(Route::Status),
        call if call.starts_with("cosmos/tx/") => Some(Route::Tx),
        call if call.starts_with("cosmos/auth/") => Some(Route::Account),
        call if call.starts_with("cosmos/bank/") => Some(Route::Balance),
        call if call.starts_with("cosmos/base/") => Some(Route::Block),
        _ => None,
    }
}

fn method_of(body: &[u8]) -> String {
    let call: Option<Value> = serde_json::from_slice(body).ok();
    let method = call.as_ref().and_then(|call| call.get("method")?.as_str());
    method.unwrap_or_default().to_owned()
}
