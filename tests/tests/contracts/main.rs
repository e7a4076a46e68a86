//! Contracts between artefacts that no compiler checks: Rust's error codes and
//! the state machines, environments in Terraform and in Rust, the layers of
//! crates, the documents and the folders.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

mod codes;
mod environment;
mod layers;
mod machines;
mod repository;
mod sources;
mod terraform;
