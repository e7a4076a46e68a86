//! The REST API.

mod accounts;
mod blocks;
mod txs;

use axum::Router;
use axum::routing::get;

use crate::answer::Answer;
use crate::node::Door;

/// The routes that the stand-in knows; all others are not implemented.
pub(crate) fn routes() -> Router<Door> {
    Router::new()
        .nest("/cosmos/auth/v1beta1", accounts::auth())
        .nest("/cosmos/bank/v1beta1", accounts::bank())
        .nest("/cosmos/base/tendermint/v1beta1", blocks::routes())
        .nest("/cosmos/tx/v1beta1", txs::routes())
        .route("/", get(not_implemented))
        .fallback(not_implemented)
        .method_not_allowed_fallback(not_implemented)
}

async fn not_implemented() -> Answer {
    Answer::not_implemented()
}
