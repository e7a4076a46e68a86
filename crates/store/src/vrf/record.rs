//! The two items of a request, and what they mean together.

use jiff::SignedDuration;
use offchain_vrf::{Bounds, Due, DueTime, ProofBundle, RequestId, RequestTerms, Seed, Suite};
use serde::{Deserialize, Serialize};

use crate::Moment;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The schedule.
    Schedule,
    /// The HTTP API.
    Api,
}

/// The item that holds what was asked. Nothing in it changes but `open`,
/// which is there only until the request is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestItem {
    /// The request's id.
    pub unique_identifier: String,
    /// When it was accepted.
    pub request_time: Moment,
    /// When it is due, where it is due at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfill_time_expected: Option<Moment>,
    /// The block height it is due at, where it is due at a height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_height: Option<u64>,
    /// How many blocks ahead the schedule drew; 0 for a request of the API.
    pub target_block_in_the_future: u32,
    /// The smallest value asked for.
    pub min_random_value: i64,
    /// The largest value asked for.
    pub max_random_value: i64,
    /// The requester's bytes, as lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// The key epoch that was active when it was accepted. Binding the key
    /// here means that nobody can choose among keys once the request is known.
    pub key_epoch: u64,
    /// When it expires unless it was fulfilled before.
    pub deadline: Moment,
    /// Who asked.
    pub origin: Origin,
    /// Tells a repeated submission from a different one under the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<String>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expiration: i64,
}

/// The item that holds how far the fulfilment has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct FulfilItem {
    /// When the queue's message arrived.
    pub received_time: Option<Moment>,
    /// Runs that failed, each counted once.
    #[serde(default)]
    pub failed_fulfill_attempts: u32,
    /// The code of the last failure.
    pub last_error: Option<String>,
    /// The chain's height when it was last looked at.
    pub observed_height: Option<u64>,
    /// When it was fulfilled.
    pub fulfill_time_actual: Option<Moment>,
    /// The value.
    pub vrf_value: Option<i64>,
    /// The suite's name.
    pub suite: Option<String>,
    /// The key that proved it, as lower-case hex.
    pub public_key: Option<String>,
    /// The proof, as lower-case hex.
    pub proof: Option<String>,
    /// The VRF's output, as lower-case hex.
    pub beta: Option<String>,
    /// When it expired.
    pub expired_time: Option<Moment>,
    /// The code of the error it expired with.
    pub expired_reason: Option<String>,
}

/// A request as the table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was asked.
    pub request: RequestItem,
    /// How far it has come; `None` until the queue's message has arrived.
    pub fulfilment: Option<FulfilItem>,
}

/// Where a request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// It will be fulfilled, or expire.
    Pending {
        /// Why it is not fulfilled yet.
        reason: Pending,
    },
    /// It has its value.
    Fulfilled,
    /// It will never have a value.
    Expired {
        /// The code of the last error.
        reason: String,
    },
}

/// Why a request is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// Its message has not left the queue.
    Queued,
    /// Its time has not come.
    NotDue,
    /// The chain has not reached its height.
    HeightNotReached,
    /// It is due and being worked on.
    Fulfilling,
    /// Runs have failed, and the next one is waited for.
    Retrying,
    /// Its deadline has passed, and it is about to be closed.
    Expiring,
}

/// A pair of items that contradict what this version writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored request {id} is inconsistent: {problem}")]
pub struct RecordError {
    id: String,
    problem: String,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a value and its proof.
    Fulfilled {
        /// When.
        at: Moment,
        /// The proof.
        bundle: ProofBundle,
    },
    /// Without a value.
    Expired {
        /// When.
        at: Moment,
        /// The code of the last error.
        reason: String,
    },
}

impl RequestItem {
    /// The terms that the proof is bound to.
    pub fn terms(&self) -> Result<RequestTerms, RecordError> {
        let problem = |problem: &dyn std::fmt::Display| RecordError {
            id: self.unique_identifier.clone(),
            problem: problem.to_string(),
        };
        let due = match (self.fulfill_time_expected, self.target_height) {
            (Some(time), None) => {
                Due::At(DueTime::try_from(time.timestamp()).map_err(|error| problem(&error))?)
            }
            (None, Some(height)) => Due::Height(height),
            _ => return Err(problem(&"expected either a due time or a target height")),
        };
        Ok(RequestTerms {
            request_id: self
                .unique_identifier
                .parse::<RequestId>()
                .map_err(|error| problem(&error))?,
            bounds: Bounds::new(self.min_random_value, self.max_random_value)
                .map_err(|error| problem(&error))?,
            due,
            seed: self
                .seed
                .as_deref()
                .map(str::parse::<Seed>)
                .transpose()
                .map_err(|error| problem(&error))?,
        })
    }
}

impl Record {
    /// How the request ended; `None` while it is pending.
    pub fn outcome(&self) -> Result<Option<Outcome>, RecordError> {
        let Some(fulfilment) = &self.fulfilment else {
            return Ok(None);
        };
        if let (Some(at), Some(reason)) = (fulfilment.expired_time, &fulfilment.expired_reason) {
            let reason = reason.clone();
            return Ok(Some(Outcome::Expired { at, reason }));
        }
        let Some(value) = fulfilment.vrf_value else {
            return Ok(None);
        };
        self.fulfilled(fulfilment, value)
            .map(Some)
            .map_err(|problem| RecordError {
                id: self.request.unique_identifier.clone(),
                problem,
            })
    }

