//! What the API costs: requests from here, CPU of the server's process.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::{Server, User};
use tokio::task::JoinSet;

use crate::fill::{PASSWORD, World};
use crate::table::Table;

/// CPU that a process has used, in seconds.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

/// Memory that a process holds, in bytes.
fn resident(process: u32) -> f64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

struct Bench<'a> {
    server: Server,
    world: &'a World,
}

pub async fn measure(folder: &Path, world: &World, table: &mut Table) {
    let fresh = Server::start().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    table.row("a fresh server", "≤ 60", &[resident(fresh.process_id()) / 1e6], "MB");
    drop(fresh);
    let server = Server::start_in(folder, &[("MATRON_STORE__CACHE_MIB", "256"), ("MATRON_LOG__FILTER", "warn")]).await;
    let bench = Bench { server, world };
    bench.send(table).await;
    bench.sync(table).await;
    bench.history(table).await;
    bench.rooms(table).await;
    drop(bench);
    parked(table).await;
}

impl Bench<'_> {
    async fn log_in(&self, nth: usize) -> User {
        User::log_in(&self.server.url, &format!("user{nth}"), PASSWORD).await
    }

    /// Milliseconds of CPU per operation, three times.
    async fn cost<F: Future<Output = usize>>(&self, mut work: impl FnMut() -> F) -> Vec<f64> {
        let mut runs = Vec::new();
        for _ in 0..3 {
            let before = cpu_seconds(self.server.process_id());
            let operations = work().await;
            runs.push((cpu_seconds(self.server.process_id()) - before) * 1000.0 / operations as f64);
        }
        runs
    }

    async fn send(&self, table: &mut Table) {
        let mut senders = Vec::new();
        for nth in 0..10 {
            let owner = self.log_in(100 + nth).await;
            let other = self.log_in(200 + nth).await;
            let room = owner.create_room(json!({ "preset": "private_chat", "invite": [other.id] })).await;
            other.join(&room).await;
            senders.push((owner, room));
        }
        let latencies = std::sync::Mutex::new(Vec::new());
        let talk = |senders: &[(User, String)], each: usize| {
            let mut tasks = JoinSet::new();
            for (user, room) in senders {
                let (user, room) = (user.clone(), room.clone());
                tasks.spawn(async move {
                    let mut took = Vec::with_capacity(each);
                    for _ in 0..each {
                        let begun = Instant::now();
                        user.say(&room, "bed 3 is free").await;
                        took.push(begun.elapsed().as_secs_f64() * 1000.0);
                    }
                    took
                });
            }
            let latencies = &latencies;
            async move {
                let took: Vec<f64> = tasks.join_all().await.into_iter().flatten().collect();
                let count = took.len();
                latencies.lock().unwrap().extend(took);
                count
            }
        };
        let runs = self.cost(|| talk(&senders, 1000)).await;
        table.row("PUT /send, rooms of 2", "≤ 0.15", &runs, "ms");
        let mut took = std::mem::take(&mut *latencies.lock().unwrap());
        took.sort_by(f64::total_cmp);
        table.row("PUT /send, p99 latency", "≤ 5 (or 8 × fdatasync)", &[took[took.len() * 99 / 100]], "ms");
        let owner = self.log_in(1).await;
        for (what, goal, room) in [
            ("PUT /send, room of 100", "+ 20 %", &self.world.hundred),
            ("PUT /send, room of 20,000", "+ 50 %", &self.world.large),
        ] {
            let senders: Vec<_> = (0..10).map(|_| (owner.clone(), room.to_string())).collect();
            let runs = self.cost(|| talk(&senders, 500)).await;
            table.row(what, goal, &runs, "ms");
        }
    }

    async fn sync(&self, table: &mut Table) {
        let everywhere = self.log_in(0).await;
        let speaker = self.log_in(1).await;
        let shared = self.world.rooms[0].to_string();
        let since = everywhere.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let runs = self.after_one_message(&everywhere, &speaker, &shared, since).await;
        table.row("incremental /sync after one message, 2,000 rooms", "≤ 0.3", &runs, "ms");

        let some = self.log_in(300).await;
        for room in self.world.rooms.iter().take(200) {
            some.join(room.as_str()).await;
        }
        let runs = self
            .cost(async || {
                for _ in 0..5 {
                    some.sync(None).await;
                }
                5
            })
            .await;
        table.row("initial /sync, 200 rooms", "≤ 20", &runs, "ms");
        let since = some.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        let runs = self.after_one_message(&some, &speaker, &shared, since).await;
        table.row("incremental /sync after one message, 200 rooms", "≤ 0.3", &runs, "ms");
    }

    /// The CPU of one sync that finds one message, without that of the message.
    async fn after_one_message(&self, reader: &User, speaker: &User, room: &str, mut since: String) -> Vec<f64> {
        const ROUNDS: usize = 300;
        let process = self.server.process_id();
        let mut runs = Vec::new();
        for _ in 0..3 {
            let begun = cpu_seconds(process);
            for _ in 0..ROUNDS {
                speaker.say(room, "bed 3 is free").await;
            }
            let alone = cpu_seconds(process) - begun;
            since = reader.sync(Some(&since)).await["next_batch"].as_str().unwrap().to_owned();
            let begun = cpu_seconds(process);
            for _ in 0..ROUNDS {
                speaker.say(room, "bed 3 is free").await;
                let news = reader.sync(Some(&since)).await;
                assert!(news["rooms"]["join"][room].is_object(), "{news}");
                since = news["next_batch"].as_str().unwrap().to_owned();
            }
            runs.push((cpu_seconds(process) - begun - alone) * 1000.0 / ROUNDS as f64);
        }
        runs
    }

    async fn history(&self, table: &mut Table) {
        let everywhere = self.log_in(0).await;
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=100", self.world.rooms[1]);
        let runs = self
            .cost(async || {
                for _ in 0..300 {
                    let page = everywhere.get(&path).await.ok();
                    assert_eq!(page["chunk"].as_array().map(Vec::len), Some(100));
                }
                300
            })
            .await;
        table.row("/messages of 100, warm", "≤ 0.4", &runs, "ms");
    }

    async fn rooms(&self, table: &mut Table) {
        let owner = self.log_in(400).await;
        let guest = self.log_in(401).await;
        let body: Value = json!({ "preset": "private_chat", "invite": [guest.id] });
        let runs = self
            .cost(async || {
                for _ in 0..200 {
                    owner.create_room(body.clone()).await;
                }
                200
            })
            .await;
        table.row("createRoom with one invite", "≤ 2", &runs, "ms");
    }
}

/// Parked syncs on a server that did nothing else: memory each, over the server without them.
async fn parked(table: &mut Table) {
    const PARKED: usize = 2_000;
    let server = Server::start().await;
    let process = server.process_id();
    let mut waiting = JoinSet::new();
    let mut readers = Vec::new();
    for _ in 0..50 {
        let reader = server.user("reader").await;
        let since = reader.sync(None).await["next_batch"].as_str().unwrap().to_owned();
        readers.push((reader, since));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = resident(process);
    for nth in 0..PARKED {
        let (reader, since) = readers[nth % readers.len()].clone();
        let reader = reader.on_its_own_connection();
        waiting.spawn(async move {
            let path = format!("/v3/sync?timeout=60000&since={since}");
            reader.get(&path).await;
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(waiting.try_join_next().is_none(), "a sync did not park");
    let each = (resident(process) - before) / PARKED as f64 / 1000.0;
    table.row("a parked /sync", "≤ 24", &[each], "kB");
    let begun = cpu_seconds(process);
    tokio::time::sleep(Duration::from_secs(3)).await;
    table.row("CPU of all parked, per second", "0", &[(cpu_seconds(process) - begun) / 3.0 * 1000.0], "ms");
    waiting.shutdown().await;
}
