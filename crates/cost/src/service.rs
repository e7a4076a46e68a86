//! What each service counts, and what that comes to.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::MONTH_SECONDS;
use crate::dollars::Dollars;
use crate::table::{Price, PriceTable};

/// A processor that functions run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// Arm.
    Arm64,
}

impl Architecture {
    pub(crate) fn gb_second(self, prices: &PriceTable) -> &Price {
        match self {
            Self::X86_64 => &prices.prices.lambda_gb_second_x86_64,
            Self::Arm64 => &prices.prices.lambda_gb_second_arm64,
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

/// Runs of a function.
#[derive(Clone, Debug)]
pub struct Lambda {
    /// How many.
    pub runs: Decimal,
    /// How long each lasts.
    pub duration_ms: Decimal,
    /// The memory that the function is given.
    pub memory_mb: u32,
    /// What it runs on.
    pub architecture: Architecture,
}

impl Lambda {
    /// Gigabyte-seconds: runs by seconds by gigabytes.
    #[must_use]
    pub fn gb_seconds(&self) -> Decimal {
        gb_seconds(self.runs, self.duration_ms, self.memory_mb)
    }

    /// What being run costs, however long.
    #[must_use]
    pub fn requests(&self, prices: &PriceTable) -> Dollars {
        prices.prices.lambda_request.of(self.runs)
    }

    /// What running so long costs.
    #[must_use]
    pub fn duration(&self, prices: &PriceTable) -> Dollars {
        self.architecture.gb_second(prices).of(self.gb_seconds())
    }

    /// What all of it costs.
    #[must_use]
    pub fn cost(&self, prices: &PriceTable) -> Dollars {
        self.requests(prices) + self.duration(prices)
    }
}

fn gb_seconds(count: Decimal, duration_ms: Decimal, memory_mb: u32) -> Decimal {
    count
        .saturating_mul(duration_ms)
        .saturating_mul(memory_mb.into())
        / Decimal::from(1000 * 1024)
}

/// Executions of an Express machine.
#[derive(Clone, Debug)]
pub struct Express {
    /// How many.
    pub executions: Decimal,
    /// How long each lasts.
    pub duration_ms: Decimal,
    /// What each takes, before it is rounded up.
    pub memory_mb: u32,
}

impl Express {
    /// What they cost: memory by 64 MB, time by 100 ms.
    #[must_use]
    pub fn cost(&self, prices: &PriceTable) -> Dollars {
        let hundred = Decimal::from(100);
        let duration = (self.duration_ms / hundred).ceil().saturating_mul(hundred);
        let memory = self.memory_mb.div_ceil(64).saturating_mul(64);
        prices.prices.express_request.of(self.executions)
            + prices
                .prices
                .express_gb_second
                .of(gb_seconds(self.executions, duration, memory))
    }
}

/// A queue that an event source mapping reads for a function.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Messages that go through.
    pub messages: Decimal,
    /// Messages that one run of the function is given, on average.
    pub batch: u32,
}

impl Mapping {
    /// Pollers that Lambda keeps at a standard queue at the least.
    pub const POLLERS: u32 = 5;
    /// How long a poll of an empty queue waits.
    pub const POLL_SECONDS: u32 = 20;

    /// Runs of the function: batches.
    #[must_use]
    pub fn runs(&self) -> Decimal {
        (self.messages / Decimal::from(self.batch.max(1))).ceil()
    }

    /// Calls for the messages: each is sent by itself, received and deleted with its batch.
    #[must_use]
    pub fn calls(&self) -> Decimal {
        let runs = self.runs();
        self.messages.saturating_add(runs).saturating_add(runs)
    }

    /// Calls of a month in which every poll finds the queue empty. The most it can be
    /// beside [`Mapping::calls`]: a poller that is given messages waits for none.
    #[must_use]
    pub fn idle_polls() -> Decimal {
        Decimal::from(Self::POLLERS * (MONTH_SECONDS / Self::POLL_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> PriceTable {
        PriceTable::built_in().unwrap()
    }

    #[test]
    fn ten_million_runs_of_a_tenth_of_a_second_cost_four_dollars() {
        let mut lambda = Lambda {
            runs: Decimal::from(10_000_000),
            duration_ms: Decimal::from(100),
            memory_mb: 128,
            architecture: Architecture::X86_64,
        };
        // 10,000,000 × 0.1 s × 0.125 GB.
        assert_eq!(lambda.gb_seconds(), Decimal::from(125_000));
        // 10 × 0.20, and 125,000 × 0.0000166667.
        assert_eq!(lambda.requests(&prices()).amount(), Decimal::from(2));
        assert_eq!(
            lambda.duration(&prices()).amount(),
            Decimal::new(20_833_375, 7)
        );
        lambda.architecture = Architecture::Arm64;
        // 125,000 × 0.0000133334.
        assert_eq!(
            lambda.duration(&prices()).amount(),
            Decimal::new(1_666_675, 6)
        );
        assert_eq!(lambda.cost(&prices()).to_string(), "$3.67");
    }

    #[test]
    fn a_month_of_express_minutes_is_what_the_readme_says() {
        let minutes = Express {
            executions: Decimal::from(43_800),
            duration_ms: Decimal::from(88_000),
            memory_mb: 51,
        };
        // 43,800 × 0.000001 + 43,800 × 88 s × 0.0625 GB × 0.00001667 = 0.0438 + 4.0158.
        assert_eq!(
            minutes.cost(&prices()).amount().round_dp(6),
            Decimal::new(4_059_603, 6)
        );
    }

    #[test]
    fn an_express_execution_is_billed_by_64_megabytes_and_a_tenth_of_a_second() {
        let of = |duration: i64, memory_mb| {
            Express {
                executions: Decimal::ONE,
                duration_ms: Decimal::from(duration),
                memory_mb,
            }
            .cost(&prices())
        };
        assert_eq!(of(1, 1), of(100, 64));
        assert!(of(101, 64) > of(100, 64));
        assert_eq!(of(101, 65), of(200, 128));
    }

    #[test]
    fn a_mapping_polls_an_empty_queue_all_month() {
        // 5 pollers × 3 a minute × 43,800 minutes.
        assert_eq!(Mapping::idle_polls(), Decimal::from(657_000));
        let cost = prices().prices.sqs_request.of(Mapping::idle_polls());
        assert_eq!(cost.to_string(), "$0.26");
    }

    #[test]
    fn a_batch_is_received_and_deleted_by_one_call_each() {
        let mapping = |messages: i64, batch| Mapping {
            messages: Decimal::from(messages),
            batch,
        };
        assert_eq!(mapping(1000, 1).calls(), Decimal::from(3000));
        assert_eq!(mapping(1000, 10).calls(), Decimal::from(1200));
        assert_eq!(mapping(1001, 10).runs(), Decimal::from(101));
        assert_eq!(mapping(5, 0).runs(), Decimal::from(5));
    }

    #[test]
    fn the_largest_numbers_make_no_panic() {
        let most = Lambda {
            runs: Decimal::MAX,
            duration_ms: Decimal::MAX,
            memory_mb: u32::MAX,
            architecture: Architecture::X86_64,
        };
        assert!(most.cost(&prices()) > Dollars::default());
        let most = Express {
            executions: Decimal::MAX,
            duration_ms: Decimal::MAX,
            memory_mb: u32::MAX,
        };
        assert!(most.cost(&prices()) > Dollars::default());
        let most = Mapping {
            messages: Decimal::MAX,
            batch: 1,
        };
        assert_eq!(most.calls(), Decimal::MAX);
    }
}
