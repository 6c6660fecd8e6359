//! Rooms, channels, topics, and the patterns that match them.

use std::{fmt, str::FromStr};

use crate::inline::{Alphabet, Inline, Invalid, inline_text, text_traits};

const NAME: Alphabet = Alphabet::alphanumeric_and(b"_.-");

inline_text! {
    /// A room: 1–64 bytes of `[A-Za-z0-9_.-]`, not dots only. A leading `_` is the server's.
    Room, 64, is_name, "a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots", r"^(?!\.+$)[A-Za-z0-9_.-]{1,64}$"
}

inline_text! {
    /// A channel within a room; the same form as a [`Room`].
    Channel, 64, is_name, "a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots", r"^(?!\.+$)[A-Za-z0-9_.-]{1,64}$"
}

inline_text! {
    /// A work group of one topic: as a [`Channel`], without a leading `_`.
    Group, 64, is_group, "a group's name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots, without a leading _", r"^(?!_)(?!\.+$)[A-Za-z0-9_.-]{1,64}$"
}

impl Room {
    /// Whether the name belongs to the server: nobody else publishes there.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_bytes()[0] == b'_'
    }
}

impl Channel {
    /// Whether the name belongs to the server: nobody else publishes there.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_bytes()[0] == b'_'
    }
}

fn is_group(bytes: &[u8]) -> bool {
    is_name(bytes) && bytes[0] != b'_'
}

fn is_name(bytes: &[u8]) -> bool {
    NAME.spells(bytes) && bytes.iter().any(|c| *c != b'.')
}

/// `room:channel`, the unit of order and history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// The room.
    pub room: Room,
    /// The channel within it.
    pub channel: Channel,
}

impl Topic {
    /// Whether the room or the channel belongs to the server.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.room.is_reserved() || self.channel.is_reserved()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.room, self.channel)
    }
}

impl FromStr for Topic {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (room, channel) = text.split_once(':').ok_or(Invalid { expected: "a topic is room:channel" })?;
        Ok(Self { room: room.parse()?, channel: channel.parse()? })
    }
}

const PATTERN_PART: &str = "a name is 1 to 64 of A-Z a-z 0-9 _ . - and not only dots; a pattern may end in one *";

/// One half of a [`Pattern`]: a name, a name with a trailing `*`, or `*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternPart(Inline<65>);

impl PatternPart {
    /// The text, with its `*` where it has one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text before the `*`, where this is a wildcard.
    fn wildcard_prefix(&self) -> Option<&[u8]> {
        self.0.as_bytes().strip_suffix(b"*")
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self.wildcard_prefix() {
            None => self.0.as_bytes() == name,
            // A wildcard reaches the server's own names only where it says `_` itself.
            Some(prefix) => name.starts_with(prefix) && (name[0] != b'_' || prefix.first() == Some(&b'_')),
        }
    }
}

impl FromStr for PatternPart {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let invalid = Invalid { expected: PATTERN_PART };
        let wildcard = name.len() < text.len();
        if name.len() > 64 || !(wildcard && name.is_empty() || is_name(name.as_bytes())) {
            return Err(invalid);
        }
        Inline::new(text).map(Self).ok_or(invalid)
    }
}

text_traits!(PatternPart, r"^(?!\.+\*?$)(?:[A-Za-z0-9_.-]{1,64}|[A-Za-z0-9_.-]{0,64}\*)$", PATTERN_PART);

/// What a join names: one topic, or all topics whose names begin so. See the names table of spec 001.
///
/// ```
/// use arqonbus_protocol::{Pattern, Topic};
/// let pattern: Pattern = "orders:eu.*".parse()?;
/// assert!(pattern.matches(&"orders:eu.berlin".parse()?));
/// assert!(!pattern.matches(&"orders:us.nyc".parse()?));
/// # Ok::<(), arqonbus_protocol::Invalid>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// Matches the room.
    pub room: PatternPart,
    /// Matches the channel.
    pub channel: PatternPart,
}

impl Pattern {
    /// Whether `topic` is one that this names.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        self.room.matches(topic.room.as_bytes()) && self.channel.matches(topic.channel.as_bytes())
    }

    /// Whether topics of `room` can match.
    #[must_use]
    pub fn matches_room(&self, room: &Room) -> bool {
        self.room.matches(room.as_bytes())
    }

    /// The one topic that this names, where there is no wildcard.
    #[must_use]
    pub fn as_topic(&self) -> Option<Topic> {
        Some(Topic { room: self.room.as_str().parse().ok()?, channel: self.channel.as_str().parse().ok()? })
    }
}

impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        // Asked for at every publish: what a name is made of was checked when it became one.
        let part = |name: &str| PatternPart(Inline::new(name).expect("a name is shorter than a pattern may be"));
        Self { room: part(topic.room.as_str()), channel: part(topic.channel.as_str()) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.room, self.channel)
    }
}

impl FromStr for Pattern {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (room, channel) = text.split_once(':').ok_or(Invalid { expected: "a pattern is room:channel" })?;
        Ok(Self { room: room.parse()?, channel: channel.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_closed_alphabet() {
        for good in ["a", "A.b-c_9", "_own", "..a", &"x".repeat(64)] {
            assert!(good.parse::<Room>().is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a b", "a:b", "a*", "\u{202e}", "a\0", "é", &"x".repeat(65)] {
            assert!(bad.parse::<Room>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn patterns_match_by_prefix_and_spare_the_servers_names() {
        let matches = |pattern: &str, topic: &str| pattern.parse::<Pattern>().unwrap().matches(&topic.parse().unwrap());
        assert!(matches("a:*", "a:b"));
        assert!(matches("a:b*", "a:b"));
        assert!(matches("*:*", "a:b"));
        assert!(!matches("*:*", "_telemetry:activity"));
        assert!(!matches("a:*", "a:_x"));
        assert!(matches("_tele*:*", "_telemetry:activity"));
        assert!(!matches("a:b", "a:bc"));
        for bad in ["a", "a:**", "a:*b", ":", "a:", "*a:b", "a:.", &format!("a:{}*", "x".repeat(65))] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
        assert!(format!("a:{}*", "x".repeat(64)).parse::<Pattern>().is_ok());
    }
}
