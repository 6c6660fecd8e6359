//! One topic: its members, the order of what happens to it, and what waits to be fanned out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arqonbus_protocol::{Durability, Group, MessageId, Position, Topic};
use indexmap::IndexMap;

use super::groups::{GroupOp, LaneGroup};
use super::op::{LaneOp, PublishOp};
use super::{ConnId, Foreign, LaneId};
use crate::clock::Moment;
use crate::fanout::{Delivery, Frames, Gathered};
use crate::hash::State;
use crate::routing::Egress;
use crate::session::Identity;
use crate::storage::{LogSettings, Ticket};

/// Senders of one lane who are remembered until their message comes; more get it, marked as theirs.
const LEFT_OUT_MAX: usize = 1_024;

/// A topic on its home shard.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) topic: Topic,
    pub(crate) settings: LogSettings,
    pub(crate) durability: Durability,
    pub(crate) description: Option<String>,
    /// Created by command or declared in the configuration: stays when it is idle.
    pub(crate) declared: bool,
    /// The `create_channel` that it was begun for, until that is answered.
    pub(crate) begun_by: Option<MessageId>,
    /// The last position that was given.
    pub(crate) head: Position,
    pub(crate) members: IndexMap<ConnId, Member, State>,
    /// Members that hear every message, by the shard they live on.
    by_shard: Vec<u32>,
    /// Work groups, by name.
    pub(crate) groups: BTreeMap<Group, LaneGroup>,
    /// Whether the home is to look at the groups when the tick ends.
    pub(crate) roused: bool,
    /// Members that want to hear who joins and leaves.
    pub(crate) watchers: u32,
    /// Stored, not yet fanned out.
    batch: Gathered,
    /// Publishes that the store has been asked to append, in order. Only other publishes go past them.
    pub(crate) appending: VecDeque<(Ticket, Box<PublishOp>)>,
    /// Questions to the store about groups that are under way, in order. They go past everything else, and everything else past them.
    pub(crate) grouping: VecDeque<(Ticket, GroupOp)>,
    /// The question to the store that this lane waits for, and what to do with the answer.
    pub(crate) waiting: Option<(Ticket, Pending)>,
    /// Since when nobody is a member and nothing is held, as far as was looked.
    pub(crate) idle_since: Option<Moment>,
    /// Whether the store tells what other nodes append: from the first member on.
    pub(crate) followed: bool,
    /// Since when nobody is a member, as far as was looked.
    pub(crate) deserted_since: Option<Moment>,
    /// Members on other nodes, as far as is known.
    pub(crate) foreign: Vec<Foreign>,
    /// Where it was opened; none before.
    pub(crate) opened_at: Option<Position>,
    /// Members by pattern that are let in once other nodes have said where they opened it.
    pub(crate) unborn: Vec<LaneOp>,
    /// Own messages that were acknowledged and are not fanned out yet, and who is not to get them.
    left_out: Vec<(Position, ConnId)>,
    /// What came meanwhile.
    pub(crate) queue: VecDeque<LaneOp>,
}

/// What a lane does once the store has answered.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Begin: the log is open.
    Open,
    /// Let this member in: what other nodes append is told from now on.
    Follow(LaneOp),
    /// Go on with this, which asked.
    Op(LaneOp),
}

/// One connection's membership.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) who: Arc<Identity>,
    pub(crate) joined_unix_ms: u64,
    pub(crate) presence: bool,
    /// Joined by name.
    pub(crate) exact: bool,
    /// Joined by so many patterns.
    pub(crate) patterns: u16,
    /// Joined so many work groups.
    pub(crate) groups: u16,
}

/// A way into a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By its name.
    Name,
    /// By a pattern.
    Pattern,
    /// As a member of a work group: hears only its jobs.
    Group,
}

impl Member {
    /// Whether it gets every message.
    pub(crate) fn hears(&self) -> bool {
        self.exact || self.patterns > 0
    }
}

