//! Writes what a client sends and tells without serde, whose writers are too large where code is downloaded before it runs.
//!
//! Field names are those of the Rust types: a field that is left out or misspelt here does not compile.

use std::borrow::Cow;

use super::RawJson;
use crate::*;

/// A type that a client writes.
pub trait Write {
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Whether a member with this value is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// An object being written.
pub struct Object<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> Object<'o> {
    /// Begins one at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { start: out.len(), out }
    }

    /// Appends a member, unless its value is absent.
    pub fn member(&mut self, key: &str, value: &dyn Write) -> &mut Self {
        if !value.is_absent() {
            if self.out.len() > self.start {
                self.out.push(b',');
            }
            string(key, self.out);
            self.out.push(b':');
            value.write(self.out);
        }
        self
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.out.push(b'}');
    }
}

impl std::fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Object")
    }
}

/// A flag that is left out while it is false.
struct Flag<'a>(&'a bool);

impl Write for Flag<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn is_absent(&self) -> bool {
        !self.0
    }
}

macro_rules! objects {
    ($($type:ident { $($field:ident $(as $as:ident)?),* $(,)? })+) => {$(
        impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                Object::begin(out)$(.member(stringify!($field), &$($as)?($field)))*.end();
            }
        }
    )+};
}

objects! {
    PingArgs { settled as Flag }
    RefreshArgs { token }
    JoinArgs { room, channel, since, replay, positions, presence as Flag, group, max_in_flight }
    LeaveArgs { room, channel, group }
    AckArgs { room, channel, group, epoch, seqs }
    NackArgs { room, channel, group, epoch, seqs, delay_ms, dead as Flag, reason }
    GroupStart { group, created, pending, max_in_flight, ack_timeout_ms, deliveries_max }
    TopicPosition { room, channel, epoch, seq }
    Position { epoch, seq }
    JoinResult { topics, complete, group }
    TopicStart { room, channel, head, start, members }
    Gap { reason, from, to, refetch_after_ms }
    Presence { client, user, name, kind, members }
    Refusal { code, message, retry, retry_after_ms, at }
}

/// An introduction whose metadata is JSON already.
#[derive(Debug)]
pub struct Introduction<'a> {
    /// All but the metadata.
    pub args: ConnectArgs,
    /// An object.
    pub metadata: Option<RawJson<'a>>,
}

impl Write for Introduction<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        macro_rules! members {
            ($($field:ident),+) => {{
                let ConnectArgs { $($field),+, metadata: _ } = &self.args;
                let mut object = Object::begin(out);
                object$(.member(stringify!($field), $field))+;
                object
            }};
        }
        members!(protocol, token, name, kind, user, batch, resume, agent).member("metadata", &self.metadata).end();
    }
}

impl Write for PublishResult {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { position, durability, duplicate } = self;
        let (epoch, seq) = (position.map(|position| position.epoch), position.map(|position| position.seq));
        let mut object = Object::begin(out);
        object.member("epoch", &epoch).member("seq", &seq).member("durability", durability).member("duplicate", duplicate).end();
    }
}

macro_rules! texts {
    ($($type:ty)+) => {$(
        impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                string(self.as_str(), out);
            }
        }
    )+};
}

texts! { Room Channel Group PatternPart Epoch ClientId UserId ErrorCode Retry GapReason Durability String }

impl Write for str {
    fn write(&self, out: &mut Vec<u8>) {
        string(self, out);
    }
}

impl Write for Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) {
        string(self, out);
    }
}

impl Write for RawJson<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_str().as_bytes());
    }
}

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                number(*self as u64, out);
            }
        }
    )+};
}

numbers! { u16 u32 u64 usize }

