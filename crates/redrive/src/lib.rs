#![doc = include_str!("../README.md")]

mod canonical;
mod destination;
mod envelope;
mod filter;
mod fingerprint;
mod letter;
mod message;
mod plan;
mod summary;

pub use destination::{Destination, DestinationError, Kind};
pub use filter::Filter;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use letter::{DeadLetter, Source};
pub use message::Message;
pub use plan::{MAX_BATCH, MAX_BATCHES, MAX_RATE, Plan, plan};
pub use summary::{Letter, MAX_REASON, Outcome, cut};
