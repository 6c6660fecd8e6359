//! `delete_channel`: the channel, its history and its memberships end.

use std::collections::VecDeque;

use arqonbus_protocol::{ClientId, DeleteChannelArgs, DeleteChannelResult, Deleted, EventBody, encode_event};

use crate::fanout::Delivery;
use crate::routing::{Abroad, Asked, Home, LaneOp, Pending};
use crate::slots::Key;
use crate::storage::StoreError;
use crate::telemetry::Signal;

impl Home {
    pub(crate) fn delete(&mut self, key: Key, asked: Asked, args: Box<DeleteChannelArgs>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let topic = lane.topic;
        let ticket = self.ticket();
        let deleted = self.store.delete(&topic, asked.who.client, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::Delete { asked, args }), deleted, Self::deleted);
    }

    pub(crate) fn deleted(&mut self, key: Key, pending: Pending, deleted: Result<(), StoreError>) {
        let Pending::Op(LaneOp::Delete { asked, .. }) = pending else { return };
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        if let Err(error) = deleted {
            return self.refuse_store(&asked, Some(topic), &error);
        }
        let result = DeleteChannelResult { members: lane.members.len() as u64 };
        let queued = self.disband(key, asked.who.client);
        if self.has_peers() {
            self.abroad(Abroad::Ended { asked, topic, result });
        } else {
            self.egress.ok(&asked, &result);
        }
        for op in queued {
            self.ask_anew(key, topic, op);
        }
    }

    /// Ends a lane whose log was deleted on another node.
    pub(crate) fn end_lane(&mut self, key: Key, by: ClientId) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let topic = lane.topic;
        self.store.forget(&topic);
        for op in self.disband(key, by) {
            self.ask_anew(key, topic, op);
        }
    }

    /// Tells a lane's members that it is no more, and removes it; gives what it had queued.
    fn disband(&mut self, key: Key, by: ClientId) -> VecDeque<LaneOp> {
        let Some(lane) = self.lanes.get(key) else { return VecDeque::new() };
        let (id, topic) = (lane.id, lane.topic);
        let event: bytes::Bytes = encode_event(&EventBody::Deleted(Deleted { by }), Some(&topic), &self.timestamp).into();
        lane.tell_shards(&mut self.egress, || Delivery::Ended { lane: id, event: event.clone() });
        // Members of groups are in no audience.
        for (conn, member) in &lane.members {
            let mut told = (!member.hears()).then(|| event.clone());
            for (group, _) in lane.groups.iter().filter(|(_, group)| group.workers.contains_key(conn)) {
                let reply = told.take();
                self.egress.push(conn.shard, Delivery::ExitGroup { lane: id, conn: conn.key, group: *group, reply });
            }
        }
        self.shared.telemetry.tell(&Signal::Deleted { topic, client: by });
        self.remove_lane(key).map(|lane| lane.queue).unwrap_or_default()
    }
}
