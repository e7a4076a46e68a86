//! The oracle's tables: the feeds, as Terraform writes them, and the record of
//! every slot of every feed.

mod feeds;
mod readings;
#[cfg(test)]
mod tests;

pub use feeds::{Feeds, InvalidFeed};
pub use readings::{Kept, Missed, Readings, Record};
