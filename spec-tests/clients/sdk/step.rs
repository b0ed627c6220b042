//! One step of the journey: it has a time limit, and when it fails, it tells what the library did.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use tokio::time::timeout;

use crate::sdk_log;

const STEP_LIMIT: Duration = Duration::from_secs(60);

static PASSED: AtomicU32 = AtomicU32::new(0);

/// Walks a step, tells how it went, and gives what it found. The journey ends with the first that fails.
pub async fn step<T>(name: &str, walk: impl Future<Output = Result<T>>) -> Result<T> {
    let began = Instant::now();
    let walked = match timeout(STEP_LIMIT, Box::pin(walk)).await {
        Ok(walked) => walked,
        Err(_) => Err(anyhow!("not done after {STEP_LIMIT:?}")),
    };
    match &walked {
        Ok(_) => {
            PASSED.fetch_add(1, Ordering::Relaxed);
            println!("✔ {name} ({:.3}ms)", ms_since(began));
        }
        Err(error) => {
            println!("✖ {name} ({:.3}ms)", ms_since(began));
            eprintln!("{error:?}\n--- \"{name}\" failed; the library's last lines:\n{}---", sdk_log::recent());
        }
    }
    walked
}

/// The last lines of the journey.
pub fn tell_all(began: Instant, well: bool) {
    println!("ℹ pass {}", PASSED.load(Ordering::Relaxed));
    println!("ℹ fail {}", u8::from(!well));
    println!("ℹ duration_ms {:.3}", ms_since(began));
}

fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}
