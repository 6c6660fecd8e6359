//! The work groups of one log in memory.

use std::collections::{BTreeMap, BTreeSet};

use arqonbus_protocol::{Direction, Gap, GapReason, Position};
use bytes::Bytes;

use crate::clock::Moment;
use crate::storage::groups::{
    Claimed, DeadJob, Failed, Freed, GroupBegin, GroupId, GroupOpened, GroupSettings, GroupState, GroupStore, Holder, Job, Jobs, Outcome, Settled,
    Want, Whose,
};
use crate::storage::log::Log;
use crate::storage::{Bound, MemoryStore, Progress, ReadRange, Resume, StoreError, Ticket, replay_start, resume};

/// Dead jobs that one claim gives: each is published before it is settled.
const DEAD_AT_ONCE: usize = 32;

/// One group: what is out, what came back, and where new jobs begin.
#[derive(Debug)]
pub(in crate::storage) struct GroupLog {
    settings: GroupSettings,
    cursor: Position,
    pending: BTreeMap<u64, Pending>,
    /// Bytes of their bodies, which outlive the log's own hold on them.
    bytes: u64,
    /// Seqs that may be given out again.
    free: BTreeSet<u64>,
    /// Seqs that are given out no more.
    spent: BTreeSet<u64>,
    /// When something held or put off comes back.
    due: BTreeSet<(Moment, u64)>,
}

#[derive(Debug)]
struct Pending {
    body: Bytes,
    deliveries: u32,
    /// Who has it, and until when; none where it waits.
    held: Option<(Holder, Moment)>,
    /// Until when nobody gets it.
    put_off: Option<Moment>,
    failed: Failed,
    dead: bool,
}

impl GroupLog {
    fn begin(begin: GroupBegin, settings: GroupSettings, log: &Log) -> (Self, Option<Gap>) {
        let state = log.state();
        let Resume { start, gap } = match begin {
            GroupBegin::Since(since) => resume(since, &state),
            GroupBegin::Replay(messages) => Resume { start: replay_start(u64::from(messages), &state), gap: None },
            GroupBegin::Head => Resume { start: state.head, gap: None },
        };
        let (pending, free, spent, due) = Default::default();
        (Self { settings, cursor: start, pending, bytes: 0, free, spent, due }, gap)
    }

    fn state(&self) -> GroupState {
        GroupState { cursor: self.cursor, pending: self.pending.len() as u64, next_due: self.due.first().map(|(at, _)| *at) }
    }

    fn claim(&mut self, log: &Log, holder: Holder, want: Want, now: Moment) -> Claimed {
        // A gap is told to somebody who gets jobs.
        let gap = if want.jobs > 0 { self.follow(log) } else { None };
        let dead = self.claim_dead(now);
        let mut jobs = Vec::new();
        let mut left = want;
        while let Some(seq) = self.free.first().copied().filter(|_| left.jobs > 0) {
            let cost = self.pending[&seq].body.len() as u64;
            if !left.take(cost, jobs.is_empty()) {
                break;
            }
            self.free.remove(&seq);
            jobs.push(self.give(seq, holder, now));
        }
        if self.free.is_empty() {
            self.claim_new(log, holder, &mut left, &mut jobs, now);
        }
        let more = !self.free.is_empty() || !self.spent.is_empty() || self.cursor.seq < log.head.seq;
        Claimed { gap, jobs, dead, more, state: self.state() }
    }

    fn claim_new(&mut self, log: &Log, holder: Holder, left: &mut Want, jobs: &mut Vec<Job>, now: Moment) {
        let room = self.settings.pending_max.saturating_sub(self.pending.len()).min(left.jobs);
        if room == 0 || self.bytes >= self.settings.pending_bytes_max {
            return;
        }
        let bytes_max = usize::try_from(left.bytes.min(self.settings.pending_bytes_max - self.bytes)).unwrap_or(usize::MAX);
        let since = Some(Bound::Seq(self.cursor.seq));
        let page = log.read(&ReadRange { since, until: None, limit: room, bytes_max, direction: Direction::Forward });
        for (seq, body) in page.entries {
            if !left.take(body.len() as u64, jobs.is_empty()) {
                return;
            }
            self.cursor.seq = seq;
            self.bytes += body.len() as u64;
            self.pending.insert(seq, Pending { body, deliveries: 0, held: None, put_off: None, failed: Failed::TimedOut, dead: false });
            jobs.push(self.give(seq, holder, now));
        }
    }

