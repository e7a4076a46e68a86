//! Nodes on the loopback that are none, most of them broken.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use offchain_codes::Coded;
use offchain_ledger::Place;
use offchain_outbound::{OutboundError, Reach};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;

/// What no test of an answer ever waits for.
const LONG: Duration = Duration::from_secs(60);
/// What a test waits for where no answer comes.
const SHORT: Duration = Duration::from_millis(200);
const TRANSACTION: &str = "875647befa3ca68518d71c916c9275353b42b7eed89f4e6003fb6831599e1a5d";
const ASSET: &str = "78cecb07f1465442341dcf341b94b0dea988bf27084bafeddebf8e52921eedd3";

fn id() -> Id {
    TRANSACTION.parse().unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, NodeError>) -> &'static str {
    result.unwrap_err().code()
}

fn text(error: &NodeError) -> String {
    offchain_codes::chain(error)
}

/// An HTTP server that answers each request with what a function makes of its
/// path; an empty answer ends the connection.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (heads.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    while let Some(head) = head(&mut socket).await {
                        let answer = answer(head.split(' ').nth(1).unwrap());
                        seen.lock().unwrap().push(head);
                        if answer.is_empty() || socket.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, heads }
    }

    fn node(&self) -> Node {
        self.hasty(LONG)
    }

    fn hasty(&self, timeout: Duration) -> Node {
        node(&format!("http://127.0.0.1:{}", self.port), timeout)
    }

    /// The paths that were asked for since the last look.
    fn paths(&self) -> Vec<String> {
        let path = |head: String| head.split(' ').nth(1).unwrap().to_owned();
        let heads = std::mem::take(&mut *self.heads.lock().unwrap());
        heads.into_iter().map(path).collect()
    }
}

fn node(url: &str, timeout: Duration) -> Node {
    Node::new(url, Reach::Any, timeout).unwrap()
}

async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn ok(body: &str) -> String {
    answer("200 OK", body)
}

