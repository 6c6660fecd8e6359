//! Jobs of work groups: held until they are settled, settled in batches, lost with the connection.

use arqonbus_protocol::{
    AckArgs, AckResult, CommandArgs, Delivery, Epoch, ErrorCode, Gap, Group, GroupStart, JobHead, MessageId, NackArgs, Position, RawJson, Refusal,
    Topic, encode_command, limits,
};

use super::calls::Asker;
use super::feed::implied;
use super::subscriptions::Phase;
use super::table::Table;
use super::{CallId, Core, Declined, Event, Failure, SubscriptionId};
use crate::Message;

/// Names one job that was given to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobRef {
    /// The subscription that it came by.
    pub subscription: SubscriptionId,
    /// Its place in the topic.
    pub position: Position,
    /// How often it had been given out when it came; the same job given out again is another.
    pub delivery: u32,
}

/// What the application says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Settling {
    /// It is done.
    Ack,
    /// Somebody else shall have it, or this client again.
    Nack {
        /// Not before so many milliseconds.
        delay_ms: Option<u32>,
        /// Why; it may become a header of the dead letter.
        reason: Option<String>,
    },
    /// Nobody shall have it any more: it goes to the dead-letter topic.
    Dead {
        /// Why; a header of the dead letter.
        reason: Option<String>,
    },
}

/// What a subscription of a work group holds.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) topic: Topic,
    pub(crate) group: Group,
    /// The last position that this client knows of; where the group begins again should the server not know it any more.
    at: Option<Position>,
    /// The end of a gap that was told ahead of the server's own event.
    told: Option<Position>,
    /// Jobs, and whether what became of them is being said.
    held: Table<Position, Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    delivery: u32,
    settling: bool,
}

/// Settlings that are not answered.
#[derive(Debug, Default)]
pub(crate) struct Settlings {
    /// To be sent with the next output; as many as there are jobs held.
    queued: Vec<(CallId, JobRef, Settling)>,
    /// Sent, by the number of their command.
    sent: Vec<(u64, Vec<(CallId, JobRef)>)>,
    commands: u64,
    now: u64,
}

impl Work {
    pub(crate) fn new(topic: Topic, group: Group) -> Self {
        Self { topic, group, at: None, told: None, held: Table::default() }
    }

    pub(crate) fn at(&self) -> Option<Position> {
        self.at
    }

    /// Takes where the group stands; gives what a group that begins anew will not give out.
    pub(crate) fn start(&mut self, start: Position, group: Option<&GroupStart>, asked: Option<Position>) -> Option<Gap> {
        let before = self.at.replace(start);
        if group.is_none_or(|group| !group.created) {
            // Others may be ahead of what this client has seen, and never behind it.
            self.at = before.filter(|before| before.epoch == start.epoch && before.seq > start.seq).or(self.at);
            return None;
        }
        let from = asked.filter(|asked| *asked != start)?;
        self.told = Some(start);
        Some(Gap { reason: implied(from, start), from: Some(from), to: start, refetch_after_ms: 0 })
    }

    /// Takes a gap event; gives what is to be told.
    fn gap(&mut self, gap: Gap) -> Option<Gap> {
        self.at = Some(gap.to);
        (self.told.take() != Some(gap.to)).then_some(gap)
    }

    fn take(&mut self, position: Position, delivery: u32) {
        let ahead = self.at.is_none_or(|at| at.epoch != position.epoch || at.seq < position.seq);
        if ahead {
            self.at = Some(position);
        }
        self.held.insert(position, Held { delivery, settling: false });
    }

    /// All that was held is somebody else's now; gives how many jobs that nothing was said about.
    fn lose(&mut self) -> u64 {
        let jobs = self.held.iter().filter(|(_, held)| !held.settling).count();
        self.held.clear();
        jobs as u64
    }
}

impl Settlings {
    pub(crate) fn is_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Takes what was said by one command.
    fn take(&mut self, batch: u64) -> Vec<(CallId, JobRef)> {
        let index = self.sent.iter().position(|(number, _)| *number == batch);
        index.map(|index| self.sent.swap_remove(index).1).unwrap_or_default()
    }
}

impl Core {
    /// Settles a job, or gives it back; what became of that comes as [`Event::Settled`]. Settlings of one turn share commands.
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn settle_job(&mut self, job: JobRef, settling: Settling, now: u64) -> Result<CallId, Declined> {
        self.check_open()?;
        let call = CallId(self.make_call());
        self.settlings.now = now;
        if self.hold(job, true) {
            self.settlings.queued.push((call, job, settling));
        } else {
            self.settled(call, job, Err(Failure::Rejected(not_held())));
        }
        Ok(call)
    }

    /// Marks a job as one whose settling is under way or not; false where it is not held.
    fn hold(&mut self, job: JobRef, settling: bool) -> bool {
        let work = self.subscriptions.by_id(job.subscription).and_then(|subscription| subscription.work.as_mut());
        let Some(held) = work.and_then(|work| work.held.get_mut(&job.position)) else { return false };
        if held.delivery != job.delivery || held.settling == settling {
            return false;
        }
        held.settling = settling;
        true
    }

    /// Sends what is said of jobs: one command for each kind of saying and topic.
    pub(super) fn flush_settlings(&mut self) {
        if !self.settlings.is_queued() || self.live().is_none() {
            return;
        }
        let now = self.settlings.now;
        for Batch { subscription, epoch, settling, jobs } in batches(std::mem::take(&mut self.settlings.queued)) {
            let Some(work) = self.subscriptions.by_id(subscription).and_then(|subscription| subscription.work.as_ref()) else {
                jobs.into_iter().for_each(|(call, job)| self.settled(call, job, Err(Failure::Rejected(not_held()))));
                continue;
            };
            let seqs = jobs.iter().map(|(_, job)| job.position.seq).collect();
            let (topic, group) = (work.topic, work.group);
            self.settlings.commands += 1;
            let batch = self.settlings.commands;
            self.settlings.sent.push((batch, jobs));
            let id = self.make_id(now);
            let (name, text) = command(id, topic, group, epoch, seqs, settling);
            self.calls.push(Asker::Jobs(batch), id, name, text, now.saturating_add(self.config.request_timeout_ms));
        }
        self.calls.transmit(&mut self.wire);
    }

