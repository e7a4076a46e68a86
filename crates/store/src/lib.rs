//! State outside the functions: one module a DynamoDB table, and the queues
//! and secrets beside them.
//!
//! Every write that may be delivered twice is conditional, so that a second
//! delivery changes nothing and succeeds.

pub mod clock;
mod error;
pub mod faucet;
mod item;
pub mod keys;
pub mod ledger;
pub mod locks;
pub mod oracle;
pub mod queue;
pub mod redrive;
pub mod rides;
mod scheduled;
pub mod secret;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod timestamp;
mod transact;
pub mod vrf;

pub use error::{AwsError, StoreError};
pub use scheduled::scheduled_id;
pub use timestamp::Moment;
