//! Reads wire types from checked JSON without serde: in a browser, where code is downloaded before it runs, its readers are too large.
//!
//! Field names are those of the Rust types: a field that is left out or misspelt here does not compile.

use std::borrow::Cow;

use super::RawJson;
use crate::limits::Limits;
use crate::refusal::LenientRefusal;
use crate::*;

/// A type that a client reads.
pub trait Read: Sized {
    /// Reads a value that is not null; `None` where it does not fit.
    fn read(raw: RawJson<'_>) -> Option<Self>;

    /// The value of a member that is missing or null; `None` where it must be there.
    fn missing() -> Option<Self> {
        None
    }
}

macro_rules! objects {
    ($($type:ty { $($field:ident $(= $default:expr)?),+ $(,)? })+) => {$(
        impl Read for $type {
            fn read(raw: RawJson<'_>) -> Option<Self> {
                $(let mut $field = None;)+
                members(raw, &mut |key, value| match key {
                    $(stringify!($field) => $field = Some(value),)+
                    _ => {}
                })?;
                Some(Self { $($field: member($field)$(.or($field.is_none().then_some($default)))?? ,)+ })
            }
        }
    )+};
}

objects! {
    Welcome { version, protocols, node, client, limits, heartbeat_ms, auth_required, draining }
    Limits { envelope_bytes, frame_bytes, joins, history }
    Draining { reconnect_after_ms }
    ConnectResult { client, user, resume, resumed, batch, heartbeat_ms }
    JoinResult { topics, complete, group }
    GroupStart { group, created, pending, max_in_flight, ack_timeout_ms, deliveries_max }
    AckResult { settled, not_held = Vec::new() }
    TopicStart { room, channel, head, start, members }
    Gap { reason, from, to, refetch_after_ms = 0 }
    Presence { client, user, name, kind, members }
    Deleted { by }
    LenientRefusal { code, message, retry, retry_after_ms, at }
    TopicPosition { room, channel, epoch, seq }
    Place { epoch, seq }
    Acked { durability, duplicate }
}

/// A position as it stands, whatever its seq.
struct Place {
    epoch: Epoch,
    seq: u64,
}

impl Read for Position {
    fn read(raw: RawJson<'_>) -> Option<Self> {
        let Place { epoch, seq } = Place::read(raw)?;
        (seq <= SEQ_MAX).then_some(Self { epoch, seq })
    }
}

/// A publish result without its position, whose members stand beside these.
struct Acked {
    durability: Durability,
    duplicate: bool,
}

impl Read for PublishResult {
    fn read(raw: RawJson<'_>) -> Option<Self> {
        let Acked { durability, duplicate } = Acked::read(raw)?;
        Some(Self { position: Position::read(raw), durability, duplicate })
    }
}

impl<T: Read> Read for Option<T> {
    fn read(raw: RawJson<'_>) -> Option<Self> {
        T::read(raw).map(Some)
    }

    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(raw: RawJson<'_>) -> Option<Self> {
        let mut all = Some(Self::new());
        split(raw.as_str().strip_prefix('[')?.strip_suffix(']')?, &mut |item| match (&mut all, T::read(RawJson(item))) {
            (Some(known), Some(item)) => known.push(item),
            _ => all = None,
        });
        all
    }
}

macro_rules! texts {
    ($($type:ty)+) => {$(
        impl Read for $type {
            fn read(raw: RawJson<'_>) -> Option<Self> {
                raw.string()?.parse().ok()
            }
        }
    )+};
}

texts! { Room Channel Group Epoch ClientId UserId MessageId Timestamp String }

macro_rules! literals {
    ($($type:ty)+) => {$(
        impl Read for $type {
            fn read(raw: RawJson<'_>) -> Option<Self> {
                raw.as_str().parse().ok()
            }
        }
    )+};
}

literals! { bool u32 u64 }

impl Read for Cow<'static, str> {
    fn read(raw: RawJson<'_>) -> Option<Self> {
        String::read(raw).map(Cow::Owned)
    }
}

macro_rules! words {
    ($($type:ident [$($word:ident)+])+) => {$(
        impl Read for $type {
            fn read(raw: RawJson<'_>) -> Option<Self> {
                let word = raw.string()?;
                [$(Self::$word),+].into_iter().find(|known| known.as_str() == word)
            }
        }
    )+};
}

words! {
    Durability [None Memory File FileFsync Redis RedisFsync]
    GapReason [EpochChanged Trimmed Ahead Degraded Restored Conflated Limit]
    Retry [Never Later After]
}

/// Reads a member, which may be missing.
pub(crate) fn member<T: Read>(value: Option<RawJson<'_>>) -> Option<T> {
    match value {
        Some(raw) if !raw.is_null() => T::read(raw),
        Some(_) | None => T::missing(),
    }
}

/// Visits the members of an object.
pub(crate) fn members<'a>(raw: RawJson<'a>, visit: &mut dyn FnMut(&str, RawJson<'a>)) -> Option<()> {
    split(raw.as_str().strip_prefix('{')?.strip_suffix('}')?, &mut |part| {
        let end = string_end(part.as_bytes());
        if let Some(key) = RawJson(part.get(..end).unwrap_or_default()).string() {
            let value = part.get(end..).unwrap_or_default().trim_ascii_start();
            visit(&key, RawJson(value.strip_prefix(':').unwrap_or_default().trim_ascii_start()));
        }
    });
    Some(())
}