    fn fulfilled(&self, fulfilment: &FulfilItem, value: i64) -> Result<Outcome, String> {
        let terms = self.request.terms().map_err(|error| error.to_string())?;
        let bytes = |name: &str, text: &Option<String>| {
            let text = text.as_deref().ok_or(format!("{name} is missing"))?;
            hex::decode(text).map_err(|error| format!("{name}: {error}"))
        };
        let suite = fulfilment.suite.as_deref().ok_or("suite is missing")?;
        let bundle = ProofBundle {
            alpha: terms.alpha(),
            request_id: terms.request_id,
            suite: suite
                .parse::<Suite>()
                .map_err(|error| format!("suite: {error}"))?,
            public_key: bytes("public_key", &fulfilment.public_key)?,
            proof: bytes("proof", &fulfilment.proof)?,
            beta: bytes("beta", &fulfilment.beta)?,
            min: terms.bounds.min(),
            max: terms.bounds.max(),
            value,
            due: terms.due,
            seed: terms.seed,
        };
        let at = fulfilment
            .fulfill_time_actual
            .ok_or("fulfill_time_actual is missing")?;
        Ok(Outcome::Fulfilled { at, bundle })
    }

    /// Where the request stands at `now`.
    #[must_use]
    pub fn status(&self, now: Moment) -> Status {
        let fulfilment = self.fulfilment.as_ref();
        if let Some(reason) = fulfilment.and_then(|item| item.expired_reason.clone()) {
            return Status::Expired { reason };
        }
        if fulfilment.is_some_and(|item| item.vrf_value.is_some()) {
            return Status::Fulfilled;
        }
        let reason = match (fulfilment, &self.request) {
            (_, request) if now >= request.deadline => Pending::Expiring,
            (Some(item), _) if item.failed_fulfill_attempts > 0 => Pending::Retrying,
            (_, request) if request.fulfill_time_expected.is_some_and(|due| now < due) => {
                Pending::NotDue
            }
            (None, _) => Pending::Queued,
            (Some(item), request) if request.target_height > item.observed_height => {
                Pending::HeightNotReached
            }
            (Some(_), _) => Pending::Fulfilling,
        };
        Status::Pending { reason }
    }

    /// Time from when it was due to when it was fulfilled, where it was due at
    /// a time and is fulfilled.
    #[must_use]
    pub fn lateness(&self) -> Option<SignedDuration> {
        let actual = self.fulfilment.as_ref()?.fulfill_time_actual?;
        let due = self.request.fulfill_time_expected?;
        Some(actual.timestamp().duration_since(due.timestamp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn record() -> Record {
        Record {
            request: RequestItem {
                unique_identifier: "r1".into(),
                request_time: moment("2026-01-31T12:00:00Z"),
                fulfill_time_expected: Some(moment("2026-01-31T12:01:00Z")),
                target_height: None,
                target_block_in_the_future: 0,
                min_random_value: 0,
                max_random_value: 9,
                seed: None,
                key_epoch: 1,
                deadline: moment("2026-01-31T12:10:00Z"),
                origin: Origin::Api,
                submission: None,
                expiration: 0,
            },
            fulfilment: None,
        }
    }

    fn pending(record: &Record, now: &str) -> Pending {
        match record.status(moment(now)) {
            Status::Pending { reason } => reason,
            status => panic!("expected a pending request, found {status:?}"),
        }
    }

    #[test]
    fn a_pending_request_says_why() {
        let mut timed = record();
        assert_eq!(pending(&timed, "2026-01-31T12:00:30Z"), Pending::NotDue);
        assert_eq!(pending(&timed, "2026-01-31T12:01:00Z"), Pending::Queued);
        timed.fulfilment = Some(FulfilItem::default());
        assert_eq!(pending(&timed, "2026-01-31T12:00:30Z"), Pending::NotDue);
        assert_eq!(pending(&timed, "2026-01-31T12:01:00Z"), Pending::Fulfilling);
        timed.fulfilment = Some(FulfilItem {
            failed_fulfill_attempts: 1,
            ..FulfilItem::default()
        });
        assert_eq!(pending(&timed, "2026-01-31T12:01:01Z"), Pending::Retrying);
        assert_eq!(pending(&timed, "2026-01-31T12:10:00Z"), Pending::Expiring);
    }

    #[test]
    fn a_target_height_is_waited_for() {
        let mut high = record();
        high.request.fulfill_time_expected = None;
        high.request.target_height = Some(100);
        assert_eq!(pending(&high, "2026-01-31T12:00:00Z"), Pending::Queued);
        for (observed, expected) in [
            (None, Pending::HeightNotReached),
            (Some(99), Pending::HeightNotReached),
            (Some(100), Pending::Fulfilling),
        ] {
            high.fulfilment = Some(FulfilItem {
                observed_height: observed,
                ..FulfilItem::default()
            });
            assert_eq!(pending(&high, "2026-01-31T12:00:00Z"), expected);
        }
    }

    #[test]
    fn an_expired_request_has_its_reason_and_no_value() {
        let mut late = record();
        late.fulfilment = Some(FulfilItem {
            expired_time: Some(moment("2026-01-31T12:10:00Z")),
            expired_reason: Some("SimulatedFailure".into()),
            ..FulfilItem::default()
        });
        let reason = "SimulatedFailure".to_owned();
        assert_eq!(
            late.status(moment("2026-01-31T12:11:00Z")),
            Status::Expired {
                reason: reason.clone()
            }
        );
        let at = moment("2026-01-31T12:10:00Z");
        assert_eq!(
            late.outcome().unwrap(),
            Some(Outcome::Expired { at, reason })
        );
        assert_eq!(late.lateness(), None);
    }

    #[test]
    fn a_value_without_its_proof_is_no_outcome() {
        let mut torn = record();
        torn.fulfilment = Some(FulfilItem {
            vrf_value: Some(5),
            ..FulfilItem::default()
        });
        assert_eq!(
            torn.outcome().unwrap_err().to_string(),
            "the stored request r1 is inconsistent: suite is missing"
        );
    }
}
