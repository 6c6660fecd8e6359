//! What a home does about once a second: forget what is idle, tell the metrics.

use std::sync::Arc;

use arqonbus_protocol::{EventBody, Presence};

use super::{ConnId, Home, Lane, Member, Way};
use crate::fanout::Delivery;
use crate::session::Identity;
use crate::slots::Key;
use crate::telemetry::Signal;

/// Lanes looked at in one sweep: bounded, so that a sweep is never felt.
const LANES_PER_SWEEP: usize = 2_000;
/// Ids forgotten in one sweep.
const IDS_PER_SWEEP: usize = 10_000;

impl Home {
    /// Forgets idle lanes and expired entries; a bounded amount of work.
    pub(crate) fn sweep(&mut self) {
        self.store.sweep(self.now);
        self.sweep_groups();
        self.sent.expire(self.now, IDS_PER_SWEEP);
        let keys = self.lanes.keys();
        let from = keys.partition_point(|key| key.index() < self.upkeep_from);
        let turn: Vec<Key> = keys[from..].iter().copied().take(LANES_PER_SWEEP).collect();
        self.upkeep_from = if turn.len() < LANES_PER_SWEEP { 0 } else { turn.last().map_or(0, |key| key.index() + 1) };
        for key in turn {
            self.unfollow_if_deserted(key);
            self.forget_if_idle(key);
        }
        self.tell_gauges();
        self.tell_evictions();
    }

    fn tell_evictions(&mut self) {
        let evicted = self.store.counters().dedup_evicted + self.sent.evicted();
        let ids = evicted - std::mem::replace(&mut self.told_evicted, evicted);
        if ids > 0 {
            self.shared.telemetry.tell(&Signal::DedupEvicted { ids });
        }
    }

    fn forget_if_idle(&mut self, key: Key) {
        let Some(lane) = self.lanes.get(key).filter(|lane| lane.is_idle()) else { return };
        let (topic, grace_ms) = (lane.topic, lane.settings.dedup_ms);
        if !self.store.is_forgettable(&topic, self.now) {
            return;
        }
        // Whoever just lost its connection comes back with a position of this epoch, and has missed nothing.
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if self.now.since(*lane.idle_since.get_or_insert(self.now)) < grace_ms {
            return;
        }
        self.store.close(&topic);
        self.remove_lane(key);
        self.shared.telemetry.tell(&Signal::Forgotten { topic });
    }

    /// Removes a lane from all maps.
    pub(crate) fn remove_lane(&mut self, key: Key) -> Option<Lane> {
        let lane = self.lanes.remove(key)?;
        self.by_topic.remove(&lane.topic);
        self.grouped.swap_remove(&key);
        self.shared.census.release(&lane.topic);
        for (_, op) in &lane.grouping {
            // Its group has ended with it.
            if let Some(asked) = op.asked() {
                self.refuse(asked, Some(lane.topic), &super::groups::not_held());
            }
        }
        Some(lane)
    }

    /// Takes `conn` out of a lane altogether; tells those who watch.
    pub(crate) fn remove_member(&mut self, key: Key, conn: ConnId) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let Some(member) = lane.exit(conn) else { return };
        let (topic, here) = (lane.topic, lane.members.len() as u64);
        self.tell_presence(key, &member.who, conn, EventBody::Left);
        self.tell_abroad(topic, false, &member.who, here);
        self.shared.telemetry.tell(&Signal::Left { client: member.who.client, user: member.who.user, left: topic.into() });
    }

    /// A member's own join was refused where its connection lives; by a pattern it stays.
    pub(crate) fn unname(&mut self, key: Key, conn: ConnId) {
        self.close_way(key, conn, Way::Name);
    }

    /// Takes a way into a lane from `conn`, and `conn` itself where that was the last.
    pub(crate) fn close_way(&mut self, key: Key, conn: ConnId, way: Way) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        // Whoever is in until now must have everything that was published until now.
        lane.flush(&mut self.egress);
        if !lane.close_way(conn, way) {
            self.remove_member(key, conn);
        }
    }

    /// Takes one pattern's way into a lane from `conn`, and `conn` itself where that was the last.
    pub(crate) fn leave_by_pattern(&mut self, key: Key, conn: ConnId) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.call_off(conn) || !lane.members.contains_key(&conn) {
            return;
        }
        let id = lane.id;
        self.close_way(key, conn, Way::Pattern);
        let hears = self.lanes.get(key).and_then(|lane| lane.members.get(&conn)).is_some_and(Member::hears);
        if !hears {
            self.egress.push(conn.shard, Delivery::Exit { lane: id, conn: conn.key, reply: None });
        }
    }

    /// Tells a lane's watchers who came or went.
    pub(crate) fn tell_presence(&mut self, key: Key, who: &Arc<Identity>, about: ConnId, event: fn(Presence) -> EventBody) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.watchers > 0) else { return };
        lane.flush(&mut self.egress);
        let presence = super::presence(who, lane.members_everywhere());
        let body: bytes::Bytes = arqonbus_protocol::encode_event(&event(presence), Some(&lane.topic), &self.timestamp).into();
        for (conn, _) in lane.members.iter().filter(|(conn, member)| member.presence && **conn != about) {
            self.egress.send(*conn, body.clone());
        }
    }

    fn tell_gauges(&self) {
        let status = self.store.status();
        let joins = self.lanes.iter().map(|(_, lane)| lane.members.len() as u64).sum();
        self.shared.tell_held(self.shard, [joins, status.messages, status.bytes]);
    }

    /// Lets everybody know how the store is, where that has changed.
    pub(crate) fn tell_storage(&mut self) {
        let state = self.store.state();
        if std::mem::replace(&mut self.storage_state, state) != state {
            self.shared.tell_storage(self.shard, state);
        }
    }
}
