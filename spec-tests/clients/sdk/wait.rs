//! Waiting for a condition, never for a fixed time, with a failure that says what was awaited.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(25);

/// Gives the first thing that `look` finds. An error counts as "not yet" and is told if the time runs out.
pub async fn until<T>(awaited: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + LIMIT;
    loop {
        let seen = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() > end {
            bail!("waited {LIMIT:?} in vain for: {awaited} (last seen: {seen})");
        }
        sleep(POLL).await;
    }
}
