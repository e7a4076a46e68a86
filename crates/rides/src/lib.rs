#![doc = include_str!("../README.md")]

mod error;
mod id;
mod location;
mod members;
mod request;
mod ride;
mod time;
mod unicorn;

pub use error::{Misread, RideError};
pub use id::RideId;
pub use location::PickupLocation;
pub use request::RideRequest;
pub use ride::Ride;
pub use time::RequestTime;
pub use unicorn::Unicorn;
