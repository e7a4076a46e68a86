//! Aggregation: cases by hand, and a naive model of the specification.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail anywhere"
)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_oracle::{
    Aggregate, Answer, Fault, Feed, HttpFeed, Kind, MAX_VALUE, NotPublished, Observation, Slot,
    aggregate,
};
use proptest::prelude::*;
use serde_json::json;

fn slot() -> Slot {
    "2026-11-21T11:00:02Z".parse().unwrap()
}

fn before(ms: i64) -> Timestamp {
    slot().timestamp() - SignedDuration::from_millis(ms)
}

/// The sources a, b, c and so on.
fn name(index: usize) -> String {
    char::from(b'a' + u8::try_from(index).unwrap()).to_string()
}

fn feed(sources: usize, quorum: usize, max_spread_bps: u32) -> HttpFeed {
    let source = json!({
        "url": "https://example.org", "pointer": "", "time_pointer": null, "scale": 0,
        "timeout_ms": 800, "header": null
    });
    let sources: serde_json::Map<_, _> = (0..sources)
        .map(|index| (name(index), source.clone()))
        .collect();
    let definition = json!({
        "kind": "http", "decimals": 2, "quorum": quorum, "max_age_seconds": 60,
        "max_spread_bps": max_spread_bps, "sources": sources
    });
    match Feed::parse("test", &definition.to_string()).unwrap().kind {
        Kind::Http(feed) => feed,
        Kind::Demo => panic!("not a demo"),
    }
}

fn said(index: usize, value: i128) -> Answer {
    said_at(index, value, before(500))
}

fn said_at(index: usize, value: i128, observed: Timestamp) -> Answer {
    Answer {
        source: name(index).parse().unwrap(),
        outcome: Ok(Observation { value, observed }),
    }
}

fn failed(index: usize, code: &'static str) -> Answer {
    Answer {
        source: name(index).parse().unwrap(),
        outcome: Err(Fault {
            code,
            text: format!("the text of {code}"),
        }),
    }
}

fn values(values: &[i128]) -> Vec<Answer> {
    let answers = values.iter().enumerate();
    answers.map(|(index, value)| said(index, *value)).collect()
}

fn aggregated(quorum: usize, bps: u32, said: &[i128]) -> Result<Aggregate, NotPublished> {
    aggregate(
        &feed(said.len(), quorum, bps),
        slot(),
        slot().timestamp(),
        values(said),
    )
}

fn took_part(aggregate: &Aggregate) -> String {
    aggregate
        .sources
        .iter()
        .map(|part| part.source.as_str())
        .collect()
}

fn left_out(aggregate: &Aggregate) -> Vec<String> {
    let left_out = aggregate.left_out.iter();
    left_out
        .map(|one| format!("{} {}", one.source, one.reason))
        .collect()
}

#[test]
fn the_median_of_an_odd_count_is_in_the_middle() {
    for (said, value, spread) in [
        (vec![7], 7, 0),
        (vec![3, 1, 2], 2, 2),
        (vec![-5, 5, 0], 0, 10),
        (vec![1, 1, 9], 1, 8),
    ] {
        let all = said.len();
        let found = aggregated(all, u32::MAX, &said);
        // No spread is within any part of a median of zero.
        if value == 0 {
            assert_eq!(found.unwrap_err().code(), "SpreadExceeded");
        } else {
            let found = found.unwrap();
            assert_eq!((found.value, found.spread), (value, spread));
        }
    }
}

#[test]
fn the_median_of_an_even_count_is_the_mean_of_two_rounded_half_to_even() {
    for (said, value) in [
        ([1, 2], 2),
        ([2, 3], 2),
        ([3, 4], 4),
        ([-1, -2], -2),
        ([-2, -3], -2),
        ([-3, -4], -4),
        ([2, 4], 3),
        ([-1, 2], 0),
        ([-2, 1], 0),
        ([MAX_VALUE, MAX_VALUE], MAX_VALUE),
        ([-MAX_VALUE, -MAX_VALUE], -MAX_VALUE),
        ([MAX_VALUE - 1, MAX_VALUE], MAX_VALUE - 1),
    ] {
        for said in [said, [said[1], said[0]]] {
            assert_eq!(
                aggregated(2, u32::MAX, &said).unwrap().value,
                value,
                "{said:?}"
            );
        }
    }
    let found = aggregated(4, 10_000, &[100, 1, 10, 13]);
    assert_eq!(found.unwrap_err().code(), "SpreadExceeded");
    assert_eq!(aggregated(4, 100_000, &[100, 1, 10, 13]).unwrap().value, 12);
}

