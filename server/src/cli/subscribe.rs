//! `arqonbus sub`: prints what is published.

use arqonbus_client::{Client, Error, Inbox, Item, Join, Subscription};
use arqonbus_protocol::{Pattern, Position};
use clap::Args;
use tokio::sync::mpsc;

use super::exit::Failure;
use super::format::Look;
use super::remote::tell_losses;
use super::work::WorkArgs;
use super::{input, output};

/// `arqonbus sub`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SubArgs {
    /// room:channel; either may end in *.
    #[arg(required_unless_present = "private", value_parser = |text: &str| text.parse::<Pattern>())]
    pub(super) topics: Vec<Pattern>,
    /// Begin after this position; for one topic.
    #[arg(long, value_name = "EPOCH:SEQ", value_parser = input::position, conflicts_with = "replay")]
    pub(super) since: Option<Position>,
    /// Begin with the last so many messages of each topic.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(arqonbus_protocol::limits::REPLAY_MAX)))]
    pub(super) replay: Option<u32>,
    /// End after so many messages.
    #[arg(long, short = 'n', value_name = "N")]
    pub(super) count: Option<u64>,
    /// Print who joins and leaves, too.
    #[arg(long)]
    presence: bool,
    /// Print private messages to this client and broadcasts to everybody, too.
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    pub(super) work: WorkArgs,
    #[command(flatten)]
    pub(super) look: Look,
}

const EXAMPLES: &str = "\
Examples:
  arqonbus sub science:explore
  arqonbus sub 'science:*' 'orders:eu.*' --json
  arqonbus sub science:explore --replay 10 --payload | jq .text
  arqonbus sub science:explore --since k3v9x2:42
  arqonbus sub orders:new --group workers --in-flight 1

Prints topic, position, sender and payload. Give the last position to --since to go on where you stopped: what cannot be given is told as a gap.
With --group it is a member of a work group: it prints the jobs that it is given, and acknowledges each once it is printed.";

/// Lines between the subscriptions and whoever reads: past it the subscriptions wait.
const LINES: usize = 256;

/// What a subscription has to say: an item, or why nothing more comes.
type Heard = Result<Item, Failure>;

/// Runs it.
pub(super) async fn run(args: &SubArgs, client: &Client) -> Result<(), Failure> {
    if args.work.group.is_some() {
        return super::work::run(args, client).await;
    }
    if args.since.is_some() && (args.topics.len() != 1 || args.topics[0].as_topic().is_none()) {
        return Err(Failure::Usage("--since is a position in one topic: give exactly one, without *".into()));
    }
    let (told, mut heard) = mpsc::channel(LINES);
    if args.private {
        let inbox = client.inbox().await?;
        let this = client.identity().map_or_else(String::new, |identity| identity.client.to_string());
        output::note(&format!("this client is @{this}"));
        forward_inbox(inbox, told.clone());
    }
    for topics in &args.topics {
        let mut join = client.join(topics.to_string()).presence(args.presence);
        join = args.since.into_iter().fold(join, Join::since);
        join = args.replay.into_iter().fold(join, Join::replay);
        forward(join.await?, told.clone());
    }
    tell_losses(client);
    drop(told);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(heard) = heard.recv().await else { break };
        let item = heard?;
        if let Some(line) = args.look.item(&item) {
            output::line(&line)?;
        }
        left -= u64::from(matches!(item, Item::Message(_)));
    }
    Ok(())
}

fn forward(mut subscription: Subscription, told: mpsc::Sender<Heard>) {
    tokio::spawn(async move {
        while let Some(item) = subscription.recv().await {
            let heard = if let Item::Ended(reason) = item { Err(Error::from(reason).into()) } else { Ok(item) };
            if told.send(heard).await.is_err() {
                return;
            }
        }
    });
}

fn forward_inbox(mut inbox: Inbox, told: mpsc::Sender<Heard>) {
    tokio::spawn(async move {
        while let Some(item) = inbox.recv().await {
            if told.send(Ok(item)).await.is_err() {
                return;
            }
        }
    });
}
