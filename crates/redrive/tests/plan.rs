//! How many messages go back, and how fast.

use offchain_redrive::{MAX_BATCH, MAX_BATCHES, MAX_RATE, Plan, plan};
use proptest::prelude::*;

#[test]
fn a_plan_is_in_whole_batches_and_one_of_the_rest() {
    for (matching, limit, rate, batches, concurrency) in [
        (0, None, 10, &[][..], 1),
        (25, None, 10, &[10, 10, 5], 1),
        (25, Some(11), 10, &[10, 1], 1),
        (25, Some(0), 10, &[], 1),
        (3, Some(9), 1, &[1, 1, 1], 1),
        (11, None, 11, &[5, 5, 1], 2),
        (20, None, 20, &[10, 10], 2),
        (25, None, 100, &[10, 10, 5], 10),
        (18, None, 25, &[8, 8, 2], 3),
    ] {
        let batches = batches.to_vec();
        let expected = Plan {
            batches,
            concurrency,
        };
        assert_eq!(
            plan(matching, limit, rate),
            expected,
            "{matching} {limit:?} {rate}"
        );
    }
}

#[test]
fn a_rate_that_is_none_is_the_nearest() {
    assert_eq!(plan(25, None, 0), plan(25, None, 1));
    assert_eq!(plan(25, None, u32::MAX), plan(25, None, MAX_RATE));
}

#[test]
fn what_does_not_go_into_a_thousand_batches_is_left() {
    assert_eq!(plan(u32::MAX, None, 100).total(), 10_000);
    assert_eq!(plan(u32::MAX, Some(u32::MAX), 1).total(), 1000);
}

proptest! {
    #[test]
    fn no_plan_is_faster_than_its_rate_or_larger_than_its_limit(
        matching in prop_oneof![0_u32..3000, any::<u32>()],
        limit in prop::option::of(prop_oneof![0_u32..3000, any::<u32>()]),
        rate in 1..=MAX_RATE,
    ) {
        let plan = plan(matching, limit, rate);
        let most = plan.batches.iter().copied().max().unwrap_or(0);
        prop_assert!(plan.concurrency * most <= rate);
        prop_assert!(plan.batches.iter().all(|batch| (1..=MAX_BATCH).contains(batch)));
        prop_assert!(plan.batches.len() <= MAX_BATCHES);
        prop_assert!(plan.batches.iter().rev().skip(1).all(|batch| *batch == most));

        let wanted = limit.unwrap_or(matching).min(matching);
        if plan.batches.len() < MAX_BATCHES {
            prop_assert_eq!(plan.total(), wanted);
        } else {
            prop_assert!(plan.total() <= wanted);
        }
    }

    #[test]
    fn no_plan_is_slower_than_half_its_rate(rate in 1..=MAX_RATE) {
        let plan = plan(u32::MAX, None, rate);
        prop_assert!(plan.concurrency * plan.batches[0] * 2 > rate);
        prop_assert!(plan.concurrency <= rate.div_ceil(MAX_BATCH));
    }
}
