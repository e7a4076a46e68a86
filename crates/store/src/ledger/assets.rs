//! The tables of assets and of drivers. A transaction counts once, and for all
//! of them at once: one write changes the event, its asset and its drivers.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use offchain_ledger::{Asset, Change, DriverChange, Id, Operation, PublicKey, Record, Transaction};
use serde::{Deserialize, Serialize};
use serde_dynamo::to_attribute_value;

use super::{EventItem, Events};
use crate::error::made;
use crate::item::{get, number, text};
use crate::transact::transact;
use crate::{Moment, StoreError, clock};

/// What is kept of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetItem {
    /// Its id.
    pub asset_id: Id,
    /// Its owners, and all that its further transactions are told from.
    pub asset: Asset,
    /// How often it changed: the condition of the next change.
    pub version: u64,
    /// Who leases it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<PublicKey>,
    /// What the lease costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub premium: Option<Premium>,
    /// When it changed last.
    pub updated_time: Moment,
}

/// What a lease costs, as of a driver's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Premium {
    /// For a year, in cents.
    pub yearly_cents: u64,
    /// In per cent of the base.
    pub factor_percent: u32,
    /// The version of the driver's record that it follows from.
    pub driver_version: u64,
}

/// What is kept of a driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Driver {
    /// How often the record changed.
    pub version: u64,
    /// The leases and what came of them.
    #[serde(flatten)]
    pub record: Record,
    /// The assets that the driver leases now.
    #[serde(default)]
    pub open: BTreeSet<Id>,
}

/// What became of a transaction that was to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It counts now.
    Now,
    /// It counted before.
    Before,
    /// Its asset changed meanwhile: it has to be applied to what is there now.
    Meanwhile,
}

/// The tables.
#[derive(Clone, Debug)]
pub struct Assets {
    client: Client,
    events: Events,
    assets: String,
    drivers: String,
}

impl Assets {
    /// The tables named `assets` and `drivers`, beside that of `events`.
    #[must_use]
    pub fn new(client: Client, events: Events, assets: String, drivers: String) -> Self {
        Self {
            client,
            events,
            assets,
            drivers,
        }
    }

    /// An asset.
    pub async fn asset(&self, asset: &Id) -> Result<Option<AssetItem>, StoreError> {
        get(&self.client, &self.assets, [("asset_id", text(asset))]).await
    }

    /// Assets, in no order, until there are `limit` of them, and whether there
    /// are more. Meant for a person's overview: it reads the table from its start.
    pub async fn scan(&self, limit: usize) -> Result<(Vec<AssetItem>, bool), StoreError> {
        super::scan(&self.client, &self.assets, limit).await
    }

    /// A driver; nothing is known of one who never leased.
    pub async fn driver(&self, driver: &PublicKey) -> Result<Driver, StoreError> {
        let key = [("public_key", text(driver))];
        let known = get(&self.client, &self.drivers, key).await?;
        Ok(known.unwrap_or_default())
    }

    /// Makes a transaction count: `asset` is what `version` of its asset becomes
    /// by it (0: it was not known), and `change` what it means for drivers.
    pub async fn record(
        &self,
        event: &EventItem,
        transaction: &Transaction,
        asset: &Asset,
        version: u64,
        change: &Change,
    ) -> Result<Recorded, StoreError> {
        let now = Moment::from(clock::now()).to_string();
        let mut items = vec![
            self.count(event, transaction, &now)?,
            self.put_asset(asset, version, &now)?,
        ];
        for (driver, change) in &change.drivers {
            items.push(self.change_driver(driver, change, &asset.asset_id)?);
        }
        let Some(failed) = transact(&self.client, items).await? else {
            return Ok(Recorded::Now);
        };
        Ok(match failed.first() {
            Some(Some(_)) => Recorded::Before,
            _ => Recorded::Meanwhile,
        })
    }

