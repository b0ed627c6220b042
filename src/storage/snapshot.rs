//! Reading: a view of the store at one position, and scans over it.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Key, Reader, Value};
use crate::engine::{Cursor, EngineSnapshot, Page, Reach, Read, Run};
use crate::error::{Error, Result};
use crate::keyspace::{Family, KeyRange, Keyspace};
use crate::{Corrupt, Position};

/// How many rows a scan takes at first, and at most, at once.
const FIRST_PAGE: usize = 32;
const LARGEST_PAGE: usize = 512;

/// A view of the store that holds every commit up to its position and none after. Cheap to clone; not to be kept for
/// more than some seconds, since the engine keeps what it shows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    inner: Arc<EngineSnapshot>,
    position: Position,
    cursors: Arc<Cursors>,
}

/// How many idle cursors of a family are kept.
const IDLE_CURSORS: usize = 2;

/// What the scans of all snapshots of one commit share: one of them after the other walks with the same cursor. Those whom
/// a commit wakes read by the same few cursors, which are gone with the next commit.
#[derive(Debug, Default)]
struct Cursors(Mutex<Vec<(Family, Cursor)>>);

impl Cursors {
    fn take(&self, family: Family) -> Option<Cursor> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|(of, _)| *of == family)?;
        Some(idle.swap_remove(at).1)
    }

    fn put_back(&self, family: Family, cursor: Cursor) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.iter().filter(|(of, _)| *of == family).count() < IDLE_CURSORS {
            idle.push((family, cursor));
        }
    }
}

/// What the store publishes with each commit: of it, every reader makes a snapshot of their own.
#[derive(Debug)]
pub(crate) struct Published {
    inner: Arc<EngineSnapshot>,
    position: Position,
    cursors: Arc<Cursors>,
}

impl Published {
    pub fn new(inner: EngineSnapshot, position: Position) -> Self {
        Self { inner: Arc::new(inner), position, cursors: Arc::default() }
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { inner: Arc::clone(&self.inner), position: self.position, cursors: Arc::clone(&self.cursors) }
    }
}

impl Snapshot {
    /// A view of nothing: for who lets go of another one and will take a new one.
    #[must_use]
    pub fn of_nothing() -> Self {
        Published::new(EngineSnapshot::nothing(), Position::ZERO).snapshot()
    }

    /// The last position whose commit it holds.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether it is as new as `position`.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        self.position >= position
    }

    /// The value of a row, if it is there.
    ///
    /// # Errors
    /// The engine cannot read, or the row is corrupt.
    pub async fn get<K: Key, V: Value>(&self, space: &Keyspace<K, V>, key: &K) -> Result<Option<V>> {
        let key = space.key_bytes(key);
        let decode = |value: Option<&[u8]>| value.map(V::decode).transpose();
        let read = match self.inner.get(space.family(), &key, Reach::Cached, decode)? {
            Read::Done(read) => read,
            Read::NotCached => {
                let family = space.family();
                let value = self
                    .on_disk(move |inner| inner.get(family, &key, Reach::Disk, |value| value.map(<[u8]>::to_vec)))
                    .await?;
                value.as_deref().map(V::decode).transpose()
            }
        };
        read.map_err(|source| corrupt(space, source))
    }

    /// The values of many rows, in the order of their keys here.
    ///
    /// # Errors
    /// The engine cannot read, or a row is corrupt.
    pub async fn get_many<'k, K: Key + 'k, V: Value>(
        &self,
        space: &Keyspace<K, V>,
        keys: impl IntoIterator<Item = &'k K>,
    ) -> Result<Vec<Option<V>>> {
        let keys: Vec<_> = keys.into_iter().map(|key| space.key_bytes(key)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let decode = |value: Option<&[u8]>| value.map(V::decode).transpose();
        let values = match self.inner.get_many(space.family(), &keys, Reach::Cached, decode)? {
            Read::Done(values) => values,
            Read::NotCached => {
                let family = space.family();
                let copy = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
                let values = self.on_disk(move |inner| inner.get_many(family, &keys, Reach::Disk, copy)).await?;
                values.into_iter().map(|value| decode(value.as_deref())).collect()
            }
        };
        values.into_iter().map(|value| value.map_err(|source| corrupt(space, source))).collect()
    }

    /// The rows of a range, in the order of their keys.
    #[must_use]
    pub fn scan<K: Key, V: Value>(&self, space: &Keyspace<K, V>, range: KeyRange<K>) -> Scan<K, V> {
        Scan {
            snapshot: self.clone(),
            name: space.name(),
            run: Run { family: space.family(), start: range.start, end: range.end, reverse: false },
            page: Vec::new().into_iter(),
            page_size: FIRST_PAGE,
            exhausted: false,
            types: PhantomData,
        }
    }

    /// Reads on a thread that may wait for the disk.
    async fn on_disk<T: Send + 'static>(
        &self,
        read: impl FnOnce(&EngineSnapshot) -> Result<Read<T>> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || read(&inner)).await;
        match read.map_err(|_| Error::Closed)?? {
            Read::Done(value) => Ok(value),
            Read::NotCached => Err(Error::Engine("the disk was not asked".to_owned())),
        }
    }
}

