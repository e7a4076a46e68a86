//! Which deployment the command works on: the Terraform output `stack`.

use std::collections::BTreeMap;
use std::path::Path;

use offchain_oracle::Interval;
use offchain_redrive::Destination;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::CliError;

#[derive(Debug, Deserialize)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) api_url: String,
    pub(crate) queues: BTreeMap<String, Queue>,
    pub(crate) vrf: Option<Vrf>,
    pub(crate) oracle: Option<Oracle>,
    pub(crate) rides: Option<Rides>,
    pub(crate) faucet: Option<Faucet>,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) redrive: Option<Redrive>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) url: String,
    pub(crate) dead_letter: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vrf {
    pub(crate) table: String,
    pub(crate) api_tokens_secret_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Oracle {
    pub(crate) table: String,
    pub(crate) feeds_table: String,
    pub(crate) headers_secret_arn: String,
    #[serde(deserialize_with = "interval")]
    pub(crate) interval_seconds: Interval,
    pub(crate) lead_seconds: u32,
    pub(crate) state_machine_arn: String,
    pub(crate) functions: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rides {
    pub(crate) table: String,
    pub(crate) fleet_table: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Faucet {
    /// What wakes the payer.
    pub(crate) queue_url: String,
    /// What a stand-alone faucet starts from: the variables `FAUCET_*`. The
    /// addresses of nodes are among them, which may hold access keys.
    pub(crate) environment: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ledger {
    pub(crate) events_table: String,
    pub(crate) assets_table: String,
    pub(crate) drivers_table: String,
    pub(crate) subscribers: Vec<Subscriber>,
    /// What the listener starts from: the variables `LEDGER_*`. The address of
    /// the node is among them, which may hold an access key.
    pub(crate) environment: BTreeMap<String, String>,
}

/// Whoever is told of the ledger's events.
#[derive(Debug, Deserialize)]
pub(crate) struct Subscriber {
    pub(crate) name: String,
    /// The secret that its webhooks are signed with.
    pub(crate) secret_arn: String,
}

/// What puts dead letters back.
#[derive(Debug, Deserialize)]
pub(crate) struct Redrive {
    pub(crate) table: String,
    pub(crate) state_machine_arn: String,
    /// Where the letters of a queue go back to; `None` where each says itself
    /// where it came from.
    #[serde(default)]
    pub(crate) destinations: BTreeMap<String, Option<Destination>>,
    #[serde(default = "history_days")]
    pub(crate) history_days: u32,
}

/// As `redrive.history_days` is where nobody sets it.
fn history_days() -> u32 {
    30
}

fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Interval, D::Error> {
    Interval::new(u32::deserialize(from)?).map_err(D::Error::custom)
}

impl Stack {
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, CliError> {
        let path = path.ok_or_else(|| {
            CliError::input(
                "which deployment? Give --stack FILE or set OFFCHAIN_STACK to the file that \
                 `terraform output -json stack` wrote (scripts/up and scripts/deploy write it)",
            )
        })?;
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::Input(format!(
                "{}: {error}; start the local stack with scripts/up",
                path.display()
            ))
        })?;
        serde_json::from_str(&text).map_err(|error| {
            CliError::Input(format!(
                "{}: expected the Terraform output `stack`: {error}",
                path.display()
            ))
        })
    }

    pub(crate) fn vrf(&self) -> Result<&Vrf, CliError> {
        self.vrf
            .as_ref()
            .ok_or_else(|| CliError::input("this deployment has no VRF (vrf = null)"))
    }

    pub(crate) fn oracle(&self) -> Result<&Oracle, CliError> {
        self.oracle
            .as_ref()
            .ok_or_else(|| CliError::input("this deployment has no oracle (oracle = null)"))
    }

    pub(crate) fn rides(&self) -> Result<&Rides, CliError> {
        self.rides
            .as_ref()
            .ok_or_else(|| CliError::input("this deployment has no rides (rides = null)"))
    }

    pub(crate) fn faucet(&self) -> Result<&Faucet, CliError> {
        self.faucet
            .as_ref()
            .ok_or_else(|| CliError::input("this deployment has no faucet (faucet = null)"))
    }

    pub(crate) fn ledger(&self) -> Result<&Ledger, CliError> {
        self.ledger
            .as_ref()
            .ok_or_else(|| CliError::input("this deployment has no ledger (ledger = null)"))
    }

    pub(crate) fn redrive(&self) -> Result<&Redrive, CliError> {
        self.redrive.as_ref().ok_or_else(|| {
            CliError::input(
                "this deployment cannot redrive: apply the Terraform of this version to it",
            )
        })
    }
}
