//! Connections that do nothing.

use std::time::Duration;

use arqonbus_client::{Client, State};
use clap::Args;

use super::progress::Progress;
use super::report::{Figure, Report};
use super::{Stage, timed};
use crate::cli::exit::Failure;
use crate::cli::remote::seconds;

/// How many, and for how long.
#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    /// Connections, each joined to one topic.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    connections: usize,
    /// Seconds to keep them.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    hold: Duration,
}

/// Runs it.
pub(super) async fn run(args: &IdleArgs, stage: &Stage<'_>, client: &Client) -> Result<Report, Failure> {
    let (clients, connecting_us) = timed(&stage.clock, stage.connect(args.connections)).await;
    let clients = clients?;
    let mut subscriptions = Vec::with_capacity(clients.len());
    let (joined, joining_us) = timed(&stage.clock, async {
        for client in &clients {
            subscriptions.push(client.join(stage.topic().to_string()).await?);
        }
        Ok::<_, Failure>(())
    })
    .await;
    joined?;
    let progress = Progress::start("holding", 100);
    for _ in 0..100 {
        tokio::time::sleep(args.hold / 100).await;
        progress.add(1);
    }
    drop(progress);
    let alive = clients.iter().filter(|client| client.state() == State::Connected).count();
    let status = client.status().await?;
    Ok(Report::default()
        .with("connections", Figure::Count(clients.len() as u64))
        .with("still connected", Figure::Count(alive as u64))
        .with("connections of the bus", Figure::Count(status.connections))
        .with("joins of the bus", Figure::Count(status.joins))
        .rate("connects", clients.len() as u64, connecting_us)
        .rate("joins", clients.len() as u64, joining_us))
}
