//! Questions to a topic whose answer depends on what other nodes know of it.

use arqonbus_protocol::{ErrorCode, Refusal, Topic};

use super::groups::GroupOp;
use super::op::{LaneOp, PublishOp};
use super::{Abroad, Home};

/// What others have said about a question that depends on them.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The channel is known elsewhere, or nowhere.
    Exists(bool),
    /// A request that nobody here can answer: somebody elsewhere can.
    Answerable,
    /// It is not to be carried out.
    Refused(Refusal),
}

impl Home {
    /// Gives a question to a topic back, unless it is first to be asked whether other nodes know the topic.
    pub(super) fn unless_abroad(&mut self, topic: Topic, op: LaneOp) -> Option<LaneOp> {
        if !self.has_peers() || self.by_topic.contains_key(&topic) {
            return Some(op);
        }
        if !self.depends_on_others(&topic, &op) {
            return Some(op);
        }
        if let LaneOp::Members { asked, args } = op {
            self.abroad(Abroad::Members { asked, args, own: None });
        } else if let LaneOp::Publish(publish) = op {
            self.hold_up(topic, publish.asked.conn);
            self.abroad(if publish.request {
                Abroad::Request { topic, publish }
            } else {
                Abroad::Exists { topic, op: Box::new(LaneOp::Publish(publish)) }
            });
        } else {
            self.abroad(Abroad::Exists { topic, op: Box::new(op) });
        }
        None
    }

    /// Whether the answer is another one where a channel that is unknown here is known elsewhere.
    fn depends_on_others(&self, topic: &Topic, op: &LaneOp) -> bool {
        match op {
            LaneOp::Create { .. } | LaneOp::Delete { .. } | LaneOp::Info { .. } | LaneOp::History { .. } | LaneOp::Members { .. } => true,
            LaneOp::Publish(publish) if publish.request => !publish.asked_abroad,
            LaneOp::Publish(publish) => !publish.asked.who.is_node() && !topic.is_reserved() && !self.shared.config.creates_on_use(topic),
            LaneOp::Join(_) | LaneOp::Group(GroupOp::Join(_)) => !topic.is_reserved() && !self.shared.may_be_joined(topic),
            LaneOp::Leave { .. }
            | LaneOp::CatchUp { .. }
            | LaneOp::Born { .. }
            | LaneOp::Ended { .. }
            | LaneOp::LeavePattern { .. }
            | LaneOp::Group(_)
            | LaneOp::Unname { .. } => false,
        }
    }

    /// Goes on with a question that depended on others.
    pub(super) fn decided(&mut self, topic: Topic, op: LaneOp, verdict: &Verdict) {
        match (verdict, op) {
            (Verdict::Exists(exists), op) => self.settled_abroad(topic, op, *exists),
            (Verdict::Answerable, LaneOp::Publish(publish)) => {
                self.ask_topic(topic, LaneOp::Publish(Box::new(PublishOp { asked_abroad: true, ..*publish })));
            }
            (Verdict::Answerable, op) => self.ask_topic(topic, op),
            (Verdict::Refused(refusal), op) => {
                if let Some(asked) = op.asked() {
                    self.refuse(asked, Some(topic), refusal);
                }
            }
        }
    }

    /// Goes on with a question about a channel that was unknown here.
    fn settled_abroad(&mut self, topic: Topic, op: LaneOp, exists: bool) {
        if !exists || self.by_topic.contains_key(&topic) {
            if let Some(key) = self.lane_for(topic, &op) {
                self.ask_lane(key, op);
            }
            return;
        }
        if self.shared.census.admit(&topic, self.shared.config.limits.channels) {
            let key = self.begin_lane(topic, op.asked().map(|asked| asked.who.client));
            return self.ask_lane(key, op);
        }
        if let Some(asked) = op.asked() {
            let full = Refusal::new(ErrorCode::LimitExceeded, "the bus has all the channels that it may have");
            self.refuse(asked, Some(topic), &full);
        }
    }
}
