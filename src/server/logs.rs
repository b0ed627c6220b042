//! Log lines: as text for people or JSON for programs, on standard error, by a filter that can change while the server runs.

pub mod filter;
mod writer;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::LogFormat;
use crate::failure::{Failure, Result};
use crate::traces::Traces;
use writer::Writer;

/// The log while it is open. Dropping it writes what waits.
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    writer: Writer,
}

impl Logs {
    /// Opens the log for the whole process, with the traces beside it.
    ///
    /// # Errors
    /// The filter is wrong, or the log's thread cannot start.
    pub fn open(format: LogFormat, text: &str, traces: Option<&Traces>) -> Result<Self> {
        let (filter, handle) = reload::Layer::new(filter::parse(text).map_err(Failure::new)?);
        let writer = Writer::start().map_err(|error| Failure::because("the log cannot be opened", &error))?;
        let lines = fmt::layer().with_writer(writer.clone());
        let lines = match format {
            LogFormat::Text => lines.with_ansi(writer::is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        };
        // The filter is that of the lines alone: what they leave out may be traced.
        let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
        let opened = registry.with(traces.map(Traces::layer)).try_init();
        opened.map_err(|error| Failure::because("the log cannot be opened", &error))?;
        Ok(Self { filter: handle, writer })
    }

    /// Changes what is logged.
    ///
    /// # Errors
    /// The filter is wrong.
    pub fn set_filter(&self, text: &str) -> Result<()> {
        let filter = filter::parse(text).map_err(Failure::new)?;
        self.filter.reload(filter).map_err(|error| Failure::because("the filter cannot be changed", &error))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.writer.flush();
    }
}
