//! `make soak`: a working day for a server. A fifth of the bench's people are there: they wait in `/sync`, speak, read, type, come
//! and go, all at a steady rate, for two hours or as many as `--hours` says. Each minute gets a line; in the end the memory
//! must be flat, the latency as it was in the beginning, and nothing have gone wrong.
//!
//! The world is the bench's, and its store is filled by it: `bench --fill`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]

// What the bench measures with. It uses more of it.
#[allow(dead_code)]
#[path = "../bench/machine.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../bench/meter.rs"]
mod meter;
#[allow(dead_code)]
#[path = "../bench/pace.rs"]
mod pace;
#[allow(dead_code)]
#[path = "../bench/running.rs"]
mod running;
#[allow(dead_code)]
#[path = "../bench/wire.rs"]
mod wire;
#[allow(dead_code)]
#[path = "../bench/world.rs"]
mod world;

mod deeds;
mod hand;
mod holdings;
mod listener;
mod minutes;
mod stage;
mod tally;
mod verdict;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use holdings::Holdings;
use minutes::{Minute, Watch};
use running::Running;
use spec_tests::Server;
use stage::Stage;
use world::{Shelf, World};

/// How long those who speak may take to stop, and what was sent last to be heard.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let minutes = minutes_asked_for();
    let (folder, size) = world::asked_for();
    let machine = machine::describe(&folder);
    let shelf = Shelf::new(folder);
    let Some(world) = shelf.world(&size) else {
        eprintln!("There is no store of this size yet: bench --fill makes it.");
        return ExitCode::FAILURE;
    };
    // The server inherits it.
    meter::open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let is_good = runtime.block_on(soak(&shelf, world, minutes, &machine));
    shelf.drop("soak");
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn minutes_asked_for() -> usize {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let hours = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(2.0),
        ["--hours", hours] => hours.parse::<f64>().ok().filter(|hours| *hours > 0.0),
        _ => None,
    };
    let Some(hours) = hours else {
        eprintln!("The arguments are --hours and a number.");
        std::process::exit(2);
    };
    ((hours * 60.0).round() as usize).max(1)
}

/// Waits until the server ends by itself.
async fn end_of(server: &mut Server) {
    while !server.has_ended() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs for so many minutes, or until Ctrl-C. Whether all was well.
async fn soak(shelf: &Shelf, world: World, minutes: usize, machine: &str) -> bool {
    let mut running = Running::start_over_copy(shelf.copy("soak"), Arc::new(world)).await;
    let stage = Arc::new(Stage::set(&running));
    println!("{machine}\n- {stage}\n");
    let listeners = listener::gather(&stage).await;
    let workers = deeds::begin(&stage);
    println!("{}", Minute::HEAD);
    let mut watch = Watch::begin(&running, &stage);
    let mut seen = Vec::with_capacity(minutes);
    let mut warm = None;
    let stopped = tokio::signal::ctrl_c();
    tokio::pin!(stopped);
    while seen.len() < minutes {
        tokio::select! {
            biased;
            () = end_of(&mut running.server) => break,
            minute = watch.next() => {
                println!("{minute}");
                seen.push(minute);
                if seen.len() == verdict::warm_up(minutes) {
                    warm = Holdings::read(&running.metrics).await;
                }
            }
            _ = &mut stopped => break,
        }
    }
    stage.end();
    if let (Some(warm), Some(now)) = (warm, Holdings::read(&running.metrics).await) {
        println!("\n{}", now.since(&warm));
    }
    let ended = running.server.has_ended();
    if !ended {
        tokio::time::sleep(DRAIN).await;
    }
    drop((workers, listeners));
    let log = running.server.log();
    let sentences = verdict::judge(&seen, &stage.tally, &log);
    for sentence in &sentences {
        println!("{sentence}");
    }
    if ended {
        let lines: Vec<_> = log.lines().collect();
        println!("The server ended. Its last words:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
    }
    !ended && sentences.iter().all(verdict::Sentence::is_good)
}
