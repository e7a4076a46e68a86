#![doc = include_str!("../README.md")]

mod account;
mod address;
mod admin;
mod answer;
mod ante;
mod bank;
mod block;
mod chain;
mod clock;
mod coin;
mod error;
mod event;
mod faults;
mod gas;
mod genesis;
mod interfere;
mod line;
mod machine;
mod mempool;
mod meter;
mod node;
mod past;
mod refusal;
mod rest;
mod rpc;
mod search;
mod sign;
mod tx;

pub use chain::{Chain, Ledger, LedgerEntry, LedgerTransfer};
pub use coin::Coin;
pub use error::SetupError;
pub use faults::{Faults, Route};
pub use genesis::Genesis;
pub use node::Node;
pub use sign::address_of;
