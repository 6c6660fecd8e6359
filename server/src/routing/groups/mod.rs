//! Work groups of a lane: who shares its messages, and how much each may hold. Who has which job is the store's knowledge.

mod dead;
mod join;
mod settle;
mod work;

pub(crate) use settle::not_held;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arqonbus_protocol::{Epoch, Group, Position};
use indexmap::IndexMap;

use super::{Asked, ConnId};
use crate::clock::Moment;
use crate::hash::State;
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
    /// A claim is under way.
    claiming: bool,
    /// As the store said last.
    pub(crate) state: GroupState,
    /// Jobs that its members hold.
    held: u64,
    /// Since when nobody is a member.
    idle_since: Option<Moment>,
}

/// One member of a group.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) who: Arc<Identity>,
    max_in_flight: usize,
    /// Bytes of the jobs that it holds, by seq.
    held: BTreeMap<u64, u64>,
    held_bytes: u64,
    /// Whether it is among those with room.
    queued: bool,
}

impl GroupOp {
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
    fn new(state: GroupState) -> Self {
        Self {
            workers: IndexMap::default(),
            ready: VecDeque::new(),
            stocked: true,
            blocked: false,
            failed: false,
            claiming: false,
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

    /// Whether asking the store makes sense.
    fn wants_claim(&self) -> bool {
        !self.claiming && (self.failed || (self.stocked && !self.ready.is_empty()))
    }

    /// The member whose turn it is, and what it may take: of what there is, a part for each that waits.
    fn next_claim(&mut self, head: Position, share: u64) -> (Option<ConnId>, Want) {
        let stock = head.seq.saturating_sub(self.state.cursor.seq) + self.state.pending.saturating_sub(self.held);
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
    fn hold(&mut self, conn: ConnId, jobs: &[Job], share: u64) -> Option<Arc<Identity>> {
        let worker = self.workers.get_mut(&conn)?;
        let who = Arc::clone(&worker.who);
        for job in jobs {
            worker.held.insert(job.position.seq, job.body.len() as u64);
            worker.held_bytes += job.body.len() as u64;
            self.held += 1;
        }
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

    /// Jobs are no longer with their holder.
    fn release(&mut self, conn: ConnId, seqs: impl IntoIterator<Item = u64>, share: u64) {
        let Some(worker) = self.workers.get_mut(&conn) else { return };
        for seq in seqs {
            if let Some(bytes) = worker.held.remove(&seq) {
                worker.held_bytes -= bytes;
                self.held -= 1;
            }
        }
        self.queue_up(conn, share);
    }

    /// Something was settled or came back: a bound that kept jobs back may be met no longer.
    fn unblock(&mut self) {
        self.stocked |= std::mem::take(&mut self.blocked);
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
