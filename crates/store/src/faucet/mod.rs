//! The tables of the faucet: claims, payouts, limits, and the locks.

mod claims;
mod limits;
mod locks;
mod payouts;
mod reserve;
#[cfg(test)]
mod tests;

pub use claims::{Claim, Claims, Fate, Given, OpenClaim};
pub use limits::Limits;
pub use locks::{AccountRecord, Broken, Lease, LockError, LockNames, Locks};
pub use payouts::{Payout, PayoutVersion, Payouts, StoreOutcome, Transferred};
pub use reserve::{Counted, Desk, Refusal, Reservation, Reserved};

use aws_sdk_dynamodb::types::AttributeValue;

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
