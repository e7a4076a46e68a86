//! The HTTP API of the oracle: feeds, readings, keys. All of it is public.

mod error;
mod view;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_types::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use offchain_function::config::{ConfigError, Env};
use offchain_function::http::{json, problem};
use offchain_function::{Handler, config};
use offchain_oracle::{Feed, FeedId, Interval, Kind, Slot};
use offchain_store::keys::KeyEpochs;
use offchain_store::oracle::{Feeds, Readings};

pub use crate::error::ApiError;
use crate::view::{FeedView, FeedsView, KeysView, LatestView, ReadingsView};

/// How far back the latest reading may lie: it bounds what one call may read.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(1);
/// The stretch of time that is shown where the caller names none.
const DEFAULT_STRETCH: SignedDuration = SignedDuration::from_mins(5);
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// The age at which a reading of a feed without a maximum age is stale.
const OTHER_MAX_AGE: i64 = 60;

struct Config {
    readings_table: String,
    feeds_table: String,
    keys_table: String,
    interval: Interval,
}

/// Answers the requests.
pub struct Api {
    readings: Readings,
    feeds: Feeds,
    keys: KeyEpochs,
    interval: Interval,
}

impl Api {
    /// Reads the configuration and makes the clients.
    pub fn from_env(env: Env<'_>, sdk: &SdkConfig) -> Result<Self, ConfigError> {
        let config = config!(env => Config {
            readings_table: required "ORACLE_READINGS_TABLE", "a table name",
            feeds_table: required "ORACLE_FEEDS_TABLE", "a table name",
            keys_table: required "ORACLE_KEYS_TABLE", "a table name",
            interval: required "ORACLE_INTERVAL_SECONDS", "a divisor of 60 from 1",
        })?;
        let dynamodb = aws_sdk_dynamodb::Client::new(sdk);
        Ok(Self {
            readings: Readings::new(dynamodb.clone(), config.readings_table),
            feeds: Feeds::new(dynamodb.clone(), config.feeds_table),
            keys: KeyEpochs::oracle(dynamodb, config.keys_table),
            interval: config.interval,
        })
    }

    async fn answer(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let route = request.route_key.as_deref().unwrap_or_default();
        match route {
            "GET /v1/feeds" => self.feeds().await,
            "GET /v1/feeds/{feed}/latest" => self.latest(request).await,
            "GET /v1/feeds/{feed}/readings" => self.readings(request).await,
            "GET /v1/oracle/keys" => {
                let keys = self.keys.all().await?;
                Ok(json(200, &KeysView { keys }))
            }
            _ => Err(ApiError::Route(route.to_owned())),
        }
    }

    async fn feeds(&self) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let feeds = self.feeds.all().await?;
        let feeds = feeds
            .values()
            // A feed that cannot be used shows in its missed slots.
            .filter_map(|feed| Some(FeedView::new(feed.as_ref().ok()?, self.interval)))
            .collect();
        Ok(json(200, &FeedsView { feeds }))
    }

    async fn latest(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let (id, feed) = self.feed(request).await?;
        let now = Timestamp::now();
        let since = self.interval.at_or_after(now - LOOK_BACK);
        let until = self.interval.next(self.interval.at_or_before(now));
        let reading = self
            .readings
            .newest(&id, since, until)
            .await?
            .ok_or_else(|| ApiError::ReadingNotFound(id.as_str().to_owned()))?;
        let age_seconds = now
            .duration_since(reading.reading().slot.timestamp())
            .as_secs();
        let max_age = match feed.map(|feed| feed.kind) {
            Some(Kind::Http(http)) => http.max_age_seconds.into(),
            Some(Kind::Demo) | None => OTHER_MAX_AGE,
        };
        Ok(json(
            200,
            &LatestView {
                reading,
                age_seconds,
                // Between two slots every reading is as old as the interval.
                stale: age_seconds > max_age.max(i64::from(self.interval.seconds())),
            },
        ))
    }

    async fn readings(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        let to = time(request, "to")?.unwrap_or_else(Timestamp::now);
        let from = match time(request, "from")? {
            Some(from) => from,
            None => to.checked_sub(DEFAULT_STRETCH).unwrap_or(to),
        };
        let limit = limit(request)?;
        let (id, _) = self.feed(request).await?;
        let from = self.interval.at_or_after(from);
        let to = self.interval.at_or_after(to);
        // One more than is shown tells whether there is a next page.
        let mut readings = self.readings.range(&id, from, to, limit + 1).await?;
        let next: Option<Slot> = readings.get(limit).map(|record| record.slot());
        readings.truncate(limit);
        Ok(json(200, &ReadingsView { readings, next }))
    }

    /// The feed of the path. Its definition is `None` where it cannot be used
    /// now; what was published under it before is still there.
    async fn feed(
        &self,
        request: &ApiGatewayV2httpRequest,
    ) -> Result<(FeedId, Option<Feed>), ApiError> {
        let name = request.path_parameters.get("feed");
        let name = name.map(String::as_str).unwrap_or_default();
        let not_found = || ApiError::FeedNotFound(name.to_owned());
        let id: FeedId = name.parse().map_err(|_| not_found())?;
        let feed = self.feeds.all().await?.remove(&id).ok_or_else(not_found)?;
        Ok((id, feed.ok()))
    }
}

fn parameter<'a>(request: &'a ApiGatewayV2httpRequest, name: &str) -> Option<&'a str> {
    request.query_string_parameters.first(name)
}

fn time(
    request: &ApiGatewayV2httpRequest,
    name: &'static str,
) -> Result<Option<Timestamp>, ApiError> {
    parameter(request, name)
        .map(|given| {
            given.parse().map_err(|_| ApiError::Query {
                name,
                given: given.to_owned(),
                expected: "a time such as 2026-01-31T12:00:00Z",
            })
        })
        .transpose()
}

fn limit(request: &ApiGatewayV2httpRequest) -> Result<usize, ApiError> {
    let Some(given) = parameter(request, "limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    given
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| ApiError::Query {
            name: "limit",
            given: given.to_owned(),
            expected: "a number from 1 to 1000",
        })
}

impl Handler for Api {
    const EXPECTS: &'static str = "an HTTP API event (payload format 2.0)";
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;
    type Error = ApiError;

    async fn handle(
        &self,
        request: ApiGatewayV2httpRequest,
        _: &str,
    ) -> Result<ApiGatewayV2httpResponse, ApiError> {
        Ok(self
            .answer(&request)
            .await
            .unwrap_or_else(|error| problem(&error)))
    }
}

#[cfg(test)]
mod tests;
