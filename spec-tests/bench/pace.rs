//! Work at a steady rate, whatever the answers take: a server that is slow for a while does not make it less.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::running::Running;

/// When one of some workers is to begin its next piece of work.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    next: Instant,
    period: Duration,
}

impl Pace {
    /// For the `nth` of so many workers, who take turns and together begin something so often a second.
    pub fn new(per_second: f64, nth: usize, workers: usize) -> Self {
        let between = Duration::from_secs_f64(1.0 / per_second);
        Self { next: Instant::now() + between.mul_f64(nth as f64), period: between.mul_f64(workers as f64) }
    }

    /// Waits for the next turn; answers from when on the work takes time. That is now, but where the turn was due while the
    /// worker still waited for an answer: then what is late counts too.
    pub async fn turn(&mut self) -> Instant {
        let due = self.next;
        self.next += self.period;
        if Instant::now() > due {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }
}

/// Milliseconds since then.
pub fn millis_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// While something is done, these people say something in these rooms, all together so often a second: milliseconds that each
/// answer took, and what was done.
pub async fn talk_while<T>(
    running: &Running,
    speakers: &[(usize, String)],
    per_second: f64,
    something: impl Future<Output = T>,
) -> (Vec<f64>, T) {
    let over = Arc::new(AtomicBool::new(false));
    let mut talkers = JoinSet::new();
    for (nth, (person, room)) in speakers.iter().enumerate() {
        let (mut wire, room, over) = (running.wire(*person).await, room.clone(), Arc::clone(&over));
        let mut pace = Pace::new(per_second, nth, speakers.len());
        talkers.spawn(async move {
            let mut took = Vec::new();
            loop {
                let begun = pace.turn().await;
                if over.load(Ordering::Relaxed) {
                    return took;
                }
                wire.say(&room, "bed 3 is free, the porter is on the way").await;
                took.push(millis_since(begun));
            }
        });
    }
    let done = something.await;
    over.store(true, Ordering::Relaxed);
    (talkers.join_all().await.into_iter().flatten().collect(), done)
}
