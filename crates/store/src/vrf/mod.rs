//! The table of VRF requests. A request has two items under one
//! `unique_identifier`: `request`, written once when it is accepted, and
//! `fulfill`, which holds how far its fulfilment has come.

mod record;
mod submit;
mod table;
#[cfg(test)]
mod tests;

pub use record::{FulfilItem, Origin, Outcome, Pending, Record, RecordError, RequestItem, Status};
pub use submit::{RequestMessage, Windows, submit};
pub use table::{Overdue, Proved, Requests, Submitted};
