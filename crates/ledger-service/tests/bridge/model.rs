//! What has to be known in the end: all transactions, one after another, from
//! the first on, in the plainest way.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::people::key;

/// A driver's record: started, ended, claim-free, incidents.
pub(crate) type Counts = [u64; 4];

#[derive(Debug, Default)]
struct Asset {
    /// The lessor and the value, of a car.
    car: Option<(String, u64)>,
    /// By the output's name: the owner and the amount.
    owners: BTreeMap<String, (String, u64)>,
    transactions: u64,
}

/// All that follows from a chain.
#[derive(Debug, Default)]
pub(crate) struct Model {
    assets: BTreeMap<String, Asset>,
    drivers: BTreeMap<String, Counts>,
}

/// What is known of one asset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// By the output's name: the owner and the amount.
    pub(crate) owners: BTreeMap<String, (String, u64)>,
    pub(crate) transactions: u64,
    pub(crate) driver: Option<String>,
    pub(crate) yearly_cents: Option<u64>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Model {
    pub(crate) fn of<'a>(transactions: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut model = Self::default();
        for transaction in transactions {
            model.apply(transaction);
        }
        model
    }

    fn apply(&mut self, transaction: &Value) {
        let id = text(&transaction["id"]);
        let creates = transaction["operation"] == "CREATE";
        let name = match creates {
            true => id.clone(),
            false => text(&transaction["asset"]["id"]),
        };
        let asset = self.assets.entry(name).or_default();
        asset.transactions += 1;
        let outputs = transaction["outputs"].as_array().unwrap();
        if creates && let Some(value) = transaction["asset"]["data"]["car"]["value"].as_u64() {
            asset.car = Some((text(&outputs[0]["public_keys"][0]), value));
        }
        let lessor = asset.car.as_ref().map(|(lessor, _)| lessor.clone());
        let is_driver = |who: &String| lessor.as_ref().is_some_and(|lessor| lessor != who);
        let incidents = transaction["metadata"]["incidents"].as_u64().unwrap_or(0);
        for input in transaction["inputs"].as_array().unwrap() {
            let spent = &input["fulfills"];
            if spent.is_null() {
                continue;
            }
            let spent = format!(
                "{}:{}",
                text(&spent["transaction_id"]),
                spent["output_index"]
            );
            let (who, _) = asset.owners.remove(&spent).unwrap();
            if is_driver(&who) {
                let counts = self.drivers.entry(who).or_default();
                counts[1] += 1;
                counts[2] += u64::from(incidents == 0);
                counts[3] += incidents;
            }
        }
        for (index, output) in outputs.iter().enumerate() {
            let who = text(&output["public_keys"][0]);
            let amount = text(&output["amount"]).parse().unwrap();
            if is_driver(&who) {
                self.drivers.entry(who.clone()).or_default()[0] += 1;
            }
            asset.owners.insert(format!("{id}:{index}"), (who, amount));
        }
    }

    pub(crate) fn assets(&self) -> BTreeSet<&String> {
        self.assets.keys().collect()
    }

    pub(crate) fn driver(&self, who: u8) -> Counts {
        self.drivers
            .get(key(who).as_str())
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn asset(&self, name: &str) -> Known {
        let asset = &self.assets[name];
        let driver = asset.car.as_ref().and_then(|(lessor, _)| {
            let (who, _) = asset.owners.values().next().unwrap();
            (who != lessor).then(|| who.clone())
        });
        let yearly_cents = driver.as_ref().map(|driver| {
            let [_, _, claim_free, incidents] = self.drivers[driver];
            let percent = 110 + 25 * incidents.cast_signed() - 5 * claim_free.min(10).cast_signed();
            let percent = percent.clamp(60, 300).cast_unsigned();
            let (_, value) = asset.car.as_ref().unwrap();
            // Four per cent of the value, times the factor, half a cent up.
            (value * 4 * percent + 5000) / 10_000
        });
        Known {
            owners: asset.owners.clone(),
            transactions: asset.transactions,
            driver,
            yearly_cents,
        }
    }
}
