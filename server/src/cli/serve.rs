//! `arqonbus serve`: runs the bus until it is asked to end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use super::config::Sources;
use super::exit::Failure;
use super::signals::Signals;
use super::{logging, output};
use crate::admin::{self, Admin};
use crate::bus::Bus;
use crate::config::Config;

/// `arqonbus serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    sources: Sources,
    /// Print one line of JSON with the addresses on standard output once clients can connect.
    #[arg(long)]
    announce: bool,
}

const EXAMPLES: &str = "\
Examples:
  arqonbus serve
  arqonbus serve --port 0 --announce
  arqonbus serve --listen 0.0.0.0:9100 --set allow_public_without_auth=true --set log.format=json

SIGTERM and Ctrl-C drain: clients are told when to come back, answers owed are given. A second signal ends at once.";

/// File descriptors that are not clients: listeners, event queues, the store, the log.
const DESCRIPTORS_ASIDE: u64 = 64;

/// Runs it.
pub(super) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = args.sources.load()?.config;
    logging::start(&config.log)?;
    raise_descriptor_limit(config.limits.connections as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(config, args.announce))
}

async fn serve(config: Config, announce: bool) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let listener = bind(config.listen, "listen").await?;
    let admin = match config.admin {
        Some(address) => Some(bind(address, "admin").await?),
        None => None,
    };
    if announce {
        tell_addresses(&listener, admin.as_ref())?;
    }
    let shutdown = async move {
        signals.next().await;
        // The runtime is still draining while this waits; nothing is owed to somebody who asks twice.
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(130);
        });
    };
    bus(listener, admin, config, shutdown).await
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Failed(format!("cannot listen on {address} ({key}): {error}")))
}

/// The listeners are bound: whoever connects from now on is served.
fn tell_addresses(listener: &TcpListener, admin: Option<&TcpListener>) -> Result<(), Failure> {
    let admin = admin.map(TcpListener::local_addr).transpose()?;
    let announcement = json!({
        "listen": listener.local_addr()?,
        "admin": admin,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    Ok(output::line(&announcement.to_string())?)
}

/// Asks for as many file descriptors as this process may have.
#[cfg(unix)]
fn raise_descriptor_limit(connections: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit of file descriptors could not be raised");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if connections.saturating_add(DESCRIPTORS_ASIDE) > descriptors {
        tracing::warn!(descriptors, connections, "limits.connections is more than this process may open; the surplus will wait to be accepted");
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit(_connections: u64) {}

/// Runs the bus and its operator's listener until the bus has drained.
async fn bus(listener: TcpListener, admin: Option<TcpListener>, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let bus = Bus::start(config).map_err(|error| failed(&error))?;
    let pages = Admin { metrics: Arc::clone(bus.metrics()), readiness: Arc::clone(bus.readiness()) };
    // The operator's pages stay up while the bus drains: that is when they are looked at.
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let admin = admin.map(|admin| tokio::spawn(admin::serve(admin, pages, async { drop(end.await) })));
    bus.serve(listener, shutdown).await.map_err(|error| failed(&error))?;
    bus.drain().await;
    drop(ended);
    if let Some(admin) = admin {
        admin.await.map_err(|error| failed(&error))?;
    }
    Ok(())
}
