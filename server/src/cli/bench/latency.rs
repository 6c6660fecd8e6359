//! The time from publish to delivery, at a fixed rate.

use arqonbus_client::{Client, Error, Item, Subscription};
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::progress::Progress;
use super::report::{Figure, Report};
use super::{Stage, all, payload, timed};
use crate::cli::exit::Failure;
use crate::clock::Clock;

/// What is published.
#[derive(Debug, Args)]
pub(super) struct LatencyArgs {
    /// Messages a second.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// Messages in all.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Subscribers, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    subscribers: usize,
    /// Bytes of each payload.
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    size: usize,
}

/// Timers are this coarse: above a thousand a second, several are sent at once.
const TICK: Duration = Duration::from_millis(1);

/// Runs it.
pub(super) async fn run(args: &LatencyArgs, stage: &Stage<'_>, client: &Client) -> Result<Report, Failure> {
    let progress = Progress::start("delivering", args.messages * args.subscribers as u64);
    let mut tasks = JoinSet::new();
    for subscription in stage.subscribe(args.subscribers).await? {
        tasks.spawn(listen(subscription, args.messages, stage.clock, progress.clone()));
    }
    drop(progress);
    let (published, us) = timed(&stage.clock, publish(args, stage, client)).await;
    published?;
    let mut taken: Vec<u64> = all(tasks).await?.into_iter().flatten().collect();
    let missing = args.messages * args.subscribers as u64 - taken.len() as u64;
    Ok(Report::default()
        .with("published", Figure::Count(args.messages))
        .with("delivered", Figure::Count(taken.len() as u64))
        .with("missing", Figure::Count(missing))
        .rate("publishes", args.messages, us)
        .quantiles(&mut taken))
}

/// Publishes at the rate; each message carries the moment at which it was due, so that a publisher that is held up hides nothing.
async fn publish(args: &LatencyArgs, stage: &Stage<'_>, client: &Client) -> Result<(), Failure> {
    let topic = stage.topic().to_string();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut sent) = (stage.clock.micros(), 0);
    while sent < args.messages {
        ticks.tick().await;
        let due = ((stage.clock.micros() - began) * args.rate / 1_000_000 + 1).min(args.messages);
        for number in sent..due {
            let moment = began + number * 1_000_000 / args.rate;
            client.publish_json(&topic, &payload(moment, args.size)).nowait().await?;
        }
        sent = due.max(sent);
    }
    Ok(())
}

/// The microseconds that each message took.
async fn listen(mut subscription: Subscription, expected: u64, clock: Clock, progress: Progress) -> Result<Vec<u64>, Failure> {
    #[derive(serde::Deserialize)]
    struct Sent {
        n: u64,
    }
    let (mut taken, mut left) = (Vec::new(), expected);
    while left > 0 {
        match subscription.recv().await {
            Some(Item::Message(message)) => {
                let Ok(Sent { n }) = message.payload() else { continue };
                taken.push(clock.micros().saturating_sub(n));
                left -= 1;
                progress.add(1);
            }
            Some(Item::Gap { gap, .. }) => left = left.saturating_sub(gap.to.seq - gap.from.map_or(0, |from| from.seq.min(gap.to.seq))),
            Some(Item::Ended(reason)) => return Err(Error::from(reason).into()),
            Some(_) => {}
            None => return Err(Failure::Failed("a subscription ended".into())),
        }
    }
    Ok(taken)
}
