//! How often something may happen: a token bucket per key, in bounded memory.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// How many at once, after a rest.
    pub burst: u32,
    /// How many a minute, for long.
    pub per_minute: u32,
}

impl Budget {
    /// Microseconds in which one more is allowed. No budget is smaller than one a minute, or greater than a million a second.
    fn interval(self) -> u64 {
        (60_000_000 / u64::from(self.per_minute.max(1))).max(1)
    }

    /// Microseconds until all of it is there again.
    fn depth(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1)))
    }
}

/// Counts per key. A bucket is one number (the time at which it is full again, as in the "generic cell rate algorithm");
/// keys that were not seen for long make room for others. A key whose budget changes gets another bucket, a full one.
#[derive(Debug)]
pub struct Limiter<K> {
    full_at: Cache<(K, Budget), Arc<AtomicU64>>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// Remembers at most about so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self { full_at: Cache::new(keys) }
    }

    /// Takes one of a key's `budget`, at `now` in milliseconds.
    ///
    /// # Errors
    /// Milliseconds to wait, where nothing is left. Nothing is taken then.
    pub fn take(&self, key: &K, budget: Budget, now: u64) -> Result<(), u64> {
        let now = now.saturating_mul(1000);
        let (interval, depth) = (budget.interval(), budget.depth());
        let bucket = self.bucket(&(key.clone(), budget));
        let taken = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            let next = full_at.max(now).saturating_add(interval);
            (next <= now.saturating_add(depth)).then_some(next)
        });
        taken.map(|_| ()).map_err(|full_at| {
            let next = full_at.max(now).saturating_add(interval);
            next.saturating_sub(now.saturating_add(depth)).div_ceil(1000)
        })
    }

    /// Gives back one that was taken of a key's `budget`.
    pub fn give_back(&self, key: &K, budget: Budget) {
        // A key that was pushed out meanwhile has nothing to be given back to.
        if let Some(bucket) = self.full_at.get(&(key.clone(), budget)) {
            let _ = bucket.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
                Some(full_at.saturating_sub(budget.interval()))
            });
        }
    }

    fn bucket(&self, key: &(K, Budget)) -> Arc<AtomicU64> {
        if let Some(bucket) = self.full_at.get(key) {
            return bucket;
        }
        let made = self
            .full_at
            .get_or_insert_with::<(K, Budget), std::convert::Infallible>(key, || Ok(Arc::new(AtomicU64::new(0))));
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
