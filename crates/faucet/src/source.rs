//! Whom a request comes from, as far as limits are concerned.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use offchain_codes::Coded;
use thiserror::Error;

/// Who shares a limit: an IPv4 address, or the /64 of an IPv6 address, within
/// which one subscriber has as many addresses as he likes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(String);

/// Why nobody knows whom a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnknownSource {
    /// The other end of the connection has none.
    #[error("expected an IP address at the other end of the connection")]
    Peer,
    /// The request did not come through every trusted proxy.
    #[error("expected at least {expected} addresses in X-Forwarded-For, found {found}")]
    Missing {
        /// How many proxies are trusted.
        expected: u8,
        /// How many addresses there are.
        found: usize,
    },
    /// A trusted proxy wrote something else.
    #[error("expected an IP address from the outermost trusted proxy in X-Forwarded-For")]
    Forwarded,
}

impl Coded for UnknownSource {
    fn code(&self) -> &'static str {
        match self {
            Self::Peer | Self::Missing { .. } | Self::Forwarded => "SourceUnknown",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Peer | Self::Missing { .. } | Self::Forwarded => false,
        }
    }
}

impl Source {
    /// The source of a request from `peer`, with `forwarded` in its header
    /// X-Forwarded-For, behind this many proxies that append to that header.
    ///
    /// # Errors
    ///
    /// [`UnknownSource`] where there is no address in the place that counts.
    pub fn of(
        peer: &str,
        forwarded: Option<&str>,
        trusted_proxies: u8,
    ) -> Result<Self, UnknownSource> {
        if trusted_proxies == 0 {
            return address(peer).map(Self::from).ok_or(UnknownSource::Peer);
        }
        // What stands further on the left, anybody may have written.
        let entries: Vec<_> = forwarded
            .into_iter()
            .flat_map(|text| text.split(','))
            .collect();
        let place = entries.len().checked_sub(trusted_proxies.into());
        let entry = place.and_then(|place| entries.get(place));
        let entry = entry.ok_or(UnknownSource::Missing {
            expected: trusted_proxies,
            found: entries.len(),
        })?;
        address(entry)
            .map(Self::from)
            .ok_or(UnknownSource::Forwarded)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one address that this is, where it is not many.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        (!self.0.contains('/')).then_some(&self.0)
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let bracketed = |text: &str| {
        let within = text.strip_prefix('[')?.strip_suffix(']')?;
        within.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let with_port = |text: &str| text.parse().ok().map(|socket: SocketAddr| socket.ip());
    let bare = text.parse().ok();
    bare.or_else(|| bracketed(text)).or_else(|| with_port(text))
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_string()),
            IpAddr::V6(address) => {
                let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
                Self(format!("{network}/64"))
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