impl Lane {
    pub(crate) fn new(id: LaneId, topic: Topic, settings: LogSettings, durability: Durability, head: Position, shards: usize) -> Self {
        Self {
            id,
            topic,
            settings,
            durability,
            description: None,
            declared: false,
            begun_by: None,
            head,
            members: IndexMap::default(),
            by_shard: vec![0; shards],
            groups: BTreeMap::new(),
            roused: false,
            watchers: 0,
            batch: Gathered::default(),
            appending: VecDeque::new(),
            grouping: VecDeque::new(),
            waiting: None,
            idle_since: None,
            followed: false,
            deserted_since: None,
            foreign: Vec::new(),
            opened_at: None,
            unborn: Vec::new(),
            left_out: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// Whoever was told that it will not see this message does not, though it is fanned out later: its answer was lost, and it comes by another way.
    pub(super) fn leave_out(&mut self, position: Position, sender: ConnId) {
        let is_ahead = position.epoch == self.head.epoch && position.seq > self.head.seq;
        if is_ahead && self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push((position, sender));
        }
    }

    /// Who is not to get the message at this position, which comes now.
    pub(super) fn left_out_at(&mut self, position: Position) -> Option<ConnId> {
        if self.left_out.is_empty() {
            return None;
        }
        let sender = self.left_out.iter().find_map(|(at, sender)| (*at == position).then_some(*sender));
        self.left_out.retain(|(at, _)| at.epoch == position.epoch && at.seq > position.seq);
        sender
    }

    /// Whether `op` may be carried out now: everything before it is, but publishes before a publish.
    pub(crate) fn is_free_for(&self, op: &LaneOp) -> bool {
        self.waiting.is_none() && (self.appending.is_empty() || matches!(op, LaneOp::Publish(_)))
    }

    /// Whether there is a log, and will be: then questions about groups need not wait for others.
    pub(crate) fn asks_at_once(&self) -> bool {
        !matches!(self.waiting, Some((_, Pending::Open | Pending::Op(LaneOp::Delete { .. }))))
    }

    /// Whether `op` is one that does not wait for others.
    pub(crate) fn is_passed_by(&self, op: &LaneOp) -> bool {
        self.asks_at_once() && matches!(op, LaneOp::Group(op) if op.passes())
    }

    /// Whether as much as may waits behind what the store is at.
    pub(crate) fn is_full(&self, max: usize) -> bool {
        let is_at_something = self.waiting.is_some() || !self.appending.is_empty();
        is_at_something && self.queue.len() + self.appending.len().saturating_sub(1) >= max
    }

    /// Adds a way in for `conn`; gives whether it is new here.
    pub(crate) fn enter(&mut self, conn: ConnId, member: Member) -> bool {
        (self.idle_since, self.deserted_since) = (None, None);
        if let Some(present) = self.members.get_mut(&conn) {
            let heard = present.hears();
            present.exact |= member.exact;
            present.patterns += member.patterns;
            present.groups += member.groups;
            self.by_shard[usize::from(conn.shard)] += u32::from(present.hears() && !heard);
            if member.presence && !present.presence {
                present.presence = true;
                self.watchers += 1;
            }
            return false;
        }
        self.watchers += u32::from(member.presence);
        self.by_shard[usize::from(conn.shard)] += u32::from(member.hears());
        self.members.insert(conn, member);
        true
    }

    /// Takes a way in from `conn`; gives whether another is left.
    pub(crate) fn close_way(&mut self, conn: ConnId, way: Way) -> bool {
        let Some(member) = self.members.get_mut(&conn) else { return false };
        let heard = member.hears();
        match way {
            Way::Name => member.exact = false,
            Way::Pattern => member.patterns = member.patterns.saturating_sub(1),
            Way::Group => member.groups = member.groups.saturating_sub(1),
        }
        if heard && !member.hears() {
            self.by_shard[usize::from(conn.shard)] -= 1;
            self.watchers -= u32::from(std::mem::take(&mut member.presence));
        }
        member.hears() || member.groups > 0
    }

    /// Removes `conn` altogether.
    pub(crate) fn exit(&mut self, conn: ConnId) -> Option<Member> {
        let member = self.members.swap_remove(&conn)?;
        self.watchers -= u32::from(member.presence);
        self.by_shard[usize::from(conn.shard)] -= u32::from(member.hears());
        Some(member)
    }

    /// Whether anybody but `conn` would receive what is published.
    pub(crate) fn reaches_another_than(&self, conn: ConnId) -> bool {
        self.members.len() > usize::from(self.members.contains_key(&conn))
    }

    /// Lets `body` join what is fanned out next. Gives whether it is the first.
    pub(crate) fn gather(&mut self, body: &[u8]) -> bool {
        if self.by_shard.iter().all(|members| *members == 0) {
            return false;
        }
        let is_first = self.batch.is_empty();
        self.batch.push(body);
        is_first
    }

    /// Fans out what was gathered. To be done before the membership changes, and at the end of each tick.
    pub(crate) fn flush(&mut self, egress: &mut Egress) {
        if !self.batch.is_empty() {
            let frames = self.batch.take();
            self.fan(&frames, None, egress);
        }
    }

    /// Fans out `frames` now, after what was gathered before.
    pub(crate) fn fan(&self, frames: &Frames, except: Option<ConnId>, egress: &mut Egress) {
        for (shard, count) in (0..).zip(&self.by_shard) {
            if *count > 0 {
                let except = except.filter(|conn| conn.shard == shard).map(|conn| conn.key);
                egress.push(shard, Delivery::Fan { lane: self.id, frames: frames.clone(), except });
            }
        }
    }

    /// Tells every shard that has members.
    pub(crate) fn tell_shards(&self, egress: &mut Egress, delivery: impl Fn() -> Delivery) {
        for (shard, count) in (0..).zip(&self.by_shard) {
            if *count > 0 {
                egress.push(shard, delivery());
            }
        }
    }
}
