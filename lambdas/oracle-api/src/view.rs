//! The shapes of the replies.

use offchain_oracle::{Feed, Interval, Kind, SignedReading, Slot};
use offchain_store::keys::KeyEpoch;
use offchain_store::oracle::Record;
use serde::Serialize;

/// `GET /v1/feeds`
#[derive(Serialize)]
pub(crate) struct FeedsView {
    pub(crate) feeds: Vec<FeedView>,
}

/// A feed as it is configured. Where its sources lie stays private: a URL may
/// tell more than its author meant to.
#[derive(Serialize)]
pub(crate) struct FeedView {
    feed: String,
    kind: &'static str,
    interval_seconds: u32,
    exponent: i8,
    #[serde(flatten)]
    http: Option<HttpView>,
}

#[derive(Serialize)]
struct HttpView {
    quorum: u8,
    max_age_seconds: u32,
    max_spread_bps: u32,
    sources: Vec<String>,
}

impl FeedView {
    pub(crate) fn new(feed: &Feed, interval: Interval) -> Self {
        let (kind, http) = match &feed.kind {
            Kind::Demo => ("demo", None),
            Kind::Http(http) => (
                "http",
                Some(HttpView {
                    quorum: http.quorum,
                    max_age_seconds: http.max_age_seconds,
                    max_spread_bps: http.max_spread_bps,
                    sources: http
                        .sources
                        .iter()
                        .map(|source| source.name.as_str().to_owned())
                        .collect(),
                }),
            ),
        };
        Self {
            feed: feed.id.as_str().to_owned(),
            kind,
            interval_seconds: interval.seconds(),
            exponent: feed.exponent(),
            http,
        }
    }
}

/// `GET /v1/feeds/{feed}/latest`
#[derive(Serialize)]
pub(crate) struct LatestView {
    pub(crate) reading: SignedReading,
    pub(crate) age_seconds: i64,
    pub(crate) stale: bool,
}

/// `GET /v1/feeds/{feed}/readings`
#[derive(Serialize)]
pub(crate) struct ReadingsView {
    pub(crate) readings: Vec<Record>,
    /// The `from` of the next page.
    pub(crate) next: Option<Slot>,
}

/// `GET /v1/oracle/keys`
#[derive(Serialize)]
pub(crate) struct KeysView {
    pub(crate) keys: Vec<KeyEpoch>,
}
