//! Answers that every shard has a part in, while their parts come in.

use arqonbus_protocol::{
    JoinResult, LeaveResult, NodeStatus, Pattern, PingResult, Refusal, StatusResult, TopicStart, encode_ok, encode_refused, limits,
};

use super::{Part, StatusPart};
use crate::commands::{self, Aggregate};
use crate::peers::letter::RoomPart;
use crate::routing::Asked;
use crate::shared::Shared;

/// One answer in the making.
#[derive(Debug)]
pub(crate) struct Gather {
    asked: Asked,
    aggregate: Aggregate,
    /// Shards that have not answered.
    shards: usize,
    /// Openings of a pattern join that are announced, less those that have come.
    lanes: i64,
    rooms: Vec<RoomPart>,
    channels: Vec<arqonbus_protocol::ChannelSummary>,
    status: Vec<StatusPart>,
    nodes: Vec<NodeStatus>,
    /// Whether a node did not answer.
    incomplete: bool,
    openings: Vec<TopicStart>,
    /// Why a pattern could not be joined in one of its lanes.
    refused: Option<Box<Refusal>>,
}

impl Gather {
    pub(crate) fn new(asked: Asked, aggregate: Aggregate, shards: usize) -> Self {
        Self {
            asked,
            aggregate,
            shards,
            lanes: 0,
            rooms: Vec::new(),
            channels: Vec::new(),
            status: Vec::new(),
            nodes: Vec::new(),
            incomplete: false,
            openings: Vec::new(),
            refused: None,
        }
    }

    pub(crate) fn is_join(&self) -> bool {
        matches!(self.aggregate, Aggregate::JoinPattern(_))
    }

    /// Takes a part: what one shard has to say, or why one lane of a pattern has no opening.
    pub(crate) fn part(&mut self, part: Part) {
        if matches!(part, Part::LaneRefused(_) | Part::LaneGone) {
            self.lanes -= 1;
        } else {
            self.shards -= 1;
        }
        match part {
            Part::Pattern { lanes } => self.lanes += i64::from(lanes),
            Part::Rooms(rooms) => self.rooms.extend(rooms),
            Part::Channels(channels) => self.channels.extend(channels),
            Part::Status(part) => self.status.push(part),
            Part::Foreign(foreign) => {
                self.rooms.extend(foreign.rooms);
                self.channels.extend(foreign.channels);
                self.nodes.extend(foreign.nodes);
                self.incomplete |= foreign.incomplete;
            }
            Part::Refused(refusal) | Part::LaneRefused(refusal) => self.refused = Some(refusal),
            // Answers to other nodes go to them.
            Part::Left | Part::Settled | Part::LaneGone | Part::Peer(_) => {}
        }
    }

    /// Takes one lane's opening in a pattern join.
    pub(crate) fn opening(&mut self, start: TopicStart) {
        self.lanes -= 1;
        self.openings.push(start);
    }

    /// The pattern that is to be left again, because one of its lanes refused.
    pub(crate) fn refused_pattern(&self) -> Option<Pattern> {
        match &self.aggregate {
            Aggregate::JoinPattern(args) if self.refused.is_some() => Some(args.pattern()),
            Aggregate::JoinPattern(_)
            | Aggregate::LeavePattern(_)
            | Aggregate::ListRooms(_)
            | Aggregate::ListChannels(_)
            | Aggregate::Status
            | Aggregate::Settled => None,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.shards == 0 && self.lanes == 0
    }

    /// The answer, once it is complete.
    pub(crate) fn answer(&mut self, shared: &Shared) -> Vec<u8> {
        let id = self.asked.request_id;
        if let Some(refusal) = &self.refused {
            return encode_refused(&id, refusal);
        }
        match &self.aggregate {
            Aggregate::JoinPattern(_) => {
                self.openings.sort_unstable_by_key(TopicStart::topic);
                let topics = self.openings.iter().copied().take(limits::JOIN_TOPICS_MAX).collect();
                encode_ok(&id, &JoinResult::new(topics, self.openings.len() <= limits::JOIN_TOPICS_MAX))
            }
            Aggregate::LeavePattern(_) => encode_ok(&id, &LeaveResult {}),
            Aggregate::ListRooms(args) => encode_ok(&id, &commands::merge_rooms(args, std::mem::take(&mut self.rooms), self.incomplete)),
            Aggregate::ListChannels(args) => encode_ok(&id, &commands::merge_channels(args, std::mem::take(&mut self.channels), self.incomplete)),
            Aggregate::Status => encode_ok(&id, &self.status(shared)),
            Aggregate::Settled => encode_ok(&id, &PingResult { timestamp: shared.clock.timestamp() }),
        }
    }
    fn status(&mut self, shared: &Shared) -> StatusResult {
        let mut status = commands::merge_status(shared, &self.status);
        if shared.abroad.is_some() {
            status.nodes = std::mem::take(&mut self.nodes);
            status.nodes.push(crate::peers::node_status(shared, &self.status));
            status.nodes.sort_unstable_by_key(|node| node.node);
            status.incomplete = self.incomplete;
        }
        status
    }
}
