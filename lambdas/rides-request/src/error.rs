//! What can be wrong with a request for a ride, and what the caller is told.

use offchain_codes::Coded;
use offchain_function::http::{BodyError, Public};
use offchain_rides::RideError;
use offchain_store::{AwsError, StoreError};

/// Why there is no ride.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The body cannot be taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body does not say where to pick up.
    #[error(transparent)]
    Ride(#[from] RideError),
    /// API Gateway sent a route that this function does not have.
    #[error("there is no route {0:?}")]
    Route(String),
    /// The fleet has no unicorn.
    #[error("the fleet has no unicorn")]
    FleetEmpty,
    /// The fleet's function failed.
    #[error("the fleet's function failed: {code}: {message}")]
    FleetFailed {
        /// Its error's code.
        code: String,
        /// What it said.
        message: String,
    },
    /// The fleet's function could not be invoked.
    #[error("the fleet's function could not be invoked")]
    FleetUnavailable(#[source] AwsError),
    /// The recorder did not take the ride.
    #[error("the ride was not recorded: {0}")]
    RecordFailed(String),
    /// The recorder could not be invoked.
    #[error("the recorder could not be invoked")]
    RecordUnavailable(#[source] AwsError),
    /// The ride was neither published nor kept.
    #[error("the ride was neither published nor kept")]
    NotKept(#[source] StoreError),
}

impl Coded for IntakeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Body(error) => error.code(),
            Self::Ride(error) => error.code(),
            Self::Route(_) => "RouteNotFound",
            Self::FleetEmpty => "FleetEmpty",
            Self::FleetFailed { .. } => "FleetFailed",
            Self::FleetUnavailable(_) => "FleetUnavailable",
            Self::RecordFailed(_) | Self::RecordUnavailable(_) => "RecordFailed",
            Self::NotKept(_) => "RideNotKept",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Body(_) | Self::Ride(_) | Self::Route(_) => false,
            // Nothing was recorded: whoever asks again asks for another ride.
            Self::FleetEmpty
            | Self::FleetFailed { .. }
            | Self::FleetUnavailable(_)
            | Self::RecordFailed(_)
            | Self::RecordUnavailable(_)
            | Self::NotKept(_) => true,
        }
    }
}

impl Public for IntakeError {
    fn status(&self) -> u16 {
        match self {
            Self::Body(error) => error.status(),
            Self::Ride(_) => 400,
            Self::Route(_) => 404,
            Self::FleetFailed { .. } | Self::RecordFailed(_) | Self::RecordUnavailable(_) => 502,
            Self::FleetEmpty | Self::FleetUnavailable(_) | Self::NotKept(_) => 503,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Body(_) | Self::Ride(_) | Self::Route(_) | Self::FleetEmpty => self.to_string(),
            Self::FleetFailed { .. } => "the fleet could not choose a unicorn".to_owned(),
            Self::FleetUnavailable(_) => "the fleet cannot be reached now".to_owned(),
            Self::RecordFailed(_) | Self::RecordUnavailable(_) | Self::NotKept(_) => {
                "the ride could not be recorded, so there is none".to_owned()
            }
        }
    }
}
