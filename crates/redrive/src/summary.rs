use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DeadLetter, Destination, Fingerprint, Source};

/// The most characters of a reason in a [`Letter`].
pub const MAX_REASON: usize = 200;

/// The first `characters` of a text.
#[must_use]
pub fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its destination took it, and it left its queue.
    Redriven,
    /// Its destination did not take it, and it is still in its queue.
    Failed,
    /// It left its queue for the quarantine.
    Quarantined,
}

impl Outcome {
    /// Its name, as it is in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redriven => "redriven",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A dead letter in a list: what is told of it, without its event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The message that it was read from.
    pub message_id: String,
    /// What it is known by.
    pub fingerprint: Fingerprint,
    /// What sent it.
    pub source: Source,
    /// The name of the error.
    pub code: String,
    /// The first [`MAX_REASON`] characters of the error's text.
    pub reason: String,
    /// Where it goes back to, if it can.
    pub destination: Option<Destination>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why that became of it, or why it cannot go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often it went back.
    pub redrives: u32,
}

impl DeadLetter {
    /// What is told of the letter, which went back so often.
    #[must_use]
    pub fn summary(&self, redrives: u32) -> Letter {
        let detail = self.destination.as_ref().err();
        Letter {
            message_id: self.message_id.clone(),
            fingerprint: self.fingerprint.clone(),
            source: self.source,
            code: self.code.clone(),
            reason: cut(&self.reason, MAX_REASON),
            destination: self.destination.as_ref().ok().cloned(),
            outcome: None,
            detail: detail.map(|error| cut(&error.to_string(), MAX_REASON)),
            redrives,
        }
    }
}

impl Letter {
    /// The same with what became of it. A detail that is there replaces the
    /// one before.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome, detail: Option<String>) -> Self {
        self.outcome = Some(outcome);
        if let Some(detail) = detail {
            self.detail = Some(cut(&detail, MAX_REASON));
        }
        self
    }
}
