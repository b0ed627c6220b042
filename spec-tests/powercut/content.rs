//! The bytes of one file: what processes see, and what the disk holds for certain.
#![allow(clippy::indexing_slicing, reason = "offsets within a page are computed by `within`")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::chance::Chance;

/// What a disk writes whole or not at all.
pub(crate) const PAGE: u64 = 4096;

type Page = [u8; 4096];

/// One state of a file; a page that is absent is all zeros, and so is every page past the size.
#[derive(Clone, Default)]
struct Image {
    pages: BTreeMap<u64, Arc<Page>>,
    size: u64,
}

impl Image {
    /// Sets the size and answers which pages changed by it.
    fn resize(&mut self, size: u64) -> Vec<u64> {
        let mut changed: Vec<u64> = Vec::new();
        if size < self.size {
            changed.extend(self.pages.split_off(&size.div_ceil(PAGE)).keys());
            if let Some(page) = self.pages.get_mut(&(size / PAGE)) {
                // What was cut off must not come back when the file grows again.
                Arc::make_mut(page)[within(size)..].fill(0);
                changed.push(size / PAGE);
            }
        }
        self.size = size;
        changed
    }
}

/// A file's bytes, live and durable, with what tells the two apart.
#[derive(Default)]
pub(crate) struct Content {
    live: Image,
    durable: Image,
    /// The pages changed since the last sync.
    dirty: BTreeSet<u64>,
    /// The smallest size the file had since the last sync: durable bytes past it were truncated.
    floor: u64,
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        self.live.size
    }

    pub(crate) fn read(&self, offset: u64, wanted: u32) -> Vec<u8> {
        let end = self.live.size.min(offset.saturating_add(wanted.into()));
        let mut bytes = Vec::new();
        let mut position = offset;
        while position < end {
            let start = within(position);
            let stop = start + within_page(end - position, start);
            match self.live.pages.get(&(position / PAGE)) {
                Some(page) => bytes.extend_from_slice(&page[start..stop]),
                None => bytes.resize(bytes.len() + stop - start, 0),
            }
            position += (stop - start) as u64;
        }
        bytes
    }

    pub(crate) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut position = offset;
        while !bytes.is_empty() {
            let start = within(position);
            let (now, later) = bytes.split_at(within_page(bytes.len() as u64, start));
            let index = position / PAGE;
            let page = self.live.pages.entry(index).or_insert_with(|| Arc::new([0; _]));
            // The page may be shared with the durable image; make_mut then copies it first.
            Arc::make_mut(page)[start..start + now.len()].copy_from_slice(now);
            self.dirty.insert(index);
            position += now.len() as u64;
            bytes = later;
        }
        self.live.size = self.live.size.max(position);
    }

    pub(crate) fn resize(&mut self, size: u64) {
        self.dirty.extend(self.live.resize(size));
        self.floor = self.floor.min(size);
    }

    /// Makes the live bytes durable; the cost is that of the changed pages alone.
    pub(crate) fn sync(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            match self.live.pages.get(&index) {
                Some(page) => self.durable.pages.insert(index, Arc::clone(page)),
                None => self.durable.pages.remove(&index),
            };
        }
        self.durable.size = self.live.size;
        self.floor = self.live.size;
    }

    /// What a power cut leaves of the file, and how many changed pages it loses.
    pub(crate) fn survive(&self, chance: &mut Chance) -> (Self, u64) {
        let truncated = self.floor < self.durable.size;
        // A lost truncation takes the later writes with it: the disk never mixes the blocks
        // that a truncation freed with those written after it.
        let image =
            if chance.nothing() || (truncated && chance.coin()) { self.durable.clone() } else { self.mixture(chance) };
        let lost = self.dirty.iter().filter(|index| {
            let (kept, live) = (image.pages.get(index), self.live.pages.get(index));
            kept != live
        });
        let lost = lost.count() as u64;
        let survivor = Self { floor: image.size, durable: image.clone(), live: image, dirty: BTreeSet::new() };
        (survivor, lost)
    }

    /// The durable bytes with some of the changed pages, at the old size, the new, or between.
    fn mixture(&self, chance: &mut Chance) -> Image {
        let mut image = self.durable.clone();
        image.resize(self.floor);
        let kept = chance.pages(self.dirty.len());
        for (index, _) in self.dirty.iter().zip(kept).filter(|(_, kept)| *kept) {
            if let Some(page) = self.live.pages.get(index) {
                image.pages.insert(*index, Arc::clone(page));
            }
        }
        image.size = self.live.size;
        let size = match chance.below(3) {
            0 => self.floor,
            1 => self.live.size,
            _ => {
                let steps = (self.live.size - self.floor) / PAGE;
                let between = (self.floor / PAGE + chance.below(steps + 1)) * PAGE;
                between.max(self.floor)
            }
        };
        image.resize(size);
        image
    }
}

/// Where in its page a position lies.
fn within(position: u64) -> usize {
    (position % PAGE) as usize
}

/// How many of `wanted` bytes lie in the page that is used from `start` on.
fn within_page(wanted: u64, start: usize) -> usize {
    let left = 4096 - start;
    usize::try_from(wanted).map_or(left, |wanted| wanted.min(left))
}
