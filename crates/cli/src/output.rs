//! What a person or a machine sees.

use std::io::{ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::CliError;

/// Where everything is printed. Colours appear only on a terminal.
pub(crate) struct Output {
    json: bool,
}

/// Where there is no terminal to ask, such as in a log.
const WIDTH: u16 = 80;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const TITLE: Style = Style::new().bold();

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints `value` where JSON is asked for, else what `text` prints.
    pub(crate) fn show(
        &self,
        value: &impl Serialize,
        text: impl FnOnce(&Self),
    ) -> Result<(), CliError> {
        if self.json {
            let json = serde_json::to_string_pretty(value).map_err(CliError::input)?;
            anstream::println!("{json}");
        } else {
            text(self);
        }
        Ok(())
    }

    /// Prints one of many: a line of JSON where that is asked for, else `text`.
    /// `false` where nobody reads any more.
    pub(crate) fn event(
        &self,
        value: &impl Serialize,
        text: impl std::fmt::Display,
    ) -> Result<bool, CliError> {
        let mut out = anstream::stdout();
        let printed = if self.json {
            let json = serde_json::to_string(value).map_err(CliError::input)?;
            writeln!(out, "{json}")
        } else {
            writeln!(out, "{text}")
        };
        match printed.and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(CliError::Input(format!("standard output: {error}"))),
        }
    }

    /// Columns that a line may have.
    pub(crate) fn width(&self) -> usize {
        let width = if std::io::stdout().is_terminal() {
            Table::new().width().unwrap_or(WIDTH)
        } else {
            WIDTH
        };
        width.into()
    }

    pub(crate) fn line(&self, text: impl std::fmt::Display) {
        anstream::println!("{text}");
    }

    /// A note for a person, kept away from what a machine reads.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.json || std::io::stderr().is_terminal() {
            anstream::eprintln!("{DIM}{text}{DIM:#}");
        }
    }

    pub(crate) fn title(&self, text: impl std::fmt::Display) {
        anstream::println!("{TITLE}{text}{TITLE:#}");
    }

    pub(crate) fn table<const N: usize>(&self, header: [&str; N], rows: Vec<[String; N]>) {
        let width = (!std::io::stdout().is_terminal()).then_some(WIDTH);
        anstream::println!("{}", table(header, rows, width));
    }

    /// Whether there is anybody to see how far something is.
    pub(crate) fn shows_progress(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// How far something is: one line of a terminal, in place of the one before.
    pub(crate) fn progress(&self, text: impl std::fmt::Display) {
        if self.shows_progress() {
            anstream::eprint!("\r\x1b[K{DIM}{text}{DIM:#}");
        }
    }

    /// Takes that line away.
    pub(crate) fn end_progress(&self) {
        if self.shows_progress() {
            anstream::eprint!("\r\x1b[K");
        }
    }

    pub(crate) fn error(&self, error: &CliError) {
        anstream::eprintln!("{BAD}error:{BAD:#} {error}");
    }
}

/// What the last column of a table has before another is broken for it.
const LAST: usize = 16;

/// Rows below their header; `None` is the terminal's width. The last column is
/// broken first: the others have names and numbers, which somebody may copy.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: Vec<[String; N]>,
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.map(|name| name.to_uppercase()));
    if let Some(width) = width {
        table.set_width(width);
    }
    for row in rows {
        table.add_row(row);
    }
    let widths: Vec<usize> = table
        .column_max_content_widths()
        .into_iter()
        // With the space on both of its sides.
        .map(|width| usize::from(width) + 2)
        .collect();
    if let (Some(all), [names @ .., _]) = (table.width(), widths.as_slice())
        && names.iter().sum::<usize>() + LAST <= usize::from(all)
    {
        for column in table.column_iter_mut().take(names.len()) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.to_string().trim_end().to_owned()
}

/// Text that says that all is well.
pub(crate) fn good(text: impl std::fmt::Display) -> String {
    format!("{GOOD}{text}{GOOD:#}")
}

/// Text that says that something may become wrong.
pub(crate) fn warning(text: impl std::fmt::Display) -> String {
    format!("{WARNING}{text}{WARNING:#}")
}

/// Text that says that something is wrong.
pub(crate) fn bad(text: impl std::fmt::Display) -> String {
    format!("{BAD}{text}{BAD:#}")
}

/// Text as it is where there are no colours.
#[cfg(test)]
pub(crate) fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    // A cell is filled up with spaces.
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}
