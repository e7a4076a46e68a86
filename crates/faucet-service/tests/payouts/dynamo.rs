//! The faucet's tables, in memory, behind the gate.

use std::sync::Arc;

use offchain_store::test_util::memory::{self, Memory, Table};

use crate::gate::{Fate, Gate};

pub(crate) const CLAIMS: &str = "claims";
pub(crate) const LIMITS: &str = "limits";
pub(crate) const LOCKS: &str = "locks";
pub(crate) const PAYOUTS: &str = "payouts";

pub(crate) fn tables(gate: &Gate) -> Memory {
    let tables = [
        (
            CLAIMS,
            Table::new("claim_id", None).index("open-claims", "open", "created_time"),
        ),
        (LIMITS, Table::new("limit", None)),
        (LOCKS, Table::new("Name", None)),
        (
            PAYOUTS,
            Table::new("account", Some("sequence")).index("open-payouts", "open", "sequence"),
        ),
    ];
    let gate = gate.clone();
    Memory::new(tables).behind(Arc::new(move |operation| {
        let (gate, operation) = (gate.clone(), operation.to_owned());
        Box::pin(async move {
            match gate.pass(&operation).await {
                Fate::Refused => memory::Fate::Refused,
                Fate::Unanswered => memory::Fate::Unanswered,
                Fate::Fatal => memory::Fate::Unheard,
                Fate::Done | Fate::Behind(_) | Fate::LateIndex(_) => memory::Fate::Done,
            }
        })
    }))
}
