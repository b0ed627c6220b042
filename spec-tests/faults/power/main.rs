//! `make power`: cuts a server's power under load, 200 times or as often as its argument says, and looks for losses.
//!
//! With `--deaf` the disk's syncs do nothing, and losses must be found: that shows that the search finds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../cuts.rs"]
mod cuts;
#[path = "../load.rs"]
mod load;
#[path = "../rig.rs"]
mod rig;

use std::process::ExitCode;
use std::sync::Arc;

#[tokio::main]
async fn main() -> ExitCode {
    let mut plan = cuts::Plan { cuts: 200, deaf: false };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--deaf" => plan.deaf = true,
            count => plan.cuts = count.parse().expect("the arguments are a number of cuts, and --deaf"),
        }
    }
    let Some(mut rig) = rig::Rig::new().await else {
        return ExitCode::FAILURE;
    };
    let verdict = Arc::new(load::Verdict::default());
    let (rounds, load) = cuts::rounds(&mut rig, plan, &verdict).await;
    println!("{rounds} power cuts; {load}");
    println!("{verdict}");
    if plan.deaf && !verdict.is_good() {
        println!("Syncs did nothing, and the losses were found.");
    }
    if verdict.is_good() == plan.deaf { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
