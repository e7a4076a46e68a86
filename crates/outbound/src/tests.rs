//! Real servers on the loopback, some of them hostile. Where a test needs
//! public servers, [`small_internet`] takes 127.0.0.1 for a public address and
//! has names of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::*;

const LIMIT: usize = 1000;
/// What no test of an answer ever waits for.
const LONG: Duration = Duration::from_secs(60);
/// What a test waits for where no answer comes.
const SHORT: Duration = Duration::from_millis(200);
const HUGE: usize = 50_000_000;

fn get(url: &Url) -> Get<'_> {
    Get {
        url,
        header: None,
        timeout: LONG,
        limit: LIMIT,
    }
}

fn url(text: impl AsRef<str>) -> Url {
    text.as_ref().parse().unwrap()
}

async fn code(outbound: &Outbound, request: &Get<'_>) -> &'static str {
    outbound.get(request).await.unwrap_err().code()
}

fn any() -> Outbound {
    Outbound::new(Reach::Any).unwrap()
}

/// A client for which 127.0.0.1 is public and `names` are the only names.
fn small_internet(names: impl Fn(&str) -> Vec<&'static str> + Send + Sync + 'static) -> Outbound {
    trusting(None, names)
}

fn trusting(
    certificate: Option<CertificateDer<'static>>,
    names: impl Fn(&str) -> Vec<&'static str> + Send + Sync + 'static,
) -> Outbound {
    let refuses = |ip: IpAddr| {
        let home: IpAddr = [127, 0, 0, 1].into();
        ip != home && (Reach::Public.refuses())(ip)
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificate);
    let tls = tls_versions().unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Outbound::with(refuses, Names(names), tls).unwrap()
}

/// A client for public servers, whose names a resolver of the test's finds.
fn resolving(resolver: impl Resolve + 'static) -> Outbound {
    Outbound::with(Reach::Public.refuses(), resolver, platform_tls().unwrap()).unwrap()
}

/// Every name is 127.0.0.1.
fn home(_: &str) -> Vec<&'static str> {
    vec!["127.0.0.1"]
}

struct Names<F>(F);

impl<F: Fn(&str) -> Vec<&'static str> + Send + Sync> Resolve for Names<F> {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = (self.0)(name.as_str()).into_iter();
        let addresses: Addrs =
            Box::new(addresses.map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A server that answers each request with what a function makes of its head;
/// an empty answer, or `connection: close` in it, ends the connection.
struct Server {
    port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start_with(None, answer).await
    }

    async fn start_with(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let (ours, answer) = (seen.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                ours.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer, tls) = (ours.clone(), answer.clone(), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        return converse(socket, &seen, &*answer).await;
                    };
                    // A client that does not trust the certificate is gone by now.
                    if let Ok(socket) = tls.accept(socket).await {
                        converse(socket, &seen, &*answer).await;
                    }
                });
            }
        });
        Self { port, seen }
    }

    fn url(&self, path: &str) -> Url {
        url(format!("http://127.0.0.1:{}{path}", self.port))
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The first line of each request, without the version.
    fn lines(&self) -> Vec<String> {
        let line = |head: &String| head.split(" HTTP/1.1").next().unwrap().to_owned();
        self.requests().iter().map(line).collect()
    }
}

async fn converse(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Seen,
    answer: &(impl Fn(&str) -> String + Sync),
) {
    while let Some(head) = head(&mut socket).await {
        let answer = answer(&head);
        seen.requests.lock().unwrap().push(head);
        if socket.write_all(answer.as_bytes()).await.is_err()
            || answer.is_empty()
            || answer.contains("connection: close")
        {
            break;
        }
    }
    let _ = socket.shutdown().await;
}

/// The head of the next request, or nothing where the client has gone.
async fn head(socket: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn ok(body: &str) -> String {
    answer("200 OK", "", body)
}

fn redirect(location: &str) -> String {
    answer("302 Found", &format!("location: {location}\r\n"), "")
}

/// Accepts one connection and leaves it to a function.
async fn once<T: Send + 'static, F: Future<Output = T> + Send>(
    conversation: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (u16, tokio::task::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        conversation(socket).await
    });
    (port, task)
}

/// A server that sends `start` of an answer and then nothing, for ever.
async fn hanging(start: &'static str) -> u16 {
    let (port, _) = once(async move |mut socket| {
        head(&mut socket).await;
        socket.write_all(start.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    port
}

/// A server that says `greeting`, whatever it is told.
async fn without_tls(greeting: &'static str) -> u16 {
    let (port, _) = once(async move |mut socket| {
        let _ = socket.read(&mut [0; 4096]).await;
        socket.write_all(greeting.as_bytes()).await.unwrap();
    })
    .await;
    port
}

/// A certificate that signs itself for `name`, and a server that shows it.
fn certificate(name: &str, valid_until: i32) -> (TlsAcceptor, CertificateDer<'static>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(valid_until, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    (Arc::new(config).into(), certificate.der().clone())
}

mod request {
    use super::*;

    #[tokio::test]
    async fn it_is_a_plain_get_that_says_what_it_takes() {
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/a/b?c=d#e");
        assert_eq!(any().get(&get(&target)).await.unwrap(), b"{}");
        let [head] = &server.requests()[..] else {
            panic!("{:?}", server.requests());
        };
        let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "GET /a/b?c=d HTTP/1.1",
                "accept-encoding: identity",
                "accept: application/json",
                &format!("host: 127.0.0.1:{}", server.port),
                concat!("user-agent: offchain/", env!("CARGO_PKG_VERSION")),
            ]
        );
    }

    #[tokio::test]
    async fn the_header_is_sent() {
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/");
        let mut request = get(&target);
        request.header = Some(("X-Api-Key", "hush"));
        any().get(&request).await.unwrap();
        assert!(server.requests()[0].contains("\r\nx-api-key: hush\r\n"));
    }

    #[tokio::test]
    async fn the_header_replaces_one_of_our_own() {
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/");
        let mut request = get(&target);
        request.header = Some(("accept", "application/vnd.example"));
        any().get(&request).await.unwrap();
        let head = &server.requests()[0];
        assert!(head.contains("\r\naccept: application/vnd.example\r\n"));
        assert!(!head.contains("application/json"), "{head}");
    }

    #[tokio::test]
    async fn cookies_are_not_kept() {
        let server = Server::start(|_| answer("200 OK", "set-cookie: a=b\r\n", "")).await;
        let (outbound, target) = (any(), server.url("/"));
        outbound.get(&get(&target)).await.unwrap();
        outbound.get(&get(&target)).await.unwrap();
        assert!(!server.requests()[1].to_lowercase().contains("cookie"));
    }

    #[tokio::test]
    async fn a_header_that_cannot_be_sent_is_refused_without_its_value() {
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/");
        for (name, value) in [
            ("x-api-key", "hush\n"),
            ("x-api-key", "hush\r\nx-other: hush"),
            ("x-api-key", "hush\0"),
            ("x api key", "hush"),
            ("x-api-key:", "hush"),
            ("", "hush"),
            ("Host", "hush"),
            ("content-length", "4"),
            ("Transfer-Encoding", "hush"),
            ("connection", "hush"),
        ] {
            let mut request = get(&target);
            request.header = Some((name, value));
            let error = any().get(&request).await.unwrap_err();
            assert_eq!(error.code(), "HeaderInvalid", "{name:?} {value:?}");
            assert!(!format!("{error} {error:?}").contains("hush"));
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn what_is_no_http_url_is_refused() {
        for text in [
            "ftp://example.org/",
            "file:///etc/passwd",
            "data:,1",
            "unix:/run/socket",
            "http://user@example.org/",
            "https://:password@example.org/",
        ] {
            let target = url(text);
            assert_eq!(code(&any(), &get(&target)).await, "UrlInvalid", "{text}");
        }
    }

    /// Runs itself once more, where the environment names a proxy: the
    /// variables of a process that has begun cannot be set safely.
    #[tokio::test]
    async fn proxies_of_the_environment_do_not_take_effect() {
        const MARK: &str = "OFFCHAIN_TEST_BEHIND_A_PROXY";
        const DEAD: &str = "http://127.0.0.1:9";
        if std::env::var_os(MARK).is_none() {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .arg("tests::request::proxies_of_the_environment_do_not_take_effect")
                .arg("--exact")
                .env(MARK, "1")
                .envs(["http_proxy", "https_proxy", "all_proxy"].map(|name| (name, DEAD)))
                .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, DEAD)))
                .env_remove("no_proxy")
                .env_remove("NO_PROXY")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "{text}");
            return;
        }
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/");
        assert_eq!(any().get(&get(&target)).await.unwrap(), b"{}");
        // Where nothing is said against them, they do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let error = Client::new().get(target).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        assert_eq!(server.connections(), 1);
    }
}

