//! A sender's order while other nodes are asked about one of its messages: what it publishes to that topic meanwhile waits behind.

use std::collections::VecDeque;

use arqonbus_protocol::{ErrorCode, Refusal, Topic};

use super::op::{LaneOp, PublishOp};
use super::verdict::Verdict;
use super::{ConnId, Home};

/// One sender's publishes to one topic that wait for an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    publishes: VecDeque<Box<PublishOp>>,
    /// The first of them were here when others were asked: what they say goes for these too, so that a pipeline of requests waits twice and not
    /// once for each.
    asked_for: usize,
}

impl Home {
    /// Lets what comes from this sender wait until others have said something about a publish of its: also what waits in the lane already.
    pub(super) fn hold_up(&mut self, topic: Topic, conn: ConnId) {
        #[cfg(any(test, feature = "sabotage"))]
        if self.sabotages(crate::sim::Sabotage::OvertakeOneself) {
            return;
        }
        let mut publishes = VecDeque::new();
        if let Some(lane) = self.by_topic.get(&topic).and_then(|key| self.lanes.get_mut(*key)) {
            let own = |op: &LaneOp| matches!(op, LaneOp::Publish(publish) if publish.asked.conn == conn);
            let (own, others): (VecDeque<_>, _) = std::mem::take(&mut lane.queue).into_iter().partition(own);
            lane.queue = others;
            publishes.extend(own.into_iter().filter_map(|op| if let LaneOp::Publish(publish) = op { Some(publish) } else { None }));
        }
        self.behind.insert((topic, conn), Behind { asked_for: publishes.len(), publishes });
    }

    /// Gives a question back, unless it is a publish that has to wait behind another one.
    pub(super) fn unless_behind(&mut self, topic: Topic, op: LaneOp) -> Option<LaneOp> {
        if self.behind.is_empty() {
            return Some(op);
        }
        let LaneOp::Publish(publish) = op else { return Some(op) };
        let Some(behind) = self.behind.get_mut(&(topic, publish.asked.conn)) else { return Some(LaneOp::Publish(publish)) };
        if behind.publishes.len() < self.shared.config.limits.lane_queue {
            behind.publishes.push_back(publish);
        } else {
            let full = Refusal::new(ErrorCode::Overloaded, "too much waits for what other nodes say about this channel");
            self.refuse(&publish.asked, Some(topic), &full);
        }
        None
    }

    /// Others have said something about a question: goes on with it, and with what waits behind it.
    pub(super) fn go_on(&mut self, topic: Topic, op: LaneOp, verdict: &Verdict) {
        let LaneOp::Publish(first) = op else { return self.decided(topic, op, verdict) };
        let (conn, is_request) = (first.asked.conn, first.request);
        let Behind { mut publishes, asked_for } = self.behind.remove(&(topic, conn)).unwrap_or_default();
        publishes.push_front(first);
        let mut settled = asked_for + 1;
        while let Some(publish) = publishes.pop_front() {
            let is_settled = settled > 0 && publish.request == is_request && !self.was_requested(&publish);
            settled = settled.saturating_sub(1);
            if is_settled {
                self.decided(topic, LaneOp::Publish(publish), verdict);
            } else {
                self.ask_topic(topic, LaneOp::Publish(publish));
            }
            if let Some(behind) = self.behind.get_mut(&(topic, conn)) {
                // Others are asked about this one in turn.
                *behind = Behind { asked_for: publishes.len(), publishes };
                return;
            }
        }
    }
}
