//! What is logged, as the configuration says it.

use tracing_subscriber::EnvFilter;

/// Reads a filter. A bare word must be a level: a misspelt one would else be taken for the name of a part.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let bare = text.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    for part in bare {
        if !LEVELS.contains(&part.to_ascii_lowercase().as_str()) {
            return Err(format!("`{part}` is none of {}, and no part=level", LEVELS.join(", ")));
        }
    }
    EnvFilter::try_new(text).map_err(|error| error.to_string())
}
