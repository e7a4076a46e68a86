use serde::{Deserialize, Serialize};

/// What is known of a driver, from all the leases that began or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The leases that began.
    pub started: u64,
    /// The leases that ended.
    pub ended: u64,
    /// Those of them that ended without an incident.
    pub claim_free: u64,
    /// The incidents of those that ended.
    pub incidents: u64,
}

/// What a driver pays, in hundredths of what a car costs to insure.
#[must_use]
pub fn factor_percent(record: &Record) -> u32 {
    let reward = 5 * record.claim_free.min(10);
    // Eight incidents are beyond the highest factor, whatever the reward.
    let penalty = 25 * record.incidents.min(10);
    let percent = (110 - reward + penalty).clamp(60, 300);
    u32::try_from(percent).unwrap_or(300)
}

/// What a driver pays in a year for a car of this value: 4 % of it, times the
/// factor, to the nearest cent, half a cent up.
#[must_use]
pub fn yearly_premium(value_cents: u64, record: &Record) -> u64 {
    let parts = u128::from(value_cents) * 4 * u128::from(factor_percent(record));
    u64::try_from((parts + 5000) / 10_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(claim_free: u64, incidents: u64) -> Record {
        Record {
            claim_free,
            incidents,
            ..Record::default()
        }
    }

    #[test]
    fn the_factor_rewards_and_punishes() {
        for (claim_free, incidents, percent) in [
            (0, 0, 110),
            (1, 0, 105),
            (9, 0, 65),
            (10, 0, 60),
            (11, 0, 60),
            (u64::MAX, 0, 60),
            (0, 1, 135),
            (10, 1, 85),
            (0, 7, 285),
            (0, 8, 300),
            (10, 9, 285),
            (10, 10, 300),
            (u64::MAX, u64::MAX, 300),
        ] {
            assert_eq!(factor_percent(&record(claim_free, incidents)), percent);
        }
    }

    #[test]
    fn a_premium_is_rounded_to_the_nearest_cent() {
        for (value, claim_free, premium) in [
            (2_500_000, 0, 110_000),
            (2_500_000, 2, 100_000),
            (1, 0, 0),
            (11, 0, 0),
            (12, 0, 1),
            (125, 2, 5),
            (1_000_000_000_000, 0, 44_000_000_000),
        ] {
            assert_eq!(yearly_premium(value, &record(claim_free, 0)), premium);
        }
        assert_eq!(
            yearly_premium(1_000_000_000_000, &record(0, 8)),
            120_000_000_000
        );
        assert_eq!(
            yearly_premium(u64::MAX, &record(0, 8)),
            2_213_609_288_845_146_194
        );
    }

    proptest! {
        #[test]
        fn a_premium_is_that_of_the_rule(value in 1..=1_000_000_000_000_u64, claim_free in 0..30_u64, incidents in 0..30_u64) {
            let record = record(claim_free, incidents);
            let naive = (110.0 - 5.0 * claim_free.min(10) as f64 + 25.0 * incidents as f64).clamp(60.0, 300.0);
            prop_assert_eq!(f64::from(factor_percent(&record)), naive);
            let exact = value as f64 * 0.04 * naive / 100.0;
            prop_assert!((yearly_premium(value, &record) as f64 - exact).abs() <= 0.51);
        }
    }
}