#[test]
fn parts_and_left_out_are_sorted_by_name_and_hold_what_was_said() {
    let answers = vec![
        failed(3, "RemoteTimedOut"),
        said_at(2, 1001, before(1)),
        failed(1, "ValueInvalid"),
        said_at(0, 1000, before(60_000)),
    ];
    let found = aggregate(&feed(4, 2, 200), slot(), slot().timestamp(), answers).unwrap();
    assert_eq!(took_part(&found), "ac");
    assert_eq!(left_out(&found), ["b ValueInvalid", "d RemoteTimedOut"]);
    assert_eq!((found.value, found.spread), (1000, 1));
    assert_eq!(found.sources[0].observed, before(60_000));
    assert_eq!(
        (found.sources[1].value, found.sources[1].observed),
        (1001, before(1))
    );
}

#[test]
fn an_answer_counts_from_the_maximal_age_until_five_seconds_ahead() {
    for (ms, reason) in [
        (60_000, None),
        (60_001, Some("b SourceStale")),
        (10_000_000_000, Some("b SourceStale")),
        (0, None),
        (-5000, None),
        (-5001, Some("b SourceAhead")),
        (-10_000_000_000, Some("b SourceAhead")),
    ] {
        let answers = vec![said(0, 7), said_at(1, 7, before(ms))];
        let found = aggregate(&feed(2, 1, 0), slot(), slot().timestamp(), answers).unwrap();
        assert_eq!(left_out(&found), Vec::from_iter(reason), "{ms}");
    }
    for observed in [Timestamp::MIN, Timestamp::MAX] {
        let answers = vec![said_at(0, 7, observed)];
        let error = aggregate(&feed(1, 1, 0), slot(), slot().timestamp(), answers).unwrap_err();
        assert_eq!(error.code(), "QuorumNotReached");
    }
}

#[test]
fn too_few_answers_reach_no_quorum_and_each_is_told() {
    let answers = vec![
        said(0, 7),
        failed(1, "RemoteTimedOut"),
        said_at(2, 7, before(60_001)),
        said_at(3, 7, before(-5001)),
    ];
    let error = aggregate(&feed(5, 2, 200), slot(), slot().timestamp(), answers).unwrap_err();
    assert!(matches!(
        error,
        NotPublished::QuorumNotReached {
            have: 1,
            want: 2,
            ..
        }
    ));
    assert_eq!(
        (error.code(), error.retryable()),
        ("QuorumNotReached", false)
    );
    assert_eq!(
        error.to_string(),
        "expected fresh answers of 2 sources or more, found 1: \
         b RemoteTimedOut (the text of RemoteTimedOut); \
         c SourceStale (its value is of 2026-11-21T10:59:01.999Z, more than 60 s before); \
         d SourceAhead (its value is of 2026-11-21T11:00:07.001Z, more than 5 s after); \
         e SourceUnanswered (there is no answer of it)"
    );
    let reasons: Vec<_> = error
        .left_out()
        .iter()
        .map(|one| format!("{} {}", one.source, one.reason))
        .collect();
    assert_eq!(
        reasons,
        [
            "b RemoteTimedOut",
            "c SourceStale",
            "d SourceAhead",
            "e SourceUnanswered"
        ]
    );
    let none = aggregate(&feed(1, 1, 200), slot(), slot().timestamp(), Vec::new()).unwrap_err();
    assert!(matches!(
        none,
        NotPublished::QuorumNotReached {
            have: 0,
            want: 1,
            ..
        }
    ));
}

