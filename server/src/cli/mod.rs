//! The `arqonbus` command: runs the bus, and speaks to one.

mod bench;
mod config;
mod exit;
mod format;
mod history;
mod input;
mod listing;
mod logging;
mod output;
mod publish;
mod remote;
mod request;
mod schema;
mod serve;
mod signals;
mod status;
mod subscribe;
mod work;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use exit::Failure;
use remote::Remotely;

/// A small, sharp, reliable message bus over WebSocket.
#[derive(Debug, Parser)]
#[command(name = "arqonbus", version, max_term_width = 120, subcommand_required = true, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Try it in three terminals:
  arqonbus serve
  arqonbus sub science:explore
  arqonbus pub science:explore '{\"text\":\"hi\"}'

Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 cannot connect, 4 timed out or outcome unknown, 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bus.
    Serve(serve::ServeArgs),
    /// Publish messages.
    Pub(Remotely<publish::PubArgs>),
    /// Print what is published to topics.
    Sub(Remotely<subscribe::SubArgs>),
    /// Send a request and print the reply.
    Request(Remotely<request::RequestArgs>),
    /// Answer requests.
    Reply(Remotely<request::ReplyArgs>),
    /// Print what a topic holds.
    History(Remotely<history::HistoryArgs>),
    /// List rooms, or the channels of one.
    Rooms(Remotely<listing::RoomsArgs>),
    /// List who is joined to a topic.
    Members(Remotely<listing::MembersArgs>),
    /// Show how the bus is.
    Status(Remotely<status::StatusArgs>),
    /// Measure the way to the bus and back.
    Ping(Remotely<status::PingArgs>),
    /// Load a bus and say what it did.
    Bench(Remotely<bench::BenchArgs>),
    /// Show, check or describe the configuration.
    Config(config::ConfigArgs),
    /// Print the schema of the wire.
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  arqonbus completions bash > ~/.local/share/bash-completion/completions/arqonbus")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the arguments of this process name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody there to read the help is no reason to fail.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Pub(Remotely { args, remote }) => remote.run(async |client| publish::run(&args, &client).await),
        Command::Sub(Remotely { args, remote }) => remote.run(async |client| subscribe::run(&args, &client).await),
        Command::Request(Remotely { args, remote }) => remote.run(async |client| request::run(&args, &client).await),
        Command::Reply(Remotely { args, remote }) => remote.run(async |client| request::run_reply(&args, &client).await),
        Command::History(Remotely { args, remote }) => remote.run(async |client| history::run(&args, &client).await),
        Command::Rooms(Remotely { args, remote }) => remote.run(async |client| listing::run_rooms(&args, &client).await),
        Command::Members(Remotely { args, remote }) => remote.run(async |client| listing::run_members(&args, &client).await),
        Command::Status(Remotely { args, remote }) => remote.run(async |client| status::run(&args, &client).await),
        Command::Ping(Remotely { args, remote }) => remote.run(async |client| status::run_ping(&args, &client).await),
        Command::Bench(Remotely { args, remote }) => bench::run(&args, &remote),
        Command::Config(args) => config::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "arqonbus", &mut script);
            Ok(output::text(&String::from_utf8_lossy(&script))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