    /// Takes the answer to a settling.
    pub(super) fn on_settled(&mut self, batch: u64, outcome: Result<RawJson<'_>, Refusal>, now: u64) {
        let result = match outcome.map(|raw| raw.read::<AckResult>()) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err((at, why))) => return self.misbehaved(&format!("the result of a settling does not fit: {why} at {at}"), now),
            Err(refusal) => Err(Failure::Rejected(refusal)),
        };
        for (call, job) in self.settlings.take(batch) {
            let outcome = match &result {
                Ok(result) if result.not_held.contains(&job.position.seq) => Err(Failure::Rejected(not_held())),
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.clone()),
            };
            self.settled(call, job, outcome);
        }
    }

    pub(super) fn fail_settling(&mut self, batch: u64, failure: &Failure) {
        for (call, job) in self.settlings.take(batch) {
            self.settled(call, job, Err(failure.clone()));
        }
    }

    fn settled(&mut self, call: CallId, job: JobRef, outcome: Result<(), Failure>) {
        let over = match &outcome {
            Ok(()) => true,
            Err(Failure::Rejected(refusal)) => refusal.code == ErrorCode::NotHeld,
            Err(Failure::Unknown | Failure::NotSent) => false,
        };
        if !over {
            // It may be said again.
            self.hold(job, false);
        } else if let Some(work) = self.subscriptions.by_id(job.subscription).and_then(|subscription| subscription.work.as_mut())
            && work.held.get(&job.position).is_some_and(|held| held.delivery == job.delivery)
        {
            work.held.remove(&job.position);
        }
        self.events.push_back(Event::Settled { call, outcome });
    }

    /// The connection is lost: what was held is somebody else's. Settlings that were sent are told as unknown by their commands.
    pub(super) fn lose_all_jobs(&mut self) {
        for id in self.subscriptions.ids() {
            self.lose_jobs(id);
        }
        for (call, job, _) in std::mem::take(&mut self.settlings.queued) {
            self.settled(call, job, Err(Failure::Rejected(not_held())));
        }
    }

    /// One subscription leaves its group for a while, or for good: its jobs go to others.
    pub(super) fn lose_jobs(&mut self, id: SubscriptionId) {
        let Some(work) = self.subscriptions.by_id(id).and_then(|subscription| subscription.work.as_mut()) else { return };
        let jobs = work.lose();
        if jobs > 0 {
            self.events.push_back(Event::JobsLost { subscription: id, jobs });
        }
    }

    pub(super) fn on_job(&mut self, topic: &Topic, job: JobHead, delivery: &Delivery<'_>) {
        let Some((id, subscription)) = self.subscriptions.worker(topic, &job.group) else { return };
        if subscription.phase != Phase::Live {
            return;
        }
        let (Some(work), Some(position)) = (&mut subscription.work, delivery.head.position) else { return };
        work.take(position, job.delivery);
        let job = JobRef { subscription: id, position, delivery: job.delivery };
        self.events.push_back(Event::Job { job, message: Message::from_delivery(delivery) });
    }

    pub(super) fn on_group_gap(&mut self, topic: &Topic, group: &Group, gap: Gap) {
        let Some((id, subscription)) = self.subscriptions.worker(topic, group) else { return };
        if let Some(gap) = subscription.work.as_mut().and_then(|work| work.gap(gap)) {
            self.events.push_back(Event::Gap { subscription: id, topic: *topic, gap });
        }
    }
}

/// Settlings that fit into one command.
struct Batch {
    subscription: SubscriptionId,
    epoch: Epoch,
    settling: Settling,
    jobs: Vec<(CallId, JobRef)>,
}

fn batches(queued: Vec<(CallId, JobRef, Settling)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for (call, job, settling) in queued {
        let (subscription, epoch) = (job.subscription, job.position.epoch);
        let fits = |batch: &&mut Batch| {
            batch.subscription == subscription && batch.epoch == epoch && batch.settling == settling && batch.jobs.len() < limits::SETTLE_SEQS_MAX
        };
        match batches.iter_mut().rev().find(fits) {
            Some(batch) => batch.jobs.push((call, job)),
            None => batches.push(Batch { subscription, epoch, settling, jobs: vec![(call, job)] }),
        }
    }
    batches
}

/// The command's name and text.
fn command(id: MessageId, topic: Topic, group: Group, epoch: Epoch, seqs: Vec<u64>, settling: Settling) -> (&'static str, String) {
    let Topic { room, channel } = topic;
    let (delay_ms, dead, reason) = match settling {
        Settling::Ack => return (AckArgs::NAME, encode_command(Some(&id), AckArgs::NAME, &AckArgs { room, channel, group, epoch, seqs })),
        Settling::Nack { delay_ms, reason } => (delay_ms, false, reason),
        Settling::Dead { reason } => (None, true, reason),
    };
    (NackArgs::NAME, encode_command(Some(&id), NackArgs::NAME, &NackArgs { room, channel, group, epoch, seqs, delay_ms, dead, reason }))
}

/// What the server would say of a job that is not held any more.
fn not_held() -> Refusal {
    Refusal::new(ErrorCode::NotHeld, "this job is no longer held: it was settled, or the connection that it came by is gone")
}
