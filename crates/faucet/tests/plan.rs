//! Which claims the next payout pays.

use offchain_faucet::{Plan, Waiting, plan};
use proptest::prelude::*;

/// Claims by their amounts and attempts, called by their place.
fn waiting(claims: &[(u128, u32)]) -> Vec<Waiting> {
    let claims = claims.iter().enumerate();
    claims
        .map(|(place, (amount, attempts))| Waiting {
            claim_id: place.to_string(),
            address: "a".to_owned(),
            amount: *amount,
            attempts: *attempts,
        })
        .collect()
}

#[test]
fn a_plan_takes_the_first_that_fit() {
    for (claims, limit, spendable, taken, total, short) in [
        (&[][..], 50, 9, 0, 0, false),
        (&[(3, 0)], 50, 0, 0, 0, true),
        (&[(3, 0)], 50, 2, 0, 0, true),
        (&[(3, 0)], 50, 3, 1, 3, false),
        (&[(3, 0), (3, 0), (3, 0)], 50, 9, 3, 9, false),
        (&[(3, 0), (3, 0), (3, 0)], 50, 8, 2, 6, true),
        // Where there is no room, money is not what is missing.
        (&[(3, 0), (3, 0), (3, 0)], 2, 6, 2, 6, false),
        (&[(3, 0)], 0, 0, 0, 0, false),
        // One that fits does not overtake one that does not.
        (&[(9, 0), (1, 0)], 50, 8, 0, 0, true),
        (&[(1, 0), (9, 0), (1, 0)], 50, 8, 1, 1, true),
        // One that failed goes alone.
        (&[(3, 1), (3, 0)], 50, 9, 1, 3, false),
        (&[(3, 0), (3, 2), (3, 0)], 50, 9, 1, 3, false),
        (&[(3, 0), (3, 0), (3, 1)], 50, 6, 2, 6, false),
        (&[(3, 1), (3, 1)], 50, 9, 1, 3, false),
        (&[(3, 1)], 50, 2, 0, 0, true),
        // Sums beyond every balance.
        (&[(u128::MAX, 0)], 50, u128::MAX, 1, u128::MAX, false),
        (&[(u128::MAX, 0), (1, 0)], 50, u128::MAX, 1, u128::MAX, true),
        (&[(1, 0), (u128::MAX, 0)], 50, u128::MAX, 1, 1, true),
        (&[(0, 0), (0, 0)], 50, 0, 2, 0, false),
    ] {
        let waiting = waiting(claims);
        let expected = Plan {
            claims: waiting.iter().take(taken).collect(),
            total,
            short,
        };
        assert_eq!(plan(&waiting, limit, spendable), expected, "{claims:?}");
    }
}

/// Tries every number of claims, the greatest first.
fn naive(waiting: &[Waiting], limit: usize, spendable: u128) -> usize {
    let fits = |taken: &usize| {
        let claims = &waiting[..*taken];
        let is_fresh = |claim: &Waiting| claim.attempts == 0;
        let sum: u128 = claims.iter().map(|claim| claim.amount).sum();
        let alone = claims.len() == 1 || claims.iter().all(is_fresh);
        claims.len() <= limit && alone && sum <= spendable
    };
    (0..=waiting.len()).rev().find(fits).unwrap_or(0)
}

proptest! {
    #[test]
    fn a_plan_is_the_longest_that_is_allowed(
        claims in prop::collection::vec((0..20_u128, prop::sample::select(vec![0_u32, 0, 0, 0, 1, 3])), 0..12),
        limit in 0..12_usize,
        spendable in 0..150_u128,
    ) {
        let waiting = waiting(&claims);
        let planned = plan(&waiting, limit, spendable);
        let taken = naive(&waiting, limit, spendable);
        let expected: Vec<_> = waiting.iter().take(taken).collect();
        prop_assert_eq!(&planned.claims, &expected);
        prop_assert_eq!(planned.total, expected.iter().map(|claim| claim.amount).sum::<u128>());
        // It is short of money if and only if with more it would be longer.
        let rich = naive(&waiting, limit, u128::MAX);
        prop_assert_eq!(planned.short, rich > taken);
    }

    #[test]
    fn no_sum_overflows(amounts in prop::collection::vec(any::<u128>(), 0..6), spendable: u128) {
        let claims: Vec<_> = amounts.iter().map(|amount| (*amount, 0)).collect();
        let waiting = waiting(&claims);
        let planned = plan(&waiting, 50, spendable);
        prop_assert!(planned.total <= spendable);
        prop_assert_eq!(planned.short, planned.claims.len() < waiting.len());
    }
}
