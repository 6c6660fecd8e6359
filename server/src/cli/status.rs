//! `arqonbus status` and `arqonbus ping`: how the bus is, and how far away.

use std::time::Duration;

use arqonbus_client::Client;
use arqonbus_protocol::StatusResult;
use clap::Args;

use super::exit::Failure;
use super::remote::seconds;
use super::{format, output};

/// `arqonbus status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  arqonbus status\n  arqonbus status --watch 1\n  arqonbus status --json | jq .connections")]
pub(super) struct StatusArgs {
    /// Ask again every so many seconds; 2 where none are given.
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// Runs `status`.
pub(super) async fn run(args: &StatusArgs, client: &Client) -> Result<(), Failure> {
    let mut before: Option<StatusResult> = None;
    loop {
        let status = client.status().await?;
        if args.json {
            output::line(&serde_json::to_string(&status).expect("wire types serialize"))?;
        } else {
            // On a terminal the next one takes the place of this one.
            let clear = if args.watch.is_some() && output::to_terminal() { "\u{1b}[H\u{1b}[J" } else { "" };
            output::text(&format!("{clear}{}", words(&status, before.as_ref())))?;
        }
        let Some(pause) = args.watch else { return Ok(()) };
        before = Some(status);
        tokio::time::sleep(pause).await;
    }
}

/// The status as people read it, with rates since the one before.
fn words(status: &StatusResult, before: Option<&StatusResult>) -> String {
    let rate = |count: fn(&StatusResult) -> u64| {
        let before = before.filter(|before| status.uptime_ms > before.uptime_ms)?;
        let per_second = count(status).saturating_sub(count(before)) as f64 * 1e3 / (status.uptime_ms - before.uptime_ms) as f64;
        Some(format!("  {per_second:.0}/s"))
    };
    let storage = &status.storage;
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = [
        ("state", word(serde_json::json!(status.state))),
        ("version", status.version.clone()),
        ("node", status.node.to_string()),
        ("uptime", format::uptime(status.uptime_ms)),
        ("connections", status.connections.to_string()),
        ("rooms", status.rooms.to_string()),
        ("channels", status.channels.to_string()),
        ("joins", status.joins.to_string()),
        ("messages in", format!("{}{}", status.messages_in, rate(|status| status.messages_in).unwrap_or_default())),
        ("messages out", format!("{}{}", status.messages_out, rate(|status| status.messages_out).unwrap_or_default())),
        ("queued", format::bytes(status.queued_bytes)),
        (
            "storage",
            format!("{}, {}: {} messages, {}", storage.kind, word(serde_json::json!(storage.state)), storage.messages, format::bytes(storage.bytes)),
        ),
    ];
    let nodes = status.nodes.iter().map(|node| {
        let (state, storage) = (word(serde_json::json!(node.state)), word(serde_json::json!(node.storage)));
        format!("{:<13} {} {state}, {} connections, {} joins, storage {storage}\n", "", node.node, node.connections, node.joins)
    });
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect();
    if !status.nodes.is_empty() {
        text.push_str(&format!("{:<13} {}{}\n", "nodes", status.nodes.len(), if status.incomplete { ", and some that do not answer" } else { "" }));
    }
    text.extend(nodes);
    text
}

/// `arqonbus ping`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  arqonbus ping\n  arqonbus ping --count 100 --interval 0.01")]
pub(super) struct PingArgs {
    /// Ask so many times.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u64,
    /// Seconds between two questions.
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// Runs `ping`.
pub(super) async fn run_ping(args: &PingArgs, client: &Client) -> Result<(), Failure> {
    let mut taken: Vec<u64> = Vec::new();
    for turn in 0..args.count {
        if turn > 0 {
            tokio::time::sleep(args.interval).await;
        }
        let us = u64::try_from(client.ping().await?.as_micros()).unwrap_or(u64::MAX);
        taken.push(us);
        output::line(&if args.json { serde_json::json!({ "us": us }).to_string() } else { format::micros(us) })?;
    }
    taken.sort_unstable();
    if let (false, [least, .., most]) = (args.json, taken.as_slice()) {
        let middle = taken[taken.len() / 2];
        output::note(&format!(
            "{} pings: {} to {}, half within {}",
            taken.len(),
            format::micros(*least),
            format::micros(*most),
            format::micros(middle)
        ));
    }
    Ok(())
}
