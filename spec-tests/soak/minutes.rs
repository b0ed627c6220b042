//! A line for every minute.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deeds::SAY;
use crate::meter::{Meter, bytes_below, quantile};
use crate::running::Running;
use crate::stage::Stage;
use crate::world::store;

const MINUTE: Duration = Duration::from_mins(1);

/// What was seen in a minute.
#[derive(Debug, Clone, Copy)]
pub struct Minute {
    nth: usize,
    /// Messages a second, and of those that were to be sent.
    sent: f64,
    pub held: f64,
    /// Milliseconds: the middle and the slowest of the sends, then of the deliveries.
    pub latencies: [f64; 4],
    heard: f64,
    /// Bytes of the server's memory.
    pub resident: f64,
    /// Cores that the server used, and this process.
    server: f64,
    own: f64,
    errors: usize,
    /// Bytes on the disk.
    rows: u64,
    media: u64,
}

/// What the latencies are of.
pub const LATENCIES: [&str; 4] = ["send p50", "send p99", "delivery p50", "delivery p99"];

impl Minute {
    /// What stands above the lines.
    pub const HEAD: &'static str = "\
minute  sent/s   p50 ms   p99 ms  heard/s   p50 ms   p99 ms  Rss MB  server  client  errors  store MB  media MB";
}

impl fmt::Display for Minute {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nth, sent, latencies: [p50, p99, heard_p50, heard_p99], heard, resident, .. } = self;
        let Self { server, own, errors, rows, media, .. } = self;
        let (server, own) = (server * 100.0, own * 100.0);
        let [resident, rows, media] = [*resident, *rows as f64, *media as f64].map(|bytes| bytes / 1e6);
        write!(
            to,
            "{nth:6} {sent:7.1} {p50:8.2} {p99:8.2} {heard:8.1} {heard_p50:8.2} {heard_p99:8.2} {resident:7.1} \
             {server:6.1}% {own:6.1}% {errors:7} {rows:9.1} {media:9.1}"
        )
    }
}

/// Looks once a minute.
pub struct Watch {
    stage: Arc<Stage>,
    meters: [Meter; 2],
    cpu: [f64; 2],
    store: PathBuf,
    looked: Instant,
    nth: usize,
}

impl Watch {
    pub fn begin(running: &Running, stage: &Arc<Stage>) -> Self {
        let meters = [running.meter, Meter::of(std::process::id())];
        let store = store(&running.folder);
        let (stage, looked) = (Arc::clone(stage), Instant::now());
        Self { stage, meters, cpu: meters.map(Meter::cpu), store, looked, nth: 0 }
    }

    /// What the next minute is like, when it is over.
    pub async fn next(&mut self) -> Minute {
        tokio::time::sleep_until((self.looked + MINUTE).into()).await;
        let seconds = self.looked.elapsed().as_secs_f64();
        self.looked = Instant::now();
        self.nth += 1;
        let cpu = self.meters.map(Meter::cpu);
        let [server, own] = [0, 1].map(|nth| (cpu[nth] - self.cpu[nth]) / 1000.0 / seconds);
        self.cpu = cpu;
        let since = self.stage.tally.take();
        let sent = since.sends.len() as f64 / seconds;
        let latencies =
            [(&since.sends, 0.5), (&since.sends, 0.99), (&since.deliveries, 0.5), (&since.deliveries, 0.99)];
        Minute {
            nth: self.nth,
            sent,
            held: sent / (SAY * self.stage.present.len() as f64),
            latencies: latencies.map(|(taken, share)| if taken.is_empty() { f64::NAN } else { quantile(taken, share) }),
            heard: since.deliveries.len() as f64 / seconds,
            resident: self.meters[0].resident(),
            server,
            own,
            errors: since.errors,
            rows: bytes_below(&self.store),
            media: bytes_below(&self.store.with_file_name("media")),
        }
    }
}
