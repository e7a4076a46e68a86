//! Transactions of a node of BigchainDB 2.2.2: those that it stored, those that
//! it refused, and the strange ones that it took.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use std::collections::BTreeMap;

use offchain_codes::Coded;
use offchain_ledger::{Asset, Id, Transaction};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    /// The body, as the node served it or was sent it.
    transaction: String,
    /// What the node's own code said.
    exception: Option<String>,
}

fn vectors(text: &str) -> Vec<Vector> {
    serde_json::from_str(text).unwrap()
}

fn stored() -> Vec<Transaction> {
    let read = vectors(include_str!("vectors/transactions.json")).into_iter();
    let read = read.map(
        |Vector {
             name, transaction, ..
         }| { Transaction::verify(&transaction).expect(&name) },
    );
    read.collect()
}

#[test]
fn what_a_node_stored_verifies_and_converges() {
    let mut assets: BTreeMap<Id, Vec<Transaction>> = BTreeMap::new();
    for transaction in stored() {
        let id = transaction.asset_id.clone();
        assets.entry(id).or_default().push(transaction);
    }
    assert!(assets.len() > 20);
    for history in assets.values() {
        let amounts = |transaction: &Transaction| -> u128 {
            transaction
                .outputs
                .iter()
                .map(|output| u128::from(output.amount))
                .sum()
        };
        let [first, last] = [false, true].map(|backwards| {
            let mut asset = Asset::new(&history[0]).unwrap();
            let mut order: Vec<_> = history.iter().collect();
            if backwards {
                order.reverse();
            }
            for transaction in order {
                asset.apply(transaction).unwrap();
            }
            asset
        });
        assert_eq!(first, last);
        assert!(first.spent.is_empty());
        let owned: u128 = first
            .owners()
            .iter()
            .map(|owned| u128::from(owned.amount))
            .sum();
        assert_eq!(owned, amounts(&history[0]));
    }
}

#[test]
fn what_a_node_refused_is_refused() {
    for Vector {
        name,
        transaction,
        exception,
    } in vectors(include_str!("vectors/invalid.json"))
    {
        let error = Transaction::verify(&transaction).expect_err(&name);
        let codes: &[&str] = match exception.as_deref() {
            Some("SchemaValidationError") => &["TransactionMalformed", "FulfilmentInvalid"],
            Some("InvalidHash") => &["TransactionIdMismatch", "TransactionMalformed"],
            _ => &[
                "FulfilmentInvalid",
                "FulfilmentUnsupported",
                "TransactionMalformed",
            ],
        };
        assert!(codes.contains(&error.code()), "{name}: {error}");
        assert!(!error.retryable());
    }
}

#[test]
fn what_cannot_be_verified_is_refused_though_a_node_took_it() {
    let judged = vectors(include_str!("vectors/accepted.json")).into_iter();
    let judged: Vec<_> = judged
        .map(
            |Vector {
                 name, transaction, ..
             }| {
                let verified = Transaction::verify(&transaction);
                (
                    name,
                    verified.map_or_else(|error| error.code(), |_| "verified"),
                )
            },
        )
        .collect();
    let judged: Vec<_> = judged
        .iter()
        .map(|(name, code)| (name.as_str(), *code))
        .collect();
    assert_eq!(
        judged,
        [
            ("amount 01", "TransactionIdMismatch"),
            ("uri in another order", "TransactionIdMismatch"),
            ("uri of another condition", "TransactionIdMismatch"),
            ("public_keys lie", "TransactionMalformed"),
            ("spent by whom the details name", "FulfilmentInvalid"),
            ("public_keys empty", "TransactionMalformed"),
            ("public_keys null", "TransactionMalformed"),
            ("owners_before lies", "FulfilmentInvalid"),
            ("public_keys with more around", "TransactionMalformed"),
            ("no outputs", "verified"),
        ]
    );
}
