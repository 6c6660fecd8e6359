//! What the server tells without being asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::{ClientId, Position, RawJson, UserId};

/// The data of a known event.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// The server introduces itself, or says what changed.
    Welcome(Box<Welcome>),
    /// What lies between two positions was not and will not be delivered.
    Gap(Gap),
    /// A client joined the topic.
    Joined(Presence),
    /// A client left the topic.
    Left(Presence),
    /// The channel was deleted; the subscription has ended.
    Deleted(Deleted),
}

/// The server's introduction (FR-004): sent first, and again when something in it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The server's version.
    pub version: String,
    /// The protocol versions it speaks.
    pub protocols: Vec<u32>,
    /// The node.
    pub node: ClientId,
    /// This connection's identity, until `connect` restores an older one.
    pub client: ClientId,
    /// What it takes.
    pub limits: Limits,
    /// Milliseconds of silence after which a peer is pinged.
    pub heartbeat_ms: u64,
    /// Whether `connect` with credentials must come first.
    pub auth_required: bool,
    /// Set while the server is shutting down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
}

/// How to leave a server that is shutting down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draining {
    /// When to reconnect, in milliseconds from now; another value for every client, so that they do not come all at once.
    pub reconnect_after_ms: u64,
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The log is not the one that the position came from.
    EpochChanged,
    /// The messages are no longer held.
    Trimmed,
    /// The position lies after the end of the log.
    Ahead,
    /// The store is out of reach; the node goes on in memory.
    Degraded,
    /// The store is back.
    Restored,
    /// The application was too slow and chose to skip.
    Conflated,
    /// A limit was hit.
    Limit,
}

impl GapReason {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EpochChanged => "epoch_changed",
            Self::Trimmed => "trimmed",
            Self::Ahead => "ahead",
            Self::Degraded => "degraded",
            Self::Restored => "restored",
            Self::Conflated => "conflated",
            Self::Limit => "limit",
        }
    }
}

/// A hole in a subscription (FR-031), told before the first message after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The last position that the subscriber holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Position>,
    /// The last missing position: the next message is `to.seq + 1` in `to.epoch`.
    pub to: Position,
    /// When to refetch what depends on the missing messages, in milliseconds; spread, so that not everybody does at once.
    #[serde(default)]
    pub refetch_after_ms: u64,
}

/// Who joined or left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
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
    /// Members now.
    pub members: u64,
}

/// A deleted channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// Who deleted it.
    pub by: ClientId,
}

impl EventBody {
    /// The names of all known events.
    pub const NAMES: &'static [&'static str] = &["welcome", "gap", "joined", "left", "deleted"];

    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Gap(_) => "gap",
            Self::Joined(_) => "joined",
            Self::Left(_) => "left",
            Self::Deleted(_) => "deleted",
        }
    }

    pub(crate) fn data_json(&self) -> Vec<u8> {
        match self {
            Self::Welcome(data) => serde_json::to_vec(data),
            Self::Gap(data) => serde_json::to_vec(data),
            Self::Joined(data) | Self::Left(data) => serde_json::to_vec(data),
            Self::Deleted(data) => serde_json::to_vec(data),
        }
        .expect("wire types serialize")
    }

    pub(crate) fn parse(name: &str, data: RawJson<'_>) -> Option<Result<Self, (String, String)>> {
        Some(match name {
            "welcome" => data.read().map(Box::new).map(Self::Welcome),
            "gap" => data.read().map(Self::Gap),
            "joined" => data.read().map(Self::Joined),
            "left" => data.read().map(Self::Left),
            "deleted" => data.read().map(Self::Deleted),
            _ => return None,
        })
    }
}
