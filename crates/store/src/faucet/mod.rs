//! The tables of the faucet: claims, payouts, limits, and the locks.

mod account;
mod claims;
mod limits;
mod payouts;
mod reserve;
#[cfg(test)]
mod tests;

pub use crate::locks::{Lease, LockError, Locks};
pub use account::{AccountRecord, Broken, LockNames};
pub use claims::{Claim, Claims, Fate, Given, OpenClaim};
pub use limits::Limits;
pub use payouts::{Payout, PayoutVersion, Payouts, StoreOutcome, Transferred};
pub use reserve::{Counted, Desk, Refusal, Reservation, Reserved};
