//! Connections that carry something other than HTTP requests.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::Resolve;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::{Outbound, OutboundError, anonymous, failed_lookup, is_tls, literal};

/// A connection to a server that is not ours, secure where its URL asks for
/// that. What comes out of it is as little to be trusted as any answer.
pub struct Socket(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Outbound {
    /// A connection to the server that `url` names, by http, https, ws or wss;
    /// the rest of the URL is for whoever speaks there. It stands within
    /// `limit`, to an address that was found to be within reach.
    pub async fn connect(&self, url: &Url, limit: Duration) -> Result<Socket, OutboundError> {
        timeout(limit, self.dial(url, limit))
            .await
            .map_err(|_| OutboundError::TimedOut)?
    }

    async fn dial(&self, url: &Url, limit: Duration) -> Result<Socket, OutboundError> {
        let until = Instant::now() + limit;
        let secure = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return Err(OutboundError::Url("is none of http, https, ws and wss")),
        };
        anonymous(url).map_err(OutboundError::Url)?;
        let nowhere = || OutboundError::Url("names no server");
        let host = url.host_str().ok_or_else(nowhere)?;
        let port = url.port_or_known_default().ok_or_else(nowhere)?;
        let addresses = self.addresses(url, host, port).await?;
        let socket = first(&addresses, until).await?;
        if !secure {
            return Ok(Socket(Box::new(socket)));
        }
        let host = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| OutboundError::Url("names a server that no certificate can"))?;
        let socket = TlsConnector::from(self.tls.clone())
            .connect(name, socket)
            .await
            .map_err(|error| match is_tls(&error, true) {
                true => OutboundError::Tls(error.into()),
                false => OutboundError::Unreachable(error.into()),
            })?;
        Ok(Socket(Box::new(socket)))
    }

    async fn addresses(
        &self,
        url: &Url,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        self.within_reach(url)?;
        if let Some(ip) = literal(host) {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let name = host
            .parse()
            .map_err(|_| OutboundError::Url("names no server"))?;
        let found = self.resolver.resolve(name).await.map_err(failed_lookup)?;
        let at_port = |address: SocketAddr| SocketAddr::new(address.ip(), port);
        Ok(found.map(at_port).collect())
    }
}

/// A connection to the first address that takes one. An address that does not
/// answer has its share of the time, and leaves the others theirs.
async fn first(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, OutboundError> {
    let mut failure = OutboundError::Unreachable("the name has no address".into());
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        failure = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                // What is sent is small and waited for. A socket that cannot
                // be told so works all the same.
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Ok(Err(error)) => OutboundError::Unreachable(error.into()),
            Err(_) => OutboundError::TimedOut,
        };
    }
    Err(failure)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}
