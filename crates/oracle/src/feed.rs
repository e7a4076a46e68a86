use std::{collections::HashSet, fmt, net::Ipv6Addr};

use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;

use crate::{Pointer, PointerError, text::text_type};

/// What is published for every slot under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The name.
    pub id: FeedId,
    /// Where its values come from.
    pub kind: Kind,
}

/// Where the values of a feed come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Random integers from 0 to 1000, drawn by the publisher.
    Demo,
    /// The median of what servers answer.
    Http(HttpFeed),
}

/// A feed of what servers answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpFeed {
    /// Decimal digits after the point, 0 to 18. A value is published as an
    /// integer times 10^-decimals.
    pub decimals: u8,
    /// How many sources must agree, from 1 to all of them.
    pub quorum: u8,
    /// How long before the slot an observation may have been made, from 1.
    pub max_age_seconds: u32,
    /// How far apart the greatest and the least value may be, in 1/10000 of
    /// the median.
    pub max_spread_bps: u32,
    /// 1 to 16 sources, sorted by name, none twice.
    pub sources: Vec<Source>,
}

/// A server that answers with a number in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in the feed.
    pub name: SourceName,
    /// What is fetched.
    pub url: String,
    /// Where in the answer the number is.
    pub pointer: Pointer,
    /// Where in the answer the time of the number is.
    pub time_pointer: Option<Pointer>,
    /// The answer's number is times 10^scale, -18 to 18.
    pub scale: i8,
    /// How long the answer may take, 50 to 10000.
    pub timeout_ms: u32,
    /// A header of the request whose value is secret.
    pub header: Option<Header>,
}

/// A header of a request whose value is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name of the header.
    pub name: String,
    /// Where among the secrets its value is.
    pub secret_key: String,
}

/// `^[a-z][a-z0-9-]{0,31}$`
fn is_name(text: &str) -> bool {
    let of_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(of_name)
}

text_type!(
    /// The name of a feed: 1 to 32 characters out of `a-z`, `0-9` and `-`, the
    /// first a letter.
    FeedId,
    FeedError,
    FeedError::Id,
    is_name
);

text_type!(
    /// The name of a source in its feed: 1 to 32 characters out of `a-z`,
    /// `0-9` and `-`, the first a letter.
    SourceName,
    FeedError,
    FeedError::SourceName,
    is_name
);

impl SourceName {
    /// The source of a demo feed.
    pub(crate) fn random() -> Self {
        Self("random".to_owned())
    }
}

/// Why a text defines no feed.
#[derive(Debug, Error)]
pub enum FeedError {
    /// See [`FeedId`].
    #[error("expected a feed id of {NAME}")]
    Id,
    /// See [`SourceName`].
    #[error("expected a source name of {NAME}")]
    SourceName,
    /// The definition is not JSON, or its fields are not those of a feed.
    #[error("expected the definition of a feed in JSON: {0}")]
    Json(serde_json::Error),
    /// A field is not what it may be.
    #[error("expected {expected} in `{path}`")]
    Field {
        /// The names that lead to the field, with dots.
        path: String,
        /// What it may be.
        expected: &'static str,
    },
}

const NAME: &str = "1 to 32 characters out of a-z, 0-9 and `-`, the first a letter";

impl Coded for FeedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Id | Self::SourceName | Self::Json(_) | Self::Field { .. } => "FeedInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Id | Self::SourceName | Self::Json(_) | Self::Field { .. } => false,
        }
    }
}

impl Feed {
    /// Reads the definition of a feed, as the crate's documentation specifies
    /// it.
    ///
    /// # Errors
    ///
    /// [`FeedError`] tells the first rule that the id or the definition breaks.
    pub fn parse(id: &str, json: &str) -> Result<Self, FeedError> {
        let id = id.parse()?;
        let JustKind { kind } = serde_json::from_str(json).map_err(FeedError::Json)?;
        let kind = match kind.as_str() {
            "demo" => {
                let Demo { .. } = serde_json::from_str(json).map_err(FeedError::Json)?;
                Kind::Demo
            }
            "http" => {
                let http: Http = serde_json::from_str(json).map_err(FeedError::Json)?;
                Kind::Http(http.check()?)
            }
            _ => return Err(field("kind", "demo or http")),
        };
        Ok(Self { id, kind })
    }

    /// The exponent of the feed's values, -18 to 0: a reading's number is its
    /// value times 10^exponent.
    #[must_use]
    pub fn exponent(&self) -> i8 {
        match &self.kind {
            Kind::Demo => 0,
            Kind::Http(feed) => feed.exponent(),
        }
    }
}

impl HttpFeed {
    /// As [`Feed::exponent`].
    #[must_use]
    pub fn exponent(&self) -> i8 {
        0_i8.saturating_sub_unsigned(self.decimals)
    }
}

