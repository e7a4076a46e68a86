//! The client of a node.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use offchain_ledger::Id;
use offchain_outbound::{Get, Outbound, OutboundError, Reach, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Block, Chain, NodeError, Stream};

/// Where the interface of both generations is.
const API: &str = "/api/v1/";
const MAX_ROOT: usize = 64 * 1024;
const MAX_BLOCK: usize = 16 * 1024 * 1024;
const MAX_TRANSACTION: usize = 1024 * 1024;
/// How much of a block is read to learn that there is one.
const MAX_PROBE: usize = 64 * 1024;
/// The server keeps heights as signed numbers.
const MAX_HEIGHT: u64 = i64::MAX as u64;

/// A client of one node, which keeps its connections. Clones share them.
#[derive(Clone)]
pub struct Node {
    outbound: Outbound,
    url: Url,
    timeout: Duration,
    /// A height that the chain had when the node was last asked.
    seen: Arc<AtomicU64>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Node {
    /// A client of the node whose HTTP interface is at `url`: scheme, host and
    /// port, without a path. Each exchange may take `timeout`.
    pub fn new(url: &str, reach: Reach, timeout: Duration) -> Result<Self, NodeError> {
        let invalid = |reason| NodeError::Remote(OutboundError::Url(reason));
        let url: Url = url.parse().map_err(|_| invalid("cannot be read"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("holds a user or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("has more than scheme, host and port"));
        }
        Ok(Self {
            outbound: Outbound::new(reach)?,
            url,
            timeout,
            seen: Arc::default(),
        })
    }

    /// The body of the answer, or nothing where the node has no such thing.
    async fn get(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, OutboundError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{API}{path}"));
        let request = Get {
            url: &url,
            header: None,
            timeout: self.timeout,
            limit,
        };
        match self.outbound.get(&request).await {
            Ok(body) => Ok(Some(body)),
            Err(OutboundError::Status(404)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask_block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        match self.get(&block_path(height), MAX_BLOCK).await? {
            Some(body) => read_block(&body, height).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the chain has come to a height.
    async fn reaches(&self, height: u64) -> Result<bool, NodeError> {
        match self.get(&block_path(height), MAX_PROBE).await {
            Ok(Some(body)) => read_block(&body, height).map(|_| true),
            Ok(None) => Ok(false),
            // What is too large to read is there.
            Err(OutboundError::TooLarge(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The newest height. No question asks for it, but up to it every height
    /// is answered, also an empty one, and none above. So it is searched for,
    /// in growing steps from where it was last.
    async fn search(&self) -> Result<u64, NodeError> {
        let (mut reached, mut beyond) = self.around(self.seen.load(Ordering::Relaxed)).await?;
        while beyond - reached > 1 {
            let middle = reached + (beyond - reached) / 2;
            match self.reaches(middle).await? {
                true => reached = middle,
                false => beyond = middle,
            }
        }
        Ok(reached)
    }

    /// A height that the chain has, or 0, and one that it has not.
    async fn around(&self, start: u64) -> Result<(u64, u64), NodeError> {
        let mut step = 1;
        let mut at = start;
        if at == 0 || self.reaches(at).await? {
            loop {
                let next = at.saturating_add(step);
                if next > MAX_HEIGHT {
                    return Err(NodeError::AnswerInvalid {
                        expected: "404 above the newest block",
                        reason: "every height is answered".to_owned(),
                    });
                }
                if !self.reaches(next).await? {
                    return Ok((at, next));
                }
                at = next;
                step = step.saturating_mul(2);
            }
        }
        // The chain was reset, or this is a node that is behind another one.
        loop {
            let next = at.saturating_sub(step);
            if next == 0 || self.reaches(next).await? {
                return Ok((next, at));
            }
            at = next;
            step = step.saturating_mul(2);
        }
    }

    async fn streams(&self) -> Result<Url, NodeError> {
        let missing = |found: String| NodeError::StreamsMissing { found };
        let Some(root) = self.get("", MAX_ROOT).await? else {
            return Err(missing("there is nothing, it answers 404".to_owned()));
        };
        let root: Map<String, Value> = read(&root, "an object that names `streams`")?;
        match root.get("streams") {
            Some(Value::String(streams)) if !streams.is_empty() => self.stream_url(streams),
            None | Some(Value::Null | Value::String(_)) => Err(missing(names(&root))),
            Some(_) => Err(stream_url_invalid("it is no text")),
        }
    }

    /// What the API root calls its stream, which may be told as a path of the
    /// node itself.
    fn stream_url(&self, streams: &str) -> Result<Url, NodeError> {
        let mut url = match streams.starts_with('/') {
            true => {
                let mut url = self.url.join(streams);
                if let Ok(url) = &mut url {
                    let scheme = match self.url.scheme() {
                        "https" => "wss",
                        _ => "ws",
                    };
                    // Both are schemes of the same kind, so it can be set.
                    let _ = url.set_scheme(scheme);
                }
                url
            }
            false => streams.parse(),
        }
        .map_err(|_| stream_url_invalid("it cannot be read"))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(stream_url_invalid("it has another scheme"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(stream_url_invalid("it holds a user or password"));
        }
        url.set_fragment(None);
        Ok(url)
    }
}

impl Block {
    fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }
}

impl Chain for Node {
    type Notices = Stream;

    async fn height(&self) -> Result<u64, NodeError> {
        let height = self.search().await?;
        self.seen.store(height, Ordering::Relaxed);
        Ok(height)
    }

    async fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        let settled = height < self.seen.load(Ordering::Relaxed);
        let mut block = self.ask_block(height).await?;
        // The server reads the block, then the newest height. Where the block
        // comes in between, it answers that the height is empty. Now that it
        // has answered, the block is there.
        if !settled && block.as_ref().is_some_and(Block::is_empty) {
            block = self.ask_block(height).await?;
        }
        if block.is_some() {
            self.seen.fetch_max(height, Ordering::Relaxed);
        }
        Ok(block)
    }

    async fn transaction(&self, id: &Id) -> Result<Option<String>, NodeError> {
        let path = format!("transactions/{id}");
        let Some(body) = self.get(&path, MAX_TRANSACTION).await? else {
            return Ok(None);
        };
        let text: Box<RawValue> = read(&body, "a transaction")?;
        Ok(Some(Box::<str>::from(text).into()))
    }

    async fn notices(&self) -> Result<Stream, NodeError> {
        let url = self.streams().await?;
        let socket = self.outbound.connect(&url, self.timeout).await;
        let socket = socket.map_err(|error| unreached(&self.url, &url, error))?;
        Stream::open(&url, socket, self.timeout).await
    }
}

fn block_path(height: u64) -> String {
    format!("blocks/{height}")
}

fn read_block(body: &[u8], height: u64) -> Result<Block, NodeError> {
    #[derive(Deserialize)]
    struct Answer {
        height: u64,
        transactions: Vec<Box<RawValue>>,
    }
    let expected = "a block";
    let answer: Answer = read(body, expected)?;
    match answer.height == height {
        true => Ok(Block {
            height,
            transactions: answer.transactions,
        }),
        false => Err(NodeError::AnswerInvalid {
            expected,
            reason: format!("it has the height {}, not {height}", answer.height),
        }),
    }
}

fn read<T: DeserializeOwned>(body: &[u8], expected: &'static str) -> Result<T, NodeError> {
    serde_json::from_slice(body).map_err(|error| NodeError::AnswerInvalid {
        expected,
        reason: reason(&error),
    })
}

/// What is wrong, and where, without what the node wrote there.
fn reason(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.is_data() {
        true => format!("another shape at line {line} column {column}"),
        false => format!("no JSON from line {line} column {column}"),
    }
}

fn stream_url_invalid(reason: &str) -> NodeError {
    NodeError::AnswerInvalid {
        expected: "a ws or wss URL at `streams`",
        reason: reason.to_owned(),
    }
}

/// Why a stream was not reached. A node that was not told its own name
/// advertises one of the loopback.
pub(super) fn unreached(node: &Url, stream: &Url, error: OutboundError) -> NodeError {
    match is_loopback(stream) && !is_loopback(node) {
        true => NodeError::StreamElsewhere(error),
        false => NodeError::StreamClosed(error),
    }
}

/// What an API root names, as far as it looks like names.
fn names(root: &Map<String, Value>) -> String {
    const MOST: usize = 12;
    let is_name = |name: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (1..=32).contains(&name.len()) && name.chars().all(plain)
    };
    let names: Vec<_> = root.keys().map(String::as_str).collect();
    let shown: Vec<_> = names.iter().copied().filter(is_name).take(MOST).collect();
    match (names.len(), shown.len()) {
        (0, _) => "it is empty".to_owned(),
        (_, 0) => "it has other members".to_owned(),
        (all, some) if all == some => format!("it names {}", shown.join(", ")),
        _ => format!("it names {} and more", shown.join(", ")),
    }
}

/// Whether a URL's host is the one that reads it.
fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Err(_) => {
            let host = host.strip_suffix('.').unwrap_or(host);
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}
