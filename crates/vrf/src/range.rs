use sha2::{Digest, Sha512};

use crate::Output;

const TAG: &[u8] = b"offchain-vrf-range-v1";

/// An inclusive range of integers with at least two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    min: i64,
    max: i64,
}

/// Bounds with no choice between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a minimum below the maximum, found {min} and {max}")]
pub struct BoundsError {
    /// The minimum found.
    pub min: i64,
    /// The maximum found.
    pub max: i64,
}

impl Bounds {
    /// The range from `min` to `max`, both included.
    ///
    /// # Errors
    ///
    /// [`BoundsError`] unless `min < max`: a range of one value needs no
    /// randomness, so asking for it is a mistake.
    pub const fn new(min: i64, max: i64) -> Result<Self, BoundsError> {
        if min < max {
            Ok(Self { min, max })
        } else {
            Err(BoundsError { min, max })
        }
    }

    /// The smallest value.
    #[must_use]
    pub const fn min(self) -> i64 {
        self.min
    }

    /// The largest value.
    #[must_use]
    pub const fn max(self) -> i64 {
        self.max
    }

    /// Maps an output to a value of this range, each one equally likely, by
    /// the rejection sampling that the crate's documentation specifies.
    #[must_use]
    pub fn value(self, output: &Output) -> i64 {
        self.value_of(output.as_bytes())
    }

    fn value_of(self, beta: &[u8]) -> i64 {
        let span = self.max.abs_diff(self.min);
        let mask = u64::MAX >> span.leading_zeros();
        let prefix = Sha512::new().chain_update(TAG).chain_update(beta);
        let mut counter = 0_u32;
        // More than half of the candidates are kept, so the counter stays tiny.
        loop {
            let block = prefix
                .clone()
                .chain_update(counter.to_be_bytes())
                .finalize();
            let head = block[..8]
                .iter()
                .fold(0, |x, &byte| x << 8 | u64::from(byte));
            let offset = head & mask;
            if offset <= span {
                // The sum is exact modulo 2^64 and lies within the bounds.
                return self.min.wrapping_add_unsigned(offset);
            }
            counter += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(min: i64, max: i64) -> Bounds {
        Bounds::new(min, max).unwrap()
    }

    /// The specification again, in wide integers and without masks by shift.
    fn model(beta: &[u8], min: i64, max: i64) -> i64 {
        let (min, max) = (i128::from(min), i128::from(max));
        let mut mask = 1_i128;
        while mask - 1 < max - min {
            mask *= 2;
        }
        for counter in 0_u32.. {
            let input = [TAG, beta, &counter.to_be_bytes()].concat();
            let hash = Sha512::digest(input);
            let x = i128::from(u64::from_be_bytes(hash[..8].try_into().unwrap()));
            let x = x.rem_euclid(mask);
            if min + x <= max {
                return i64::try_from(min + x).unwrap();
            }
        }
        unreachable!()
    }

    #[test]
    fn bounds_need_two_values() {
        for (min, max) in [(0, 0), (1, 0), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX)] {
            assert_eq!(Bounds::new(min, max), Err(BoundsError { min, max }));
        }
        assert_eq!(
            Bounds::new(7, 7).unwrap_err().to_string(),
            "expected a minimum below the maximum, found 7 and 7"
        );
        let full = bounds(i64::MIN, i64::MAX);
        assert_eq!((full.min(), full.max()), (i64::MIN, i64::MAX));
    }

    /// The vectors of the README.
    #[test]
    fn vectors() {
        let ramp: Vec<u8> = (0..64).collect();
        for (beta, min, max, value) in [
            (&ramp[..], 1, 6, 3),
            (&ramp[..], 0, 1, 0),
            (&ramp[..], 0, 8, 5),
            (&ramp[..], -100, 100, 6),
            (&ramp[..], 1, 1_000_000_000, 625_014_635),
            (&ramp[..], i64::MIN, i64::MAX, 5_000_490_553_452_853_098),
            (&ramp[..32], i64::MIN, i64::MAX, 7_123_115_120_846_428_522),
        ] {
            assert_eq!(model(beta, min, max), value, "model of {min} to {max}");
            assert_eq!(bounds(min, max).value_of(beta), value, "{min} to {max}");
        }
    }

    #[test]
    fn both_ends_are_reached() {
        for (min, max) in [
            (0, 1),
            (-3, 1),
            (1, 6),
            (i64::MIN, i64::MIN + 4),
            (i64::MAX - 4, i64::MAX),
        ] {
            let values: Vec<i64> = (0..200_u8)
                .map(|seed| bounds(min, max).value_of(&[seed; 64]))
                .collect();
            assert_eq!(values.iter().min(), Some(&min));
            assert_eq!(values.iter().max(), Some(&max));
        }
    }

    /// Pearson's statistic for fixed inputs. The limit is the 99.9 % quantile,
    /// and the sizes next to powers of two are where a bias would show.
    #[test]
    fn values_are_spread_evenly() {
        for (size, limit) in [
            (2, 10.8),
            (3, 13.8),
            (5, 18.5),
            (6, 20.5),
            (9, 26.1),
            (17, 39.3),
        ] {
            let draws = 3_000_u32;
            let mut counts = vec![0_u32; size];
            for draw in 0..draws {
                let max = i64::try_from(size).unwrap() - 1;
                let value = bounds(0, max).value_of(&draw.to_be_bytes());
                counts[usize::try_from(value).unwrap()] += 1;
            }
            let expected = f64::from(draws) / counts.len() as f64;
            let statistic: f64 = counts
                .iter()
                .map(|&count| (f64::from(count) - expected).powi(2) / expected)
                .sum();
            assert!(
                statistic < limit,
                "{size} values: {statistic} from {counts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(
            beta in prop::collection::vec(any::<u8>(), 0..65),
            min in any::<i64>(),
            max in any::<i64>(),
        ) {
            prop_assume!(min < max);
            let value = bounds(min, max).value_of(&beta);
            prop_assert_eq!(value, model(&beta, min, max));
            prop_assert!((min..=max).contains(&value));
        }

        #[test]
        fn agrees_with_the_model_on_small_ranges(
            beta in any::<[u8; 32]>(),
            min in any::<i64>(),
            span in 1..300_i64,
        ) {
            let min = min.min(i64::MAX - span);
            let value = bounds(min, min + span).value_of(&beta);
            prop_assert_eq!(value, model(&beta, min, min + span));
        }
    }
}
