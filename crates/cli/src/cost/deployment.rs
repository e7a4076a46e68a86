//! What the output `stack` says that decides what a deployment costs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use offchain_ledger_service::ListenSettings;
use offchain_oracle::Interval;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::error::CliError;

#[derive(Debug, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) vrf: Option<Vrf>,
    pub(crate) oracle: Option<Oracle>,
    pub(crate) rides: Option<Rides>,
    pub(crate) ledger: Option<Ledger>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vrf {
    pub(crate) state_machine_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Oracle {
    pub(crate) state_machine_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
    pub(crate) feeds_table: String,
    #[serde(deserialize_with = "interval")]
    pub(crate) interval_seconds: Interval,
    pub(crate) lead_seconds: u32,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rides {
    pub(crate) functions: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) publish: Publish,
    #[serde(default = "lambda")]
    pub(crate) subscribers: Vec<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) state_machine_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
    /// Each has a secret.
    subscribers: Vec<IgnoredAny>,
    environment: LedgerEnvironment,
    /// Whether functions listen; else a daemon does.
    #[serde(default = "yes")]
    pub(crate) listen: bool,
}

#[derive(Debug, Deserialize)]
struct LedgerEnvironment {
    #[serde(rename = "LEDGER_LISTEN", deserialize_with = "listen_settings")]
    listen: ListenSettings,
}

fn yes() -> bool {
    true
}

fn listen_settings<'de, D: Deserializer<'de>>(from: D) -> Result<ListenSettings, D::Error> {
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// How a ride reaches what records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Publish {
    #[default]
    Sns,
    Http,
}

fn lambda() -> Vec<String> {
    vec!["lambda".to_owned()]
}

fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Interval, D::Error> {
    Interval::new(u32::deserialize(from)?).map_err(D::Error::custom)
}

impl Deployment {
    pub(crate) fn load(path: &Path) -> Result<Self, CliError> {
        let wrong = |error: &dyn std::fmt::Display| {
            CliError::Input(format!(
                "{}: expected the Terraform output `stack`: {error}",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        serde_json::from_str(&text).map_err(|error| wrong(&error))
    }

    /// Every function of the subsystems.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        let vrf = self.vrf.iter().flat_map(|vrf| vrf.functions.values());
        let oracle = self.oracle.iter().flat_map(|part| part.functions.values());
        let rides = self.rides.iter().flat_map(|rides| rides.functions.values());
        let ledger = self.ledger.iter().flat_map(|part| part.functions.values());
        vrf.chain(oracle)
            .chain(rides)
            .chain(ledger)
            .map(String::as_str)
    }

    /// Every state machine of the subsystems.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &str> {
        let vrf = self.vrf.iter().map(|vrf| vrf.state_machine_arn.as_str());
        let oracle = self
            .oracle
            .iter()
            .map(|part| part.state_machine_arn.as_str());
        let ledger = self
            .ledger
            .iter()
            .map(|part| part.state_machine_arn.as_str());
        vrf.chain(oracle).chain(ledger)
    }
}

/// Secrets that a subsystem names.
fn secrets(members: &Map<String, Value>) -> u32 {
    let names = members.keys().filter(|name| name.ends_with("_secret_arn"));
    u32::try_from(names.count()).unwrap_or(u32::MAX)
}

impl Vrf {
    pub(crate) fn secrets(&self) -> u32 {
        secrets(&self.other)
    }
}

impl Oracle {
    pub(crate) fn secrets(&self) -> u32 {
        secrets(&self.other)
    }
}

impl Rides {
    pub(crate) fn secrets(&self) -> u32 {
        secrets(&self.other)
    }
}

impl Ledger {
    pub(crate) fn secrets(&self) -> u32 {
        u32::try_from(self.subscribers.len()).unwrap_or(u32::MAX)
    }

    /// How long a run listens until the next takes over: runs overlap by half a
    /// minute, of which the elder has but a moment.
    pub(crate) fn shift(&self) -> Duration {
        let run = self.environment.listen.run_seconds;
        Duration::from_secs(run.saturating_sub(run % 60).max(60))
    }

    /// Between two moves of the cursor.
    pub(crate) fn beat(&self) -> Duration {
        self.environment.listen.beat()
    }
}
