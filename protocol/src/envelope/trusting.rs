//! Decodes what a server sends where code is downloaded before it runs: the engine of the browser has parsed the text already, and the
//! server has checked it. What does not fit is refused without saying where.

use super::fields::Fields;
use super::{Delivery, DeliveryHead, ErrorEnvelope, Event, JobHead, Malformed, Response, ServerEnvelope, Target, parse_to};
use crate::json::RawJson;
use crate::json::compact::{Read, member, members};
use crate::refusal::LenientRefusal;
use crate::{Channel, Epoch, ErrorCode, Group, Position, Refusal, Room, SEQ_MAX, Topic};

/// Reads one envelope.
pub(super) fn decode(text: &str) -> Result<ServerEnvelope<'_>, Box<Malformed>> {
    read_envelope(text).ok_or_else(|| Box::new(Malformed { id: None, refusal: Refusal::new(ErrorCode::InvalidEnvelope, "it does not fit") }))
}

fn read_envelope(text: &str) -> Option<ServerEnvelope<'_>> {
    let mut fields = Fields::default();
    members(RawJson::from_encoder(text.trim_ascii()), &mut |key, value| fields.put(key, value))?;
    let kind: String = member(fields.kind)?;
    Some(match kind.as_str() {
        "message" => ServerEnvelope::Message(fields.trusted_delivery()?),
        "response" => ServerEnvelope::Response(fields.trusted_response()?),
        "event" => ServerEnvelope::Event(fields.trusted_event()?),
        "error" => ServerEnvelope::Error(ErrorEnvelope { error: read::<LenientRefusal>(fields.error)?.into(), timestamp: read(fields.timestamp)? }),
        _ => return None,
    })
}

/// Reads a member that must be there, or be an option.
fn read<T: Read>(raw: Option<RawJson<'_>>) -> Option<T> {
    member(raw)
}

impl<'a> Fields<'a> {
    fn trusted_delivery(&self) -> Option<Delivery<'a>> {
        let head = DeliveryHead {
            id: read(self.id)?,
            target: self.trusted_target()?,
            sender: read(self.sender)?,
            user: read(self.user)?,
            timestamp: read(self.timestamp)?,
            position: match (read::<Option<Epoch>>(self.epoch)?, read::<Option<u64>>(self.seq)?) {
                (Some(epoch), Some(seq)) if seq <= SEQ_MAX => Some(Position { epoch, seq }),
                (None, None) => None,
                _ => return None,
            },
            reply_to: read(self.reply_to)?,
            correlation_id: read(self.correlation_id)?,
            exclude_sender: read::<Option<bool>>(self.exclude_sender)?.unwrap_or_default(),
        };
        let job = match (read::<Option<Group>>(self.group)?, read::<Option<u32>>(self.delivery)?) {
            (Some(group), Some(delivery)) if delivery > 0 => Some(JobHead { group, delivery }),
            (None, None) => None,
            _ => return None,
        };
        Some(Delivery { head, headers: self.headers, payload: self.payload?, job })
    }

    fn trusted_target(&self) -> Option<Target> {
        match (read::<Option<Room>>(self.room)?, read::<Option<Channel>>(self.channel)?, read::<Option<String>>(self.to)?) {
            (Some(room), Some(channel), None) => Some(Target::Topic(Topic { room, channel })),
            (Some(room), None, None) => Some(Target::Room(room)),
            (None, None, Some(to)) => parse_to(&to).ok(),
            _ => None,
        }
    }

    fn trusted_response(&self) -> Option<Response<'a>> {
        let status: String = read(self.status)?;
        let outcome = match status.as_str() {
            "ok" => Ok(object(self.result)?),
            "error" => Err(read::<LenientRefusal>(self.error)?.into()),
            _ => return None,
        };
        Some(Response { request_id: read(self.request_id)?, outcome })
    }

    fn trusted_event(&self) -> Option<Event<'a>> {
        let topic = match (self.room, self.channel) {
            (None, None) => None,
            (room, channel) => Some(Topic { room: read(room)?, channel: read(channel)? }),
        };
        let name = read::<String>(self.event)?.into();
        Some(Event { name, topic, group: read(self.group)?, timestamp: read(self.timestamp)?, data: object(self.data)? })
    }
}

/// An object; an empty one where there is none.
fn object(raw: Option<RawJson<'_>>) -> Option<RawJson<'_>> {
    Some(raw.unwrap_or(RawJson::EMPTY_OBJECT)).filter(|raw| raw.as_str().starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of vectors with texts that a server sends.
    const FILES: &[&str] = &[
        include_str!("../../../tests/vectors/frames/batches.json"),
        include_str!("../../../tests/vectors/frames/deliveries.json"),
        include_str!("../../../tests/vectors/frames/events.json"),
        include_str!("../../../tests/vectors/frames/groups.json"),
        include_str!("../../../tests/vectors/frames/responses.json"),
        include_str!("../../../tests/vectors/frames/text.json"),
    ];

    fn vectors() -> Vec<String> {
        let all = FILES.iter().flat_map(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap());
        let server = all.filter(|vector| vector["direction"] == "server");
        server.flat_map(|vector| vector["text"].as_str().unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn it_decodes_every_vector_as_the_checking_way_does() {
        let texts = vectors();
        assert!(texts.len() > 40, "{} vectors", texts.len());
        for text in texts.iter().filter(|text| !text.trim().is_empty()) {
            assert_eq!(decode(text).ok(), ServerEnvelope::decode(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_both() {
        let head = r#""id":"a","sender":"c_00000000","timestamp":"2026-11-22T16:49:00.000Z""#;
        let message = |rest: &str| format!(r#"{{"type":"message",{head},{rest}}}"#);
        for text in [
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"type":"command"}"#.to_owned(),
            r#"{"type":"response","request_id":"a","status":"perhaps"}"#.to_owned(),
            r#"{"type":"response","request_id":"a","status":"ok","result":[]}"#.to_owned(),
            r#"{"type":"event","event":"gap","room":"a","timestamp":"2026-11-22T16:49:00.000Z"}"#.to_owned(),
            message(r#""room":"a","channel":"b""#),
            message(r#""room":"a","channel":"b","to":"*","payload":1"#),
            message(r#""room":"a b","channel":"b","payload":1"#),
            message(r#""room":"a","channel":"b","epoch":"k","payload":1"#),
            message(r#""room":"a","channel":"b","group":"g","payload":1"#),
            message(r#""room":"a","channel":"b","group":"g","delivery":0,"payload":1"#),
            message(r#""room":"a","channel":"b","epoch":"k","seq":9007199254740992,"payload":1"#),
        ] {
            assert!(decode(&text).is_err(), "{text}");
            assert!(ServerEnvelope::decode(&text).is_err(), "{text}");
        }
    }
}
