//! The stand-in over HTTP, as others see it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

mod admin;
mod blocks;
mod faults;
mod http;
mod program;
mod recorded;
mod transactions;
mod wallet;
