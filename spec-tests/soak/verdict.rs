//! What all the minutes together say of the server.

use std::fmt;

use crate::meter::quantile;
use crate::minutes::{LATENCIES, Minute};
use crate::tally::Tally;

/// The first quarter warms it, and not more than half an hour: caches fill, and the allocator learns what is needed.
const WARM_UP: usize = 30;
/// How much the memory may grow in an hour, of what it is.
const GROWTH: f64 = 0.03;
/// How much slower the last quarter may be than the first: so many times, or so many milliseconds.
const SLOWER: f64 = 1.25;
const SLOWER_MILLIS: f64 = 1.0;
/// How much of the rate must be held in the middle of the minutes.
const HELD: f64 = 0.99;

/// One thing that was asked for, and whether it is so.
#[derive(Debug)]
pub struct Sentence {
    text: String,
    good: bool,
}

impl Sentence {
    pub const fn is_good(&self) -> bool {
        self.good
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", if self.good { "good" } else { "NOT GOOD" }, self.text)
    }
}

/// How many of so many minutes warm the server.
pub fn warm_up(minutes: usize) -> usize {
    (minutes / 4).min(WARM_UP)
}

/// Judges what was seen.
pub fn judge(minutes: &[Minute], tally: &Tally, log: &str) -> Vec<Sentence> {
    let total = tally.total();
    let mut sentences = vec![
        Sentence { good: total.errors == 0, text: format!("{} requests failed", total.errors) },
        Sentence {
            good: total.due == total.heard,
            text: format!("of {} deliveries that were due, {} were made", total.due, total.heard),
        },
        logged(log),
    ];
    let warm = &minutes[warm_up(minutes.len())..];
    if warm.len() < 2 {
        sentences.push(Sentence { good: false, text: "it was too short to say more".to_owned() });
        return sentences;
    }
    let held = middle(warm, |minute| minute.held);
    sentences.push(Sentence { good: held >= HELD, text: format!("{:.1} % of the rate was held", held * 100.0) });
    sentences.push(memory(warm));
    let quarter = (warm.len() / 4).max(1);
    let (first, last) = (&warm[..quarter], &warm[warm.len() - quarter..]);
    for (nth, what) in LATENCIES.into_iter().enumerate() {
        let [first, last] = [first, last].map(|minutes| middle(minutes, |minute| minute.latencies[nth]));
        let good = last <= (first * SLOWER).max(first + SLOWER_MILLIS);
        let text = format!("{what}: {first:.2} ms in the first quarter after the warm-up, {last:.2} ms in the last");
        sentences.push(Sentence { text, good });
    }
    sentences
}

/// The server's own errors: of what it does behind its answers, nobody else hears.
fn logged(log: &str) -> Sentence {
    let errors: Vec<_> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    let first = errors.first().map(|line| format!(", the first: {line}")).unwrap_or_default();
    Sentence { good: errors.is_empty(), text: format!("{} errors in the server's log{first}", errors.len()) }
}

/// The line through all the minutes that fits best, not two of them: files being rewritten make single ones large.
fn memory(minutes: &[Minute]) -> Sentence {
    let resident: Vec<_> = minutes.iter().map(|minute| minute.resident).collect();
    let held = quantile(&resident, 0.5);
    let hours = resident.len() as f64 / 60.0;
    let growth = slope(&resident) * 60.0;
    // What a short run sees must not be drawn out to an hour.
    let good = growth * hours.min(1.0) <= held * GROWTH;
    let (growth, held) = (growth / 1e6, held / 1e6);
    Sentence { good, text: format!("memory: {held:.1} MB, and {growth:+.1} MB an hour") }
}

/// How much each is more than the one before, by least squares.
fn slope(values: &[f64]) -> f64 {
    let middle = (values.len() - 1) as f64 / 2.0;
    let from_middle = |nth: usize| nth as f64 - middle;
    let over: f64 = values.iter().enumerate().map(|(nth, value)| from_middle(nth) * value).sum();
    let under: f64 = (0..values.len()).map(|nth| from_middle(nth).powi(2)).sum();
    over / under
}

fn middle(minutes: &[Minute], what: impl Fn(&Minute) -> f64) -> f64 {
    quantile(&minutes.iter().map(what).collect::<Vec<_>>(), 0.5)
}
