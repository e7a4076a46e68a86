#![doc = include_str!("../README.md")]

mod aggregate;
mod feed;
mod grid;
mod key;
mod number;
mod pointer;
mod reading;
mod source;
mod text;

pub use aggregate::{
    Aggregate, Answer, Excluded, Fault, LeftOut, MAX_VALUE, NotPublished, Part, Reason,
    ReasonError, aggregate,
};
pub use feed::{Feed, FeedError, FeedId, Header, HttpFeed, Kind, Source, SourceName};
pub use grid::{Interval, IntervalError, Slot, SlotError};
pub use key::{KeyError, PublicKey, SUITE, SigningKey};
pub use pointer::{Pointer, PointerError};
pub use reading::{InvalidReading, Reading, SignedReading, UnreadableReading};
pub use source::{Observation, SourceError};