    /// Follows the log to where it goes on; what is pending of another epoch is no more.
    fn follow(&mut self, log: &Log) -> Option<Gap> {
        let Resume { start, gap } = resume(self.cursor, &log.state());
        self.cursor = start;
        if gap.is_some_and(|gap| gap.reason != GapReason::Trimmed) {
            self.pending.clear();
            self.free.clear();
            self.spent.clear();
            self.due.clear();
            self.bytes = 0;
        }
        gap
    }

    fn claim_dead(&mut self, now: Moment) -> Vec<DeadJob> {
        let mut dead = Vec::new();
        while let Some(seq) = (dead.len() < DEAD_AT_ONCE).then(|| self.spent.pop_first()).flatten() {
            let failed = self.pending[&seq].failed.clone();
            let deliveries = self.pending[&seq].deliveries;
            let mut job = self.give(seq, Holder::DEAD_LETTERS, now);
            // On its way to the dead it is no delivery.
            job.delivery = deliveries;
            self.pending_mut(seq).deliveries = deliveries;
            dead.push(DeadJob { job, failed });
        }
        dead
    }

    fn pending_mut(&mut self, seq: u64) -> &mut Pending {
        self.pending.get_mut(&seq).expect("what is free, spent or due is pending")
    }

    fn give(&mut self, seq: u64, holder: Holder, now: Moment) -> Job {
        let until = now.plus_ms(self.settings.ack_timeout_ms);
        let epoch = self.cursor.epoch;
        let job = self.pending_mut(seq);
        job.deliveries = job.deliveries.saturating_add(1);
        job.held = Some((holder, until));
        let given = Job { position: Position { epoch, seq }, delivery: job.deliveries, body: job.body.clone() };
        self.due.insert((until, seq));
        given
    }

    /// Takes a job out of the hands that hold it.
    fn take(&mut self, seq: u64) -> Option<Holder> {
        let (holder, until) = self.pending_mut(seq).held.take()?;
        self.due.remove(&(until, seq));
        Some(holder)
    }

    /// Puts a job where it belongs now that nobody holds it.
    fn put_back(&mut self, seq: u64) {
        let deliveries_max = self.settings.deliveries_max;
        let job = self.pending_mut(seq);
        let spent = job.dead || (deliveries_max > 0 && job.deliveries >= deliveries_max);
        if spent {
            self.spent.insert(seq);
        } else {
            self.free.insert(seq);
        }
    }

    fn settle(&mut self, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, now: Moment) -> Settled {
        let mut not_held = Vec::new();
        for seq in jobs.seqs {
            let held_by = self.pending.get(seq).and_then(|job| job.held).map(|(holder, _)| holder);
            if jobs.epoch == self.cursor.epoch && held_by == Some(holder) {
                self.take(*seq);
                self.conclude(*seq, outcome, now);
            } else {
                not_held.push(*seq);
            }
        }
        Settled { not_held, state: self.state() }
    }

    fn conclude(&mut self, seq: u64, outcome: &Outcome, now: Moment) {
        match outcome {
            Outcome::Done => {
                let job = self.pending.remove(&seq).expect("it was held");
                self.bytes -= job.body.len() as u64;
            }
            Outcome::Again { delay_ms, reason } => {
                let job = self.pending_mut(seq);
                job.failed = Failed::Nacked(reason.clone());
                if *delay_ms == 0 {
                    return self.put_back(seq);
                }
                let until = now.plus_ms(*delay_ms);
                job.put_off = Some(until);
                self.due.insert((until, seq));
            }
            Outcome::Dead { reason } => {
                let job = self.pending_mut(seq);
                (job.failed, job.dead) = (Failed::Nacked(reason.clone()), true);
                self.put_back(seq);
            }
        }
    }

