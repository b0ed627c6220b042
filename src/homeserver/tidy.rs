//! What is done again and again in the quiet: old rows are swept, a piece at a time.
//!
//! Whoever owns the rows says what a sweep does ([`Sweep`]); this is only the broom. A sweep is a function of the time, so
//! that tests sweep at any time they like, and it keeps in the store how far it got.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::error::Result;

/// Between two rounds.
const PERIOD: Duration = Duration::from_hours(1);
/// Before the first one: a start has better things to do.
const FIRST: Duration = Duration::from_mins(5);
/// Between two pieces: whoever uses the server goes first.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps one piece as of a time (milliseconds since 1970), and answers whether there is more to do.
pub type Sweep = Box<dyn Fn(u64) -> Pin<Box<dyn Future<Output = Result<bool>> + Send>> + Send + Sync>;

/// The worker that sweeps.
#[derive(Default)]
pub struct Tidy {
    sweeps: Vec<(&'static str, Sweep)>,
}

impl Tidy {
    /// Adds a sweep under a name for the log.
    #[must_use]
    pub fn with<F>(mut self, name: &'static str, sweep: impl Fn(u64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        let sweep: Sweep = Box::new(move |now| Box::pin(sweep(now)));
        self.sweeps.push((name, sweep));
        self
    }

    /// Sweeps everything once. What fails is logged, and done in the next round.
    pub async fn round(&self, clock: &Clock, pause: Duration) {
        for (name, sweep) in &self.sweeps {
            loop {
                match sweep(clock.millis()).await {
                    Ok(true) => tokio::time::sleep(pause).await,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, sweep = name, "what is old cannot be swept");
                        break;
                    }
                }
            }
        }
    }

    /// Sweeps until the server stops.
    pub async fn run(self, clock: Clock, stop: CancellationToken) {
        let work = async {
            tokio::time::sleep(FIRST).await;
            loop {
                self.round(&clock, PAUSE).await;
                tokio::time::sleep(PERIOD).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Tidy;
    use crate::clock::Clock;
    use crate::error::Error;

    #[tokio::test]
    async fn a_round_goes_on_until_there_is_no_more_whatever_fails() {
        let left = Arc::new(AtomicU64::new(3));
        let counted = Arc::clone(&left);
        let tidy =
            Tidy::default().with("broken", |_| async { Err(Error::internal("broken")) }).with("works", move |now| {
                let counted = Arc::clone(&counted);
                async move {
                    assert_eq!(now, 7);
                    Ok(counted.fetch_sub(1, Ordering::Relaxed) > 1)
                }
            });
        tidy.round(&Clock::by(|| 7), Duration::ZERO).await;
        assert_eq!(left.load(Ordering::Relaxed), 0);
    }
}
