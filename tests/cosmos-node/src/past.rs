//! Accounts as they once were.

use crate::account::{Account, Accounts, State};
use crate::block::Block;

/// The accounts as the block at some height left them.
pub(crate) struct Past<'a> {
    state: &'a State,
    /// The blocks since, from the oldest on.
    since: &'a [Block],
}

impl<'a> Past<'a> {
    pub(crate) fn new(state: &'a State, blocks: &'a [Block], height: u64) -> Self {
        let known = blocks.partition_point(|block| block.height <= height);
        let (_, since) = blocks.split_at(known);
        Self { state, since }
    }
}

impl Accounts for Past<'_> {
    fn account(&self, address: &str) -> Option<&Account> {
        let mut since = self.since.iter();
        match since.find_map(|block| block.before.get(address)) {
            Some(before) => before.as_ref(),
            None => self.state.account(address),
        }
    }

    fn next_number(&self) -> u64 {
        self.state.next_number()
    }
}
