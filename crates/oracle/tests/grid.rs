//! The grid of slots, held against a loop over every second.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use offchain_oracle::{Interval, Slot, SlotError};
use proptest::prelude::*;

const INTERVALS: [u32; 12] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];

fn every(seconds: u32) -> Interval {
    Interval::new(seconds).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

fn texts(slots: impl Iterator<Item = Slot>) -> Vec<String> {
    slots.map(|slot| slot.to_string()).collect()
}

#[test]
fn an_interval_divides_a_minute() {
    for seconds in 0..=200 {
        let text = seconds.to_string();
        if INTERVALS.contains(&seconds) {
            let interval = every(seconds);
            assert_eq!(interval.seconds(), seconds);
            assert_eq!(interval.to_string(), text);
            assert_eq!(text.parse(), Ok(interval));
        } else {
            let error = Interval::new(seconds).unwrap_err();
            assert_eq!(text.parse::<Interval>(), Err(error));
        }
    }
    for seconds in [0, 7, 61, u32::MAX] {
        assert_eq!(
            Interval::new(seconds).unwrap_err().to_string(),
            format!(
                "expected an interval of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60 seconds, \
                 found {seconds}"
            )
        );
    }
    for text in ["", "two", "-2", "+2", "02", "2.0", " 2", "2 ", "4294967296"] {
        let error = text.parse::<Interval>().unwrap_err();
        assert!(error.to_string().ends_with(&format!("found {text:?}")));
        assert_eq!((error.code(), error.retryable()), ("ConfigInvalid", false));
    }
}

#[test]
fn a_slot_has_one_text_and_is_read_from_many() {
    let expected = slot("2026-11-21T11:00:02Z");
    assert_eq!(expected.to_string(), "2026-11-21T11:00:02Z");
    assert_eq!(expected.timestamp().as_second(), 1_795_258_802);
    let json = serde_json::to_string(&expected).unwrap();
    assert_eq!(json, "\"2026-11-21T11:00:02Z\"");
    for text in [
        "2026-11-21T11:00:02Z",
        "2026-11-21t11:00:02z",
        "2026-11-21T11:00:02.000Z",
        "2026-11-21T11:00:02.0Z",
        "2026-11-21T12:00:02+01:00",
        "2026-11-20T23:00:02-12:00",
        "2026-11-21T11:00:02-00:00",
    ] {
        assert_eq!(slot(text), expected, "{text}");
        let json = format!("\"{text}\"");
        assert_eq!(serde_json::from_str::<Slot>(&json).unwrap(), expected);
    }
}

#[test]
fn what_is_no_whole_second_of_rfc_3339_is_no_slot() {
    for text in [
        "",
        "1795258802",
        "2026-11-21",
        "2026-11-21T11:00Z",
        "2026-11-21T11:00:02",
        "2026-11-21 11:00:02Z",
        "2026-11-21T11:00:02.5Z",
        "2026-11-21T11:00:02.000000001Z",
        "2026-11-21T11:00:02.Z",
        "2026-11-21T11:00:02,0Z",
        "2026-11-21T11:00:02+01",
        "2026-11-21T11:00:02+0100",
        "2026-11-21T11:00:02Z[UTC]",
        "2026-11-21T11:00:02+01:00[Europe/Paris]",
        "+002026-11-21T11:00:02Z",
        "20261121T110002Z",
        "2026-11-31T11:00:02Z",
        "2026-02-29T11:00:02Z",
        "2026-11-21T24:00:00Z",
        "2026-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59Z",
        "2026-11-21T11:00:02Z ",
        "2026-11-21T11:00:02é",
    ] {
        assert_eq!(text.parse::<Slot>(), Err(SlotError), "{text}");
    }
    assert!(serde_json::from_str::<Slot>("1795258802").is_err());
    assert!(Slot::try_from(time("2026-11-21T11:00:02.001Z")).is_err());
    assert!(Slot::try_from(Timestamp::MIN).is_err());
    assert_eq!(
        (SlotError.code(), SlotError.retryable()),
        ("SlotInvalid", false)
    );
    assert!(SlotError.to_string().starts_with("expected a slot"));
}

#[test]
fn slots_roll_over_every_unit_of_time() {
    for (before, after) in [
        ("2026-11-21T11:00:58Z", "2026-11-21T11:01:00Z"),
        ("2026-11-21T11:59:58Z", "2026-11-21T12:00:00Z"),
        ("2026-11-21T23:59:58Z", "2026-11-22T00:00:00Z"),
        ("2026-11-30T23:59:58Z", "2026-12-01T00:00:00Z"),
        ("2026-12-31T23:59:58Z", "2027-01-01T00:00:00Z"),
        ("2026-02-28T23:59:58Z", "2026-03-01T00:00:00Z"),
        ("2028-02-28T23:59:58Z", "2028-02-29T00:00:00Z"),
        ("2028-02-29T23:59:58Z", "2028-03-01T00:00:00Z"),
        ("2100-02-28T23:59:58Z", "2100-03-01T00:00:00Z"),
        // A leap second has no Unix time.
        ("2016-12-31T23:59:58Z", "2017-01-01T00:00:00Z"),
        ("1999-12-31T23:59:58Z", "2000-01-01T00:00:00Z"),
        ("2038-01-19T03:14:06Z", "2038-01-19T03:14:08Z"),
    ] {
        let (before, after) = (slot(before), slot(after));
        let two = every(2);
        assert_eq!(two.next(before), after);
        let between = before.timestamp() + SignedDuration::from_millis(1);
        assert_eq!(two.at_or_after(between), after);
        assert_eq!(two.at_or_before(between), before);
        let just_before = after.timestamp() - SignedDuration::from_nanos(1);
        assert_eq!(two.at_or_after(just_before), after);
        assert_eq!(two.at_or_before(just_before), before);
    }
}

#[test]
fn a_slot_off_the_grid_ends_where_the_grid_has_its_next() {
    assert_eq!(
        every(30).next(slot("2026-11-21T11:00:02Z")),
        slot("2026-11-21T11:00:30Z")
    );
    assert!(!every(30).contains(slot("2026-11-21T11:00:02Z")));
    assert!(every(30).contains(slot("2026-11-21T11:00:30Z")));
}

#[test]
fn a_minute_is_the_same_slots_whatever_the_lead() {
    let from = time("2026-12-31T23:59:30Z");
    let to = time("2027-01-01T00:00:30Z");
    assert_eq!(
        texts(every(20).slots(from, to)),
        [
            "2026-12-31T23:59:40Z",
            "2027-01-01T00:00:00Z",
            "2027-01-01T00:00:20Z"
        ]
    );
    // From the start on and before the end.
    let from = time("2026-11-21T11:00:00Z");
    assert_eq!(
        texts(every(30).slots(from, time("2026-11-21T11:01:00Z"))),
        ["2026-11-21T11:00:00Z", "2026-11-21T11:00:30Z"]
    );
    assert_eq!(texts(every(2).slots(from, from)), [""; 0]);
    assert_eq!(texts(every(2).slots(to, from)), [""; 0]);
    let just_after = from + SignedDuration::from_nanos(1);
    assert_eq!(
        texts(every(60).slots(from, just_after)),
        ["2026-11-21T11:00:00Z"]
    );
}

#[test]
fn at_the_ends_of_time_every_grid_ends() {
    let first = slot("1970-01-01T00:00:00Z");
    let last = slot("9999-12-30T22:00:00Z");
    assert_eq!(last.timestamp().as_second(), Timestamp::MAX.as_second());
    for seconds in INTERVALS {
        let interval = every(seconds);
        assert!(interval.contains(first) && interval.contains(last));
        for early in [Timestamp::MIN, time("1969-12-31T23:59:59.5Z")] {
            assert_eq!(interval.at_or_after(early), first);
            assert_eq!(interval.at_or_before(early), first);
            assert_eq!(interval.slots(early, Timestamp::UNIX_EPOCH).count(), 0);
        }
        assert_eq!(interval.at_or_after(Timestamp::MAX), last);
        assert_eq!(interval.at_or_before(Timestamp::MAX), last);
        assert_eq!(interval.next(last), last);
        let near = last.timestamp() - SignedDuration::from_secs(60);
        assert_eq!(
            interval.slots(near, Timestamp::MAX).count(),
            60 / seconds as usize + 1
        );
        assert_eq!(interval.slots(Timestamp::MAX, Timestamp::MAX).count(), 0);
    }
}

fn interval() -> impl Strategy<Value = Interval> {
    prop::sample::select(INTERVALS.map(every).to_vec())
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let second = 1_000_000_000_i128;
    // From 1970 to 2100, half of them close to a whole second.
    (0..4_102_444_800_i128, 0..second, any::<bool>()).prop_map(move |(whole, part, close)| {
        let part = if close { part % 2 } else { part };
        Timestamp::from_nanosecond(whole * second + part).unwrap()
    })
}

/// Looks at one second after another.
fn naive(interval: Interval, from: Timestamp, to: Timestamp) -> Vec<Slot> {
    (from.as_second()..=to.as_second())
        .map(|second| Timestamp::from_second(second).unwrap())
        .filter(|time| from <= *time && *time < to)
        .filter(|time| time.as_second() % i64::from(interval.seconds()) == 0)
        .map(|time| time.try_into().unwrap())
        .collect()
}

proptest! {
    #[test]
    fn the_grid_is_that_of_a_naive_loop(
        interval in interval(),
        from in any_time(),
        ms in 0..200_000_i64,
    ) {
        let to = from + SignedDuration::from_millis(ms);
        let expected = naive(interval, from, to);
        prop_assert_eq!(interval.slots(from, to).collect::<Vec<_>>(), expected.clone());
        for pair in expected.windows(2) {
            prop_assert_eq!(interval.next(pair[0]), pair[1]);
        }

        let minute = SignedDuration::from_mins(2);
        let nano = SignedDuration::from_nanos(1);
        let after = naive(interval, from, from + minute);
        prop_assert_eq!(interval.at_or_after(from), after[0]);
        if from.as_second() > 120 {
            let before = naive(interval, from - minute, from + nano);
            prop_assert_eq!(interval.at_or_before(from), *before.last().unwrap());
        }
    }

    #[test]
    fn minutes_neither_overlap_nor_leave_a_gap(
        interval in interval(),
        start in any_time(),
        lead in 5..=60_i64,
        minutes in 1..5_i64,
    ) {
        let start = every(60).at_or_before(start).timestamp() + SignedDuration::from_secs(lead);
        let minute = |n| start + SignedDuration::from_mins(n);
        let each: Vec<Vec<_>> = (0..minutes)
            .map(|n| interval.slots(minute(n), minute(n + 1)).collect())
            .collect();
        for slots in &each {
            prop_assert_eq!(slots.len(), 60 / interval.seconds() as usize);
            prop_assert!(slots.iter().all(|slot| interval.contains(*slot)));
        }
        let all: Vec<_> = interval.slots(minute(0), minute(minutes)).collect();
        prop_assert_eq!(each.concat(), all);
    }

    #[test]
    fn slots_read_back(second in 0..=253_402_207_200_i64) {
        let slot: Slot = Timestamp::from_second(second).unwrap().try_into().unwrap();
        let text = slot.to_string();
        prop_assert_eq!(text.len(), 20);
        prop_assert_eq!(text.parse(), Ok(slot));
    }
}
