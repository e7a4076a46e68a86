use jiff::{Timestamp, tz::TimeZone};

const DAY: i64 = 24 * 60 * 60;

/// The day in UTC whose budget a claim counts against, such as `2026-11-21`.
#[must_use]
pub fn budget_day(now: Timestamp) -> String {
    TimeZone::UTC.to_datetime(now).date().to_string()
}

/// When the next budget begins: midnight in UTC.
#[must_use]
pub fn budget_resets(now: Timestamp) -> Timestamp {
    // Euclid's division, of the nanoseconds, rounds down before 1970, too.
    let day = now
        .as_nanosecond()
        .div_euclid(i128::from(DAY) * 1_000_000_000)
        + 1;
    i64::try_from(day)
        .ok()
        .and_then(|day| Timestamp::from_second(day * DAY).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        for (now, day, resets) in [
            ("2026-11-21T00:00:00Z", "2026-11-21", "2026-11-22T00:00:00Z"),
            (
                "2026-11-21T23:59:59.999999999Z",
                "2026-11-21",
                "2026-11-22T00:00:00Z",
            ),
            (
                "2026-11-21T23:30:00-01:00",
                "2026-11-22",
                "2026-11-23T00:00:00Z",
            ),
            ("2026-12-31T12:00:00Z", "2026-12-31", "2027-01-01T00:00:00Z"),
            ("2028-02-28T12:00:00Z", "2028-02-28", "2028-02-29T00:00:00Z"),
            (
                "1969-12-31T23:59:59.5Z",
                "1969-12-31",
                "1970-01-01T00:00:00Z",
            ),
        ] {
            let now = now.parse().unwrap();
            assert_eq!(budget_day(now), day);
            assert_eq!(budget_resets(now).to_string(), resets);
        }
        assert_eq!(budget_resets(Timestamp::MAX), Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn a_day_changes_when_its_budget_resets(second in -10_000_000_000..100_000_000_000_i64) {
            let now = Timestamp::from_second(second).unwrap();
            let resets = budget_resets(now);
            let last = resets - SignedDuration::from_nanos(1);
            prop_assert!(now < resets);
            prop_assert_eq!(budget_day(last), budget_day(now));
            prop_assert_ne!(budget_day(resets), budget_day(now));
        }
    }
}
