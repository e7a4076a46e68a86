//! Why a slot was not published as asked.

use jiff::SignedDuration;
use offchain_codes::Coded;
use offchain_oracle::{Interval, Slot};
use offchain_store::StoreError;
use offchain_store::keys::EpochKeyError;

/// Why a slot was not published. What is wrong with one feed's data is no such
/// error: it is the reason in that feed's record.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The slot is not on the grid.
    #[error("{slot} is no slot: expected a whole multiple of {interval} s since 1970")]
    Invalid {
        /// What was asked for.
        slot: Slot,
        /// The grid's interval.
        interval: Interval,
    },
    /// The slot is further away than a run may wait for.
    #[error("the slot {slot} is {} ms away: expected at most {} ms", ahead.as_millis(), limit.as_millis())]
    NotDue {
        /// The slot.
        slot: Slot,
        /// How far away it is.
        ahead: SignedDuration,
        /// How far away it may be.
        limit: SignedDuration,
    },
    /// The slot has ended: its next one has begun.
    #[error("the slot {0} has ended")]
    Passed(Slot),
    /// No epoch of the signing key is active at the slot.
    #[error("no signing key is active at {0}")]
    NoKey(Slot),
    /// The signing key cannot be had now, or not at all.
    #[error("the signing key cannot be used")]
    Key(#[from] EpochKeyError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for PublishError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "SlotInvalid",
            Self::NotDue { .. } => "SlotNotDue",
            Self::Passed(_) => "SlotPassed",
            Self::NoKey(_) => "KeyUnavailable",
            Self::Key(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::NotDue { .. } | Self::NoKey(_) => true,
            Self::Invalid { .. } | Self::Passed(_) => false,
            Self::Key(error) => error.retryable(),
            Self::Store(error) => error.retryable(),
        }
    }
}
