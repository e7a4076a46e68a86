//! The time of day.

use jiff::Timestamp;

/// What time it is. In a test it may pass as the timers' does, which need not
/// wait.
#[must_use]
pub fn now() -> Timestamp {
    #[cfg(any(test, feature = "test-util"))]
    if let Some(now) = crate::test_util::clock::now() {
        return now;
    }
    Timestamp::now()
}
