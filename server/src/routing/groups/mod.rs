//! Work groups of a lane: who shares its messages, and how much each may hold. Who has which job is the store's knowledge.

mod dead;
mod join;
mod settle;
mod work;

pub(crate) use settle::not_held;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arqonbus_protocol::{Epoch, Gap, GapReason, Group, Position};
use indexmap::IndexMap;

use super::{Asked, ConnId};
use crate::clock::Moment;
use crate::hash::State;
use crate::peers::letter::GroupHere;
use crate::session::Identity;
use crate::slots::Key;
use crate::storage::{GroupBegin, GroupState, Holder, Job, Outcome, Want, Whose};

/// One question about a group to the lane of its topic.
#[derive(Debug)]
pub(crate) enum GroupOp {
    Join(Box<GroupJoin>),
    Leave(Box<GroupLeave>),
    Settle(Box<Settling>),
    /// A connection is gone from a group, or was never let in.
    Part {
        conn: ConnId,
        group: Group,
    },
    /// Give out what there is, to this member where there is one with room.
    Claim {
        group: Group,
        to: Option<ConnId>,
        /// So many.
        jobs: usize,
    },
    /// Take jobs back.
    Free {
        group: Group,
        whose: Whose,
    },
    /// A dead job is to be settled: its letter is stored, or there is to be none.
    Buried {
        group: Group,
        position: Position,
        letter: bool,
    },
    /// Nobody was a member for long.
    Forget {
        group: Group,
    },
}

/// One member's way into a group.
#[derive(Debug)]
pub(crate) struct GroupJoin {
    pub(crate) asked: Asked,
    pub(crate) group: Group,
    pub(crate) begin: GroupBegin,
    pub(crate) max_in_flight: u32,
}

/// One member's way out of a group.
#[derive(Debug)]
pub(crate) struct GroupLeave {
    pub(crate) asked: Asked,
    pub(crate) group: Group,
}

/// What a member says of its jobs.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) asked: Asked,
    pub(crate) group: Group,
    pub(crate) epoch: Epoch,
    /// Without repetitions.
    pub(crate) seqs: Vec<u64>,
    pub(crate) outcome: Outcome,
}

/// A group as its lane knows it.
#[derive(Debug)]
pub(crate) struct LaneGroup {
    pub(crate) workers: IndexMap<ConnId, Worker, State>,
    /// Members with room, in turn.
    ready: VecDeque<ConnId>,
    /// The store may have something to give out.
    stocked: bool,
    /// The store has something, and a bound on what is pending keeps it back.
    blocked: bool,
    /// Something came back, and may be dead.
    failed: bool,
    /// Claims that are under way, and the jobs that they ask for.
    claims: usize,
    claimed: usize,
    /// Whether the store may have something more since they were asked, and whether that may be dead.
    stocked_since: bool,
    failed_since: bool,
    /// What is to be told to the member that gets the next job.
    gap: Option<Gap>,
    /// The store did not answer a claim: not before the next sweep.
    rests: bool,
    /// As the store said last.
    pub(crate) state: GroupState,
    /// Jobs that its members hold.
    held: u64,
    /// When the first of them has certainly come back.
    next_overdue: Option<Moment>,
    /// Since when nobody is a member.
    idle_since: Option<Moment>,
}

/// One member of a group.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) who: Arc<Identity>,
    max_in_flight: usize,
    /// Jobs that it holds, by seq.
    held: BTreeMap<u64, HeldJob>,
    held_bytes: u64,
    /// Whether it is among those with room.
    queued: bool,
}

/// A job that a member holds.
#[derive(Debug)]
struct HeldJob {
    epoch: Epoch,
    bytes: u64,
    /// When it has certainly come back, whoever took it.
    until: Moment,
}

