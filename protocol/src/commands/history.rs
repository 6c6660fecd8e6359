//! The `history` command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::bounded;
use crate::limits::HISTORY_LIMIT_MAX;
use crate::{Channel, Gap, Position, Room, Timestamp, Topic};

/// `history`: which messages (FR-036).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// Only messages after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<HistoryBound>,
    /// Only messages up to and including this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<HistoryBound>,
    /// Messages of one page; 100 where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 1, HISTORY_LIMIT_MAX>")]
    #[schemars(range(min = 1, max = HISTORY_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Oldest first, or newest first.
    #[serde(default)]
    pub direction: Direction,
}

impl HistoryArgs {
    /// Asks for the first page of all that is held.
    #[must_use]
    pub fn new(topic: Topic) -> Self {
        Self { room: topic.room, channel: topic.channel, since: None, until: None, limit: None, direction: Direction::Forward }
    }

    /// Whose history.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic { room: self.room, channel: self.channel }
    }
}

/// A bound by place or by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a position {epoch, seq} or an RFC 3339 timestamp")]
pub enum HistoryBound {
    /// A place in the log.
    Position(Position),
    /// A moment of the server's wall clock.
    Timestamp(Timestamp),
}

/// Which end a history page begins at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forward,
    /// Newest first.
    Backward,
}

/// The answer to `history`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryResult {
    /// Delivered messages, as their subscribers got them.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub messages: Vec<Box<RawValue>>,
    /// The log's last position.
    pub head: Position,
    /// The first message still held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// The bound for the next page: `since` (forward) or `until` (backward). None on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Position>,
    /// Set where messages between `since` and the first one given are no longer held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}
