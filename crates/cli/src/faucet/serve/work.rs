//! What a faucet that is served does beside answering: it pays, it looks what
//! became of payouts, and each minute it looks after what was forgotten. Other
//! processes and functions may do the same on the same tables.

use std::sync::Arc;
use std::time::Duration;

use offchain_chains::Chain;
use offchain_codes::{Coded, chain as causes};
use offchain_faucet_service::{KeyRing, PayError, Payer, Report, Sweeper};
use tokio::sync::Notify;

use crate::daemon::stop::Stop;

/// How often it is looked whether something waits that nobody told of.
const EVERY: Duration = Duration::from_secs(1);
/// How often what was forgotten is looked after.
const SWEEP: Duration = Duration::from_secs(60);
/// More payouts than are open at once.
const PAYOUTS: i32 = 100;

/// Pays, confirms and sweeps.
pub(crate) struct Work<C> {
    pub(crate) payer: Payer<C>,
    pub(crate) keys: KeyRing,
    pub(crate) sweeper: Sweeper<C>,
    /// That there may be something to pay.
    pub(crate) wake: Arc<Notify>,
    /// That payouts were sent.
    pub(crate) sent: Notify,
    /// How often payouts are looked at.
    pub(crate) poll: Duration,
}

impl<C: Chain> Work<C> {
    /// Works until it is asked to stop, and what is under way is done.
    pub(crate) async fn run(&self, stop: Stop) {
        tokio::join!(
            self.pay(stop.clone()),
            self.confirm(stop.clone()),
            self.sweep(stop)
        );
    }

    /// Pays when woken, and when something waits.
    async fn pay(&self, mut stop: Stop) {
        let mut backoff = Backoff::default();
        let mut pause = Duration::ZERO;
        let mut said = None;
        // Somebody may have died while paying.
        let mut due = true;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = self.wake.notified(), if backoff.is_calm() => due = true,
                () = tokio::time::sleep(pause) => {}
            }
            match self.round(due).await {
                Ok(report) => {
                    due = false;
                    let stopped = report.and_then(|report| self.tell(&report));
                    if stopped.is_some() && stopped != said {
                        tracing::warn!(stopped, "claims wait");
                    }
                    said = stopped;
                    pause = match stopped {
                        Some(_) => backoff.next(),
                        None => backoff.calm(EVERY),
                    };
                }
                // Another one pays.
                Err(error) if error.code() == "LeaseHeld" => {
                    due = true;
                    pause = soon();
                }
                Err(error) => {
                    due = true;
                    pause = backoff.next();
                    tracing::error!(
                        code = error.code(),
                        retryable = error.retryable(),
                        error = causes(&error),
                        "nothing is paid"
                    );
                }
            }
        }
    }

    /// One run of the payer, where there is something to do.
    async fn round(&self, due: bool) -> Result<Option<Report>, PayError> {
        if !(due || self.waits().await?) {
            return Ok(None);
        }
        let key = self.keys.key().await?;
        self.payer.run(&key).await.map(Some)
    }

    async fn waits(&self) -> Result<bool, PayError> {
        let tables = &self.payer.tables;
        Ok(!tables.desk.claims.waiting(1).await?.is_empty()
            || tables.locks.broken(&tables.names.broken).await?.is_some())
    }

    /// Says what a run did, and why it stopped before the end.
    fn tell(&self, report: &Report) -> Option<&'static str> {
        for payout in &report.payouts {
            tracing::info!(sequence = payout.sequence, hash = payout.hash, "payout");
        }
        if !report.payouts.is_empty() {
            tracing::info!(
                payouts = report.payouts.len(),
                claims = report.claims,
                "paid"
            );
            self.sent.notify_one();
        }
        report.stopped
    }

    /// Looks at every payout that has not ended.
    async fn confirm(&self, mut stop: Stop) {
        let mut backoff = Backoff::default();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = self.sent.notified(), if backoff.is_calm() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.look().await {
                true => backoff.calm(self.poll),
                false => backoff.next().max(self.poll),
            };
        }
    }

    /// Whether nothing failed.
    async fn look(&self) -> bool {
        let confirmer = &self.sweeper.confirmer;
        let open = match confirmer.tables.payouts.open(PAYOUTS).await {
            Ok(open) => open,
            Err(error) => {
                let code = error.code();
                tracing::error!(code, error = causes(&error), "open payouts are not known");
                return false;
            }
        };
        let mut well = true;
        for (account, sequence) in open {
            match confirmer.look(&account, sequence).await {
                Ok(look) => tracing::debug!(sequence, status = look.status, "looked"),
                Err(error) => {
                    well = false;
                    let code = error.code();
                    tracing::error!(code, sequence, error = causes(&error), "nothing is known");
                }
            }
        }
        well
    }

    async fn sweep(&self, mut stop: Stop) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = SWEEP;
            match self.sweeper.sweep().await {
                Ok(census) => tracing::info!(
                    waiting = census.waiting,
                    open_payouts = census.open_payouts,
                    expired = census.expired,
                    oldest_unpaid_seconds = census.oldest_unpaid_seconds,
                    balance = census.balance.map(tracing::field::display),
                    broken = census.broken,
                    "swept"
                ),
                Err(error) => {
                    let code = error.code();
                    tracing::error!(code, error = causes(&error), "the sweep failed");
                }
            }
        }
    }
}

