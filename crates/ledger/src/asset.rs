use std::collections::{BTreeMap, BTreeSet};

use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{Id, Input, Operation, Output, OutputRef, PublicKey, Transaction};

/// Who has an asset, as far as its transactions are known. It is the same in
/// whatever order they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its name.
    pub asset_id: Id,
    /// What is leased, where it is a car.
    pub car: Option<Car>,
    /// The outputs that no known transaction spends.
    pub unspent: BTreeMap<OutputRef, Output>,
    /// The spends that came before the transaction whose output they spend.
    pub spent: BTreeMap<OutputRef, Spend>,
    /// How many of its transactions are known.
    pub transactions: u64,
}

/// A car that is leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Car {
    /// Whose it is.
    pub lessor: PublicKey,
    /// What it is; empty where nothing is said of it.
    pub model: String,
    /// What it is worth, in cents: 1 to 10^12.
    pub value: u64,
}

/// Who spent an output that is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// Who spent it.
    pub owners_before: Vec<PublicKey>,
    /// The condition that they fulfilled.
    pub condition: String,
}

/// What somebody has of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Who has it.
    pub public_keys: Vec<PublicKey>,
    /// How much.
    pub amount: u64,
    /// By which output.
    pub output: OutputRef,
}

/// What a transaction says of drivers. An asset that is no car has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Those that something changes for.
    pub drivers: BTreeMap<PublicKey, DriverChange>,
}

/// What a transaction says of one driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverChange {
    /// The leases that began.
    pub started: u32,
    /// The leases that ended.
    pub ended: u32,
    /// Those of them that ended without an incident.
    pub claim_free: u32,
    /// The incidents of those that ended.
    pub incidents: u32,
    /// Whether the car is leased to the driver from now on, as far as is known.
    pub opened: bool,
    /// Whether it no longer is.
    pub closed: bool,
}

/// Why a transaction is none of an asset. The asset stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssetError {
    /// It is of another asset, or does not create one.
    #[error("expected a transaction of the asset {expected}, found one of {found}")]
    OtherAsset {
        /// The asset.
        expected: Id,
        /// What the transaction is of.
        found: Id,
    },
    /// An asset is made of what creates it.
    #[error("expected the CREATE of the asset {0}, found a TRANSFER")]
    NotCreated(Id),
    /// It is spent by others than those that have it.
    #[error("expected the output {0} to be spent by its owners")]
    OwnersMismatch(OutputRef),
    /// It is spent by another transaction.
    #[error("expected the output {0} to be spent once")]
    DoubleSpend(OutputRef),
}

impl Coded for AssetError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherAsset { .. } | Self::NotCreated(_) => "AssetMismatch",
            Self::OwnersMismatch(_) => "OwnersMismatch",
            Self::DoubleSpend(_) => "DoubleSpend",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::OtherAsset { .. }
            | Self::NotCreated(_)
            | Self::OwnersMismatch(_)
            | Self::DoubleSpend(_) => false,
        }
    }
}

const MAX_VALUE: u64 = 1_000_000_000_000;
const MAX_MODEL: usize = 200;
const MAX_INCIDENTS: u64 = 100;

impl Car {
    /// The car that a transaction creates, if it creates one.
    fn of(create: &Transaction) -> Option<Self> {
        let car = create.asset_data.as_ref()?.get("car")?;
        let value = car.get("value").and_then(Value::as_u64)?;
        let [output] = create.outputs.as_slice() else {
            return None;
        };
        let [lessor] = output.public_keys.as_slice() else {
            return None;
        };
        let model = car.get("model").and_then(Value::as_str);
        let model = model.filter(|model| model.chars().count() <= MAX_MODEL);
        (output.amount == 1 && (1..=MAX_VALUE).contains(&value)).then(|| Self {
            lessor: lessor.clone(),
            model: model.unwrap_or_default().to_owned(),
            value,
        })
    }

    /// The driver that these are the keys of, if they are one's.
    fn driver<'a>(&self, keys: &'a [PublicKey]) -> Option<&'a PublicKey> {
        match keys {
            [key] if *key != self.lessor => Some(key),
            _ => None,
        }
    }
}

impl Asset {
    /// The asset that a transaction creates, before any of its transactions,
    /// this one included, is applied.
    ///
    /// # Errors
    ///
    /// [`AssetError::NotCreated`] where it is a TRANSFER.
    pub fn new(create: &Transaction) -> Result<Self, AssetError> {
        match create.operation {
            Operation::Create => Ok(Self {
                asset_id: create.id.clone(),
                car: Car::of(create),
                unspent: BTreeMap::new(),
                spent: BTreeMap::new(),
                transactions: 0,
            }),
            Operation::Transfer => Err(AssetError::NotCreated(create.asset_id.clone())),
        }
    }

