//! Why a claim or a payout waits, or ended as it did.

use offchain_chains::ChainFault;
use offchain_codes::Coded;

/// A reason, as tables and replies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// For its turn.
    Waiting,
    /// The account has not enough.
    FaucetEmpty,
    /// No node answers that can be believed.
    ChainUnavailable,
    /// The chain asks for a higher fee than is allowed.
    FeeTooHigh,
    /// The chain does not know the account: it was never funded.
    AccountUnknown,
    /// Its last transaction came to nothing.
    Retrying,
    /// Nodes refuse the transaction.
    Refused,
    /// The sequence number is not what the chain expects.
    SequenceUnclear,
    /// Nobody knows whether a node took the transaction.
    OutcomeUnknown,
    /// A block has the transaction, too few follow it yet.
    Confirming,
    /// The transfer cannot be made.
    TransferImpossible,
    /// Every transaction that was tried failed in its block.
    TransferFailed,
    /// Another transaction took the sequence number.
    NumberUsed,
    /// No payout took it up in time.
    NotPaidInTime,
}

impl Reason {
    /// Its stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::FaucetEmpty => "faucet_empty",
            Self::ChainUnavailable => "chain_unavailable",
            Self::FeeTooHigh => "fee_too_high",
            Self::AccountUnknown => "account_unknown",
            Self::Retrying => "retrying",
            Self::Refused => "refused",
            Self::SequenceUnclear => "sequence_unclear",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Confirming => "confirming",
            Self::TransferImpossible => "transfer_impossible",
            Self::TransferFailed => "transfer_failed",
            Self::NumberUsed => "number_used",
            Self::NotPaidInTime => "not_paid_in_time",
        }
    }

    /// Why nothing is paid while the chain answers so.
    #[must_use]
    pub fn of_fault(fault: &ChainFault) -> Self {
        match fault.code() {
            "FeeTooHigh" => Self::FeeTooHigh,
            "AccountUnknown" => Self::AccountUnknown,
            "TransferImpossible" => Self::TransferImpossible,
            _ => Self::ChainUnavailable,
        }
    }
}