fn corrupt<K: Key, V: Value>(space: &Keyspace<K, V>, source: Corrupt) -> Error {
    Error::Corrupt { keyspace: space.name(), source }
}

/// A walk over the rows of a range. Reads in pages that grow, so that a short look costs little.
#[derive(Debug)]
pub struct Scan<K, V> {
    snapshot: Snapshot,
    name: &'static str,
    run: Run,
    page: std::vec::IntoIter<Row<K, V>>,
    page_size: usize,
    exhausted: bool,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Value> Scan<K, V> {
    /// Walks from the last row to the first.
    #[must_use]
    pub const fn reverse(mut self) -> Self {
        self.run.reverse = true;
        self
    }

    /// Reads this many rows at once: for callers who know how many they want.
    #[must_use]
    pub const fn expecting(mut self, rows: usize) -> Self {
        self.page_size = if rows == 0 { 1 } else { rows };
        self
    }

    /// The next row.
    ///
    /// # Errors
    /// The engine cannot read, or the row is corrupt.
    pub async fn next(&mut self) -> Result<Option<(K, V)>> {
        loop {
            if let Some(row) = self.page.next() {
                return row.map(Some).map_err(|source| Error::Corrupt { keyspace: self.name, source });
            }
            if self.exhausted {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    /// All rows that are left.
    ///
    /// # Errors
    /// The engine cannot read, or a row is corrupt.
    pub async fn collect(mut self) -> Result<Vec<(K, V)>> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Up to `limit` rows.
    ///
    /// # Errors
    /// The engine cannot read, or a row is corrupt.
    pub async fn take(mut self, limit: usize) -> Result<Vec<(K, V)>> {
        self.page_size = limit.clamp(1, LARGEST_PAGE);
        let mut rows = Vec::with_capacity(self.page_size);
        while rows.len() < limit {
            let Some(row) = self.next().await? else { break };
            rows.push(row);
        }
        Ok(rows)
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The engine cannot read, or the row is corrupt.
    pub async fn first(self) -> Result<Option<(K, V)>> {
        self.expecting(1).next().await
    }

    async fn turn(&mut self) -> Result<()> {
        let limit = self.page_size;
        let page = match self.page_in_memory(limit)? {
            Read::Done(page) => page,
            Read::NotCached => {
                let run = self.run.clone();
                let copy = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
                let page = self.snapshot.on_disk(move |inner| inner.page(&run, limit, Reach::Disk, copy)).await?;
                let rows = page.rows.into_iter().map(|(key, value)| decode(&key, &value)).collect();
                Page { rows, last: page.last }
            }
        };
        self.exhausted = page.rows.len() < limit;
        if !self.exhausted {
            if self.run.reverse {
                self.run.end = page.last;
            } else {
                self.run.start = page.last;
                self.run.start.push(0);
            }
        }
        self.page_size = (limit * 4).clamp(limit, LARGEST_PAGE.max(limit));
        self.page = page.rows.into_iter();
        Ok(())
    }

    fn page_in_memory(&self, limit: usize) -> Result<Read<Page<Row<K, V>>>> {
        let Snapshot { inner, cursors, .. } = &self.snapshot;
        let family = self.run.family;
        let mut cursor = match cursors.take(family) {
            Some(cursor) => cursor,
            None => Cursor::new(inner, family)?,
        };
        let page = cursor.page(&self.run, limit, decode)?;
        cursors.put_back(family, cursor);
        match page {
            Read::Done(page) => Ok(Read::Done(page)),
            // Perhaps it only met too many deleted rows beyond the run's end.
            Read::NotCached => inner.page(&self.run, limit, Reach::Cached, decode),
        }
    }
}

/// A row, unless its bytes have another form.
type Row<K, V> = Result<(K, V), Corrupt>;

fn decode<K: Key, V: Value>(key: &[u8], value: &[u8]) -> Row<K, V> {
    let mut reader = Reader::new(key);
    reader.take(2)?;
    let key = K::decode(&mut reader)?;
    reader.finish()?;
    Ok((key, V::decode(value)?))
}
