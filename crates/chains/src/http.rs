//! Small JSON over HTTP, to nodes that may be slow, broken or without end.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::ChainFault;
use crate::error::words;

const MAX_ANSWER: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one exchange with one node may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request brought no answer that can be used.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The node did not take the request.
    Refused(String),
    /// The node may have taken the request.
    Lost(String),
}

impl From<Failure> for ChainFault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reason) | Failure::Lost(reason) => Self::Unavailable(reason),
        }
    }
}

/// A client for all nodes, which keeps its connections.
pub(crate) struct Http {
    client: Client,
}

impl Http {
    pub(crate) fn new(timeout: Duration) -> Result<Self, ChainFault> {
        // Another part of the process may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ChainFault::Client)?;
        Ok(Self { client })
    }

    /// Gets `path` below `base`.
    pub(crate) async fn get(
        &self,
        base: &Url,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Reply, Failure> {
        let url = below(base, path, query);
        again_if_broken(|| self.client.get(url.clone())).await
    }

    /// Posts JSON to `path` below `base`, once.
    pub(crate) async fn post(
        &self,
        base: &Url,
        path: &str,
        body: &Value,
    ) -> Result<Reply, Failure> {
        let sent = self.posting(below(base, path, &[]), body).send().await;
        reply(sent).await
    }

    /// Asks by a method of JSON-RPC 2.0.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        url: &Url,
        method: &'static str,
        params: Value,
    ) -> Result<Result<T, RpcError>, Failure> {
        let body = call(method, &params);
        again_if_broken(|| self.posting(url.clone(), &body))
            .await?
            .rpc()
    }

    /// Sends something by a method of JSON-RPC 2.0, once.
    pub(crate) async fn call_once<T: DeserializeOwned>(
        &self,
        url: &Url,
        method: &'static str,
        params: Value,
    ) -> Result<Result<T, RpcError>, Failure> {
        self.post(url, "", &call(method, &params)).await?.rpc()
    }

    fn posting(&self, url: Url, body: &Value) -> RequestBuilder {
        self.client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_string())
    }
}

fn call(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The URL of `path` below `base`. A base may have a path and a query of its
/// own, such as an access key.
fn below(base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if !path.is_empty() {
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// The node may have closed a kept connection just as it was used, and a
/// question may be repeated.
async fn again_if_broken(request: impl Fn() -> RequestBuilder) -> Result<Reply, Failure> {
    let sent = match request().send().await {
        Err(error) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
            request().send().await
        }
        sent => sent,
    };
    reply(sent).await
}

async fn reply(sent: reqwest::Result<Response>) -> Result<Reply, Failure> {
    let mut response = sent.map_err(failure)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let reason = format!("answered with more than {MAX_ANSWER} bytes");
            return Err(Failure::Lost(reason));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, body })
}

fn failure(error: reqwest::Error) -> Failure {
    // The URL may hold an access key, and errors are logged.
    let error = error.without_url();
    if error.is_connect() {
        return Failure::Refused(words(&format!(
            "could not be reached ({})",
            offchain_codes::chain(&error)
        )));
    }
    if error.is_timeout() {
        return Failure::Lost("did not answer in time".to_owned());
    }
    Failure::Lost(words(&format!(
        "broke off ({})",
        offchain_codes::chain(&error)
    )))
}

/// What a node answered.
pub(crate) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

/// An error of JSON-RPC 2.0.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RpcError {
    #[serde(default)]
    pub(crate) code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

impl RpcError {
    /// The node's words. Some nodes have them in the data, where others have
    /// bytes of the EVM.
    pub(crate) fn text(&self) -> String {
        match &self.data {
            Value::String(data) if !data.starts_with("0x") => {
                words(&format!("{}: {data}", self.message))
            }
            _ => words(&self.message),
        }
    }
}

/// An error of a REST interface made from gRPC.
#[derive(Deserialize)]
pub(crate) struct GrpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl Reply {
    /// The body of a successful answer.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        expected: &'static str,
    ) -> Result<T, ChainFault> {
        if !self.status.is_success() {
            return Err(self.failure().into());
        }
        serde_json::from_slice(&self.body).map_err(|error| answer(expected, &error.to_string()))
    }

    /// The error of an answer that is no success.
    pub(crate) fn grpc_error(&self) -> Option<GrpcError> {
        (!self.status.is_success())
            .then(|| serde_json::from_slice(&self.body).ok())
            .flatten()
    }

    pub(crate) fn is_bad_request(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST
    }

    /// The outcome of a JSON-RPC call.
    pub(crate) fn rpc<T: DeserializeOwned>(&self) -> Result<Result<T, RpcError>, Failure> {
        // CometBFT gives errors of its own with status 500, others with 400.
        if !self.status.is_success() && !matches!(self.status.as_u16(), 400 | 500) {
            return Err(self.failure());
        }
        let broken =
            |reason: String| Failure::Lost(words(&format!("answered with no JSON-RPC: {reason}")));
        let mut members: Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|error| match self.status.is_success() {
                true => broken(error.to_string()),
                false => self.failure(),
            })?;
        match members.remove("error") {
            None | Some(Value::Null) => {}
            Some(error) => {
                let text = error.to_string();
                return Ok(Err(serde_json::from_value(error).unwrap_or(RpcError {
                    message: text,
                    ..RpcError::default()
                })));
            }
        }
        let result = members
            .remove("result")
            .ok_or_else(|| broken("neither result nor error".to_owned()))?;
        serde_json::from_value(result)
            .map(Ok)
            .map_err(|error| broken(error.to_string()))
    }

    /// What an answer other than success means for the request.
    pub(crate) fn failure(&self) -> Failure {
        let reason = format!("answered {}", self.status);
        // What stands in front of a node answers 5xx when it has passed the
        // request on and got nothing back.
        if self.status.is_server_error() || self.status.is_success() {
            Failure::Lost(reason)
        } else {
            Failure::Refused(reason)
        }
    }
}

pub(crate) fn answer(expected: &'static str, reason: &str) -> ChainFault {
    ChainFault::Answer {
        expected,
        reason: words(reason),
    }
}
