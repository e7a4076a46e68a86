//! What the function is asked, and what it answers.

use jiff::Timestamp;
use offchain_redrive::{Filter, Fingerprint, Letter};
use serde::{Deserialize, Serialize};

/// One step of a redrive.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Looks at what a queue holds, and plans batches of what the filter
    /// takes. Nothing is changed.
    Plan {
        /// The dead-letter queue's name.
        queue: String,
        /// Which letters.
        #[serde(default)]
        filter: Filter,
        /// How many at most.
        #[serde(default)]
        limit: Option<u32>,
        /// Letters a second, 1 to 100.
        #[serde(default = "default_rate")]
        rate: u32,
    },
    /// Puts letters back.
    Redrive {
        /// The dead-letter queue's name.
        queue: String,
        /// Which letters.
        #[serde(default)]
        filter: Filter,
        /// How many at most, 1 to 10.
        count: u32,
        /// What was put back since then is left alone: a letter that comes
        /// back at once must not use up its redrives within one run.
        #[serde(default)]
        since: Option<Timestamp>,
    },
    /// Looks whether a letter that was put back is in the queue again.
    Observe {
        /// The dead-letter queue's name.
        queue: String,
        /// What the letter is known by.
        fingerprint: Fingerprint,
    },
}

fn default_rate() -> u32 {
    10
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// What was planned.
    Plan(Planned),
    /// What was put back.
    Redrive(Redriven),
    /// What was seen.
    Observe(Observed),
}

/// What a queue holds.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// Messages in the queue, as far as they were read.
    pub held: usize,
    /// Those that the filter takes.
    pub matching: usize,
    /// Whether all of the queue was read.
    pub complete: bool,
    /// A batch for each iteration of the Map, at most a second's worth each.
    pub batches: Vec<Batch>,
    /// How many iterations may run at once.
    pub concurrency: u32,
    /// The first letters that the filter takes.
    pub letters: Vec<Letter>,
}

/// One iteration.
#[derive(Debug, Serialize)]
pub struct Batch {
    /// Letters in it.
    pub count: u32,
}

/// How the letters of a batch ended.
#[derive(Debug, Serialize)]
pub struct Redriven {
    /// Those that their destination took.
    pub redriven: usize,
    /// Those that it did not take; they are still in the queue.
    pub failed: usize,
    /// Those that are put back no more.
    pub quarantined: usize,
    /// Each of them.
    pub letters: Vec<Letter>,
}

/// Whether a letter is in the queue again.
#[derive(Debug, Serialize)]
pub struct Observed {
    /// It is.
    pub back: bool,
    /// The letter, with what it failed with this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<Letter>,
}
