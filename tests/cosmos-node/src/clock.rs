//! Times as the node writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-11-20T16:11:05Z`.
pub(crate) fn seconds(time: SystemTime) -> String {
    format!("{}Z", date_and_time(time))
}

/// `2026-11-20T16:11:05.675116205Z`.
pub(crate) fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}Z", date_and_time(time), since.subsec_nanos())
}

fn date_and_time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March have their leap day last: eras of 400 years of
    // 146,097 days, counted from 1 March of the year 0.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_dates() {
        let at = |since| seconds(UNIX_EPOCH + Duration::from_secs(since));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_191_065), "2026-11-20T16:11:05Z");
        assert_eq!(
            nanoseconds(UNIX_EPOCH + Duration::new(1_795_191_065, 7)),
            "2026-11-20T16:11:05.000000007Z"
        );
    }
}
