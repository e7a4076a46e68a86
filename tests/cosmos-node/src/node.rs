//! A node: a chain, with doors to it and faults of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::middleware::from_fn_with_state;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::chain::Chain;
use crate::faults::Faults;
use crate::interfere::interfere;
use crate::line::{Cut, Lines};
use crate::{Genesis, SetupError, admin, block, rest, rpc};

/// A node that answers until it is dropped.
#[derive(Debug)]
pub struct Node {
    /// Where its REST API is, without a slash at the end.
    pub rest_url: String,
    /// Where its RPC is, without a slash at the end.
    pub rpc_url: String,
    /// Its chain.
    pub chain: Chain,
    /// What is wrong with it.
    pub faults: Faults,
    /// Its servers stop when this is gone.
    _running: watch::Sender<()>,
}

impl Node {
    /// Starts a chain with one node. Must be called within a Tokio runtime.
    pub async fn start(genesis: Genesis) -> Result<Self, SetupError> {
        let chain = Chain::new(&genesis)?;
        Self::open(chain, genesis.rest, genesis.rpc).await
    }

    /// Starts another node of the same chain, on ports of its own and without
    /// faults.
    pub async fn peer(&self) -> Result<Self, SetupError> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::open(self.chain.clone(), local, local).await
    }

    async fn open(chain: Chain, rest: SocketAddr, rpc: SocketAddr) -> Result<Self, SetupError> {
        let (rest, rest_at) = listen(rest).await?;
        let (rpc, rpc_at) = listen(rpc).await?;
        let door = Door {
            chain,
            faults: Faults::default(),
            rpc: rpc_at,
        };
        let (running, _) = watch::channel(());
        let admin = Router::new().nest("/admin", admin::routes());
        serve(rest, &door, rest::routes(), admin, &running);
        serve(rpc, &door, rpc::routes(), Router::new(), &running);
        Ok(Self {
            rest_url: format!("http://{rest_at}"),
            rpc_url: format!("http://{rpc_at}"),
            chain: door.chain,
            faults: door.faults,
            _running: running,
        })
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) chain: Chain,
    pub(crate) faults: Faults,
    rpc: SocketAddr,
}

/// What a node says of itself: REST and RPC write two members differently.
pub(crate) struct NodeInfo {
    pub(crate) id: String,
    pub(crate) channels: &'static [u8],
    pub(crate) shown: Value,
}

impl Door {
    pub(crate) fn info(&self) -> NodeInfo {
        let network = self.faults.outlook().chain_id;
        let network = network.unwrap_or_else(|| self.chain.machine().constants.chain_id.clone());
        let port = u64::from(self.rpc.port());
        NodeInfo {
            id: hex::encode(&block::hash("", port, "node")[..20]),
            channels: &[0x40, 0x20, 0x21, 0x22, 0x23, 0x30, 0x38, 0x60, 0x61],
            shown: json!({
                "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
                "listen_addr": "tcp://127.0.0.1:0",
                "network": network,
                "version": "0.34.14",
                "moniker": "cosmos-node",
                "other": {"tx_index": "on", "rpc_address": format!("tcp://{}", self.rpc)},
            }),
        }
    }
}

async fn listen(at: SocketAddr) -> Result<(Lines, SocketAddr), SetupError> {
    let error = |e: io::Error| SetupError::new(format!("cannot listen at {at}: {e}"));
    let listener = TcpListener::bind(at).await.map_err(error)?;
    let at = listener.local_addr().map_err(error)?;
    Ok((Lines(listener), at))
}

/// Serves the routes, which faults touch, and others, which they do not.
fn serve(
    lines: Lines,
    door: &Door,
    routes: Router<Door>,
    untouched: Router<Door>,
    running: &watch::Sender<()>,
) {
    let app = routes
        .layer(from_fn_with_state(door.faults.clone(), interfere))
        .merge(untouched)
        .with_state(door.clone());
    let mut running = running.subscribe();
    tokio::spawn(async move {
        let app = app.into_make_service_with_connect_info::<Cut>();
        let stopped = async move {
            // Fails when the node is gone, and that is when it is to stop.
            let _ = running.changed().await;
        };
        let served = axum::serve(lines, app).with_graceful_shutdown(stopped);
        // It never returns an error.
        let _ = served.await;
    });
}
