//! `arqonbus pub`: publishes what it is given.

use std::collections::VecDeque;
use std::io::IsTerminal as _;

use arqonbus_client::{Client, Error, Publish, Receipt};
use arqonbus_protocol::Target;
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use super::exit::Failure;
use super::input::{self, Form};
use super::output;

/// `arqonbus pub`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PubArgs {
    /// room:channel, room (broadcast there), @<client id>, @user:<user id>, or * (everybody).
    #[arg(value_parser = input::target)]
    target: Target,
    /// The payload, or - for one message a line of standard input.
    #[arg(allow_hyphen_values = true)]
    payload: String,
    #[command(flatten)]
    typed: Typed,
    /// Publish the payload so many times.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u64,
    /// Ask for an acknowledgement of each message and print it; the default.
    #[arg(long, overrides_with = "no_ack")]
    ack: bool,
    /// Do not ask for acknowledgements: faster, and only refusals are told.
    #[arg(long)]
    no_ack: bool,
    /// Print acknowledgements as JSON.
    #[arg(long)]
    json: bool,
    /// Print no acknowledgements.
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  arqonbus pub science:explore '{\"text\":\"hi\"}'
  arqonbus pub science:explore hello -H trace=42       # text that is no JSON is sent as a JSON string
  tail -f app.log | arqonbus pub logs:app - --text --quiet
  arqonbus pub @user:ada '\"a private word\"'

Prints one line for each message: where it is now (epoch:seq) and what that survives.";

/// What a typed payload is, and its headers.
#[derive(Debug, Args)]
pub(super) struct Typed {
    /// A header; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME=VALUE", value_parser = input::header)]
    headers: Vec<(String, String)>,
    /// Take the payload for JSON, and refuse it otherwise.
    #[arg(long)]
    raw: bool,
    /// Take the payload for text, also where it looks like JSON.
    #[arg(long, conflicts_with = "raw")]
    text: bool,
}

impl Typed {
    /// The message to `target` that `text` stands for.
    pub(super) fn message<'c>(&self, client: &'c Client, target: Target, text: &str) -> Result<Publish<'c>, Failure> {
        Ok(self.dress(client.send_json(target, &self.payload(text)?)))
    }

    /// The payload that `text` stands for, as JSON.
    pub(super) fn payload(&self, text: &str) -> Result<String, Failure> {
        let form = match (self.raw, self.text) {
            (true, _) => Form::Json,
            (_, true) => Form::Text,
            _ => Form::Auto,
        };
        input::payload(text, form)
    }

    /// The headers, by name.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `publish` with the headers.
    pub(super) fn dress<'c>(&self, publish: Publish<'c>) -> Publish<'c> {
        self.headers().fold(publish, |publish, (name, value)| publish.header(name, value))
    }
}

/// Messages that may wait for their acknowledgement: enough to hide the way there and back.
const WINDOW: usize = 256;

/// Runs it.
pub(super) async fn run(args: &PubArgs, client: &Client) -> Result<(), Failure> {
    if args.payload == "-" && args.count != 1 {
        return Err(Failure::Usage("--count is for a payload, and not for the lines of standard input".into()));
    }
    let mut refusals = client.refusals();
    let mut payloads = Payloads::of(args);
    let mut waiting: VecDeque<Receipt> = VecDeque::new();
    while let Some(payload) = payloads.next().await? {
        let message = args.typed.message(client, args.target, &payload)?;
        if args.no_ack {
            message.nowait().await?;
            continue;
        }
        waiting.push_back(message.send().await?);
        // A person who types wants to see each one; a pipe that is ahead gets its acknowledgements a window later.
        if waiting.len() >= WINDOW || payloads.is_typed() {
            acknowledge(&mut waiting, args).await?;
        }
    }
    while !waiting.is_empty() {
        acknowledge(&mut waiting, args).await?;
    }
    if args.no_ack {
        settle(args.target, client).await?;
        if let Ok(refusal) = refusals.try_recv() {
            return Err(Failure::Failed(format!("rejected: {refusal}")));
        }
    }
    Ok(())
}

/// Waits until all is done that was sent to `target`. Its refusals come before the answer to what is asked of the same part of the bus after
/// it; of which that is a topic's own, or else all parts.
async fn settle(target: Target, client: &Client) -> Result<(), Failure> {
    let asked = match target {
        Target::Topic(topic) => client.channel_info(topic.to_string()).await.map(drop),
        Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone => client.status().await.map(drop),
    };
    match asked {
        Ok(()) | Err(Error::Rejected(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for the oldest acknowledgement and prints it.
async fn acknowledge(waiting: &mut VecDeque<Receipt>, args: &PubArgs) -> Result<(), Failure> {
    let Some(oldest) = waiting.pop_front() else { return Ok(()) };
    let ack = oldest.await?;
    if args.quiet {
        return Ok(());
    }
    if args.json {
        return Ok(output::line(&serde_json::to_string(&ack).expect("wire types serialize"))?);
    }
    let place = ack.position.map_or_else(|| "sent".to_owned(), |position| format!("{}:{}", position.epoch, position.seq));
    let duplicate = if ack.duplicate { " duplicate" } else { "" };
    Ok(output::line(&format!("{place} {}{duplicate}", ack.durability.as_str()))?)
}

/// Where payloads come from.
enum Payloads {
    Argument { text: String, left: u64 },
    Input(Lines<BufReader<Stdin>>),
}

impl Payloads {
    fn of(args: &PubArgs) -> Self {
        if args.payload == "-" {
            Self::Input(BufReader::new(tokio::io::stdin()).lines())
        } else {
            Self::Argument { text: args.payload.clone(), left: args.count }
        }
    }

    /// Whether a person types them one by one.
    fn is_typed(&self) -> bool {
        matches!(self, Self::Input(_)) && std::io::stdin().is_terminal()
    }

    /// The next one; blank lines are none.
    async fn next(&mut self) -> Result<Option<String>, Failure> {
        match self {
            Self::Argument { left: 0, .. } => Ok(None),
            Self::Argument { text, left } => {
                *left -= 1;
                Ok(Some(text.clone()))
            }
            Self::Input(lines) => loop {
                match lines.next_line().await? {
                    Some(line) if line.trim().is_empty() => {}
                    line => return Ok(line),
                }
            },
        }
    }
}
