//! `offchain ledger listen`: the listener in one process, with the code and the
//! tables of the function.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use offchain_ledger_service::Beat;
use offchain_store::ledger::Feed;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

use crate::aws;
use crate::daemon::{log, stop};
use crate::error::CliError;
use crate::ledger::assets::counted;
use crate::ledger::settings::Settings;
use crate::output::{Output, bad, good, warning};
use crate::stack::Stack;

/// How often it is looked whether another listens.
const LOOK: Duration = Duration::from_secs(5);
/// Whoever listens tells it every ten seconds; after this nobody does here.
const QUIET: Duration = Duration::from_secs(15);

const HELP: &str = "\
Settings, each over the one before:
  the stack's output `ledger.environment` (--stack; may be left out)
  the process's environment: LEDGER_NODE, LEDGER_LISTEN, …
Their names are those of the function's variables. LOG_LEVEL is info, debug, …

Any number of these processes and the function may stand by on the same tables: one of them
listens. The function's next run takes the lease over from a process; where processes are to
listen, set `listen = false` in the Terraform variable `ledger`.

SIGTERM or SIGINT: what is under way is waited for, the lease is given back: exit 0; 1 where
that takes over 30 s; a second signal ends it at once: exit 130.

Examples:
  offchain ledger listen
  LEDGER_NODE=http://127.0.0.1:9984 offchain ledger listen --json";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Listen {}

impl Listen {
    pub(crate) async fn run(
        self,
        stack: Option<&Path>,
        output: &Output,
    ) -> Result<ExitCode, CliError> {
        // Before anything else, so that no signal ends it half-way.
        let signals = stop::signals()?;
        let stack = stack.map(|path| Stack::load(Some(path))).transpose()?;
        let settings = Settings::of_process(stack.as_ref())?;
        log::init();
        let sdk = aws::serving(stack.map(|stack| stack.region)).await;
        let (tell, mut beats) = mpsc::unbounded_channel();
        let mut teller = Teller {
            holder: holder(Timestamp::now()),
            feed: settings.feed(&sdk),
            lease: settings.listen.lease(),
            output,
            tells_all: output.is_json() || std::io::stdout().is_terminal(),
            said: None,
        };
        let holder = teller.holder;
        let listener = settings.listener(&sdk, move |beat| {
            // Whoever does not listen any more needs not be told.
            let _ = tell.send(beat.clone());
        })?;
        stop::until_stopped(signals, stop::PATIENCE, async |mut stop| {
            let ended = tokio::select! {
                ended = listener.stand_by(holder, stop.asked()) => ended,
                failed = teller.run(&mut beats) => return Err(failed),
            };
            teller.end(&mut beats)?;
            ended.map_err(super::failed)
        })
        .await
    }
}

/// Who this process is on the lease: the time in milliseconds, less a part of a
/// second by chance, so that two that start at once differ.
fn holder(now: Timestamp) -> u64 {
    let now = now.as_millisecond().unsigned_abs();
    now.saturating_sub(rand::random_range(0..1000)).max(1)
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// How it goes here.
    Beat(Beat),
    /// Another listens; who that is, and how far it is.
    StandingBy { holder: u64, height: Option<u64> },
    /// Nobody does, and why is in the log.
    Waiting,
    /// It is over, at this height.
    Stopped { height: Option<u64> },
}

/// Tells how it goes.
struct Teller<'a> {
    holder: u64,
    feed: Feed,
    lease: Duration,
    output: &'a Output,
    /// Or only what changed.
    tells_all: bool,
    said: Option<Said>,
}

