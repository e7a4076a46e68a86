//! What the listener makes of a block.

use std::collections::{HashMap, HashSet};

use offchain_ledger::{Event, Id, Place, Transaction, TransactionError};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::node::Block;

/// The transactions of one block.
#[derive(Default)]
pub(crate) struct Contents {
    /// Those that move assets, in an order in which they can happen.
    pub(crate) transactions: Vec<Transaction>,
    /// Those that are no such thing, as they stand.
    pub(crate) unreadable: Vec<(String, TransactionError)>,
}

impl Contents {
    /// What is in a block. A server lists it by id, so that a transaction may
    /// stand before the one that it spends. What the validators vote on among
    /// themselves is left out.
    pub(crate) fn of(block: &Block) -> Self {
        let mut contents = Self::default();
        for text in &block.transactions {
            match Transaction::peek(text.get()) {
                Ok(transaction) => contents.transactions.push(transaction),
                Err(_) if is_governance(text.get()) => {}
                Err(error) => contents.unreadable.push((text.get().to_owned(), error)),
            }
        }
        contents.transactions = ordered(contents.transactions);
        contents
    }

    /// Tells one block from another: the ids say all there is. Empty ones are
    /// all alike.
    pub(crate) fn digest(&self) -> Option<String> {
        if self.transactions.is_empty() {
            return None;
        }
        let mut ids: Vec<&Id> = self.transactions.iter().map(|found| &found.id).collect();
        ids.sort_unstable();
        let mut hash = Sha256::new();
        for id in ids {
            hash.update(id.to_string());
        }
        let digest = hash.finalize()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(digest)
    }
}

/// The event of a transaction in the block at `height`.
pub(crate) fn event(transaction: &Transaction, height: u64) -> Event {
    Event::new(
        transaction.id.clone(),
        transaction.asset_id.clone(),
        Place::Height(height),
    )
}

fn is_governance(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        operation: String,
    }
    serde_json::from_str::<Kind>(text)
        .is_ok_and(|kind| !matches!(kind.operation.as_str(), "CREATE" | "TRANSFER"))
}

/// Each after those whose outputs it spends, or whose asset it moves.
fn ordered(transactions: Vec<Transaction>) -> Vec<Transaction> {
    let mut here: HashSet<Id> = transactions.iter().map(|found| found.id.clone()).collect();
    let mut waiting: HashMap<Id, Vec<Transaction>> = HashMap::new();
    let mut ordered = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let mut next = vec![transaction];
        while let Some(transaction) = next.pop() {
            let needed = needs(&transaction).find(|id| here.contains(id));
            match needed {
                Some(id) => waiting.entry(id).or_default().push(transaction),
                None => {
                    here.remove(&transaction.id);
                    let freed = waiting.remove(&transaction.id).unwrap_or_default();
                    next.extend(freed.into_iter().rev());
                    ordered.push(transaction);
                }
            }
        }
    }
    // No chain has transactions that wait for each other. What a server invents
    // is not lost either.
    ordered.extend(waiting.into_values().flatten());
    ordered
}

fn needs(transaction: &Transaction) -> impl Iterator<Item = Id> {
    let spent = transaction.inputs.iter().filter_map(|input| {
        let spent = input.fulfills.as_ref()?;
        Some(spent.transaction_id.clone())
    });
    spent
        .chain([transaction.asset_id.clone()])
        .filter(|id| *id != transaction.id)
}

#[cfg(test)]
mod tests;
