//! The price table: what is charged, for how much of what, as of when.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};

use crate::dollars::Dollars;

/// The table that this crate comes with.
const BUILT_IN: &str = include_str!("../prices.json");
/// The highest price that is believed, so that no sum overflows.
const MOST_DOLLARS: u32 = 1_000_000;

/// A price table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// The text is not a table of this form.
    #[error("expected a price table of the form of crates/cost/prices.json: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A price cannot be one.
    #[error("prices.{name}: expected {expected}, found {found}")]
    Invalid {
        /// The price's name.
        name: &'static str,
        /// What its member should have been.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The date cannot be one.
    #[error("as_of: expected a date as YYYY, YYYY-MM or YYYY-MM-DD, found {0:?}")]
    Undated(String),
}

/// Prices, and what they are of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// When they were looked up: a year, a month or a day.
    pub as_of: String,
    /// The region that has them.
    pub region: String,
    /// The prices.
    pub prices: Prices,
}

/// What so much of something costs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    #[serde(deserialize_with = "decimal")]
    dollars: Decimal,
    /// How much of the unit the dollars are for.
    per: u64,
    /// What is counted.
    unit: String,
    /// How much of it a month is free. Looked at where a question asks for it.
    #[serde(default)]
    free_a_month: u64,
    /// The title of the page that says so.
    source: String,
}

/// Text, because a number would have become a double on its way.
fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(from)?;
    Decimal::from_str_exact(&text).map_err(|_| {
        serde::de::Error::custom(format!(
            "expected dollars as a decimal in quotes, such as \"0.20\", found {text:?}"
        ))
    })
}

macro_rules! prices {
    ($($name:ident $unit:literal $what:literal)*) => {
        /// Every price that a formula of this crate looks at.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Prices {
            $(#[doc = $what] pub $name: Price,)*
        }

        impl Prices {
            /// Each price with its name and the unit that the formulas count.
            fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, &Price)> {
                [$((stringify!($name), $unit, &self.$name)),*].into_iter()
            }
        }
    };
}

prices! {
    lambda_request "request" "A run of a function."
    lambda_gb_second_x86_64 "GB-second" "A second of a gigabyte of a function, on x86."
    lambda_gb_second_arm64 "GB-second" "A second of a gigabyte of a function, on Arm."
    standard_transition "transition" "A state that a Standard execution enters, a retry included."
    express_request "execution" "The start of an Express execution."
    express_gb_second "GB-second" "A second of a gigabyte of an Express execution."
    dynamodb_write "write request unit" "A kilobyte written to a table on demand."
    dynamodb_read "read request unit" "Four kilobytes read from a table on demand."
    dynamodb_provisioned_write_hour "write capacity unit hour" "An hour of one write a second."
    dynamodb_provisioned_read_hour "read capacity unit hour" "An hour of one read a second."
    sns_publish "request" "A message published to a standard topic."
    sqs_request "request" "A call to a standard queue, one that finds it empty included."
    http_api_request "request" "A request of an HTTP API."
    rest_api_request "request" "A request of a REST API."
    scheduler_invocation "invocation" "A target that a schedule invokes."
    log_byte "byte" "A byte that CloudWatch Logs takes in."
    metric_month "month" "A month of a custom metric."
    alarm_month "month" "A month of an alarm."
    dashboard_month "month" "A month of a dashboard."
    secret_month "month" "A month of a secret."
}

impl Price {
    /// What `quantity` of the unit costs.
    #[must_use]
    pub fn of(&self, quantity: Decimal) -> Dollars {
        Dollars::new(quantity.saturating_mul(self.dollars) / Decimal::from(self.per))
    }

    /// What `quantity` costs where what is free a month is not used otherwise.
    #[must_use]
    pub fn beyond_free(&self, quantity: Decimal) -> Dollars {
        let free = Decimal::from(self.free_a_month);
        self.of((quantity - free).max(Decimal::ZERO))
    }

    /// How much of the unit a month is free.
    #[must_use]
    pub fn free_a_month(&self) -> u64 {
        self.free_a_month
    }

    /// The title of the page that says so.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl PriceTable {
    /// The table that this crate comes with.
    ///
    /// # Errors
    ///
    /// Never: a test reads it. The type says so because a library does not panic.
    pub fn built_in() -> Result<Self, PriceTableError> {
        Self::from_json(BUILT_IN)
    }

    /// Another table of the same form.
    ///
    /// # Errors
    ///
    /// Where a price is missing, unknown, twice there, negative, or for another unit.
    pub fn from_json(json: &str) -> Result<Self, PriceTableError> {
        let table: Self = serde_json::from_str(json)?;
        if !is_date(&table.as_of) {
            return Err(PriceTableError::Undated(table.as_of));
        }
        for (name, unit, price) in table.prices.each() {
            let wrong = |expected: String, found: String| {
                Err(PriceTableError::Invalid {
                    name,
                    expected,
                    found,
                })
            };
            if price.unit != unit {
                return wrong(format!("the unit {unit:?}"), format!("{:?}", price.unit));
            }
            if price.per == 0 {
                return wrong("per to be at least 1".to_owned(), "0".to_owned());
            }
            if price.dollars.is_sign_negative() || price.dollars > MOST_DOLLARS.into() {
                return wrong(
                    format!("0 to {MOST_DOLLARS} dollars"),
                    price.dollars.to_string(),
                );
            }
        }
        Ok(table)
    }

