//! `ping` with `settled`: an answer that comes behind those to all that its connection published.

use std::collections::HashSet;

use arqonbus_protocol::{ErrorCode, Refusal};

use super::op::LaneOp;
use super::{ConnId, Home};
use crate::fanout::Part;

/// Connections that wait until what they published here is done or refused, each with its gather.
#[derive(Debug, Default)]
pub(super) struct Behindhand(Vec<(ConnId, u32)>);

impl Home {
    /// Takes a question; it is answered when this tick ends, or a later one.
    pub(super) fn ask_settled(&mut self, conn: ConnId, gather: u32) {
        if self.behindhand.0.len() < self.shared.config.limits.lane_queue {
            return self.behindhand.0.push((conn, gather));
        }
        let full = Refusal::new(ErrorCode::Overloaded, "too many wait for the end of what they published");
        self.egress.part(conn, gather, Part::Refused(Box::new(full)));
    }

    /// Answers those of whom nothing is under way here any more.
    pub(super) fn answer_settled(&mut self) {
        if self.behindhand.0.is_empty() {
            return;
        }
        let busy = self.publishing();
        let (waiting, done) = std::mem::take(&mut self.behindhand.0).into_iter().partition(|(conn, _)| busy.contains(conn));
        self.behindhand = Behindhand(waiting);
        for (conn, gather) in done {
            self.egress.part(conn, gather, Part::Settled);
        }
    }

    /// Who has publishes here that wait for the store, or for what other nodes say.
    fn publishing(&self) -> HashSet<ConnId> {
        let lanes: HashSet<_> = self.waiting.values().collect();
        let lanes = lanes.into_iter().filter_map(|key| self.lanes.get(*key));
        let in_lanes = lanes.flat_map(|lane| {
            let queued = lane.queue.iter().filter_map(|op| if let LaneOp::Publish(publish) = op { Some(publish.asked.conn) } else { None });
            lane.appending.iter().map(|(_, publish)| publish.asked.conn).chain(queued)
        });
        in_lanes.chain(self.behind.keys().map(|(_, conn)| *conn)).collect()
    }
}
