//! One BigchainDB node: its chain of blocks, and the stream that says when
//! there is more of it.

mod client;
mod error;
mod stream;

use std::future::Future;

pub use client::Node;
pub use error::NodeError;
use offchain_ledger::{Id, Notice};
use serde_json::value::RawValue;
pub use stream::Stream;

/// What the listener and the recorder need of a node. A test may put a chain
/// in memory in its place.
///
/// Nothing is repeated here, but for a question that a kept connection
/// swallowed: when to ask again is for who asks.
pub trait Chain: Send + Sync + 'static {
    /// A stream of the node's.
    type Notices: Notices;

    /// The height of the newest block, 0 where there is none yet.
    fn height(&self) -> impl Future<Output = Result<u64, NodeError>> + Send;

    /// The block at a height, if the chain has come that far.
    fn block(&self, height: u64) -> impl Future<Output = Result<Option<Block>, NodeError>> + Send;

    /// The text of a transaction, just as the node answers it, if it is in a
    /// block.
    fn transaction(
        &self,
        id: &Id,
    ) -> impl Future<Output = Result<Option<String>, NodeError>> + Send;

    /// A connection to the stream that the node's API root names. It tells of
    /// what happens from now on, and of nothing that was before.
    fn notices(&self) -> impl Future<Output = Result<Self::Notices, NodeError>> + Send;
}

/// An open stream. It only says when to look: that it is open and quiet does
/// not mean that nothing happens, for the server forgets subscribers whose
/// connections stand.
pub trait Notices: Send {
    /// Waits for the next message. Nothing is lost when the wait is given up
    /// for another one later. After [`NodeError::Notice`] and
    /// [`NodeError::NoticeBinary`] the stream goes on; after any other error
    /// it is over.
    fn next(&mut self) -> impl Future<Output = Result<Notice, NodeError>> + Send;
}

/// What a height of the chain holds.
#[derive(Clone, Debug)]
pub struct Block {
    /// The height.
    pub height: u64,
    /// The text of each transaction, in the block's order.
    pub transactions: Vec<Box<RawValue>>,
}

#[cfg(test)]
mod tests;
