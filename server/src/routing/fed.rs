//! What a store tells of its own accord: other nodes' messages, and that a log goes on elsewhere; and for which topics it is to.

use arqonbus_protocol::{ClientId, Durability, EventBody, Gap, GapReason, Position, Topic, encode_event};

use super::lane::Pending;
use super::op::LaneOp;
use super::{Home, Lane};
use crate::fanout::Frames;
use crate::slots::Key;
use crate::storage::StoreError;
use crate::telemetry::Signal;

impl Home {
    /// Lets the store tell what other nodes append before the first member is let in.
    pub(super) fn follow_first(&mut self, key: Key, op: LaneOp) {
        let Some(topic) = self.lanes.get(key).map(|lane| lane.topic) else { return };
        let ticket = self.ticket();
        let following = self.store.follow(&topic, self.now, ticket);
        self.answered(key, ticket, Pending::Follow(op), following, Self::followed);
    }

    pub(super) fn followed(&mut self, key: Key, pending: Pending, following: Result<(), StoreError>) {
        let Pending::Follow(op) = pending else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match following {
            Ok(()) => {
                (lane.followed, lane.deserted_since) = (true, None);
                self.run(key, op);
            }
            // Whoever asked for no answer must be let in by the lane that takes its place.
            Err(error) if op.asked().is_none() => {
                self.store.close(&lane.topic);
                self.abandon(key, &error);
            }
            Err(error) => self.give_up(key, &op, &error.refusal()),
        }
    }

    /// Lets the store rest that nobody here has listened to for a while: whoever is back soon must not wait for it to begin anew.
    pub(super) fn unfollow_if_deserted(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.followed && lane.is_deserted()) else { return };
        let since = *lane.deserted_since.get_or_insert(self.now);
        if self.now.since(since) >= self.shared.config.storage.redis.linger_ms {
            lane.followed = false;
            self.store.unfollow(&lane.topic, self.now);
        }
    }

    /// A channel was deleted on another node. Where the store tells of the topic, it tells that as well, behind what came before it.
    pub(super) fn ended_abroad(&mut self, topic: &Topic, by: ClientId) {
        let Some(key) = self.by_topic.get(topic).copied() else { return self.store.forget(topic) };
        if self.lanes.get(key).is_some_and(|lane| !lane.followed) {
            self.ask_lane(key, LaneOp::Ended { by });
        }
    }

    /// Lets another node's message, or an own one whose answer was lost, join what is fanned out.
    pub(super) fn fed(&mut self, topic: &Topic, position: Position, body: &[u8]) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.head = position;
        lane.idle_since = None;
        if let Some(sender) = lane.left_out_at(position) {
            lane.flush(&mut self.egress);
            lane.fan(&Frames::of(body), Some(sender), &mut self.egress);
        } else if lane.gather(body) {
            self.gathered.push(key);
        }
        self.stock(key);
    }

    /// Tells a lane's members that what lies between its head and `head` does not come.
    pub(super) fn moved(&mut self, topic: &Topic, reason: Option<GapReason>, head: Position, durability: Durability) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let from = std::mem::replace(&mut lane.head, head);
        lane.durability = durability;
        #[cfg(any(test, feature = "sabotage"))]
        let reason = reason.filter(|_| self.shared.sabotage != Some(crate::sim::Sabotage::ResumeWithoutGap));
        if let Some(reason) = reason {
            let gap = Gap { reason, from: Some(from), to: head, refetch_after_ms: self.shared.jitter(super::catch_up::REFETCH_WINDOW_MS) };
            let event = encode_event(&EventBody::Gap(gap), Some(topic), &self.timestamp);
            lane.fan(&Frames::of(&event), None, &mut self.egress);
            self.shared.telemetry.tell(&Signal::Gap { client: self.shared.node, topic: *topic, reason });
        }
        self.stock(key);
    }
}

impl Lane {
    /// Whether nobody is a member, nor about to become one.
    fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.unborn.is_empty() && self.grouping.is_empty() && self.waiting.is_none() && self.queue.is_empty()
    }
}
