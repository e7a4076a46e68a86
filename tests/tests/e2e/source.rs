//! Servers that feeds ask. Each path of a [`Source`] answers as the test says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::wire::{self, Call};

/// What a path answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This status and body.
    Reply(u16, String),
    /// A redirect to this URL.
    Redirect(String),
    /// A success of so many bytes, whose length is told before, or not.
    Large { bytes: usize, announced: bool },
    /// The connection is closed without a word.
    BreaksOff,
    /// Nothing, for ever.
    Hangs,
    /// The same, so much later.
    After(Duration, Box<Answer>),
}

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Reply(200, body.to_string())
    }

    pub(crate) fn text(body: &str) -> Self {
        Self::Reply(200, body.to_owned())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Reply(status, "{}".to_owned())
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    async fn send(mut self) -> Option<Vec<u8>> {
        while let Self::After(delay, then) = self {
            tokio::time::sleep(delay).await;
            self = *then;
        }
        match self {
            Self::Reply(status, body) => Some(wire::reply(status, &[], &body)),
            Self::Redirect(to) => Some(wire::reply(302, &[("Location", &to)], "")),
            Self::Large { bytes, announced } => {
                let length = match announced {
                    true => format!("Content-Length: {bytes}\r\n"),
                    false => String::new(),
                };
                let head = format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n");
                let mut reply = head.into_bytes();
                reply.resize(reply.len() + bytes, b'1');
                Some(reply)
            }
            Self::BreaksOff => None,
            Self::Hangs | Self::After(..) => std::future::pending().await,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Timestamp,
    /// The request line and the headers.
    pub(crate) head: String,
}

type Answers = Arc<dyn Fn() -> Answer + Send + Sync>;

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answers>,
    asked: BTreeMap<String, Vec<Asked>>,
}

/// A server on 127.0.0.1, until the test ends. A path that no answer is set
/// for is not found.
#[derive(Clone)]
pub(crate) struct Source {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Source {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let answering = state.clone();
        let address = wire::serve(move |call: Call| {
            let state = answering.clone();
            async move {
                let path = call.path().split('?').next().unwrap_or_default();
                let answer = {
                    let mut state = state.lock().unwrap();
                    let asked = Asked {
                        at: Timestamp::now(),
                        head: call.head().to_owned(),
                    };
                    state.asked.entry(path.to_owned()).or_default().push(asked);
                    state.answers.get(path).map(|answer| answer())
                };
                answer.unwrap_or(Answer::status(404)).send().await
            }
        })
        .await;
        Self {
            url: format!("http://{address}"),
            state,
        }
    }

    /// The URL of a path, such as `/price`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// From here on a path answers so.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.answer_with(path, move || answer.clone());
    }

    /// From here on a path answers what this makes at the time.
    pub(crate) fn answer_with(
        &self,
        path: &str,
        answer: impl Fn() -> Answer + Send + Sync + 'static,
    ) {
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), Arc::new(answer));
    }

    /// How a path was asked, the oldest first.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let state = self.state.lock().unwrap();
        state.asked.get(path).cloned().unwrap_or_default()
    }
}

/// The URL of a server whose certificate nobody has signed but itself.
pub(crate) async fn untrusted() -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The client breaks the handshake off.
            tokio::spawn(acceptor.accept(stream));
        }
    });
    format!("https://{address}")
}
