//! The power fails at a random change of the disk, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::load::{Door, Load, Verdict};
use super::rig::Rig;

/// How long a round waits for its cut.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which faults to make.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub cuts: usize,
    /// Syncs do nothing.
    pub deaf: bool,
}

/// Cuts the power of a server so many times, or until something is wrong.
pub async fn rounds(rig: &mut Rig, plan: Plan, verdict: &Arc<Verdict>) -> (usize, Load) {
    let mut load = Load::new(&Door::calm(rig.server(), verdict)).await;
    rig.disk.deaf(plan.deaf);
    let mut done = 0;
    while done < plan.cuts && verdict.is_good() {
        // Every fourth cut comes while the server starts, or soon after. A start that syncs nothing ruins the store
        // at once, and what acknowledged things would have come to would not be seen.
        let early = !plan.deaf && rand::random_ratio(1, 4);
        // As many short rounds as long ones.
        let most = 1 << rand::random_range(if early { 1..7 } else { 1..11 });
        let changes = rand::random_range(0..most) + if plan.deaf { 100 } else { 0 };
        // Every third cut leaves nothing that was not synced.
        let seed = if rand::random_ratio(1, 3) { 0 } else { rand::random() };
        if early {
            rig.kill();
            rig.disk.cut_after(changes, seed);
            if let Err(why) = rig.start().await {
                verdict.must(rig.disk.is_cut(), || format!("the server does not start: {why}"));
            }
        } else {
            rig.disk.cut_after(changes, seed);
        }
        if !early || rig.is_up() {
            run_until_cut(rig, &mut load, seed, verdict).await;
        }
        rig.kill();
        rig.disk.restore();
        done += 1;
        let started = rig.start().await;
        verdict.must(started.is_ok(), || {
            format!("after a cut at change {changes} with seed {seed} the server does not start: {started:?}")
        });
        if started.is_err() {
            return (done, load);
        }
        load.check(&Door::calm(rig.server(), verdict)).await;
        if !verdict.is_good() {
            println!("round {done}: a cut at change {changes} with seed {seed}, early: {early}");
        }
    }
    load.check_all(&Door::calm(rig.server(), verdict)).await;
    (done, load)
}

/// The load runs until the power is off and a little longer: what is acknowledged then is a lie.
async fn run_until_cut(rig: &Rig, load: &mut Load, seed: u64, verdict: &Arc<Verdict>) {
    let over = AtomicBool::new(false);
    let wait = async {
        let begun = Instant::now();
        while !rig.disk.is_cut() {
            if begun.elapsed() > PATIENCE {
                rig.disk.cut(seed);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        over.store(true, Ordering::Relaxed);
    };
    let door = Door::stormy(rig.server(), verdict);
    tokio::join!(load.run(&door, &over), wait);
}