/// Visits what stands between the outer commas of checked text.
fn split<'a>(inner: &'a str, visit: &mut dyn FnMut(&'a str)) {
    let bytes = inner.as_bytes();
    let between = |start, end| inner.get(start..end).unwrap_or_default().trim_ascii();
    let (mut start, mut at, mut depth) = (0, 0, 0_u32);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += string_end(&bytes[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => {
                visit(between(start, at));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    let last = between(start, bytes.len());
    if !last.is_empty() {
        visit(last);
    }
}

/// The length of the string that checked text begins with, quotes included.
fn string_end(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The text of a checked string, without its quotes.
pub(super) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut units = inner.chars();
    let mut high = 0;
    while let Some(char) = units.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        let plain = match units.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => {
                let unit = (0..4).filter_map(|_| units.next()?.to_digit(16)).fold(0, |unit, digit| unit * 16 + digit);
                if (0xd800..0xdc00).contains(&unit) {
                    high = unit;
                    continue;
                }
                let pair = (0xdc00..0xe000).contains(&unit);
                let point = if pair { 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff) } else { unit };
                char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some(other) => other,
            None => break,
        };
        out.push(plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// Both ways of reading give the same, or both nothing.
    fn same<T: Read + Serialize + DeserializeOwned>(text: &str) -> bool {
        let by_serde = serde_json::from_str::<T>(text).ok().map(|value| serde_json::to_string(&value).unwrap());
        let raw = RawJson::new(text, 32).unwrap();
        let compact = T::read(raw).map(|value| serde_json::to_string(&value).unwrap());
        assert_eq!(compact, by_serde, "{text}");
        by_serde.is_some()
    }

    #[test]
    fn it_reads_as_serde_does() {
        let gap = r#"{ "reason" : "trimmed", "from": null, "to":{"epoch":"k3","seq":9}, "new": [{"a":"]"},1] }"#;
        assert!(same::<Gap>(gap));
        assert!(same::<Gap>(r#"{"reason":"ahead","from":{"epoch":"a","seq":1},"to":{"epoch":"b","seq":2},"refetch_after_ms":7}"#));
        assert!(same::<PublishResult>(r#"{"epoch":"k","seq":42,"durability":"redis_fsync","duplicate":true}"#));
        assert!(same::<PublishResult>(r#"{"durability":"none","duplicate":false}"#));
        assert!(same::<JoinResult>(r#"{"topics":[],"complete":true}"#));
        let start = r#"{"room":"a","channel":"b","head":{"epoch":"k","seq":2},"start":{"epoch":"k","seq":0},"members":3}"#;
        assert!(same::<JoinResult>(&format!(r#"{{"topics":[{start} , {start}],"complete":false}}"#)));
        assert!(same::<Presence>(r#"{"client":"c_00000000","user":"ada","name":"\u00e9\ud83d\ude8c\"\\\/\n","members":1}"#));
        assert!(same::<ConnectResult>(r#"{"client":"c_00000000","resume":"r","resumed":false,"batch":true,"heartbeat_ms":1}"#));
        assert!(same::<Deleted>(r#"{"by":"c_00000000"}"#));
        assert!(same::<Vec<TopicPosition>>(r#"[{"room":"a","channel":"b","epoch":"k","seq":1}]"#));
    }

    #[test]
    fn escapes_are_those_of_json() {
        for inner in [r#"a\"b\\c\/d\b\f\n\r\t"#, r"\u00e9\u2028\uD83D\uDE8C!", "é", r"\u0041\u000a"] {
            let by_serde: String = serde_json::from_str(&format!("\"{inner}\"")).unwrap();
            assert_eq!(unescape(inner), by_serde);
        }
    }

    #[test]
    fn it_refuses_as_serde_does() {
        for text in
            [r#"{"reason":"new","to":{"epoch":"k","seq":9}}"#, r#"{"reason":"ahead"}"#, "[]", r#"{"reason":"ahead","to":{"epoch":"K","seq":9}}"#]
        {
            assert!(!same::<Gap>(text));
        }
        for text in [
            r#"{"epoch":"k","seq":9007199254740992}"#,
            r#"{"epoch":"k","seq":-1}"#,
            r#"{"epoch":"k","seq":1.5}"#,
            r#"{"epoch":1,"seq":1}"#,
            r#"{"seq":1}"#,
        ] {
            assert!(!same::<Position>(text));
        }
        assert!(!same::<JoinResult>(r#"{"topics":[1],"complete":true}"#));
        assert!(!same::<JoinResult>(r#"{"topics":null,"complete":true}"#));
    }

    #[test]
    fn every_word_is_known() {
        let schema = schema::json_schema();
        let words = |name: &str| -> Vec<String> {
            let variants = schema["$defs"][name]["oneOf"].as_array().cloned().unwrap_or_default();
            variants.iter().map(|variant| variant["const"].to_string()).collect()
        };
        for word in words("Durability") {
            assert!(same::<Durability>(&word));
        }
        for word in words("GapReason") {
            assert!(same::<GapReason>(&word));
        }
        for word in words("Retry") {
            assert!(same::<Retry>(&word));
        }
        assert!(words("Retry").len() == 3 && words("GapReason").len() >= 7 && words("Durability").len() >= 6);
    }
}
