//! What happened: counted by all who take part, and taken once a minute.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many failures are told of, of all: the first say most.
const TOLD: usize = 20;

/// What happened since the last look. Latencies are in milliseconds.
#[derive(Debug, Default)]
pub struct Since {
    /// How long each send's answer took.
    pub sends: Vec<f64>,
    /// How long each message took from the send until somebody's `/sync` had it.
    pub deliveries: Vec<f64>,
    pub errors: usize,
}

/// What happened in all.
#[derive(Debug, Default, Clone, Copy)]
pub struct Total {
    /// How many times the messages that were sent are to be heard.
    pub due: usize,
    pub heard: usize,
    pub errors: usize,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Tally(Mutex<(Since, Total)>);

impl Tally {
    /// A message was sent to a room in which so many listen.
    pub fn sent(&self, millis: f64, listeners: usize) {
        let (since, total) = &mut *self.lock();
        since.sends.push(millis);
        total.due += listeners;
    }

    /// Messages were heard.
    pub fn heard(&self, millis: &[f64]) {
        let (since, total) = &mut *self.lock();
        since.deliveries.extend(millis);
        total.heard += millis.len();
    }

    /// A request failed.
    pub fn failed(&self, what: &str) {
        let count = {
            let (since, total) = &mut *self.lock();
            since.errors += 1;
            total.errors += 1;
            total.errors
        };
        if count <= TOLD {
            eprintln!("failed: {what}");
        }
    }

    /// Takes what happened since the last time.
    pub fn take(&self) -> Since {
        std::mem::take(&mut self.lock().0)
    }

    /// All so far.
    pub fn total(&self) -> Total {
        self.lock().1
    }

    fn lock(&self) -> MutexGuard<'_, (Since, Total)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
