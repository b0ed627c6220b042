//! The world that is measured: who is in it, and the store that holds it. It is filled once and kept; every run works on
//! a copy, so that all of them begin from the same.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// To be raised by whoever changes what `fill` writes, or the form of rows that it wrote: kept stores are then made anew.
const FORM: u32 = 2;

/// The server's cache, in MiB.
pub const CACHE_MIB: usize = 256;

/// How large it is. Everything but the smallest groups shrinks with the scale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    form: u32,
    scale: usize,
    pub people: usize,
    pub rooms: usize,
    pub events: usize,
    /// Members of the large room; those without an account were made from generated events.
    pub large: usize,
    /// Rooms of the account that is in most of them.
    pub many: usize,
    /// Rooms of the account that is in a fair number, all of them with few events.
    pub some: usize,
    /// People with cross-signed devices, and one-time keys of each.
    pub keyed: usize,
    pub one_time_keys: usize,
}

impl Size {
    /// The whole world at 1, a tenth of it at 10.
    pub fn at(scale: usize) -> Self {
        Self {
            form: FORM,
            scale,
            people: (5_000 / scale).max(250),
            rooms: (3_000 / scale).max(60),
            events: 2_000_000 / scale,
            large: (20_000 / scale).max(300),
            many: (2_000 / scale).max(40),
            some: (200 / scale).max(20),
            keyed: 100,
            one_time_keys: 100,
        }
    }
}

/// Somebody with an account and one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    pub id: String,
    pub device: String,
    pub token: String,
}

/// A room, and those of its members who have an account, by their place among the people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Room {
    pub id: String,
    pub members: Vec<usize>,
}

/// What was made, by name.
#[derive(Debug, Serialize, Deserialize)]
pub struct World {
    pub size: Size,
    /// The first is the account in most rooms, the second the one in some.
    pub people: Vec<Person>,
    /// The large one.
    pub large: Room,
    /// One of 100 members, one of 50.
    pub hundred: Room,
    pub fifty: Room,
    /// Rooms of 12 with 10 to 20 messages each.
    pub quiet: Vec<Room>,
    /// Rooms of two.
    pub pairs: Vec<Room>,
    /// Rooms of 5 to 40.
    pub wards: Vec<Room>,
    /// The people with keys: the first of them, and how many.
    pub keyed: std::ops::Range<usize>,
    /// Events in the store.
    pub events: usize,
    /// How long it took to fill it, in seconds of time and of CPU.
    pub filled_in: (f64, f64),
    pub filled_by: String,
}

/// The account in most rooms, and the one in some.
pub const EVERYWHERE: usize = 0;
pub const SOMEWHERE: usize = 1;

/// The folder of stores and the size of the world, by the environment.
pub fn asked_for() -> (PathBuf, Size) {
    let folder = std::env::var_os("BENCH_STORE").map_or_else(|| PathBuf::from("target/bench"), PathBuf::from);
    let scale = std::env::var("BENCH_SCALE").map_or(1, |scale| scale.parse().expect("BENCH_SCALE is a number"));
    std::fs::create_dir_all(&folder).unwrap();
    (folder, Size::at(scale))
}

/// The folder of kept stores and copies.
#[derive(Debug, Clone)]
pub struct Shelf(PathBuf);

impl Shelf {
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where the kept store is.
    pub fn kept(&self) -> PathBuf {
        self.0.join("kept")
    }

    /// The kept world, if it is there and of this size and form.
    pub fn world(&self, size: &Size) -> Option<World> {
        let text = std::fs::read_to_string(self.kept().join("world.json")).ok()?;
        let world: World = serde_json::from_str(&text).ok()?;
        (world.size == *size).then_some(world)
    }

    /// An empty folder to fill a store in.
    pub fn clear(&self) -> PathBuf {
        let _ = std::fs::remove_dir_all(self.kept());
        self.empty("kept")
    }

    /// Keeps what was filled: the world is written last.
    pub fn keep(&self, world: &World) {
        std::fs::write(self.kept().join("world.json"), serde_json::to_string(world).unwrap()).unwrap();
    }

    /// A copy of the kept store to work on. Its rows' files never change, so they are shared.
    pub fn copy(&self, name: &str) -> PathBuf {
        let folder = self.empty(name);
        let (from, to) = (store(&self.kept()), store(&folder));
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            let shared =
                path.extension().is_some_and(|kind| kind == "sst") && std::fs::hard_link(&path, &target).is_ok();
            if !shared {
                std::fs::copy(&path, target).unwrap();
            }
        }
        folder
    }

    /// An empty folder for a server that begins with nothing.
    pub fn empty(&self, name: &str) -> PathBuf {
        let folder = self.0.join(name);
        self.drop(name);
        std::fs::create_dir_all(folder.join("data")).unwrap();
        folder
    }

    /// Removes a copy.
    pub fn drop(&self, name: &str) {
        let _ = std::fs::remove_dir_all(self.0.join(name));
    }
}

/// Where a server keeps its store, below the folder that it runs in.
pub fn store(folder: &Path) -> PathBuf {
    folder.join("data/store")
}
