//! Nodes of tests: servers on the loopback that answer as a function says.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Node;

/// What a node was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Such as `GET /status`.
    pub(crate) line: String,
    /// Null where there was none.
    pub(crate) body: Value,
}

impl Asked {
    /// The method of JSON-RPC.
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// What a node does about it.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this status and body.
    Say(u16, String),
    /// Never answers.
    Hang,
    /// Ends the connection.
    Close,
}

impl Act {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Say(200, body.to_string())
    }

    pub(crate) fn result(result: Value) -> Self {
        Self::json(&json!({"jsonrpc": "2.0", "id": 1, "result": result}))
    }

    pub(crate) fn error(code: i64, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        Self::json(&json!({"jsonrpc": "2.0", "id": 1, "error": error}))
    }
}

/// A node of a test.
pub(crate) struct Stub {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    pub(crate) async fn start(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, act) = (asked.clone(), Arc::new(act));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(socket, seen.clone(), act.clone()));
            }
        });
        Self { port, asked }
    }

    /// An EVM node of chain 31337 at height 100, where base fees are 1000. What
    /// `act` says goes before.
    pub(crate) async fn evm(act: impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::start(move |asked| {
            act(asked).unwrap_or_else(|| match asked.method() {
                "eth_chainId" => Act::result(json!("0x7a69")),
                "eth_syncing" => Act::result(json!(false)),
                "eth_blockNumber" => Act::result(json!("0x64")),
                "eth_getTransactionCount" => Act::result(json!("0x7")),
                "eth_getBalance" => Act::result(json!("0xde0b6b3a7640000")),
                "eth_feeHistory" => Act::result(json!({
                    "oldestBlock": "0x64",
                    "baseFeePerGas": ["0x3e7", "0x3e8"],
                    "gasUsedRatio": [0.5],
                })),
                "eth_maxPriorityFeePerGas" => Act::result(json!("0x1")),
                "eth_estimateGas" => Act::result(json!("0x5208")),
                "eth_sendRawTransaction" => Act::result(json!(format!("0x{:064x}", 1))),
                _ => Act::error(-32601, "the method does not exist"),
            })
        })
        .await
    }

    /// A Cosmos node that answers each path (with its query, where there is
    /// one) as a table says, for a POST with `POST` before it.
    pub(crate) async fn cosmos(table: &[(&str, Act)]) -> Self {
        let table: BTreeMap<String, Act> = table
            .iter()
            .map(|(path, act)| ((*path).to_owned(), act.clone()))
            .collect();
        Self::start(move |asked| {
            let path = asked.line.strip_prefix("GET ").unwrap_or(&asked.line);
            let missing = json!({"code": 12, "message": "Not Implemented", "details": []});
            table
                .get(path)
                .cloned()
                .unwrap_or(Act::Say(501, missing.to_string()))
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/key-hush", self.port)
    }

    pub(crate) fn node(&self) -> Node {
        Node {
            url: self.url(),
            rpc_url: None,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    pub(crate) fn methods(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|asked| asked.method().to_owned())
            .collect()
    }
}

/// A node that is not there.
pub(crate) fn dead() -> Node {
    Node {
        url: "http://127.0.0.1:9/key-hush".to_owned(),
        rpc_url: None,
    }
}

async fn converse(
    mut socket: TcpStream,
    seen: Arc<Mutex<Vec<Asked>>>,
    act: Arc<impl Fn(&Asked) -> Act + Send + Sync + 'static>,
) {
    while let Some(asked) = request(&mut socket).await {
        let act = act(&asked);
        seen.lock().unwrap().push(asked);
        match act {
            Act::Say(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                // A client that has had enough is gone.
                if socket.write_all((head + &body).as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Hang => pending().await,
            Act::Close => return,
        }
    }
}

/// The next request, without the part of its path that every URL of a stub
/// begins with.
async fn request(socket: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    let (line, _) = head.split_once(" HTTP/1.1").unwrap();
    Some(Asked {
        line: line.replacen("/key-hush", "", 1),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
