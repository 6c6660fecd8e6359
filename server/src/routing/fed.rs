//! What a store tells of its own accord: other nodes' messages, and that a log goes on elsewhere.

use arqonbus_protocol::{Durability, EventBody, Gap, GapReason, Position, Topic, encode_event};

use super::Home;
use crate::fanout::Frames;
use crate::telemetry::Signal;

impl Home {
    /// Lets another node's message join what is fanned out.
    pub(super) fn fed(&mut self, topic: &Topic, position: Position, body: &[u8]) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.head = position;
        lane.idle_since = None;
        if lane.gather(body) {
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
