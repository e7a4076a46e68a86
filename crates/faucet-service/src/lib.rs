//! The faucet at work: claims come in over HTTP, and go out under the lease.
//!
//! The same code runs in functions and in one process (`offchain faucet
//! serve`), on the same tables, so that any number of either may work together:
//!
//! - [`Intake`] takes claims and answers for them.
//! - [`Payer`] signs and sends what waits. Only it reads the key, and only
//!   under the lease.
//! - [`Confirmer`] tells what became of a payout, and settles it.
//! - [`Sweeper`] looks after whatever was forgotten.

mod account;
mod confirmer;
mod error;
mod intake;
mod key;
mod page;
mod payer;
mod reason;
mod secret;
mod sweeper;
#[cfg(test)]
mod tests;
mod view;
mod wake;

pub use confirmer::{Confirmer, Look};
pub use error::{ConfirmError, IntakeError, PayError};
pub use intake::{Intake, IntakeParts};
pub use key::KeyRing;
pub use payer::{Payer, Report, SentPayout};
pub use reason::Reason;
pub use secret::{IntakeKeys, IntakeSecret};
pub use sweeper::{Census, Sweeper};
pub use wake::{Wake, WakeMessage};

use std::time::Duration;

use offchain_store::faucet::{Claims, Desk, Limits, LockNames, Locks, Payouts};

/// How long a value of a secret is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The names of the tables.
#[derive(Clone, Debug)]
pub struct TableNames {
    /// Of claims.
    pub claims: String,
    /// Of limits.
    pub limits: String,
    /// Of locks.
    pub locks: String,
    /// Of payouts.
    pub payouts: String,
}

/// The tables of one faucet.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Claims, and what they are counted in.
    pub desk: Desk,
    /// Payouts.
    pub payouts: Payouts,
    /// The lease, and what is known of the account.
    pub locks: Locks,
    /// The names of the locks.
    pub names: LockNames,
}

impl Tables {
    /// The tables of the faucet of `environment` for `network`.
    #[must_use]
    pub fn new(
        client: &aws_sdk_dynamodb::Client,
        names: TableNames,
        environment: &str,
        network: &str,
    ) -> Self {
        Self {
            desk: Desk {
                claims: Claims::new(client.clone(), names.claims),
                limits: Limits::new(client.clone(), names.limits),
            },
            payouts: Payouts::new(client.clone(), names.payouts),
            locks: Locks::new(client.clone(), names.locks),
            names: LockNames::new(environment, network),
        }
    }
}
