//! Measures ArqonBus beside nats-server's WebSocket and a bare loop, as ratios of one run: `cargo run --release -p arqonbus-compare -- --quick`.

mod bare;
mod clock;
mod load;
mod peer;
mod report;
mod scenarios;
mod skim;
mod socket;
mod wire;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use peer::{Kind, Programs, say};
use report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use scenarios::Bench;

/// Measures the bus beside its peers.
#[derive(Debug, Parser)]
#[command(after_help = "Build the server first: cargo build --release -p arqonbus-server")]
struct Args {
    /// What to measure; everything where nothing is named.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// A quarter of the messages, and three rounds.
    #[arg(long)]
    quick: bool,
    /// Rounds; ratios are taken round by round.
    #[arg(long)]
    rounds: Option<usize>,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Print tables in Markdown (the default).
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// The server to measure; the one beside this program where it is not given.
    #[arg(long)]
    arqonbus: Option<PathBuf>,
    /// Measure only these servers.
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Kind>,
    /// Publishes in flight, where a scenario varies them.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 256])]
    windows: Vec<u64>,
    /// Another binary of ours to measure beside, for a look at a change.
    #[arg(long)]
    against: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// One publisher to one subscriber.
    One,
    /// One publisher to 100 subscribers.
    Fan100,
    /// One publisher to 1,000 subscribers.
    Fan1000,
    /// 20,000 deliveries a second.
    Paced,
    /// 200 publishers to 200 topics.
    Pairs,
    /// 10,000 idle connections.
    Idle,
    /// Starting the server.
    Cold,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("bare") {
        let port = words.next().and_then(|port| port.parse().ok());
        return end(port.ok_or_else(|| "bare needs a port".to_owned()).and_then(|port| bare::serve(port).map_err(|error| error.to_string())));
    }
    end(run(&Args::parse()))
}

fn end(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("compare: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the idle scenario says so by failing.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let programs = programs(args)?;
    let mut report = Report::default();
    let mut kinds = vec![Kind::Arqon, Kind::ArqonTwo, Kind::Nats, Kind::Bare];
    if programs.against.is_some() {
        kinds.insert(1, Kind::Against);
    }
    if programs.nats.is_none() {
        kinds.retain(|kind| *kind != Kind::Nats);
        report.notes.push("nats-server is not installed: it was SKIPPED, and there are no ratios to it".into());
    }
    if !args.servers.is_empty() {
        kinds.retain(|kind| args.servers.contains(kind));
    }
    if !peer::cores_are_apart() {
        report.notes.push("servers and generator could not be held to cores of their own".into());
    }
    let (rounds, less) = if args.quick { (3, 4) } else { (5, 1) };
    let mut bench = Bench { programs, kinds, rounds: args.rounds.unwrap_or(rounds), windows: args.windows.clone(), less, report };
    let wanted = if args.scenarios.is_empty() { Scenario::value_variants() } else { &args.scenarios };
    for scenario in wanted {
        match scenario {
            Scenario::One => bench.fan(1, "1 → 1")?,
            Scenario::Fan100 => bench.fan(100, "1 → 100")?,
            Scenario::Fan1000 => bench.fan(1_000, "1 → 1,000")?,
            Scenario::Paced => bench.paced()?,
            Scenario::Pairs => bench.pairs()?,
            Scenario::Idle => bench.idle()?,
            Scenario::Cold => bench.cold()?,
        }
    }
    let text = if args.json { format!("{}\n", bench.report.json()) } else { bench.report.markdown() };
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn programs(args: &Args) -> Result<Programs, String> {
    let beside = || std::env::current_exe().ok().map(|program| program.with_file_name("arqonbus"));
    let arqonbus = args.arqonbus.clone().or_else(beside).filter(|program| program.is_file());
    let arqonbus = arqonbus.ok_or("there is no arqonbus to measure: cargo build --release -p arqonbus-server")?;
    Ok(Programs { arqonbus, against: args.against.clone(), nats: peer::find_nats() })
}
