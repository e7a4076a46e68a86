//! State outside the functions: one module a DynamoDB table, and the queues
//! and secrets beside them.
//!
//! Every write that may be delivered twice is conditional, so that a second
//! delivery changes nothing and succeeds.

mod error;
pub mod faucet;
pub mod keys;
pub mod oracle;
pub mod queue;
pub mod redrive;
pub mod rides;
mod scheduled;
pub mod secret;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod timestamp;
pub mod vrf;

pub use error::{AwsError, StoreError};
pub use scheduled::scheduled_id;
pub use timestamp::Moment;
