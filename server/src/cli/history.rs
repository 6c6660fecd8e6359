//! `arqonbus history`: prints what a topic holds.

use arqonbus_client::{Client, Item};
use arqonbus_protocol::limits::HISTORY_LIMIT_MAX;
use arqonbus_protocol::{Gap, HistoryBound, Topic};
use clap::Args;

use super::exit::Failure;
use super::format::Look;
use super::{input, output};

/// `arqonbus history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  arqonbus history science:explore
  arqonbus history science:explore --reverse --limit 1 --payload
  arqonbus history science:explore --since k3v9x2:42 --until 2026-11-22T16:49:00Z --json
  arqonbus history science:explore --limit 0            # everything")]
pub(super) struct HistoryArgs {
    /// room:channel.
    #[arg(value_parser = |text: &str| text.parse::<Topic>())]
    topic: Topic,
    /// Messages at most; 0 for all that is held.
    #[arg(long, short, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Only messages after this position or time.
    #[arg(long, value_name = "BOUND", value_parser = input::bound)]
    since: Option<HistoryBound>,
    /// Only messages up to and including this position or time.
    #[arg(long, value_name = "BOUND", value_parser = input::bound)]
    until: Option<HistoryBound>,
    /// Newest first.
    #[arg(long)]
    reverse: bool,
    #[command(flatten)]
    look: Look,
}

/// Runs it, page by page.
pub(super) async fn run(args: &HistoryArgs, client: &Client) -> Result<(), Failure> {
    let limit = if args.limit == 0 { u64::MAX } else { args.limit };
    let page = u32::try_from(limit).unwrap_or(u32::MAX).min(HISTORY_LIMIT_MAX);
    let mut history = client.history(args.topic.to_string()).between(args.since, args.until).limit(limit).page_size(page);
    if args.reverse {
        history = history.backward();
    }
    let mut first = true;
    while let Some(message) = history.next().await {
        let message = message?;
        if std::mem::take(&mut first) {
            tell_gap(args, history.gap())?;
        }
        output::line(&args.look.message(&message))?;
    }
    if first { tell_gap(args, history.gap()) } else { Ok(()) }
}

/// What is no longer held comes before what is.
fn tell_gap(args: &HistoryArgs, gap: Option<&Gap>) -> Result<(), Failure> {
    let line = gap.and_then(|gap| args.look.item(&Item::Gap { topic: args.topic, gap: *gap }));
    Ok(line.map_or(Ok(()), |line| output::line(&line))?)
}
