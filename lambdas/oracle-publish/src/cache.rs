//! What is read again only now and then.

use std::time::{Duration, Instant};

use offchain_codes::{Coded, chain};
use tokio::sync::Mutex;

/// How long a value that is known may take to be read again. A run has about a
/// second before its slot.
const REFRESH: Duration = Duration::from_millis(600);

/// A value that is kept for a time. Where it cannot be read again, or not soon,
/// the old one goes on being used: a publisher that knows what it knew a minute
/// ago is of more use than none.
pub(crate) struct Cache<T> {
    keep: Duration,
    seen: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(keep: Duration) -> Self {
        Self {
            keep,
            seen: Mutex::new(None),
        }
    }

    /// The value, read by `read` where it is not kept.
    pub(crate) async fn get<E: Coded>(
        &self,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut seen = self.seen.lock().await;
        if let Some((read_at, value)) = &*seen
            && read_at.elapsed() < self.keep
        {
            return Ok(value.clone());
        }
        let Some((_, old)) = &*seen else {
            let value = read.await?;
            *seen = Some((Instant::now(), value.clone()));
            return Ok(value);
        };
        match tokio::time::timeout(REFRESH, read).await {
            Ok(Ok(value)) => {
                *seen = Some((Instant::now(), value.clone()));
                Ok(value)
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    code = error.code(),
                    error = chain(&error),
                    "an old value goes on being used"
                );
                Ok(old.clone())
            }
            Err(_) => {
                tracing::warn!("a read takes long: an old value goes on being used");
                Ok(old.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    #[error("not now")]
    struct NotNow;

    impl Coded for NotNow {
        fn code(&self) -> &'static str {
            "NotNow"
        }

        fn retryable(&self) -> bool {
            true
        }
    }

    const KEEP: Duration = Duration::from_secs(3600);

    impl Cache<u8> {
        async fn answered(&self, answer: Result<u8, NotNow>) -> Result<u8, NotNow> {
            self.get(std::future::ready(answer)).await
        }

        /// As if the time to keep the value had passed.
        async fn expire(&self) {
            let mut seen = self.seen.lock().await;
            let (read_at, _) = seen.as_mut().unwrap();
            *read_at = read_at.checked_sub(self.keep).unwrap();
        }
    }

    #[tokio::test]
    async fn a_value_is_not_read_again_within_its_time() {
        let cache = Cache::new(KEEP);
        assert_eq!(cache.answered(Ok(1)).await, Ok(1));
        let read = async { panic!("it is read again") };
        assert_eq!(cache.get::<NotNow>(read).await, Ok(1));
    }

    #[tokio::test]
    async fn a_value_is_read_again_after_its_time() {
        let cache = Cache::new(Duration::from_secs(1));
        cache.answered(Ok(1)).await.unwrap();
        cache.expire().await;
        assert_eq!(cache.answered(Ok(2)).await, Ok(2));
        let cache = Cache::new(Duration::ZERO);
        for value in [1, 2] {
            assert_eq!(cache.answered(Ok(value)).await, Ok(value));
        }
    }

    #[tokio::test]
    async fn an_old_value_serves_until_a_new_one_can_be_read() {
        let cache = Cache::new(Duration::from_secs(1));
        cache.answered(Ok(1)).await.unwrap();
        for answer in [Err(NotNow), Err(NotNow)] {
            cache.expire().await;
            assert_eq!(cache.answered(answer).await, Ok(1));
        }
        assert_eq!(cache.answered(Ok(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn an_old_value_serves_where_the_new_one_takes_long() {
        let cache = Cache::new(Duration::from_secs(1));
        cache.answered(Ok(1)).await.unwrap();
        cache.expire().await;
        let never = std::future::pending::<Result<u8, NotNow>>();
        assert_eq!(cache.get(never).await, Ok(1));
    }

    #[tokio::test]
    async fn without_an_old_value_the_failure_is_told_and_nothing_is_kept() {
        let cache = Cache::new(KEEP);
        assert_eq!(cache.answered(Err(NotNow)).await, Err(NotNow));
        assert_eq!(cache.answered(Ok(1)).await, Ok(1));
    }
}
