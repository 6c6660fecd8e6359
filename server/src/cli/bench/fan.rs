//! Throughput: one to many, and many to one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arqonbus_client::Client;
use arqonbus_protocol::Topic;
use clap::Args;
use tokio::task::JoinSet;

use super::progress::Progress;
use super::report::{Figure, Report};
use super::{Seen, Stage, all, count, payload, timed};
use crate::cli::exit::Failure;

/// One to many.
#[derive(Debug, Args)]
pub(super) struct FanOutArgs {
    /// Subscribers, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 100)]
    subscribers: usize,
    #[command(flatten)]
    load: Load,
}

/// Many to one.
#[derive(Debug, Args)]
pub(super) struct FanInArgs {
    /// Publishers, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 50)]
    publishers: usize,
    #[command(flatten)]
    load: Load,
}

/// What is published.
#[derive(Debug, Clone, Copy, Args)]
struct Load {
    /// Messages of each publisher.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Bytes of each payload.
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    size: usize,
    /// Publishes that one publisher has in flight.
    #[arg(long, value_name = "N", default_value_t = 16)]
    in_flight: usize,
}

/// Runs `fan-out`.
pub(super) async fn out(args: &FanOutArgs, stage: &Stage<'_>, client: &Client) -> Result<Report, Failure> {
    run(stage, vec![client.clone()], args.subscribers, args.load).await
}

/// Runs `fan-in`.
pub(super) async fn within(args: &FanInArgs, stage: &Stage<'_>, _client: &Client) -> Result<Report, Failure> {
    let publishers = stage.connect(args.publishers).await?;
    run(stage, publishers, 1, args.load).await
}

async fn run(stage: &Stage<'_>, publishers: Vec<Client>, subscribers: usize, load: Load) -> Result<Report, Failure> {
    let subscriptions = stage.subscribe(subscribers).await?;
    let published = load.messages * publishers.len() as u64;
    let progress = Progress::start("delivering", published * subscribers as u64);
    let seen = Arc::new(Seen::default());
    let mut tasks = JoinSet::new();
    for subscription in subscriptions {
        tasks.spawn(count(subscription, published, Arc::clone(&seen), progress.clone()));
    }
    drop(progress);
    let mut publishing = JoinSet::new();
    for publisher in publishers {
        publishing.spawn(publish(publisher, stage.topic(), load));
    }
    let (acked, all_us) = timed(&stage.clock, async {
        let (acked, acked_us) = timed(&stage.clock, all(publishing)).await;
        acked?;
        all(tasks).await?;
        Ok::<_, Failure>(acked_us)
    })
    .await;
    let (acked_us, delivered) = (acked?, seen.messages.load(Relaxed));
    Ok(Report::default()
        .with("published", Figure::Count(published))
        .with("delivered", Figure::Count(delivered))
        .with("gaps", Figure::Count(seen.gaps.load(Relaxed)))
        .with("time", Figure::Micros(all_us))
        .rate("acked publishes", published, acked_us)
        .rate("deliveries", delivered, all_us))
}

/// Publishes, with so many in flight, each acknowledged.
async fn publish(client: Client, topic: Topic, load: Load) -> Result<(), Failure> {
    let topic = topic.to_string();
    let mut waiting = VecDeque::with_capacity(load.in_flight);
    for number in 0..load.messages {
        waiting.push_back(client.publish_json(&topic, &payload(number, load.size)).send().await?);
        if waiting.len() >= load.in_flight.max(1) {
            waiting.pop_front().expect("it was pushed above").await?;
        }
    }
    for receipt in waiting {
        receipt.await?;
    }
    Ok(())
}
