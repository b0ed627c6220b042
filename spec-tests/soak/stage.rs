//! Who takes part, and where: the rooms by how often they are spoken in, and what was said and shown last.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::running::Running;
use crate::tally::Tally;
use crate::world::{Room, World};

/// One in so many people is there: 1,000 of 5,000.
const SHARE: usize = 5;
/// Of 10,000 messages, so many go to a room of two, to a team or ward, to the rooms of 50, of 100, and to the large one.
const WEIGHTS: [usize; 5] = [5_000, 4_700, 180, 100, 20];
/// How many events are remembered, to be read.
const REMEMBERED: usize = 64;

/// A room, and those in it who are there.
#[derive(Debug)]
pub struct Place {
    pub id: String,
    pub present: Vec<usize>,
}

/// A few things of late, of which one is picked by chance.
#[derive(Debug)]
pub struct Recent<T>(Mutex<VecDeque<T>>);

impl<T: Clone> Recent<T> {
    const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub fn note(&self, thing: T) {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() == REMEMBERED {
            things.pop_front();
        }
        things.push_back(thing);
    }

    /// None where there is nothing yet.
    pub fn pick(&self, chance: &mut StdRng) -> Option<T> {
        let things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!things.is_empty()).then(|| things[chance.random_range(0..things.len())].clone())
    }
}

/// What all who take part share.
#[derive(Debug)]
pub struct Stage {
    pub world: Arc<World>,
    pub address: SocketAddr,
    pub tally: Tally,
    /// From when times in messages count.
    pub begun: Instant,
    /// Those who are there.
    pub present: Range<usize>,
    /// Those who come and go, and are not there to listen.
    pub wanderers: Range<usize>,
    kinds: [Vec<Arc<Place>>; 5],
    /// Places and events.
    pub said: Recent<(Arc<Place>, String)>,
    /// Names of files, `server/id`.
    pub files: Recent<String>,
    /// Whether everybody stops.
    over: AtomicBool,
}

impl Stage {
    pub fn set(running: &Running) -> Self {
        let world = Arc::clone(&running.world);
        let people = world.people.len();
        // The first two are in very many rooms, those at the end are no users of an ordinary kind.
        let present = 2..2 + people / SHARE;
        let wanderers = present.end..world.keyed.start;
        let places = |rooms: &[Room]| rooms.iter().filter_map(|room| place(room, &present)).collect::<Vec<_>>();
        let one = |room: &Room| places(std::slice::from_ref(room));
        let kinds =
            [places(&world.pairs), places(&world.wards), one(&world.fifty), one(&world.hundred), one(&world.large)];
        Self {
            address: running.address,
            tally: Tally::default(),
            begun: Instant::now(),
            present,
            wanderers,
            kinds,
            said: Recent::new(),
            files: Recent::new(),
            over: AtomicBool::new(false),
            world,
        }
    }

    /// Nobody begins anything more.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A room to speak in, and somebody there.
    pub fn pick(&self, chance: &mut StdRng) -> (Arc<Place>, usize) {
        let all: usize = WEIGHTS.iter().sum();
        let mut lot = chance.random_range(0..all);
        let mut kind = 0;
        while lot >= WEIGHTS[kind] {
            lot -= WEIGHTS[kind];
            kind += 1;
        }
        // A small world may have no pair of which one is there.
        let places = if self.kinds[kind].is_empty() { &self.kinds[4] } else { &self.kinds[kind] };
        let place = Arc::clone(&places[chance.random_range(0..places.len())]);
        let speaker = place.present[chance.random_range(0..place.present.len())];
        (place, speaker)
    }

    /// Somebody who is there.
    pub fn somebody(&self, chance: &mut StdRng) -> usize {
        chance.random_range(self.present.clone())
    }

    pub fn token(&self, person: usize) -> &str {
        &self.world.people[person].token
    }
}

/// None where nobody of it is there.
fn place(room: &Room, there: &Range<usize>) -> Option<Arc<Place>> {
    let present: Vec<_> = room.members.iter().copied().filter(|member| there.contains(member)).collect();
    (!present.is_empty()).then(|| Arc::new(Place { id: room.id.clone(), present }))
}

impl fmt::Display for Stage {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms: usize = self.kinds.iter().map(Vec::len).sum();
        let all: usize = WEIGHTS.iter().sum();
        let mean = |places: &Vec<Arc<Place>>| {
            places.iter().map(|place| place.present.len()).sum::<usize>() as f64 / places.len().max(1) as f64
        };
        let heard: f64 =
            self.kinds.iter().zip(WEIGHTS).map(|(kind, weight)| mean(kind) * weight as f64 / all as f64).sum();
        write!(
            to,
            "{} of {} people are there, in {rooms} rooms; a message is heard by {heard:.1} of them",
            self.present.len(),
            self.world.people.len()
        )
    }
}
