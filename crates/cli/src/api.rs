//! The HTTP API, as a client sees it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use offchain_ledger::Id;
use offchain_oracle::FeedId;
use offchain_vrf::ProofBundle;
use reqwest::{Client, Method, Url};
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
        Self::at_url(&stack.api_url)
    }

    fn at_url(url: &str) -> Result<Self, CliError> {
        let url: Url = url
            .parse()
            .map_err(|error| CliError::Input(format!("api_url {url}: {error}")))?;
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

    /// Asks for a ride. Anybody may.
    pub(crate) async fn ride(&self, body: &Value) -> Result<Value, CliError> {
        let request = self
            .client
            .request(Method::POST, self.at("/ride")?)
            .header("content-type", "application/json")
            .body(body.to_string());
        self.answer(request).await
    }

    /// Claims from the faucet. The same key gives the same claim.
    pub(crate) async fn claim(&self, key: &str, body: &Value) -> Result<Value, CliError> {
        let request = self
            .client
            .request(Method::POST, self.at("/v1/claim")?)
            .header("idempotency-key", key)
            .header("prefer", "respond-async")
            .header("content-type", "application/json")
            .body(body.to_string());
        self.answer(request).await
    }

    /// A claim of the faucet.
    pub(crate) async fn faucet_claim(&self, id: &str) -> Result<Value, CliError> {
        self.get(&format!("/v1/claims/{id}"), &[]).await
    }

    pub(crate) async fn faucet_status(&self) -> Result<Value, CliError> {
        self.get("/v1/status", &[]).await
    }

    /// The work that a claim for this address takes.
    pub(crate) async fn challenge(&self, address: &str) -> Result<Value, CliError> {
        self.get("/v1/challenge", &[("address", address)]).await
    }

    pub(crate) async fn show(&self, id: &str) -> Result<Value, CliError> {
        self.get(&format!("/v1/vrf/requests/{id}"), &[]).await
    }

    pub(crate) async fn vrf_keys(&self) -> Result<Value, CliError> {
        self.get("/v1/vrf/keys", &[]).await
    }

    pub(crate) async fn feeds(&self) -> Result<Value, CliError> {
        self.get("/v1/feeds", &[]).await
    }

    pub(crate) async fn latest(&self, feed: &FeedId) -> Result<Value, CliError> {
        self.get(&format!("/v1/feeds/{feed}/latest"), &[]).await
    }

    /// One page of a feed's records, ascending.
    pub(crate) async fn readings(
        &self,
        feed: &FeedId,
        query: &[(&str, &str)],
    ) -> Result<Value, CliError> {
        self.get(&format!("/v1/feeds/{feed}/readings"), query).await
    }

    /// An asset of the ledger, with a page of its history.
    pub(crate) async fn asset(&self, id: &Id) -> Result<Value, CliError> {
        self.get(&format!("/v1/ledger/assets/{id}"), &[]).await
    }

    /// What a reply of [`Api::asset`] names as its next page.
    pub(crate) async fn asset_page(&self, id: &Id, next: &str) -> Result<Value, CliError> {
        // Nowhere else, whatever the reply says.
        let own = format!("/v1/ledger/assets/{id}");
        let query = next
            .strip_prefix(&own)
            .and_then(|query| query.strip_prefix('?'));
        let Some(query) = query else {
            return Err(CliError::Input(format!(
                "the API's next page is not one of the asset {id}"
            )));
        };
        let mut url = self.at(&own)?;
        url.set_query(Some(query));
        self.answer(self.client.get(url)).await
    }

    pub(crate) async fn oracle_keys(&self) -> Result<Value, CliError> {
        self.get("/v1/oracle/keys", &[]).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CliError> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
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
            Ok(Problem { title, detail }) => Err(CliError::Refused { title, detail }),
            Err(_) => Err(failed(format!(
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

/// A server on this machine that gives prepared answers.
#[cfg(test)]
pub(crate) mod stub {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::Value;

    use super::Api;

    pub(crate) struct Stub {
        url: String,
        asked: Receiver<String>,
    }

    impl Stub {
        /// Gives these answers, one a request, and no more.
        pub(crate) fn answering(answers: Vec<(u16, Value)>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let (tell, asked) = channel();
            std::thread::spawn(move || {
                for (status, body) in answers {
                    let (stream, _) = listener.accept().unwrap();
                    // Told first: whoever has the answer looks at once.
                    tell.send(target(&stream)).unwrap();
                    answer(stream, status, &body.to_string());
                }
            });
            Self { url, asked }
        }

        pub(crate) fn api(&self) -> Api {
            Api::at_url(&self.url).unwrap()
        }

        /// The targets of the requests so far.
        pub(crate) fn asked(&self) -> Vec<String> {
            self.asked.try_iter().collect()
        }
    }

    /// Reads a request, and returns its target, with its body behind it where
    /// it has one.
    fn target(stream: &TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        let mut length = 0;
        for line in lines.take_while(|line| !line.is_empty()) {
            if let Some(("content-length", value)) = line.to_lowercase().split_once(": ") {
                length = value.parse().unwrap();
            }
        }
        let target = first.split(' ').nth(1).unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        format!("{target} {body}").trim_end().to_owned()
    }

    fn answer(mut stream: TcpStream, status: u16, body: &str) {
        write!(
            stream,
            "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
}
