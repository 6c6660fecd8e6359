//! `arqonbus request` and `arqonbus reply`: a question, and whoever answers.

use arqonbus_client::{Client, Error, Item, Message};
use arqonbus_protocol::{Pattern, Target};
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::exit::Failure;
use super::format::Look;
use super::publish::Typed;
use super::{input, output};

/// `arqonbus request`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  arqonbus request math:double 21
  arqonbus request jobs:plan '{\"n\":3}' -H trace=42 --timeout 2

Prints the payload of the reply. Where nobody could answer, that is told at once; where nobody does in time, the exit code is 4.")]
pub(super) struct RequestArgs {
    /// room:channel, @<client id> or @user:<user id>.
    #[arg(value_parser = responder)]
    to: Target,
    /// The payload.
    #[arg(allow_hyphen_values = true)]
    payload: String,
    #[command(flatten)]
    typed: Typed,
    /// Print the reply's envelope.
    #[arg(long)]
    json: bool,
}

/// Who can be asked: a broadcast has no one who answers.
fn responder(text: &str) -> Result<Target, String> {
    match input::target(text)? {
        Target::Room(_) | Target::Everyone => Err("expected room:channel, @<client id> or @user:<user id>".to_owned()),
        target @ (Target::Topic(_) | Target::Client(_) | Target::User(_)) => Ok(target),
    }
}

/// Runs `request`.
pub(super) async fn run(args: &RequestArgs, client: &Client) -> Result<(), Failure> {
    let request = client.request_json_to(args.to, &args.typed.payload(&args.payload)?);
    let reply = args.typed.headers().fold(request, |request, (name, value)| request.header(name, value)).await?;
    output::line(&if args.json { reply.to_json() } else { reply.payload_json().to_owned() })?;
    Ok(())
}

/// `arqonbus reply`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  arqonbus reply math:echo --echo
  arqonbus reply math:answer 42
  arqonbus reply chat:oracle -          # each request is printed and answered by the next line that you type")]
pub(super) struct ReplyArgs {
    /// room:channel whose requests are answered; either may end in *.
    #[arg(value_parser = |text: &str| text.parse::<Pattern>())]
    topics: Pattern,
    /// What is answered, or - for the next line of standard input.
    #[arg(required_unless_present = "echo", allow_hyphen_values = true)]
    answer: Option<String>,
    /// Answer with the request's own payload.
    #[arg(long, conflicts_with = "answer")]
    echo: bool,
    #[command(flatten)]
    typed: Typed,
    /// End after so many requests.
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    look: Look,
}

/// Runs `reply`.
pub(super) async fn run_reply(args: &ReplyArgs, client: &Client) -> Result<(), Failure> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut requests = client.join(args.topics.to_string()).await?;
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let request = match requests.recv().await {
            Some(Item::Message(message)) if message.reply_to().is_some() => message,
            Some(Item::Ended(reason)) => return Err(Failure::from(Error::from(reason))),
            Some(_) => continue,
            None => return Ok(()),
        };
        output::line(&args.look.message(&request))?;
        let text = match args.answer.as_deref() {
            None => None,
            Some("-") => match lines.next_line().await? {
                Some(line) => Some(line),
                None => return Ok(()),
            },
            Some(fixed) => Some(fixed.to_owned()),
        };
        answer(args, client, &request, text.as_deref()).await?;
        left -= 1;
    }
    Ok(())
}

/// Answers with `text`, or with what was asked.
async fn answer(args: &ReplyArgs, client: &Client, request: &Message, text: Option<&str>) -> Result<(), Failure> {
    let payload = text.map_or_else(|| Ok(request.payload_json().to_owned()), |text| args.typed.payload(text))?;
    match args.typed.dress(client.reply_json(request, &payload)).await {
        Ok(_) => Ok(()),
        // Whoever asked may be gone by now; the next one is not.
        Err(Error::Rejected(refusal)) => {
            output::note(&format!("not answered: {refusal}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
