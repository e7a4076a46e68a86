//! HTTP requests and connections to servers that are not ours. Such a server may be slow, may
//! answer without end, and may send the request elsewhere; whoever names it
//! may point its name at an address inside our network. None of that costs
//! more than a request's time and limit, or reaches what [`Reach`] excludes.

mod reach;
mod socket;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use offchain_codes::Coded;
pub use reach::Reach;
pub use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName,
    HeaderValue, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
pub use socket::Socket;

/// Why a server gave no answer that can be used. No text holds a URL or the
/// value of a header: either may be a secret, and errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The exchange was not over in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server was not found, or the connection failed or broke.
    #[error("the server could not be reached or broke off")]
    Unreachable(#[source] Cause),
    /// No secure connection to the server that the URL names.
    #[error("the secure connection failed")]
    Tls(#[source] Cause),
    /// The server answered, but not with success.
    #[error("the server answered {0}")]
    Status(u16),
    /// The body is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The server redirects in a way that is not followed.
    #[error("the server redirects {0}")]
    Redirect(&'static str),
    /// The server, or one that it redirects to, has an address that is not
    /// globally reachable.
    #[error("the address {0} is not a public one")]
    Private(IpAddr),
    /// Not a URL that can be requested.
    #[error("the URL {0}")]
    Url(&'static str),
    /// Not a header that can be sent.
    #[error("the header's {0}")]
    Header(&'static str),
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] Cause),
}

/// What lies behind an [`OutboundError`].
pub type Cause = Box<dyn Error + Send + Sync>;

impl Coded for OutboundError {
    fn code(&self) -> &'static str {
        match self {
            Self::TimedOut => "RemoteTimedOut",
            Self::Unreachable(_) => "RemoteUnreachable",
            Self::Tls(_) => "RemoteTlsFailed",
            Self::Status(_) => "RemoteStatus",
            Self::TooLarge(_) => "RemoteTooLarge",
            Self::Redirect(_) => "RemoteRedirected",
            Self::Private(_) => "AddressPrivate",
            Self::Url(_) => "UrlInvalid",
            Self::Header(_) => "HeaderInvalid",
            Self::Client(_) => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            // A server behind a balancer may be broken while the next one is not.
            Self::TimedOut
            | Self::Unreachable(_)
            | Self::Tls(_)
            | Self::Status(_)
            | Self::TooLarge(_)
            | Self::Redirect(_) => true,
            Self::Private(_) | Self::Url(_) | Self::Header(_) | Self::Client(_) => false,
        }
    }
}

/// One GET.
#[derive(Clone, Copy)]
pub struct Get<'a> {
    /// What to get, by http or https.
    pub url: &'a Url,
    /// The name and value of a header that is secret: it goes to the origin of
    /// `url` and no other.
    pub header: Option<(&'a str, &'a str)>,
    /// How long the whole exchange may take, redirects and body included.
    pub timeout: Duration,
    /// How many bytes the body may have.
    pub limit: usize,
}

/// One POST. It is sent once and goes nowhere else: what it says may be secret,
/// and may count only once.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    /// Where it goes, by http or https.
    pub url: &'a Url,
    /// The names and values of more headers. Any of them may be secret.
    pub headers: &'a [(&'a str, &'a str)],
    /// What `body` is, such as `application/x-www-form-urlencoded`.
    pub content_type: &'a str,
    /// What is posted.
    pub body: &'a [u8],
    /// How long the whole exchange may take.
    pub timeout: Duration,
    /// How many bytes the answer's body may have.
    pub limit: usize,
}

const MAX_REDIRECTS: usize = 3;
/// How long a success waits for the rest of its answer.
const REST: Duration = Duration::from_millis(250);

/// A client that keeps its connections. Clones share them.
#[derive(Clone)]
pub struct Outbound {
    client: Client,
    resolver: Checked,
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client for the servers within `reach`.
    pub fn new(reach: Reach) -> Result<Self, OutboundError> {
        let tls = platform_tls().map_err(|error| OutboundError::Client(error.into()))?;
        Self::with(reach.refuses(), System, tls)
    }

