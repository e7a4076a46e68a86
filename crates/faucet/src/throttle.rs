use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often one source may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Requests a minute in the long run.
    pub per_minute: u32,
    /// Requests at once.
    pub burst: u32,
}

impl Throttle {
    /// What judges by this.
    #[must_use]
    pub fn gcra(self) -> Gcra {
        Gcra::new(self.per_minute, self.burst)
    }
}

const MINUTE: u64 = 60_000_000_000;

/// The generic cell rate algorithm: a leaky bucket whose whole state is one
/// time, the theoretical arrival time, at which it will have run empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// How long a request takes to leak out, in nanoseconds.
    interval: i128,
    /// How many requests the bucket holds.
    burst: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it may pass.
    pub allowed: bool,
    /// The theoretical arrival time from now on.
    pub tat: Timestamp,
    /// How many requests may pass at once.
    pub limit: u32,
    /// How many more may pass now.
    pub remaining: u32,
    /// How long until `limit` may pass at once again.
    pub reset_after: SignedDuration,
    /// How long until a request passes, where this one may not.
    pub retry_after: Option<SignedDuration>,
}

impl Gcra {
    /// Lets `per_minute` requests pass in the long run and `burst` at once. For
    /// each of them, 0 is 1.
    #[must_use]
    pub fn new(per_minute: u32, burst: u32) -> Self {
        // Rounded up, so that no more than `per_minute` pass.
        let interval = MINUTE.div_ceil(u64::from(per_minute.max(1)));
        Self {
            interval: i128::from(interval),
            burst: burst.max(1),
        }
    }

    /// How long a request takes to leak out.
    #[must_use]
    pub fn interval(&self) -> SignedDuration {
        SignedDuration::from_nanos_i128(self.interval)
    }

    /// The latest theoretical arrival time with which a request may still pass.
    #[must_use]
    pub fn latest(&self, now: Timestamp) -> Timestamp {
        let room = self.interval * i128::from(self.burst - 1);
        now.saturating_add(SignedDuration::from_nanos_i128(room))
            .unwrap_or(Timestamp::MAX)
    }

    /// Judges a request; `tat` is what the last judgement said, in whole
    /// nanoseconds.
    ///
    /// A time so late that no judgement until now can have said it, such as
    /// after a clock jumped, counts as the latest one that can: a full bucket.
    /// So nobody waits longer than for one request to leak out.
    #[must_use]
    pub fn judge(&self, tat: Option<Timestamp>, now: Timestamp) -> Judgement {
        let now = now.as_nanosecond();
        let brim = self.interval * i128::from(self.burst);
        // How full the bucket is, in time until it is empty.
        let before = tat.map_or(0, |tat| (tat.as_nanosecond() - now).clamp(0, brim));
        let with = before + self.interval;
        let allowed = with <= brim;
        let after = if allowed { with } else { before };
        Judgement {
            allowed,
            tat: Timestamp::from_nanosecond(now + after).unwrap_or(Timestamp::MAX),
            limit: self.burst,
            remaining: u32::try_from((brim - after) / self.interval).unwrap_or(self.burst),
            reset_after: SignedDuration::from_nanos_i128(after),
            retry_after: (!allowed).then(|| SignedDuration::from_nanos_i128(with - brim)),
        }
    }
}