impl Teller<'_> {
    /// Tells until that fails.
    async fn run(&mut self, beats: &mut UnboundedReceiver<Beat>) -> CliError {
        let mut looks = tokio::time::interval(LOOK);
        let mut last: Option<Instant> = None;
        loop {
            let said = tokio::select! {
                Some(beat) = beats.recv() => {
                    last = Some(Instant::now());
                    Some(Said::Beat(beat))
                }
                _ = looks.tick() => {
                    let is_quiet = last.is_none_or(|last| last.elapsed() > QUIET);
                    if is_quiet { self.look().await } else { None }
                }
            };
            match said.map_or(Ok(true), |said| self.tell(said)) {
                Ok(true) => {}
                // Nobody reads any more, and listening goes on.
                Ok(false) => std::future::pending().await,
                Err(error) => return error,
            }
        }
    }

    /// Who listens, where it is not this process.
    async fn look(&self) -> Option<Said> {
        // Why the tables do not answer, the listener says in its log.
        let found = self.feed.look().await.ok()?;
        let Some((state, cursor)) = found else {
            return Some(Said::Waiting);
        };
        let height = cursor.map(|cursor| cursor.height);
        match state.holder_at(Timestamp::now(), self.lease) {
            Some(holder) if holder == self.holder => None,
            Some(holder) => Some(Said::StandingBy { holder, height }),
            None => Some(Said::Waiting),
        }
    }

    /// `false` where nobody reads any more.
    fn tell(&mut self, said: Said) -> Result<bool, CliError> {
        let changed = match (&said, &self.said) {
            // Whoever stands by has seen that the others go on.
            (Said::StandingBy { .. }, Some(Said::StandingBy { .. })) => false,
            (Said::Waiting, Some(Said::Waiting)) => false,
            (Said::Beat(_), _) if self.tells_all => true,
            (now, before) => Some(now) != before.as_ref(),
        };
        if !changed {
            return Ok(true);
        }
        let now = Timestamp::now();
        let text = format!("{}  {}", now.strftime("%H:%M:%S"), said.text());
        let read = self.output.event(&said.json(now), text);
        self.said = Some(said);
        read
    }

    /// Tells what is left to tell, and that it is over.
    fn end(&mut self, beats: &mut UnboundedReceiver<Beat>) -> Result<(), CliError> {
        while let Ok(beat) = beats.try_recv() {
            self.tell(Said::Beat(beat))?;
        }
        let height = match &self.said {
            Some(Said::Beat(beat)) => Some(beat.height),
            _ => None,
        };
        self.tell(Said::Stopped { height })?;
        Ok(())
    }
}

/// The time that a listener's run was meant for.
pub(crate) fn meant(holder: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(holder).ok()?).ok()
}

impl Said {
    fn text(&self) -> String {
        match self {
            Self::Beat(beat) => {
                let state = match beat.listening {
                    true => good("listening"),
                    false => bad("the node does not answer"),
                };
                let lag = match beat.lag {
                    0 => String::new(),
                    lag => format!(", {} behind", counted(lag, "height")),
                };
                let waiting = match beat.kept {
                    0 => String::new(),
                    kept => warning(format!(", {kept} wait for a retry")),
                };
                let (height, delivered) = (beat.height, beat.delivered);
                format!("{state}, height {height}{lag}, {delivered} delivered{waiting}")
            }
            Self::StandingBy { holder, height } => {
                let height = height.map_or(String::new(), |height| format!(", height {height}"));
                match meant(*holder) {
                    Some(meant) => format!("standing by: the listener of {meant} listens{height}"),
                    None => format!("standing by: another listens{height}"),
                }
            }
            Self::Waiting => warning("nobody listens yet"),
            Self::Stopped { height: None } => "stopped".to_owned(),
            Self::Stopped {
                height: Some(height),
            } => format!("stopped at height {height}"),
        }
    }

    fn json(&self, now: Timestamp) -> Value {
        match self {
            Self::Beat(beat) => json!({
                "time": now,
                "state": if beat.listening { "listening" } else { "unanswered" },
                "height": beat.height,
                "lag": beat.lag,
                "delivered": beat.delivered,
                "kept": beat.kept,
            }),
            Self::StandingBy { holder, height } => json!({
                "time": now,
                "state": "standing_by",
                "holder": holder,
                "height": height,
            }),
            Self::Waiting => json!({"time": now, "state": "waiting"}),
            Self::Stopped { height } => json!({"time": now, "state": "stopped", "height": height}),
        }
    }
}

#[cfg(test)]
mod tests {
    use offchain_store::test_util::{FakeAws, answer, item};

