//! The bounds of the wire: each with a unit and a reason. What a server may set lower or higher it says in its welcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nesting levels of an envelope, itself included. Deeper trees overflow the parsers of other languages.
pub const DEPTH_MAX: usize = 32;
/// Bytes of one envelope, by default. What is larger belongs into an object store, with its address on the bus.
pub const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one WebSocket message from a client, by default: a batch of envelopes.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the frames before a session is authenticated.
pub const UNAUTHENTICATED_FRAME_BYTES_MAX: usize = 8 * 1024;
/// Bytes of one batched frame from the server: large enough to spread a browser's cost per frame, small enough to be a short wait.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;
/// Headers of one message.
pub const HEADERS_MAX: usize = 32;
/// Bytes of one message's headers, as JSON.
pub const HEADERS_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a client's `metadata`, as JSON: every member list carries it.
pub const METADATA_BYTES_MAX: usize = 1024;
/// Bytes of a client's `name` and `kind`.
pub const LABEL_BYTES_MAX: usize = 64;
/// Topics that one client may be joined to, patterns counted as one, by default.
pub const JOINS_MAX: usize = 1_000;
/// Messages of one history page.
pub const HISTORY_LIMIT_MAX: u32 = 1_000;
/// Messages of one history page where none is asked for.
pub const HISTORY_LIMIT_DEFAULT: u32 = 100;
/// Bytes of one history page; a page ends early at it, and `next` goes on.
pub const HISTORY_PAGE_BYTES_MAX: usize = 512 * 1024;
/// Items of one page of a listing.
pub const LIST_LIMIT_MAX: u32 = 1_000;
/// Items of one page of a listing where none is asked for.
pub const LIST_LIMIT_DEFAULT: u32 = 100;
/// Messages that a join may replay.
pub const REPLAY_MAX: u32 = 100_000;
/// Topics that the reply to a pattern join lists.
pub const JOIN_TOPICS_MAX: usize = 1_000;
/// Malformed envelopes in a row before the connection is closed with 4000.
pub const MALFORMED_MAX: u32 = 3;
/// Characters of a foreign text that an error message repeats.
pub const ECHO_CHARS_MAX: usize = 64;
/// Milliseconds of silence after which a peer is pinged, by default.
pub const HEARTBEAT_MS: u64 = 15_000;

/// The limits that a server states in its welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Bytes of one envelope.
    pub envelope_bytes: u64,
    /// Bytes of one frame (a batch of envelopes).
    pub frame_bytes: u64,
    /// Topics and patterns joined at once.
    pub joins: u64,
    /// Messages of one history page.
    pub history: u32,
}
