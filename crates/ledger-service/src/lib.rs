//! The ledger bridge at work. The same code runs in functions and in one
//! process (`offchain ledger listen`), on the same tables:
//!
//! - [`Listener`] follows a node's chain under a lease and brings its events to
//!   subscribers, by a [`Courier`].
//! - [`Receiver`] takes signed webhooks and stores each event once.
//! - [`Recorder`] fetches and verifies transactions, and keeps assets, drivers
//!   and premiums.
//! - [`Deliverer`] brings what the listener had given up.
//! - [`AssetApi`] shows what is known of an asset.

mod api;
mod contents;
mod courier;
mod deliverer;
mod listener;
mod node;
mod receiver;
mod recorder;
mod settings;

pub use api::{
    AssetApi, AssetApiError, AssetView, DriverView, HistoryView, OwnerView, PremiumView,
};
pub use courier::{Carrier, Courier, DeliveryError};
pub use deliverer::{DeliverError, Delivered, Deliverer, Letter};
pub use listener::{Beat, ListenError, Listener, Outcome, Replayed, Report};
pub use node::{Block, Chain, Node, NodeError, Notices, Stream};
pub use receiver::{BODY_LIMIT, ReceiveError, Receiver, RecordMessage};
pub use recorder::{Recorder, RecorderError};
pub use settings::{ListenSettings, SettingsError, Subscribers, WebhookTimeout};
