//! Signing keys: their published epochs, and the secret that holds them.
//!
//! A secret key lies in one version of a secret. The version's staging label
//! names its public key, and an item of the table of epochs says from when that
//! public key counts. Everything here is the same for every kind of key.

mod epochs;
mod kind;
mod reader;
mod rotator;

pub use epochs::{KeyEpoch, KeyEpochs};
pub use kind::{KeyKind, KeyTextError, parse, write};
pub use reader::{EpochKeyError, EpochKeys};
pub use rotator::{Action, Newest, RotateError, Rotator};

/// What the staging label of every key begins with.
const LABEL_PREFIX: &str = "key-";

/// The staging label of the version that holds a key, by its public key in
/// hexadecimal. A version that has a label is kept by Secrets Manager, however
/// many versions follow; and whoever sets this one cannot set it wrongly.
#[must_use]
pub fn label(public_key: &str) -> String {
    format!("{LABEL_PREFIX}{public_key}")
}
