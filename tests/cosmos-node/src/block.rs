//! Blocks, and what became of the transactions in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::account::Account;
use crate::event::{Event, MessageLog, raw_log};
use crate::refusal::Refusal;
use crate::tx::Tx;

/// A block. Its hashes are made up, but each is always the same.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) height: u64,
    pub(crate) time: SystemTime,
    /// Where its transactions stand in the list of all.
    pub(crate) txs: Range<usize>,
    /// The accounts that it changed, as they were before.
    pub(crate) before: BTreeMap<String, Option<Account>>,
}

/// A hash of something of a block.
pub(crate) fn hash(chain_id: &str, height: u64, what: &str) -> [u8; 32] {
    Sha256::digest(format!("{chain_id}/{height}/{what}")).into()
}

/// The address of the one that makes the blocks.
pub(crate) fn validator(chain_id: &str) -> [u8; 20] {
    let hash = hash(chain_id, 0, "validator");
    std::array::from_fn(|at| hash[at])
}

/// A transaction that is in a block.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) tx: Tx,
    pub(crate) height: u64,
    pub(crate) time: SystemTime,
    /// Its place in the block.
    pub(crate) index: usize,
    pub(crate) outcome: Outcome,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) codespace: &'static str,
    pub(crate) code: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) log: String,
    pub(crate) logs: Vec<MessageLog>,
    pub(crate) gas_wanted: u64,
    pub(crate) gas_used: u64,
    pub(crate) events: Vec<Event>,
}

impl Outcome {
    /// `events` holds those of the checks; each message's are in `messages`.
    pub(crate) fn done(
        tx: &Tx,
        gas_used: u64,
        mut events: Vec<Event>,
        messages: Vec<Vec<Event>>,
    ) -> Self {
        let logs: Vec<MessageLog> = messages
            .iter()
            .enumerate()
            .map(|(index, events)| MessageLog::new(index, events))
            .collect();
        events.extend(messages.into_iter().flatten());
        Self {
            codespace: "",
            code: 0,
            data: tx.data(),
            log: raw_log(&logs),
            logs,
            gas_wanted: tx.gas_limit,
            gas_used,
            events,
        }
    }

    /// The SDK's 0.43 keeps no events of a transaction that failed.
    pub(crate) fn failed(tx: &Tx, gas_used: u64, refusal: Refusal) -> Self {
        Self {
            codespace: refusal.codespace(),
            code: refusal.code(),
            data: Vec::new(),
            log: refusal.log,
            logs: Vec::new(),
            gas_wanted: tx.gas_limit,
            gas_used,
            events: Vec::new(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.code == 0
    }
}
