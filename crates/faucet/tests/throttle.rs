//! The throttle, held against a bucket that leaks one millisecond after another.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use jiff::{SignedDuration, Timestamp};
use offchain_faucet::{Gcra, Judgement, Throttle};
use proptest::prelude::*;

fn start() -> Timestamp {
    "2026-11-21T11:00:00Z".parse().unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// Judges requests at these seconds, each by what the one before it said.
fn judge(gcra: Gcra, at: &[i64]) -> Vec<Judgement> {
    let mut tat = None;
    at.iter()
        .map(|at| {
            let judgement = gcra.judge(tat, start() + seconds(*at));
            tat = Some(judgement.tat);
            judgement
        })
        .collect()
}

#[test]
fn a_burst_passes_and_then_one_request_at_a_time() {
    let judged = judge(Gcra::new(10, 3), &[0, 0, 0, 0, 5, 6, 6, 12, 100]);
    let said: Vec<_> = judged
        .iter()
        .map(|judged| {
            assert_eq!(judged.limit, 3);
            let retry_after = judged.retry_after.map(|after| after.as_secs());
            assert_eq!(retry_after.is_none(), judged.allowed);
            (judged.remaining, judged.reset_after.as_secs(), retry_after)
        })
        .collect();
    assert_eq!(
        said,
        [
            (2, 6, None),
            (1, 12, None),
            (0, 18, None),
            (0, 18, Some(6)),
            (0, 13, Some(1)),
            (0, 18, None),
            (0, 18, Some(6)),
            (0, 18, None),
            (2, 6, None),
        ]
    );
}

#[test]
fn the_first_request_fills_an_empty_bucket() {
    let first = Gcra::new(10, 1).judge(None, start());
    let expected = Judgement {
        allowed: true,
        tat: start() + seconds(6),
        limit: 1,
        remaining: 0,
        reset_after: seconds(6),
        retry_after: None,
    };
    assert_eq!(first, expected);
    let long_ago = Some(Timestamp::MIN);
    assert_eq!(Gcra::new(10, 1).judge(long_ago, start()), expected);
}

#[test]
fn an_interval_of_no_whole_nanoseconds_is_rounded_up() {
    let first = Gcra::new(7, 1).judge(None, start());
    assert_eq!(first.reset_after, SignedDuration::from_nanos(8_571_428_572));
}

#[test]
fn what_is_refused_leaves_the_bucket_as_it_was() {
    let gcra = Gcra::new(60, 1);
    let full = gcra.judge(None, start()).tat;
    for _ in 0..1000 {
        let refused = gcra.judge(Some(full), start());
        assert_eq!((refused.allowed, refused.tat), (false, full));
    }
    assert!(gcra.judge(Some(full), full).allowed);
    let too_early = full - SignedDuration::from_nanos(1);
    let refused = gcra.judge(Some(full), too_early);
    assert_eq!(refused.retry_after, Some(SignedDuration::from_nanos(1)));
}

#[test]
fn a_clock_that_jumped_locks_nobody_out() {
    let gcra = Gcra::new(10, 3);
    for tat in [start() + seconds(19), Timestamp::MAX] {
        let refused = gcra.judge(Some(tat), start());
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after, Some(seconds(6)));
        assert_eq!(refused.tat, start() + seconds(18));
        assert!(gcra.judge(Some(refused.tat), start() + seconds(6)).allowed);
    }
}

#[test]
fn nothing_overflows() {
    for per_minute in [0, 1, 7, u32::MAX] {
        for burst in [0, 1, u32::MAX] {
            let gcra = Gcra::new(per_minute, burst);
            for now in [Timestamp::MIN, start(), Timestamp::MAX] {
                for tat in [None, Some(Timestamp::MIN), Some(now), Some(Timestamp::MAX)] {
                    let judged = gcra.judge(tat, now);
                    assert_eq!(judged.limit, burst.max(1));
                    assert!(judged.remaining <= judged.limit && judged.tat >= now);
                }
            }
        }
    }
    assert_eq!(Gcra::new(0, 0), Gcra::new(1, 1));
    let throttle = Throttle {
        per_minute: 10,
        burst: 3,
    };
    assert_eq!(throttle.gcra(), Gcra::new(10, 3));
}

/// A bucket out of which a millisecond's worth leaks every millisecond.
struct Bucket {
    holds: u64,
    each: u64,
    level: u64,
}

impl Bucket {
    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.level = self.level.saturating_sub(1);
        }
    }

    fn takes(&mut self) -> bool {
        let fits = self.level + self.each <= self.holds;
        if fits {
            self.level += self.each;
        }
        fits
    }
}

proptest! {
    #[test]
    fn the_throttle_is_a_leaky_bucket(
        // Those whose interval is a whole number of milliseconds.
        per_minute in prop::sample::select(vec![1_u32, 2, 6, 10, 15, 60, 100, 600, 60_000]),
        burst in 1..6_u32,
        waits in prop::collection::vec((0..8_u64, 0..3_000_u64), 1..30),
    ) {
        let each = 60_000 / u64::from(per_minute);
        let mut bucket = Bucket { holds: each * u64::from(burst), each, level: 0 };
        let (gcra, mut now, mut tat) = (Gcra::new(per_minute, burst), start(), None);
        for (kind, wait) in waits {
            // Some at once, some just as a request leaks out, some at any time.
            let wait = match kind { 0..3 => 0, 3 => each, 4 => each - 1, _ => wait };
            bucket.pass(wait);
            now += SignedDuration::from_millis(wait.try_into().unwrap());
            let judged = gcra.judge(tat, now);
            prop_assert_eq!(judged.allowed, bucket.takes());
            let level = SignedDuration::from_millis(bucket.level.try_into().unwrap());
            prop_assert_eq!(judged.reset_after, level);
            prop_assert_eq!(judged.tat, now + level);
            let room = (bucket.holds - bucket.level) / each;
            prop_assert_eq!(u64::from(judged.remaining), room);
            if let Some(retry_after) = judged.retry_after {
                prop_assert!(retry_after > SignedDuration::ZERO);
                prop_assert!(gcra.judge(Some(judged.tat), now + retry_after).allowed);
                let nano = SignedDuration::from_nanos(1);
                prop_assert!(!gcra.judge(Some(judged.tat), now + retry_after - nano).allowed);
            }
            tat = Some(judged.tat);
        }
    }

    #[test]
    fn in_no_minute_do_more_pass_than_the_burst_and_the_rate(
        per_minute in 1..200_u32,
        burst in 1..20_u32,
        waits in prop::collection::vec(0..2_000_u64, 1..300),
    ) {
        let (gcra, mut now, mut tat) = (Gcra::new(per_minute, burst), start(), None);
        let mut passed = Vec::new();
        for wait in waits {
            now += SignedDuration::from_millis(wait.try_into().unwrap());
            let judged = gcra.judge(tat, now);
            tat = Some(judged.tat);
            if judged.allowed {
                passed.push(now);
            }
        }
        for (first, from) in passed.iter().enumerate() {
            let within = passed[first..].iter();
            let within = within.take_while(|time| **time < *from + seconds(60)).count();
            prop_assert!(within <= (per_minute + burst) as usize);
        }
    }
}
