//! Counts the gas that a transaction uses.

use crate::refusal::{OUT_OF_GAS, Refusal};

/// Gas used, held against a limit.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: Option<u64>,
    used: u64,
}

impl Meter {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit: Some(limit),
            used: 0,
        }
    }

    /// For a simulation, which is to find out how much gas is used.
    pub(crate) fn unlimited() -> Self {
        Self {
            limit: None,
            used: 0,
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn consume(&mut self, gas: u64) -> Result<(), Refusal> {
        self.used += gas;
        match self.limit {
            Some(limit) if self.used > limit => Err(OUT_OF_GAS.of(format!(
                "out of gas in location: WriteFlat; gasWanted: {limit}, gasUsed: {}",
                self.used
            ))),
            _ => Ok(()),
        }
    }
}