    use super::*;
    use crate::ledger::tests::stack;
    use crate::output::plain;

    const NOW: &str = "2026-11-21T11:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn beat(height: u64) -> Beat {
        Beat {
            listening: true,
            height,
            lag: 0,
            delivered: 2,
            kept: 0,
        }
    }

    fn teller<'a>(aws: &FakeAws, output: &'a Output, tells_all: bool) -> Teller<'a> {
        let settings = Settings::of_stack(stack().ledger().unwrap()).unwrap();
        Teller {
            holder: 7,
            feed: settings.feed(&aws.sdk_config()),
            lease: settings.listen.lease(),
            output,
            tells_all,
            said: None,
        }
    }

    #[test]
    fn what_is_told_is_one_line() {
        let line = |said: Said| plain(&said.text());
        assert_eq!(
            line(Said::Beat(beat(9))),
            "listening, height 9, 2 delivered"
        );
        let late = Beat {
            lag: 12,
            kept: 3,
            ..beat(9)
        };
        assert_eq!(
            line(Said::Beat(late)),
            "listening, height 9, 12 heights behind, 2 delivered, 3 wait for a retry"
        );
        let deaf = Beat {
            listening: false,
            ..beat(9)
        };
        assert!(line(Said::Beat(deaf)).starts_with("the node does not answer, height 9"));
        let other = Said::StandingBy {
            holder: now().as_millisecond().unsigned_abs(),
            height: Some(9),
        };
        assert_eq!(
            line(other.clone()),
            format!("standing by: the listener of {NOW} listens, height 9")
        );
        assert_eq!(other.json(now())["state"], "standing_by");
        assert_eq!(
            line(Said::Stopped { height: Some(9) }),
            "stopped at height 9"
        );
    }

    #[test]
    fn only_what_changed_is_told_where_nobody_watches() {
        let (aws, output) = (FakeAws::new(), Output::new(true));
        let told = |tells_all: bool, said: &[Said]| {
            let mut teller = teller(&aws, &output, tells_all);
            let mut changes = 0;
            for one in said {
                let before = teller.said.take();
                teller.said.clone_from(&before);
                teller.tell(one.clone()).unwrap();
                changes += usize::from(teller.said != before);
            }
            changes
        };
        let other = |height| Said::StandingBy {
            holder: 1,
            height: Some(height),
        };
        let said = [
            other(1),
            other(2),
            Said::Beat(beat(3)),
            Said::Beat(beat(3)),
            Said::Beat(beat(4)),
            Said::Waiting,
        ];
        assert_eq!(told(false, &said), 4);
    }

    #[tokio::test]
    async fn who_listens_is_told_by_the_lease() {
        let output = Output::new(true);
        let lock = |holder: u64, age: i64| {
            let written = Timestamp::now() - jiff::SignedDuration::from_secs(age);
            item(&json!({
                "Name": "offchain-ledger-listener", "LockerID": holder, "Token": 3,
                "LastWrite": i64::try_from(written.as_nanosecond()).unwrap(),
                "Value": r#"{"height":12}"#,
            }))
        };
        let other = Said::StandingBy {
            holder: 8,
            height: Some(12),
        };
        for (reply, expected) in [
            (answer(json!({})), Some(Said::Waiting)),
            (lock(0, 0), Some(Said::Waiting)),
            (lock(8, 60), Some(Said::Waiting)),
            (lock(8, 0), Some(other)),
            (lock(7, 0), None),
        ] {
            let aws = FakeAws::new().on("GetItem", reply);
            assert_eq!(teller(&aws, &output, true).look().await, expected);
        }
    }

    #[test]
    fn two_that_start_at_once_differ_and_are_no_younger_than_now() {
        let now = now();
        let most = now.as_millisecond().unsigned_abs();
        let holders: std::collections::BTreeSet<_> = (0..100).map(|_| holder(now)).collect();
        assert!(holders.len() > 50);
        assert!(
            holders
                .iter()
                .all(|holder| (most - 1000..=most).contains(holder))
        );
    }
}
