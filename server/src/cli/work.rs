//! `arqonbus sub --group`: prints jobs, and settles them.

use arqonbus_client::{Client, Error, Job, JoinGroup, WorkItem};
use arqonbus_protocol::{ErrorCode, Pattern, limits};
use clap::{Args, ValueEnum};

use super::exit::Failure;
use super::format::Look;
use super::output;
use super::remote::tell_losses;
use super::subscribe::SubArgs;

/// How a member of a work group works.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work group")]
pub(super) struct WorkArgs {
    /// Share one topic's messages with the members of this group: each is one member's job.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["presence", "private"])]
    pub(super) group: Option<arqonbus_protocol::Group>,
    /// What becomes of a job that was printed.
    #[arg(long, value_name = "HOW", default_value = "auto", requires = "group")]
    ack: Ack,
    /// Hold so many jobs at once.
    #[arg(long, value_name = "N", requires = "group", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::JOBS_IN_FLIGHT_MAX)))]
    in_flight: Option<u32>,
}

/// What becomes of a job that was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ack {
    /// It is done.
    Auto,
    /// Nothing: it goes to another member when its time is over, or this one ends.
    None,
    /// It is given back at once.
    Nack,
    /// It goes to the dead-letter topic.
    Dead,
}

/// Runs it.
pub(super) async fn run(args: &SubArgs, client: &Client) -> Result<(), Failure> {
    let (Some(group), [topic]) = (&args.work.group, &args.topics[..]) else {
        return Err(Failure::Usage("--group belongs to one topic: give exactly one".into()));
    };
    let mut join = join(args, client, topic).group(group.as_str());
    join = args.work.in_flight.into_iter().fold(join, JoinGroup::max_in_flight);
    let mut jobs = join.await?;
    tell_losses(client);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match jobs.recv().await {
            Some(WorkItem::Job(job)) => {
                output::line(&args.look.job(&job))?;
                settle(&job, args.work.ack).await?;
                left -= 1;
            }
            Some(WorkItem::Gap { topic, gap }) => tell(args.look, &topic, &gap)?,
            Some(WorkItem::Lost(jobs)) => output::note(&format!("{jobs} unsettled jobs went to others")),
            Some(WorkItem::Ended(reason)) => return Err(Error::from(reason).into()),
            // What a newer client library adds is not known here.
            Some(_) => {}
            None => break,
        }
    }
    Ok(())
}

fn join<'c>(args: &SubArgs, client: &'c Client, topic: &Pattern) -> arqonbus_client::Join<'c> {
    let mut join = client.join(topic.to_string());
    join = args.since.into_iter().fold(join, arqonbus_client::Join::since);
    args.replay.into_iter().fold(join, arqonbus_client::Join::replay)
}

fn tell(look: Look, topic: &arqonbus_protocol::Topic, gap: &arqonbus_protocol::Gap) -> Result<(), Failure> {
    if let Some(line) = look.item(&arqonbus_client::Item::Gap { topic: *topic, gap: *gap }) {
        output::line(&line)?;
    }
    Ok(())
}

/// Settles a job that was printed; what is another's by now is no failure of ours.
async fn settle(job: &Job, ack: Ack) -> Result<(), Failure> {
    let settled = match ack {
        Ack::Auto => job.ack().await,
        Ack::None => Ok(()),
        Ack::Nack => job.nack().await,
        Ack::Dead => job.nack().dead().await,
    };
    match settled {
        Err(Error::Rejected(refusal)) if refusal.code == ErrorCode::NotHeld => output::note("a job came back too late: another member has it"),
        Err(Error::Unknown) => output::note("a job may be given out again: the connection was lost before its settling was answered"),
        settled => settled?,
    }
    Ok(())
}
