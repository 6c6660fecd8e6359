//! What nodes write to each other, as text: questions, answers, news, signs of life.

use arqonbus_protocol::{
    ChannelSummary, ClientId, Group, ListChannelsArgs, ListRoomsArgs, Member, MembersArgs, NodeStatus, Pattern, Position, Presence, Room, Topic,
    UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::storage::Fingerprint;

/// The form of letters; a node drops what it does not understand.
const FORM: u32 = 1;

/// One letter: what one node has to say to all, or to one other, since its last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    form: u32,
    /// The node that writes.
    pub(crate) from: ClientId,
    /// In the order in which it was said.
    pub(crate) said: Vec<Said>,
}

/// One thing that a node says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// I am new: who is there?
    Hello,
    /// I am there.
    Here,
    /// I am going.
    Gone,
    /// A question to all; the answer carries its number.
    Ask(u64, Question),
    /// The answer to a question of the reader.
    Answer(u64, Answer),
    /// Something that happened.
    Tell(News),
}

/// What a node asks the others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    Rooms(ListRoomsArgs),
    Channels(ListChannelsArgs),
    Status,
    /// Which topics that match are open.
    Topics(#[serde(with = "text")] Pattern),
    Members(MembersArgs),
    /// Who is in a topic; the members themselves where `list`.
    Watch {
        #[serde(with = "text")]
        topic: Topic,
        list: bool,
    },
    /// Deliver this to whoever is named, if they are yours.
    Deliver(Box<Private>),
    /// Close the connections of this client or user.
    Kick(Whom),
    /// A channel was deleted for somebody: it is no more where nobody follows it either.
    Ended {
        #[serde(with = "text")]
        topic: Topic,
        by: ClientId,
    },
}

/// A client or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whom {
    Client(ClientId),
    User(UserId),
}

/// A message on its way to somebody who may be elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) whom: Whom,
    /// The delivered envelope.
    pub(crate) body: Box<RawValue>,
    /// What makes it the same as another; none where its sender gave no id.
    pub(crate) print: Option<Print>,
}

/// A fingerprint as three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Print(u64, u64, u64);

impl From<Fingerprint> for Print {
    fn from(print: Fingerprint) -> Self {
        let low = u64::try_from(print.key & u128::from(u64::MAX)).expect("masked to 64 bits");
        Self(u64::try_from(print.key >> 64).expect("shifted to 64 bits"), low, print.content)
    }
}

impl From<Print> for Fingerprint {
    fn from(Print(high, low, content): Print) -> Self {
        Self { key: (u128::from(high) << 64) | u128::from(low), content }
    }
}

/// What a node answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Rooms(Vec<RoomPart>),
    Channels(Vec<ChannelSummary>),
    Status(Box<NodeStatus>),
    Topics(Vec<String>),
    /// `None` where it has no such channel.
    Members(Option<MembersPart>),
    /// `None` where it has no such channel.
    Watch(Option<MembersHere>),
    /// Connections that got it, or got it before.
    Deliver(Delivered),
    /// Connections that are being closed.
    Kick(u64),
    /// It is no more.
    Ended,
}

/// A room as one node, or one shard, has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RoomPart {
    pub(crate) room: Room,
    pub(crate) members: u64,
    pub(crate) channels: u64,
    /// Hashes of its channels' names, the same on all nodes; empty where there is nobody to compare them with.
    pub(crate) names: Vec<u64>,
}

/// A page of a topic's members on one node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MembersPart {
    pub(crate) members: Vec<Member>,
    pub(crate) total: u64,
}

/// A topic's members on one node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MembersHere {
    pub(crate) count: u64,
    /// The members; empty unless they were asked for.
    pub(crate) list: Vec<Presence>,
    /// Its work groups.
    #[serde(default)]
    pub(crate) groups: Vec<GroupHere>,
    /// Where it was opened; none while it is being opened.
    #[serde(default)]
    pub(crate) opened_at: Option<Position>,
}

/// A work group as one node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupHere {
    pub(crate) group: Group,
    /// Members here.
    pub(crate) members: u64,
    /// Of all nodes, as this one heard last.
    pub(crate) pending: u64,
    pub(crate) cursor: Position,
}

/// What became of a message to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Delivered {
    /// They are not here.
    Nobody,
    /// They got it.
    Now,
    /// They got it before, under the same id.
    Before,
    /// The id was used for another message.
    Conflict,
}

/// Something that happened on a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    /// A message to the members of a room, or to everyone.
    Broadcast { room: Option<Room>, body: Box<RawValue>, print: Option<Print> },
    /// A client joined or left; `presence.members` are those of that node.
    Presence {
        #[serde(with = "text")]
        topic: Topic,
        joined: bool,
        presence: Presence,
    },
    /// A topic was opened there, at this position.
    Opened {
        #[serde(with = "text")]
        topic: Topic,
        head: Position,
    },
    /// A client id was taken up again there.
    Resumed(ClientId),
}

impl Said {
    /// As a part of a letter.
    pub(crate) fn encode(&self) -> String {
        serde_json::to_string(self).expect("there is no map whose keys are not text")
    }
}

impl Letter {
    /// A letter of what was said, each encoded already.
    pub(crate) fn encode(from: &ClientId, said: &[String]) -> String {
        format!(r#"{{"form":{FORM},"from":"{from}","said":[{}]}}"#, said.join(","))
    }

    /// `None` where it is no letter that this node understands.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|letter: &Self| letter.form == FORM && letter.from.as_bytes()[0] == b'n')
    }
}

/// Something by its own text form.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("not of this form"))
    }
}
