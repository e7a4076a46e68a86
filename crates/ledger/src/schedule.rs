use std::{str::FromStr, time::Duration};

use offchain_codes::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// When a webhook that failed is sent again. Its JSON is an array of whole
/// seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

/// Why a schedule is none.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// It is no array of numbers in JSON.
    #[error("expected an array of whole seconds in JSON: {0}")]
    Json(serde_json::Error),
    /// There are too many waits.
    #[error("expected at most {MAX_WAITS} waits, found {0}")]
    Waits(usize),
    /// A wait is too short or too long.
    #[error("expected waits of 1 to {MAX_SECONDS} seconds, found {0}")]
    Seconds(u64),
}

impl Coded for ScheduleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::Waits(_) | Self::Seconds(_) => "ConfigInvalid",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::Json(_) | Self::Waits(_) | Self::Seconds(_) => false,
        }
    }
}

const MAX_WAITS: usize = 20;
const MAX_SECONDS: u64 = 86_400;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The schedule that Standard Webhooks 1.0 recommends.
const STANDARD: [u64; 9] = [
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

impl Schedule {
    /// The schedule with these waits.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] where there are more than 20, or one is not 1 to 86400
    /// seconds long.
    pub fn new(seconds: &[u64]) -> Result<Self, ScheduleError> {
        if seconds.len() > MAX_WAITS {
            return Err(ScheduleError::Waits(seconds.len()));
        }
        let wait = |&seconds: &u64| match seconds {
            1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
            other => Err(ScheduleError::Seconds(other)),
        };
        seconds.iter().map(wait).collect::<Result<_, _>>().map(Self)
    }

    /// How long to wait after so many attempts; none where they are used up.
    ///
    /// Jitter, from 0 to 1, makes a wait up to a tenth longer, so that what
    /// failed together is not sent again together.
    #[must_use]
    pub fn after(&self, attempts_made: u32, jitter: f64) -> Option<Duration> {
        let Some(waited) = attempts_made.checked_sub(1) else {
            return Some(Duration::ZERO);
        };
        let wait = self.0.get(usize::try_from(waited).ok()?)?;
        // What is no number is no jitter, either.
        let jitter = if jitter > 0.0 { jitter.min(1.0) } else { 0.0 };
        Some(wait.mul_f64(1.0 + jitter / 10.0))
    }

    /// The waits.
    #[must_use]
    pub fn waits(&self) -> &[Duration] {
        &self.0
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self(STANDARD.map(Duration::from_secs).to_vec())
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(json: &str) -> Result<Self, ScheduleError> {
        let seconds: Vec<u64> = serde_json::from_str(json).map_err(ScheduleError::Json)?;
        Self::new(&seconds)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Duration::as_secs))
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&Vec::<u64>::deserialize(from)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_used_up() {
        let schedule = Schedule::default();
        let waits: Vec<_> = (0..12)
            .map(|made| schedule.after(made, 0.0).map(|wait| wait.as_secs()))
            .collect();
        let mut expected: Vec<_> = [0].into_iter().chain(STANDARD).map(Some).collect();
        expected.extend([None, None]);
        assert_eq!(waits, expected);
        assert_eq!(schedule.after(u32::MAX, 0.5), None);
        assert_eq!(Schedule::new(&[]).unwrap().after(1, 0.0), None);
    }

    #[test]
    fn jitter_adds_a_tenth_at_most() {
        let schedule = Schedule::new(&[100]).unwrap();
        for (jitter, seconds) in [
            (0.0, 100),
            (0.5, 105),
            (1.0, 110),
            (-1.0, 100),
            (9.0, 110),
            (f64::NAN, 100),
            (f64::INFINITY, 110),
        ] {
            let wait = schedule.after(1, jitter).unwrap();
            assert_eq!(wait.as_secs_f64().round() as u64, seconds, "{jitter}");
        }
    }

    #[test]
    fn a_schedule_is_read_and_written() {
        let schedule: Schedule = "[5, 300]".parse().unwrap();
        assert_eq!(schedule.waits(), [5, 300].map(Duration::from_secs));
        assert_eq!(serde_json::to_string(&schedule).unwrap(), "[5,300]");
        assert_eq!(
            serde_json::from_str::<Schedule>("[5,300]").unwrap(),
            schedule
        );
        for (json, message) in [
            ("[0]", "expected waits of 1 to 86400 seconds, found 0"),
            (
                "[86401]",
                "expected waits of 1 to 86400 seconds, found 86401",
            ),
            (
                "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
                "expected at most 20 waits, found 21",
            ),
        ] {
            let error = json.parse::<Schedule>().unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!((error.code(), error.retryable()), ("ConfigInvalid", false));
            assert!(serde_json::from_str::<Schedule>(json).is_err());
        }
        for json in ["", "5", "[1.5]", "[-1]", "{}", "[\"5\"]"] {
            let error = json.parse::<Schedule>().unwrap_err();
            assert!(matches!(error, ScheduleError::Json(_)), "{json}");
        }
    }
}
