//! Faults in small doses, for every run of the tests: some kills, some power cuts, a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../cuts.rs"]
mod cuts;
mod full;
#[path = "../kills.rs"]
mod kills;
#[path = "../load.rs"]
mod load;
#[path = "../rig.rs"]
mod rig;

use std::sync::Arc;

use load::Verdict;
use rig::Rig;
use tokio::sync::Mutex;

/// One load at a time.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn kills() {
    let _turn = TURN.lock().await;
    let folder = tempfile::TempDir::new().unwrap();
    let verdict = Arc::new(Verdict::default());
    let (_, load) = kills::rounds(folder.path(), 3, &verdict).await;
    assert!(verdict.is_good(), "{load}\n{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts() {
    let _turn = TURN.lock().await;
    let Some(mut rig) = Rig::new().await else { return };
    let verdict = Arc::new(Verdict::default());
    let (_, load) = cuts::rounds(&mut rig, cuts::Plan { cuts: 6, deaf: false }, &verdict).await;
    assert!(verdict.is_good(), "{load}\n{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_without_syncs_are_found() {
    let _turn = TURN.lock().await;
    let Some(mut rig) = Rig::new().await else { return };
    let verdict = Arc::new(Verdict::default());
    let (_, load) = cuts::rounds(&mut rig, cuts::Plan { cuts: 20, deaf: true }, &verdict).await;
    assert!(!verdict.is_good(), "{load}\n{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let _turn = TURN.lock().await;
    let Some(mut rig) = Rig::new().await else { return };
    full::fills_and_empties(&mut rig).await;
}
