/// The most messages a second.
pub const MAX_RATE: u32 = 100;
/// The most messages of a batch: what SQS hands out at once.
pub const MAX_BATCH: u32 = 10;
/// The most batches of a plan.
pub const MAX_BATCHES: usize = 1000;

/// How many messages are taken, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many messages each batch takes, 1 to [`MAX_BATCH`].
    pub batches: Vec<u32>,
    /// How many batches run side by side, each followed by a second of rest.
    pub concurrency: u32,
}

impl Plan {
    /// How many messages all batches take.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.batches.iter().sum()
    }
}

/// Plans the redrive of `matching` messages, or of the first `limit` of them,
/// at no more than `rate` messages a second, 1 to [`MAX_RATE`]. What does not go
/// into [`MAX_BATCHES`] batches is for another plan.
#[must_use]
pub fn plan(matching: u32, limit: Option<u32>, rate: u32) -> Plan {
    let rate = rate.clamp(1, MAX_RATE);
    let concurrency = rate.div_ceil(MAX_BATCH);
    let batch = rate / concurrency;
    let wanted = limit.map_or(matching, |limit| limit.min(matching));
    let batches = (0..wanted.div_ceil(batch))
        .take(MAX_BATCHES)
        .map(|before| (wanted - before * batch).min(batch))
        .collect();
    Plan {
        batches,
        concurrency,
    }
}
