//! What the API shows of a request.

use offchain_store::Moment;
use offchain_store::keys::KeyEpoch;
use offchain_store::vrf::{Outcome, Record, RecordError, Status};
use offchain_vrf::ProofBundle;
use serde::Serialize;

/// The reply of `GET /v1/vrf/keys`: every epoch, newest first.
#[derive(Serialize)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<KeyEpoch>,
}

/// The reply about one request. Integers that may exceed 2^53 are text.
#[derive(Serialize)]
pub(crate) struct RequestView {
    request_id: String,
    #[serde(flatten)]
    status: Status,
    min: String,
    max: String,
    requested_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_height: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_height: Option<String>,
    deadline: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
    key_epoch: u64,
    failed_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfilled_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<ProofBundle>,
}

impl RequestView {
    pub(crate) fn new(record: &Record, now: Moment) -> Result<Self, RecordError> {
        let request = &record.request;
        let fulfilment = record.fulfilment.clone().unwrap_or_default();
        let (mut fulfilled_at, mut expired_at, mut bundle) = (None, None, None);
        match record.outcome()? {
            Some(Outcome::Fulfilled { at, bundle: proof }) => {
                fulfilled_at = Some(at);
                bundle = Some(proof);
            }
            Some(Outcome::Expired { at, .. }) => expired_at = Some(at),
            None => {}
        }
        Ok(Self {
            request_id: request.unique_identifier.clone(),
            status: record.status(now),
            min: request.min_random_value.to_string(),
            max: request.max_random_value.to_string(),
            requested_at: request.request_time,
            due_time: request.fulfill_time_expected,
            target_height: request.target_height.map(|height| height.to_string()),
            observed_height: fulfilment.observed_height.map(|height| height.to_string()),
            deadline: request.deadline,
            seed: request.seed.clone(),
            key_epoch: request.key_epoch,
            failed_attempts: fulfilment.failed_fulfill_attempts,
            last_error: fulfilment.last_error,
            fulfilled_at,
            expired_at,
            bundle,
        })
    }
}
