//! Webhooks to a subscriber on the loopback, signed with the secret of a fake
//! AWS.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use offchain_ledger::{Headers, Id, Place, SigningKey, verify};
use offchain_store::test_util::{FakeAws, Reply, refusal, secret};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What no test of an answer ever waits for.
const LONG: Duration = Duration::from_secs(60);
/// What a test waits for where no answer comes.
const SHORT: Duration = Duration::from_millis(200);

/// The text of a secret with this many keys.
fn keys(count: u8) -> String {
    let keys = (1..=count).map(|n| SigningKey::shared(&[n; 32])).collect();
    Keys::new(keys).unwrap().to_json().to_string()
}

fn id(digit: char) -> Id {
    String::from(digit).repeat(64).parse().unwrap()
}

fn event() -> Event {
    Event::new(id('b'), id('a'), Place::Height(7))
}

fn subscriber(url: &str) -> Subscriber {
    Subscriber {
        name: "ledger".into(),
        url: url.into(),
        secret_arn: "arn:secret".into(),
        assets: [].into(),
        owners: [].into(),
    }
}

/// A courier to that subscriber that remembers a secret for so long.
fn courier(aws: &FakeAws, reach: Reach, timeout: Duration, remembered: Duration) -> Courier {
    let client = aws_sdk_secretsmanager::Client::new(&aws.sdk_config());
    let secret = Secret::new(client, "arn:secret".into(), remembered);
    Courier {
        outbound: Outbound::new(reach).unwrap(),
        timeout,
        secrets: HashMap::from([("ledger".to_owned(), secret)]),
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// A subscriber that answers each webhook so.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hush?of=7", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = seen.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let remembered = remembered.clone();
                tokio::spawn(async move {
                    while let Some(request) = request(&mut socket).await {
                        remembered.lock().unwrap().push(request);
                        if socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn request(socket: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    socket.read_exact(&mut body).await.ok()?;
    Some(Seen {
        line,
        headers,
        body,
    })
}

const TAKEN: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Brings the event to whoever answers so, with a secret that is fine.
async fn carried(answer: &'static str) -> (Result<(), DeliveryError>, FakeAws) {
    let server = Server::start(answer).await;
    let aws = FakeAws::new().always("GetSecretValue", secret("v1", &keys(1)));
    let courier = courier(&aws, Reach::Any, SHORT, Duration::ZERO);
    let outcome = courier.carry(&subscriber(&server.url), &event()).await;
    assert_eq!(server.seen().len(), 1, "a webhook is sent once");
    (outcome, aws)
}

#[tokio::test]
async fn a_webhook_is_signed_as_standard_webhooks_has_it() {
    let server = Server::start(TAKEN).await;
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", &keys(2)));
    let before = Timestamp::now();
    courier(&aws, Reach::Any, LONG, LONG)
        .carry(&subscriber(&server.url), &event())
        .await
        .unwrap();
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!(seen.line, "POST /hush?of=7 HTTP/1.1");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["webhook-id"], format!("evt_{}", id('b')));

    let envelope = Envelope::parse(&seen.body).unwrap();
    assert_eq!(envelope.data, event());
    assert!(before <= envelope.timestamp && envelope.timestamp <= Timestamp::now());
    let headers = Headers {
        id: Some(&seen.headers["webhook-id"]),
        timestamp: Some(&seen.headers["webhook-timestamp"]),
        signature: Some(&seen.headers["webhook-signature"]),
    };
    // Whichever of the keys a receiver knows, it verifies.
    let now = Timestamp::now().as_second();
    let all: Keys = keys(2).parse().unwrap();
    for key in all.verifying() {
        let signed = verify(&[key], headers, &seen.body, now, SHORT).unwrap();
        assert_eq!(signed, envelope.timestamp.as_second());
    }
    let stranger = SigningKey::shared(&[3; 32]).verifying_key();
    verify(&[stranger], headers, &seen.body, now, LONG).unwrap_err();
    assert_eq!(
        aws.sent_once("GetSecretValue"),
        json!({ "SecretId": "arn:secret", "VersionStage": "AWSCURRENT" })
    );
}

#[tokio::test]
async fn the_secret_is_read_once_for_many_webhooks() {
    let server = Server::start(TAKEN).await;
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", &keys(1)));
    let client = aws_sdk_secretsmanager::Client::new(&aws.sdk_config());
    let subscriber = subscriber(&server.url);
    let all = [subscriber.clone()];
    let courier = Courier::new(Reach::Any, LONG, &client, &all).unwrap();
    for _ in 0..3 {
        courier.carry(&subscriber, &event()).await.unwrap();
    }
    assert_eq!(server.seen().len(), 3);
    assert_eq!(aws.operations(), ["GetSecretValue"]);
}

#[tokio::test]
async fn any_success_will_do_whatever_the_body() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsorry",
        "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\ncontent-length: 9999999\r\n\r\n",
        TAKEN,
        "HTTP/1.1 299 Odd\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (outcome, aws) = carried(answer).await;
        assert!(outcome.is_ok(), "{answer}: {outcome:?}");
        assert_eq!(aws.operations(), ["GetSecretValue"]);
    }
}

#[tokio::test]
async fn what_is_no_success_fails_with_a_code_and_may_be_tried_again() {
    for (answer, code) in [
        (
            "HTTP/1.1 301 Moved\r\nlocation: https://elsewhere.test/\r\ncontent-length: 0\r\n\r\n",
            "RemoteRedirected",
        ),
        (
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            "RemoteRedirected",
        ),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "RemoteStatus"),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            "RemoteStatus",
        ),
        (
            "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n",
            "RemoteStatus",
        ),
        (
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
            "RemoteStatus",
        ),
    ] {
        let (outcome, aws) = carried(answer).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, true), "{answer}");
        // The next subscriber may well be there.
        assert!(!error.unanswered());
        // Neither is where it went a thing for the log.
        let said = chain(&error);
        assert!(
            !said.contains("hush") && !said.contains("elsewhere"),
            "{said}"
        );
        assert_eq!(aws.operations(), ["GetSecretValue"]);
    }
}

