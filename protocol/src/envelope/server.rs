//! Server → client: `message`, `response`, `event`, `error`.

use std::borrow::Cow;

use serde::Serialize;

use super::fields::invalid;
use super::write::ObjectWriter;
use super::{Malformed, Target};
use crate::json::RawJson;
use crate::{ClientId, CorrelationId, EventBody, Group, HistoryResult, MessageId, Position, PublishResult, Refusal, Timestamp, Topic, UserId};

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "messages are the common case, and a box would cost each of them an allocation")]
pub enum ServerEnvelope<'a> {
    /// A delivered message.
    Message(Delivery<'a>),
    /// The answer to one request.
    Response(Response<'a>),
    /// Something that happened.
    Event(Event<'a>),
    /// A refusal of input that cannot be tied to a request.
    Error(ErrorEnvelope),
}

/// The facts about a delivered message that are not its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryHead {
    /// The idempotency key.
    pub id: MessageId,
    /// Where it went.
    pub target: Target,
    /// Whose connection it came from.
    pub sender: ClientId,
    /// Whom that connection acts for.
    pub user: Option<UserId>,
    /// When the server took it.
    pub timestamp: Timestamp,
    /// Its place, where the target keeps an order.
    pub position: Option<Position>,
    /// Where an answer goes, where one is expected.
    pub reply_to: Option<ClientId>,
    /// The message that this one answers.
    pub correlation_id: Option<CorrelationId>,
    /// Whether the sender's own connection was left out.
    pub exclude_sender: bool,
}

/// What makes a delivered message a job of one member of a work group (spec 006).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobHead {
    /// The group.
    pub group: Group,
    /// How often it was given out, this time included.
    pub delivery: u32,
}

/// A message on its way out (FR-021): the same bytes for every subscriber.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery<'a> {
    /// All but the content.
    pub head: DeliveryHead,
    /// As the sender wrote them.
    pub headers: Option<RawJson<'a>>,
    /// As the sender wrote it.
    pub payload: RawJson<'a>,
    /// Set where it is one member's job.
    pub job: Option<JobHead>,
}

/// The answer to one request (FR-025).
#[derive(Debug, Clone, PartialEq)]
pub struct Response<'a> {
    /// The request's id.
    pub request_id: MessageId,
    /// The command's result, or why not.
    pub outcome: Result<RawJson<'a>, Refusal>,
}

/// Something that happened (FR-026).
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// Its name; see [`EventBody`] for the known ones.
    pub name: Cow<'a, str>,
    /// The topic it is about.
    pub topic: Option<Topic>,
    /// The work group that it concerns, where it concerns one.
    pub group: Option<Group>,
    /// When.
    pub timestamp: Timestamp,
    /// What belongs to it.
    pub data: RawJson<'a>,
}

/// A refusal that belongs to no request (FR-027).
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorEnvelope {
    /// What was wrong.
    pub error: Refusal,
    /// When.
    pub timestamp: Timestamp,
}

impl<'a> ServerEnvelope<'a> {
    /// Reads one envelope. On WebAssembly it is one that a JSON parser has taken already.
    ///
    /// # Errors
    /// [`Malformed`]: the peer is not a version 1 server.
    pub fn decode(text: &'a str) -> Result<Self, Box<Malformed>> {
        super::decoding::decode(text)
    }
}

impl Delivery<'_> {
    /// Appends it to `out` as one line of JSON, and gives the offset in `out` where [`Position::encode_into`] may put its
    /// position, in case it has none yet.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> usize {
        let head = &self.head;
        let mut object = ObjectWriter::open(out, "message");
        object.text("id", head.id.as_bytes());
        object.target(&head.target);
        object.text("sender", head.sender.as_bytes());
        object.optional("user", head.user.as_ref().map(UserId::as_bytes));
        object.text("timestamp", head.timestamp.as_bytes());
        let hole = object.position(head.position.as_ref());
        object.optional("reply_to", head.reply_to.as_ref().map(ClientId::as_bytes));
        object.optional("correlation_id", head.correlation_id.as_ref().map(MessageId::as_bytes));
        if head.exclude_sender {
            object.raw("exclude_sender", b"true");
        }
        if let Some(headers) = self.headers {
            object.raw("headers", headers.as_str().as_bytes());
        }
        object.raw("payload", self.payload.as_str().as_bytes());
        if let Some(job) = &self.job {
            object.job(job);
        }
        object.close();
        hole
    }
}

