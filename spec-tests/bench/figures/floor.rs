//! What the machine itself asks for: the signature and the synced batch that every event needs, and nothing of Matron
//! around them. Goals that were set on another machine are to be read beside these.

use std::sync::Arc;

use matron_storage::{Batch, Family, Keyspace, Options, Store, nobody};
use ring::signature::Ed25519KeyPair;
use ruma::signatures::Ed25519KeyPair as NewKey;
use tokio::task::JoinSet;

use crate::bench::Bench;
use crate::meter::Meter;
use crate::table::Goal;
use crate::world::{CACHE_MIB, store};

const SENDERS: u64 = 32;
const EVENTS: u64 = 16_000;
const ALONE: u64 = 500;
const ROUNDS: usize = 5;
/// An event's own row, and the small ones beside it: as many as a message has.
const EVENT_BYTES: usize = 700;
const SMALL_ROWS: u64 = 7;
const SMALL_BYTES: usize = 40;

const EVENTS_OF: Keyspace<(u64, u64), String> = Keyspace::new(0x7f01, "floor's events", Family::Log);
const ROWS_OF: Keyspace<(u64, u64), String> = Keyspace::new(0x7f02, "floor's rows", Family::Index);

pub async fn measure(bench: &mut Bench) {
    let folder = bench.shelf.empty("floor");
    let options = Options { sync: true, ..Options::rocks(store(&folder), CACHE_MIB << 20) };
    let floor = Arc::new(Floor {
        store: Store::open(&options, nobody()).unwrap(),
        key: Ed25519KeyPair::from_pkcs8_maybe_unchecked(&NewKey::generate()).unwrap(),
    });
    let meter = Meter::of(std::process::id());
    let (mut together, mut alone, mut signed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let before = meter.cpu();
        for nth in 0..ALONE {
            std::hint::black_box(floor.sign(nth));
        }
        let signing = (meter.cpu() - before) / ALONE as f64;
        let before = meter.cpu();
        for nth in 0..ALONE {
            floor.commit(round as u64, nth).await;
        }
        let one_by_one = (meter.cpu() - before) / ALONE as f64;
        let before = meter.cpu();
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let floor = Arc::clone(&floor);
            senders.spawn(async move {
                for nth in 0..EVENTS / SENDERS {
                    floor.commit(1000 + sender, nth).await;
                }
            });
        }
        senders.join_all().await;
        let rate = EVENTS as f64 * 1000.0 / (meter.cpu() - before);
        if round > 0 {
            signed.push(signing);
            alone.push(one_by_one);
            together.push(rate);
        }
    }
    let table = &mut bench.table;
    table.row("this machine: a signature", Goal::None, "ms of CPU", &signed);
    table.row("this machine: a signature and a synced batch of 8 rows, alone", Goal::None, "ms of CPU", &alone);
    let what = format!("this machine: the same, {SENDERS} at a time");
    table.row(what, Goal::None, "events per CPU-second", &together);
    drop(floor);
    bench.shelf.drop("floor");
}

struct Floor {
    store: Store,
    key: Ed25519KeyPair,
}

impl Floor {
    fn sign(&self, nth: u64) -> String {
        let mut event = format!("{nth:0>0$}", EVENT_BYTES - 64);
        let signature = self.key.sign(event.as_bytes());
        event.extend(signature.as_ref().iter().map(|byte| char::from(b'a' + byte % 16)));
        event
    }

    async fn commit(&self, sender: u64, nth: u64) {
        let mut batch = Batch::new();
        batch.put(&EVENTS_OF, &(sender, nth), &self.sign(nth));
        for row in 0..SMALL_ROWS {
            batch.put(&ROWS_OF, &(row << 32 | sender, nth), &"x".repeat(SMALL_BYTES));
        }
        self.store.commit(batch).await.unwrap();
    }
}