/// Waits that grow from a quarter of a second to ten, each drawn from its upper
/// half, so that processes which fail together do not try together.
#[derive(Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const LEAST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(10);

    fn next(&mut self) -> Duration {
        let grown = Self::LEAST.saturating_mul(1 << self.failures.min(10));
        let most = grown.min(Self::MOST);
        self.failures = self.failures.saturating_add(1);
        rand::random_range(most / 2..=most)
    }

    /// All is well again.
    fn calm(&mut self, pause: Duration) -> Duration {
        self.failures = 0;
        pause
    }

    fn is_calm(&self) -> bool {
        self.failures == 0
    }
}

/// When the lease may be free again.
fn soon() -> Duration {
    rand::random_range(Duration::from_millis(100)..=Duration::from_millis(400))
}

#[cfg(test)]
mod tests {
    use offchain_chains::{
        Account, AccountKey, AddressError, Broadcast, ChainFault, SignError, Signed, Terms,
        Transfer, TxStatus,
    };
    use offchain_faucet_service::{Confirmer, Wake};
    use offchain_store::test_util::{FakeAws, answer, items, secret};
    use serde_json::json;
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::daemon::stop::until_stopped;
    use crate::faucet::tests::site;

    const LONG: Duration = Duration::from_secs(30);

    /// A chain that is asked for the account, and answers when it may: that
    /// nothing is known.
    #[derive(Clone, Default)]
    struct Silent(Arc<Gate>);

    struct Gate {
        asked: Semaphore,
        may_answer: Semaphore,
    }

    impl Default for Gate {
        fn default() -> Self {
            Self {
                asked: Semaphore::new(0),
                may_answer: Semaphore::new(0),
            }
        }
    }

    fn silent() -> ChainFault {
        ChainFault::Unavailable("node 1 did not answer in time".to_owned())
    }

    impl Chain for Silent {
        fn address(&self, text: &str) -> Result<String, AddressError> {
            Ok(text.to_owned())
        }

        fn sender(&self, _: &AccountKey) -> String {
            "sender".to_owned()
        }

        fn batch_limit(&self) -> usize {
            1
        }

        async fn account(&self, _: &str, _: u64) -> Result<Account, ChainFault> {
            self.0.asked.add_permits(1);
            self.0.may_answer.acquire().await.unwrap().forget();
            Err(silent())
        }

        async fn terms(
            &self,
            _: &str,
            _: &Account,
            _: &[Transfer],
            _: Option<&Terms>,
        ) -> Result<Terms, ChainFault> {
            Err(silent())
        }

        fn sign(
            &self,
            _: &AccountKey,
            _: u64,
            _: &[Transfer],
            _: &Terms,
        ) -> Result<Signed, SignError> {
            Err(SignError("nothing is signed here".to_owned()))
        }

        async fn broadcast(&self, _: &[u8]) -> Result<Broadcast, ChainFault> {
            Err(silent())
        }

        async fn status(&self, _: &str, _: u64) -> Result<TxStatus, ChainFault> {
            Err(silent())
        }

