//! The members of an envelope as they were found, and typed reading with the place of every fault.

use std::borrow::Cow;
use std::str::FromStr;

use super::{Malformed, Target, parse_to};
use crate::json::{Fault, FaultKind, RawJson, members};
use crate::{ErrorCode, Invalid, MessageId, Refusal, Topic, limits};

/// Defines the members that any envelope may have; others are ignored.
macro_rules! fields {
    ($($field:ident $wire:literal,)+) => {
        /// The known members of one envelope, as raw text.
        #[derive(Default)]
        pub(super) struct Fields<'a> { $(pub(super) $field: Option<RawJson<'a>>,)+ }

        impl<'a> Fields<'a> {
            pub(super) fn put(&mut self, key: &str, raw: RawJson<'a>) {
                match key {
                    $($wire => self.$field = (!raw.is_null() || $wire == "payload").then_some(raw),)+
                    _ => {}
                }
            }
        }
    };
}

fields! {
    kind "type",
    id "id",
    room "room",
    channel "channel",
    to "to",
    payload "payload",
    headers "headers",
    ack "ack",
    request "request",
    correlation_id "correlation_id",
    exclude_sender "exclude_sender",
    command "command",
    args "args",
    sender "sender",
    user "user",
    timestamp "timestamp",
    epoch "epoch",
    seq "seq",
    reply_to "reply_to",
    group "group",
    delivery "delivery",
    request_id "request_id",
    status "status",
    result "result",
    error "error",
    event "event",
    data "data",
}

impl<'a> Fields<'a> {
    /// Scans an envelope once.
    pub(super) fn scan(text: &'a str) -> Result<Self, Box<Malformed>> {
        let mut fields = Self::default();
        let scanned = members(text, limits::DEPTH_MAX, |key, raw| fields.put(key, raw));
        match scanned {
            Ok(()) => Ok(fields),
            Err(fault) => Err(Box::new(Malformed { id: fields.readable_id(), refusal: refuse_fault(&fault) })),
        }
    }

    /// The id, where it is one; for answers to envelopes that are refused for another reason.
    pub(super) fn readable_id(&self) -> Option<MessageId> {
        self.id.and_then(|raw| raw.string()).and_then(|text| text.parse().ok())
    }

    /// Where the message goes, from `room`, `channel` and `to`.
    pub(super) fn target(&self) -> Result<Target, Refusal> {
        match (self.room, self.channel, self.to) {
            (Some(room), Some(channel), None) => Ok(Target::Topic(Topic { room: name(room, "/room")?, channel: name(channel, "/channel")? })),
            (Some(room), None, None) => name(room, "/room").map(Target::Room),
            (None, None, Some(to)) => parse_to(&text(to, "/to")?).map_err(|invalid| Refusal::new(ErrorCode::InvalidName, invalid.expected).at("/to")),
            (None, Some(_), None) => Err(invalid("a channel needs its room", "/channel")),
            (None, None, None) => Err(invalid("a message needs room and channel, room, or to", "")),
            (_, _, Some(_)) => Err(invalid("a message has either to or room", "/to")),
        }
    }

    /// The value of a member that must be there.
    pub(super) fn need(value: Option<RawJson<'a>>, name: &'static str, at: &'static str) -> Result<RawJson<'a>, Refusal> {
        value.ok_or_else(|| invalid(format!("{name} is missing"), at))
    }
}

/// Refuses as `invalid_envelope`.
#[cold]
pub(super) fn invalid(message: impl Into<Cow<'static, str>>, at: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidEnvelope, message).at(at)
}

/// Reads a string.
pub(super) fn text<'a>(raw: RawJson<'a>, at: &'static str) -> Result<Cow<'a, str>, Refusal> {
    raw.string().ok_or_else(|| invalid("this must be a string", at))
}

/// Reads a room or channel name.
fn name<T: FromStr<Err = Invalid>>(raw: RawJson<'_>, at: &'static str) -> Result<T, Refusal> {
    text(raw, at)?.parse().map_err(|error: Invalid| Refusal::new(ErrorCode::InvalidName, error.expected).at(at))
}

/// Reads an id, epoch or timestamp.
pub(super) fn parsed<T: FromStr<Err = Invalid>>(raw: RawJson<'_>, at: &'static str) -> Result<T, Refusal> {
    text(raw, at)?.parse().map_err(|error: Invalid| invalid(error.expected, at))
}

/// Reads an id, epoch or timestamp that may be missing.
pub(super) fn optional<T: FromStr<Err = Invalid>>(raw: Option<RawJson<'_>>, at: &'static str) -> Result<Option<T>, Refusal> {
    raw.map(|raw| parsed(raw, at)).transpose()
}

/// Reads a flag that is false where it is missing.
pub(super) fn flag(raw: Option<RawJson<'_>>, at: &'static str) -> Result<bool, Refusal> {
    match raw.map(|raw| raw.as_str()) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid("this must be true or false", at)),
    }
}

/// Refuses line breaks outside strings: relayed text shares frames with other envelopes, separated by them.
pub(super) fn one_line<'a>(raw: RawJson<'a>, at: &'static str) -> Result<RawJson<'a>, Refusal> {
    if memchr::memchr2(b'\n', b'\r', raw.as_str().as_bytes()).is_some() {
        return Err(Refusal::new(ErrorCode::InvalidJson, "a line break outside of a string").at(at));
    }
    Ok(raw)
}

/// The beginning of a pointer into a hostile text, which may be as long as the text; whole segments, so that it still resolves.
fn shortened(pointer: &str) -> &str {
    let bytes_max = 4 * limits::ECHO_CHARS_MAX;
    if pointer.len() <= bytes_max {
        return pointer;
    }
    let end = pointer.bytes().take(bytes_max + 1).rposition(|byte| byte == b'/');
    pointer.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn refuse_fault(fault: &Fault) -> Refusal {
    let code = match fault.kind {
        FaultKind::Json(_) => ErrorCode::InvalidJson,
        FaultKind::TooDeep => ErrorCode::TooDeep,
        FaultKind::NotAnObject => ErrorCode::InvalidEnvelope,
    };
    Refusal::new(code, fault.to_string()).at(shortened(&fault.pointer).to_owned())
}