    /// Applies a verified transaction, each exactly once, in any order.
    ///
    /// # Errors
    ///
    /// [`AssetError`] where it is none of this asset.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<Change, AssetError> {
        if transaction.asset_id != self.asset_id {
            return Err(AssetError::OtherAsset {
                expected: self.asset_id.clone(),
                found: transaction.asset_id.clone(),
            });
        }
        let mut next = self.clone();
        for input in &transaction.inputs {
            if let Some(output) = &input.fulfills {
                next.spend(output, input)?;
            }
        }
        for (index, output) in (0..).zip(&transaction.outputs) {
            let transaction_id = transaction.id.clone();
            next.earn(
                OutputRef {
                    transaction_id,
                    output_index: index,
                },
                output,
            )?;
        }
        next.transactions += 1;
        let change = self.change(&next, transaction);
        *self = next;
        Ok(change)
    }

    fn spend(&mut self, output: &OutputRef, input: &Input) -> Result<(), AssetError> {
        let mismatch = || AssetError::OwnersMismatch(output.clone());
        let spend = Spend {
            owners_before: input.owners_before.clone(),
            // One that was not verified fulfils nothing.
            condition: input.condition.clone().ok_or_else(mismatch)?,
        };
        match self.unspent.remove(output) {
            Some(spent) if spend.fits(&spent) => Ok(()),
            Some(_) => Err(mismatch()),
            None => match self.spent.insert(output.clone(), spend) {
                None => Ok(()),
                Some(_) => Err(AssetError::DoubleSpend(output.clone())),
            },
        }
    }

    fn earn(&mut self, name: OutputRef, output: &Output) -> Result<(), AssetError> {
        match self.spent.remove(&name) {
            None => {
                self.unspent.insert(name, output.clone());
                Ok(())
            }
            Some(spend) if spend.fits(output) => Ok(()),
            Some(_) => Err(AssetError::OwnersMismatch(name)),
        }
    }

    /// What the transaction says, and what the asset has become by it.
    fn change(&self, next: &Self, transaction: &Transaction) -> Change {
        let mut change = Change::default();
        let Some(car) = &self.car else {
            return change;
        };
        let of = |drivers: &mut BTreeMap<_, DriverChange>,
                  key: &PublicKey,
                  add: &dyn Fn(&mut DriverChange)| {
            add(drivers.entry(key.clone()).or_default());
        };
        let drivers = &mut change.drivers;
        if transaction.operation == Operation::Transfer {
            let incidents = incidents(transaction);
            let ended = transaction.inputs.iter();
            for driver in ended.filter_map(|input| car.driver(&input.owners_before)) {
                of(drivers, driver, &|driver| {
                    driver.ended += 1;
                    driver.incidents += incidents;
                    driver.claim_free += u32::from(incidents == 0);
                });
            }
            let started = transaction.outputs.iter();
            for driver in started.filter_map(|output| car.driver(&output.public_keys)) {
                of(drivers, driver, &|driver| driver.started += 1);
            }
        }
        let (before, after) = (self.open(), next.open());
        for driver in after.difference(&before) {
            of(drivers, driver, &|driver| driver.opened = true);
        }
        for driver in before.difference(&after) {
            of(drivers, driver, &|driver| driver.closed = true);
        }
        change
    }

    /// The drivers that the car is leased to, as far as is known: one, once all
    /// transactions are.
    fn open(&self) -> BTreeSet<&PublicKey> {
        let outputs = self.unspent.values();
        let Some(car) = &self.car else {
            return BTreeSet::new();
        };
        outputs
            .filter_map(|output| car.driver(&output.public_keys))
            .collect()
    }

    /// Who has how much of it, in the order of the outputs.
    #[must_use]
    pub fn owners(&self) -> Vec<Owned> {
        let outputs = self.unspent.iter();
        outputs
            .map(|(name, output)| Owned {
                public_keys: output.public_keys.clone(),
                amount: output.amount,
                output: name.clone(),
            })
            .collect()
    }

    /// Who leases the car: nobody where its lessor has it, it is no car, or a
    /// transaction is missing between those that are known.
    #[must_use]
    pub fn driver(&self) -> Option<&PublicKey> {
        let mut outputs = self.unspent.values();
        match (outputs.next(), outputs.next()) {
            (Some(output), None) => self.car.as_ref()?.driver(&output.public_keys),
            _ => None,
        }
    }
}

impl Spend {
    /// Whether the spenders are those that have the output.
    fn fits(&self, output: &Output) -> bool {
        let set = |keys: &[PublicKey]| keys.iter().cloned().collect::<BTreeSet<_>>();
        self.condition == output.condition && set(&self.owners_before) == set(&output.public_keys)
    }
}

/// What happened during the leases that a transaction ends.
fn incidents(transaction: &Transaction) -> u32 {
    let metadata = transaction.metadata.as_ref();
    metadata
        .and_then(|metadata| metadata.get("incidents"))
        .and_then(Value::as_u64)
        .filter(|incidents| *incidents <= MAX_INCIDENTS)
        .and_then(|incidents| u32::try_from(incidents).ok())
        .unwrap_or(0)
}
