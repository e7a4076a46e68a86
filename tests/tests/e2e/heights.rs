//! Requests that are due at a block height, with a node that does as told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::harness::{SOON, Undo, World, bundle, unique, until};

/// An EVM node that knows one call.
struct Node {
    url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    height: AtomicU64,
    down: AtomicBool,
    asked: AtomicU64,
}

impl Node {
    fn start(height: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        state.height.store(height, Ordering::SeqCst);
        let shared = Arc::clone(&state);
        // It ends with the process.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // A caller that is gone is none of the node's business.
                let _ = shared.answer(socket);
            }
        });
        Self { url, state }
    }

    fn is_at(&self, height: u64) {
        self.state.height.store(height, Ordering::SeqCst);
    }

    fn is_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// Makes it the chain of the deployment until the returned value is dropped.
    async fn join(&self, world: &World) -> [Undo; 2] {
        let url = ("VRF_CHAIN_RPC_URL", Some(self.url.as_str()));
        [
            world
                .set_env("height", &[("VRF_CHAIN_KIND", Some("evm")), url])
                .await,
            world.set_env("api", &[url]).await,
        ]
    }
}

impl State {
    fn answer(&self, mut socket: TcpStream) -> std::io::Result<()> {
        let mut request = [0; 4096];
        let read = socket.read(&mut request)?;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(&request[..read]);
        let (status, body) = if self.down.load(Ordering::SeqCst) {
            ("503 Service Unavailable", String::new())
        } else if text.contains("eth_blockNumber") {
            let height = self.height.load(Ordering::SeqCst);
            (
                "200 OK",
                json!({"jsonrpc": "2.0", "id": 1, "result": format!("{height:#x}")}).to_string(),
            )
        } else {
            ("400 Bad Request", String::new())
        };
        let length = body.len();
        write!(
            socket,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

/// Waits until a request's view is as wanted.
async fn seen(world: &World, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, SOON, async || {
        let view = world.api.show(id).await;
        wanted(&view).then_some(view)
    })
    .await
}

#[tokio::test]
async fn a_request_waits_for_its_height_even_while_the_chain_is_down() {
    let world = World::alone().await;
    // Without a chain no height is a target.
    let body = json!({"min": 1, "max": 6, "target_height": 100});
    let refused = world.api.post(&unique(), &body).await;
    assert_eq!(
        (refused.status, &refused.body["type"]),
        (400, &json!("urn:offchain:DueInvalid"))
    );

    let node = Node::start(90);
    let _joined = node.join(&world).await;
    let id = world.api.request(&body).await;
    let view = seen(&world, &id, "the height to be seen", |view| {
        view["observed_height"] == "90"
    })
    .await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("pending"), &json!("height_not_reached"))
    );
    assert_eq!(view["target_height"], "100");

    node.is_down(true);
    // Three tries are a look; another one begins only after the first was survived.
    let asked = node.asked();
    until("the chain to be asked while it is down", SOON, async || {
        (node.asked() >= asked + 5).then_some(())
    })
    .await;
    assert_eq!(world.api.show(&id).await["status"], "pending");
    node.is_at(99);
    node.is_down(false);
    let view = seen(&world, &id, "the next height to be seen", |view| {
        view["observed_height"] == "99"
    })
    .await;
    assert_eq!(view["status"], "pending");

    node.is_at(100);
    let view = world.api.closed(&id, SOON).await;
    assert_eq!(
        (&view["status"], &view["observed_height"]),
        (&json!("fulfilled"), &json!("100"))
    );
    let bundle = bundle(&view);
    bundle.verify().unwrap();
    assert_eq!(serde_json::to_value(&bundle).unwrap()["due_height"], "100");

    // A height of the past is due at once.
    let past = world
        .api
        .request(&json!({"min": 1, "max": 6, "target_height": 1}))
        .await;
    assert_eq!(world.api.closed(&past, SOON).await["status"], "fulfilled");
}

#[tokio::test]
async fn a_height_that_never_comes_ends_the_request_at_its_deadline() {
    let world = World::alone().await;
    let node = Node::start(7);
    let _joined = node.join(&world).await;
    let _short = world
        .set_env("api", &[("VRF_HEIGHT_WINDOW_SECONDS", Some("4"))])
        .await;
    let id = world
        .api
        .request(&json!({"min": 1, "max": 6, "target_height": 8}))
        .await;
    let view = world.api.closed(&id, SOON).await;
    assert_eq!(
        (&view["status"], &view["reason"]),
        (&json!("expired"), &json!("HeightNotReached"))
    );
    assert_eq!(view["observed_height"], "7");
    assert_eq!(view["failed_attempts"], 0);
    world
        .dead_letter("executions-dlq", "the expired request", |letter| {
            letter.body().unwrap_or_default().contains(&id)
        })
        .await;
}
