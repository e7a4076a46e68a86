use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{Misread, RideError, members::Members};

/// Where a ride begins, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PickupLocation {
    /// From -90 to 90.
    pub latitude: f64,
    /// From -180 to 180.
    pub longitude: f64,
}

const LATITUDE: &str = "a number from -90 to 90";
const LONGITUDE: &str = "a number from -180 to 180";

impl PickupLocation {
    /// The location with these degrees.
    ///
    /// # Errors
    ///
    /// [`RideError::Request`] where there is none.
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, RideError> {
        let refuse = |name: &str, expected| {
            Err(RideError::Request(Misread::member(
                format!("PickupLocation.{name}"),
                expected,
            )))
        };
        if !(-90.0..=90.0).contains(&latitude) {
            return refuse("Latitude", LATITUDE);
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return refuse("Longitude", LONGITUDE);
        }
        Ok(Self {
            latitude,
            longitude,
        })
    }

    pub(crate) fn read(mut members: Members) -> Result<Self, Misread> {
        Ok(Self {
            latitude: members.number("Latitude", -90.0..=90.0, LATITUDE)?,
            longitude: members.number("Longitude", -180.0..=180.0, LONGITUDE)?,
        })
    }
}

impl<'de> Deserialize<'de> for PickupLocation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(Members::deserialize(from)?).map_err(de::Error::custom)
    }
}
