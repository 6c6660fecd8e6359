//! What is owed to a question that a lane does not carry out: nobody waits for ever.

use arqonbus_protocol::{Refusal, Topic};

use super::Home;
use super::op::LaneOp;
use crate::fanout::Part;
use crate::slots::Key;

impl Home {
    /// Answers a question to a lane that is not carried out.
    pub(super) fn give_up(&mut self, key: Key, op: &LaneOp, refusal: &Refusal) {
        let topic = self.lanes.get(key).map(|lane| lane.topic);
        if let LaneOp::CatchUp { conn, .. } = op {
            self.nothing_more(key, *conn);
        } else if let Some((conn, gather)) = op.gather() {
            self.egress.part(conn, gather, Part::LaneRefused(Box::new(refusal.clone())));
        } else if let Some(asked) = op.asked() {
            self.refuse(asked, topic, refusal);
        }
    }

    /// Asks again what a lane had queued when it was deleted: of the lane that may follow.
    pub(crate) fn ask_anew(&mut self, key: Key, topic: Topic, op: LaneOp) {
        if let LaneOp::CatchUp { conn, .. } = op {
            self.nothing_more(key, conn);
        } else if let Some((conn, gather)) = op.gather() {
            self.egress.part(conn, gather, Part::LaneGone);
        } else if op.asked().is_some() {
            self.ask_topic(topic, op);
        }
    }
}
