//! Looks at a node of the test's own, against a fake AWS.

use offchain_store::test_util::{FakeAws, REQUEST_ID, condition_failed, done, refusal, written};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// The URL of a node whose every answer is `result`.
async fn node(result: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = socket.read(&mut request).await;
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{result}"}}"#);
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = socket.write_all(reply.as_bytes()).await;
        }
    });
    url
}

fn height(aws: &FakeAws, kind: &str, url: &str) -> Result<Height, ConfigError> {
    let env = Env::new(|name| {
        let value = match name {
            "VRF_TABLE" => "vrf",
            "VRF_CHAIN_KIND" => kind,
            "VRF_CHAIN_RPC_URL" => url,
            _ => return None,
        };
        Some(value.to_owned())
    });
    Height::from_env(env, &aws.sdk_config())
}

async fn look(aws: &FakeAws, url: &str, target_height: u64) -> Result<Reached, HeightError> {
    let target = Target {
        request_id: REQUEST_ID.to_owned(),
        target_height,
    };
    height(aws, "evm", url)
        .unwrap()
        .handle(target, "invocation")
        .await
}

#[tokio::test]
async fn a_height_is_reached_at_the_target_and_not_before() {
    let url = node("0x64").await;
    for (target, reached) in [(99, true), (100, true), (101, false)] {
        let aws = FakeAws::new().on("UpdateItem", done());
        let expected = Reached {
            reached,
            height: 100,
        };
        assert_eq!(look(&aws, &url, target).await.unwrap(), expected);
        let update = aws.sent_once("UpdateItem");
        assert_eq!(update["Key"]["unique_identifier"], REQUEST_ID);
        assert_eq!(written(&update)["observed_height"], 100);
    }
}

#[tokio::test]
async fn a_height_is_told_even_where_the_fulfilment_was_never_begun() {
    let aws = FakeAws::new().on("UpdateItem", condition_failed());
    assert!(look(&aws, &node("0x64").await, 1).await.unwrap().reached);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_worth_another_look_and_notes_nothing() {
    let aws = FakeAws::new();
    let error = look(&aws, "http://127.0.0.1:9", 1).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("ChainUnavailable", true)
    );
}

#[tokio::test]
async fn a_height_that_cannot_be_noted_is_an_error_because_the_value_waits_for_it() {
    let aws = FakeAws::new().on("UpdateItem", refusal(500, "InternalServerError"));
    let error = look(&aws, &node("0x64").await, 1).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("StoreUnavailable", true)
    );
}

#[tokio::test]
async fn without_a_chain_no_height_is_ever_reached() {
    let target = Target {
        request_id: REQUEST_ID.to_owned(),
        target_height: 1,
    };
    let error = height(&FakeAws::new(), "none", "")
        .unwrap()
        .handle(target, "invocation")
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("ChainNotConfigured", false)
    );
}

#[test]
fn an_unusable_chain_is_refused_with_what_was_expected() {
    for (kind, url, words) in [
        ("evm", "", "VRF_CHAIN_RPC_URL is not set"),
        ("evm", "not a url", "an http or https URL"),
        ("bitcoin", "http://node", "none, evm or cometbft"),
    ] {
        let error = height(&FakeAws::new(), kind, url).err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}
