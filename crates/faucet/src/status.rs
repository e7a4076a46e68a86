use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// It waits for a payout.
    Queued,
    /// It is in a payout that is signed.
    Sent,
    /// A block has the payout.
    Committed,
    /// So many blocks have followed that the payout stays.
    Paid,
    /// It cannot be paid.
    Failed,
    /// It was not sent before its deadline.
    Expired,
}

impl ClaimStatus {
    /// The text, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Committed => "committed",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// Whether it may still change.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Queued | Self::Sent | Self::Committed => true,
            Self::Paid | Self::Failed | Self::Expired => false,
        }
    }

    /// Whether it stays as it is.
    #[must_use]
    pub fn is_final(self) -> bool {
        !self.is_open()
    }

    /// What whoever claimed is told.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Queued => "claim accepted",
            Self::Sent => "transaction sent",
            Self::Committed | Self::Paid => "transaction committed",
            Self::Failed => "the payout failed",
            Self::Expired => "the claim expired",
        }
    }
}

impl fmt::Display for ClaimStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far a payout is: one sequence number of the account, and the versions
/// that were signed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutStatus {
    /// A version is stored; no node is known to have it.
    Signed,
    /// A node took a version.
    Sent,
    /// A block has a version.
    Committed,
    /// So many blocks have followed that it stays.
    Paid,
    /// A block has a version, and its transfers were not made.
    Failed,
    /// Another transaction used the sequence number.
    Lost,
}

impl PayoutStatus {
    /// The text, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Sent => "sent",
            Self::Committed => "committed",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }

    /// Whether it may still change.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Signed | Self::Sent | Self::Committed => true,
            Self::Paid | Self::Failed | Self::Lost => false,
        }
    }

    /// Whether it stays as it is.
    #[must_use]
    pub fn is_final(self) -> bool {
        !self.is_open()
    }
}

impl fmt::Display for PayoutStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_tells_how_far_it_is() {
        for (status, text, open, message) in [
            (ClaimStatus::Queued, "queued", true, "claim accepted"),
            (ClaimStatus::Sent, "sent", true, "transaction sent"),
            (
                ClaimStatus::Committed,
                "committed",
                true,
                "transaction committed",
            ),
            (ClaimStatus::Paid, "paid", false, "transaction committed"),
            (ClaimStatus::Failed, "failed", false, "the payout failed"),
            (ClaimStatus::Expired, "expired", false, "the claim expired"),
        ] {
            assert_eq!(status.to_string(), text);
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::to_string(&status).unwrap(), json);
            assert_eq!(serde_json::from_str::<ClaimStatus>(&json).unwrap(), status);
            assert_eq!((status.is_open(), status.is_final()), (open, !open));
            assert_eq!(status.message(), message);
        }
        assert!(serde_json::from_str::<ClaimStatus>("\"Queued\"").is_err());
        assert!(serde_json::from_str::<ClaimStatus>("\"lost\"").is_err());
    }

    #[test]
    fn a_payout_tells_how_far_it_is() {
        for (status, text, open) in [
            (PayoutStatus::Signed, "signed", true),
            (PayoutStatus::Sent, "sent", true),
            (PayoutStatus::Committed, "committed", true),
            (PayoutStatus::Paid, "paid", false),
            (PayoutStatus::Failed, "failed", false),
            (PayoutStatus::Lost, "lost", false),
        ] {
            assert_eq!(status.to_string(), text);
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::to_string(&status).unwrap(), json);
            assert_eq!(serde_json::from_str::<PayoutStatus>(&json).unwrap(), status);
            assert_eq!((status.is_open(), status.is_final()), (open, !open));
        }
        assert!(serde_json::from_str::<PayoutStatus>("\"queued\"").is_err());
    }
}
