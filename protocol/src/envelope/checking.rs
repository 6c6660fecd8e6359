//! Decodes what a server sends, and says where it does not fit.

use super::client::headers;
use super::fields::{Fields, flag, invalid, one_line, optional, parsed, text};
use super::{Delivery, DeliveryHead, ErrorEnvelope, Event, JobHead, Malformed, Response, ServerEnvelope, Target};
use crate::json::RawJson;
use crate::{Epoch, ErrorCode, Group, Position, Refusal, SEQ_MAX, Timestamp};

/// Reads one envelope.
pub(super) fn decode(text: &str) -> Result<ServerEnvelope<'_>, Box<Malformed>> {
    let fields = Fields::scan(text)?;
    fields.server_envelope().map_err(|refusal| Box::new(Malformed { id: None, refusal }))
}

impl<'a> Fields<'a> {
    fn server_envelope(&self) -> Result<ServerEnvelope<'a>, Refusal> {
        let kind = text(Self::need(self.kind, "type", "/type")?, "/type")?;
        match kind.as_ref() {
            "message" => self.delivery().map(ServerEnvelope::Message),
            "response" => self.response().map(ServerEnvelope::Response),
            "event" => self.event().map(ServerEnvelope::Event),
            "error" => Ok(ServerEnvelope::Error(ErrorEnvelope { error: self.refusal()?, timestamp: self.timestamp()? })),
            _ => Err(Refusal::new(ErrorCode::UnknownType, "a server sends message, response, event or error").at("/type")),
        }
    }

    fn delivery(&self) -> Result<Delivery<'a>, Refusal> {
        let head = DeliveryHead {
            id: parsed(Self::need(self.id, "id", "/id")?, "/id")?,
            target: self.target()?,
            sender: parsed(Self::need(self.sender, "sender", "/sender")?, "/sender")?,
            user: optional(self.user, "/user")?,
            timestamp: self.timestamp()?,
            position: self.position()?,
            reply_to: optional(self.reply_to, "/reply_to")?,
            correlation_id: optional(self.correlation_id, "/correlation_id")?,
            exclude_sender: flag(self.exclude_sender, "/exclude_sender")?,
        };
        let payload = one_line(Self::need(self.payload, "payload", "/payload")?, "/payload")?;
        Ok(Delivery { head, headers: self.headers.map(headers).transpose()?, payload, job: self.job()? })
    }

    fn job(&self) -> Result<Option<JobHead>, Refusal> {
        match (optional::<Group>(self.group, "/group")?, self.delivery) {
            (None, None) => Ok(None),
            (Some(group), Some(delivery)) => {
                let delivery = delivery.as_str().parse().ok().filter(|delivery| *delivery > 0);
                Ok(Some(JobHead { group, delivery: delivery.ok_or_else(|| invalid("a delivery is counted from 1", "/delivery"))? }))
            }
            (Some(_), None) => Err(invalid("a group needs its delivery", "/delivery")),
            (None, Some(_)) => Err(invalid("a delivery needs its group", "/group")),
        }
    }

    fn timestamp(&self) -> Result<Timestamp, Refusal> {
        parsed(Self::need(self.timestamp, "timestamp", "/timestamp")?, "/timestamp")
    }

    fn position(&self) -> Result<Option<Position>, Refusal> {
        match (optional::<Epoch>(self.epoch, "/epoch")?, self.seq) {
            (None, None) => Ok(None),
            (Some(epoch), Some(seq)) => {
                let seq = seq.as_str().parse().ok().filter(|seq| *seq <= SEQ_MAX);
                Ok(Some(Position { epoch, seq: seq.ok_or_else(|| invalid("a seq is an integer up to 2^53 - 1", "/seq"))? }))
            }
            (Some(_), None) => Err(invalid("an epoch needs its seq", "/seq")),
            (None, Some(_)) => Err(invalid("a seq needs its epoch", "/epoch")),
        }
    }

    fn response(&self) -> Result<Response<'a>, Refusal> {
        let request_id = parsed(Self::need(self.request_id, "request_id", "/request_id")?, "/request_id")?;
        let status = text(Self::need(self.status, "status", "/status")?, "/status")?;
        let outcome = match status.as_ref() {
            "ok" => match self.result.unwrap_or(RawJson::EMPTY_OBJECT) {
                result if result.as_str().starts_with('{') => Ok(result),
                _ => return Err(invalid("a result is an object", "/result")),
            },
            "error" => Err(self.refusal()?),
            _ => return Err(invalid("a status is ok or error", "/status")),
        };
        Ok(Response { request_id, outcome })
    }

    fn event(&self) -> Result<Event<'a>, Refusal> {
        let topic = match (self.room, self.channel) {
            (None, None) => None,
            _ => match self.target()? {
                Target::Topic(topic) => Some(topic),
                Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone => {
                    return Err(invalid("an event is about a topic or about none", "/room"));
                }
            },
        };
        let name = text(Self::need(self.event, "event", "/event")?, "/event")?;
        let data = self.data.unwrap_or(RawJson::EMPTY_OBJECT);
        if !data.as_str().starts_with('{') {
            return Err(invalid("data is an object", "/data"));
        }
        Ok(Event { name, topic, group: optional(self.group, "/group")?, timestamp: self.timestamp()?, data })
    }

    fn refusal(&self) -> Result<Refusal, Refusal> {
        let raw = Self::need(self.error, "error", "/error")?;
        if !raw.as_str().starts_with('{') {
            return Err(invalid("an error is an object", "/error"));
        }
        raw.read::<crate::refusal::LenientRefusal>().map(Into::into).map_err(|(at, why)| invalid(why, "").at(format!("/error{at}")))
    }
}
