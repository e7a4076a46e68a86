//! Shows assets: owners, history and premium.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use offchain_codes::Coded;
use offchain_function::http::{self, Public};
use offchain_ledger::{Id, Owned, PublicKey, Record};
use offchain_store::ledger::{Assets, EventItem, EventStatus, Events};
use offchain_store::{Moment, StoreError};
use serde::{Deserialize, Serialize};

/// The most events of one page, and how many are asked for by default.
const PAGE: (u32, u32) = (100, 20);

/// Why an asset is not shown.
#[derive(Debug, thiserror::Error)]
pub enum AssetApiError {
    /// Nothing counts of it.
    #[error("no asset {0} is known")]
    Unknown(Id),
    /// Not an id.
    #[error("expected the id of an asset, 64 hexadecimal digits in lower case")]
    NotAnId,
    /// A parameter of the query is unusable.
    #[error("{0}")]
    Query(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for AssetApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "AssetUnknown",
            Self::NotAnId => "AssetIdInvalid",
            Self::Query(_) => "QueryInvalid",
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::NotAnId | Self::Query(_) => false,
            Self::Store(error) => error.retryable(),
        }
    }
}

impl Public for AssetApiError {
    fn status(&self) -> u16 {
        match self {
            Self::Unknown(_) => 404,
            Self::NotAnId | Self::Query(_) => 400,
            Self::Store(error) if error.retryable() => 503,
            Self::Store(_) => 500,
        }
    }
}

/// An asset, as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AssetView {
    /// Its id.
    pub asset_id: Id,
    /// `car`, or `other`.
    pub kind: String,
    /// Who leases the car out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lessor: Option<PublicKey>,
    /// The car's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The car's value, in cents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_cents: Option<u64>,
    /// Who has it: every unspent output.
    pub owners: Vec<OwnerView>,
    /// Who leases the car now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverView>,
    /// What the lease costs. None while it is being worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub premium: Option<PremiumView>,
    /// How many transactions count.
    pub transactions: u64,
    /// When the last of them was recorded.
    pub updated_time: Moment,
    /// Its transactions, the newest first.
    pub history: Vec<HistoryView>,
    /// Where the older ones are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An unspent output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnerView {
    /// Who may spend it, together.
    pub public_keys: Vec<PublicKey>,
    /// How much of the asset it is.
    pub amount: String,
    /// The transaction it is of.
    pub transaction_id: Id,
    /// Its place among that one's.
    pub output_index: u32,
}

/// A driver and what is known of him or her.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DriverView {
    /// The key.
    pub public_key: PublicKey,
    /// The leases, and what came of them.
    #[serde(flatten)]
    pub record: Record,
}

/// What a lease costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PremiumView {
    /// For a year, in cents.
    pub yearly_cents: u64,
    /// In per cent of the base.
    pub factor_percent: u32,
}

/// One transaction of an asset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryView {
    /// Its id.
    pub transaction_id: Id,
    /// Its height, where its chain has heights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// `received`, `recorded` or `rejected`.
    pub status: EventStatus,
    /// `CREATE` or `TRANSFER`, once recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Who gave.
    pub from: Vec<PublicKey>,
    /// Who got.
    pub to: Vec<PublicKey>,
    /// Why it was rejected: a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_time: Option<Moment>,
}

/// Shows assets.
pub struct AssetApi {
    /// The events.
    pub events: Events,
    /// The assets and drivers.
    pub assets: Assets,
}

impl AssetApi {
    /// The answer to a request.
    pub async fn answer(&self, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        match self.show(request).await {
            Ok(view) => http::json(200, &view),
            Err(error) => http::problem(&error),
        }
    }

    async fn show(&self, request: &ApiGatewayV2httpRequest) -> Result<AssetView, AssetApiError> {
        let id: Id = request
            .path_parameters
            .get("id")
            .and_then(|id| id.parse().ok())
            .ok_or(AssetApiError::NotAnId)?;
        let query = &request.query_string_parameters;
        let limit = match query.first("limit") {
            None => PAGE.1,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=PAGE.0).contains(limit))
                .ok_or(AssetApiError::Query("limit: expected 1 to 100"))?,
        };
        let after = query.first("after");
        if after.is_some_and(|after| !is_position(after)) {
            return Err(AssetApiError::Query(
                "after: expected what `next` of the page before has",
            ));
        }
        let Some(item) = self.assets.asset(&id).await? else {
            return Err(AssetApiError::Unknown(id));
        };
        let (events, more) = self.events.of_asset(&id, after, limit).await?;
        let driver = match &item.driver {
            Some(driver) => Some(DriverView {
                public_key: driver.clone(),
                record: self.assets.driver(driver).await?.record,
            }),
            None => None,
        };
        let next = events.last().filter(|_| more).map(|last| {
            format!(
                "/v1/ledger/assets/{id}?limit={limit}&after={}",
                last.position
            )
        });
        let car = item.asset.car.as_ref();
        Ok(AssetView {
            kind: if car.is_some() { "car" } else { "other" }.to_owned(),
            lessor: car.map(|car| car.lessor.clone()),
            model: car.map(|car| car.model.clone()),
            value_cents: car.map(|car| car.value),
            owners: item
                .asset
                .owners()
                .into_iter()
                .map(OwnerView::from)
                .collect(),
            driver,
            premium: item.premium.map(|premium| PremiumView {
                yearly_cents: premium.yearly_cents,
                factor_percent: premium.factor_percent,
            }),
            transactions: item.asset.transactions,
            updated_time: item.updated_time,
            history: events.into_iter().map(HistoryView::from).collect(),
            next,
            asset_id: id,
        })
    }
}

fn is_position(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_hexdigit() || byte == b'.';
    text.len() == 85 && text.bytes().all(allowed)
}

impl From<Owned> for OwnerView {
    fn from(owned: Owned) -> Self {
        Self {
            public_keys: owned.public_keys,
            amount: owned.amount.to_string(),
            transaction_id: owned.output.transaction_id,
            output_index: owned.output.output_index,
        }
    }
}

impl From<EventItem> for HistoryView {
    fn from(item: EventItem) -> Self {
        Self {
            transaction_id: item.event.transaction_id,
            height: item.event.height,
            status: item.status,
            operation: item.operation,
            from: item.from,
            to: item.to,
            reason: item.reason,
            recorded_time: item.recorded_time,
        }
    }
}

#[cfg(test)]
mod tests;
