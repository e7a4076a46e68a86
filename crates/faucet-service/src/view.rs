//! What is said of a claim.

use offchain_faucet::ClaimStatus;
use offchain_store::Moment;
use offchain_store::faucet::Claim;
use serde::Serialize;

/// A claim, as a reply shows it.
#[derive(Debug, Serialize)]
pub(crate) struct ClaimView<'a> {
    message: &'static str,
    claim_id: &'a str,
    status: ClaimStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    address: &'a str,
    amount: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    created_time: Moment,
    updated_time: Moment,
    deadline: Moment,
}

impl<'a> From<&'a Claim> for ClaimView<'a> {
    fn from(claim: &'a Claim) -> Self {
        let waits = claim.status == ClaimStatus::Queued;
        Self {
            message: claim.status.message(),
            claim_id: &claim.claim_id,
            status: claim.status,
            reason: claim.reason.as_deref().or(waits.then_some("waiting")),
            address: &claim.address,
            amount: &claim.amount,
            hash: claim.hash.as_deref(),
            height: claim.height,
            created_time: claim.created_time,
            updated_time: claim.updated_time,
            deadline: claim.deadline,
        }
    }
}

/// A claim that is paid: the reply of the original, and the claim's id.
#[derive(Debug, Serialize)]
pub(crate) struct Committed<'a> {
    pub(crate) message: &'static str,
    pub(crate) hash: &'a str,
    pub(crate) height: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claim_id: Option<&'a str>,
}

/// A claim that is on its way.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted<'a> {
    pub(crate) message: &'static str,
    pub(crate) claim_id: &'a str,
    pub(crate) status: ClaimStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    pub(crate) status_url: String,
}