    fn with(
        refuses: fn(IpAddr) -> bool,
        resolver: impl Resolve + 'static,
        mut tls: ClientConfig,
    ) -> Result<Self, OutboundError> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let resolver = Checked {
            refuses,
            resolver: Arc::new(resolver),
        };
        let client = client(resolver.clone(), tls.clone())
            .map_err(|error| OutboundError::Client(error.into()))?;
        Ok(Self {
            client,
            resolver,
            tls: Arc::new(tls),
        })
    }

    /// The body of a successful answer.
    pub async fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, OutboundError> {
        tokio::time::timeout(request.timeout, self.exchange(request))
            .await
            .map_err(|_| OutboundError::TimedOut)?
    }

    /// The body of a successful answer.
    pub async fn post(&self, request: &Post<'_>) -> Result<Vec<u8>, OutboundError> {
        let exchange = async { body(self.send(request).await?, request.limit).await };
        tokio::time::timeout(request.timeout, exchange)
            .await
            .map_err(|_| OutboundError::TimedOut)?
    }

    /// Posts to a server whose answer's status says all: once that is a
    /// success, nothing about its body makes it a failure. As much of the body
    /// is read as `limit` and a moment on top of the timeout allow, so that the
    /// connection can be kept.
    pub async fn notify(&self, request: &Post<'_>) -> Result<(), OutboundError> {
        let response = tokio::time::timeout(request.timeout, self.send(request))
            .await
            .map_err(|_| OutboundError::TimedOut)??;
        let status = response.status();
        let _ = tokio::time::timeout(REST, rest(response, request.limit)).await;
        successful(status)
    }

    /// Sends it, and returns what is answered if it is no redirect.
    async fn send(&self, request: &Post<'_>) -> Result<Response, OutboundError> {
        requestable(request.url).map_err(OutboundError::Url)?;
        self.within_reach(request.url)?;
        let content_type = HeaderValue::from_str(request.content_type)
            .map_err(|_| OutboundError::Header("value has a character that no header may have"))?;
        let mut post = self
            .client
            .post(request.url.clone())
            .header(CONTENT_TYPE, content_type);
        for header in request.headers {
            let (name, value) = secret(*header)?;
            if name == CONTENT_TYPE {
                return Err(OutboundError::Header("name is the body's own"));
            }
            post = post.header(name, value);
        }
        let response = post
            .body(request.body.to_vec())
            .send()
            .await
            .map_err(failure)?;
        if redirects(response.status()) {
            return Err(OutboundError::Redirect("a POST"));
        }
        Ok(response)
    }

    async fn exchange(&self, request: &Get<'_>) -> Result<Vec<u8>, OutboundError> {
        let mut url = request.url.clone();
        requestable(&url).map_err(OutboundError::Url)?;
        let mut header = request.header.map(secret).transpose()?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(&url, header.as_ref()).await?;
            if !redirects(response.status()) {
                return body(response, request.limit).await;
            }
            let target = target(&url, &response).map_err(OutboundError::Redirect)?;
            // Once it has been elsewhere, a request is not ours alone any
            // more: the header stays away even from where it came from.
            if target.origin() != url.origin() {
                header = None;
            }
            url = target;
        }
        Err(OutboundError::Redirect("too often"))
    }

    async fn ask(
        &self,
        url: &Url,
        header: Option<&(HeaderName, HeaderValue)>,
    ) -> Result<Response, OutboundError> {
        self.within_reach(url)?;
        let send = || {
            let mut request = self.client.get(url.clone());
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            request.send()
        };
        match send().await {
            // The server may have closed a kept connection just as it was
            // used, and a GET may be repeated.
            Err(error) if unanswered(&error) => send().await,
            sent => sent,
        }
        .map_err(failure)
    }

    /// The connector does not resolve a literal address, so it is checked
    /// here, read as the connector reads it.
    fn within_reach(&self, url: &Url) -> Result<(), OutboundError> {
        match url.host_str().and_then(literal) {
            Some(ip) if (self.resolver.refuses)(ip) => Err(OutboundError::Private(ip)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Trust in whatever the system trusts.
fn platform_tls() -> Result<ClientConfig, rustls::Error> {
    Ok(tls_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}

fn tls_versions()
-> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn client(resolver: Checked, tls: ClientConfig) -> Result<Client, reqwest::Error> {
    let headers = [
        (ACCEPT, HeaderValue::from_static("application/json")),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
    ];
    Client::builder()
        // Some servers refuse a request without one.
        .user_agent(concat!("offchain/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers.into_iter().collect())
        // A proxy would do the resolving, and out of our sight.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(resolver)
        .tls_backend_preconfigured(tls)
        .build()
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str().to_owned(), 0)).await?;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Hands over what another resolver finds only if all of it may be connected
/// to. The connector uses just these addresses, so a name that changes its
/// mind between check and use gains nothing.
#[derive(Clone)]
struct Checked {
    refuses: fn(IpAddr) -> bool,
    resolver: Arc<dyn Resolve>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let refuses = self.refuses;
        // No resolver is asked for these: one may not know them, or may lie
        // about them (RFC 6761, section 6.3).
        let resolving = match is_local(name.as_str()) {
            true => {
                let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                let addresses = loopback.into_iter().map(|ip| SocketAddr::new(ip, 0));
                Box::pin(std::future::ready(Ok(Box::new(addresses) as Addrs)))
            }
            false => self.resolver.resolve(name),
        };
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = resolving.await?.collect();
            match addresses.iter().find(|address| refuses(address.ip())) {
                Some(address) => Err(Refused(address.ip()).into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// The cause inside a [`reqwest::Error`] where an address was refused.
#[derive(Debug)]
struct Refused(IpAddr);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address {} is refused", self.0)
    }
}

impl Error for Refused {}

/// Whether a name is `localhost` or below it.
fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next();
    last.is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

fn literal(host: &str) -> Option<IpAddr> {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    v6.unwrap_or(host).parse().ok()
}

/// Why `url` cannot be requested.
fn requestable(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    // It would be sent as a header that nothing here treats as a secret.
    anonymous(url)
}

fn anonymous(url: &Url) -> Result<(), &'static str> {
    match url.username().is_empty() && url.password().is_none() {
        true => Ok(()),
        false => Err("holds a user or password"),
    }
}

fn secret((name, value): (&str, &str)) -> Result<(HeaderName, HeaderValue), OutboundError> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| OutboundError::Header("name is not one"))?;
    // These say where the request goes and where it ends.
    if [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(&name)
    {
        return Err(OutboundError::Header("name is the connection's own"));
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| OutboundError::Header("value has a character that no header may have"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect goes to, or why it is not followed.
fn target(url: &Url, response: &Response) -> Result<Url, &'static str> {
    let location = response
        .headers()
        .get(LOCATION)
        .ok_or("without a location")?;
    let target = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| url.join(location).ok())
        .filter(|target| requestable(target).is_ok())
        .ok_or("to what cannot be requested")?;
    if url.scheme() == "https" && target.scheme() != "https" {
        return Err("from https to http");
    }
    Ok(target)
}

async fn body(response: Response, limit: usize) -> Result<Vec<u8>, OutboundError> {
    successful(response.status())?;
    rest(response, limit).await
}

fn successful(status: StatusCode) -> Result<(), OutboundError> {
    match status.is_success() {
        true => Ok(()),
        false => Err(OutboundError::Status(status.as_u16())),
    }
}

/// What comes after the head of an answer.
async fn rest(mut response: Response, limit: usize) -> Result<Vec<u8>, OutboundError> {
    let fits = |length: u64| usize::try_from(length).is_ok_and(|length| length <= limit);
    if !response.content_length().is_none_or(fits) {
        return Err(OutboundError::TooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if chunk.len() > limit - body.len() {
            return Err(OutboundError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether a connection that stood brought no answer.
fn unanswered(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

fn failure(error: reqwest::Error) -> OutboundError {
    // The URL may hold an access key, and errors are logged.
    let error = error.without_url();
    if let Some(Refused(ip)) = causes(&error).find_map(|cause| cause.downcast_ref()) {
        return OutboundError::Private(*ip);
    }
    if error.is_builder() {
        return OutboundError::Url("cannot be sent");
    }
    if error.is_timeout() {
        return OutboundError::TimedOut;
    }
    match is_tls(&error, error.is_connect()) {
        true => OutboundError::Tls(error.into()),
        false => OutboundError::Unreachable(error.into()),
    }
}

/// Why a name was not resolved.
fn failed_lookup(error: Cause) -> OutboundError {
    match error.downcast_ref() {
        Some(Refused(ip)) => OutboundError::Private(*ip),
        None => OutboundError::Unreachable(error),
    }
}

/// Whether an error is about the security of a connection.
fn is_tls(error: &(dyn Error + 'static), connecting: bool) -> bool {
    causes(error).any(|cause| {
        // While connecting, only the handshake waits for bytes, so only it
        // can miss them.
        cause.is::<rustls::Error>()
            || connecting
                && cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
    })
}

/// An error and everything that caused it. An [`io::Error`] leaves out the
/// error that it wraps when asked for its source.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(Some(wrapped)) => Some(wrapped),
            _ => error.source(),
        };
        Some(error)
    })
}

#[cfg(test)]
mod tests;
