//! Traces.

use super::source::Source;
use super::values::url;

/// Where traces are sent, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The collector's address with its path.
    pub endpoint: String,
    /// Which part of the requests is traced: 0 to 1.
    pub sample: f64,
}

/// None where they are off, and where something is wrong: that is noted.
pub fn read(source: &mut Source<'_>) -> Option<Traces> {
    let endpoint = url(source, "traces.endpoint");
    let sample = source.get::<f64>("traces.sample")?;
    if !(0.0..=1.0).contains(&sample) {
        source.wrong("traces.sample", format_args!("{sample} is not between 0 and 1"));
    }
    let endpoint = endpoint?;
    let has_path = endpoint.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    let endpoint = if has_path { endpoint } else { format!("{endpoint}/v1/traces") };
    Some(Traces { endpoint, sample })
}
