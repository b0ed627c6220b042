//! `make crash`: kills a server under load, 50 times or as often as its argument says, and looks for losses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../kills.rs"]
mod kills;
#[path = "../load.rs"]
mod load;

use std::process::ExitCode;
use std::sync::Arc;

#[tokio::main]
async fn main() -> ExitCode {
    let count = std::env::args().nth(1).map_or(50, |count| count.parse().expect("the argument is a number of kills"));
    let folder = tempfile::TempDir::new().unwrap();
    let verdict = Arc::new(load::Verdict::default());
    let (rounds, load) = kills::rounds(folder.path(), count, &verdict).await;
    println!("{rounds} kills; {load}");
    println!("{verdict}");
    if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