#[tokio::test]
async fn whoever_does_not_know_the_signature_makes_the_secret_be_read_anew() {
    let (outcome, aws) = carried("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(outcome.unwrap_err().code(), "RemoteStatus");
    assert_eq!(aws.operations(), ["GetSecretValue", "GetSecretValue"]);
}

#[tokio::test]
async fn where_nobody_answers_nobody_will_in_the_next_moment() {
    // A server that takes the webhook and says nothing.
    let (outcome, _) = carried("").await;
    let silent = outcome.unwrap_err();
    // A port that nobody listens at.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hush", closed.local_addr().unwrap());
    drop(closed);
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", &keys(1)));
    let courier = courier(&aws, Reach::Any, LONG, LONG);
    let outcome = courier.carry(&subscriber(&url), &event()).await;
    let absent = outcome.unwrap_err();
    for (error, code) in [(silent, "RemoteTimedOut"), (absent, "RemoteUnreachable")] {
        assert_eq!((error.code(), error.retryable()), (code, true));
        assert!(error.unanswered(), "{error:?}");
        let said = chain(&error);
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn nothing_near_is_told_of_where_only_the_public_may_be() {
    let server = Server::start(TAKEN).await;
    let aws = FakeAws::new().always("GetSecretValue", secret("v1", &keys(1)));
    let courier = courier(&aws, Reach::Public, LONG, LONG);
    let named = server.url.replace("127.0.0.1", "localhost");
    for url in [&server.url, &named, "http://169.254.169.254/latest/"] {
        let outcome = courier.carry(&subscriber(url), &event()).await;
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.code(), error.retryable()),
            ("AddressPrivate", false),
            "{url}"
        );
        assert!(!error.unanswered());
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_url_that_is_none_is_never_worth_another_try() {
    let aws = FakeAws::new().always("GetSecretValue", secret("v1", &keys(1)));
    let courier = courier(&aws, Reach::Any, LONG, LONG);
    for url in [
        "hush",
        "file:///hush",
        "ftp://host.test/hush",
        "http://me:hush@host.test/",
    ] {
        let outcome = courier.carry(&subscriber(url), &event()).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.retryable()), ("UrlInvalid", false));
        assert!(!chain(&error).contains("hush"), "{url}");
    }
}

#[tokio::test]
async fn without_a_secret_nothing_is_sent() {
    let server = Server::start(TAKEN).await;
    for (reply, code, retryable) in [
        (
            refusal(400, "ResourceNotFoundException"),
            "SecretUnavailable",
            true,
        ),
        (Reply::NoConnection, "SecretUnavailable", true),
        (
            refusal(400, "AccessDeniedException"),
            "SecretUnavailable",
            false,
        ),
        (secret("v1", "hush"), "SecretInvalid", true),
        (
            secret("v1", r#"{"secrets":["hush"]}"#),
            "SecretInvalid",
            true,
        ),
        (secret("v1", r#"{"secrets":[]}"#), "SecretInvalid", true),
    ] {
        let aws = FakeAws::new().always("GetSecretValue", reply);
        let courier = courier(&aws, Reach::Any, LONG, LONG);
        let outcome = courier.carry(&subscriber(&server.url), &event()).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        assert!(!error.unanswered());
        assert!(!chain(&error).contains("hush"));
    }
    // One who subscribed after the courier was made.
    let aws = FakeAws::new();
    let mut stranger = subscriber(&server.url);
    stranger.name = "stranger".into();
    let courier = courier(&aws, Reach::Any, LONG, LONG);
    let error = courier.carry(&stranger, &event()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("SecretUnavailable", true)
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_secret_that_was_mended_is_used_at_once() {
    let server = Server::start(TAKEN).await;
    let aws = FakeAws::new()
        .on("GetSecretValue", secret("v1", "hush"))
        .on("GetSecretValue", secret("v2", &keys(1)));
    let courier = courier(&aws, Reach::Any, LONG, Duration::ZERO);
    let outcome = courier.carry(&subscriber(&server.url), &event()).await;
    outcome.unwrap();
    assert_eq!(server.seen().len(), 1);
}
