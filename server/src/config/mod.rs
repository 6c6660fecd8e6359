//! What an operator may choose. Every key is documented here, once; the reference and the schema come from these types.

mod check;
mod file;
mod keys;
mod load;
mod mistake;
mod reference;
mod rules;
mod show;
mod storage;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use arqonbus_protocol::limits as wire;
pub use check::Problem;
pub use load::{Loaded, Overrides, load};
pub use mistake::{ConfigErrors, Mistake, Source};
pub use reference::{reference, schema};
pub use rules::{Create, Groups, History, Rule};
pub use storage::{OnOutage, Redis, Secret, Storage, StorageKind};

/// The whole configuration. Every key has a default: an empty file is valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where WebSocket and HTTP clients connect. Port 0 takes a free one.
    #[schemars(extend("x-expected" = "an address with a port, such as \"127.0.0.1:9100\""))]
    pub listen: SocketAddr,
    /// Where health, readiness, metrics and version are served; `"off"` for nowhere.
    #[serde(with = "rules::or_off")]
    #[schemars(with = "String", extend("x-expected" = "an address with a port, such as \"127.0.0.1:9101\", or \"off\""))]
    pub admin: Option<SocketAddr>,
    /// Whether `listen` may be an address that is not loopback while no credentials are asked for.
    pub allow_public_without_auth: bool,
    /// Threads that carry connections and lanes; 0 for one per core.
    pub shards: usize,
    /// Origins that browsers may connect from, beside the server's own: `"https://app.example"`, or `"*"` for all. Unless `allow_public_without_auth` is
    /// set, the server's own is `localhost` or an address; a name has to be listed.
    pub origins: Vec<String>,
    /// Milliseconds of silence after which a peer is pinged; after two without a byte it is gone.
    pub heartbeat_ms: u64,
    /// Milliseconds to gather deliveries before they are written; 0 writes at once. Never delays acks.
    pub flush_interval_ms: u64,
    /// Bounds.
    pub limits: Limits,
    /// Shutting down.
    pub drain: Drain,
    /// What applies to topics that no rule matches.
    pub history: History,
    /// Work groups of topics that no rule matches.
    pub groups: Groups,
    /// Bytes of history of all topics together.
    pub history_total_bytes: u64,
    /// Bytes of remembered message ids of the whole bus, at 72 bytes an id; past it the topics with the most forget their oldest early, counted.
    pub dedup_total_bytes: u64,
    /// Whether a channel appears on first use or only by `create_channel`, where no rule says otherwise.
    pub create: Create,
    /// Settings by topic pattern; the first match applies.
    pub rules: Vec<Rule>,
    /// Where logs are kept.
    pub storage: Storage,
    /// Metrics and activity on the bus itself.
    pub telemetry: Telemetry,
    /// The log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9100)),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9101))),
            allow_public_without_auth: false,
            shards: 0,
            origins: Vec::new(),
            heartbeat_ms: wire::HEARTBEAT_MS,
            flush_interval_ms: 0,
            limits: Limits::default(),
            drain: Drain::default(),
            history: History::default(),
            groups: Groups::default(),
            history_total_bytes: 256 * 1024 * 1024,
            dedup_total_bytes: 256 * 1024 * 1024,
            create: Create::OnUse,
            rules: Vec::new(),
            storage: Storage::default(),
            telemetry: Telemetry::default(),
            log: Log::default(),
        }
    }
}

/// Bounds, each with the answer that it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once; more get 503 and Retry-After.
    pub connections: usize,
    /// Bytes of one envelope; more is `too_large`.
    pub envelope_bytes: usize,
    /// Bytes of one WebSocket message from a client; more closes 1009.
    pub frame_bytes: usize,
    /// Topics and patterns that one client may join; more is `limit_exceeded`.
    pub joins: usize,
    /// Channels of the whole bus; more is `limit_exceeded`.
    pub channels: usize,
    /// Bytes that wait for one slow reader; more closes 4100.
    pub outbox_bytes: usize,
    /// Milliseconds for which a reader may take nothing while bytes wait; more closes 4100.
    pub outbox_age_ms: u64,
    /// Requests that wait in one lane for its store; more is `overloaded`.
    pub lane_queue: usize,
    /// Work groups of one channel; more is `limit_exceeded`.
    pub groups: usize,
    /// Jobs of one group that are given out and not settled; past it nothing new is given out.
    pub group_pending: usize,
    /// Bytes of one HTTP body; more is 413.
    pub http_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 15_000,
            envelope_bytes: wire::ENVELOPE_BYTES_MAX,
            frame_bytes: wire::FRAME_BYTES_MAX,
            joins: wire::JOINS_MAX,
            channels: 100_000,
            outbox_bytes: 1024 * 1024,
            outbox_age_ms: 10_000,
            lane_queue: 10_000,
            groups: 64,
            group_pending: 10_000,
            http_body_bytes: wire::FRAME_BYTES_MAX,
        }
    }
}

/// How a server shuts down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Milliseconds over which clients are told to come back.
    pub reconnect_window_ms: u64,
    /// Milliseconds between the word that this server drains and the first close.
    pub notice_ms: u64,
    /// Milliseconds after which whatever is left is cut.
    pub deadline_ms: u64,
}

impl Default for Drain {
    fn default() -> Self {
        Self { reconnect_window_ms: 5_000, notice_ms: 1_000, deadline_ms: 25_000 }
    }
}

/// What the bus tells about itself on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The room for it; `"off"` for none.
    pub room: String,
    /// The channel for activity events (joined, left, connected, refused …).
    pub activity_channel: String,
    /// The channel for metric snapshots.
    pub metrics_channel: String,
    /// Milliseconds between snapshots; 0 for none.
    pub snapshot_ms: u64,
    /// Activity events that may wait; more are dropped and counted.
    pub queue: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { room: "_telemetry".into(), activity_channel: "activity".into(), metrics_channel: "metrics".into(), snapshot_ms: 10_000, queue: 1_024 }
    }
}

/// The log on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `"text"` or `"json"`.
    pub format: LogFormat,
    /// `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"`, or filter directives of tracing.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
