//! Transactions that wait for a block, in the order of their arrival.

use std::collections::HashSet;

use crate::tx::Tx;

/// The transactions that wait, and the hashes that are not taken again.
#[derive(Debug, Default)]
pub(crate) struct Mempool {
    waiting: Vec<Tx>,
    cache: HashSet<String>,
}

impl Mempool {
    /// Whether the transaction waits, or is in a block and went well.
    pub(crate) fn knows(&self, hash: &str) -> bool {
        self.cache.contains(hash)
    }

    pub(crate) fn push(&mut self, tx: Tx) {
        self.cache.insert(tx.hash.clone());
        self.waiting.push(tx);
    }

    pub(crate) fn waiting(&self) -> &[Tx] {
        &self.waiting
    }

    /// The first that wait, at most so many.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Tx> {
        let most = most.min(self.waiting.len());
        self.waiting.drain(..most).collect()
    }

    /// Makes it possible to send a transaction again.
    pub(crate) fn forget(&mut self, hash: &str) {
        self.cache.remove(hash);
    }

    /// As a node that starts anew.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
