//! Commands about the connection itself: connect, ping, status, refresh, disconnect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::{LABEL_BYTES_MAX, METADATA_BYTES_MAX};
use crate::{ClientId, Position, Timestamp, UserId};

/// `connect`: who this is. May be left out while the server asks for no credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConnectArgs {
    /// The protocol version; 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// Credentials, where the server asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A name that people see in member lists.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "label")]
    #[schemars(length(min = 1, max = LABEL_BYTES_MAX))]
    pub name: Option<String>,
    /// What kind of client it is, such as `worker`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "label")]
    #[schemars(length(min = 1, max = LABEL_BYTES_MAX))]
    pub kind: Option<String>,
    /// Whom it acts for; believed only where the server asks for no credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Whether frames may hold several envelopes.
    pub batch: bool,
    /// The resume key of an earlier connection: restores its client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Anything that members should see of this client; at most 1 KiB as JSON.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "metadata")]
    pub metadata: Option<Map<String, Value>>,
    /// The client software and its version.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "label")]
    #[schemars(length(min = 1, max = LABEL_BYTES_MAX))]
    pub agent: Option<String>,
}

/// Reads 1 to 64 bytes without control characters.
fn label<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let label = Option::<String>::deserialize(deserializer)?;
    if label.as_ref().is_some_and(|label| label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control)) {
        return Err(serde::de::Error::custom("this is 1 to 64 bytes of text without control characters"));
    }
    Ok(label)
}

/// Reads an object of at most 1 KiB as JSON.
fn metadata<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    let metadata = Option::<Map<String, Value>>::deserialize(deserializer)?;
    let bytes = metadata.as_ref().map_or(0, |metadata| serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len()));
    if bytes > METADATA_BYTES_MAX {
        return Err(serde::de::Error::custom(format!("metadata has at most {METADATA_BYTES_MAX} bytes as JSON")));
    }
    Ok(metadata)
}

/// The answer to `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectResult {
    /// This connection's identity from now on.
    pub client: ClientId,
    /// Whom it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Secret: restores the identity after a lost connection.
    pub resume: String,
    /// Whether an earlier identity was restored.
    pub resumed: bool,
    /// Whether frames may hold several envelopes from now on.
    pub batch: bool,
    /// Milliseconds of silence after which a peer is pinged.
    pub heartbeat_ms: u64,
}

/// `ping`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PingArgs {
    /// Whether the answer waits until what this connection published before is done or refused; false where it is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// The answer to `ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PingResult {
    /// The server's wall clock.
    pub timestamp: Timestamp,
}

/// `status` has no arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusArgs {}

/// The answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusResult {
    /// The server's version.
    pub version: String,
    /// The node that answers.
    pub node: ClientId,
    /// Whether it takes new work.
    pub state: ServerState,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Open connections.
    pub connections: u64,
    /// Rooms with at least one channel.
    pub rooms: u64,
    /// Channels.
    pub channels: u64,
    /// Joined topics of all connections.
    pub joins: u64,
    /// Messages taken since it started.
    pub messages_in: u64,
    /// Messages delivered since it started.
    pub messages_out: u64,
    /// Bytes that wait in the outboxes of all connections.
    pub queued_bytes: u64,
    /// Where history is kept.
    pub storage: StorageStatus,
    /// Every living node of a bus of several, this one included; the numbers above are those of the node that answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
    /// Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// One node of the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// The node.
    pub node: ClientId,
    /// Its version.
    pub version: String,
    /// Whether it takes new work.
    pub state: ServerState,
    /// Milliseconds since it started.
    pub uptime_ms: u64,
    /// Its open connections.
    pub connections: u64,
    /// Joined topics of its connections.
    pub joins: u64,
    /// How well its store is.
    pub storage: StorageState,
}

/// Whether a server takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Yes.
    Ready,
    /// No: it is shutting down.
    Draining,
}

/// The state of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StorageStatus {
    /// Its kind, such as `memory`.
    pub kind: String,
    /// `healthy`, `degraded` or `healing`.
    pub state: StorageState,
    /// Messages held.
    pub messages: u64,
    /// Bytes held.
    pub bytes: u64,
}

/// How well the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageState {
    /// It does what it promises.
    Healthy,
    /// Out of reach; the node goes on in memory.
    Degraded,
    /// Back; what was accepted meanwhile is being written.
    Healing,
}

impl StorageState {
    /// Puts the states in order: of several parts of one server, the worst is told.
    #[must_use]
    pub const fn severity(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Healing => 1,
            Self::Degraded => 2,
        }
    }
}

/// `refresh`: new credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefreshArgs {
    /// The new token, of the same subject.
    pub token: String,
}

/// The answer to `refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefreshResult {
    /// When the new credentials expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// `disconnect`: whom. Exactly one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(default)]
pub struct DisconnectArgs {
    /// One connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// Every connection of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

impl<'de> Deserialize<'de> for DisconnectArgs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            client: Option<ClientId>,
            user: Option<UserId>,
        }
        let Members { client, user } = crate::json::object(deserializer)?;
        if client.is_some() == user.is_some() {
            return Err(serde::de::Error::custom("either client or user says whom"));
        }
        Ok(Self { client, user })
    }
}

/// The answer to `disconnect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisconnectResult {
    /// Connections that are being closed.
    pub disconnected: u64,
    /// Whether a node of the bus did not answer in time, so that its part is missing; false where it is not said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// What a publish ack says it survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The target keeps no history.
    None,
    /// In the memory of one node.
    Memory,
    /// In an embedded log, not yet synced.
    File,
    /// In an embedded log, synced.
    FileFsync,
    /// Accepted by the Redis primary.
    Redis,
    /// Accepted by the Redis primary, which syncs always.
    RedisFsync,
}

impl Durability {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::File => "file",
            Self::FileFsync => "file_fsync",
            Self::Redis => "redis",
            Self::RedisFsync => "redis_fsync",
        }
    }
}

/// The result of an acknowledged publish (FR-023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishResult {
    /// Its place, where the target keeps an order.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// What it survives.
    pub durability: Durability,
    /// Whether it was stored before, under the same id.
    pub duplicate: bool,
}