    fn count(
        &self,
        event: &EventItem,
        transaction: &Transaction,
        now: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let keys = |keys: BTreeSet<&PublicKey>| AttributeValue::L(keys.iter().map(text).collect());
        let from = transaction
            .inputs
            .iter()
            .flat_map(|input| &input.owners_before);
        let to = transaction
            .outputs
            .iter()
            .flat_map(|output| &output.public_keys);
        let update = Update::builder()
            .table_name(self.events.table())
            .key("transaction_id", text(&event.event.transaction_id))
            .update_expression(
                "SET #status = :recorded, recorded_time = :now, operation = :operation, \
                 #from = :from, #to = :to REMOVE reason",
            )
            .condition_expression("#status <> :recorded")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#from", "from")
            .expression_attribute_names("#to", "to")
            .expression_attribute_values(":recorded", text("recorded"))
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(
                ":operation",
                text(match transaction.operation {
                    Operation::Create => "CREATE",
                    Operation::Transfer => "TRANSFER",
                }),
            )
            .expression_attribute_values(":from", keys(from.collect()))
            .expression_attribute_values(":to", keys(to.collect()))
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// A premium stays while the driver does: whoever changes a driver's record
    /// brings the premiums up to it.
    fn put_asset(
        &self,
        asset: &Asset,
        version: u64,
        now: &str,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut update = Update::builder()
            .table_name(&self.assets)
            .key("asset_id", text(&asset.asset_id))
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":next", number(version + 1))
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(
                ":asset",
                to_attribute_value(asset).map_err(StoreError::Item)?,
            );
        update = if version == 0 {
            update.condition_expression("attribute_not_exists(#version)")
        } else {
            update
                .condition_expression("#version = :version")
                .expression_attribute_values(":version", number(version))
        };
        let set = "SET asset = :asset, #version = :next, updated_time = :now";
        update = match asset.driver() {
            Some(driver) => update
                .update_expression(format!("{set}, driver = :driver REMOVE premium"))
                .expression_attribute_values(":driver", text(driver)),
            None => update.update_expression(format!("{set} REMOVE driver, premium")),
        };
        let update = update.build().map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn change_driver(
        &self,
        driver: &PublicKey,
        change: &DriverChange,
        asset: &Id,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut expression = "ADD #version :one, started :started, ended :ended, \
             claim_free :claim_free, incidents :incidents"
            .to_owned();
        let counts = BTreeMap::from([
            (":one", 1),
            (":started", change.started),
            (":ended", change.ended),
            (":claim_free", change.claim_free),
            (":incidents", change.incidents),
        ]);
        let mut update = Update::builder()
            .table_name(&self.drivers)
            .key("public_key", text(driver))
            .expression_attribute_names("#version", "version");
        for (name, count) in counts {
            update = update.expression_attribute_values(name, number(count));
        }
        // Who hands a car over to himself leases it before and after.
        if change.opened != change.closed {
            expression.push_str(if change.opened {
                ", #open :asset"
            } else {
                " DELETE #open :asset"
            });
            update = update
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":asset", AttributeValue::Ss(vec![asset.to_string()]));
        }
        let update = update
            .update_expression(expression)
            .build()
            .map_err(StoreError::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Notes what an asset's lease costs its driver, unless the asset is another
    /// driver's by now, or what it costs follows from a newer record.
    pub async fn set_premium(
        &self,
        asset: &Id,
        driver: &PublicKey,
        premium: &Premium,
    ) -> Result<bool, StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.assets)
            .key("asset_id", text(asset))
            .update_expression("SET premium = :premium")
            .condition_expression(
                "driver = :driver AND (attribute_not_exists(premium) \
                 OR premium.driver_version < :version)",
            )
            .expression_attribute_values(":driver", text(driver))
            .expression_attribute_values(":version", number(premium.driver_version))
            .expression_attribute_values(
                ":premium",
                to_attribute_value(premium).map_err(StoreError::Item)?,
            )
            .send()
            .await;
        made(outcome)
    }
}
