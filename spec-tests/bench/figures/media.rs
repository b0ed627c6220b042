//! Media of 1 MiB, up and down, and the memory that many of both take at once: it is to stay as it is from one time to the next.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::Meter;
use crate::running::Running;
use crate::table::Goal;

const FILE_BYTES: usize = 1 << 20;
const AT_ONCE: usize = 200;
const EACH: usize = 5;
const ROUNDS: usize = 3;
const FLOOR_EACH: usize = 40;
/// What is written at once, here as in the server.
const PIECE_BYTES: usize = 128 << 10;

/// A file that nobody has uploaded yet.
fn file() -> Vec<u8> {
    let mut file = vec![7; FILE_BYTES];
    file[..8].copy_from_slice(&rand::random::<[u8; 8]>());
    file
}

fn path(name: &str) -> String {
    format!("/v1/media/download/{name}")
}

pub async fn measure(bench: &mut Bench) {
    let running = bench.server().await;
    let mut wire = running.wire(20).await;
    let mut names = Vec::new();
    let up = running.rounds(5, 40, async || names.push(wire.upload(&file()).await)).await;
    let floor = floor(&running.folder);
    bench.table.row("this machine: 1 MiB hashed, written to a file and synced", Goal::None, "ms of CPU", &floor);
    bench.table.row("upload of 1 MiB", Goal::AtMost(1.0), "ms of CPU", &up);
    let mut nth = 0;
    let download = async || {
        nth = (nth + 1) % names.len();
        assert_eq!(wire.get(&path(&names[nth])).await.ok().len(), FILE_BYTES);
    };
    let down = running.rounds(5, 40, download).await;
    bench.table.row("download of 1 MiB", Goal::AtMost(0.7), "ms of CPU", &down);

    let before = running.meter.resident();
    let mut most = Vec::new();
    for round in 0..=ROUNDS {
        let held = crowd(&running).await;
        running.meter.quiet().await;
        if round > 0 {
            most.push(held);
        }
    }
    let over: Vec<_> = most.iter().map(|held| (held - before) / 1e6).collect();
    let what = format!("memory of {AT_ONCE} uploads and downloads at once");
    bench.table.row(what.clone(), Goal::AtMost(80.0), "MB", &over);
    let growth = most[ROUNDS - 1] / most[0];
    bench.table.row(format!("{what}, the last time over the first"), Goal::AtMost(1.05), "×", &[growth]);
}

/// What the machine itself asks for, round by round: the hash, a new file, and its name, all on disk. Memory that a virtual
/// machine has never touched costs it as much again; the pages of new files are such.
fn floor(folder: &Path) -> Vec<f64> {
    let (folder, meter) = (folder.join("floor"), Meter::of(std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (mut content, aside) = (file(), folder.join("aside"));
    let mut write = |name: &str| {
        content[..8].copy_from_slice(&rand::random::<[u8; 8]>());
        let digest = ring::digest::digest(&ring::digest::SHA256, &content);
        let mut file = File::create(&aside).unwrap();
        for piece in content.chunks(PIECE_BYTES) {
            file.write_all(piece).unwrap();
        }
        file.sync_all().unwrap();
        std::fs::rename(&aside, folder.join(name)).unwrap();
        File::open(&folder).unwrap().sync_all().unwrap();
        std::hint::black_box(digest);
    };
    let mut round = |round: usize| {
        let before = meter.cpu();
        for nth in 0..FLOOR_EACH {
            write(&format!("{round}-{nth}"));
        }
        (meter.cpu() - before) / FLOOR_EACH as f64
    };
    (0..=ROUNDS).map(&mut round).skip(1).collect()
}

/// Many go up and down at once, again and again; the most memory that the server held meanwhile.
async fn crowd(running: &Running) -> f64 {
    let mut all = JoinSet::new();
    for person in 0..AT_ONCE {
        let mut wire = running.wire(20 + person % 50).await;
        all.spawn(async move {
            for _ in 0..EACH {
                let name = wire.upload(&file()).await;
                assert_eq!(wire.get(&path(&name)).await.ok().len(), FILE_BYTES);
            }
        });
    }
    let mut most: f64 = 0.0;
    while !all.is_empty() {
        most = most.max(running.meter.resident());
        tokio::time::sleep(Duration::from_millis(20)).await;
        while let Some(done) = all.try_join_next() {
            done.unwrap();
        }
    }
    most
}
