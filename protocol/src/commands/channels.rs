//! Commands about one channel: create, delete, join, leave.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounded;
use super::groups::GroupStart;
use crate::limits::{DESCRIPTION_CHARS_MAX, JOBS_IN_FLIGHT_MAX, REPLAY_MAX};
use crate::names::PatternPart;
use crate::{Channel, Epoch, Group, Pattern, Position, Room, SEQ_MAX, Topic};

/// `create_channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateChannelArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// What it is for; for people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "description")]
    #[schemars(length(max = DESCRIPTION_CHARS_MAX))]
    pub description: Option<String>,
}

fn description<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if text.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
        return Err(serde::de::Error::custom(format!("a description has at most {DESCRIPTION_CHARS_MAX} characters")));
    }
    Ok(text)
}

/// The answer to `create_channel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateChannelResult {
    /// False where it existed.
    pub created: bool,
    /// Its last position.
    pub head: Position,
}

/// `delete_channel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteChannelArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
}

/// The answer to `delete_channel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteChannelResult {
    /// Members that were told.
    pub members: u64,
}

/// `join_channel`: a topic, or a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JoinArgs {
    /// The room; may end in `*`.
    pub room: PatternPart,
    /// The channel; may end in `*`.
    pub channel: PatternPart,
    /// Begin after this position; for one topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Position>,
    /// Begin with the last so many messages of each topic.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 0, REPLAY_MAX>")]
    #[schemars(range(max = REPLAY_MAX))]
    pub replay: Option<u32>,
    /// Resume a pattern: what is known of its topics. Those not listed begin with their first held message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Vec<TopicPosition>>,
    /// Whether to be told who joins and leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
    /// Share the messages with the members of this work group; for one topic. `since` and `replay` say where a new group begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Jobs of the group that may be held unsettled; 16 where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 1, JOBS_IN_FLIGHT_MAX>")]
    #[schemars(range(min = 1, max = JOBS_IN_FLIGHT_MAX))]
    pub max_in_flight: Option<u32>,
}

impl JoinArgs {
    /// Joins `pattern` from now on.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self {
            room: pattern.room,
            channel: pattern.channel,
            since: None,
            replay: None,
            positions: None,
            presence: false,
            group: None,
            max_in_flight: None,
        }
    }

    /// What is joined.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        Pattern { room: self.room, channel: self.channel }
    }
}

/// A position with its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TopicPosition {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// The life of the log.
    pub epoch: Epoch,
    /// The last message that the client holds.
    #[schemars(range(max = SEQ_MAX))]
    pub seq: u64,
}

impl<'de> Deserialize<'de> for TopicPosition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            room: Room,
            channel: Channel,
            epoch: Epoch,
            #[serde(deserialize_with = "crate::position::seq")]
            seq: u64,
        }
        crate::json::object(deserializer).map(|Members { room, channel, epoch, seq }| Self { room, channel, epoch, seq })
    }
}

impl TopicPosition {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic { room: self.room, channel: self.channel }
    }

    /// The position within it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq }
    }
}

/// The answer to `join_channel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JoinResult {
    /// Where delivery begins, for each topic.
    pub topics: Vec<TopicStart>,
    /// False where a pattern matches more topics than are listed.
    pub complete: bool,
    /// What was joined, where that is a work group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupStart>,
}

impl JoinResult {
    /// Topics that were joined by ordinary members.
    #[must_use]
    pub fn new(topics: Vec<TopicStart>, complete: bool) -> Self {
        Self { topics, complete, group: None }
    }
}

/// Where delivery of one topic begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopicStart {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// The last position of the log at the moment of the join.
    pub head: Position,
    /// The first message delivered is the one after this.
    pub start: Position,
    /// Members now, this one included.
    pub members: u64,
}

impl TopicStart {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic { room: self.room, channel: self.channel }
    }
}

/// `leave_channel`: what was joined, topic or pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaveArgs {
    /// The room, as it was joined.
    pub room: PatternPart,
    /// The channel, as it was joined.
    pub channel: PatternPart,
    /// The work group, as it was joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

impl LeaveArgs {
    /// Leaves `pattern`.
    #[must_use]
    pub fn new(pattern: Pattern) -> Self {
        Self { room: pattern.room, channel: pattern.channel, group: None }
    }

    /// What is left.
    #[must_use]
    pub fn pattern(&self) -> Pattern {
        Pattern { room: self.room, channel: self.channel }
    }
}

/// The answer to `leave_channel`: nothing of it is delivered after this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaveResult {}
