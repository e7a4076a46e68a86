//! Secret text from standard input: neither a list of processes nor a shell's
//! history shows it.

use std::io::{IsTerminal, Read};

use zeroize::Zeroizing;

use crate::error::CliError;
use crate::output::Output;

/// More than any secret that a person has.
pub(crate) const LIMIT: u64 = 8 * 1024;

/// What is given, and a byte more than [`LIMIT`] where that is too much.
/// `prompt` is for a person at a terminal, who gives one line.
pub(crate) fn read(output: &Output, prompt: &str) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    let stdin = std::io::stdin();
    let read = if stdin.is_terminal() {
        output.note(prompt);
        stdin.read_line(&mut text)
    } else {
        stdin.take(LIMIT + 1).read_to_string(&mut text)
    };
    read.map_err(|error| CliError::Input(format!("standard input: {error}")))?;
    Ok(text)
}
