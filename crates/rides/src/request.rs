use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Misread, PickupLocation, RideError, members::Members};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RideRequest {
    /// Where the ride begins.
    pub pickup_location: PickupLocation,
}

impl RideRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// [`RideError::Request`] tells the first rule that the body breaks.
    pub fn from_json(json: &[u8]) -> Result<Self, RideError> {
        Members::from_json(json)
            .and_then(Self::read)
            .map_err(RideError::Request)
    }

    fn read(mut members: Members) -> Result<Self, Misread> {
        Ok(Self {
            pickup_location: PickupLocation::read(members.object("PickupLocation")?)?,
        })
    }
}

impl<'de> Deserialize<'de> for RideRequest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(Members::deserialize(from)?).map_err(de::Error::custom)
    }
}