impl JobHead {
    /// Makes a delivered message this member's job: its envelope, with the members of a job at the end.
    #[must_use]
    pub fn splice(&self, envelope: &[u8]) -> Vec<u8> {
        let end = envelope.len() - 1;
        let mut out = Vec::with_capacity(envelope.len() + 48 + self.group.as_bytes().len());
        out.extend_from_slice(&envelope[..end]);
        let mut object = ObjectWriter::within(&mut out);
        object.job(self);
        object.close();
        out
    }
}

impl Position {
    /// Appends the members of a position, as they stand in a delivered message, to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        ObjectWriter::within(out).position(Some(self));
    }
}

impl Event<'_> {
    /// Reads the data of a known event; `None` for one that this version does not know.
    ///
    /// # Errors
    /// A refusal where the data does not fit the event.
    pub fn body(&self) -> Result<Option<EventBody>, Refusal> {
        EventBody::parse(&self.name, self.data).transpose().map_err(|(at, why)| invalid(why, "").at(format!("/data{at}")))
    }
}

/// Writes the answer of a request that was carried out.
#[must_use]
pub fn encode_ok(request_id: &MessageId, result: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(192);
    let mut object = ObjectWriter::open(&mut out, "response");
    object.text("request_id", request_id.as_bytes());
    object.text("status", b"ok");
    object.json("result", result);
    object.close();
    out
}

/// Appends the answer of a publish to `out`: as [`encode_ok`], and in less time.
pub fn encode_acked_into(out: &mut Vec<u8>, request_id: &MessageId, result: &PublishResult) {
    let mut object = ObjectWriter::open(out, "response");
    object.text("request_id", request_id.as_bytes());
    object.text("status", b"ok");
    object.object("result", |members| {
        members.position(result.position.as_ref());
        members.text("durability", result.durability.as_str().as_bytes());
        members.raw("duplicate", if result.duplicate { b"true" } else { b"false" });
    });
    object.close();
}

/// Writes the answer to `history`: `result`, with `messages` as they were delivered.
#[must_use]
pub fn encode_history<'a>(request_id: &MessageId, result: &HistoryResult, messages: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    debug_assert!(result.messages.is_empty(), "the messages are given apart, as text");
    let mut out = encode_ok(request_id, result);
    let place = b"\"messages\":[";
    let at = out.windows(place.len()).position(|window| window == place).expect("the result has messages") + place.len();
    let rest = out.split_off(at);
    for (index, message) in messages.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(message);
    }
    out.extend_from_slice(&rest);
    out
}

/// Writes the answer of a request that was refused.
#[must_use]
pub fn encode_refused(request_id: &MessageId, refusal: &Refusal) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::open(&mut out, "response");
    object.text("request_id", request_id.as_bytes());
    object.text("status", b"error");
    object.json("error", refusal);
    object.close();
    out
}

/// Writes an event.
#[must_use]
pub fn encode_event(body: &EventBody, topic: Option<&Topic>, timestamp: &Timestamp) -> Vec<u8> {
    write_event(body, topic, None, timestamp)
}

/// Writes an event that concerns one work group of a topic.
#[must_use]
pub fn encode_group_event(body: &EventBody, topic: &Topic, group: &Group, timestamp: &Timestamp) -> Vec<u8> {
    write_event(body, Some(topic), Some(group), timestamp)
}

fn write_event(body: &EventBody, topic: Option<&Topic>, group: Option<&Group>, timestamp: &Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::open(&mut out, "event");
    object.text("event", body.name().as_bytes());
    if let Some(topic) = topic {
        object.target(&Target::Topic(*topic));
    }
    object.optional("group", group.map(Group::as_bytes));
    object.text("timestamp", timestamp.as_bytes());
    object.raw("data", &body.data_json());
    object.close();
    out
}

/// Writes a refusal of input that cannot be tied to a request.
#[must_use]
pub fn encode_error(refusal: &Refusal, timestamp: &Timestamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::open(&mut out, "error");
    object.json("error", refusal);
    object.text("timestamp", timestamp.as_bytes());
    object.close();
    out
}