        async fn height(&self) -> Result<u64, ChainFault> {
            Err(silent())
        }
    }

    fn work(aws: &FakeAws, chain: &Silent) -> Work<Silent> {
        let site = site(aws);
        let wake = Arc::new(Notify::new());
        let secrets = aws_sdk_secretsmanager::Client::new(&site.sdk);
        Work {
            payer: Payer {
                chain: chain.clone(),
                tables: site.tables.clone(),
                policy: site.config.payout.clone(),
            },
            keys: KeyRing::new(secrets, "arn:key".to_owned()),
            sweeper: Sweeper {
                confirmer: Confirmer {
                    chain: chain.clone(),
                    tables: site.tables,
                    policy: site.config.payout,
                    wake: Wake::Local(Arc::clone(&wake)),
                },
            },
            wake,
            sent: Notify::new(),
            poll: EVERY,
        }
    }

    /// Tables in which nothing waits, whose lease is free.
    fn aws() -> FakeAws {
        let key = json!({"private_key": "07".repeat(32)}).to_string();
        FakeAws::new()
            .always("GetSecretValue", secret("1", &key))
            .always("GetItem", answer(json!({})))
            .always("Query", items(&[]))
            .always(
                "UpdateItem",
                answer(json!({"Attributes": {"Token": {"N": "3"}}})),
            )
    }

    #[tokio::test]
    async fn a_run_that_is_under_way_gives_the_lease_back_before_all_ends() {
        let (aws, chain) = (aws(), Silent::default());
        let work = work(&aws, &chain);
        let (signal, signals) = mpsc::channel(1);
        let served = async |stop| {
            work.run(stop).await;
            Ok::<_, std::convert::Infallible>(())
        };
        let ended = until_stopped(signals, LONG, served);
        let stopping = async {
            chain.0.asked.acquire().await.unwrap().forget();
            assert_eq!(aws.sent("UpdateItem").len(), 1, "the lease is taken");
            signal.send(()).await.unwrap();
            chain.0.may_answer.add_permits(1);
        };
        let (code, ()) = tokio::join!(ended, stopping);
        assert_eq!(code.unwrap(), std::process::ExitCode::SUCCESS);
        let updates = aws.sent("UpdateItem");
        assert_eq!(updates.len(), 2, "{updates:?}");
        assert_eq!(updates[1]["ExpressionAttributeValues"][":free"], 0);
    }

    #[tokio::test]
    async fn what_fails_is_tried_again() {
        let (aws, chain) = (aws(), Silent::default());
        let work = work(&aws, &chain);
        chain.0.may_answer.add_permits(2);
        let (signal, signals) = mpsc::channel(1);
        let served = async |stop| {
            work.run(stop).await;
            Ok::<_, std::convert::Infallible>(())
        };
        let ended = until_stopped(signals, LONG, served);
        let stopping = async {
            chain.0.asked.acquire_many(2).await.unwrap().forget();
            signal.send(()).await.unwrap();
        };
        tokio::join!(ended, stopping).0.unwrap();
        assert!(aws.sent("UpdateItem").len() >= 4);
    }

    #[tokio::test]
    async fn nobody_takes_the_lease_while_nothing_waits() {
        let (aws, chain) = (aws(), Silent::default());
        let work = work(&aws, &chain);
        assert!(work.round(false).await.unwrap().is_none());
        assert!(aws.sent("UpdateItem").is_empty());
        chain.0.may_answer.add_permits(1);
        assert_eq!(
            work.round(true).await.unwrap_err().code(),
            "ChainUnavailable"
        );
    }

    #[test]
    fn waits_grow_to_ten_seconds_and_begin_anew_when_all_is_well() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_calm());
        for most in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let wait = backoff.next();
            let most = Duration::from_millis(most);
            assert!((most / 2..=most).contains(&wait), "{wait:?} of {most:?}");
            assert!(!backoff.is_calm());
        }
        backoff.failures = u32::MAX;
        assert!(backoff.next() <= Backoff::MOST);
        assert_eq!(backoff.calm(EVERY), EVERY);
        assert!(backoff.is_calm());
        assert!(backoff.next() <= Backoff::LEAST);
    }
}