#[test]
fn a_source_counts_once_and_a_stranger_not_at_all() {
    let twice = vec![
        said(0, 7),
        said(0, 8),
        failed(0, "RemoteTimedOut"),
        said(5, 7),
    ];
    let error = aggregate(
        &feed(2, 2, 10_000),
        slot(),
        slot().timestamp(),
        twice.clone(),
    )
    .unwrap_err();
    assert_eq!(error.code(), "QuorumNotReached");
    let feed = feed(2, 1, 10_000);
    let found = aggregate(&feed, slot(), slot().timestamp(), twice.clone()).unwrap();
    assert_eq!((took_part(&found), found.value), ("a".to_owned(), 7));
    let reversed = twice.into_iter().rev().collect();
    assert_eq!(
        aggregate(&feed, slot(), slot().timestamp(), reversed).unwrap(),
        found
    );
}

#[test]
fn the_spread_may_be_exactly_the_limit() {
    // 2 % of 10000 is 200.
    let found = aggregated(3, 200, &[9_900, 10_000, 10_100]).unwrap();
    assert_eq!((found.value, found.spread), (10_000, 200));
    let error = aggregated(3, 200, &[9_900, 10_000, 10_101]).unwrap_err();
    assert_eq!(error.code(), "SpreadExceeded");
    // The median 1999/2 is not rounded: 1/10 of it is 99.95.
    assert!(aggregated(2, 1000, &[950, 1049]).is_ok());
    assert!(aggregated(2, 1000, &[950, 1050]).is_ok());
    assert!(aggregated(2, 1000, &[949, 1049]).is_err());
    // So it is below zero.
    assert!(aggregated(3, 200, &[-9_900, -10_000, -10_100]).is_ok());
    assert!(aggregated(3, 200, &[-9_900, -10_000, -10_101]).is_err());
    // Without tolerance all say the same.
    assert!(aggregated(3, 0, &[5, 5, 5]).is_ok());
    assert!(aggregated(3, 0, &[5, 5, 6]).is_err());
    assert_eq!(aggregated(3, 0, &[0, 0, 0]).unwrap().value, 0);
}

#[test]
fn an_outlier_is_left_out() {
    let found = aggregated(2, 200, &[1000, 1001, 5000]).unwrap();
    assert_eq!(
        (took_part(&found), found.value, found.spread),
        ("ab".to_owned(), 1000, 1)
    );
    assert_eq!(left_out(&found), ["c SourceOutlier"]);
    let found = aggregated(2, 200, &[1, 1000, 1001]).unwrap();
    assert_eq!(left_out(&found), ["a SourceOutlier"]);
    let found = aggregated(3, 200, &[-500, 1000, 1001, 999, 9999]).unwrap();
    assert_eq!(left_out(&found), ["a SourceOutlier", "e SourceOutlier"]);
    assert_eq!((found.value, found.spread), (1000, 2));
    // Outliers that say the same go together.
    let found = aggregated(3, 200, &[5000, 1000, 1001, 5000, 1002]).unwrap();
    assert_eq!(left_out(&found), ["a SourceOutlier", "d SourceOutlier"]);
}

#[test]
fn two_that_are_equally_far_are_both_left_out() {
    // No one of two is preferred, whatever a mean is rounded to.
    for said in [[1000, 2000], [1000, 2001], [1001, 2000]] {
        let error = aggregated(1, 200, &said).unwrap_err();
        assert!(matches!(
            error,
            NotPublished::SpreadExceeded {
                have: 0,
                want: 1,
                ..
            }
        ));
    }
    let found = aggregated(1, 200, &[500, 1000, 1500]).unwrap();
    assert_eq!(left_out(&found), ["a SourceOutlier", "c SourceOutlier"]);
    assert_eq!(found.value, 1000);
}

