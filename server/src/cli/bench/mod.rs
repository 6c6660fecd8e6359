//! `arqonbus bench`: loads a bus and says what it did.

mod fan;
mod idle;
mod latency;
mod progress;
mod report;

use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arqonbus_client::{Client, Error, Item, Subscription};
use arqonbus_protocol::Topic;
use clap::{Args, Subcommand};
use tokio::task::JoinSet;

use super::exit::Failure;
use super::output;
use super::remote::Remote;
use crate::clock::Clock;
use progress::Progress;

/// `arqonbus bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  arqonbus bench fan-out --subscribers 1000 --in-flight 16
  arqonbus bench fan-in --publishers 200
  arqonbus bench latency --rate 20000 --subscribers 10
  arqonbus bench idle --connections 10000 --json

Loads the bus at --url from this process, on topics of its own that it deletes again. Both sides share this machine where the bus runs on it:
compare runs with each other, not with figures from elsewhere.")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
    /// Print the result as one JSON object.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One publisher, many subscribers of one topic.
    FanOut(fan::FanOutArgs),
    /// Many publishers, one subscriber of one topic; every publish is acknowledged.
    FanIn(fan::FanInArgs),
    /// The time from publish to delivery at a fixed rate.
    Latency(latency::LatencyArgs),
    /// Connections that are joined to one topic each and do nothing.
    Idle(idle::IdleArgs),
}

/// Runs it, and leaves nothing behind, also where it is interrupted.
pub(super) fn run(args: &BenchArgs, remote: &Remote) -> Result<(), Failure> {
    let stage = Stage { remote, clock: Clock::start(), topic: OnceCell::new(), clients: RefCell::default() };
    remote.run_and_clear(async |client| measure(args, &stage, &client).await, async |client| stage.clear(client).await)
}

async fn measure(args: &BenchArgs, stage: &Stage<'_>, client: &Client) -> Result<(), Failure> {
    stage.begin(client)?;
    let report = match &args.what {
        What::FanOut(args) => fan::out(args, stage, client).await?,
        What::FanIn(args) => fan::within(args, stage, client).await?,
        What::Latency(args) => latency::run(args, stage, client).await?,
        What::Idle(args) => idle::run(args, stage, client).await?,
    };
    Ok(output::text(&if args.json { report.json() } else { report.table() })?)
}

/// What the measurements have in common.
struct Stage<'a> {
    remote: &'a Remote,
    clock: Clock,
    /// A topic that nobody else uses.
    topic: OnceCell<Topic>,
    /// All connections beside the first.
    clients: RefCell<Vec<Client>>,
}

/// Sockets that are opened at the same time: more than a listener holds in its backlog would be refused.
const OPENING_MAX: usize = 64;

impl Stage<'_> {
    /// Names the topic after the first connection.
    fn begin(&self, client: &Client) -> Result<(), Failure> {
        let identity = client.identity().ok_or_else(|| Failure::CannotConnect("not connected".into()))?;
        let topic = format!("bench:{}", identity.client).parse().expect("a client id is a name");
        self.topic.set(topic).expect("a stage begins once");
        Ok(())
    }

    fn topic(&self) -> Topic {
        *self.topic.get().expect("it has begun")
    }

    /// Closes the other connections, whose publishes would make the topic anew, then deletes it.
    async fn clear(&self, client: &Client) {
        let closing: JoinSet<()> = self.clients.take().into_iter().map(|client| async move { client.close().await }).collect();
        closing.join_all().await;
        if let Some(topic) = self.topic.get() {
            // It may never have come to be.
            drop(client.delete_channel(topic.to_string()).await);
        }
    }

    /// Opens so many more connections.
    async fn connect(&self, count: usize) -> Result<Vec<Client>, Failure> {
        let progress = Progress::start("connecting", count as u64);
        let (mut opening, mut clients) = (JoinSet::new(), Vec::with_capacity(count));
        while clients.len() < count {
            while opening.len() < OPENING_MAX && clients.len() + opening.len() < count {
                opening.spawn(self.remote.builder().connect());
            }
            let Some(opened) = opening.join_next().await else { break };
            let client = joined(opened)??;
            self.clients.borrow_mut().push(client.clone());
            clients.push(client);
            progress.add(1);
        }
        Ok(clients)
    }

    /// Opens so many subscribers of the topic.
    async fn subscribe(&self, count: usize) -> Result<Vec<Subscription>, Failure> {
        let mut subscriptions = Vec::with_capacity(count);
        for client in self.connect(count).await? {
            subscriptions.push(client.join(self.topic().to_string()).await?);
        }
        Ok(subscriptions)
    }
}

/// A payload of about `bytes` bytes that carries a number.
fn payload(number: u64, bytes: usize) -> String {
    let pad = bytes.saturating_sub(24);
    format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(pad))
}

/// What subscribers saw, together.
#[derive(Debug, Default)]
struct Seen {
    messages: AtomicU64,
    gaps: AtomicU64,
}

/// Counts `expected` messages of a subscription; a gap is counted and ends the wait for what it swallowed.
async fn count(mut subscription: Subscription, expected: u64, seen: Arc<Seen>, progress: Progress) -> Result<(), Failure> {
    let mut left = expected;
    while left > 0 {
        match subscription.recv().await {
            Some(Item::Message(_)) => {
                left -= 1;
                seen.messages.fetch_add(1, Relaxed);
                progress.add(1);
            }
            Some(Item::Gap { gap, .. }) => {
                seen.gaps.fetch_add(1, Relaxed);
                left = left.saturating_sub(gap.to.seq - gap.from.map_or(0, |from| from.seq.min(gap.to.seq)));
            }
            Some(Item::Ended(reason)) => return Err(Error::from(reason).into()),
            Some(_) => {}
            None => return Err(Failure::Failed("a subscription ended".into())),
        }
    }
    Ok(())
}

/// Waits for all tasks; the first failure ends the wait.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        results.push(joined(task)??);
    }
    Ok(results)
}

fn joined<T>(task: Result<T, tokio::task::JoinError>) -> Result<T, Failure> {
    task.map_err(|error| Failure::Failed(format!("a task of the benchmark failed: {error}")))
}

/// What `work` gives, and the microseconds that it took.
async fn timed<T>(clock: &Clock, work: impl Future<Output = T>) -> (T, u64) {
    let before = clock.micros();
    let result = work.await;
    (result, (clock.micros() - before).max(1))
}