    /// What a heading says of the prices.
    #[must_use]
    pub fn dated(&self) -> Dated<'_> {
        Dated {
            region: &self.region,
            as_of: &self.as_of,
        }
    }
}

/// Of where and when prices are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Dated<'a> {
    region: &'a str,
    as_of: &'a str,
}

impl std::fmt::Display for Dated<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "list prices of {} as of {}", self.region, self.as_of)
    }
}

/// Whether a text has the form of a year, a month or a day.
fn is_date(text: &str) -> bool {
    let number = |text: &str, digits: usize, most: u32| {
        text.len() == digits
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|value| (1..=most).contains(&value))
    };
    let mut parts = text.split('-');
    parts.next().is_some_and(|year| number(year, 4, 9999))
        && parts.next().is_none_or(|month| number(month, 2, 12))
        && parts.next().is_none_or(|day| number(day, 2, 31))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(from: &str, to: &str) -> String {
        assert!(BUILT_IN.contains(from), "{from}");
        let json = BUILT_IN.replacen(from, to, 1);
        PriceTable::from_json(&json).unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_table_is_dated_and_names_a_source_for_each_price() {
        let table = PriceTable::built_in().unwrap();
        assert_eq!(
            table.dated().to_string(),
            "list prices of us-east-1 as of 2025"
        );
        assert_eq!(table.prices.each().count(), 20);
        for (name, _, price) in table.prices.each() {
            assert!(price.source().contains("Pricing"), "{name}");
        }
    }

    #[test]
    fn a_price_is_of_so_much() {
        let table = PriceTable::built_in().unwrap();
        let million = Decimal::from(1_000_000);
        let request = &table.prices.lambda_request;
        assert_eq!(request.of(million).to_string(), "$0.20");
        assert_eq!(request.of(Decimal::ONE).amount(), Decimal::new(2, 7));
        assert_eq!(request.beyond_free(million).to_string(), "$0.00");
        assert_eq!(request.beyond_free(million + million).to_string(), "$0.20");
        // A sum that no double holds.
        let transition = &table.prices.standard_transition;
        assert_eq!(
            transition.of(Decimal::from(3)).amount(),
            Decimal::new(75, 6)
        );
    }

    #[test]
    fn a_table_that_cannot_be_used_says_what_was_expected() {
        let form = "expected a price table of the form of crates/cost/prices.json: ";
        for (from, to, said) in [
            ("{", "[", form),
            (
                "\"sqs_request\"",
                "\"sqs_requests\"",
                "unknown field `sqs_requests`",
            ),
            (
                "\"sqs_request\"",
                "\"sns_publish\"",
                "duplicate field `sns_publish`",
            ),
            (
                "\"2025\"",
                "2025",
                "invalid type: integer `2025`, expected a string",
            ),
            ("\"0.20\"", "0.20", "invalid type: floating point `0.2`"),
            (
                "\"0.20\"",
                "\"$0.20\"",
                "expected dollars as a decimal in quotes, such as \"0.20\", found \"$0.20\"",
            ),
            (
                "\"2025\"",
                "\"last year\"",
                "as_of: expected a date as YYYY, YYYY-MM or YYYY-MM-DD, found \"last year\"",
            ),
            (
                "\"unit\": \"byte\"",
                "\"unit\": \"GB\"",
                "prices.log_byte: expected the unit \"byte\", found \"GB\"",
            ),
            (
                "\"per\": 1000000,",
                "\"per\": 0,",
                "prices.lambda_request: expected per to be at least 1, found 0",
            ),
            (
                "\"0.20\"",
                "\"-0.20\"",
                "prices.lambda_request: expected 0 to 1000000 dollars, found -0.20",
            ),
            (
                "\"0.20\"",
                "\"1000001\"",
                "prices.lambda_request: expected 0 to 1000000 dollars, found 1000001",
            ),
        ] {
            let error = changed(from, to);
            assert!(error.contains(said), "{error}");
        }
        let error = PriceTable::from_json(r#"{"as_of":"2025","region":"x","prices":{}}"#);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(form), "{error}");
        assert!(error.contains("missing field `lambda_request`"), "{error}");
    }

    #[test]
    fn a_date_is_a_year_a_month_or_a_day() {
        for date in ["2025", "2025-09", "2025-09-30"] {
            assert!(is_date(date), "{date}");
        }
        for text in [
            "",
            "25",
            "2025-13",
            "2025-0",
            "2025-09-32",
            "2025-09-30-1",
            "2025-",
            "0000",
        ] {
            assert!(!is_date(text), "{text}");
        }
    }
}
