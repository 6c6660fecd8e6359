//! The log on standard error.

use tracing_subscriber::EnvFilter;

use super::exit::Failure;
use super::output;
use crate::config::{Log, LogFormat};

/// Starts the log as the configuration says.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| Failure::Usage(format!("log.filter: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match log.format {
        LogFormat::Text => builder.with_ansi(output::colours(output::notes_to_terminal())).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    Ok(())
}
