use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Misread, RideError};

/// When a ride was asked for, in whole microseconds: in text
/// `2026-11-21 11:00:01.412000`, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestTime(Timestamp);

pub(crate) const EXPECTED: &str = "a time in UTC such as 2026-11-21 11:00:01.412000";

/// The first second of the year 1, before which the form has no time.
const FIRST_SECOND: i64 = -62_135_596_800;

impl RequestTime {
    /// The moment.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let time = text.parse::<DateTime>().ok()?;
        let time = Self::from(TimeZone::UTC.to_timestamp(time).ok()?);
        // jiff reads many other forms, and second 60 as 59.
        let written = time.to_string();
        let whole = written.strip_suffix(".000000");
        (written == text || whole == Some(text)).then_some(time)
    }
}

impl From<Timestamp> for RequestTime {
    fn from(time: Timestamp) -> Self {
        let first = Timestamp::from_second(FIRST_SECOND).unwrap_or(Timestamp::UNIX_EPOCH);
        // Euclid's division rounds down before 1970, too.
        let microsecond = time.max(first).as_nanosecond().div_euclid(1000);
        Self(Timestamp::from_nanosecond(microsecond * 1000).unwrap_or(first))
    }
}

impl FromStr for RequestTime {
    type Err = RideError;

    fn from_str(text: &str) -> Result<Self, RideError> {
        Self::read(text).ok_or_else(|| RideError::Ride(Misread::member("RequestTime", EXPECTED)))
    }
}

impl fmt::Display for RequestTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = TimeZone::UTC.to_datetime(self.0);
        write!(f, "{} {:.6}", time.date(), time.time())
    }
}

impl Serialize for RequestTime {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use offchain_codes::Coded;
    use proptest::prelude::*;

    use super::*;

    fn written(time: &str) -> String {
        RequestTime::from(time.parse::<Timestamp>().unwrap()).to_string()
    }

    #[test]
    fn a_time_has_six_digits_and_nothing_finer() {
        for (time, text) in [
            ("2026-11-21T11:00:01Z", "2026-11-21 11:00:01.000000"),
            ("2026-11-21T11:00:01.412Z", "2026-11-21 11:00:01.412000"),
            ("2026-11-21T11:00:01.0000019Z", "2026-11-21 11:00:01.000001"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31 23:59:59.999999"),
            ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00.000000"),
        ] {
            assert_eq!(written(time), text);
        }
    }

    #[test]
    fn a_time_before_the_year_1_is_its_start() {
        assert_eq!(
            RequestTime::from(Timestamp::MIN).to_string(),
            "0001-01-01 00:00:00.000000"
        );
    }

    #[test]
    fn a_fraction_may_be_left_out_as_python_does_at_0() {
        let time = "2026-11-21 11:00:01".parse::<RequestTime>().unwrap();
        assert_eq!(time.to_string(), "2026-11-21 11:00:01.000000");
    }

    #[test]
    fn another_text_is_no_time() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T11:00:01.412000",
            "2026-11-21 11:00:01.412000Z",
            "2026-11-21 11:00:01.412",
            "2026-11-21 11:00:01.4120000",
            "2026-11-21 11:00:01.",
            "2026-11-21 11:00",
            "2026-11-21 11:00:60",
            "2026-11-21 24:00:00",
            "2026-02-30 11:00:01",
            " 2026-11-21 11:00:01",
            "+002026-11-21 11:00:01",
            "9999-12-31 23:59:59",
            "0000-12-31 23:59:59",
        ] {
            let error = text.parse::<RequestTime>().unwrap_err();
            assert_eq!((error.code(), error.retryable()), ("RideInvalid", false));
            assert_eq!(
                error.to_string(),
                "expected a time in UTC such as 2026-11-21 11:00:01.412000 in `RequestTime`",
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_microsecond(
            nanosecond in Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond(),
        ) {
            let time = RequestTime::from(Timestamp::from_nanosecond(nanosecond).unwrap());
            let text = time.to_string();
            prop_assert_eq!(text.len(), 26);
            prop_assert_eq!(text.parse::<RequestTime>().unwrap(), time);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<RequestTime>();
        }
    }
}
