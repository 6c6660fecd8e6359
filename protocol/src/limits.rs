//! The bounds of the wire: each with a unit and a reason. What a server may set lower or higher it says in its welcome.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One bound of the wire, for the reference and the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it bounds, and why.
    pub summary: &'static str,
}

/// Defines each bound once: as a constant, and as a row of [`ALL`].
macro_rules! limits {
    ($($(#[doc = $text:literal])+ $name:ident: $type:ty = $value:expr;)+) => {
        $($(#[doc = $text])+ pub const $name: $type = $value;)+

        /// Every bound, in the order of the reference.
        pub const ALL: &[Limit] =
            &[$(Limit { name: stringify!($name), value: $value as u64, summary: concat!($($text),+).trim_ascii() }),+];
    };
}

limits! {
    /// Nesting levels of an envelope, itself included. Deeper trees overflow the parsers of other languages.
    DEPTH_MAX: usize = 32;
    /// Bytes of one envelope, by default. What is larger belongs into an object store, with its address on the bus.
    ENVELOPE_BYTES_MAX: usize = 256 * 1024;
    /// Bytes of one WebSocket message from a client, by default: a batch of envelopes.
    FRAME_BYTES_MAX: usize = 1024 * 1024;
    /// Bytes of the frames before a session is authenticated.
    UNAUTHENTICATED_FRAME_BYTES_MAX: usize = 8 * 1024;
    /// Bytes of one batched frame from the server: large enough to spread a browser's cost per frame, small enough to be a short wait.
    BATCH_BYTES_MAX: usize = 64 * 1024;
    /// Headers of one message.
    HEADERS_MAX: usize = 32;
    /// Bytes of one message's headers, as JSON.
    HEADERS_BYTES_MAX: usize = 4 * 1024;
    /// Bytes of a client's `metadata`, as JSON: every member list carries it.
    METADATA_BYTES_MAX: usize = 1024;
    /// Bytes of a client's `name` and `kind`.
    LABEL_BYTES_MAX: usize = 64;
    /// Characters of a channel's `description`.
    DESCRIPTION_CHARS_MAX: usize = 256;
    /// Topics that one client may be joined to, patterns counted as one, by default.
    JOINS_MAX: usize = 1_000;
    /// Messages of one history page.
    HISTORY_LIMIT_MAX: u32 = 1_000;
    /// Messages of one history page where none is asked for.
    HISTORY_LIMIT_DEFAULT: u32 = 100;
    /// Bytes of one history page; a page ends early at it, and `next` goes on.
    HISTORY_PAGE_BYTES_MAX: usize = 512 * 1024;
    /// Items of one page of a listing.
    LIST_LIMIT_MAX: u32 = 1_000;
    /// Items of one page of a listing where none is asked for.
    LIST_LIMIT_DEFAULT: u32 = 100;
    /// Messages that a join may replay.
    REPLAY_MAX: u32 = 100_000;
    /// Topics that the reply to a pattern join lists.
    JOIN_TOPICS_MAX: usize = 1_000;
    /// Jobs that one member of a work group may hold unsettled: what is lost at once where it dies.
    JOBS_IN_FLIGHT_MAX: u32 = 1_000;
    /// Jobs that one member of a work group may hold where it does not say how many.
    JOBS_IN_FLIGHT_DEFAULT: u32 = 16;
    /// Jobs that one `ack` or `nack` settles.
    SETTLE_SEQS_MAX: usize = 1_000;
    /// Milliseconds for which a `nack` may put a job off: a day. What is to happen later than that belongs into a scheduler.
    NACK_DELAY_MS_MAX: u32 = 86_400_000;
    /// Characters of the reason that a `nack` gives: it becomes a header of the dead letter.
    NACK_REASON_CHARS_MAX: usize = 256;
    /// Malformed envelopes in a row before the connection is closed with 4000.
    MALFORMED_MAX: u32 = 3;
    /// Characters of a foreign text that an error message repeats.
    ECHO_CHARS_MAX: usize = 64;
    /// Milliseconds of silence after which a peer is pinged, by default.
    HEARTBEAT_MS: u64 = 15_000;
}

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
