//! Answers that every shard has a part in, while their parts come in.

use arqonbus_protocol::{JoinResult, TopicStart, encode_ok, limits};
use bytes::Bytes;

use super::{Part, StatusPart, Then};
use crate::commands::{self, Aggregate};
use crate::routing::{Asked, LaneId};
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
    rooms: Vec<arqonbus_protocol::RoomSummary>,
    channels: Vec<arqonbus_protocol::ChannelSummary>,
    status: Vec<StatusPart>,
    pub(crate) openings: Vec<(LaneId, TopicStart, Option<Bytes>, Then)>,
}

impl Gather {
    pub(crate) fn new(asked: Asked, aggregate: Aggregate, shards: usize) -> Self {
        Self { asked, aggregate, shards, lanes: 0, rooms: Vec::new(), channels: Vec::new(), status: Vec::new(), openings: Vec::new() }
    }

    pub(crate) fn is_join(&self) -> bool {
        matches!(self.aggregate, Aggregate::JoinPattern(_))
    }

    /// Takes one shard's part.
    pub(crate) fn part(&mut self, part: Part) {
        self.shards -= 1;
        match part {
            Part::Pattern { lanes } => self.lanes += i64::from(lanes),
            Part::Rooms(rooms) => self.rooms.extend(rooms),
            Part::Channels(channels) => self.channels.extend(channels),
            Part::Status(part) => self.status.push(part),
        }
    }

    /// Takes one lane's opening in a pattern join.
    pub(crate) fn opening(&mut self, lane: LaneId, start: TopicStart, gap: Option<Bytes>, then: Then) {
        self.lanes -= 1;
        self.openings.push((lane, start, gap, then));
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.shards == 0 && self.lanes == 0
    }

    /// The answer, once it is complete.
    pub(crate) fn answer(&mut self, shared: &Shared) -> Vec<u8> {
        let id = &self.asked.request_id;
        match &self.aggregate {
            Aggregate::JoinPattern(_) => {
                self.openings.sort_unstable_by_key(|(_, start, ..)| start.topic());
                let topics = self.openings.iter().map(|(_, start, ..)| *start).take(limits::JOIN_TOPICS_MAX).collect();
                encode_ok(id, &JoinResult { topics, complete: self.openings.len() <= limits::JOIN_TOPICS_MAX })
            }
            Aggregate::ListRooms(args) => encode_ok(id, &commands::merge_rooms(args, std::mem::take(&mut self.rooms))),
            Aggregate::ListChannels(args) => encode_ok(id, &commands::merge_channels(args, std::mem::take(&mut self.channels))),
            Aggregate::Status => encode_ok(id, &commands::merge_status(shared, &self.status)),
        }
    }
}