impl<T: Write + ?Sized> Write for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }

    fn is_absent(&self) -> bool {
        (**self).is_absent()
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Write> Write for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

/// The text that writers of this crate made.
#[must_use]
pub fn written(out: Vec<u8>) -> String {
    // Not `expect`: it would show the error, and what shows errors is downloaded too.
    String::from_utf8(out).unwrap_or_else(|_| unreachable!("written from text"))
}

/// Appends a text in quotes.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => {
                let digit = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends a number in decimal.
pub(crate) fn number(mut number: u64, out: &mut Vec<u8>) {
    // Written where they stay: to copy what was written byte by byte a moment ago would wait until all of it has reached the cache.
    let start = out.len();
    out.resize(start + number.checked_ilog10().map_or(1, |exponent| exponent as usize + 1), b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn text_of(value: &dyn Write) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        written(out)
    }

    /// Both ways of writing say the same.
    fn same<T: Write + Serialize>(value: &T) {
        let text = text_of(value);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), serde_json::to_value(value).unwrap(), "{text}");
    }

    #[test]
    fn it_writes_as_serde_does() {
        let epoch: Epoch = "k3".parse().unwrap();
        let at = Position { epoch, seq: SEQ_MAX };
        let (room, channel) = ("a".parse().unwrap(), "b".parse().unwrap());
        let known = TopicPosition { room, channel, epoch, seq: 0 };
        let join = JoinArgs::new("a:b*".parse().unwrap());
        same(&join);
        same(&JoinArgs { since: Some(at), replay: Some(7), positions: Some(vec![known, known]), presence: true, ..join.clone() });
        let group: Group = "workers".parse().unwrap();
        same(&JoinArgs { group: Some(group), max_in_flight: Some(3), ..join.clone() });
        same(&LeaveArgs { room: join.room, channel: join.channel, group: None });
        same(&LeaveArgs { room: join.room, channel: join.channel, group: Some(group) });
        same(&AckArgs { room, channel, group, epoch, seqs: vec![1, SEQ_MAX] });
        let nack = NackArgs { room, channel, group, epoch, seqs: vec![1], delay_ms: None, dead: false, reason: None };
        same(&nack);
        same(&NackArgs { delay_ms: Some(1), dead: true, reason: Some("\"no\"".to_owned()), ..nack });
        let begun = GroupStart { group, created: true, pending: 1, max_in_flight: 2, ack_timeout_ms: 3, deliveries_max: 4 };
        same(&JoinResult { topics: vec![TopicStart { room, channel, head: at, start: at, members: 3 }], complete: true, group: Some(begun) });
        same(&JoinResult { topics: Vec::new(), complete: false, group: None });
        let client: ClientId = "c_00000000".parse().unwrap();
        same(&Presence { client, user: None, name: Some("\"é\\\n\t\u{1}\u{7f}🚌".to_owned()), kind: None, members: 1 });
        same(&Presence { client, user: "ada".parse().ok(), name: None, kind: Some(String::new()), members: 0 });
        same(&PingArgs::default());
        same(&PingArgs { settled: true });
        same(&RefreshArgs { token: "t".to_owned() });
        for reason in [GapReason::EpochChanged, GapReason::Limit] {
            same(&Gap { reason, from: Some(at), to: at, refetch_after_ms: 0 });
            same(&Gap { reason, from: None, to: at, refetch_after_ms: 9 });
        }
        for durability in [Durability::None, Durability::RedisFsync] {
            same(&PublishResult { position: Some(at), durability, duplicate: true });
            same(&PublishResult { position: None, durability, duplicate: false });
        }
        for code in ErrorCode::ALL {
            same(&Refusal::new(*code, "no"));
        }
        same(&Refusal::new(ErrorCode::Draining, "no").after_ms(10).at("/a"));
    }

    #[test]
    fn an_introduction_says_what_serde_says_of_it() {
        let args = ConnectArgs { protocol: Some(1), token: Some("t".to_owned()), name: Some("n".to_owned()), batch: true, ..ConnectArgs::default() };
        let (user, metadata) = ("ada".parse().ok(), serde_json::json!({ "a": [1.5e300, { "b": null }] }));
        let all = ConnectArgs { user, agent: Some("x/1".to_owned()), resume: Some("r".to_owned()), kind: Some("k".to_owned()), ..args.clone() };
        for (args, metadata) in [(ConnectArgs::default(), None), (args, None), (all, Some(metadata))] {
            let text = metadata.as_ref().map(ToString::to_string);
            let introduction = Introduction { args: args.clone(), metadata: text.as_deref().map(RawJson::from_encoder) };
            let by_serde = ConnectArgs { metadata: metadata.and_then(|metadata| metadata.as_object().cloned()), ..args };
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text_of(&introduction)).unwrap(), serde_json::to_value(&by_serde).unwrap());
        }
    }
}