mod post {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn post<'a>(url: &'a Url, body: &'a str) -> Post<'a> {
        Post {
            url,
            headers: &[],
            content_type: FORM,
            body: body.as_bytes(),
            timeout: LONG,
            limit: LIMIT,
        }
    }

    async fn refusal(outbound: &Outbound, request: &Post<'_>) -> &'static str {
        outbound.post(request).await.unwrap_err().code()
    }

    /// A server that takes one POST and answers it, and what it got.
    async fn taking(answer: String) -> (Url, tokio::task::JoinHandle<(String, String)>) {
        let (port, task) = once(async move |mut socket| {
            let head = head(&mut socket).await.unwrap();
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            socket.read_exact(&mut body).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        })
        .await;
        (url(format!("http://127.0.0.1:{port}/verify?a=b")), task)
    }

    #[tokio::test]
    async fn it_sends_its_body_and_says_what_it_is() {
        let (target, task) = taking(ok(r#"{"success":true}"#)).await;
        let request = post(&target, "secret=hush&response=token%21");
        let body = any().post(&request).await.unwrap();
        assert_eq!(body, br#"{"success":true}"#);
        let (head, body) = task.await.unwrap();
        assert_eq!(body, "secret=hush&response=token%21");
        let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "POST /verify?a=b HTTP/1.1",
                "accept-encoding: identity",
                "accept: application/json",
                "content-length: 29",
                "content-type: application/x-www-form-urlencoded",
                &format!("host: 127.0.0.1:{}", target.port().unwrap()),
                concat!("user-agent: offchain/", env!("CARGO_PKG_VERSION")),
            ]
        );
    }

    #[tokio::test]
    async fn its_headers_are_sent_as_they_are() {
        let (target, task) = taking(ok("")).await;
        let mut request = post(&target, "{}");
        request.headers = &[
            ("webhook-id", "evt_1"),
            ("Webhook-Signature", "v1,hush v1,hush"),
            ("accept", "*/*"),
        ];
        any().post(&request).await.unwrap();
        let (head, _) = task.await.unwrap();
        for line in [
            "webhook-id: evt_1",
            "webhook-signature: v1,hush v1,hush",
            "accept: */*",
            "content-type: application/x-www-form-urlencoded",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
        }
        assert!(!head.contains("application/json"), "{head}");
    }

    #[tokio::test]
    async fn a_header_that_cannot_be_sent_is_refused_without_its_value() {
        let server = Server::start(|_| ok("{}")).await;
        let target = server.url("/");
        for bad in [
            ("webhook-id", "hush\r\nx-other: hush"),
            ("webhook id", "hush"),
            ("", "hush"),
            ("Host", "hush"),
            ("Content-Length", "4"),
            ("transfer-encoding", "hush"),
            ("Content-Type", "hush"),
        ] {
            let headers = [("webhook-id", "evt_1"), bad];
            let mut request = post(&target, "");
            request.headers = &headers;
            let error = any().post(&request).await.unwrap_err();
            assert_eq!(error.code(), "HeaderInvalid", "{bad:?}");
            assert!(!format!("{error} {error:?}").contains("hush"));
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn no_redirect_is_followed() {
        for status in [301, 302, 303, 307, 308] {
            let server = Server::start(move |_| {
                answer(&format!("{status} Moved"), "location: /new\r\n", "")
            })
            .await;
            let target = server.url("/old");
            let code = refusal(&any(), &post(&target, "")).await;
            assert_eq!(code, "RemoteRedirected", "{status}");
            assert_eq!(server.lines(), ["POST /old"]);
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_not_sent_again() {
        let server = Server::start(|_| String::new()).await;
        let target = server.url("/");
        let code = refusal(&any(), &post(&target, "")).await;
        assert_eq!(code, "RemoteUnreachable");
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn private_addresses_and_other_schemes_are_refused() {
        let server = Server::start(|_| ok("{}")).await;
        let outbound = Outbound::new(Reach::Public).unwrap();
        for (text, code) in [
            (
                format!("http://127.0.0.1:{}/", server.port),
                "AddressPrivate",
            ),
            (
                format!("http://2130706433:{}/", server.port),
                "AddressPrivate",
            ),
            (
                format!("http://localhost:{}/", server.port),
                "AddressPrivate",
            ),
            ("http://[::1]/".to_owned(), "AddressPrivate"),
            ("ftp://127.0.0.1/".to_owned(), "UrlInvalid"),
            ("http://user@127.0.0.1/".to_owned(), "UrlInvalid"),
        ] {
            let target = url(&text);
            let refused = refusal(&outbound, &post(&target, "secret=hush")).await;
            assert_eq!(refused, code, "{text}");
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn an_answer_is_bounded_in_time_and_size() {
        let port = hanging("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        let mut request = post(&target, "");
        request.timeout = SHORT;
        assert_eq!(refusal(&any(), &request).await, "RemoteTimedOut");

        for (length, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
            let server = Server::start(move |_| ok(&"x".repeat(length))).await;
            let target = server.url("/");
            let answer = any().post(&post(&target, "")).await;
            assert_eq!(answer.is_ok(), fits, "{length}");
            if let Err(error) = answer {
                assert_eq!(error.code(), "RemoteTooLarge");
            }
        }
    }

    #[tokio::test]
    async fn only_success_is_an_answer() {
        for status in ["199 X", "304 X", "400 X", "404 X", "500 X", "503 X"] {
            // The first of these is no last answer, and the server hangs up.
            let close = answer(status, "connection: close\r\n", "{}");
            let server = Server::start(move |_| close.clone()).await;
            let target = server.url("/");
            let code = refusal(&any(), &post(&target, "")).await;
            let expected = match status {
                "199 X" => "RemoteUnreachable",
                _ => "RemoteStatus",
            };
            assert_eq!(code, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn a_content_type_that_cannot_be_sent_is_refused_and_nothing_is_shown() {
        let server = Server::start(|_| answer("500 Oops", "", "")).await;
        let target = server.url("/?key=hush");
        for (content_type, code) in [("hush\r\nx: y", "HeaderInvalid"), (FORM, "RemoteStatus")] {
            let mut request = post(&target, "secret=hush");
            request.content_type = content_type;
            let error = any().post(&request).await.unwrap_err();
            assert_eq!(error.code(), code);
            let text = format!("{} {error:?}", offchain_codes::chain(&error));
            assert!(!text.contains("hush") && !text.contains("key="), "{text}");
        }
    }
}

mod notify {
    use super::*;

    fn post(url: &Url) -> Post<'_> {
        Post {
            url,
            headers: &[("webhook-id", "evt_1")],
            content_type: "application/json",
            body: b"",
            timeout: LONG,
            limit: LIMIT,
        }
    }

    async fn refusal(outbound: &Outbound, request: &Post<'_>) -> &'static str {
        outbound.notify(request).await.unwrap_err().code()
    }

    #[tokio::test]
    async fn each_kind_of_success_is_one_whatever_its_body() {
        let huge = "x".repeat(LIMIT + 1);
        for answer in [
            ok("{}"),
            answer("202 Accepted", "", ""),
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            answer("299 X", "", "x"),
            ok(&huge),
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{huge}"),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n[1".to_owned(),
            "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nhm"
                .to_owned(),
        ] {
            let said = answer.clone();
            let server = Server::start(move |_| answer.clone()).await;
            let target = server.url("/hook");
            let result = any().notify(&post(&target)).await;
            assert!(result.is_ok(), "{said}: {result:?}");
            assert_eq!(server.lines(), ["POST /hook"]);
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_not_waited_for() {
        let port = hanging("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[1").await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        let start = Instant::now();
        any().notify(&post(&target)).await.unwrap();
        assert!(start.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn the_connection_is_kept() {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => answer("503 Oops", "", "later"),
            _ => ok("{}"),
        })
        .await;
        let (outbound, target) = (any(), server.url("/"));
        assert_eq!(refusal(&outbound, &post(&target)).await, "RemoteStatus");
        for _ in 0..3 {
            outbound.notify(&post(&target)).await.unwrap();
        }
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn anything_else_is_a_failure_and_sent_once() {
        for (answer, code) in [
            (
                answer("302 Found", "location: /x\r\n", ""),
                "RemoteRedirected",
            ),
            (answer("304 X", "", ""), "RemoteStatus"),
            (answer("400 X", "", "{}"), "RemoteStatus"),
            (answer("410 Gone", "", ""), "RemoteStatus"),
            (
                answer("503 X", "", &"x".repeat(HUGE / 1000)),
                "RemoteStatus",
            ),
            (String::new(), "RemoteUnreachable"),
            ("hm\r\nconnection: close".to_owned(), "RemoteUnreachable"),
        ] {
            let server = Server::start(move |_| answer.clone()).await;
            let target = server.url("/");
            assert_eq!(refusal(&any(), &post(&target)).await, code);
            assert_eq!(server.requests().len(), 1, "{code}");
        }
        let outbound = Outbound::new(Reach::Public).unwrap();
        for (text, code) in [
            ("http://10.0.0.1/", "AddressPrivate"),
            ("http://hook.localhost/", "AddressPrivate"),
            ("ws://127.0.0.1/", "UrlInvalid"),
        ] {
            assert_eq!(refusal(&outbound, &post(&url(text))).await, code);
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_given_up() {
        let port = hanging("HTTP/1.1 200 OK\r\n").await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        let mut request = post(&target);
        request.timeout = SHORT;
        assert_eq!(refusal(&any(), &request).await, "RemoteTimedOut");
    }
}

mod connect {
    use super::*;

    async fn refusal(outbound: &Outbound, target: &str) -> OutboundError {
        outbound.connect(&url(target), LONG).await.unwrap_err()
    }

    /// Says hello at the far end of `socket`, which sends it back.
    async fn echoes(mut socket: Socket) {
        socket.write_all(b"hello").await.unwrap();
        socket.flush().await.unwrap();
        let mut back = [0; 5];
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut back).await.unwrap(), 0);
    }

    async fn echo(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut bytes = [0; 5];
        socket.read_exact(&mut bytes).await.unwrap();
        socket.write_all(&bytes).await.unwrap();
        socket.flush().await.unwrap();
        assert_eq!(socket.read(&mut bytes).await.unwrap(), 0);
        socket.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn bytes_go_both_ways() {
        for (scheme, host) in [
            ("ws", "127.0.0.1"),
            ("http", "127.0.0.1"),
            ("ws", "source.test"),
            ("ws", "2130706433"),
        ] {
            let (port, server) = once(echo).await;
            let target = url(format!("{scheme}://{host}:{port}/a?b=c"));
            echoes(small_internet(home).connect(&target, LONG).await.unwrap()).await;
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_secure_connection_is_one() {
        for scheme in ["wss", "https"] {
            let (tls, trusted) = certificate("source.test", 2999);
            let (port, server) = once(async move |socket| {
                let socket = tls.accept(socket).await.unwrap();
                let (_, session) = socket.get_ref();
                assert_eq!(session.server_name(), Some("source.test"));
                echo(socket).await;
            })
            .await;
            let target = url(format!("{scheme}://source.test:{port}/"));
            let outbound = trusting(Some(trusted), home);
            echoes(outbound.connect(&target, LONG).await.unwrap()).await;
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_certificate_of_an_address_serves_it() {
        let (tls, trusted) = certificate("127.0.0.1", 2999);
        let (port, server) = once(async move |socket| {
            echo(tls.accept(socket).await.unwrap()).await;
        })
        .await;
        let target = url(format!("wss://127.0.0.1:{port}/"));
        let outbound = trusting(Some(trusted), home);
        echoes(outbound.connect(&target, LONG).await.unwrap()).await;
        server.await.unwrap();
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_trusted_is_refused() {
        for (name, valid_until, trust) in [
            ("source.test", 2999, false),
            ("other.test", 2999, true),
            ("source.test", 2001, true),
        ] {
            let (tls, trusted) = certificate(name, valid_until);
            let (port, _) = once(async move |socket| tls.accept(socket).await.is_ok()).await;
            let outbound = trusting(trust.then_some(trusted), home);
            let error = refusal(&outbound, &format!("wss://source.test:{port}/")).await;
            assert_eq!(error.code(), "RemoteTlsFailed", "{name} {valid_until}");
        }
        // What the system trusts does not hold the test's.
        let (tls, _) = certificate("127.0.0.1", 2999);
        let (port, _) = once(async move |socket| tls.accept(socket).await.is_ok()).await;
        let error = refusal(&any(), &format!("wss://127.0.0.1:{port}/")).await;
        assert_eq!(error.code(), "RemoteTlsFailed");
        let text = offchain_codes::chain(&error);
        assert!(text.contains("UnknownIssuer"), "{text}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_refused() {
        for greeting in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            let port = without_tls(greeting).await;
            let error = refusal(&any(), &format!("wss://127.0.0.1:{port}/")).await;
            assert_eq!(error.code(), "RemoteTlsFailed", "{greeting:?}");
        }
    }

    #[tokio::test]
    async fn addresses_out_of_reach_are_refused_before_anything_is_sent() {
        let server = Server::start(|_| ok("{}")).await;
        let public = Outbound::new(Reach::Public).unwrap();
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "localhost.",
            "node.localhost",
        ] {
            for scheme in ["ws", "wss", "http", "https"] {
                let target = format!("{scheme}://{host}:{}/", server.port);
                let error = refusal(&public, &target).await;
                assert_eq!(error.code(), "AddressPrivate", "{target}");
            }
        }
        for addresses in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]] {
            let outbound = small_internet(move |_| addresses.to_vec());
            let error = refusal(&outbound, &format!("ws://source.test:{}/", server.port)).await;
            assert_eq!(error.code(), "AddressPrivate", "{addresses:?}");
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn what_was_checked_is_what_is_connected_to() {
        let (port, server) = once(echo).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let outbound = small_internet(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => vec!["127.0.0.1"],
            _ => vec!["127.0.0.2"],
        });
        let target = url(format!("ws://source.test:{port}/"));
        echoes(outbound.connect(&target, LONG).await.unwrap()).await;
        server.await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_address_that_refuses_leaves_it_to_the_next() {
        let (port, server) = once(echo).await;
        let first_of_two = |_: &str| vec!["127.0.0.2", "127.0.0.1"];
        let outbound =
            Outbound::with(|_| false, Names(first_of_two), platform_tls().unwrap()).unwrap();
        let target = url(format!("ws://source.test:{port}/"));
        echoes(outbound.connect(&target, LONG).await.unwrap()).await;
        server.await.unwrap();
    }

    /// Where a full queue makes the system silent.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_the_next_its_share_of_the_time() {
        let (port, server) = once(echo).await;
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind(([127, 0, 0, 2], port).into()).unwrap();
        let _full = full.listen(1).unwrap();
        let mut waiting = Vec::new();
        while let Ok(socket) =
            tokio::time::timeout(SHORT, TcpStream::connect(("127.0.0.2", port))).await
        {
            waiting.push(socket.unwrap());
        }
        let both = |_: &str| vec!["127.0.0.2", "127.0.0.1"];
        let tls = platform_tls().unwrap();
        let outbound = Outbound::with(|_| false, Names(both), tls).unwrap();
        let target = url(format!("ws://source.test:{port}/"));
        echoes(outbound.connect(&target, 2 * SHORT).await.unwrap()).await;
        server.await.unwrap();
        // The last one has what is left, and no more.
        let target = url(format!("ws://127.0.0.2:{port}/"));
        let error = outbound.connect(&target, SHORT).await.unwrap_err();
        assert_eq!(error.code(), "RemoteTimedOut");
    }

    #[tokio::test]
    async fn what_cannot_be_connected_to_says_why_without_the_url() {
        let outbound = small_internet(|_| vec![]);
        for (target, code) in [
            ("ftp://127.0.0.1/?key=hush", "UrlInvalid"),
            ("data:,hush", "UrlInvalid"),
            ("unix:/run/hush", "UrlInvalid"),
            ("ws://hush@127.0.0.1/", "UrlInvalid"),
            ("wss://:hush@127.0.0.1/", "UrlInvalid"),
            ("ws://127.0.0.1:9/?key=hush", "RemoteUnreachable"),
            ("ws://hush.test/?key=hush", "RemoteUnreachable"),
        ] {
            let error = refusal(&outbound, target).await;
            assert_eq!(error.code(), code, "{target}");
            let text = format!("{} {error:?}", offchain_codes::chain(&error));
            assert!(!text.contains("hush"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_server_that_never_shakes_hands_is_given_up() {
        let (port, _) = once(async |_socket| std::future::pending::<()>().await).await;
        let target = url(format!("wss://127.0.0.1:{port}/"));
        let start = Instant::now();
        let error = any().connect(&target, SHORT).await.unwrap_err();
        assert_eq!(error.code(), "RemoteTimedOut");
        assert!(start.elapsed() >= SHORT && start.elapsed() < LONG / 2);
    }
}

mod connections {
    use super::*;

    #[tokio::test]
    async fn one_connection_serves_many_requests_and_clones() {
        let server = Server::start(|_| ok("{}")).await;
        let (outbound, target) = (any(), server.url("/"));
        for _ in 0..3 {
            outbound.get(&get(&target)).await.unwrap();
            outbound.clone().get(&get(&target)).await.unwrap();
        }
        assert_eq!(server.requests().len(), 6);
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn a_kept_connection_that_the_server_gives_up_is_replaced() {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            1 => String::new(),
            _ => ok("{}"),
        })
        .await;
        let (outbound, target) = (any(), server.url("/"));
        outbound.get(&get(&target)).await.unwrap();
        assert_eq!(outbound.get(&get(&target)).await.unwrap(), b"{}");
        assert_eq!(server.requests().len(), 3);
        assert_eq!(server.connections(), 2);
    }

    #[tokio::test]
    async fn a_server_that_always_hangs_up_is_asked_twice_and_no_more() {
        let server = Server::start(|_| String::new()).await;
        let target = server.url("/");
        assert_eq!(code(&any(), &get(&target)).await, "RemoteUnreachable");
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn what_nobody_listens_to_is_unreachable() {
        let target = url("http://127.0.0.1:9/");
        assert_eq!(code(&any(), &get(&target)).await, "RemoteUnreachable");
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_unreachable() {
        let target = url("http://source.test/");
        let outbound = small_internet(|_| vec![]);
        assert_eq!(code(&outbound, &get(&target)).await, "RemoteUnreachable");
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_unreachable() {
        struct Broken;
        impl Resolve for Broken {
            fn resolve(&self, _: Name) -> Resolving {
                Box::pin(std::future::ready(Err("no such name".into())))
            }
        }
        let outbound = resolving(Broken);
        let target = url("http://source.test/");
        assert_eq!(code(&outbound, &get(&target)).await, "RemoteUnreachable");
    }

    #[tokio::test]
    async fn what_does_not_speak_http_is_unreachable() {
        let server = Server::start(|_| "SSH-2.0-OpenSSH_9.9\r\nconnection: close".to_owned()).await;
        let target = server.url("/");
        assert_eq!(code(&any(), &get(&target)).await, "RemoteUnreachable");
    }
}

mod addresses {
    use super::*;

    #[tokio::test]
    async fn a_literal_private_address_is_refused_however_it_is_written() {
        let server = Server::start(|_| ok("{}")).await;
        let outbound = Outbound::new(Reach::Public).unwrap();
        for (host, ip) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("0x7F.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("017700000001", "127.0.0.1"),
            ("%31%32%37.0.0.1", "127.0.0.1"),
            ("１２７。０。０。１", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("10.0.0.1", "10.0.0.1"),
            ("169.254.169.254", "169.254.169.254"),
            ("[::1]", "::1"),
            ("[0:0:0:0:0:0:0:1]", "::1"),
            ("[::]", "::"),
            ("[::127.0.0.1]", "::127.0.0.1"),
            ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
            ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
            ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
            ("[2002:7f00:1::]", "2002:7f00:1::"),
            ("[fe80::1]", "fe80::1"),
        ] {
            let target = url(format!("http://{host}:{}/", server.port));
            match outbound.get(&get(&target)).await {
                Err(OutboundError::Private(refused)) => {
                    assert_eq!(refused, ip.parse::<IpAddr>().unwrap(), "{host}");
                }
                other => panic!("{host}: {other:?}"),
            }
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_refused() {
        let server = Server::start(|_| ok("{}")).await;
        let target = url(format!("http://localhost:{}/", server.port));
        let outbound = Outbound::new(Reach::Public).unwrap();
        assert_eq!(code(&outbound, &get(&target)).await, "AddressPrivate");
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn without_bounds_a_private_address_and_its_name_are_reached() {
        let server = Server::start(|_| ok("{}")).await;
        for host in ["127.0.0.1", "localhost"] {
            let target = url(format!("http://{host}:{}/", server.port));
            assert_eq!(any().get(&get(&target)).await.unwrap(), b"{}", "{host}");
        }
    }

    /// A resolver that is not to be asked.
    struct Silent;

    impl Resolve for Silent {
        fn resolve(&self, name: Name) -> Resolving {
            panic!("asked for {}", name.as_str());
        }
    }

    #[tokio::test]
    async fn names_below_localhost_are_loopback_without_a_resolver() {
        let server = Server::start(|_| ok("{}")).await;
        let tls = || platform_tls().unwrap();
        let near = Outbound::with(Reach::Any.refuses(), Silent, tls()).unwrap();
        let far = Outbound::with(Reach::Public.refuses(), Silent, tls()).unwrap();
        for host in [
            "localhost",
            "localhost.",
            "LOCALHOST",
            "x.localhost",
            "a1.b-2.localhost",
            "X.LocalHost.",
        ] {
            let target = url(format!("http://{host}:{}/", server.port));
            assert_eq!(near.get(&get(&target)).await.unwrap(), b"{}", "{host}");
            assert_eq!(code(&far, &get(&target)).await, "AddressPrivate", "{host}");
            let socket = near.connect(&target, LONG).await;
            assert!(socket.is_ok(), "{host}: {socket:?}");
        }
    }

    #[tokio::test]
    async fn names_that_only_look_like_localhost_are_resolved() {
        let target = |host| url(format!("http://{host}/"));
        let outbound = small_internet(|_| vec!["10.0.0.1"]);
        for host in ["notlocalhost", "localhost.test", "x-localhost", "local"] {
            match outbound.get(&get(&target(host))).await {
                Err(OutboundError::Private(ip)) => {
                    assert_eq!(ip, IpAddr::from([10, 0, 0, 1]), "{host}");
                }
                other => panic!("{host}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_public_address_is_reached_by_its_name() {
        let server = Server::start(|_| ok("{}")).await;
        let target = url(format!("http://source.test:{}/", server.port));
        let outbound = small_internet(home);
        assert_eq!(outbound.get(&get(&target)).await.unwrap(), b"{}");
        let host = format!("\r\nhost: source.test:{}\r\n", server.port);
        assert!(server.requests()[0].contains(&host));
    }

    #[tokio::test]
    async fn a_name_of_a_public_and_a_private_address_is_refused() {
        let server = Server::start(|_| ok("{}")).await;
        let target = url(format!("http://source.test:{}/", server.port));
        for addresses in [
            ["127.0.0.1", "10.0.0.1"],
            ["10.0.0.1", "127.0.0.1"],
            ["127.0.0.1", "::1"],
            ["127.0.0.1", "::ffff:10.0.0.1"],
            ["127.0.0.1", "64:ff9b::10.0.0.1"],
        ] {
            let outbound = small_internet(move |_| addresses.to_vec());
            let code = code(&outbound, &get(&target)).await;
            assert_eq!(code, "AddressPrivate", "{addresses:?}");
        }
        assert_eq!(server.connections(), 0);
    }

    #[tokio::test]
    async fn a_name_that_changes_its_address_after_the_check_gains_nothing() {
        let close = answer("200 OK", "connection: close\r\n", "{}");
        let server = Server::start(move |_| close.clone()).await;
        let target = url(format!("http://source.test:{}/", server.port));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let outbound = small_internet(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => vec!["127.0.0.1"],
            _ => vec!["127.0.0.2"],
        });
        // What was checked is what is connected to: nobody asks twice.
        assert_eq!(outbound.get(&get(&target)).await.unwrap(), b"{}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // The next connection is checked anew.
        assert_eq!(code(&outbound, &get(&target)).await, "AddressPrivate");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(server.connections(), 1);
    }
}

mod redirects {
    use super::*;

    #[tokio::test]
    async fn each_kind_is_followed_with_a_get() {
        for status in [301, 302, 303, 307, 308] {
            let server = Server::start(move |head| match head.starts_with("GET /old ") {
                true => answer(&format!("{status} Moved"), "location: /new\r\n", "x"),
                false => ok("{}"),
            })
            .await;
            let target = server.url("/old");
            assert_eq!(any().get(&get(&target)).await.unwrap(), b"{}", "{status}");
            assert_eq!(server.lines(), ["GET /old", "GET /new"]);
        }
    }

    #[tokio::test]
    async fn another_status_with_a_location_is_not_followed() {
        for status in [201, 300, 304, 305, 399, 404, 503] {
            let status = status.to_string();
            let server = Server::start(move |_| answer(&status, "location: /new\r\n", "")).await;
            let target = server.url("/old");
            let _ = any().get(&get(&target)).await;
            assert_eq!(server.lines(), ["GET /old"]);
        }
    }

    #[tokio::test]
    async fn a_relative_location_is_relative_to_where_it_was_sent() {
        for (location, line) in [
            ("next", "GET /a/next"),
            ("../next?x=1", "GET /next?x=1"),
            ("/next", "GET /next"),
            ("?x=1", "GET /a/b?x=1"),
        ] {
            let server = Server::start(move |head| match head.starts_with("GET /a/b?key ") {
                true => redirect(location),
                false => ok("{}"),
            })
            .await;
            let target = server.url("/a/b?key");
            any().get(&get(&target)).await.unwrap();
            assert_eq!(server.lines(), ["GET /a/b?key", line]);
        }
    }

    #[tokio::test]
    async fn three_are_followed_and_no_fourth() {
        for (path, good) in [("/3", true), ("/4", false)] {
            let server = Server::start(|head| {
                let left = head[5..6].parse::<u8>().unwrap();
                match left.checked_sub(1) {
                    Some(left) => redirect(&format!("/{left}")),
                    None => ok("{}"),
                }
            })
            .await;
            let target = server.url(path);
            let result = any().get(&get(&target)).await;
            match result {
                Ok(_) => assert!(good, "{path}"),
                Err(error) => {
                    assert!(!good, "{path}");
                    assert_eq!(error.code(), "RemoteRedirected");
                }
            }
            assert_eq!(server.requests().len(), 4, "{path}");
        }
    }

    #[tokio::test]
    async fn a_loop_ends() {
        let server = Server::start(|_| redirect("/loop")).await;
        let target = server.url("/loop");
        assert_eq!(code(&any(), &get(&target)).await, "RemoteRedirected");
        assert_eq!(server.requests().len(), 4);
    }

    #[tokio::test]
    async fn without_a_usable_location_it_is_an_error() {
        for location in [
            None,
            Some("ftp://127.0.0.1/"),
            Some("file:///etc/passwd"),
            Some("http://"),
            Some("http://[/"),
            Some("http://user:password@127.0.0.1/"),
        ] {
            let server = Server::start(move |_| match location {
                Some(location) => redirect(location),
                None => answer("302 Found", "", ""),
            })
            .await;
            let target = server.url("/");
            let code = code(&any(), &get(&target)).await;
            assert_eq!(code, "RemoteRedirected", "{location:?}");
            assert_eq!(server.connections(), 1);
        }
    }

    #[tokio::test]
    async fn a_location_that_is_no_text_is_an_error() {
        let (port, _) = once(async |mut socket| {
            head(&mut socket).await;
            let answer = b"HTTP/1.1 302 Found\r\nlocation: /\xff\r\ncontent-length: 0\r\n\r\n";
            socket.write_all(answer).await.unwrap();
        })
        .await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        assert_eq!(code(&any(), &get(&target)).await, "RemoteRedirected");
    }

    #[tokio::test]
    async fn one_to_a_private_address_is_refused() {
        for location in [
            "http://10.0.0.1/",
            "http://127.0.0.2/",
            "http://2130706434/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data/",
            "//10.0.0.1/",
            "http://inside.test/",
        ] {
            let server = Server::start(move |_| redirect(location)).await;
            let target = url(format!("http://source.test:{}/", server.port));
            let outbound = small_internet(|name| match name {
                "source.test" => vec!["127.0.0.1"],
                _ => vec!["10.0.0.1"],
            });
            let code = code(&outbound, &get(&target)).await;
            assert_eq!(code, "AddressPrivate", "{location}");
        }
    }

    #[tokio::test]
    async fn one_to_a_private_address_is_followed_without_bounds() {
        let inside = Server::start(|_| ok("{}")).await;
        let location = inside.url("/");
        let server = Server::start(move |_| redirect(location.as_str())).await;
        let target = server.url("/");
        assert_eq!(any().get(&get(&target)).await.unwrap(), b"{}");
        assert_eq!(inside.requests().len(), 1);
    }

    #[tokio::test]
    async fn https_is_not_left_for_http() {
        let (tls, trusted) = certificate("source.test", 2999);
        let plain = Server::start(|_| ok("{}")).await;
        let location = plain.url("/");
        let server = Server::start_with(Some(tls), move |_| redirect(location.as_str())).await;
        let target = url(format!("https://source.test:{}/", server.port));
        let outbound = trusting(Some(trusted), home);
        assert_eq!(code(&outbound, &get(&target)).await, "RemoteRedirected");
        assert_eq!(server.requests().len(), 1);
        assert_eq!(plain.connections(), 0);
    }

    #[tokio::test]
    async fn http_may_be_left_for_https_but_the_header_stays() {
        let (tls, trusted) = certificate("source.test", 2999);
        let secure = Server::start_with(Some(tls), |_| ok("{}")).await;
        let location = format!("https://source.test:{}/", secure.port);
        let server = Server::start(move |_| redirect(&location)).await;
        let target = url(format!("http://source.test:{}/", server.port));
        let mut request = get(&target);
        request.header = Some(("x-api-key", "hush"));
        let outbound = trusting(Some(trusted), home);
        assert_eq!(outbound.get(&request).await.unwrap(), b"{}");
        assert!(server.requests()[0].contains("hush"));
        assert!(!secure.requests()[0].contains("hush"));
    }

    #[tokio::test]
    async fn the_header_follows_within_its_origin() {
        let server = Server::start(|head| match head.starts_with("GET /old ") {
            true => redirect("/new"),
            false => ok("{}"),
        })
        .await;
        let target = server.url("/old");
        let mut request = get(&target);
        request.header = Some(("x-api-key", "hush"));
        any().get(&request).await.unwrap();
        for head in server.requests() {
            assert!(head.contains("\r\nx-api-key: hush\r\n"), "{head}");
        }
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn the_header_does_not_follow_to_another_name_or_port() {
        let other = Server::start(|_| ok("{}")).await;
        let port = other.port;
        let server = Server::start(move |head| {
            let host = head.to_lowercase();
            match (host.contains("host: other.test"), head.contains("/name ")) {
                (true, _) => ok("{}"),
                (false, true) => redirect(&format!("http://other.test:{}/", host_port(head))),
                (false, false) => redirect(&format!("http://source.test:{port}/")),
            }
        })
        .await;
        let outbound = small_internet(home);
        for path in ["/name", "/port"] {
            let target = url(format!("http://source.test:{}{path}", server.port));
            let mut request = get(&target);
            request.header = Some(("authorization", "hush"));
            assert_eq!(outbound.get(&request).await.unwrap(), b"{}");
        }
        let with_header = |server: &Server| -> Vec<bool> {
            let heads = server.requests();
            heads.iter().map(|head| head.contains("hush")).collect()
        };
        assert_eq!(with_header(&server), [true, false, true]);
        assert_eq!(with_header(&other), [false]);
    }

    fn host_port(head: &str) -> &str {
        let host = head.split("host: ").nth(1).unwrap();
        let (_, rest) = host.split_once(':').unwrap();
        rest.lines().next().unwrap()
    }

    #[tokio::test]
    async fn the_header_does_not_come_back_with_the_request() {
        let server = Server::start(|head| {
            let port = host_port(head);
            match head.split(' ').nth(1).unwrap() {
                "/there" => redirect(&format!("http://other.test:{port}/back")),
                "/back" => redirect(&format!("http://source.test:{port}/here")),
                "/here" => redirect("/end"),
                _ => ok("{}"),
            }
        })
        .await;
        let target = url(format!("http://source.test:{}/there", server.port));
        let mut request = get(&target);
        request.header = Some(("x-api-key", "hush"));
        small_internet(home).get(&request).await.unwrap();
        let heads = server.requests();
        let with_header: Vec<_> = heads.iter().map(|head| head.contains("hush")).collect();
        assert_eq!(with_header, [true, false, false, false]);
    }
}

mod bodies {
    use super::*;

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_whole() {
        let body = "x".repeat(LIMIT);
        for closing in [false, true] {
            let body = body.clone();
            let server = Server::start(move |_| match closing {
                true => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"),
                false => ok(&body),
            })
            .await;
            let target = server.url("/");
            let body = any().get(&get(&target)).await.unwrap();
            assert_eq!(body, vec![b'x'; LIMIT]);
        }
    }

    #[tokio::test]
    async fn a_byte_more_is_too_much() {
        let body = "x".repeat(LIMIT + 1);
        for closing in [false, true] {
            let body = body.clone();
            let server = Server::start(move |_| match closing {
                true => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"),
                false => ok(&body),
            })
            .await;
            let target = server.url("/");
            let error = any().get(&get(&target)).await.unwrap_err();
            assert!(matches!(error, OutboundError::TooLarge(LIMIT)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_body_in_chunks_is_put_together() {
        let server = Server::start(|_| {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"
                .to_owned()
        })
        .await;
        let target = server.url("/");
        assert_eq!(any().get(&get(&target)).await.unwrap(), b"[1,2]");
    }

    #[tokio::test]
    async fn an_empty_body_is_fine() {
        for status in ["200 OK", "204 No Content"] {
            let server = Server::start(move |_| answer(status, "", "")).await;
            let target = server.url("/");
            let mut request = get(&target);
            request.limit = 0;
            assert!(any().get(&request).await.unwrap().is_empty(), "{status}");
        }
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_not_waited_for() {
        let port = hanging("HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n").await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        assert_eq!(code(&any(), &get(&target)).await, "RemoteTooLarge");
        let port = hanging("HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n").await;
        let target = url(format!("http://127.0.0.1:{port}/"));
        assert_eq!(code(&any(), &get(&target)).await, "RemoteTooLarge");
    }

    /// Sends `HUGE` bytes, and tells how many it got rid of.
    async fn flood(head: &'static str, piece: Vec<u8>) -> (u16, tokio::task::JoinHandle<usize>) {
        once(async move |mut socket| {
            super::head(&mut socket).await;
            socket.write_all(head.as_bytes()).await.unwrap();
            let mut sent = 0;
            while sent < HUGE && socket.write_all(&piece).await.is_ok() {
                sent += piece.len();
            }
            sent
        })
        .await
    }

    #[tokio::test]
    async fn a_huge_body_is_cut_off_and_its_connection_closed() {
        let plain = vec![b'x'; 0x10000];
        let chunk = [b"10000\r\n", &plain[..], b"\r\n"].concat();
        for (head, piece) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n",
                plain.clone(),
            ),
            ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", plain),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                chunk,
            ),
        ] {
            let (port, server) = flood(head, piece).await;
            let target = url(format!("http://127.0.0.1:{port}/"));
            assert_eq!(code(&any(), &get(&target)).await, "RemoteTooLarge");
            // The rest is what the kernel buffers.
            assert!(server.await.unwrap() < HUGE / 2, "{head}");
        }
    }

    #[tokio::test]
    async fn a_redirect_or_failure_with_a_huge_body_costs_nothing() {
        let piece = vec![b'x'; 0x10000];
        for (head, code) in [
            (
                "HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n",
                "RemoteStatus",
            ),
            (
                "HTTP/1.1 302 Found\r\nconnection: close\r\n\r\n",
                "RemoteRedirected",
            ),
        ] {
            let (port, server) = flood(head, piece.clone()).await;
            let target = url(format!("http://127.0.0.1:{port}/"));
            assert_eq!(super::code(&any(), &get(&target)).await, code);
            assert!(server.await.unwrap() < HUGE / 2, "{head}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_taken_for_whole() {
        for start in [
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n[1",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n",
        ] {
            let server = Server::start(move |_| start.to_owned()).await;
            let target = server.url("/");
            assert_eq!(code(&any(), &get(&target)).await, "RemoteUnreachable");
        }
    }

    #[tokio::test]
    async fn what_is_no_success_is_an_error_with_its_status() {
        for status in [300, 304, 400, 401, 403, 404, 429, 500, 503] {
            let server = Server::start(move |_| answer(&format!("{status} Oops"), "", "")).await;
            let target = server.url("/");
            match any().get(&get(&target)).await {
                Err(OutboundError::Status(seen)) => assert_eq!(seen, status),
                other => panic!("{status}: {other:?}"),
            }
        }
    }
}

mod time {
    use super::*;

    /// That a request to `url` is given up after [`SHORT`].
    async fn given_up(outbound: &Outbound, url: &Url) {
        let mut request = get(url);
        request.timeout = SHORT;
        let start = Instant::now();
        assert_eq!(code(outbound, &request).await, "RemoteTimedOut", "{url}");
        assert!(start.elapsed() >= SHORT);
        assert!(start.elapsed() < LONG / 2);
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_given_up_wherever_it_hangs() {
        for start in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[1",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n",
        ] {
            let port = hanging(start).await;
            given_up(&any(), &url(format!("http://127.0.0.1:{port}/"))).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_never_shakes_hands_is_given_up() {
        let (port, _) = once(async |_socket| std::future::pending::<()>().await).await;
        given_up(&any(), &url(format!("https://127.0.0.1:{port}/"))).await;
    }

    #[tokio::test]
    async fn a_name_that_is_never_resolved_is_given_up() {
        struct Hanging;
        impl Resolve for Hanging {
            fn resolve(&self, _: Name) -> Resolving {
                Box::pin(std::future::pending())
            }
        }
        given_up(&resolving(Hanging), &url("http://source.test/")).await;
    }

    #[tokio::test]
    async fn a_redirect_does_not_start_the_time_anew() {
        let port = hanging("HTTP/1.1 200 OK\r\n").await;
        let location = format!("http://127.0.0.1:{port}/");
        let server = Server::start(move |_| redirect(&location)).await;
        given_up(&any(), &server.url("/")).await;
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up_though_it_goes_on() {
        let (port, _) = once(async |mut socket| {
            head(&mut socket).await;
            let start = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            socket.write_all(start).await.unwrap();
            let mut tick = tokio::time::interval(SHORT / 20);
            while socket.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        })
        .await;
        given_up(&any(), &url(format!("http://127.0.0.1:{port}/"))).await;
    }
}

mod tls {
    use super::*;

    #[tokio::test]
    async fn a_server_whose_certificate_is_trusted_is_asked() {
        let (tls, trusted) = certificate("source.test", 2999);
        let server = Server::start_with(Some(tls), |_| ok("{}")).await;
        let target = url(format!("https://source.test:{}/", server.port));
        let outbound = trusting(Some(trusted), home);
        for _ in 0..2 {
            assert_eq!(outbound.get(&get(&target)).await.unwrap(), b"{}");
        }
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn a_certificate_that_signs_itself_is_refused() {
        let (tls, _) = certificate("127.0.0.1", 2999);
        let server = Server::start_with(Some(tls), |_| ok("{}")).await;
        let target = url(format!("https://127.0.0.1:{}/", server.port));
        let error = any().get(&get(&target)).await.unwrap_err();
        assert_eq!(error.code(), "RemoteTlsFailed");
        let text = offchain_codes::chain(&error);
        assert!(text.contains("UnknownIssuer"), "{text}");
        assert!(server.requests().is_empty());
    }

    #[tokio::test]
    async fn a_certificate_of_another_name_or_time_is_refused() {
        for (name, valid_until) in [("other.test", 2999), ("source.test", 2001)] {
            let (tls, trusted) = certificate(name, valid_until);
            let server = Server::start_with(Some(tls), |_| ok("{}")).await;
            let target = url(format!("https://source.test:{}/", server.port));
            let outbound = trusting(Some(trusted), home);
            let code = code(&outbound, &get(&target)).await;
            assert_eq!(code, "RemoteTlsFailed", "{name} {valid_until}");
            assert!(server.requests().is_empty());
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_is_refused() {
        for greeting in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", ""] {
            let port = without_tls(greeting).await;
            let target = url(format!("https://127.0.0.1:{port}/"));
            let code = code(&any(), &get(&target)).await;
            assert_eq!(code, "RemoteTlsFailed", "{greeting:?}");
        }
    }
}

mod errors {
    use super::*;

    #[tokio::test]
    async fn no_text_holds_the_query_or_the_header() {
        let (tls, _) = certificate("127.0.0.1", 2999);
        let broken = Server::start(|_| answer("500 Oops", "", "")).await;
        let closing = Server::start(|_| String::new()).await;
        let garbage = Server::start(|_| "hm\r\nconnection: close".to_owned()).await;
        let huge = Server::start(|_| ok(&"x".repeat(LIMIT + 1))).await;
        let short = Server::start(|_| {
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n".to_owned()
        })
        .await;
        let looping = Server::start(|_| redirect("?key=hush")).await;
        let lost = Server::start(|_| redirect("ftp://x/?key=hush")).await;
        let inward = Server::start(|_| redirect("http://10.0.0.1/?key=hush")).await;
        let dead = Server::start(|_| redirect("http://127.0.0.1:9/?key=hush")).await;
        let selfish = Server::start_with(Some(tls), |_| ok("{}")).await;
        let plain = without_tls("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let hanging = hanging("").await;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let outbound = small_internet(|_| vec!["10.0.0.1"]);
        for (target, code) in [
            (at(broken.port), "RemoteStatus"),
            (at(closing.port), "RemoteUnreachable"),
            (at(garbage.port), "RemoteUnreachable"),
            (at(huge.port), "RemoteTooLarge"),
            (at(short.port), "RemoteUnreachable"),
            (at(looping.port), "RemoteRedirected"),
            (at(lost.port), "RemoteRedirected"),
            (at(inward.port), "AddressPrivate"),
            (at(dead.port), "RemoteUnreachable"),
            (
                format!("https://127.0.0.1:{}", selfish.port),
                "RemoteTlsFailed",
            ),
            (format!("https://127.0.0.1:{plain}"), "RemoteTlsFailed"),
            (at(hanging), "RemoteTimedOut"),
            (at(9), "RemoteUnreachable"),
            ("http://inside.test".to_owned(), "AddressPrivate"),
            ("http://10.0.0.1".to_owned(), "AddressPrivate"),
            ("ftp://10.0.0.1".to_owned(), "UrlInvalid"),
            ("http://hush@127.0.0.1".to_owned(), "UrlInvalid"),
        ] {
            let target = url(format!("{target}/?key=hush"));
            let mut request = get(&target);
            request.header = Some(("x-api-key", "hush"));
            // Only one of these servers makes anybody wait.
            if code == "RemoteTimedOut" {
                request.timeout = SHORT;
            }
            let error = outbound.get(&request).await.unwrap_err();
            assert_eq!(error.code(), code, "{target}");
            let text = format!("{} {error:?}", offchain_codes::chain(&error));
            assert!(!text.contains("hush") && !text.contains("key="), "{text}");
        }
    }

    #[test]
    fn codes_are_stable_and_what_is_ours_to_mend_is_not_repeated() {
        let cause = || Cause::from("x");
        let ip = [10, 0, 0, 1].into();
        for (error, code, retryable) in [
            (OutboundError::TimedOut, "RemoteTimedOut", true),
            (
                OutboundError::Unreachable(cause()),
                "RemoteUnreachable",
                true,
            ),
            (OutboundError::Tls(cause()), "RemoteTlsFailed", true),
            (OutboundError::Status(500), "RemoteStatus", true),
            (OutboundError::TooLarge(1), "RemoteTooLarge", true),
            (OutboundError::Redirect("x"), "RemoteRedirected", true),
            (OutboundError::Private(ip), "AddressPrivate", false),
            (OutboundError::Url("x"), "UrlInvalid", false),
            (OutboundError::Header("x"), "HeaderInvalid", false),
            (OutboundError::Client(cause()), "ConfigInvalid", false),
        ] {
            assert_eq!(error.code(), code);
            assert_eq!(error.retryable(), retryable, "{code}");
        }
    }
}
