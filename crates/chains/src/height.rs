//! What talks to a chain: today its height, over the RPC of an EVM node
//! (`eth_blockNumber` of the Ethereum JSON-RPC specification) or of a CometBFT
//! node (`/status` of the CometBFT RPC).

use std::str::FromStr;
use std::time::Duration;

use offchain_codes::Coded;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

/// The kinds of chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    /// Ethereum and its kin.
    Evm,
    /// CometBFT, under every Cosmos SDK chain.
    CometBft,
}

impl FromStr for ChainKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "evm" => Ok(Self::Evm),
            "cometbft" => Ok(Self::CometBft),
            _ => Err("expected evm or cometbft".to_owned()),
        }
    }
}

/// Why a chain gave no height.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node did not answer in time.
    #[error("the node did not answer")]
    Unavailable(#[source] reqwest::Error),
    /// The node answered, but not with success.
    #[error("the node answered {0}")]
    Status(StatusCode),
    /// The node's answer is larger than any height's.
    #[error("the node's answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    /// The node's answer has no height where it is expected.
    #[error("the node's answer is not {expected}")]
    Answer {
        /// What was expected.
        expected: &'static str,
        /// Why it is not that.
        source: AnswerError,
    },
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

/// Why an answer has no height.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not the JSON that was expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The height is no number.
    #[error(transparent)]
    Number(#[from] std::num::ParseIntError),
    /// A quantity without its prefix.
    #[error("the quantity does not start with 0x")]
    NoPrefix,
}

impl Coded for ChainError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Status(_) | Self::TooLarge | Self::Answer { .. } => {
                "ChainUnavailable"
            }
            Self::Client(_) => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // A node behind a balancer may be broken while the next one is not.
            Self::Unavailable(_) | Self::Status(_) | Self::TooLarge | Self::Answer { .. } => true,
            Self::Client(_) => false,
        }
    }
}

const MAX_ANSWER: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);

/// A node that tells its chain's height.
#[derive(Clone, Debug)]
pub struct HeightSource {
    client: Client,
    kind: ChainKind,
    url: Url,
}

impl HeightSource {
    /// The node of a chain of `kind` at `url`, such as `https://rpc.example.org`.
    pub fn new(kind: ChainKind, url: Url) -> Result<Self, ChainError> {
        // Another part of the process may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ChainError::Client)?;
        Ok(Self { client, kind, url })
    }

    /// The height of the newest block.
    pub async fn height(&self) -> Result<u64, ChainError> {
        match self.kind {
            ChainKind::Evm => self.evm_height().await,
            ChainKind::CometBft => self.cometbft_height().await,
        }
    }

    async fn evm_height(&self) -> Result<u64, ChainError> {
        const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .body(CALL);
        let answer = answer(request.send().await).await?;
        evm(&answer).map_err(|source| ChainError::Answer {
            expected: "a result of eth_blockNumber",
            source,
        })
    }

    async fn cometbft_height(&self) -> Result<u64, ChainError> {
        let mut url = self.url.clone();
        let path = format!("{}/status", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let answer = answer(self.client.get(url).send().await).await?;
        cometbft(&answer).map_err(|source| ChainError::Answer {
            expected: "a CometBFT status",
            source,
        })
    }
}

async fn answer(response: reqwest::Result<Response>) -> Result<Vec<u8>, ChainError> {
    let mut response = response
        // The URL may hold an access key, and errors are logged.
        .map_err(|error| ChainError::Unavailable(error.without_url()))?;
    // A redirect is no success either, and may come with a body.
    if !response.status().is_success() {
        return Err(ChainError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| ChainError::Unavailable(error.without_url()))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ChainError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn evm(answer: &[u8]) -> Result<u64, AnswerError> {
    #[derive(Deserialize)]
    struct Answer {
        result: String,
    }
    let answer: Answer = serde_json::from_slice(answer)?;
    let digits = answer
        .result
        .strip_prefix("0x")
        .ok_or(AnswerError::NoPrefix)?;
    Ok(u64::from_str_radix(digits, 16)?)
}

fn cometbft(answer: &[u8]) -> Result<u64, AnswerError> {
    #[derive(Deserialize)]
    struct SyncInfo {
        latest_block_height: String,
    }
    #[derive(Deserialize)]
    struct Status {
        sync_info: SyncInfo,
    }
    #[derive(Deserialize)]
    struct Answer {
        result: Status,
    }
    let answer: Answer = serde_json::from_slice(answer)?;
    Ok(answer.result.sync_info.latest_block_height.parse()?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// The error or height for one raw HTTP answer of a node.
    async fn asked(kind: ChainKind, status: &str, body: &str) -> Result<u64, ChainError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reply = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let node = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = socket.read(&mut request).await.unwrap();
            // A node that refuses may be gone before it has sent everything.
            let _ = socket.write_all(reply.as_bytes()).await;
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let url = format!("http://{address}/rpc/").parse().unwrap();
        let height = HeightSource::new(kind, url).unwrap().height().await;
        let request = node.await.unwrap();
        let line = match kind {
            ChainKind::Evm => "POST /rpc/ HTTP/1.1",
            ChainKind::CometBft => "GET /rpc/status HTTP/1.1",
        };
        assert!(request.starts_with(line), "{request}");
        height
    }

    #[tokio::test]
    async fn an_evm_node_tells_its_height_in_hexadecimal() {
        let body = r#"{"jsonrpc":"2.0","id":1,"result":"0x10d4f"}"#;
        assert_eq!(asked(ChainKind::Evm, "200 OK", body).await.unwrap(), 68_943);
    }

    #[tokio::test]
    async fn a_cometbft_node_tells_its_height_in_decimal() {
        let body = r#"{"jsonrpc":"2.0","id":-1,"result":{"node_info":{},"sync_info":{"latest_block_height":"1262196"}}}"#;
        assert_eq!(
            asked(ChainKind::CometBft, "200 OK", body).await.unwrap(),
            1_262_196
        );
    }

    #[tokio::test]
    async fn garbage_is_no_height() {
        let huge = " ".repeat(MAX_ANSWER + 1);
        for (status, body) in [
            ("200 OK", ""),
            ("200 OK", r#"{"error":{"code":-32601}}"#),
            ("200 OK", r#"{"result":"10d4f"}"#),
            ("200 OK", r#"{"result":"0xzz"}"#),
            ("200 OK", r#"{"result":"0x1ffffffffffffffff"}"#),
            ("200 OK", &huge),
            ("503 Service Unavailable", r#"{"result":"0x1"}"#),
            ("302 Found", r#"{"result":"0x1"}"#),
        ] {
            let error = asked(ChainKind::Evm, status, body).await.unwrap_err();
            assert_eq!(error.code(), "ChainUnavailable", "{status} {body:.60}");
            assert!(error.retryable());
        }
    }

    #[tokio::test]
    async fn a_dead_node_is_unavailable_and_its_url_stays_private() {
        let url = "http://127.0.0.1:9/access-key".parse().unwrap();
        let source = HeightSource::new(ChainKind::Evm, url).unwrap();
        let error = source.height().await.unwrap_err();
        assert_eq!(error.code(), "ChainUnavailable");
        assert!(!offchain_codes::chain(&error).contains("access-key"));
    }
}
