#![doc = include_str!("../README.md")]

mod asset;
mod condition;
mod event;
mod id;
mod json;
mod premium;
mod schedule;
mod stream;
mod subscriber;
mod transaction;
pub mod webhook;

pub use asset::{Asset, AssetError, Car, Change, DriverChange, Owned, Spend};
pub use event::{Envelope, Event, EventError, Kind};
pub use id::{Id, IdError, OutputRef, PublicKey};
pub use json::{JsonError, Misread};
pub use premium::{Record, factor_percent, yearly_premium};
pub use schedule::{Schedule, ScheduleError};
pub use stream::{Notice, Place, StreamError};
pub use subscriber::{Subscriber, SubscriberError};
pub use transaction::{Input, Operation, Output, Transaction, TransactionError};
pub use webhook::{
    Headers, Keys, SigningKey, VerifyingKey, WebhookError, WebhookKeyError, sign, verify,
};
