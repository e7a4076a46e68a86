use std::{fmt, str::FromStr};

use jiff::Timestamp;
use offchain_codes::Coded;
use thiserror::Error;

use crate::text::{rfc3339, serde_as_text};

/// The whole seconds that a slot can be: from 1970 to the last one jiff has.
const FIRST: i64 = 0;
const LAST: i64 = 253_402_207_200;

/// The seconds from one slot to the next: a divisor of 60, so that every
/// minute has the same slots.
///
/// Its grid is every Unix second that it divides. A time whose slot would lie
/// before 1970-01-01T00:00:00Z or after 9999-12-30T22:00:00Z gets that slot
/// instead; both are on every grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interval(u32);

/// A number of seconds that is no [`Interval`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected an interval of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60 seconds, found {found}"
)]
pub struct IntervalError {
    found: String,
}

impl Coded for IntervalError {
    fn code(&self) -> &'static str {
        "ConfigInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl Interval {
    /// An interval of a divisor of 60.
    ///
    /// # Errors
    ///
    /// [`IntervalError`] for every other number.
    pub fn new(seconds: u32) -> Result<Self, IntervalError> {
        if seconds > 0 && 60 % seconds == 0 {
            Ok(Self(seconds))
        } else {
            Err(IntervalError {
                found: seconds.to_string(),
            })
        }
    }

    /// The seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// The first slot that is not before `time`.
    #[must_use]
    pub fn at_or_after(self, time: Timestamp) -> Slot {
        let whole = second_at_or_after(time);
        let step = i64::from(self.0);
        Slot::of_second(whole.saturating_add((-whole).rem_euclid(step)))
    }

    /// The last slot that is not after `time`.
    #[must_use]
    pub fn at_or_before(self, time: Timestamp) -> Slot {
        let whole = second_at_or_before(time);
        Slot::of_second(whole - whole.rem_euclid(i64::from(self.0)))
    }

    /// The slot after `slot`, which is where `slot` ends.
    #[must_use]
    pub fn next(self, slot: Slot) -> Slot {
        let step = i64::from(self.0);
        let second = slot.second();
        Slot::of_second(second - second.rem_euclid(step) + step)
    }

    /// Whether the slot is on this grid.
    #[must_use]
    pub fn contains(self, slot: Slot) -> bool {
        slot.second().rem_euclid(self.0.into()) == 0
    }

    /// The slots from `from` on and before `to`, ascending.
    pub fn slots(self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Slot> + Clone {
        let step = i64::from(self.0);
        let start = second_at_or_after(from).max(FIRST);
        let start = start + (-start).rem_euclid(step);
        let end = second_at_or_after(to).min(LAST + 1);
        // A divisor of 60 fits in every usize.
        (start..end).step_by(self.0 as usize).map(Slot::of_second)
    }
}

fn second_at_or_before(time: Timestamp) -> i64 {
    // jiff's seconds round towards 1970.
    let seconds = time.as_nanosecond().div_euclid(1_000_000_000);
    i64::try_from(seconds).unwrap_or(LAST)
}

fn second_at_or_after(time: Timestamp) -> i64 {
    let below = second_at_or_before(time);
    below + i64::from(time.subsec_nanosecond() != 0)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        match text.parse::<u32>() {
            Ok(seconds) if seconds.to_string() == text => Self::new(seconds),
            _ => Err(IntervalError {
                found: format!("{text:?}"),
            }),
        }
    }
}

/// A whole second that a reading is published for, from 1970-01-01T00:00:00Z to
/// 9999-12-30T22:00:00Z.
///
/// `Display` and serde write it in UTC without a fraction. `FromStr` and serde
/// read every text of RFC 3339 for it, whatever its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(Timestamp);

/// A time or a text that is no [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a slot: a whole second since 1970, such as 2026-11-21T11:00:02Z")]
pub struct SlotError;

impl Coded for SlotError {
    fn code(&self) -> &'static str {
        "SlotInvalid"
    }

    fn retryable(&self) -> bool {
        false
    }
}

impl Slot {
    /// The time.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    fn second(self) -> i64 {
        self.0.as_second()
    }

    fn of_second(second: i64) -> Self {
        Self(Timestamp::from_second(second.clamp(FIRST, LAST)).unwrap_or(Timestamp::UNIX_EPOCH))
    }
}

impl TryFrom<Timestamp> for Slot {
    type Error = SlotError;

    /// Refuses a time before 1970 or with a fraction of a second.
    fn try_from(time: Timestamp) -> Result<Self, SlotError> {
        if time >= Timestamp::UNIX_EPOCH && time.subsec_nanosecond() == 0 {
            Ok(Self(time))
        } else {
            Err(SlotError)
        }
    }
}

impl From<Slot> for Timestamp {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for Slot {
    type Err = SlotError;

    fn from_str(text: &str) -> Result<Self, SlotError> {
        rfc3339(text).ok_or(SlotError)?.try_into()
    }
}

serde_as_text!(Slot);
