//! How often something may happen: a token bucket per key, in bounded memory.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// Microseconds of a minute, and of a day.
const MINUTE: u64 = 60_000_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// How far apart, in microseconds, those may have read the clock who take from one bucket at once.
const APART: u64 = 10_000_000;

/// How much is allowed of what happens often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// How many at once, after a rest.
    pub burst: u32,
    /// How many a minute, for long.
    pub per_minute: u32,
}

/// How much is allowed, of what happens often or seldom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pace {
    burst: u32,
    /// Microseconds in which one more is allowed.
    interval: u64,
}

impl From<Budget> for Pace {
    /// No budget is smaller than one a minute, or greater than a million a second.
    fn from(budget: Budget) -> Self {
        Self { burst: budget.burst, interval: (MINUTE / u64::from(budget.per_minute.max(1))).max(1) }
    }
}

impl Pace {
    /// So many at once, after a rest, and so many a day for long.
    #[must_use]
    pub const fn daily(burst: u32, per_day: u32) -> Self {
        let per_day = if per_day == 0 { 1 } else { per_day };
        Self { burst, interval: DAY / per_day as u64 }
    }

    /// Microseconds until all of it is there again.
    fn depth(self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst.max(1)))
    }

    /// When a bucket is full again of which one more is taken now. One that would be full later than an empty one was last used
    /// before the clock was set back: it is taken for a full one, since nobody is to wait until the clock is there again.
    fn after_one(self, full_at: u64, now: u64) -> u64 {
        let latest = now.saturating_add(self.depth()).saturating_add(APART);
        let begins = if full_at > latest { now } else { full_at.max(now) };
        begins.saturating_add(self.interval)
    }
}

/// Counts per key. A bucket is one number (the time at which it is full again, as in the "generic cell rate algorithm");
/// keys that were not seen for long make room for others. A key whose budget changes gets another bucket, a full one.
#[derive(Debug)]
pub struct Limiter<K> {
    full_at: Cache<(K, Pace), Arc<AtomicU64>>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// Remembers at most about so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self { full_at: Cache::new(keys) }
    }

    /// Takes one of what a key may at its `pace`, at `now` in milliseconds.
    ///
    /// # Errors
    /// Milliseconds to wait, where nothing is left. Nothing is taken then.
    pub fn take(&self, key: &K, pace: impl Into<Pace>, now: u64) -> Result<(), u64> {
        let (pace, now) = (pace.into(), now.saturating_mul(1000));
        let most = now.saturating_add(pace.depth());
        let bucket = self.bucket(&(key.clone(), pace));
        let taken = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            let next = pace.after_one(full_at, now);
            (next <= most).then_some(next)
        });
        taken.map(|_| ()).map_err(|full_at| pace.after_one(full_at, now).saturating_sub(most).div_ceil(1000))
    }

    /// Gives back one that was taken.
    pub fn give_back(&self, key: &K, pace: impl Into<Pace>) {
        let pace = pace.into();
        // A key that was pushed out meanwhile has nothing to be given back to.
        if let Some(bucket) = self.full_at.get(&(key.clone(), pace)) {
            let _ = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                Some(full_at.saturating_sub(pace.interval))
            });
        }
    }

    fn bucket(&self, key: &(K, Pace)) -> Arc<AtomicU64> {
        if let Some(bucket) = self.full_at.get(key) {
            return bucket;
        }
        let made = self
            .full_at
            .get_or_insert_with::<(K, Pace), std::convert::Infallible>(key, || Ok(Arc::new(AtomicU64::new(0))));
        match made {
            Ok(bucket) => bucket,
            Err(never) => match never {},
        }
    }
}

/// What counts as one address: a customer has at least a /64 of IPv6.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
