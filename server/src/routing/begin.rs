//! How a lane begins: for which questions, with which log, and with whom in it.

use arqonbus_protocol::{ErrorCode, Position, Refusal, Topic};

use super::groups::GroupOp;
use super::lane::Pending;
use super::op::{LaneId, LaneOp};
use super::{Abroad, Home, Lane};
use crate::peers::letter::News;
use crate::slots::Key;
use crate::storage::{LogState, StoreError};
use crate::telemetry::Signal;

impl Home {
    /// The lane of `topic`, begun where the question begins one; answers the question itself where there is none.
    pub(super) fn lane_for(&mut self, topic: Topic, op: &LaneOp) -> Option<Key> {
        if let Some(key) = self.by_topic.get(&topic) {
            return Some(*key);
        }
        let unknown = || Refusal::new(ErrorCode::UnknownChannel, "there is no such channel");
        let (asked, begins) = match op {
            LaneOp::Publish(publish) if publish.request && !publish.asked_abroad => {
                self.refuse(&publish.asked, Some(topic), &Refusal::new(ErrorCode::NoResponder, "nobody is there to answer"));
                return None;
            }
            // The server's own channels appear when the server uses them.
            LaneOp::Publish(publish) if publish.asked.who.is_node() || publish.asked_abroad => (&publish.asked, true),
            LaneOp::Publish(publish) => (&publish.asked, !topic.is_reserved() && self.shared.config.creates_on_use(&topic)),
            LaneOp::Join(join) => (&join.asked, self.shared.may_be_joined(&topic)),
            LaneOp::Create { asked, .. } => (asked, true),
            LaneOp::Leave { asked } => {
                self.refuse(asked, Some(topic), &crate::commands::leave::not_joined());
                return None;
            }
            LaneOp::Delete { asked, .. } | LaneOp::Info { asked, .. } | LaneOp::Members { asked, .. } | LaneOp::History { asked, .. } => {
                (asked, false)
            }
            LaneOp::Group(op) => match op {
                GroupOp::Join(join) => (&join.asked, self.shared.may_be_joined(&topic)),
                GroupOp::Leave(leave) => {
                    self.refuse(&leave.asked, Some(topic), &crate::commands::leave::not_joined());
                    return None;
                }
                GroupOp::Settle(settling) => {
                    self.refuse(&settling.asked, Some(topic), &super::groups::not_held());
                    return None;
                }
                GroupOp::Part { .. } | GroupOp::Claim { .. } | GroupOp::Free { .. } | GroupOp::Buried { .. } | GroupOp::Forget { .. } => return None,
            },
            LaneOp::CatchUp { .. } | LaneOp::Born { .. } | LaneOp::LeavePattern { .. } | LaneOp::Unname { .. } | LaneOp::Ended { .. } => return None,
        };
        if !begins {
            self.refuse(asked, Some(topic), &unknown());
            return None;
        }
        let (by, request_id) = (asked.who.client, asked.request_id);
        let Some(key) = self.admit_lane(topic, Some(by)) else {
            self.refuse(asked, Some(topic), &Refusal::new(ErrorCode::LimitExceeded, "the bus has all the channels that it may have"));
            return None;
        };
        if let Some(lane) = self.lanes.get_mut(key).filter(|_| matches!(op, LaneOp::Create { .. })) {
            lane.begun_by = Some(request_id);
        }
        Some(key)
    }

    /// Begins a lane, unless the bus has all the channels that it may have.
    pub(super) fn admit_lane(&mut self, topic: Topic, by: Option<arqonbus_protocol::ClientId>) -> Option<Key> {
        self.shared.census.admit(&topic, self.shared.config.limits.channels).then(|| self.begin_lane(topic, by))
    }

    /// Begins a lane: opens its log, and lets the patterns that match it in.
    pub(crate) fn begin_lane(&mut self, topic: Topic, by: Option<arqonbus_protocol::ClientId>) -> Key {
        let settings = self.shared.config.log_settings(&topic);
        let durability = self.store.durability(&settings);
        let ticket = self.ticket();
        let opened = self.store.open(&topic, &settings, self.now, ticket);
        let (shard, shards) = (self.shard, self.shared.shards);
        let nowhere = Position { epoch: arqonbus_protocol::Epoch::from_number(0), seq: 0 };
        let key = self.lanes.insert_with(|key| Lane::new(LaneId { shard, key }, topic, settings, durability, nowhere, shards));
        self.by_topic.insert(topic, key);
        self.shared.telemetry.tell(&Signal::Created { topic, client: by });
        self.answered(key, ticket, Pending::Open, opened, Self::opened);
        self.let_patterns_in(key, &topic);
        self.abroad(Abroad::Watch { topic, list: false });
        key
    }

    pub(super) fn opened(&mut self, key: Key, _: Pending, opened: Result<LogState, StoreError>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        match opened {
            Ok(state) => {
                (lane.head, lane.opened_at) = (state.head, Some(state.head));
                let opened = News::Opened { topic: lane.topic, head: state.head };
                self.abroad(Abroad::Tell(Box::new(opened)));
                self.hold_births(key);
            }
            Err(error) => {
                tracing::error!(room = %lane.topic.room, channel = %lane.topic.channel, %error, "a log cannot be opened");
                self.abandon(key, &error);
            }
        }
    }

    /// Gives a lane up that could not be begun. The next question begins it anew; those that wait are answered by the store's refusal.
    pub(super) fn abandon(&mut self, key: Key, error: &StoreError) {
        for op in self.remove_lane(key).into_iter().flat_map(|lane| lane.queue) {
            self.give_up(key, &op, &error.refusal());
        }
    }
}
