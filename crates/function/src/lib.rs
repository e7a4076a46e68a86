//! What every Lambda function of the suite needs once, so that a function's
//! own crate holds nothing but what it is for.

pub mod clients;
pub mod config;
pub mod http;
pub mod metrics;
pub mod runtime;
pub mod sqs;

pub use runtime::{Handler, run};
