//! How a process that serves ends: the first signal asks everything to stop,
//! the second one ends it at once.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::error::CliError;

/// How long what is under way may take after that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// As shells name an end by SIGINT.
const INTERRUPTED: u8 = 130;

/// Whether everything is asked to stop. Clones hear of the same.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Until it is.
    pub(crate) async fn asked(&mut self) {
        // Without anybody who could ask, all is over as well.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// SIGTERM and SIGINT, as they come.
pub(crate) fn signals() -> Result<mpsc::Receiver<()>, CliError> {
    let (tell, signals) = mpsc::channel(2);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = signal(kind).map_err(CliError::input)?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() && tell.send(()).await.is_ok() {}
        });
    }
    Ok(signals)
}

/// Does `work` until a signal comes and it has stopped: exit 0; 1 where it did
/// not stop within `patience`, 130 after a second signal.
pub(crate) async fn until_stopped<E>(
    mut signals: mpsc::Receiver<()>,
    patience: Duration,
    work: impl AsyncFnOnce(Stop) -> Result<(), E>,
) -> Result<ExitCode, E> {
    let (ask, asked) = watch::channel(false);
    let mut work = std::pin::pin!(work(Stop(asked)));
    tokio::select! {
        ended = &mut work => return ended.map(|()| ExitCode::SUCCESS),
        Some(()) = signals.recv() => {}
    }
    tracing::info!("stopping; a second signal ends it at once");
    let _ = ask.send(true);
    tokio::select! {
        ended = &mut work => {
            ended?;
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Some(()) = signals.recv() => Ok(ExitCode::from(INTERRUPTED)),
        () = tokio::time::sleep(patience) => {
            tracing::warn!("what was under way is cut off; the lease ends by itself");
            Ok(ExitCode::FAILURE)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn ended(
        count: usize,
        patience: Duration,
        work: impl AsyncFnOnce(Stop) -> Result<(), Infallible>,
    ) -> ExitCode {
        let (tell, signals) = mpsc::channel(2);
        for _ in 0..count {
            tell.send(()).await.unwrap();
        }
        until_stopped(signals, patience, work).await.unwrap()
    }

    #[tokio::test]
    async fn work_that_is_asked_to_stop_ends_well() {
        let work = async |mut stop: Stop| {
            stop.asked().await;
            Ok(())
        };
        assert_eq!(ended(1, LONG, work).await, ExitCode::SUCCESS);
    }

    #[tokio::test]
    async fn work_that_does_not_stop_is_cut_off_or_interrupted() {
        let work = async |_| std::future::pending().await;
        assert_eq!(ended(1, Duration::ZERO, work).await, ExitCode::FAILURE);
        let work = async |_| std::future::pending().await;
        assert_eq!(ended(2, LONG, work).await, ExitCode::from(130));
    }

    #[tokio::test]
    async fn work_that_ends_by_itself_is_not_waited_for() {
        assert_eq!(ended(0, LONG, async |_| Ok(())).await, ExitCode::SUCCESS);
    }
}