#[derive(Deserialize)]
struct JustKind {
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Demo {
    #[serde(rename = "kind")]
    _kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    #[serde(rename = "kind")]
    _kind: String,
    decimals: i64,
    quorum: i64,
    max_age_seconds: i64,
    max_spread_bps: i64,
    sources: Members<HttpSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSource {
    url: String,
    pointer: String,
    time_pointer: Option<String>,
    scale: i64,
    timeout_ms: i64,
    header: Option<HttpHeader>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpHeader {
    name: String,
    secret_key: String,
}

/// The members of an object, of which serde's own maps would keep the last of
/// two with the same name.
struct Members<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor<T>(Vec<(String, T)>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(
                mut self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(de::Error::custom(format!("duplicate field `{name}`")));
                    }
                    self.0.push((name, map.next_value()?));
                }
                Ok(Members(self.0))
            }
        }

        from.deserialize_map(Visitor(Vec::new()))
    }
}

impl Http {
    fn check(self) -> Result<HttpFeed, FeedError> {
        let Members(sources) = self.sources;
        if !(1..=16).contains(&sources.len()) {
            return Err(field("sources", "1 to 16 sources"));
        }
        let quorum = u8::try_from(self.quorum)
            .ok()
            .filter(|quorum| (1..=sources.len()).contains(&usize::from(*quorum)))
            .ok_or_else(|| field("quorum", "a number from 1 to that of the sources"))?;
        let decimals = number("decimals", self.decimals, 0..=18, "a number from 0 to 18")?;
        let max_age_seconds = number(
            "max_age_seconds",
            self.max_age_seconds,
            1..=u32::MAX.into(),
            "a number from 1 to 4294967295",
        )?;
        let max_spread_bps = number(
            "max_spread_bps",
            self.max_spread_bps,
            0..=u32::MAX.into(),
            "a number from 0 to 4294967295",
        )?;
        let sources = sources
            .into_iter()
            .map(|(name, source)| source.check(&name));
        let mut sources = sources.collect::<Result<Vec<_>, _>>()?;
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(HttpFeed {
            decimals,
            quorum,
            max_age_seconds,
            max_spread_bps,
            sources,
        })
    }
}

impl HttpSource {
    fn check(self, name: &str) -> Result<Source, FeedError> {
        let at = |part: &str| format!("sources.{name}.{part}");
        let pointer = |part: &str, text: String| {
            text.parse::<Pointer>()
                .map_err(|_| field(at(part), PointerError::EXPECTED))
        };
        let header = self.header.map(|header| {
            if !is_header_name(&header.name) {
                return Err(field(
                    at("header.name"),
                    "the name of an HTTP header of 1 to 64 characters, such as x-api-key",
                ));
            }
            if !is_secret_key(&header.secret_key) {
                return Err(field(
                    at("header.secret_key"),
                    "1 to 64 characters out of A-Z, a-z, 0-9, `_`, `.` and `-`",
                ));
            }
            Ok(Header {
                name: header.name,
                secret_key: header.secret_key,
            })
        });
        if !is_url(&self.url) {
            return Err(field(
                at("url"),
                "an http or https URL of at most 2048 characters of RFC 3986, without user \
                 name, password and fragment, such as https://api.example.org/price?of=eth",
            ));
        }
        Ok(Source {
            name: name.parse()?,
            url: self.url,
            pointer: pointer("pointer", self.pointer)?,
            time_pointer: self
                .time_pointer
                .map(|text| pointer("time_pointer", text))
                .transpose()?,
            scale: number(at("scale"), self.scale, -18..=18, "a number from -18 to 18")?,
            timeout_ms: number(
                at("timeout_ms"),
                self.timeout_ms,
                50..=10_000,
                "a number from 50 to 10000",
            )?,
            header: header.transpose()?,
        })
    }
}

fn field(path: impl Into<String>, expected: &'static str) -> FeedError {
    FeedError::Field {
        path: path.into(),
        expected,
    }
}

fn number<T: TryFrom<i64>>(
    path: impl Into<String>,
    number: i64,
    range: std::ops::RangeInclusive<i64>,
    expected: &'static str,
) -> Result<T, FeedError> {
    if range.contains(&number)
        && let Ok(number) = T::try_from(number)
    {
        Ok(number)
    } else {
        Err(field(path, expected))
    }
}

/// Whether every reader of URLs sees the same server in the text: an absolute
/// URL of RFC 3986 with a host and no user information, and no character that
/// some readers drop or take for another, such as a backslash.
fn is_url(text: &str) -> bool {
    let of_uri =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&byte);
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    text.len() <= 2048 && text.bytes().all(of_uri) && is_authority(authority)
}

fn is_authority(text: &str) -> bool {
    let (host_is_valid, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at(end);
            let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (!host.is_empty() && host.bytes().all(of_host), port)
        }
    };
    let port_is_valid = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
        });
    host_is_valid && port_is_valid
}

/// A token of RFC 9110, section 5.6.2.
fn is_header_name(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(of_token)
}

fn is_secret_key(text: &str) -> bool {
    let of_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(of_key)
}
