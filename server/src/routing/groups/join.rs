//! Into a group, and out of it.

use arqonbus_protocol::{
    ErrorCode, EventBody, Gap, Group, GroupStart, JoinResult, LeaveResult, Refusal, Topic, TopicStart, encode_group_event, encode_ok,
};
use bytes::Bytes;

use super::{GroupJoin, GroupOp, LaneGroup};
use crate::commands::leave::not_joined;
use crate::fanout::{Delivery, GroupOpening};
use crate::routing::{Asked, ConnId, Home, LaneOp, Pending, Way};
use crate::session::Identity;
use crate::slots::Key;
use crate::storage::{GroupAnswer, GroupId, GroupOpened, Holder, StoreError, Whose};
use crate::telemetry::Signal;

impl Home {
    pub(super) fn join_group(&mut self, key: Key, join: Box<GroupJoin>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        let limit = self.shared.config.limits.groups;
        let refusal = if lane.durability == arqonbus_protocol::Durability::None {
            Some(Refusal::new(ErrorCode::Unsupported, "a channel without history has no groups").at("/args/group"))
        } else if !lane.groups.contains_key(&join.group) && lane.groups.len() >= limit {
            Some(Refusal::new(ErrorCode::LimitExceeded, format!("a channel has at most {limit} groups")).at("/args/group"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.refuse(&join.asked, Some(topic), &refusal);
        }
        let settings = self.shared.config.group_settings(&topic);
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else {
            return self.refuse(&join.asked, Some(topic), &Refusal::new(ErrorCode::Unsupported, "this store has no groups"));
        };
        let opened = store.open_group(&GroupId { topic, group: join.group }, join.begin, &settings, self.now, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Join(join)));
        self.answered(key, ticket, pending, opened.map(GroupAnswer::Opened), Self::group_answered);
    }

    pub(super) fn group_opened(&mut self, key: Key, join: &GroupJoin, opened: Result<GroupOpened, StoreError>) {
        let share = self.job_bytes_max();
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let topic = lane.topic;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.refuse_store(&join.asked, Some(topic), &error),
        };
        let conn = join.asked.conn;
        let group = lane.groups.entry(join.group).or_insert_with(|| LaneGroup::new(opened.state));
        group.state = opened.state;
        let is_new = group.enter(conn, &join.asked.who, join.max_in_flight, share);
        self.grouped.insert(key);
        self.attend(topic, join.group, true);
        let members = if is_new { self.enter_member(key, &join.asked, false, Way::Group) } else { self.count_members(key) };
        self.tell_opening(key, join, &opened, members);
        self.rouse(key);
    }

    fn tell_opening(&mut self, key: Key, join: &GroupJoin, opened: &GroupOpened, members: u64) {
        let Some(lane) = self.lanes.get(key) else { return };
        let (id, topic, head) = (lane.id, lane.topic, lane.head);
        let settings = self.shared.config.group_settings(&topic);
        let start = TopicStart { room: topic.room, channel: topic.channel, head, start: opened.state.cursor, members };
        let group = GroupStart {
            group: join.group,
            created: opened.created,
            pending: opened.state.pending,
            max_in_flight: join.max_in_flight,
            ack_timeout_ms: settings.ack_timeout_ms,
            deliveries_max: settings.deliveries_max,
        };
        let reply = encode_ok(&join.asked.request_id, &JoinResult { group: Some(group), ..JoinResult::new(vec![start], true) });
        let gap = opened.gap.map(|gap| self.group_gap(&join.asked.who, key, join.group, gap));
        let request_id = join.asked.request_id;
        let opening = Box::new(GroupOpening { group: join.group, request_id, reply: reply.into(), gap: gap.flatten() });
        self.egress.push(join.asked.conn.shard, Delivery::EnterGroup { lane: id, conn: join.asked.conn.key, opening });
    }

    /// A gap that one member of a group is told.
    pub(super) fn group_gap(&self, who: &Identity, key: Key, group: Group, gap: Gap) -> Option<Bytes> {
        let topic = self.lanes.get(key)?.topic;
        self.shared.telemetry.tell(&Signal::Gap { client: who.client, topic, reason: gap.reason });
        Some(encode_group_event(&EventBody::Gap(gap), &topic, &group, &self.timestamp).into())
    }

    pub(super) fn leave_group(&mut self, key: Key, asked: &Asked, group: Group) {
        let Some(lane) = self.lanes.get(key) else { return };
        let (id, topic) = (lane.id, lane.topic);
        if !lane.groups.get(&group).is_some_and(|group| group.workers.contains_key(&asked.conn)) {
            return self.refuse(asked, Some(topic), &not_joined());
        }
        let reply = Some(encode_ok(&asked.request_id, &LeaveResult {}).into());
        self.egress.push(asked.conn.shard, Delivery::ExitGroup { lane: id, conn: asked.conn.key, group, reply });
        self.part_group(key, asked.conn, group);
    }

    /// Takes a connection that is gone out of all groups of a lane. Their jobs go to others.
    pub(crate) fn part_groups(&mut self, key: Key, conn: ConnId) {
        let Some(lane) = self.lanes.get(key) else { return };
        let groups: Vec<Group> = lane.groups.iter().filter(|(_, group)| group.workers.contains_key(&conn)).map(|(name, _)| *name).collect();
        for group in groups {
            self.part_group(key, conn, group);
        }
    }

    /// Takes a connection out of one group at once; its jobs go back in the lane's order.
    pub(super) fn part_group(&mut self, key: Key, conn: ConnId, name: Group) {
        let now = self.now;
        let Some(group) = self.lanes.get_mut(key).and_then(|lane| lane.groups.get_mut(&name)) else { return };
        if !group.exit(conn, now) {
            return;
        }
        let is_deserted = group.workers.is_empty();
        if let Some(topic) = self.lanes.get(key).map(|lane| lane.topic).filter(|_| is_deserted) {
            self.attend(topic, name, false);
        }
        self.close_way(key, conn, Way::Group);
        self.ask_lane(key, LaneOp::Group(GroupOp::Free { group: name, whose: Whose::Of(Holder::of(conn)) }));
    }

    fn attend(&mut self, topic: Topic, group: Group, attended: bool) {
        if let Some(store) = self.store.groups() {
            store.attend(&GroupId { topic, group }, attended);
        }
    }

    pub(super) fn count_members(&self, key: Key) -> u64 {
        self.lanes.get(key).map_or(0, |lane| lane.members.len() as u64)
    }
}
