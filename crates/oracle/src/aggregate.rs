use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt,
    ops::{Bound, RangeBounds},
};

use jiff::{SignedDuration, Timestamp};
use offchain_codes::Coded;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    HttpFeed, Observation, Slot, SourceName,
    number::LIMIT,
    text::{integer_text, millisecond_text, milliseconds, text_type},
};

/// The greatest absolute value: 33 decimal digits.
pub const MAX_VALUE: i128 = LIMIT - 1;

/// How far ahead a source's clock may be.
const MAX_AHEAD: SignedDuration = SignedDuration::from_secs(5);

/// What came of asking a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// The source.
    pub source: SourceName,
    /// What it said, or why nothing.
    pub outcome: Result<Observation, Fault>,
}

/// Why a source takes no part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The stable code, such as `SourceStale`.
    pub code: &'static str,
    /// What happened, for operators.
    pub text: String,
}

impl Fault {
    /// The fault that an error is.
    pub fn of(error: &impl Coded) -> Self {
        Self {
            code: error.code(),
            text: offchain_codes::chain(error),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code, self.text)
    }
}

/// What the sources of a feed say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// The median of those that took part.
    pub value: i128,
    /// The greatest less the least of those that took part.
    pub spread: i128,
    /// Who took part, sorted by name.
    pub sources: Vec<Part>,
    /// Who did not, sorted by name.
    pub left_out: Vec<LeftOut>,
}

/// A source that took part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The source.
    pub source: SourceName,
    /// What it said. In JSON a text.
    #[serde(with = "integer_text")]
    pub value: i128,
    /// When that was so, in milliseconds.
    #[serde(with = "millisecond_text")]
    pub observed: Timestamp,
}

/// A source that took no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The source.
    pub source: SourceName,
    /// The code of its fault.
    pub reason: Reason,
}

impl LeftOut {
    fn new(source: SourceName, fault: &Fault) -> Self {
        Self {
            source,
            reason: Reason::of(fault.code),
        }
    }
}

/// A text that is no [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a reason of 1 to 64 characters out of A-Z, a-z and 0-9")]
pub struct ReasonError;

text_type!(
    /// A stable code: 1 to 64 characters out of `A-Z`, `a-z` and `0-9`.
    Reason,
    ReasonError,
    ReasonError,
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
);

impl Reason {
    /// Every code in use is a reason already. Were one not, a reading would
    /// still have no line that its code made up.
    fn of(code: &'static str) -> Self {
        let kept = code.chars().filter(char::is_ascii_alphanumeric).take(64);
        let text: String = kept.collect();
        text.try_into()
            .unwrap_or_else(|_| Self("Unknown".to_owned()))
    }
}

/// A source that took no part, with all that is known about why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// The source.
    pub source: SourceName,
    /// Why.
    pub fault: Fault,
}

/// Why a feed has no value for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotPublished {
    /// Too few sources gave a value of that time.
    #[error("expected fresh answers of {want} sources or more, found {have}: {}", list(.why))]
    QuorumNotReached {
        /// Sources that could be used.
        have: usize,
        /// The feed's quorum.
        want: u8,
        /// Everyone else, sorted by name.
        why: Vec<Excluded>,
    },
    /// Too few sources agree.
    #[error(
        "expected {want} sources or more within {max_spread_bps}/10000 of their median, \
         found {have}: {}",
        list(.why)
    )]
    SpreadExceeded {
        /// Sources left when all outliers were left out.
        have: usize,
        /// The feed's quorum.
        want: u8,
        /// The feed's limit.
        max_spread_bps: u32,
        /// Everyone else, sorted by name.
        why: Vec<Excluded>,
    },
}

impl NotPublished {
    /// The sources that took no part, sorted by name.
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        let (Self::QuorumNotReached { why, .. } | Self::SpreadExceeded { why, .. }) = self;
        why.iter()
            .map(|one| LeftOut::new(one.source.clone(), &one.fault))
            .collect()
    }
}

fn list(excluded: &[Excluded]) -> String {
    let texts = excluded
        .iter()
        .map(|one| format!("{} {}", one.source, one.fault));
    texts.collect::<Vec<_>>().join("; ")
}

impl Coded for NotPublished {
    fn code(&self) -> &'static str {
        match self {
            Self::QuorumNotReached { .. } => "QuorumNotReached",
            Self::SpreadExceeded { .. } => "SpreadExceeded",
        }
    }

    fn retryable(&self) -> bool {
        match self {
            Self::QuorumNotReached { .. } | Self::SpreadExceeded { .. } => false,
        }
    }
}

impl Aggregate {
    /// The aggregate of the one source of a demo feed, `random`.
    #[must_use]
    pub fn demo(number: u16, observed: Timestamp) -> Self {
        Self {
            value: number.into(),
            spread: 0,
            sources: vec![Part {
                source: SourceName::random(),
                value: number.into(),
                observed,
            }],
            left_out: Vec::new(),
        }
    }
}

