//! What was measured, against what was asked for.

/// Rows of figures.
pub struct Table(Vec<[String; 4]>);

impl Table {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A row: what, the goal, the median, and the spread of its runs (in milliseconds unless `unit` says otherwise).
    pub fn row(&mut self, what: &str, goal: &str, runs: &[f64], unit: &str) {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[sorted.len() / 2];
        let spread = format!("{:.3}–{:.3}", sorted[0], sorted[sorted.len() - 1]);
        eprintln!("{what}: {median:.3} {unit} ({spread}; goal {goal})");
        self.0.push([what.to_owned(), goal.to_owned(), format!("{median:.3} {unit}"), spread]);
    }

    pub fn print(&self) {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        println!("\nMachine{model}, {cores} cores\n");
        println!("| figure | goal | median | spread |\n| --- | --- | --- | --- |");
        for [what, goal, median, spread] in &self.0 {
            println!("| {what} | {goal} | {median} | {spread} |");
        }
    }
}
