//! HTTP in front of the intake: each request becomes what the HTTP API would
//! make of it for the function, and the reply goes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body as ReplyBody;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use offchain_chains::Chain;
use offchain_faucet_service::Intake;
use tokio::net::TcpListener;

use crate::daemon::stop::Stop;

/// So much of a body is kept: more than the intake takes, so that it is the
/// intake that says what is too much.
const KEPT: usize = 32 * 1024;
/// So much more is read and dropped, so that whoever sends it reads the answer.
const DROPPED: usize = 1024 * 1024;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What answers.
pub(crate) trait Answer: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> impl Future<Output = ApiGatewayV2httpResponse> + Send;

    /// From now on, no answer waits.
    fn hurry(&self);
}

impl<C: Chain + 'static> Answer for Intake<C> {
    fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> impl Future<Output = ApiGatewayV2httpResponse> + Send {
        self.answer(request)
    }

    fn hurry(&self) {
        self.hurry();
    }
}

/// Serves until it is asked to stop, and every request that is under way has
/// its answer.
pub(crate) async fn serve<A: Answer>(
    listener: TcpListener,
    intake: Arc<A>,
    mut stop: Stop,
) -> std::io::Result<()> {
    let router = Router::new()
        .fallback(handle::<A>)
        .with_state(Arc::clone(&intake));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            stop.asked().await;
            intake.hurry();
        })
        .await
}

async fn handle<A: Answer>(
    State(intake): State<Arc<A>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, read(body)).await {
        Ok(Some(body)) => body,
        // Nobody is there to read it.
        Ok(None) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    let route = Route::of(head.uri.path());
    let reply = intake.answer(&event(&head, &route, peer, &body)).await;
    response(reply, &route)
}

/// What is kept of a body; nothing where it breaks off.
async fn read(body: Body) -> Option<Vec<u8>> {
    let mut stream = body.into_data_stream();
    let mut kept = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.ok()?;
        seen += chunk.len();
        kept.extend(chunk.iter().take(KEPT - kept.len()));
        if seen > KEPT + DROPPED {
            break;
        }
    }
    Some(kept)
}

/// A path as the HTTP API's routes name it.
#[derive(Debug, PartialEq, Eq)]
struct Route<'a> {
    path: &'a str,
    parameter: Option<(&'static str, &'a str)>,
}

impl<'a> Route<'a> {
    /// A path that is no route's keeps its own name: the intake says so.
    fn of(path: &'a str) -> Self {
        let parts: Vec<_> = path.split('/').collect();
        let (path, parameter) = match parts.as_slice() {
            ["", "v1", "claims", id] if !id.is_empty() => ("/v1/claims/{id}", Some(("id", *id))),
            ["", "faucet", file] if !file.is_empty() => ("/faucet/{file}", Some(("file", *file))),
            _ => (path, None),
        };
        Self { path, parameter }
    }

    /// What RFC 9110 wants said of a method that the route has not.
    fn allows(&self) -> &'static str {
        match self.path {
            "/v1/claim" => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

/// The request as the function gets it (payload format 2.0).
fn event(
    head: &Parts,
    route: &Route<'_>,
    peer: SocketAddr,
    body: &[u8],
) -> ApiGatewayV2httpRequest {
    // Of an answer to HEAD the server leaves the body out itself.
    let method = match &head.method {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    let query = head.uri.query().unwrap_or_default();
    let mut request = ApiGatewayV2httpRequest::default();
    request.version = Some("2.0".to_owned());
    request.route_key = Some(format!("{method} {}", route.path));
    request.raw_path = Some(head.uri.path().to_owned());
    request.raw_query_string = Some(query.to_owned());
    request.query_string_parameters = query.parse().unwrap_or_default();
    request.path_parameters = route
        .parameter
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    request.headers = joined(&head.headers);
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => request.body = Some(text.to_owned()),
        Err(_) => {
            request.body = Some(STANDARD.encode(body));
            request.is_base64_encoded = true;
        }
    }
    request
        .request_context
        .route_key
        .clone_from(&request.route_key);
    let http = &mut request.request_context.http;
    http.method = method.clone();
    http.path = Some(head.uri.path().to_owned());
    http.protocol = Some(format!("{:?}", head.version));
    http.source_ip = Some(peer.ip().to_canonical().to_string());
    let agent = head.headers.get(USER_AGENT);
    http.user_agent = agent.and_then(|agent| Some(agent.to_str().ok()?.to_owned()));
    request
}

/// Lines of one header joined by commas, as the HTTP API joins them. Else what
/// a proxy adds in a line of its own would not be seen behind what a client wrote.
fn joined(headers: &HeaderMap) -> HeaderMap {
    let mut joined = HeaderMap::new();
    for name in headers.keys() {
        let lines: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(value) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
            joined.insert(name, value);
        }
    }
    joined
}

fn response(reply: ApiGatewayV2httpResponse, route: &Route<'_>) -> Response {
    let status = u16::try_from(reply.status_code).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match reply.body {
        Some(ReplyBody::Text(text)) if reply.is_base64_encoded => {
            Body::from(STANDARD.decode(text).unwrap_or_default())
        }
        Some(ReplyBody::Text(text)) => Body::from(text),
        Some(ReplyBody::Binary(bytes)) => Body::from(bytes),
        _ => Body::empty(),
    };
    let mut response = (status, body).into_response();
    // Axum names a type for what it makes of a text.
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().extend(reply.headers);
    response.headers_mut().extend(reply.multi_value_headers);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allows = HeaderValue::from_static(route.allows());
        response.headers_mut().insert(ALLOW, allows);
    }
    response
}

