//! The HTTP API, as a client sees it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use offchain_vrf::ProofBundle;
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::CliError;
use crate::stack::Stack;

/// A client of the deployment's API.
pub(crate) struct Api {
    client: Client,
    url: Url,
}

/// A request as the API shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct View {
    pub(crate) request_id: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) min: String,
    pub(crate) max: String,
    pub(crate) due_time: Option<jiff::Timestamp>,
    pub(crate) target_height: Option<String>,
    pub(crate) observed_height: Option<String>,
    pub(crate) deadline: jiff::Timestamp,
    pub(crate) key_epoch: u64,
    pub(crate) failed_attempts: u32,
    pub(crate) last_error: Option<String>,
    pub(crate) fulfilled_at: Option<jiff::Timestamp>,
    pub(crate) bundle: Option<ProofBundle>,
}

#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
}

impl Api {
    pub(crate) fn new(stack: &Stack) -> Result<Self, CliError> {
        let url: Url = stack
            .api_url
            .parse()
            .map_err(|error| CliError::Input(format!("api_url {}: {error}", stack.api_url)))?;
        // Another part of the process may have chosen a provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(Duration::from_secs(20));
        // RFC 6761 section 6.3: names under .localhost are this machine, which
        // not every resolver knows.
        if let Some(host) = url.host_str().filter(|host| host.ends_with(".localhost")) {
            let port = url.port_or_known_default().unwrap_or(80);
            builder = builder.resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
        let client = builder.build().map_err(CliError::input)?;
        Ok(Self { client, url })
    }

    /// Asks for a value. The same key and body give the same request.
    pub(crate) async fn request(&self, key: &str, body: &Value) -> Result<Value, CliError> {
        let token = std::env::var("OFFCHAIN_API_TOKEN").map_err(|_| {
            CliError::input(
                "OFFCHAIN_API_TOKEN is not set: make a token with `offchain vrf token create`",
            )
        })?;
        let request = self
            .client
            .request(Method::POST, self.at("/v1/vrf/requests")?)
            .bearer_auth(token.trim())
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .body(body.to_string());
        self.answer(request).await
    }

    pub(crate) async fn show(&self, id: &str) -> Result<Value, CliError> {
        let url = self.at(&format!("/v1/vrf/requests/{id}"))?;
        self.answer(self.client.get(url)).await
    }

    pub(crate) async fn keys(&self) -> Result<Value, CliError> {
        let url = self.at("/v1/vrf/keys")?;
        self.answer(self.client.get(url)).await
    }

    fn at(&self, path: &str) -> Result<Url, CliError> {
        let mut url = self.url.clone();
        let joined = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&joined);
        Ok(url)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, CliError> {
        let failed = |reason: String| CliError::Api {
            url: self.url.to_string(),
            reason,
        };
        let reply = request
            .send()
            .await
            .map_err(|error| failed(offchain_codes::chain(&error)))?;
        let status = reply.status();
        let body = reply
            .bytes()
            .await
            .map_err(|error| failed(offchain_codes::chain(&error)))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| failed(error.to_string()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { title, detail }) if status != StatusCode::BAD_GATEWAY => {
                Err(CliError::Refused { title, detail })
            }
            _ => Err(failed(format!(
                "{status}: {}",
                String::from_utf8_lossy(&body)
            ))),
        }
    }
}

/// Reads a reply as the type that it should be.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, CliError> {
    T::deserialize(value).map_err(|error| {
        CliError::Input(format!(
            "the API's reply is not what this version expects: {error}"
        ))
    })
}
