//! Looks for transactions by what they did.

use crate::block::Delivered;

const LIMIT: usize = 100;

/// What is looked for, and which part of what is found is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// All must hold.
    conditions: Vec<(String, String)>,
    offset: usize,
    limit: usize,
    newest_first: bool,
}

impl Search {
    /// Reads the members of a query such as
    /// `events=transfer.recipient='cosmos1…'&pagination.limit=2`.
    pub(crate) fn read(query: &[(String, String)]) -> Result<Self, String> {
        let mut search = Self {
            conditions: Vec::new(),
            offset: 0,
            limit: LIMIT,
            newest_first: false,
        };
        for (name, value) in query {
            match name.as_str() {
                "events" => search.conditions.push(condition(value)?),
                "pagination.offset" => search.offset = number(name, value)?,
                "pagination.limit" => search.limit = number(name, value)?.clamp(1, LIMIT),
                "order_by" => search.newest_first = value == "ORDER_BY_DESC" || value == "2",
                _ => {}
            }
        }
        if search.conditions.is_empty() {
            return Err("must declare at least one event to search".to_owned());
        }
        Ok(search)
    }

    /// The part that is shown, and how many there are.
    pub(crate) fn run<'a>(
        &self,
        all: impl Iterator<Item = &'a Delivered>,
    ) -> (Vec<&'a Delivered>, usize) {
        let mut found: Vec<&Delivered> = all.filter(|tx| self.is_met(tx)).collect();
        if self.newest_first {
            found.reverse();
        }
        let total = found.len();
        let shown = found.into_iter().skip(self.offset).take(self.limit);
        (shown.collect(), total)
    }

    fn is_met(&self, delivered: &Delivered) -> bool {
        self.conditions
            .iter()
            .all(|(name, value)| match name.as_str() {
                "tx.height" => delivered.height.to_string() == *value,
                "tx.hash" => delivered.tx.hash.eq_ignore_ascii_case(value),
                name => {
                    let mut events = delivered.outcome.events.iter();
                    events.any(|event| event.has(name, value))
                }
            })
    }
}

fn condition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| name.contains('.'))
        .ok_or_else(|| format!("invalid event; event {text} should be of the format: {{eventType}}.{{eventAttribute}}={{value}}"))?;
    Ok((
        name.trim().to_owned(),
        value.trim().trim_matches('\'').to_owned(),
    ))
}

fn number(name: &str, value: &str) -> Result<usize, String> {
    value
        .parse()
        .map_err(|_| format!("parsing field {name}: not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_query() {
        let query = [
            ("events", "transfer.recipient='a'"),
            ("events", "tx.height=7"),
            ("pagination.limit", "2"),
        ];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let search = Search::read(&query).unwrap();
        let condition = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            search.conditions,
            [
                condition("transfer.recipient", "a"),
                condition("tx.height", "7")
            ]
        );
        assert_eq!((search.offset, search.limit), (0, 2));
        assert!(Search::read(&[]).is_err());
        assert!(Search::read(&[condition("events", "nonsense")]).is_err());
    }
}
