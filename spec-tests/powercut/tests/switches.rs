//! What the switches of the layer do, and what it is like without power.

use super::*;

#[test]
fn a_deaf_disk_loses_what_was_synced() {
    let bench = Bench::new();
    bench.durable("file", b"old");
    bench.power.deaf(true);
    append(&bench.path("file"), b" new").unwrap().sync_all().unwrap();
    bench.durable("other", b"");
    bench.cycle(0);
    assert_eq!(bench.read("file").unwrap(), b"old");
    assert!(missing(bench.read("other")));
}

#[test]
fn a_full_disk_refuses_to_grow() {
    let bench = Bench::new();
    let mut file = bench.durable("file", b"old");
    bench.power.full(true);
    assert!(failed(file.write_all(b"new"), libc::ENOSPC));
    assert!(failed(File::create(bench.path("other")), libc::ENOSPC));
    assert!(failed(fs::create_dir(bench.path("folder")), libc::ENOSPC));
    assert_eq!(bench.read("file").unwrap(), b"old");
    bench.power.full(false);
    file.write_all(b"new").unwrap();
    assert_eq!(bench.read("file").unwrap(), b"oldnew");
}

#[test]
fn nothing_works_without_power() {
    let bench = Bench::new();
    let mut file = bench.durable("file", b"old");
    file.lock().unwrap();
    bench.power.cut(0);
    assert!(bench.power.is_cut());
    assert!(failed(file.write_all(b"new"), libc::EIO));
    assert!(failed(file.sync_all(), libc::EIO));
    assert!(failed(bench.read("file"), libc::EIO));
    assert!(failed(fs::read_dir(bench.folder.path()), libc::EIO));
    assert!(failed(File::create(bench.path("other")), libc::EIO));
    bench.power.restore();
    assert!(file.write_all(b"new").is_err(), "what was open stays dead");
    let again = File::open(bench.path("file")).unwrap();
    again.try_lock().unwrap();
    assert!(File::open(bench.path("file")).unwrap().try_lock().is_err());
    assert_eq!(bench.read("file").unwrap(), b"old");
}

#[test]
fn a_cut_can_wait_for_any_change() {
    let save = |bench: &Bench| -> io::Result<()> {
        let mut file = File::create(bench.path("next"))?;
        file.write_all(b"new")?;
        file.sync_all()?;
        fs::rename(bench.path("next"), bench.path("current"))?;
        File::open(bench.folder.path())?.sync_all()
    };
    for changes in 0..5 {
        let bench = Bench::new();
        bench.durable("current", b"old");
        bench.power.cut_after(changes, changes);
        assert!(failed(save(&bench), libc::EIO));
        bench.power.restore();
        assert!([b"old", b"new"].contains(&&bench.read("current").unwrap()[..].try_into().unwrap()));
    }
    let bench = Bench::new();
    bench.power.cut_after(5, 0);
    save(&bench).unwrap();
    assert!(!bench.power.is_cut());
}

#[test]
fn unmounting_does_not_wait_for_open_files() {
    let bench = Bench::new();
    let file = bench.durable("file", b"");
    let Bench { power, folder } = bench;
    drop(power);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(file);
}