/// The value of a feed for a slot, out of what its sources answered by `now`.
///
/// Every source of the feed ends up in the aggregate, or in the error, once;
/// an answer of anyone else is dropped, and of two answers of one source the
/// same one counts whatever their order.
///
/// # Errors
///
/// [`NotPublished::QuorumNotReached`] if fewer sources than the quorum gave a
/// fresh value, [`NotPublished::SpreadExceeded`] if fewer are left without the
/// outliers.
pub fn aggregate(
    feed: &HttpFeed,
    slot: Slot,
    now: Timestamp,
    mut answers: Vec<Answer>,
) -> Result<Aggregate, NotPublished> {
    answers.sort();
    let mut answers: BTreeMap<_, _> = answers
        .into_iter()
        .rev() // so that the first of a source is the one that stays
        .map(|answer| (answer.source, answer.outcome))
        .collect();
    let mut fresh = Vec::new();
    let mut excluded = BTreeMap::new();
    for source in &feed.sources {
        let outcome = answers.remove(&source.name).unwrap_or_else(|| {
            Err(Fault {
                code: "SourceUnanswered",
                text: "there is no answer of it".to_owned(),
            })
        });
        match outcome.and_then(|observation| usable(feed, slot, now, observation)) {
            Ok(Observation { value, observed }) => fresh.push(Part {
                source: source.name.clone(),
                value,
                observed,
            }),
            Err(fault) => {
                excluded.insert(source.name.clone(), fault);
            }
        }
    }
    let want = feed.quorum;
    if fresh.len() < want.into() {
        return Err(NotPublished::QuorumNotReached {
            have: fresh.len(),
            want,
            why: why(excluded),
        });
    }

    fresh.sort_by_key(|part| part.value);
    while let Some(bounds) = agreeing_part(&fresh, feed.max_spread_bps) {
        let (kept, outliers) = std::mem::take(&mut fresh)
            .into_iter()
            .partition(|part| bounds.contains(&part.value));
        fresh = kept;
        excluded.extend(Vec::into_iter(outliers).map(|part: Part| {
            let text = format!("{} is too far from the median", part.value);
            let code = "SourceOutlier";
            (part.source, Fault { code, text })
        }));
    }
    let values: Vec<_> = fresh.iter().map(|part| part.value).collect();
    match (median(&values), spread(&values)) {
        (Some(value), Some(spread)) if values.len() >= want.into() => {
            fresh.sort_by(|a, b| a.source.cmp(&b.source));
            let left_out = excluded
                .into_iter()
                .map(|(source, fault)| LeftOut::new(source, &fault));
            Ok(Aggregate {
                value,
                spread,
                sources: fresh,
                left_out: left_out.collect(),
            })
        }
        _ => Err(NotPublished::SpreadExceeded {
            have: values.len(),
            want,
            max_spread_bps: feed.max_spread_bps,
            why: why(excluded),
        }),
    }
}

fn why(excluded: BTreeMap<SourceName, Fault>) -> Vec<Excluded> {
    let excluded = excluded.into_iter();
    excluded
        .map(|(source, fault)| Excluded { source, fault })
        .collect()
}

/// Whether the observation is of the slot's time and within the range of values.
fn usable(
    feed: &HttpFeed,
    slot: Slot,
    now: Timestamp,
    observation: Observation,
) -> Result<Observation, Fault> {
    // A late try finds what is newer than its slot.
    let latest = slot.timestamp().max(now);
    let age = slot.timestamp().duration_since(observation.observed);
    let fault = |code, text| Err(Fault { code, text });
    if age > SignedDuration::from_secs(feed.max_age_seconds.into()) {
        let max = feed.max_age_seconds;
        fault(
            "SourceStale",
            format!(
                "its value is of {}, more than {max} s before",
                milliseconds(observation.observed)
            ),
        )
    } else if observation.observed.duration_since(latest) > MAX_AHEAD {
        fault(
            "SourceAhead",
            format!(
                "its value is of {}, more than 5 s after",
                milliseconds(observation.observed)
            ),
        )
    } else if observation.value.unsigned_abs() > MAX_VALUE.unsigned_abs() {
        fault(
            "ValueInvalid",
            "its value has more than 33 digits".to_owned(),
        )
    } else {
        Ok(observation)
    }
}

/// If the parts, sorted by value, are too far apart: where those that are not
/// the farthest from the median are.
///
/// The median of this comparison is exact, and so is the comparison: no sum of
/// two values has more than 34 digits, and 20000 has 5.
fn agreeing_part(sorted: &[Part], max_spread_bps: u32) -> Option<(Bound<i128>, Bound<i128>)> {
    let low = sorted.first()?.value;
    let high = sorted.last()?.value;
    let twice_median = sorted[(sorted.len() - 1) / 2].value + sorted[sorted.len() / 2].value;
    let limit = twice_median.abs().checked_mul(max_spread_bps.into());
    // A limit that overflows is above every spread.
    if limit.is_none_or(|limit| (high - low) * 20_000 <= limit) {
        return None;
    }
    // high - median > median - low, without halves.
    Some(match (low + high).cmp(&twice_median) {
        Ordering::Greater => (Bound::Unbounded, Bound::Excluded(high)),
        Ordering::Less => (Bound::Excluded(low), Bound::Unbounded),
        Ordering::Equal => (Bound::Excluded(low), Bound::Excluded(high)),
    })
}

/// The middle value, or the mean of the two in the middle, a half rounded to
/// even. `None` without a value or with one out of range.
pub(crate) fn median(values: &[i128]) -> Option<i128> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let low = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    let high = *sorted.get(sorted.len() / 2)?;
    let sum = low.checked_add(high)?;
    let floor = sum.div_euclid(2);
    let rounds_up = sum.rem_euclid(2) == 1 && floor.rem_euclid(2) == 1;
    Some(floor + i128::from(rounds_up))
}

/// The greatest value less the least.
pub(crate) fn spread(values: &[i128]) -> Option<i128> {
    let high = values.iter().max()?;
    high.checked_sub(*values.iter().min()?)
}
