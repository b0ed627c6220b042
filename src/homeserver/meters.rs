//! What is counted, a page for all owners: each has the numbers of its own work, and whoever shows them reads them there.
//!
//! They begin anew with every start. None of them is kept by user, room or device.

use matron_storage::{Count, Level, Spread};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::schema::rooms::Standing;

/// How events can stand, with the names that this has outside.
const STANDINGS: [(Standing, &str); 5] = [
    (Standing::Live, "live"),
    (Standing::Backfilled, "backfilled"),
    (Standing::Outlier, "outlier"),
    (Standing::Rejected, "rejected"),
    (Standing::SoftFailed, "soft_failed"),
];

/// Of rooms: what is appended to them.
#[derive(Debug)]
pub struct Rooms {
    /// Events that got a row, by standing in the order of `STANDINGS`. One whose batch the disk does not take counts
    /// too.
    placed: [Count; STANDINGS.len()],
    /// How long somebody waits from wanting an event until it is on disk.
    pub appends: Spread,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { placed: Default::default(), appends: Spread::of_times() }
    }
}

impl Rooms {
    pub(crate) fn place(&self, standing: Standing) {
        let placed = STANDINGS.into_iter().zip(&self.placed).find(|((known, _), _)| *known == standing);
        if let Some((_, placed)) = placed {
            placed.add(1);
        }
    }

    /// Events that got a row, by the name of their standing.
    pub fn placed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STANDINGS.into_iter().zip(&self.placed).map(|((_, name), placed)| (name, placed.get()))
    }
}

/// Of /sync.
#[derive(Debug)]
pub struct Sync {
    /// Requests without a token: a client that begins.
    pub initial: Count,
    /// Requests that go on from a token.
    pub incremental: Count,
    /// Of those, how many waited and were told of nothing.
    pub timed_out: Count,
    /// How long it takes to find out what is new, without any waiting for it. Who waits is looked for more than once.
    pub answers: Spread,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            initial: Count::default(),
            incremental: Count::default(),
            timed_out: Count::default(),
            answers: Spread::of_times(),
        }
    }
}

impl Sync {
    /// Somebody asks, with a token or without.
    pub(crate) fn ask(&self, has_token: bool) {
        let asked = if has_token { &self.incremental } else { &self.initial };
        asked.add(1);
    }
}

/// Of push.
#[derive(Debug)]
pub struct Push {
    /// Events (and numbers alone) that a gateway or a mailbox took, or that were not to be told any more.
    pub delivered: Count,
    /// Calls that failed; each is made again.
    pub failed: Count,
    /// Pushkeys that a gateway knows no more.
    pub rejected: Count,
    /// From an event's coming until it is delivered; letters wait on purpose and are left out.
    pub delay: Spread,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            delivered: Count::default(),
            failed: Count::default(),
            rejected: Count::default(),
            delay: Spread::of_waits(),
        }
    }
}

/// Of e-mail.
#[derive(Debug, Default)]
pub struct Letters {
    /// Letters that are on their way.
    pub waiting: Level,
    /// Letters that the SMTP server took.
    pub sent: Count,
    /// Letters that it did not take.
    pub failed: Count,
}

/// Of media.
#[derive(Debug, Default)]
pub struct Media {
    /// Bytes of whole uploads.
    pub uploaded: Count,
    /// Bytes of media and thumbnails that were begun to be served.
    pub served: Count,
    /// Thumbnails that were drawn.
    pub drawn: Count,
    /// Pictures of which none can be.
    pub refused: Count,
    /// Those who wait until a picture of theirs is drawn, or draw it.
    pub drawing: Level,
    /// Pages that were looked at for a preview.
    pub pages: Count,
    /// Those that could not be had.
    pub pages_lost: Count,
}

/// Of logging in.
#[derive(Debug, Default)]
pub struct LogIns {
    /// Those that became a device.
    pub done: Count,
    /// Those that did not: a wrong password, one guess too many, a closed account.
    pub refused: Count,
}

/// A cache in memory as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Of what.
    pub name: &'static str,
    /// How many it holds.
    pub entries: u64,
    /// How full it is: 1 where each new one drives out an old one.
    pub fullness: f64,
}

impl Held {
    #[expect(clippy::cast_precision_loss, reason = "a fraction for people")]
    pub(crate) fn of<K, V, W>(name: &'static str, cache: &Cache<K, V, W>) -> Self
    where
        K: Eq + std::hash::Hash,
        V: Clone,
        W: Weighter<K, V> + Clone,
    {
        let fullness = cache.weight() as f64 / cache.capacity().max(1) as f64;
        Self { name, entries: cache.len() as u64, fullness }
    }
}

#[cfg(test)]
mod tests {
    use quick_cache::sync::Cache;

    use super::{Held, Rooms};
    use crate::schema::rooms::Standing;

    #[test]
    fn events_are_counted_by_standing() {
        let rooms = Rooms::default();
        for standing in [Standing::Live, Standing::Live, Standing::SoftFailed] {
            rooms.place(standing);
        }
        let placed: Vec<_> = rooms.placed().collect();
        assert_eq!(placed, [("live", 2), ("backfilled", 0), ("outlier", 0), ("rejected", 0), ("soft_failed", 1)]);
    }

    #[test]
    fn a_cache_says_how_full_it_is() {
        let cache = Cache::new(1000);
        (0..5).for_each(|nth| cache.insert(nth, ()));
        let held = Held::of("numbers", &cache);
        assert_eq!(held.entries, 5);
        assert!(held.fullness > 0.0 && held.fullness <= 0.01, "{}", held.fullness);
    }
}
