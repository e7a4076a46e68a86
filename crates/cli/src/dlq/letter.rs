//! A dead letter in one row.

use offchain_redrive::{Destination, Letter, Outcome};

use crate::dlq::text::clean;
use crate::output::{bad, good, warning};

pub(crate) const HEADER: [&str; 5] = ["message", "code", "destination", "outcome", "detail"];

pub(crate) fn row(letter: &Letter) -> [String; 5] {
    let destination = letter.destination.as_ref().map_or("-", Destination::name);
    let outcome = match letter.outcome {
        None => "-".to_owned(),
        Some(outcome @ Outcome::Redriven) => good(outcome),
        Some(outcome @ Outcome::Failed) => bad(outcome),
        Some(outcome @ Outcome::Quarantined) => warning(outcome),
    };
    let detail = match (&letter.detail, letter.outcome) {
        (Some(detail), _) => detail,
        // Before it is put back, why it is dead is what there is to know.
        (None, None) => &letter.reason,
        (None, Some(_)) => "",
    };
    [
        short(&letter.message_id),
        clean(&letter.code),
        destination.to_owned(),
        outcome,
        clean(detail),
    ]
}

/// The beginning of a message's id: the whole would leave no room for the rest.
fn short(id: &str) -> String {
    clean(id).chars().take(8).collect()
}