/// A problem document (RFC 9457) of what the intake does not get to see.
fn refused(status: StatusCode, detail: &str) -> Response {
    let document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
        "message": detail,
    });
    let kind = [(CONTENT_TYPE, "application/problem+json")];
    (status, kind, document.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use offchain_store::test_util::FakeAws;
    use reqwest::{Client, RequestBuilder};
    use serde_json::{Value, json};
    use tokio::sync::{Notify, mpsc};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::faucet::serve::{intake, stop};
    use crate::faucet::tests::site;

    const LONG: Duration = Duration::from_secs(30);

    /// Answers with what it was asked.
    #[derive(Default)]
    struct Echo {
        /// Whether it holds its answers back until it is hurried.
        holds: bool,
        asked: Notify,
        hurried: AtomicBool,
        hurry: Notify,
        seen: Mutex<Vec<ApiGatewayV2httpRequest>>,
    }

    impl Answer for Echo {
        async fn answer(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
            self.seen.lock().unwrap().push(request.clone());
            let hurry = self.hurry.notified();
            self.asked.notify_one();
            if self.holds {
                hurry.await;
            }
            let mut reply = ApiGatewayV2httpResponse::default();
            reply.status_code = 202;
            reply
                .headers
                .insert("x-own", HeaderValue::from_static("yes"));
            reply.body = Some(ReplyBody::Text("hello".to_owned()));
            reply
        }

        fn hurry(&self) {
            self.hurried.store(true, Ordering::Relaxed);
            self.hurry.notify_waiters();
        }
    }

    /// A front that is served, on a port of its own.
    struct Served {
        url: String,
        client: Client,
        signal: mpsc::Sender<()>,
        ended: JoinHandle<ExitCode>,
    }

    impl Served {
        async fn new<A: Answer>(intake: Arc<A>) -> Self {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let (signal, signals) = mpsc::channel(2);
            let ended = tokio::spawn(async move {
                let work = async |stop| serve(listener, intake, stop).await;
                stop::until_stopped(signals, LONG, work).await.unwrap()
            });
            let client = Client::builder().no_proxy().timeout(LONG).build().unwrap();
            Self {
                url,
                client,
                signal,
                ended,
            }
        }

        fn ask(&self, method: &str, path: &str) -> RequestBuilder {
            let method = method.parse().unwrap();
            self.client.request(method, format!("{}{path}", self.url))
        }
    }

    async fn echoed(request: impl FnOnce(&Served) -> RequestBuilder) -> Value {
        let echo = Arc::new(Echo::default());
        let served = Served::new(Arc::clone(&echo)).await;
        let reply = request(&served).send().await.unwrap();
        assert_eq!(reply.status(), 202);
        assert_eq!(reply.headers()["x-own"], "yes");
        assert_eq!(reply.headers().get("content-type"), None);
        let mut seen = echo.seen.lock().unwrap();
        assert_eq!(seen.len(), 1);
        serde_json::to_value(seen.remove(0)).unwrap()
    }

    #[tokio::test]
    async fn a_request_becomes_what_the_function_gets() {
        let seen = echoed(|served| {
            served
                .ask("POST", "/v1/claim?address=0xAb%2B&address=second&empty=")
                .header("idempotency-key", "k")
                .header("x-forwarded-for", "1.1.1.1")
                .header("x-forwarded-for", "2.2.2.2, 3.3.3.3")
                .body(r#"{"address":"é"}"#)
        })
        .await;
        assert_eq!(seen["routeKey"], "POST /v1/claim");
        assert_eq!(seen["rawPath"], "/v1/claim");
        assert_eq!(
            seen["rawQueryString"],
            "address=0xAb%2B&address=second&empty="
        );
        let query = seen["queryStringParameters"]["address"].to_string();
        assert!(query.contains("0xAb+"), "{query}");
        assert_eq!(seen["headers"]["idempotency-key"], "k");
        // A client's own line does not hide what a proxy adds.
        assert_eq!(
            seen["headers"]["x-forwarded-for"],
            "1.1.1.1, 2.2.2.2, 3.3.3.3"
        );
        assert_eq!(seen["body"], r#"{"address":"é"}"#);
        assert_eq!(seen["isBase64Encoded"], json!(false));
        let http = &seen["requestContext"]["http"];
        assert_eq!(http["sourceIp"], "127.0.0.1");
        assert_eq!(
            (&http["method"], &http["protocol"]),
            (&json!("POST"), &json!("HTTP/1.1"))
        );
    }

    #[tokio::test]
    async fn a_body_that_is_no_text_is_sent_as_base64() {
        let seen = echoed(|served| served.ask("POST", "/v1/claim").body(vec![0xff, 0xfe])).await;
        assert_eq!(
            (&seen["body"], &seen["isBase64Encoded"]),
            (&json!("//4="), &json!(true))
        );
    }

    #[tokio::test]
    async fn a_path_s_own_part_is_named_as_the_routes_name_it() {
        let seen = echoed(|served| served.ask("HEAD", "/v1/claims/abc")).await;
        assert_eq!(seen["routeKey"], "GET /v1/claims/{id}");
        assert_eq!(seen["pathParameters"], json!({"id": "abc"}));
        let of = |path| (Route::of(path).path, Route::of(path).parameter);
        assert_eq!(
            of("/faucet/app.js"),
            ("/faucet/{file}", Some(("file", "app.js")))
        );
        for own in [
            "/",
            "/faucet",
            "/faucet/",
            "/v1/claims",
            "/v1/claims/",
            "/v1/claims/a/b",
        ] {
            assert_eq!(of(own), (own, None));
        }
    }

    /// The intake itself, which asks AWS nothing for what it refuses here.
    async fn real() -> (Served, FakeAws) {
        let aws = FakeAws::new();
        let intake = intake(&site(&aws), &Arc::default()).unwrap();
        (Served::new(Arc::new(intake)).await, aws)
    }

    #[tokio::test]
    async fn every_route_is_known_and_others_are_refused() {
        let (served, aws) = real().await;
        for (method, path, status, code) in [
            ("GET", "/", 200, None),
            ("HEAD", "/", 200, None),
            ("GET", "/faucet", 200, None),
            ("GET", "/faucet/app.js", 200, None),
            ("OPTIONS", "/v1/claim", 204, None),
            ("GET", "/v1/claims/none", 404, Some("ClaimNotFound")),
            ("POST", "/v1/claim", 400, Some("ClaimInvalid")),
            ("GET", "/nowhere", 404, Some("RouteNotFound")),
            ("GET", "/faucet/none.js", 404, Some("RouteNotFound")),
            ("GET", "/v1/claim", 405, Some("MethodNotAllowed")),
            ("DELETE", "/v1/claims/none", 405, Some("MethodNotAllowed")),
            ("POST", "/faucet/app.js", 405, Some("MethodNotAllowed")),
        ] {
            let reply = served.ask(method, path).send().await.unwrap();
            assert_eq!(reply.status(), status, "{method} {path}");
            let allow = reply.headers().get("allow").cloned();
            assert_eq!(allow.is_some(), status == 405, "{method} {path}");
            let body = reply.bytes().await.unwrap();
            if let Some(code) = code {
                let problem: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(problem["title"], code, "{method} {path}");
                assert_eq!(problem["message"], problem["detail"]);
            }
        }
        let allow = served.ask("GET", "/v1/claim").send().await.unwrap();
        assert_eq!(allow.headers()["allow"], "POST, OPTIONS");
        assert!(aws.calls().is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_by_the_intake() {
        let (served, aws) = real().await;
        for length in [8193, KEPT + 1, 500_000] {
            let asked = served.ask("POST", "/v1/claim").body("x".repeat(length));
            let reply = asked.send().await.unwrap();
            assert_eq!(reply.status(), 413, "{length}");
            let problem: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
            assert_eq!(problem["title"], "BodyTooLarge");
        }
        let asked = served.ask("POST", "/v1/claim").body("x".repeat(8192));
        assert_eq!(asked.send().await.unwrap().status(), 400);
        assert!(aws.calls().is_empty());
    }

    #[tokio::test]
    async fn a_signal_ends_it_when_every_request_has_its_answer() {
        let echo = Arc::new(Echo {
            holds: true,
            ..Echo::default()
        });
        let served = Served::new(Arc::clone(&echo)).await;
        let waiting = tokio::spawn(served.ask("POST", "/v1/claim").send());
        echo.asked.notified().await;
        assert!(!echo.hurried.load(Ordering::Relaxed));
        served.signal.send(()).await.unwrap();
        let reply = waiting.await.unwrap().unwrap();
        assert_eq!(reply.status(), 202);
        assert_eq!(served.ended.await.unwrap(), ExitCode::SUCCESS);
        assert!(echo.hurried.load(Ordering::Relaxed));
        let late = served.client.get(&served.url).send().await;
        assert!(late.unwrap_err().is_connect());
    }

    #[tokio::test]
    async fn a_second_signal_ends_it_at_once() {
        /// Never answers.
        struct Deaf(Notify);

        impl Answer for Deaf {
            async fn answer(&self, _: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
                self.0.notify_one();
                std::future::pending().await
            }

            fn hurry(&self) {}
        }

        let deaf = Arc::new(Deaf(Notify::new()));
        let served = Served::new(Arc::clone(&deaf)).await;
        let waiting = tokio::spawn(served.ask("GET", "/").send());
        deaf.0.notified().await;
        served.signal.send(()).await.unwrap();
        served.signal.send(()).await.unwrap();
        assert_eq!(served.ended.await.unwrap(), ExitCode::from(130));
        waiting.abort();
    }
}