#[test]
fn too_few_without_outliers_exceed_the_spread_and_each_is_told() {
    let answers = vec![
        said(0, 100),
        said(1, 200),
        said(2, 1000),
        failed(3, "RemoteStatus"),
    ];
    let error = aggregate(&feed(4, 2, 200), slot(), slot().timestamp(), answers).unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("SpreadExceeded", false));
    assert_eq!(
        error.to_string(),
        "expected 2 sources or more within 200/10000 of their median, found 0: \
         a SourceOutlier (100 is too far from the median); \
         b SourceOutlier (200 is too far from the median); \
         c SourceOutlier (1000 is too far from the median); \
         d RemoteStatus (the text of RemoteStatus)"
    );
}

#[test]
fn the_greatest_values_overflow_nothing() {
    for bps in [0, 1, 200, 10_000, u32::MAX] {
        let ends = [MAX_VALUE, -MAX_VALUE, MAX_VALUE];
        let far = aggregated(2, bps, &ends);
        match bps {
            // The spread is twice the median.
            u32::MAX => assert_eq!(far.unwrap().spread, 2 * MAX_VALUE),
            _ => assert_eq!(left_out(&far.unwrap()), ["b SourceOutlier"]),
        }
        assert_eq!(
            aggregated(2, bps, &[-MAX_VALUE; 16]).unwrap().value,
            -MAX_VALUE
        );
    }
    for value in [MAX_VALUE + 1, -MAX_VALUE - 1, i128::MAX, i128::MIN] {
        let found = aggregated(1, 200, &[7, value]).unwrap();
        assert_eq!(left_out(&found), ["b ValueInvalid"]);
    }
}

#[test]
fn a_code_makes_no_line_of_its_own() {
    for (code, reason) in [
        ("Bad\nvalue 1", "Badvalue1"),
        ("", "Unknown"),
        ("\n", "Unknown"),
        ("é", "Unknown"),
    ] {
        let answers = vec![said(0, 7), failed(1, code)];
        let found = aggregate(&feed(2, 1, 0), slot(), slot().timestamp(), answers).unwrap();
        assert_eq!(left_out(&found), [format!("b {reason}")]);
    }
}

#[test]
fn the_demo_feed_has_one_source() {
    let found = Aggregate::demo(537, before(588));
    assert_eq!((found.value, found.spread), (537, 0));
    assert_eq!(found.sources[0].source.as_str(), "random");
    assert_eq!(found.sources[0].observed, before(588));
    assert!(found.left_out.is_empty());
}

/// The specification word by word, with whole lists and no cleverness: who
/// takes part, by index.
fn model(said: &BTreeMap<usize, i128>, quorum: usize, bps: i128) -> Option<Vec<usize>> {
    let mut left = said.clone();
    while !left.is_empty() {
        let mut sorted: Vec<i128> = left.values().copied().collect();
        sorted.sort_unstable();
        let count = sorted.len();
        let twice_median = match count % 2 {
            1 => 2 * sorted[count / 2],
            _ => sorted[count / 2 - 1] + sorted[count / 2],
        };
        if (sorted[count - 1] - sorted[0]) * 2 * 10_000 <= twice_median.abs().saturating_mul(bps) {
            break;
        }
        let distance = |value: &i128| (2 * value - twice_median).abs();
        let farthest = sorted.iter().map(distance).max().unwrap();
        left.retain(|_, value| distance(value) < farthest);
    }
    (left.len() >= quorum).then(|| left.into_keys().collect())
}

/// Values that often agree, and now and then do not.
fn values_said() -> impl Strategy<Value = Vec<i128>> {
    let near = |center: i128| (center - 30..=center + 30).boxed();
    prop_oneof![
        near(1000),
        near(-1000),
        near(0),
        near(MAX_VALUE - 30),
        prop_oneof![near(1000), near(1000), near(1000), -3000..3000_i128].boxed(),
        (-MAX_VALUE..=MAX_VALUE).boxed(),
    ]
    .prop_flat_map(|one| {
        let value = prop_oneof![6 => one - 30..=one + 30, 1 => -5000..5000_i128, 1 => Just(one)];
        let value = value.prop_map(|value| value.clamp(-MAX_VALUE, MAX_VALUE));
        prop::collection::vec(value, 1..=16)
    })
}

