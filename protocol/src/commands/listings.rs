//! Commands that list what there is: rooms, channels, one channel, members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{GroupSummary, bounded};
use crate::limits::LIST_LIMIT_MAX;
use crate::{Channel, ClientId, Durability, Group, Position, Room, Timestamp, UserId};

/// `list_rooms`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ListRoomsArgs {
    /// Only rooms after this one, by name: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Room>,
    /// Items of one page; 100 where it is missing.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 1, LIST_LIMIT_MAX>")]
    #[schemars(range(min = 1, max = LIST_LIMIT_MAX))]
    pub limit: Option<u32>,
}

/// The answer to `list_rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListRoomsResult {
    /// By name.
    pub rooms: Vec<RoomSummary>,
    /// The `after` of the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Room>,
    /// Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomSummary {
    /// Its name.
    pub room: Room,
    /// Its channels.
    pub channels: u64,
    /// Joins of all its channels.
    pub members: u64,
}

/// `list_channels`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListChannelsArgs {
    /// The room.
    pub room: Room,
    /// Only channels after this one, by name: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Channel>,
    /// Items of one page; 100 where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 1, LIST_LIMIT_MAX>")]
    #[schemars(range(min = 1, max = LIST_LIMIT_MAX))]
    pub limit: Option<u32>,
}

/// The answer to `list_channels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListChannelsResult {
    /// By name.
    pub channels: Vec<ChannelSummary>,
    /// The `after` of the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Channel>,
    /// Whether a node of the bus, or its store, did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// One channel of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelSummary {
    /// Its name.
    pub channel: Channel,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Clients joined to it.
    pub members: u64,
    /// Its last position.
    pub head: Position,
}

/// `channel_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelInfoArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
}

/// The answer to `channel_info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelInfoResult {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Clients joined to it.
    pub members: u64,
    /// Its last position.
    pub head: Position,
    /// The first message still held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// Messages held.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
    /// What an ack of it survives.
    pub durability: Durability,
    /// How long and how much it holds.
    pub retention: Retention,
    /// Its work groups, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSummary>,
    /// Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// How much history a topic holds; whichever bound is met first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// Messages; 0 for none.
    pub messages: u64,
    /// Milliseconds.
    pub age_ms: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MembersArgs {
    /// The room.
    pub room: Room,
    /// The channel.
    pub channel: Channel,
    /// Only members after this one, by client id: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ClientId>,
    /// Items of one page; 100 where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "bounded::<_, 1, LIST_LIMIT_MAX>")]
    #[schemars(range(min = 1, max = LIST_LIMIT_MAX))]
    pub limit: Option<u32>,
}

/// The answer to `members`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MembersResult {
    /// By client id.
    pub members: Vec<Member>,
    /// All members, also those of other pages.
    pub total: u64,
    /// The `after` of the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ClientId>,
    /// Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// One member of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The connection.
    pub client: ClientId,
    /// Whom it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name it gave at connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kind it gave at connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The metadata it gave at connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// When it joined.
    pub joined: Timestamp,
    /// The work groups that it is in, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}