impl GroupOp {
    /// Whether it need not wait for what else happens to its lane: the store keeps the order of these questions among themselves.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Settle(_) | Self::Claim { .. } | Self::Free { .. } | Self::Buried { .. } => true,
            Self::Join(_) | Self::Leave(_) | Self::Part { .. } | Self::Forget { .. } => false,
        }
    }

    /// Who waits for the answer.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Join(join) => Some(&join.asked),
            Self::Leave(leave) => Some(&leave.asked),
            Self::Settle(settling) => Some(&settling.asked),
            Self::Part { .. } | Self::Claim { .. } | Self::Free { .. } | Self::Buried { .. } | Self::Forget { .. } => None,
        }
    }
}

impl LaneGroup {
    /// What other nodes are told of it.
    pub(crate) fn here(&self, group: Group) -> GroupHere {
        let GroupState { cursor, pending, .. } = self.state;
        GroupHere { group, members: self.workers.len() as u64, pending, cursor }
    }

    fn new(state: GroupState) -> Self {
        Self {
            workers: IndexMap::default(),
            ready: VecDeque::new(),
            stocked: true,
            blocked: false,
            failed: false,
            claims: 0,
            claimed: 0,
            stocked_since: false,
            failed_since: false,
            gap: None,
            rests: false,
            next_overdue: None,
            state,
            held: 0,
            idle_since: None,
        }
    }

    /// Adds a member, or changes what it may hold; gives whether it is new.
    fn enter(&mut self, conn: ConnId, who: &Arc<Identity>, max_in_flight: u32, share: u64) -> bool {
        self.idle_since = None;
        let before = self.workers.len();
        let worker = self.workers.entry(conn).or_insert_with(|| Worker {
            who: Arc::clone(who),
            max_in_flight: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            queued: false,
        });
        worker.max_in_flight = max_in_flight as usize;
        let is_new = self.workers.len() > before;
        self.queue_up(conn, share);
        is_new
    }

    /// Lets a member wait for jobs where it has room.
    fn queue_up(&mut self, conn: ConnId, share: u64) {
        let Some(worker) = self.workers.get_mut(&conn) else { return };
        if worker.has_room(share) && !worker.queued {
            worker.queued = true;
            self.ready.push_back(conn);
        }
    }

    /// A claim for so many jobs is under way no more. What came after it was asked is not forgotten by what it found.
    fn claim_ended(&mut self, jobs: usize) {
        (self.claims, self.claimed) = (self.claims - 1, self.claimed - jobs);
        if self.claims == 0 {
            self.stocked |= std::mem::take(&mut self.stocked_since);
            self.failed |= std::mem::take(&mut self.failed_since);
        }
    }

    /// Keeps a gap until a member can be told; it joins one that was not told yet.
    fn owe(&mut self, gap: Option<Gap>) {
        let Some(gap) = gap else { return };
        self.gap = Some(match self.gap.take() {
            Some(before) if before.reason == GapReason::EpochChanged => Gap { from: before.from, reason: before.reason, ..gap },
            Some(before) => Gap { from: before.from, ..gap },
            None => gap,
        });
    }

    /// There may be something to give out.
    fn restock(&mut self) {
        self.stocked = true;
        self.stocked_since |= self.claims > 0;
    }

    /// Something came back.
    fn take_back(&mut self) {
        self.restock();
        self.failed = true;
        self.failed_since |= self.claims > 0;
    }

    /// Whether asking the store makes sense, beside what it has been asked.
    fn wants_claim(&self, head: Position) -> bool {
        let is_first = self.claims == 0;
        let has_more = is_first || self.stock(head) > self.claimed as u64;
        !self.rests && ((is_first && self.failed) || (self.stocked && !self.ready.is_empty() && has_more))
    }

    /// Jobs that the store may give out, as far as is known.
    fn stock(&self, head: Position) -> u64 {
        head.seq.saturating_sub(self.state.cursor.seq) + self.state.pending.saturating_sub(self.held)
    }

