//! What the server's memory holds, as its own page of metrics tells it: where memory grows, this says in what.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Series whose names begin so are of memory.
const OF_MEMORY: [&str; 4] = [
    "matron_cache_",
    "matron_process_resident_memory_bytes",
    "matron_store_cache_bytes",
    "matron_store_memtable_bytes",
];

/// Each number by its name.
#[derive(Debug)]
pub struct Holdings(BTreeMap<String, String>);

impl Holdings {
    /// Asks for the page. None where it cannot be had: the server may have ended.
    pub async fn read(url: &str) -> Option<Self> {
        let http = reqwest::Client::builder().no_proxy().build().ok()?;
        let page = http.get(url).send().await.ok()?.text().await.ok()?;
        let of_memory = page.lines().filter(|line| OF_MEMORY.iter().any(|begins| line.starts_with(begins)));
        let numbers = of_memory.filter_map(|line| {
            let (name, number) = line.rsplit_once(' ')?;
            Some((name.trim_start_matches("matron_").to_owned(), number.to_owned()))
        });
        Some(Self(numbers.collect()))
    }

    /// A table of what changed since then.
    pub fn since(&self, then: &Self) -> String {
        let mut table = format!("{:>16} {:>16}  what memory holds, after the warm-up and in the end\n", "then", "now");
        for (name, now) in &self.0 {
            let Some(then) = then.0.get(name).filter(|then| *then != now) else { continue };
            let _ = writeln!(table, "{then:>16.12} {now:>16.12}  {name}");
        }
        table
    }
}
