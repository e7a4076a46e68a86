//! The whole bridge in one process: listeners, a receiver and a recorder on a
//! chain, subscribers and an AWS of the test's own.
//!
//! Time is paused and passes when nothing else is to be done, so that hours take
//! no time. Every call that leaves a process passes [`weather::Weather`], which
//! says what becomes of it. One seed is one weather; which of two things that
//! happen at the same moment comes first is up to tokio.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail anywhere"
)]

mod chain;
mod deaths;
mod dice;
mod first_generation;
mod fleet;
mod handover;
mod model;
#[path = "../../../ledger/tests/common/mod.rs"]
mod people;
mod post;
mod random;
mod recording;
mod streams;
mod subscribers;
mod weather;
mod world;