    /// The member whose turn it is, and what it may take: of what there is, a part for each that waits.
    fn next_claim(&mut self, head: Position, share: u64) -> (Option<ConnId>, Want) {
        let stock = self.stock(head).saturating_sub(self.claimed as u64);
        let fair = usize::try_from(stock.div_ceil(self.ready.len().max(1) as u64)).unwrap_or(usize::MAX);
        while let Some(conn) = self.ready.pop_front() {
            let Some(worker) = self.workers.get_mut(&conn) else { continue };
            worker.queued = false;
            if worker.has_room(share) {
                let room = worker.max_in_flight - worker.held.len();
                return (Some(conn), Want { jobs: fair.clamp(1, room), bytes: (share - worker.held_bytes.min(share)).max(1) });
            }
        }
        (None, Want { jobs: 0, bytes: 0 })
    }

    /// Jobs are with a member now; gives who that is, where it is still there.
    fn hold(&mut self, conn: ConnId, jobs: &[Job], until: Moment, share: u64) -> Option<Arc<Identity>> {
        let worker = self.workers.get_mut(&conn)?;
        let who = Arc::clone(&worker.who);
        for job in jobs {
            let bytes = job.body.len() as u64;
            // One of another epoch, or one that was given again before it was known to have come back, gives way.
            let before = worker.held.insert(job.position.seq, HeldJob { epoch: job.position.epoch, bytes, until });
            worker.held_bytes = worker.held_bytes + bytes - before.as_ref().map_or(0, |job| job.bytes);
            self.held += u64::from(before.is_none());
        }
        self.next_overdue.get_or_insert(until);
        self.queue_up(conn, share);
        Some(who)
    }

    /// Takes a member out; gives whether it was one.
    fn exit(&mut self, conn: ConnId, now: Moment) -> bool {
        let Some(worker) = self.workers.swap_remove(&conn) else { return false };
        self.held -= worker.held.len() as u64;
        if self.workers.is_empty() {
            self.idle_since = Some(now);
        }
        true
    }

    /// Jobs of one epoch are no longer with their holder.
    fn release_of(&mut self, conn: ConnId, epoch: Epoch, seqs: &[u64], share: u64) {
        let Some(worker) = self.workers.get(&conn) else { return };
        let is_of = |seq: &&u64| worker.held.get(seq).is_some_and(|job| job.epoch == epoch);
        let seqs: Vec<u64> = seqs.iter().filter(is_of).copied().collect();
        self.release(conn, seqs, share);
    }

    /// Jobs are no longer with their holder.
    fn release(&mut self, conn: ConnId, seqs: impl IntoIterator<Item = u64>, share: u64) {
        let Some(worker) = self.workers.get_mut(&conn) else { return };
        for seq in seqs {
            if let Some(job) = worker.held.remove(&seq) {
                worker.held_bytes -= job.bytes;
                self.held -= 1;
            }
        }
        self.queue_up(conn, share);
    }

    /// Jobs that came back by another node's hand are no longer with their holders; gives whether there were any.
    fn release_overdue(&mut self, now: Moment, share: u64) -> bool {
        if self.next_overdue.is_none_or(|at| at > now) {
            return false;
        }
        let overdue: Vec<(ConnId, u64)> = self
            .workers
            .iter()
            .flat_map(|(conn, worker)| worker.held.iter().filter(|(_, job)| job.until <= now).map(|(seq, _)| (*conn, *seq)))
            .collect();
        for (conn, seq) in &overdue {
            self.release(*conn, [*seq], share);
        }
        self.next_overdue = self.workers.values().flat_map(|worker| worker.held.values()).map(|job| job.until).min();
        !overdue.is_empty()
    }

    /// Something was settled or came back: a bound that kept jobs back may be met no longer.
    fn unblock(&mut self) {
        if std::mem::take(&mut self.blocked) {
            self.restock();
        }
    }
}

impl Worker {
    fn has_room(&self, share: u64) -> bool {
        self.held.len() < self.max_in_flight && (self.held_bytes < share || self.held.is_empty())
    }
}

impl Holder {
    /// A connection as the store knows it.
    pub(crate) fn of(conn: ConnId) -> Self {
        Self((u128::from(conn.shard) << 64) | u128::from(conn.key.to_bits()))
    }

    /// The connection that it is.
    fn conn(self) -> ConnId {
        ConnId { shard: (self.0 >> 64) as u16, key: Key::from_bits(self.0 as u64) }
    }
}
