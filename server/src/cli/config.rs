//! `arqonbus config`: show, check, describe.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::Failure;
use super::output;
use crate::config::{self, Loaded, Overrides};
use crate::telemetry::Metrics;

/// `arqonbus config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the configuration that applies, and where each value comes from.
    #[command(after_help = "Example:\n  ARQONBUS_LIMITS__JOINS=50 arqonbus config show")]
    Show(Sources),
    /// Check the configuration and report every mistake.
    #[command(after_help = "Example:\n  arqonbus config check --config /etc/arqonbus.toml")]
    Check(Sources),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print the reference of every key, or of every metric.
    #[command(hide = true)]
    Reference {
        /// Of metrics.
        #[arg(long)]
        metrics: bool,
    },
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub(super) struct Sources {
    /// The configuration file [default: arqonbus.toml, where it exists].
    #[arg(long, short, value_name = "FILE", env = "ARQONBUS_CONFIG")]
    config: Option<PathBuf>,
    /// Where clients connect, such as 127.0.0.1:9100.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The port of `listen`; 0 takes free ports for it and, unless that is set too, for `admin`.
    #[arg(long, short, value_name = "PORT")]
    port: Option<u16>,
    /// Where health, readiness, metrics and version are served, or "off".
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Set any key, such as limits.joins=50; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Sources {
    /// Loads the configuration that they make together.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        let overrides = Overrides { listen: self.listen.clone(), port: self.port, admin: self.admin.clone(), set: self.set.clone() };
        // What is not UTF-8 cannot be one of ours.
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(config::load(self.config.as_deref(), env, &overrides)?)
    }
}

/// Runs it.
pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    match &args.what {
        What::Show(sources) => output::text(&sources.load()?.show())?,
        What::Check(sources) => {
            let loaded = sources.load()?;
            let file = loaded.file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
            output::line(&format!("ok: {file}, {} values set", loaded.sources.len()))?;
        }
        What::Schema => output::text(&format!("{:#}\n", config::schema()))?,
        What::Reference { metrics: false } => output::text(&config::reference())?,
        What::Reference { metrics: true } => output::text(&Metrics::reference())?,
    }
    Ok(())
}
