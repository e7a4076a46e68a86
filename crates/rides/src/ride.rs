use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};

use crate::{
    Misread, PickupLocation, RequestTime, RideError, RideId, Unicorn, id, members::Members, time,
};

/// What is answered, published and recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ride {
    /// Its name.
    pub ride_id: RideId,
    /// Who comes.
    pub unicorn: Unicorn,
    /// When it was asked for.
    pub request_time: RequestTime,
    /// Where it begins. The rides of Wild Rydes do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pickup_location: Option<PickupLocation>,
    /// Whatever else is said of it, under other names than these.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Ride {
    /// Reads a ride.
    ///
    /// # Errors
    ///
    /// [`RideError::Ride`] tells the first rule that the text breaks.
    pub fn from_json(json: &str) -> Result<Self, RideError> {
        Members::from_json(json.as_bytes())
            .and_then(Self::read)
            .map_err(RideError::Ride)
    }

    /// The ride in JSON, without needless white space.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Its names are texts and its numbers finite, so that this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn read(mut members: Members) -> Result<Self, Misread> {
        let ride_id = RideId::read(members.text("RideId", id::EXPECTED)?)
            .ok_or_else(|| members.refuse("RideId", id::EXPECTED))?;
        let unicorn = Unicorn::read(members.object("Unicorn")?)?;
        let request_time = RequestTime::read(&members.text("RequestTime", time::EXPECTED)?)
            .ok_or_else(|| members.refuse("RequestTime", time::EXPECTED))?;
        let pickup_location = members
            .has("PickupLocation")
            .then(|| PickupLocation::read(members.object("PickupLocation")?))
            .transpose()?;
        Ok(Self {
            ride_id,
            unicorn,
            request_time,
            pickup_location,
            other: members.rest(),
        })
    }
}

impl<'de> Deserialize<'de> for Ride {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(Members::deserialize(from)?).map_err(de::Error::custom)
    }
}
