//! What was measured, against what was asked for.

use crate::meter::quantile;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// Nobody set one: it is told to understand the others.
    None,
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {}", number(most)),
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::None => String::new(),
        }
    }

    fn verdict(self, value: f64) -> String {
        let missed = match self {
            Self::AtMost(most) if value > most => value / most,
            Self::AtLeast(least) if value < least => least / value,
            Self::None => return String::new(),
            _ => return "yes".to_owned(),
        };
        format!("**no**, {missed:.2}×")
    }
}

struct Row {
    what: String,
    unit: &'static str,
    goal: Goal,
    rounds: Vec<f64>,
}

/// Rows of figures.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// A row: what was measured, in words that hold at this scale; what it should be; the figure of each round.
    pub fn row(&mut self, what: impl Into<String>, goal: Goal, unit: &'static str, rounds: &[f64]) {
        let row = Row { what: what.into(), unit, goal, rounds: rounds.to_vec() };
        eprintln!("  {}", row.line().trim_matches(['|', ' ']));
        self.0.push(row);
    }

    pub fn print(&self) {
        println!("| figure | goal | median | rounds: least – most | met |\n| --- | --- | --- | --- | --- |");
        for row in &self.0 {
            println!("{}", row.line());
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let Self { what, unit, goal, rounds } = self;
        let median = quantile(rounds, 0.5);
        let (least, most) = (quantile(rounds, 0.0), quantile(rounds, 1.0));
        let (median_text, count) = (number(median), rounds.len());
        let spread = format!("{count}: {} – {}", number(least), number(most));
        format!("| {what} | {} | {median_text} {unit} | {spread} | {} |", goal.text(), goal.verdict(median))
    }
}

/// Three figures that matter.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 1.0 => format!("{value:.3}"),
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => thousands(value),
    }
}

/// A whole number as people write it.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + 4);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