fn bps() -> impl Strategy<Value = u32> {
    prop_oneof![0..1000_u32, Just(0), Just(10_000), 0..100_000_u32]
}

prop_compose! {
    fn case()(numbers in values_said(), bps in bps())(
        quorum in 1..=numbers.len(),
        bps in Just(bps),
        order in Just((0..numbers.len()).collect::<Vec<_>>()).prop_shuffle(),
        kinds in prop::collection::vec(0..8_u8, numbers.len()),
        numbers in Just(numbers),
    ) -> (HttpFeed, BTreeMap<usize, i128>, Vec<Answer>, Vec<Answer>) {
        let feed = feed(numbers.len(), quorum, bps);
        let mut fresh = BTreeMap::new();
        let answer = |(index, value): (usize, &i128)| match kinds[index] {
            0 => failed(index, "RemoteTimedOut"),
            1 => said_at(index, *value, before(60_001)),
            _ => {
                fresh.insert(index, *value);
                said(index, *value)
            }
        };
        let answers: Vec<_> = numbers.iter().enumerate().map(answer).collect();
        let shuffled = order.into_iter().map(|index| answers[index].clone()).collect();
        (feed, fresh, answers, shuffled)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_outcome_is_that_of_a_naive_model((feed, fresh, answers, _) in case()) {
        let quorum = usize::from(feed.quorum);
        let found = aggregate(&feed, slot(), slot().timestamp(), answers);
        if fresh.len() < quorum {
            prop_assert_eq!(found.unwrap_err().code(), "QuorumNotReached");
            return Ok(());
        }
        let Some(expected) = model(&fresh, quorum, feed.max_spread_bps.into()) else {
            prop_assert_eq!(found.unwrap_err().code(), "SpreadExceeded");
            return Ok(());
        };
        let found = found.unwrap();
        let names: String = expected.iter().map(|index| name(*index)).collect();
        prop_assert_eq!(took_part(&found), names);
    }

    #[test]
    fn the_order_of_answers_changes_nothing((feed, _, answers, shuffled) in case()) {
        prop_assert_eq!(aggregate(&feed, slot(), slot().timestamp(), answers), aggregate(&feed, slot(), slot().timestamp(), shuffled));
    }

    #[test]
    fn what_is_published_keeps_every_promise((feed, fresh, answers, _) in case()) {
        let all = feed.sources.len();
        match aggregate(&feed, slot(), slot().timestamp(), answers) {
            Ok(found) => {
                let mut values: Vec<_> = found.sources.iter().map(|part| part.value).collect();
                values.sort_unstable();
                let (low, high) = (values[0], values[values.len() - 1]);
                prop_assert!(values.len() >= feed.quorum.into());
                prop_assert!((low..=high).contains(&found.value));
                let below = values.iter().filter(|value| **value < found.value).count();
                let above = values.iter().filter(|value| **value > found.value).count();
                prop_assert!(2 * below <= values.len() && 2 * above <= values.len());
                prop_assert_eq!(found.spread, high - low);
                // Up to the rounding of the median by a half.
                let twice = 2 * found.value.abs() + 1;
                let limit = twice.saturating_mul(feed.max_spread_bps.into());
                prop_assert!(found.spread * 20_000 <= limit);

                let names = found.sources.iter().map(|part| &part.source);
                prop_assert!(names.is_sorted());
                prop_assert!(found.left_out.iter().map(|one| &one.source).is_sorted());
                prop_assert_eq!(found.sources.len() + found.left_out.len(), all);
                let outliers = found.left_out.iter();
                let outliers = outliers.filter(|one| one.reason.as_str() == "SourceOutlier");
                prop_assert_eq!(outliers.count() + values.len(), fresh.len());
            }
            Err(NotPublished::QuorumNotReached { have, why, .. }
                | NotPublished::SpreadExceeded { have, why, .. }) => {
                prop_assert_eq!(have + why.len(), all);
                prop_assert!(have < feed.quorum.into());
            }
        }
    }
}
