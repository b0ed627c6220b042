//! What survives a power cut and what does not.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::libc;
use tempfile::TempDir;

use crate::PowerCut;

mod switches;

/// A mounted layer and the folder it is mounted on, in the order they must be dropped.
struct Bench {
    power: PowerCut,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let power = PowerCut::mount(folder.path()).unwrap();
        Self { power, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sync_root(&self) {
        sync(self.folder.path());
    }

    /// A file that is certain to survive with these bytes.
    fn durable(&self, name: &str, bytes: &[u8]) -> File {
        let mut file = File::create(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        self.sync_root();
        file
    }

    fn cycle(&self, seed: u64) {
        self.power.cut(seed);
        self.power.restore();
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }
}

fn sync(folder: &Path) {
    File::open(folder).unwrap().sync_all().unwrap();
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn missing<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn failed<T>(outcome: io::Result<T>, code: i32) -> bool {
    outcome.is_err_and(|error| error.raw_os_error() == Some(code))
}

#[test]
fn files_behave_while_power_lasts() {
    let bench = Bench::new();
    let path = bench.path("file");
    let mut file = File::create_new(&path).unwrap();
    file.write_all_at(b"end", 10_000).unwrap();
    file.write_all(b"begin").unwrap();
    let mut expected = b"begin".to_vec();
    expected.resize(10_000, 0);
    expected.extend(b"end");
    assert_eq!(bench.read("file").unwrap(), expected);

    file.set_len(3).unwrap();
    file.set_len(6).unwrap();
    append(&path, b"!").unwrap();
    assert_eq!(bench.read("file").unwrap(), b"beg\0\0\0!");
    assert!(failed(File::create_new(&path), libc::EEXIST));

    fs::hard_link(&path, bench.path("link")).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.read("link").unwrap(), b"beg\0\0\0!");
    fs::remove_file(bench.path("link")).unwrap();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"beg\0\0\0!", "an open file outlives its names");
}

#[test]
fn a_large_folder_is_read_and_removed_whole() {
    let bench = Bench::new();
    let folder = bench.path("folder");
    fs::create_dir(&folder).unwrap();
    for name in 0..1000 {
        File::create(folder.join(format!("a file with a long name {name}"))).unwrap();
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1000);
    assert!(failed(fs::remove_dir(&folder), libc::ENOTEMPTY));
    fs::remove_dir_all(&folder).unwrap();
    assert!(missing(fs::read_dir(&folder)));
}

#[test]
fn unsynced_bytes_are_lost() {
    let bench = Bench::new();
    bench.durable("log", b"synced ");
    append(&bench.path("log"), b"not").unwrap();
    assert_eq!(bench.read("log").unwrap(), b"synced not");
    bench.cycle(0);
    assert_eq!(bench.read("log").unwrap(), b"synced ");
}

#[test]
fn synced_bytes_survive_any_seed() {
    for seed in 0..50 {
        let bench = Bench::new();
        bench.durable("log", b"one ");
        append(&bench.path("log"), b"two ").unwrap().sync_data().unwrap();
        append(&bench.path("log"), &vec![7; 20_000]).unwrap();
        bench.cycle(seed);
        assert!(bench.read("log").unwrap().starts_with(b"one two "));
        assert_eq!(bench.power.counts().file_syncs, 2);
        assert_eq!(bench.power.counts().directory_syncs, 1);
    }
}

#[test]
fn unsynced_pages_survive_whole_or_not_at_all() {
    let mut outcomes = HashSet::new();
    for seed in 1..=60 {
        let run = || {
            let bench = Bench::new();
            let file = bench.durable("file", &[1; 12_000]);
            file.write_all_at(&vec![2; 40_000], 5_000).unwrap();
            bench.cycle(seed);
            bench.read("file").unwrap()
        };
        let bytes = run();
        assert_eq!(bytes, run(), "the same seed, the same disk");
        assert!((12_000..=45_000).contains(&bytes.len()));
        for (index, page) in bytes.chunks(4096).enumerate() {
            let expected = |new: bool| {
                let state = |at| match at {
                    5_000.. if new => 2,
                    0..12_000 => 1,
                    _ => 0,
                };
                (index * 4096..).map(state).take(page.len()).collect::<Vec<u8>>()
            };
            assert!(page == expected(false) || page == expected(true));
        }
        outcomes.insert(bytes);
    }
    assert!(outcomes.len() > 20, "only {} outcomes", outcomes.len());
}

#[test]
fn a_truncation_is_old_or_new() {
    let mut sizes = HashSet::new();
    for seed in 0..40 {
        let bench = Bench::new();
        bench.durable("file", &[1; 9_000]);
        fs::write(bench.path("file"), [2; 100]).unwrap();
        bench.cycle(seed);
        let bytes = bench.read("file").unwrap();
        let new = bytes.len() <= 100 && bytes.iter().all(|byte| *byte != 1);
        assert!(new || bytes == [1; 9_000]);
        sizes.insert(bytes.len());
    }
    assert_eq!(sizes, HashSet::from([0, 100, 9_000]));
}

#[test]
fn an_unsynced_entry_is_lost_though_its_file_is_synced() {
    for lenient in [false, true] {
        let bench = Bench::new();
        bench.power.lenient(lenient);
        File::create(bench.path("new")).unwrap().sync_all().unwrap();
        bench.cycle(0);
        assert_eq!(missing(bench.read("new")), !lenient);
    }
}

#[test]
fn entries_survive_as_a_first_part() {
    let mut counts = HashSet::new();
    for seed in 1..=60 {
        let bench = Bench::new();
        for name in 0..5 {
            File::create(bench.path(&name.to_string())).unwrap();
        }
        bench.cycle(seed);
        let found = fs::read_dir(bench.folder.path()).unwrap().count();
        assert!((0..found).all(|name| bench.path(&name.to_string()).exists()));
        counts.insert(found);
    }
    assert_eq!(counts, (0..=5).collect());
}

#[test]
fn an_unsynced_removal_is_undone() {
    let bench = Bench::new();
    bench.durable("file", b"kept");
    fs::remove_file(bench.path("file")).unwrap();
    bench.cycle(0);
    assert_eq!(bench.read("file").unwrap(), b"kept");
    fs::remove_file(bench.path("file")).unwrap();
    bench.sync_root();
    bench.cycle(1);
    assert!(missing(bench.read("file")));
}

#[test]
fn a_rename_is_old_or_new() {
    let mut outcomes = HashSet::new();
    for seed in 0..40 {
        let bench = Bench::new();
        bench.durable("current", b"old");
        bench.durable("next", b"new");
        fs::rename(bench.path("next"), bench.path("current")).unwrap();
        bench.cycle(seed);
        let current = bench.read("current").unwrap();
        assert_eq!(missing(bench.read("next")), current == b"new");
        outcomes.insert(current);

        bench.durable("next", b"newer");
        fs::rename(bench.path("next"), bench.path("current")).unwrap();
        bench.sync_root();
        bench.cycle(seed);
        assert_eq!(bench.read("current").unwrap(), b"newer");
    }
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn a_rename_between_folders_never_loses_the_file() {
    for seed in 0..60 {
        let bench = Bench::new();
        fs::create_dir(bench.path("from")).unwrap();
        fs::create_dir(bench.path("to")).unwrap();
        bench.durable("from/file", b"kept");
        sync(&bench.path("from"));
        fs::rename(bench.path("from/file"), bench.path("to/file")).unwrap();
        if seed % 2 == 0 {
            sync(&bench.path("from"));
        }
        bench.cycle(seed);
        let (from, to) = (bench.read("from/file"), bench.read("to/file"));
        assert!(seed % 2 == 1 || from.is_err());
        assert_eq!(to.or(from).unwrap(), b"kept");
    }
}

#[test]
fn a_synchronous_write_is_durable() {
    for flag in [libc::O_SYNC, libc::O_DSYNC] {
        let bench = Bench::new();
        bench.durable("file", b"");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).custom_flags(flag).open(bench.path("file")).unwrap();
        file.write_all(b"certain").unwrap();
        bench.cycle(0);
        assert_eq!(bench.read("file").unwrap(), b"certain");
    }
}
