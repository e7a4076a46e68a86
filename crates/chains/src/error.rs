//! What can go wrong between a payer and a chain.

use offchain_codes::Coded;

use crate::ChainSettingsError;

/// Why a chain gave no answer that can be used. No text holds a URL, which may
/// hold an access key.
#[derive(Debug, thiserror::Error)]
pub enum ChainFault {
    /// No node gave an answer in time.
    #[error("no node of the chain answered: {0}")]
    Unavailable(String),
    /// A node's answer is not what its interface promises.
    #[error("a node's answer is not {expected}: {reason}")]
    Answer {
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Every node that answers is of another chain.
    #[error("the nodes are of the chain {found}, not of {expected}")]
    WrongChain {
        /// The configured chain id.
        expected: String,
        /// The nodes' chain id.
        found: String,
    },
    /// Every node that answers has not caught up.
    #[error("the nodes are at height {found}, behind {expected}")]
    Behind {
        /// The height that was seen before.
        expected: u64,
        /// The nodes' height.
        found: u64,
    },
    /// The chain does not know the sender's account: it was never funded.
    #[error("the chain does not know the account {0}: it has to be funded first")]
    UnknownAccount(String),
    /// The node says that these transfers cannot be made.
    #[error("the transfers cannot be made: {0}")]
    Impossible(String),
    /// The fee would be higher than the configured most.
    #[error("the fee of {needed} a unit of gas is over the most, {most}")]
    TooDear {
        /// What the chain asks for now.
        needed: u128,
        /// The configured most.
        most: u128,
    },
    /// The settings are of no chain.
    #[error(transparent)]
    Settings(#[from] ChainSettingsError),
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

impl ChainFault {
    /// Whether another node may do better.
    pub(crate) fn is_of_the_node(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Answer { .. }
            | Self::WrongChain { .. }
            | Self::Behind { .. } => true,
            Self::UnknownAccount(_)
            | Self::Impossible(_)
            | Self::TooDear { .. }
            | Self::Settings(_)
            | Self::Client(_) => false,
        }
    }
}

impl Coded for ChainFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Answer { .. } => "ChainUnavailable",
            Self::WrongChain { .. } => "WrongChain",
            Self::Behind { .. } => "ChainBehind",
            Self::UnknownAccount(_) => "AccountUnknown",
            Self::Impossible(_) => "TransferImpossible",
            Self::TooDear { .. } => "FeeTooHigh",
            Self::Settings(_) | Self::Client(_) => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Answer { .. }
            | Self::WrongChain { .. }
            | Self::Behind { .. }
            | Self::UnknownAccount(_)
            | Self::TooDear { .. } => true,
            Self::Impossible(_) | Self::Settings(_) | Self::Client(_) => false,
        }
    }
}

/// Text that is no address of the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address is not usable: {0}")]
pub struct AddressError(pub String);

impl Coded for AddressError {
    fn code(&self) -> &'static str {
        "AddressInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

/// Text that holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not JSON of the expected shape.
    #[error(r#"expected {{"private_key": "<64 hexadecimal digits>"}}"#)]
    Shape,
    /// The number is zero or beyond the curve's order.
    #[error("the private key is not a number of the curve secp256k1")]
    Number,
}

impl Coded for KeyError {
    fn code(&self) -> &'static str {
        "KeyInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

/// A transaction that cannot be signed: its terms or addresses are of another
/// kind of chain.
#[derive(Debug, thiserror::Error)]
#[error("the transaction cannot be signed: {0}")]
pub struct SignError(pub String);

impl Coded for SignError {
    fn code(&self) -> &'static str {
        "SigningFailed"
    }

    fn retryable(&self) -> bool {
        false
    }
}

/// A node's own words, short enough to store and without URLs, which may be
/// the node's own with its access key.
pub(crate) fn words(text: &str) -> String {
    const MOST: usize = 300;
    let words = text.split_whitespace().map(|word| match word {
        word if word.contains("://") => "(URL)",
        word => word,
    });
    let mut kept = String::new();
    for (index, word) in words.enumerate() {
        if index > 0 {
            kept.push(' ');
        }
        kept.push_str(word);
        if kept.len() > 4 * MOST {
            break;
        }
    }
    kept.chars().take(MOST).collect()
}
