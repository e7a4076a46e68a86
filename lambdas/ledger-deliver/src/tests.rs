//! Dead letters through the handler, against a fake AWS and a subscriber on the
//! loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use offchain_codes::{Coded, chain};
use offchain_store::test_util::{FakeAws, refusal, secret};
use serde_json::{Value, json};

use super::*;

const KEYS: &str = r#"{"secrets":["whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="]}"#;
const ENV: [(&str, &str); 2] = [
    ("LEDGER_ALLOW_PRIVATE", "true"),
    ("LEDGER_TIMEOUT_SECONDS", "5"),
];

fn subscribers(url: &str) -> String {
    json!([{ "name": "ledger", "url": url, "secret_arn": "arn:secret" }]).to_string()
}

/// A function whose subscriber is there, and of which one variable has another
/// value.
fn deliver(aws: &FakeAws, url: &str, name: &str, value: &str) -> Result<Deliver, ConfigError> {
    let env = Env::new(|wanted| {
        if wanted == name {
            return Some(value.to_owned());
        }
        if wanted == "LEDGER_SUBSCRIBERS" {
            return Some(subscribers(url));
        }
        let (_, usual) = ENV.iter().find(|(known, _)| *known == wanted)?;
        Some((*usual).to_owned())
    });
    Deliver::from_env(env, &aws.sdk_config())
}

/// A letter, as the redrive passes it on.
fn letter() -> Value {
    json!({
        "subscriber": "ledger",
        "event": {
            "height": 7,
            "asset_id": "a".repeat(64),
            "transaction_id": "b".repeat(64),
        },
    })
}

async fn delivered(aws: &FakeAws, url: &str, letter: Value) -> Result<Value, DeliverError> {
    let letter = serde_json::from_value(letter).unwrap();
    let delivered = deliver(aws, url, "", "")
        .unwrap()
        .handle(letter, "invocation")
        .await?;
    Ok(serde_json::to_value(delivered).unwrap())
}

/// A subscriber that answers one webhook so, and tells of it: its headers in
/// lower case, and its body.
fn subscriber(status: &'static str) -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hush", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut from = BufReader::new(socket.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            from.read_line(&mut head).unwrap();
        }
        let head = head.to_lowercase();
        let (_, rest) = head.split_once("content-length: ").unwrap();
        let mut body = vec![0; rest.split("\r\n").next().unwrap().parse().unwrap()];
        from.read_exact(&mut body).unwrap();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        socket.write_all(reply.as_bytes()).unwrap();
        tell.send((head, serde_json::from_slice(&body).unwrap()))
            .unwrap();
    });
    (url, told)
}

#[tokio::test]
async fn a_letter_is_signed_and_brought_to_its_subscriber() {
    let (url, told) = subscriber("202 Accepted");
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", KEYS));
    assert_eq!(
        delivered(&aws, &url, letter()).await.unwrap(),
        json!({ "status": "delivered" })
    );
    assert_eq!(aws.sent_once("GetSecretValue")["SecretId"], "arn:secret");
    let (head, body) = told.recv().unwrap();
    assert!(head.starts_with("post /hush "), "{head}");
    let id = format!("webhook-id: evt_{}\r\n", "b".repeat(64));
    assert!(head.contains(&id), "{head}");
    assert!(head.contains("webhook-timestamp: "), "{head}");
    assert!(head.contains("webhook-signature: v1,"), "{head}");
    assert_eq!(body["type"], "ledger.transaction");
    assert_eq!(body["data"], letter()["event"]);
}

#[tokio::test]
async fn what_fails_has_a_code_and_tells_no_secret() {
    let (refusing, _told) = subscriber("500 Internal Server Error");
    let nowhere = "http://127.0.0.1:9/hush";
    let signed = || FakeAws::new().on("GetSecretValue", secret("v1", KEYS));
    let garbage = secret("v1", r#"{"secrets":["hush"]}"#);
    for (aws, url, code, retryable) in [
        (signed(), refusing.as_str(), "RemoteStatus", true),
        (signed(), nowhere, "RemoteUnreachable", true),
        (
            FakeAws::new().on("GetSecretValue", refusal(400, "ResourceNotFoundException")),
            nowhere,
            "SecretUnavailable",
            true,
        ),
        (
            FakeAws::new().always("GetSecretValue", garbage),
            nowhere,
            "SecretInvalid",
            true,
        ),
    ] {
        let error = delivered(&aws, url, letter()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, retryable));
        let said = chain(&error);
        assert!(!said.contains("hush"), "{said}");
    }
    let mut gone = letter();
    gone["subscriber"] = "gone".into();
    let error = delivered(&FakeAws::new(), nowhere, gone).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("SubscriberUnknown", false)
    );
}

#[tokio::test]
async fn a_private_address_is_out_of_reach_unless_it_is_allowed() {
    let aws = FakeAws::new().on("GetSecretValue", secret("v1", KEYS));
    let url = "http://127.0.0.1:9/hush";
    let error = deliver(&aws, url, "LEDGER_ALLOW_PRIVATE", "false")
        .unwrap()
        .handle(serde_json::from_value(letter()).unwrap(), "invocation")
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("AddressPrivate", false));
}

#[test]
fn every_variable_is_needed_and_has_to_make_sense() {
    let aws = FakeAws::new();
    let url = "http://127.0.0.1:9/hush";
    let names = ["LEDGER_SUBSCRIBERS"]
        .into_iter()
        .chain(ENV.map(|(name, _)| name));
    for name in names.clone() {
        let error = deliver(&aws, url, name, "").err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
    for (name, value) in [
        ("LEDGER_ALLOW_PRIVATE", "yes".to_owned()),
        ("LEDGER_TIMEOUT_SECONDS", "soon".to_owned()),
        (
            "LEDGER_SUBSCRIBERS",
            subscribers(url).replace("secret_arn", "secret"),
        ),
    ] {
        let error = deliver(&aws, url, name, &value).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is ")), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let error = Deliver::from_env(Env::new(|_| None), &aws.sdk_config());
    let error = error.err().unwrap().to_string();
    for name in names {
        assert!(error.contains(name), "{error}");
    }
}