/// As a node answers.
fn not_found() -> String {
    answer("404 NOT FOUND", r#"{"message":"Not found","status":404}"#)
}

/// The head of an answer without end.
fn announcing(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

mod errors {
    use super::*;

    #[test]
    fn codes_are_stable_and_what_is_ours_to_mend_is_not_repeated() {
        let notice = Notice::parse("").unwrap_err();
        let private = || OutboundError::Private([10, 0, 0, 1].into());
        for (error, code, retryable) in [
            (
                NodeError::StreamsMissing {
                    found: String::new(),
                },
                "StreamsMissing",
                true,
            ),
            (
                NodeError::AnswerInvalid {
                    expected: "x",
                    reason: String::new(),
                },
                "NodeAnswerInvalid",
                true,
            ),
            (
                NodeError::StreamElsewhere(private()),
                "NodeAnswerInvalid",
                true,
            ),
            (
                NodeError::StreamClosed(OutboundError::TimedOut),
                "RemoteTimedOut",
                true,
            ),
            (NodeError::StreamClosed(private()), "AddressPrivate", false),
            (NodeError::StreamBroken(String::new()), "StreamBroken", true),
            (NodeError::StreamSilent(2), "StreamSilent", true),
            (NodeError::StreamStarved, "StreamStarved", true),
            (NodeError::Notice(notice), "NoticeInvalid", true),
            (NodeError::NoticeBinary, "NoticeInvalid", true),
            (
                NodeError::Remote(OutboundError::Status(500)),
                "RemoteStatus",
                true,
            ),
            (
                NodeError::Remote(OutboundError::Url("x")),
                "UrlInvalid",
                false,
            ),
            (NodeError::Remote(private()), "AddressPrivate", false),
        ] {
            assert_eq!(error.code(), code);
            assert_eq!(error.retryable(), retryable, "{code}");
        }
    }
}

mod url {
    use super::*;

    #[test]
    fn an_origin_is_one_of_a_node() {
        for url in [
            "http://127.0.0.1:9984",
            "https://node.example.org/",
            "http://[::1]:9984",
        ] {
            assert!(Node::new(url, Reach::Any, LONG).is_ok(), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_shown() {
        for url in [
            "",
            "hush.example.org:9984",
            "hush://example.org",
            "ws://hush.example.org",
            "http://hush:9984:1",
            "http://hush@example.org",
            "http://:hush@example.org",
            "http://example.org/hush",
            "http://example.org/api/v1/hush",
            "http://example.org?hush",
            "http://example.org/#hush",
        ] {
            let error = Node::new(url, Reach::Any, LONG).unwrap_err();
            assert_eq!(error.code(), "UrlInvalid", "{url}");
            assert!(!error.retryable());
            let text = format!("{} {error:?}", text(&error));
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_private_node_is_refused_where_only_public_ones_are_asked() {
        for url in ["http://127.0.0.1:9984", "http://node.localhost:9984"] {
            let node = Node::new(url, Reach::Public, LONG).unwrap();
            let error = node.height().await.unwrap_err();
            assert_eq!(error.code(), "AddressPrivate", "{url}");
            assert!(!error.retryable());
        }
    }
}

mod height {
    use super::*;

    /// A chain whose newest block has the height that is in the cell.
    async fn chain(newest: u64) -> (Server, Arc<AtomicU64>) {
        let newest = Arc::new(AtomicU64::new(newest));
        let cell = newest.clone();
        let server = Server::start(move |path| {
            let height = path.strip_prefix("/api/v1/blocks/").unwrap();
            let height: u64 = height.parse().unwrap();
            match height <= cell.load(Ordering::SeqCst) {
                true => ok(&format!(r#"{{"height":{height},"transactions":[]}}"#)),
                false => not_found(),
            }
        })
        .await;
        (server, newest)
    }

    #[tokio::test]
    async fn it_is_found_wherever_it_is() {
        for newest in (0..40).chain([255, 256, 257, 123_456, 1 << 40]) {
            let (server, _) = chain(newest).await;
            assert_eq!(server.node().height().await.unwrap(), newest);
            let most = 2 * (64 - newest.leading_zeros() as usize) + 1;
            assert!(server.paths().len() <= most, "{newest}");
        }
    }

    #[tokio::test]
    async fn what_has_not_grown_costs_two_questions() {
        let (server, newest) = chain(1000).await;
        let node = server.node();
        node.height().await.unwrap();
        server.paths();
        assert_eq!(node.height().await.unwrap(), 1000);
        assert_eq!(
            server.paths(),
            ["/api/v1/blocks/1000", "/api/v1/blocks/1001"]
        );
        newest.store(1001, Ordering::SeqCst);
        assert_eq!(node.height().await.unwrap(), 1001);
        assert!(server.paths().len() <= 4);
    }

    #[tokio::test]
    async fn the_search_starts_at_a_block_that_was_read() {
        let (server, _) = chain(1_000_000).await;
        let node = server.node();
        node.block(999_990).await.unwrap().unwrap();
        server.paths();
        assert_eq!(node.height().await.unwrap(), 1_000_000);
        assert!(server.paths().len() <= 9);
    }

    #[tokio::test]
    async fn a_chain_that_has_become_shorter_is_found_again() {
        for shorter in [0, 1, 2, 500, 998, 999] {
            let (server, newest) = chain(1000).await;
            let node = server.node();
            assert_eq!(node.height().await.unwrap(), 1000);
            newest.store(shorter, Ordering::SeqCst);
            for _ in 0..2 {
                assert_eq!(node.height().await.unwrap(), shorter);
            }
            assert_eq!(node.clone().height().await.unwrap(), shorter);
        }
    }

    #[tokio::test]
    async fn a_block_that_is_too_large_to_read_on_the_way_is_there() {
        for huge in ["content-length: 16000000", "connection: close"] {
            let server = Server::start(move |path| match path {
                "/api/v1/blocks/1" => {
                    let start = "x".repeat(70_000);
                    format!("HTTP/1.1 200 OK\r\n{huge}\r\n\r\n{start}")
                }
                _ => not_found(),
            })
            .await;
            assert_eq!(server.node().height().await.unwrap(), 1, "{huge}");
        }
    }

    #[tokio::test]
    async fn an_answer_to_every_height_is_none() {
        let server = Server::start(|path| {
            let height = path.strip_prefix("/api/v1/blocks/").unwrap();
            ok(&format!(r#"{{"height":{height},"transactions":[]}}"#))
        })
        .await;
        let error = server.node().height().await.unwrap_err();
        assert_eq!(error.code(), "NodeAnswerInvalid");
        assert!(server.paths().len() < 70);
    }

    #[tokio::test]
    async fn what_is_no_chain_has_no_height() {
        for (answer, code) in [
            (ok("<html>"), "NodeAnswerInvalid"),
            (ok("{}"), "NodeAnswerInvalid"),
            (ok(r#"{"height":7,"transactions":[]}"#), "NodeAnswerInvalid"),
            (answer("500 Oops", ""), "RemoteStatus"),
            (answer("400 Bad Request", ""), "RemoteStatus"),
            (String::new(), "RemoteUnreachable"),
        ] {
            let server = Server::start(move |_| answer.clone()).await;
            assert_eq!(super::code(server.node().height().await), code);
        }
        let server = Server::start(|_| announcing(9)).await;
        let height = server.hasty(SHORT).height().await;
        assert_eq!(super::code(height), "RemoteTimedOut");
    }
}

mod block {
    use super::*;

    async fn answered(body: &'static str) -> Result<Option<Block>, NodeError> {
        let server = Server::start(move |_| ok(body)).await;
        let block = server.node().block(7).await;
        assert_eq!(server.paths()[0], "/api/v1/blocks/7");
        block
    }

    fn texts(block: &Block) -> Vec<&str> {
        block.transactions.iter().map(|text| text.get()).collect()
    }

    #[tokio::test]
    async fn its_transactions_are_the_text_that_was_answered() {
        let block = answered(
            r#" {"transactions" : [ {"id": "é", "n": 1.0E+2, "n": 18446744073709551616 },{}],
                 "app_hash": "", "height":7 } "#,
        )
        .await;
        let block = block.unwrap().unwrap();
        assert_eq!(block.height, 7);
        assert_eq!(
            texts(&block),
            [
                r#"{"id": "é", "n": 1.0E+2, "n": 18446744073709551616 }"#,
                "{}"
            ]
        );
    }

    #[tokio::test]
    async fn a_height_that_is_not_there_has_none() {
        let server = Server::start(|_| not_found()).await;
        assert!(server.node().block(7).await.unwrap().is_none());
    }

    /// The server looks for the block first and for the newest height then.
    #[tokio::test]
    async fn an_empty_block_at_the_tip_is_asked_for_again() {
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => ok(r#"{"height":7,"transactions":[]}"#),
            _ => ok(r#"{"height":7,"transactions":[1]}"#),
        })
        .await;
        let block = server.node().block(7).await.unwrap().unwrap();
        assert_eq!(texts(&block), ["1"]);
        assert_eq!(server.paths().len(), 2);
    }

    #[tokio::test]
    async fn an_empty_block_below_another_is_not() {
        let server = Server::start(|path| {
            let height = path.rsplit('/').next().unwrap();
            ok(&format!(r#"{{"height":{height},"transactions":[]}}"#))
        })
        .await;
        let node = server.node();
        for (height, questions) in [(7, 2), (6, 1), (7, 2), (8, 2), (7, 1)] {
            let block = node.block(height).await.unwrap().unwrap();
            assert_eq!((block.height, block.transactions.len()), (height, 0));
            assert_eq!(server.paths().len(), questions, "{height}");
        }
    }

    #[tokio::test]
    async fn what_is_no_block_of_that_height_is_refused() {
        for body in [
            "",
            "<html>hush</html>",
            "null",
            "[]",
            "{}",
            r#"{"height":7}"#,
            r#"{"transactions":[]}"#,
            r#"{"height":8,"transactions":[]}"#,
            r#"{"height":-7,"transactions":[]}"#,
            r#"{"height":7.0,"transactions":[]}"#,
            r#"{"height":"7","transactions":[]}"#,
            r#"{"height":"hush","transactions":[]}"#,
            r#"{"height":7,"height":7,"transactions":[]}"#,
            r#"{"height":7,"transactions":null}"#,
            r#"{"height":7,"transactions":{}}"#,
            r#"{"height":7,"transactions":[{]}"#,
            r#"{"height":7,"transactions":[{}"#,
            r#"{"height":7,"transactions":[]} x"#,
        ] {
            let error = answered(body).await.unwrap_err();
            assert_eq!(error.code(), "NodeAnswerInvalid", "{body}");
            assert!(error.retryable());
            let text = text(&error);
            assert!(text.starts_with("the node's answer is not a block: "));
            assert!(!text.contains("hush"), "{text}");
        }
        let error = answered(r#"{"height":8,"transactions":[]}"#).await;
        assert_eq!(
            text(&error.unwrap_err()),
            "the node's answer is not a block: it has the height 8, not 7"
        );
    }

    #[tokio::test]
    async fn one_that_is_deep_does_no_harm() {
        let depth = 200_000;
        let deep = format!(
            r#"{{"height":7,"transactions":[{}{}]}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let server = Server::start(move |_| ok(&deep)).await;
        let block = server.node().block(7).await.unwrap().unwrap();
        assert_eq!(block.transactions[0].get().len(), 2 * depth);
    }

    #[tokio::test]
    async fn one_that_is_too_large_is_not_read() {
        let server = Server::start(|_| announcing(16 * 1024 * 1024 + 1)).await;
        assert_eq!(code(server.node().block(7).await), "RemoteTooLarge");
        let server = Server::start(|_| announcing(16 * 1024 * 1024)).await;
        assert_eq!(code(server.hasty(SHORT).block(7).await), "RemoteTimedOut");
    }

    #[tokio::test]
    async fn a_large_one_is_read() {
        let transaction = format!(r#""{}""#, "x".repeat(1024 * 1024));
        let body = format!(
            r#"{{"height":7,"transactions":[{}]}}"#,
            [&*transaction; 15].join(",")
        );
        let server = Server::start(move |_| ok(&body)).await;
        let block = server.node().block(7).await.unwrap().unwrap();
        assert_eq!(block.transactions.len(), 15);
    }

    #[tokio::test]
    async fn another_status_is_an_error() {
        for status in ["400 X", "410 X", "429 X", "500 X", "502 X", "503 X"] {
            let server = Server::start(move |_| answer(status, "")).await;
            let error = server.node().block(7).await.unwrap_err();
            assert_eq!(error.code(), "RemoteStatus", "{status}");
            assert!(error.retryable());
        }
    }

    #[tokio::test]
    async fn a_question_that_a_kept_connection_swallows_is_asked_again() {
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            1 => String::new(),
            _ => ok(r#"{"height":7,"transactions":[{}]}"#),
        })
        .await;
        let node = server.node();
        for _ in 0..2 {
            assert!(node.block(7).await.unwrap().is_some());
        }
        assert_eq!(server.paths().len(), 3);
    }
}

mod transaction {
    use super::*;

    #[tokio::test]
    async fn it_is_the_text_that_was_answered() {
        const TEXT: &str = r#"{ "id": "é", "n": 1.0E+2, "n": [2 ,3] }"#;
        let server = Server::start(|_| ok(&format!("{TEXT}\n"))).await;
        let text = server.node().transaction(&id()).await.unwrap();
        assert_eq!(text.as_deref(), Some(TEXT));
        let path = format!("/api/v1/transactions/{TRANSACTION}");
        assert_eq!(server.paths(), [path]);
    }

    #[tokio::test]
    async fn one_that_is_in_no_block_has_none() {
        let server = Server::start(|_| not_found()).await;
        assert!(server.node().transaction(&id()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_none_is_an_error() {
        for (answer, code) in [
            (ok(""), "NodeAnswerInvalid"),
            (ok("<html>"), "NodeAnswerInvalid"),
            (ok("{} {}"), "NodeAnswerInvalid"),
            (answer("500 Oops", ""), "RemoteStatus"),
            (announcing(1024 * 1024 + 1), "RemoteTooLarge"),
            (String::new(), "RemoteUnreachable"),
        ] {
            let server = Server::start(move |_| answer.clone()).await;
            assert_eq!(super::code(server.node().transaction(&id()).await), code);
        }
    }
}

mod root {
    use super::*;

    async fn refusal(root: String) -> NodeError {
        let server = Server::start(move |_| root.clone()).await;
        let error = server.node().notices().await.unwrap_err();
        assert_eq!(server.paths(), ["/api/v1/"]);
        error
    }

    #[tokio::test]
    async fn one_that_names_no_stream_says_what_it_names() {
        for (root, found) in [
            (ok("{}"), "it is empty"),
            (
                ok(r#"{"assets":"/assets/","docs":"x","outputs":1}"#),
                "it names assets, docs, outputs",
            ),
            (
                ok(r#"{"streams":null,"assets":"/"}"#),
                "it names assets, streams",
            ),
            (ok(r#"{"streams":""}"#), "it names streams"),
            (ok(r#"{"http://x/?key=hush":1}"#), "it has other members"),
            (
                ok(r#"{"http://x/?key=hush":1,"a_b-1.0":1}"#),
                "it names a_b-1.0 and more",
            ),
            (not_found(), "there is nothing, it answers 404"),
        ] {
            let error = refusal(root).await;
            assert_eq!(error.code(), "StreamsMissing");
            assert!(error.retryable());
            assert_eq!(
                text(&error),
                format!("the node's API root, /api/v1/, names no `streams`: {found}")
            );
        }
        let many: Vec<_> = (0..1000).map(|n| format!(r#""{n:030}":1"#)).collect();
        let error = refusal(ok(&format!("{{{}}}", many.join(",")))).await;
        assert!(text(&error).ends_with(" and more") && text(&error).len() < 500);
    }

    #[tokio::test]
    async fn what_is_no_root_is_refused() {
        for (root, code) in [
            (ok("<html>hush"), "NodeAnswerInvalid"),
            (ok("[]"), "NodeAnswerInvalid"),
            (ok(r#""hush""#), "NodeAnswerInvalid"),
            (announcing(64 * 1024 + 1), "RemoteTooLarge"),
            (answer("500 Oops", ""), "RemoteStatus"),
            (
                "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "RemoteRedirected",
            ),
        ] {
            let error = refusal(root).await;
            assert_eq!(error.code(), code);
            assert!(!text(&error).contains("hush"));
        }
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_opened_is_refused_without_being_shown() {
        for streams in [
            "1",
            "{}",
            "true",
            r#"["ws://127.0.0.1/hush"]"#,
            r#""hush""#,
            r#""hush/valid_transactions""#,
            r#""127.0.0.1:9985/hush""#,
            r#""localhost:9985/hush""#,
            r#""http://127.0.0.1/hush""#,
            r#""https://127.0.0.1/hush""#,
            r#""tcp://127.0.0.1/hush""#,
            r#""ws://""#,
            r#""ws://[hush""#,
            r#""ws://127.0.0.1:hush/""#,
            r#""ws://hush@127.0.0.1/""#,
            r#""//hush@127.0.0.1/""#,
        ] {
            let error = refusal(ok(&format!(r#"{{"streams":{streams}}}"#))).await;
            assert_eq!(error.code(), "NodeAnswerInvalid", "{streams}");
            let text = format!("{} {error:?}", text(&error));
            assert!(text.contains("a ws or wss URL at `streams`"), "{text}");
            assert!(!text.contains("hush"), "{text}");
        }
    }

    /// What is asked of a node whose root calls its stream `streams`, and
    /// whose stream is on the same port.
    async fn opened(streams: &'static str) -> String {
        let port = Arc::new(AtomicU64::new(0));
        let ours = port.clone();
        let server = Server::start(move |path| match path {
            "/api/v1/" => {
                let port = ours.load(Ordering::SeqCst).to_string();
                let streams = streams.replace("PORT", &port);
                ok(&format!(r#"{{"streams":"{streams}"}}"#))
            }
            _ => answer("418 Teapot", ""),
        })
        .await;
        port.store(server.port.into(), Ordering::SeqCst);
        let error = server.node().notices().await.unwrap_err();
        assert!(
            matches!(error, NodeError::StreamClosed(OutboundError::Status(418))),
            "{error:?}"
        );
        let heads = server.heads.lock().unwrap().clone();
        heads[1].to_lowercase()
    }

    #[tokio::test]
    async fn a_stream_may_be_told_as_a_url_or_a_path() {
        const PATH: &str = "/api/v1/streams/valid_transactions";
        for streams in [
            "ws://127.0.0.1:PORT/api/v1/streams/valid_transactions",
            "WS://127.0.0.1:PORT/api/v1/streams/valid_transactions#x",
            "ws://localhost:PORT/api/v1/streams/valid_transactions",
            "ws://node.localhost:PORT/api/v1/streams/valid_transactions",
            "/api/v1/streams/valid_transactions",
            "//127.0.0.1:PORT/api/v1/streams/valid_transactions",
        ] {
            let head = opened(streams).await;
            assert!(
                head.starts_with(&format!("get {PATH} http/1.1\r\n")),
                "{head}"
            );
            assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
            assert!(head.contains("\r\nsec-websocket-version: 13\r\n"), "{head}");
            assert!(!head.contains("sec-websocket-extensions"), "{head}");
        }
        let head = opened("ws://127.0.0.1:PORT/x?a=b").await;
        assert!(head.starts_with("get /x?a=b http/1.1\r\n"), "{head}");
    }

    #[tokio::test]
    async fn a_stream_that_nobody_serves_is_unreachable() {
        let error = refusal(ok(r#"{"streams":"ws://127.0.0.1:9/?key=hush"}"#)).await;
        assert_eq!(error.code(), "RemoteUnreachable");
        let text = format!("{} {error:?}", text(&error));
        assert!(text.starts_with("the stream that the node names cannot be opened: "));
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn a_node_that_advertises_its_loopback_to_others_is_told_so() {
        let far = ["http://node.example.org:9984/", "https://10.0.0.1/"];
        let near = [
            "http://127.0.0.1:9984/",
            "http://localhost:9984/",
            "http://node.localhost.:9984/",
            "http://[::1]:9984/",
            "http://[::ffff:127.0.0.1]:9984/",
            "http://0.0.0.0:9984/",
        ];
        let is_elsewhere = |node: &str, stream: &str| {
            let (node, stream) = (node.parse().unwrap(), stream.parse().unwrap());
            let error = client::unreached(&node, &stream, OutboundError::TimedOut);
            assert!(error.retryable());
            match error.code() {
                "NodeAnswerInvalid" => text(&error).contains("wsserver.advertised_host"),
                _ => false,
            }
        };
        for node in far {
            for stream in far {
                assert!(!is_elsewhere(node, stream), "{node} {stream}");
            }
            for stream in near {
                assert!(is_elsewhere(node, stream), "{node} {stream}");
            }
        }
        for node in near {
            for stream in near.iter().chain(&far) {
                assert!(!is_elsewhere(node, stream), "{node} {stream}");
            }
        }
    }
}

mod stream {
    use super::*;

    /// A node whose stream leaves each connection to a function.
    async fn node<F: Future<Output = ()> + Send>(
        conversation: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> (Node, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            conversation(socket).await;
        });
        let root = ok(&format!(
            r#"{{"assets":"/assets/","streams":"ws://127.0.0.1:{port}/api/v1/streams/valid_transactions"}}"#
        ));
        let server = Server::start(move |_| root.clone()).await;
        (server.node(), task)
    }

    type Socket = WebSocketStream<TcpStream>;

    /// The open stream of a node that speaks as a function does.
    async fn open<F: Future<Output = ()> + Send>(
        conversation: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> (Stream, tokio::task::JoinHandle<()>) {
        let (node, task) = node(async move |socket| {
            conversation(accept_async(socket).await.unwrap()).await;
        })
        .await;
        (node.notices().await.unwrap(), task)
    }

    /// Says `messages`, and then nothing.
    async fn says(messages: Vec<Message>) -> Stream {
        let (stream, _) = open(async move |mut socket| {
            for message in messages {
                socket.send(message).await.unwrap();
            }
            std::future::pending::<()>().await;
        })
        .await;
        stream
    }

    /// Sends bytes below the protocol once the stream is open.
    async fn sends(bytes: Vec<u8>) -> Stream {
        let (stream, _) = open(async move |socket| {
            let mut socket = socket.into_inner();
            let _ = socket.write_all(&bytes).await;
            std::future::pending::<()>().await;
        })
        .await;
        stream
    }

    fn message(height: u64) -> String {
        format!(r#"{{"height":{height},"asset_id":"{ASSET}","transaction_id":"{TRANSACTION}"}}"#)
    }

    fn height(notice: Result<Notice, NodeError>) -> u64 {
        let notice = notice.unwrap();
        assert_eq!(notice.transaction_id.as_str(), TRANSACTION);
        assert_eq!(notice.asset_id.as_str(), ASSET);
        match notice.place {
            Place::Height(height) => height,
            Place::Block(block) => panic!("{block}"),
        }
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        match u8::try_from(length) {
            Ok(length @ ..126) => [&[first, length], payload].concat(),
            _ => [&[first, 126][..], &length.to_be_bytes(), payload].concat(),
        }
    }

    #[tokio::test]
    async fn messages_of_both_generations_are_notices() {
        let v1 =
            format!(r#"{{"transaction_id":"{TRANSACTION}","asset_id":"{ASSET}","block_id":"b1"}}"#);
        let mut stream = says(vec![Message::text(message(7)), Message::text(v1)]).await;
        assert_eq!(height(stream.next().await), 7);
        let notice = stream.next().await.unwrap();
        assert_eq!(notice.place, Place::Block("b1".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_notice_is_an_error_and_the_stream_goes_on() {
        let mut stream = says(vec![
            Message::text("hm"),
            Message::text("{}"),
            Message::text("["),
            Message::text("[".repeat(1_000_000)),
            Message::binary(message(6)),
            Message::text(message(7)),
        ])
        .await;
        for index in 0..5 {
            let error = stream.next().await.unwrap_err();
            assert_eq!(error.code(), "NoticeInvalid", "{index}");
            assert!(error.retryable());
            let of_its_kind = match index {
                4 => matches!(error, NodeError::NoticeBinary),
                _ => matches!(error, NodeError::Notice(_)),
            };
            assert!(of_its_kind, "{error:?}");
        }
        assert_eq!(height(stream.next().await), 7);
    }

    #[tokio::test]
    async fn a_message_in_pieces_is_put_together() {
        let message = message(7);
        let (start, end) = message.as_bytes().split_at(100);
        let bytes = [
            frame(0x01, start),
            frame(0x89, b"x"),
            frame(0x00, b""),
            frame(0x80, end),
        ]
        .concat();
        assert_eq!(height(sends(bytes).await.next().await), 7);
    }

    #[tokio::test]
    async fn what_breaks_the_protocol_is_over_and_stays_so() {
        let huge = |length: u64| [&[0x81, 127][..], &length.to_be_bytes()].concat();
        for (bytes, what) in [
            (frame(0xc1, b"x"), "compressed"),
            (frame(0x83, b"x"), "of no kind"),
            (frame(0x80, b"x"), "a second piece"),
            (frame(0x09, b"x"), "a ping in pieces"),
            (frame(0x81, b"\xff"), "no UTF-8"),
            (huge(1024 * 1024 + 1), "too large"),
            (huge(u64::MAX), "far too large"),
            (ok(&"x".repeat(100)).into_bytes(), "HTTP"),
        ] {
            let mut stream = sends(bytes).await;
            for _ in 0..2 {
                let error = stream.next().await.unwrap_err();
                assert_eq!(error.code(), "StreamBroken", "{what}: {error}");
                assert!(error.retryable());
            }
        }
        // Each piece is small enough, and the whole is not.
        let piece = frame(0x00, &[b'x'; 0xffff]);
        let pieces = [frame(0x01, b"x"), piece.repeat(17)].concat();
        let mut stream = sends(pieces).await;
        assert_eq!(code(stream.next().await), "StreamBroken");
    }

    #[tokio::test]
    async fn a_stream_that_is_closed_is_over() {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        let frame = CloseFrame {
            code: 1001.into(),
            reason: "hush".into(),
        };
        for (close, reason) in [
            (Message::Close(None), "the node closed it"),
            (Message::Close(Some(frame)), "the node closed it with 1001"),
        ] {
            let mut stream = says(vec![Message::text(message(7)), close]).await;
            assert_eq!(height(stream.next().await), 7);
            let error = stream.next().await.unwrap_err();
            assert_eq!(
                text(&error),
                format!("the node's stream broke off: {reason}")
            );
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_or_breaks_is_over() {
        for linger in [false, true] {
            for rest in [&b""[..], b"\x81", b"\x81\x7e\x00\xff{"] {
                let (mut stream, _) = open(async move |socket| {
                    let mut socket = socket.into_inner();
                    socket.write_all(rest).await.unwrap();
                    if linger {
                        socket.set_zero_linger().unwrap();
                    }
                })
                .await;
                for _ in 0..2 {
                    assert_eq!(code(stream.next().await), "StreamBroken", "{rest:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_nodes_pings_are_answered() {
        let (mut stream, task) = open(async move |mut socket| {
            socket.send(Message::Ping("hm".into())).await.unwrap();
            let pong = socket.next().await.unwrap().unwrap();
            assert_eq!(pong, Message::Pong("hm".into()));
            socket.send(Message::text(message(7))).await.unwrap();
        })
        .await;
        assert_eq!(height(stream.next().await), 7);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let (mut stream, _) = open(async move |socket| {
            let mut socket = socket.into_inner();
            for height in 0..20 {
                for byte in frame(0x81, message(height).as_bytes()) {
                    socket.write_all(&[byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            std::future::pending::<()>().await;
        })
        .await;
        let (mut heights, mut given_up) = (Vec::new(), 0);
        while heights.len() < 20 {
            tokio::select! {
                biased;
                notice = stream.next() => heights.push(height(notice)),
                () = tokio::task::yield_now() => given_up += 1,
            }
        }
        assert_eq!(heights, (0..20).collect::<Vec<_>>());
        assert!(given_up > 20, "{given_up}");
    }

    mod handshake {
        use super::*;

        async fn refusal(answer: &'static str) -> NodeError {
            let (node, _) = node(async move |mut socket| {
                head(&mut socket).await;
                socket.write_all(answer.as_bytes()).await.unwrap();
            })
            .await;
            node.notices().await.unwrap_err()
        }

        #[tokio::test]
        async fn another_answer_is_told_by_its_status() {
            for (answer, status) in [
                ("HTTP/1.1 404 Not Found\r\n\r\nhush", 404),
                ("HTTP/1.1 503 Oops\r\ncontent-length: 0\r\n\r\n", 503),
                ("HTTP/1.1 200 OK\r\n\r\n", 200),
                ("HTTP/1.1 302 Found\r\nlocation: /hush\r\n\r\n", 302),
            ] {
                match refusal(answer).await {
                    NodeError::StreamClosed(OutboundError::Status(seen)) => {
                        assert_eq!(seen, status);
                    }
                    other => panic!("{answer}: {other:?}"),
                }
            }
        }

        #[tokio::test]
        async fn what_is_no_handshake_is_broken() {
            const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\n";
            let switches = |headers: &str| -> &'static str {
                Box::leak(format!("{SWITCH}{headers}\r\n").into_boxed_str())
            };
            for answer in [
                "",
                "SSH-2.0-OpenSSH_9.9\r\n",
                "HTTP/1.1 101",
                switches(""),
                switches("upgrade: websocket\r\nconnection: upgrade\r\n"),
                switches(
                    "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: hush\r\n",
                ),
                switches(&format!("x: {}\r\n", "x".repeat(100_000))),
            ] {
                let error = refusal(answer).await;
                assert_eq!(error.code(), "StreamBroken", "{answer:.99}: {error:?}");
                assert!(!text(&error).contains("hush"), "{error}");
            }
        }

        #[tokio::test]
        async fn one_that_never_comes_is_given_up() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let root = ok(&format!(r#"{{"streams":"ws://127.0.0.1:{port}/"}}"#));
            let server = Server::start(move |_| root.clone()).await;
            let error = server.hasty(SHORT).notices().await.unwrap_err();
            assert_eq!(error.code(), "RemoteTimedOut");
        }
    }

    mod silence {
        use tokio::time::{Instant, pause, sleep};

        use super::*;

        #[tokio::test]
        async fn two_unanswered_pings_are_the_end() {
            let (mut stream, _) = open(async move |socket| {
                let _socket = socket.into_inner();
                std::future::pending::<()>().await;
            })
            .await;
            pause();
            let start = Instant::now();
            let error = stream.next().await.unwrap_err();
            assert_eq!(error.code(), "StreamSilent");
            assert!(error.retryable());
            assert_eq!(
                text(&error),
                "the node's stream is silent: 2 pings were not answered"
            );
            let waited = start.elapsed().as_secs_f64();
            assert!((29.0..31.0).contains(&waited), "{waited}");
        }

        #[tokio::test]
        async fn a_wait_that_is_given_up_again_and_again_ends_too() {
            let (mut stream, _) = open(async move |socket| {
                let _socket = socket.into_inner();
                std::future::pending::<()>().await;
            })
            .await;
            pause();
            let start = Instant::now();
            let error = loop {
                tokio::select! {
                    result = stream.next() => break result.unwrap_err(),
                    () = sleep(Duration::from_secs(1)) => {}
                }
            };
            assert_eq!(error.code(), "StreamSilent");
            let waited = start.elapsed().as_secs_f64();
            assert!((29.0..32.0).contains(&waited), "{waited}");
        }

        #[tokio::test]
        async fn a_node_that_answers_pings_is_waited_for() {
            let pings = Arc::new(AtomicUsize::new(0));
            let count = pings.clone();
            let (mut stream, _) = open(async move |mut socket| {
                while let Some(Ok(ping)) = socket.next().await {
                    assert!(ping.is_ping(), "{ping:?}");
                    if count.fetch_add(1, Ordering::SeqCst) == 99 {
                        socket.send(Message::text(message(100))).await.unwrap();
                    }
                }
            })
            .await;
            pause();
            let start = Instant::now();
            assert_eq!(height(stream.next().await), 100);
            assert_eq!(pings.load(Ordering::SeqCst), 100);
            let waited = start.elapsed().as_secs_f64();
            assert!((999.0..1002.0).contains(&waited), "{waited}");
        }

        /// Whoever works for a while must not take his own absence for the
        /// node's.
        #[tokio::test]
        async fn what_came_while_nobody_waited_counts() {
            let (mut stream, _) = open(
                async move |mut socket| {
                    while let Some(Ok(_)) = socket.next().await {}
                },
            )
            .await;
            pause();
            for _ in 0..10 {
                for wait in [10, 1, 10, 1, 500] {
                    let wait = Duration::from_secs(wait);
                    tokio::select! {
                        result = stream.next() => panic!("{result:?}"),
                        () = sleep(wait) => {}
                    }
                    sleep(wait).await;
                }
            }
        }
    }
}
