//! Giving jobs out: what came back first, to members with room, in turn.

use arqonbus_protocol::{Group, JobHead, Topic};

use super::{GroupOp, LaneGroup};
use crate::fanout::Delivery;
use crate::routing::{ConnId, Home, LaneId, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::{Claimed, Failed, Freed, GroupAnswer, GroupId, Holder, StoreError, Whose};
use crate::telemetry::{Returned, Signal};

/// Milliseconds for which a member is taken to hold a job after its time was over: by then some node has taken it back.
const OVERDUE_MS: u64 = 1_000;

impl Home {
    /// Carries out one question about a group.
    pub(crate) fn run_group(&mut self, key: Key, op: GroupOp) {
        match op {
            GroupOp::Join(join) => self.join_group(key, join),
            GroupOp::Leave(leave) => self.leave_group(key, &leave.asked, leave.group),
            GroupOp::Settle(settling) => self.settle_jobs(key, settling),
            GroupOp::Part { conn, group } => self.part_group(key, conn, group),
            // These are asked as they are made.
            GroupOp::Claim { .. } => {}
            GroupOp::Free { group, whose } => self.free(key, group, whose),
            GroupOp::Buried { group, position, letter } => self.settle_dead(key, group, position, letter),
            GroupOp::Forget { group } => self.forget_group(key, group),
        }
    }

    /// Goes on with whatever asked the store about a group.
    pub(crate) fn group_answered(&mut self, key: Key, pending: Pending, answer: Result<GroupAnswer, StoreError>) {
        let Pending::Op(LaneOp::Group(op)) = pending else { return };
        match (op, answer) {
            (GroupOp::Join(join), Ok(GroupAnswer::Opened(opened))) => self.group_opened(key, &join, Ok(opened)),
            (GroupOp::Join(join), Err(error)) => self.group_opened(key, &join, Err(error)),
            (GroupOp::Claim { group, to, jobs }, Ok(GroupAnswer::Claimed(claimed))) => self.claimed(key, group, to, jobs, claimed),
            (GroupOp::Claim { group, to, jobs }, Err(_)) => self.claim_failed(key, group, to, jobs),
            (GroupOp::Settle(settling), Ok(GroupAnswer::Settled(settled))) => self.settled(key, &settling, settled),
            (GroupOp::Settle(settling), Err(error)) => self.refuse_settling(key, &settling, &error),
            (GroupOp::Free { group, whose }, Ok(GroupAnswer::Freed(freed))) => self.freed(key, group, whose, &freed),
            (GroupOp::Buried { group, letter, .. }, Ok(GroupAnswer::Settled(settled))) => self.buried(key, group, letter, &settled),
            (GroupOp::Forget { group }, Ok(GroupAnswer::Forgotten(ended))) => self.forgotten(key, group, ended),
            // A store out of reach: what is held comes back by its time-out, and the sweep asks again.
            (GroupOp::Free { .. } | GroupOp::Buried { .. } | GroupOp::Forget { .. }, Err(_)) => {}
            (op, answer) => unreachable!("{answer:?} is no answer to {op:?}"),
        }
    }

    /// Notes that a lane's groups may have something to do; seen to when the tick ends.
    pub(crate) fn rouse(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| !lane.groups.is_empty()) else { return };
        if !std::mem::replace(&mut lane.roused, true) {
            self.roused.push(key);
        }
    }

    /// A message was stored: every group may have it.
    pub(crate) fn stock(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| !lane.groups.is_empty()) else { return };
        lane.groups.values_mut().for_each(LaneGroup::restock);
        self.rouse(key);
    }

    /// Another node has given back jobs of a lane's group, or of any.
    pub(crate) fn restock(&mut self, topic: &Topic, name: Option<Group>) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        for (_, group) in lane.groups.iter_mut().filter(|(group, _)| name.is_none_or(|name| name == **group)) {
            group.take_back();
        }
        self.rouse(key);
    }

    /// Gives out what there is, until nobody has room or nothing is left.
    pub(crate) fn give_out(&mut self) {
        while let Some(key) = self.roused.pop() {
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            lane.roused = false;
            if !lane.asks_at_once() {
                continue;
            }
            let head = lane.head;
            let wanting = lane.groups.iter().filter(|(_, group)| group.wants_claim(head)).map(|(name, group)| (*name, group.ready.len().max(1)));
            for (group, turns) in wanting.collect::<Vec<_>>() {
                for _ in 0..turns {
                    if self.group_mut(key, group).is_some_and(|group| group.wants_claim(head)) {
                        self.claim(key, group);
                    }
                }
            }
        }
    }

    pub(super) fn group_mut(&mut self, key: Key, name: Group) -> Option<&mut LaneGroup> {
        self.lanes.get_mut(key)?.groups.get_mut(&name)
    }

    /// Bytes of jobs that one member may hold: a part of its outbox, so that jobs alone never make a slow reader of anybody.
    pub(super) fn job_bytes_max(&self) -> u64 {
        self.shared.config.limits.outbox_bytes as u64 / 4
    }

    fn claim(&mut self, key: Key, group: Group) {
        let share = self.job_bytes_max();
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let of = GroupId { topic: lane.topic, group };
        let Some(waiting) = lane.groups.get_mut(&group) else { return };
        let (to, want) = waiting.next_claim(lane.head, share);
        (waiting.claims, waiting.claimed) = (waiting.claims + 1, waiting.claimed + want.jobs);
        let holder = to.map_or(Holder::DEAD_LETTERS, Holder::of);
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else { return };
        let claimed = store.claim(&of, holder, want, self.now, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Claim { group, to, jobs: want.jobs }));
        self.answered(key, ticket, pending, claimed.map(GroupAnswer::Claimed), Self::group_answered);
    }

    fn claim_failed(&mut self, key: Key, group: Group, to: Option<ConnId>, jobs: usize) {
        let share = self.job_bytes_max();
        let Some(group) = self.group_mut(key, group) else { return };
        group.claim_ended(jobs);
        group.rests = true;
        if let Some(conn) = to {
            group.queue_up(conn, share);
        }
    }

    fn claimed(&mut self, key: Key, name: Group, to: Option<ConnId>, asked: usize, claimed: Claimed) {
        let share = self.job_bytes_max();
        let Some(topic) = self.lanes.get(key).map(|lane| lane.topic) else { return };
        let until = self.now.plus_ms(self.shared.config.groups_of(&topic).ack_timeout_ms + OVERDUE_MS);
        let Some(group) = self.group_mut(key, name) else { return };
        let Claimed { gap, jobs, dead, more, state } = claimed;
        group.state = state;
        group.stocked = more && (to.is_none() || !jobs.is_empty());
        group.blocked = more && !group.stocked;
        // Until a claim finds no dead one there may be another.
        group.failed = !dead.is_empty();
        group.claim_ended(asked);
        group.owe(gap);
        let told = to.and_then(|conn| group.hold(conn, &jobs, until, share));
        let gap = told.as_ref().and_then(|_| group.gap.take());
        // Whoever left meanwhile gets nothing: its jobs go back by the release that is queued behind this claim.
        if let (Some(who), Some(conn)) = (told, to) {
            let gap = gap.and_then(|gap| self.group_gap(&who, key, name, gap));
            let bodies = jobs.iter().map(|job| JobHead { group: name, delivery: job.delivery }.splice(&job.body).into()).collect();
            let lane = LaneId { shard: self.shard, key };
            self.shared.metrics.jobs.add(jobs.len() as u64);
            self.egress.push(conn.shard, Delivery::Jobs { lane, conn: conn.key, group: name, gap, bodies });
        }
        for job in &dead {
            self.bury(key, name, job);
        }
        self.rouse(key);
    }

    pub(super) fn free(&mut self, key: Key, group: Group, whose: Whose) {
        let Some(lane) = self.lanes.get(key) else { return };
        let of = GroupId { topic: lane.topic, group };
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else { return };
        let freed = store.free(&of, whose, self.now, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Free { group, whose }));
        self.answered(key, ticket, pending, freed.map(GroupAnswer::Freed), Self::group_answered);
    }

    fn freed(&mut self, key: Key, name: Group, whose: Whose, freed: &Freed) {
        let share = self.job_bytes_max();
        let Some(group) = self.group_mut(key, name) else { return };
        group.state = freed.state;
        group.take_back();
        for (holder, seq) in &freed.held {
            group.release(holder.conn(), [*seq], share);
        }
        let why = match whose {
            Whose::Of(_) => Returned::MemberLost,
            Whose::Due => Returned::TimedOut,
        };
        self.tell_returned(key, name, freed.held.len() as u64 + freed.others, why);
        self.rouse(key);
    }

    pub(super) fn tell_returned(&self, key: Key, group: Group, jobs: u64, why: Returned) {
        if let Some(lane) = self.lanes.get(key).filter(|_| jobs > 0) {
            self.shared.telemetry.tell(&Signal::Redelivered { topic: lane.topic, group, jobs, why });
        }
    }

    /// Looks at every group once: what has been held for too long goes back, and who is forgotten is forgotten.
    pub(crate) fn sweep_groups(&mut self) {
        let share = self.job_bytes_max();
        for key in self.grouped.clone() {
            let now = self.now;
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            let forget_ms = self.shared.config.groups_of(&lane.topic).forget_ms;
            let mut due = Vec::new();
            for (name, group) in &mut lane.groups {
                group.release_overdue(now, share);
                group.rests = false;
                if group.state.next_due.is_some_and(|at| at <= now) {
                    due.push(GroupOp::Free { group: *name, whose: Whose::Due });
                }
                if group.idle_since.is_some_and(|since| now.since(since) >= forget_ms) {
                    due.push(GroupOp::Forget { group: *name });
                }
            }
            for op in due {
                self.ask_lane(key, LaneOp::Group(op));
            }
            // A claim that failed is made again.
            self.rouse(key);
        }
    }

    fn forget_group(&mut self, key: Key, group: Group) {
        let Some(lane) = self.lanes.get(key) else { return };
        // Somebody may have joined while this waited.
        if !lane.groups.get(&group).is_some_and(|group| group.workers.is_empty()) {
            return;
        }
        let of = GroupId { topic: lane.topic, group };
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else { return };
        let forgotten = store.forget_group(&of, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Forget { group }));
        self.answered(key, ticket, pending, forgotten.map(GroupAnswer::Forgotten), Self::group_answered);
    }

    /// A group without members here is closed; `ended` says that it is for all.
    fn forgotten(&mut self, key: Key, name: Group, ended: bool) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(group) = lane.groups.remove(&name) else { return };
        let topic = lane.topic;
        if lane.groups.is_empty() {
            self.grouped.swap_remove(&key);
        }
        if ended {
            self.shared.telemetry.tell(&Signal::GroupForgotten { topic, group: name, jobs: group.state.pending });
        }
    }

    /// What a failure is called where it is told.
    pub(super) fn reason(failed: &Failed) -> String {
        match failed {
            Failed::Nacked(Some(reason)) => reason.to_string(),
            Failed::Nacked(None) => "nack".to_owned(),
            Failed::TimedOut => "timed out".to_owned(),
            Failed::MemberLost => "member lost".to_owned(),
        }
    }
}
