//! The time of day of a test that pauses tokio's clock.

use std::cell::Cell;

use jiff::Timestamp;
use tokio::time::Instant;

thread_local! {
    static BEGAN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// From here on the time of day passes, on this thread, as tokio's clock does.
pub fn follow_timers() {
    BEGAN.set(Some((Timestamp::now(), Instant::now())));
}

pub(crate) fn now() -> Option<Timestamp> {
    let (time, instant) = BEGAN.get()?;
    Some(time + instant.elapsed())
}
