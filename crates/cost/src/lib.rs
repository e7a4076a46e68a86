#![doc = include_str!("../README.md")]

mod dollars;
mod month;
mod question;
mod service;
mod table;

pub use dollars::{Dollars, Quantity};
pub use month::{Bill, Service, Usage};
pub use question::{
    Capacity, CapacityCost, Delivery, DeliveryCost, FanOut, Hop, HopCost, LambdaMonth, Units, Way,
    lambda_month,
};
pub use rust_decimal::Decimal;
pub use service::{Architecture, Express, Lambda, Mapping};
pub use table::{Dated, Price, PriceTable, PriceTableError, Prices};

/// Hours of a month, as AWS's own calculator has it: 365 days by 12.
pub const MONTH_HOURS: u32 = 730;
/// Minutes of a month.
pub const MONTH_MINUTES: u32 = MONTH_HOURS * 60;
/// Seconds of a month.
pub const MONTH_SECONDS: u32 = MONTH_MINUTES * 60;

/// How much a month comes to of so much a day: a month has no whole number of days.
#[must_use]
pub fn a_month_of(a_day: Decimal) -> Decimal {
    a_day.saturating_mul(MONTH_HOURS.into()) / Decimal::from(24)
}
