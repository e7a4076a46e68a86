//! The log of a process that serves: text on a terminal, JSON elsewhere. It
//! goes to the standard error; what a machine waits for is on standard output.

use std::io::{IsTerminal, stderr};

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Starts it. `LOG_LEVEL` says what is logged, as in the functions.
pub(crate) fn init() {
    let level = std::env::var("LOG_LEVEL").unwrap_or_default();
    let filter = EnvFilter::builder()
        .with_default_directive(Level::INFO.into())
        .parse_lossy(level);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // Whoever logs already goes on doing so.
    let _ = if stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init()
    };
}