    fn free(&mut self, whose: Whose, now: Moment) -> Freed {
        let mut held = Vec::new();
        match whose {
            Whose::Of(holder) => {
                let is_held = |job: &Pending| job.held.is_some_and(|(by, _)| by == holder);
                let seqs: Vec<u64> = self.pending.iter().filter(|(_, job)| is_held(job)).map(|(seq, _)| *seq).collect();
                for seq in seqs {
                    self.fail(seq, Failed::MemberLost, &mut held);
                }
            }
            Whose::Due => {
                while let Some((_, seq)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
                    if let Some(until) = self.pending_mut(seq).put_off.take() {
                        self.due.remove(&(until, seq));
                        self.put_back(seq);
                    } else {
                        self.fail(seq, Failed::TimedOut, &mut held);
                    }
                }
            }
        }
        Freed { held, others: 0, state: self.state() }
    }

    fn fail(&mut self, seq: u64, how: Failed, held: &mut Vec<(Holder, u64)>) {
        let Some(holder) = self.take(seq) else { return };
        if holder == Holder::DEAD_LETTERS {
            self.spent.insert(seq);
            return;
        }
        self.pending_mut(seq).failed = how;
        self.put_back(seq);
        held.push((holder, seq));
    }
}

impl Want {
    /// Takes a job of `cost` bytes out of what is wanted; false where it does not fit.
    fn take(&mut self, cost: u64, is_first: bool) -> bool {
        if self.jobs == 0 || self.bytes == 0 || (cost > self.bytes && !is_first) {
            return false;
        }
        self.jobs -= 1;
        self.bytes = self.bytes.saturating_sub(cost);
        true
    }
}

impl MemoryStore {
    fn group(&mut self, of: &GroupId) -> Result<(&mut Log, GroupLog), StoreError> {
        let slot = self.slot(&of.topic)?;
        let log = &mut self.logs[slot];
        // Taken out while it works, because it reads the log; `with_group` puts it back.
        let group = log.groups.remove(&of.group).ok_or_else(|| StoreError::Unavailable("the group is not open".into()))?;
        Ok((log, group))
    }

    fn with_group<T>(&mut self, of: &GroupId, work: impl FnOnce(&mut GroupLog, &Log) -> T) -> Progress<T> {
        let (log, mut group) = match self.group(of) {
            Ok(found) => found,
            Err(error) => return Progress::Done(Err(error)),
        };
        let answer = work(&mut group, log);
        log.groups.insert(of.group, group);
        Progress::Done(Ok(answer))
    }
}

impl GroupStore for MemoryStore {
    fn open_group(&mut self, of: &GroupId, begin: GroupBegin, settings: &GroupSettings, now: Moment, _ticket: Ticket) -> Progress<GroupOpened> {
        let slot = match self.slot(&of.topic) {
            Ok(slot) => slot,
            Err(error) => return Progress::Done(Err(error)),
        };
        let log = &mut self.logs[slot];
        log.expire(now, usize::MAX, &mut self.account);
        if let Some(group) = log.groups.get_mut(&of.group) {
            group.settings = *settings;
            return Progress::Done(Ok(GroupOpened { created: false, gap: None, state: group.state() }));
        }
        let (group, gap) = GroupLog::begin(begin, *settings, log);
        let state = group.state();
        log.groups.insert(of.group, group);
        Progress::Done(Ok(GroupOpened { created: true, gap, state }))
    }

    fn claim(&mut self, of: &GroupId, holder: Holder, want: Want, now: Moment, _ticket: Ticket) -> Progress<Claimed> {
        if let Ok(slot) = self.slot(&of.topic) {
            self.logs[slot].expire(now, usize::MAX, &mut self.account);
        }
        self.with_group(of, |group, log| group.claim(log, holder, want, now))
    }

    fn settle(&mut self, of: &GroupId, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, now: Moment, _ticket: Ticket) -> Progress<Settled> {
        self.with_group(of, |group, _| group.settle(holder, jobs, outcome, now))
    }

    fn free(&mut self, of: &GroupId, whose: Whose, now: Moment, _ticket: Ticket) -> Progress<Freed> {
        self.with_group(of, |group, _| group.free(whose, now))
    }

    fn forget_group(&mut self, of: &GroupId, _ticket: Ticket) -> Progress<bool> {
        if let Ok(slot) = self.slot(&of.topic) {
            self.logs[slot].groups.remove(&of.group);
        }
        Progress::Done(Ok(true))
    }
}
