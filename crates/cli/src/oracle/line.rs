//! A slot in one line.

use offchain_oracle::{LeftOut, SignedReading};

use crate::oracle::record::lateness;
use crate::oracle::{Record, decimal};
use crate::output::{bad, warning};

/// Columns of everything before the last one, with the gaps between them.
const SLOT: usize = 20;
const LATE: usize = 9;
const GAP: usize = 2;
/// What the last column has in any case: beside the longest value, 80 hold it.
const LEAST: usize = 8;

/// How slots are laid out: the values of one listing have one width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    value: usize,
    width: usize,
}

impl Layout {
    /// `width` is that of the whole line.
    pub(crate) fn new<'a>(width: usize, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let values = records
            .into_iter()
            .filter_map(Record::reading)
            .map(|reading| text(reading).len());
        Self {
            value: values.max().unwrap_or(0).max(8),
            width,
        }
    }

    pub(crate) fn header(&self) -> String {
        let value = self.value;
        format!(
            "{:<SLOT$}  {:>value$}  {:>LATE$}  SOURCES / LEFT OUT",
            "SLOT", "VALUE", "LATE"
        )
    }

    pub(crate) fn line(&self, record: &Record) -> String {
        match record {
            Record::Published(reading) => self.published(reading),
            Record::Missed(missed) => {
                let mut reason = missed.reason.clone();
                if !missed.left_out.is_empty() {
                    reason = format!("{reason}: {}", list(&missed.left_out));
                }
                self.without(record, "missed", &reason)
            }
            Record::Absent { .. } => self.without(record, "absent", "nothing is recorded yet"),
        }
    }

    fn published(&self, signed: &SignedReading) -> String {
        let reading = signed.reading();
        let late = lateness(signed);
        let (slot, value) = (reading.slot, text(signed));
        let start = format!("{slot:<SLOT$}  {value:>width$}", width = self.value);
        let late = format!("{:>LATE$}", format!("{late} ms"));
        let rest = self.rest(value.len());
        if let Err(invalid) = signed.verify() {
            let invalid = cut(&format!("invalid: {invalid}"), rest);
            return format!("{start}  {late}  {}", bad(invalid));
        }
        let sources: Vec<_> = reading
            .sources
            .iter()
            .map(|part| part.source.as_str())
            .collect();
        let sources = cut(&sources.join(", "), rest);
        let mut line = format!("{start}  {late}  {sources}");
        if !reading.left_out.is_empty() {
            let left_out = format!(" / {}", list(&reading.left_out));
            let left_out = cut(&left_out, rest.saturating_sub(sources.chars().count()));
            line.push_str(&warning(left_out));
        }
        line
    }

    fn without(&self, record: &Record, what: &str, reason: &str) -> String {
        let slot = format!("{:<SLOT$}", record.slot());
        let what = format!("{what:>width$}", width = self.value);
        // The column of the lateness has nothing to show.
        let reason = cut(reason, self.rest(what.len()) + LATE + GAP);
        format!("{slot}  {}  {}", bad(what), bad(reason))
    }

    /// Columns left for the last one.
    fn rest(&self, value: usize) -> usize {
        let before = SLOT + GAP + self.value.max(value) + GAP + LATE + GAP;
        self.width.saturating_sub(before).max(LEAST)
    }
}

fn list(left_out: &[LeftOut]) -> String {
    let texts = left_out
        .iter()
        .map(|left_out| format!("{} {}", left_out.source, left_out.reason));
    texts.collect::<Vec<_>>().join(", ")
}

fn text(reading: &SignedReading) -> String {
    let reading = reading.reading();
    decimal(reading.value, reading.exponent)
}

/// The beginning of a text that is too long. What a terminal would take for a
/// command is left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let mut clean = text.chars().filter(|char| !char.is_control());
    let mut kept: String = clean.by_ref().take(width).collect();
    // Where nothing fits, neither does the mark.
    if clean.next().is_some() && kept.pop().is_some() {
        kept.push('\u{2026}');
    }
    kept
}

#[cfg(test)]
mod tests {
    use offchain_oracle::SigningKey;

    use super::*;
    use crate::oracle::record::tests::{absent, missed, published, reading};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_slot_is_one_line_that_fits() {
        let records = [published(0, 12), missed(1), absent(2), published(3, -7)];
        let layout = Layout::new(80, &records);
        let lines: Vec<_> = records
            .iter()
            .map(|record| plain(&layout.line(record)))
            .collect();
        assert_eq!(
            lines,
            [
                "2026-11-21T11:00:00Z       537      12 ms  random",
                "2026-11-21T11:00:02Z    missed  QuorumNotReached: coinbase SourceStale",
                "2026-11-21T11:00:04Z    absent  nothing is recorded yet",
                "2026-11-21T11:00:06Z       537      -7 ms  invalid: expected a reading that was\u{2026}",
            ]
        );
        assert_eq!(
            layout.header(),
            "SLOT                     VALUE       LATE  SOURCES / LEFT OUT"
        );
    }

    #[test]
    fn who_was_left_out_is_told_as_far_as_there_is_room() {
        let (published, missed) = (reading(0, 12), missed(0));
        let Record::Missed(missed) = missed else {
            panic!("{missed:?}");
        };
        let mut changed = published.reading().clone();
        changed.left_out = missed.left_out;
        let signed = changed.sign(&SigningKey::from_bytes(&[1; 32]));
        let record = Record::Published(Box::new(signed));
        let line = |width| plain(&Layout::new(width, [&record]).line(&record));
        let start = "2026-11-21T11:00:00Z       537      12 ms  random";
        assert_eq!(line(80), format!("{start} / coinbase SourceStale"));
        assert_eq!(line(60), format!("{start} / coinbas\u{2026}"));
        assert_eq!(line(0), format!("{start} \u{2026}"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(cut("a\x1b[31mb\nc", 80), "a[31mbc");
        assert_eq!(cut("12345", 5), "12345");
        assert_eq!(cut("123456", 5), "1234\u{2026}");
        assert_eq!(cut("123456", 1), "\u{2026}");
        assert_eq!(cut("123456", 0), "");
    }
}
