//! The wire of ArqonBus: what a message looks like, and nothing else.
//!
//! No I/O, no clock, no async; builds for `wasm32-unknown-unknown`. Every name, code, limit and field of the public protocol is defined
//! here once; the schema in `schema/` and the reference tables are emitted from it. The text is `specs/001-protocol/spec.md`.
//!
//! ```
//! use arqonbus_protocol::{ClientEnvelope, Target};
//!
//! let text = r#"{"type":"message","room":"science","channel":"explore","payload":{"text":"hi"}}"#;
//! let ClientEnvelope::Message(publish) = ClientEnvelope::decode(text)? else { unreachable!() };
//! assert!(matches!(publish.target, Target::Topic(_)));
//! assert_eq!(publish.payload.as_str(), r#"{"text":"hi"}"#);
//! # Ok::<(), Box<arqonbus_protocol::Malformed>>(())
//! ```

mod codes;
mod commands;
mod envelope;
mod events;
mod ids;
mod inline;
pub mod json;
pub mod limits;
mod names;
mod position;
mod refusal;
pub mod schema;
mod timestamp;

pub use codes::{CloseCode, ErrorCode, Permission, Retry};
pub use commands::*;
pub use envelope::{
    ClientEnvelope, Delivery, DeliveryHead, ErrorEnvelope, Event, JobHead, Malformed, Publish, Request, Response, ServerEnvelope, Target,
    encode_acked_into, encode_command, encode_error, encode_event, encode_group_event, encode_history, encode_ok, encode_refused,
};
pub use events::*;
pub use ids::{ClientId, CorrelationId, Epoch, MessageId, UserId};
pub use inline::Invalid;
pub use json::RawJson;
pub use names::{Channel, Group, Pattern, PatternPart, Room, Topic};
pub use position::{Position, SEQ_MAX};
pub use refusal::Refusal;
pub use timestamp::Timestamp;

/// The version of the wire that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// The WebSocket subprotocol name of version 1.
pub const SUBPROTOCOL: &str = "arqonbus.v1";
