//! What others wrote, laid out for a terminal.

/// Columns of a field's name, with what stands before and after it.
const NAME: usize = 16;
/// What a text has in any case.
const LEAST: usize = 20;

/// A name and its text, on lines of `width` columns.
pub(crate) fn field(name: &str, text: &str, width: usize) -> Vec<String> {
    let lines = wrap(text, width.saturating_sub(NAME).max(LEAST));
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    lines
        .into_iter()
        .zip(names)
        .map(|(line, name)| format!("  {name:<12}  {line}").trim_end().to_owned())
        .collect()
}

/// The text on lines of `width` characters, broken at spaces where there are
/// some. What a terminal would take for a command is left out.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let clean: Vec<char> = clean(text).chars().collect();
    let mut rest = clean.as_slice();
    let mut lines = Vec::new();
    while rest.len() > width {
        let (line, after) = match rest[..=width].iter().rposition(|char| *char == ' ') {
            Some(space) if space > width / 2 => (&rest[..space], &rest[space + 1..]),
            _ => rest.split_at(width),
        };
        lines.push(line.iter().collect());
        rest = after;
    }
    lines.push(rest.iter().collect());
    lines
}

/// The text on one line. What a terminal would take for a command is left out.
pub(crate) fn clean(text: &str) -> String {
    let line = text.trim().replace(['\n', '\t'], " ");
    line.chars().filter(|char| !char.is_control()).collect()
}

/// The last part of an ARN, which names the resource to a person.
pub(crate) fn name(arn: &str) -> &str {
    arn.rsplit([':', '/']).next().unwrap_or(arn)
}

/// A stretch of time, roughly.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// So many of a thing.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_broken_at_spaces_or_where_it_must() {
        assert_eq!(
            field("reason", "expected a text of the member RideId", 40),
            [
                "  reason        expected a text of the",
                "                member RideId"
            ]
        );
        assert_eq!(
            field("event", &"x".repeat(44), 40),
            [
                "  event         xxxxxxxxxxxxxxxxxxxxxxxx",
                "                xxxxxxxxxxxxxxxxxxxx"
            ]
        );
        assert_eq!(field("code", "", 40), ["  code"]);
        assert_eq!(field("code", "a", 0), ["  code          a"]);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert_eq!(clean("a\x1b[31mb\nc\u{9b}d\r"), "a[31mb cd");
    }

    #[test]
    fn an_age_is_as_exact_as_it_matters() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn an_arn_s_last_part_is_its_name() {
        for (arn, expected) in [
            ("arn:aws:sqs:eu-central-1:1:q", "q"),
            ("arn:aws:dynamodb:eu-central-1:1:table/t", "t"),
            ("q", "q"),
        ] {
            assert_eq!(name(arn), expected);
        }
    }
}
