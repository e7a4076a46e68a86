//! Payouts in process: the payer, the confirmer and the sweeper against a chain
//! and a DynamoDB of the test's own, one call at a time.
//!
//! Every call that leaves the process waits at a [`gate::Gate`] until the test
//! lets it through, in whatever order and with whatever fault. One seed is so one
//! run: what fails can be seen again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail anywhere"
)]

mod cases;
mod dynamo;
mod gate;
mod model;
mod random;
mod world;
