//! Numbers that grow while the program works, and that anybody may read meanwhile. To count costs an addition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bounds of times, in microseconds: from a row in the cache to a client that is parked.
const TIMES: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000,
];

/// Bounds of long waits, in microseconds: from a second to a day.
const WAITS: &[u64] = &[
    50_000,
    250_000,
    1_000_000,
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    86_400_000_000,
];

/// Bounds of numbers that are put together.
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// How often something happened.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// It happened so many times more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How often it did.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many are at something now.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more, until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(&self.0)
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those who are at something.
#[derive(Debug)]
pub struct Entered<'a>(&'a AtomicU64);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How something is spread: how many values lie up to each of some bounds, and what all of them are together.
#[derive(Debug)]
pub struct Spread {
    bounds: &'static [u64],
    /// For each bound those up to it and above the one before; last those above all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Spread {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Of times, kept in microseconds.
    #[must_use]
    pub fn of_times() -> Self {
        Self::new(TIMES)
    }

    /// Of long waits, kept in microseconds.
    #[must_use]
    pub fn of_waits() -> Self {
        Self::new(WAITS)
    }

    /// Of numbers that are put together.
    #[must_use]
    pub fn of_sizes() -> Self {
        Self::new(SIZES)
    }

    /// One more value.
    pub fn note(&self, value: u64) {
        let nth = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(nth) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// One more time.
    pub fn note_time(&self, took: Duration) {
        self.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Notes the time from now until the guard is dropped, however that comes.
    #[must_use]
    pub fn time(&self) -> Timed<'_> {
        Timed { spread: self, began: Instant::now() }
    }

    /// Each bound, with how many values lie up to it and above the one before; last `None`, with those above all.
    pub fn counts(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain(std::iter::once(None));
        bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// What all values are together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

/// A time that is being taken.
#[derive(Debug)]
pub struct Timed<'a> {
    spread: &'a Spread,
    began: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.spread.note_time(self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Level, Spread};

    #[test]
    fn a_value_lies_up_to_its_bound() {
        let sizes = Spread::of_sizes();
        for value in [0, 1, 2, 3, 4, 1024, 1025, 5000] {
            sizes.note(value);
        }
        let counts: Vec<_> = sizes.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [(Some(1), 2), (Some(2), 1), (Some(4), 2), (Some(1024), 1), (None, 2)]);
        assert_eq!(sizes.sum(), 7059);
    }

    #[test]
    fn times_are_kept_in_microseconds() {
        let times = Spread::of_times();
        times.note_time(Duration::from_millis(2));
        drop(times.time());
        assert!(times.sum() >= 2000);
        assert_eq!(times.counts().map(|(_, count)| count).sum::<u64>(), 2);
    }

    #[test]
    fn who_leaves_is_counted_no_more() {
        let level = Level::default();
        let (one, other) = (level.enter(), level.enter());
        assert_eq!(level.get(), 2);
        drop((one, other));
        assert_eq!(level.get(), 0);
    }
}
