//! Work groups where their members' connections live.

use arqonbus_protocol::{Group, encode_refused};
use bytes::Bytes;

use super::{Edge, GroupOpening};
use crate::commands::limit_reached;
use crate::routing::{ConnId, LaneId, Op};
use crate::slots::Key;

impl Edge {
    pub(super) fn enter_group(&mut self, lane: LaneId, key: Key, opening: &GroupOpening) {
        let GroupOpening { group, request_id, ref reply, ref gap } = *opening;
        let joins_max = self.shared.config.limits.joins;
        let id = ConnId { shard: self.shard, key };
        let Some(conn) = self.connections.get_mut(key).filter(|conn| conn.closing.is_none()) else {
            return self.asks.push((lane.shard, Op::Part { lane, conn: id }));
        };
        if !conn.groups.contains(&(lane, group)) {
            if conn.joins() >= joins_max {
                self.asks.push((lane.shard, Op::PartGroup { lane, conn: id, group }));
                return self.to(key, &encode_refused(&request_id, &limit_reached(joins_max)));
            }
            conn.groups.push((lane, group));
        }
        self.to(key, reply);
        self.share(key, gap.as_slice());
    }

    pub(super) fn jobs(&mut self, lane: LaneId, key: Key, group: Group, gap: Option<&Bytes>, bodies: &[Bytes]) {
        // Whoever was not let in, or is gone, has them no more: the lane hears of it, and gives them to others.
        if self.connections.get(key).is_some_and(|conn| conn.groups.contains(&(lane, group))) {
            self.share(key, gap.map_or(&[], std::slice::from_ref));
            self.share(key, bodies);
            self.messages_out += bodies.len() as u64;
        }
    }

    pub(super) fn exit_group(&mut self, lane: LaneId, key: Key, group: Group, reply: Option<&Bytes>) {
        if let Some(conn) = self.connections.get_mut(key) {
            conn.groups.retain(|known| *known != (lane, group));
        }
        if let Some(reply) = reply {
            self.to(key, reply);
        }
    }
}
