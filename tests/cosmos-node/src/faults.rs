//! What can be wrong with a node while its chain is well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::machine::Outlook;

/// What is asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// An account's number and sequence number.
    Account,
    /// What an account has.
    Balance,
    /// A transaction is sent.
    Broadcast,
    /// A transaction is simulated.
    Simulate,
    /// What became of transactions, and what waits.
    Tx,
    /// A block.
    Block,
    /// What the node says of itself.
    Status,
}

/// The faults of one node. Clones are those of the same node.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Set>>);

#[derive(Debug, Default)]
struct Set {
    delays: BTreeMap<Route, Duration>,
    refuse: u64,
    fail: u64,
    lose_replies: u64,
    outlook: Outlook,
}

impl Faults {
    /// Holds back each answer of a kind, or of every kind: what is asked for
    /// has been done by then.
    pub fn delay(&self, route: Option<Route>, delay: Duration) {
        let routes = match route {
            Some(route) => vec![route],
            None => Route::ALL.to_vec(),
        };
        self.set()
            .delays
            .extend(routes.into_iter().map(|route| (route, delay)));
    }

    /// Closes the connection of the next calls without having done anything.
    pub fn refuse(&self, calls: u64) {
        self.set().refuse = calls;
    }

    /// Answers the next calls with status 500, and does nothing.
    pub fn fail(&self, calls: u64) {
        self.set().fail = calls;
    }

    /// Takes the next transactions, and closes the connection without an answer.
    pub fn lose_replies(&self, broadcasts: u64) {
        self.set().lose_replies = broadcasts;
    }

    /// Reports another chain id and holds signatures against it; `None` reports
    /// the right one.
    pub fn report_chain_id(&self, chain_id: Option<&str>) {
        self.set().outlook.chain_id = chain_id.map(str::to_owned);
    }

    /// Knows nothing of the newest blocks. It does not say that it is behind.
    pub fn stay_behind(&self, blocks: u64) {
        self.set().outlook.behind = blocks;
    }

    /// Ends all faults.
    pub fn clear(&self) {
        *self.set() = Set::default();
    }

    pub(crate) fn outlook(&self) -> Outlook {
        self.set().outlook.clone()
    }

    pub(crate) fn refuses(&self) -> bool {
        take(&mut self.set().refuse)
    }

    pub(crate) fn fails(&self) -> bool {
        take(&mut self.set().fail)
    }

    pub(crate) fn loses_reply(&self) -> bool {
        take(&mut self.set().lose_replies)
    }

    pub(crate) fn delay_of(&self, route: Route) -> Option<Duration> {
        self.set().delays.get(&route).copied()
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Route {
    const ALL: [Self; 7] = [
        Self::Account,
        Self::Balance,
        Self::Broadcast,
        Self::Simulate,
        Self::Tx,
        Self::Block,
        Self::Status,
    ];
}

/// Counts one down, where there is one left.
fn take(count: &mut u64) -> bool {
    let is_left = *count > 0;
    *count = count.saturating_sub(1);
    is_left
}
