//! Percentiles of the nearest rank: the smallest value that so many do not exceed.

use serde::Serialize;

/// How late things were, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: i128,
    pub(crate) p99_ms: i128,
    pub(crate) max_ms: i128,
}

impl Percentiles {
    /// `None` where there are no values.
    pub(crate) fn of(mut values: Vec<i128>) -> Option<Self> {
        values.sort_unstable();
        let percentile =
            |percent: usize| values.get((values.len() * percent).div_ceil(100).max(1) - 1);
        Some(Self {
            p50_ms: *percentile(50)?,
            p99_ms: *percentile(99)?,
            max_ms: *values.last()?,
        })
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {} ms, p99 {} ms, max {} ms",
            self.p50_ms, self.p99_ms, self.max_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let late = Percentiles::of((1..=100).rev().collect()).unwrap();
        assert_eq!((late.p50_ms, late.p99_ms, late.max_ms), (50, 99, 100));
        let one = Percentiles::of(vec![7]).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms), (7, 7));
        assert_eq!(Percentiles::of(vec![2, 1]).unwrap().p50_ms, 1);
        assert!(Percentiles::of(Vec::new()).is_none());
    }
}
