//! What a home tells the shard where a connection lives.

use arqonbus_protocol::{ChannelSummary, CloseCode, Group, MessageId, NodeStatus, Position, PublishResult, Refusal, Room, StorageState, TopicStart};
use bytes::Bytes;

use super::Frames;
use crate::peers::letter::{Answer, RoomPart};
use crate::routing::{Abroad, LaneId, Op, ShardId};
use crate::slots::Key;

/// One value on the edge from a home to a shard's connections. Deliveries from one home stay in order.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// One envelope to one connection.
    To { conn: Key, body: Bytes },
    /// The answer to a publish, written where it goes out: most deliveries are these, and none needs a buffer of its own.
    Acked { conn: Key, request_id: MessageId, result: PublishResult },
    /// Envelopes to everyone here who is in a lane's audience.
    Fan { lane: LaneId, frames: Frames, except: Option<Key> },
    /// One envelope to everyone here who is in any channel of a room.
    Room { room: Room, body: Bytes, except: Option<Key> },
    /// One envelope to everyone here.
    Everyone { body: Bytes, except: Option<Key> },
    /// A connection enters a lane.
    Enter { lane: LaneId, conn: Key, opening: Box<Opening> },
    /// The next page of a member that is catching up.
    Page { lane: LaneId, conn: Key, gap: Option<Bytes>, bodies: Vec<Bytes>, then: Then },
    /// A connection leaves a lane.
    Exit { lane: LaneId, conn: Key, reply: Option<Bytes> },
    /// A lane is no more; its audience is told by `event`.
    Ended { lane: LaneId, event: Bytes },
    /// One shard's part of an answer that every shard has a part in.
    Part { conn: Key, gather: u32, part: Part },
    /// Go on with this question, for as long as the connection is there.
    Ask { conn: Key, next: Box<(ShardId, Op)> },
    /// A connection enters a work group, and is answered.
    EnterGroup { lane: LaneId, conn: Key, opening: Box<GroupOpening> },
    /// A member's jobs, after what it has to be told before.
    Jobs { lane: LaneId, conn: Key, group: Group, gap: Option<Bytes>, bodies: Vec<Bytes> },
    /// A connection leaves a work group.
    ExitGroup { lane: LaneId, conn: Key, group: Group, reply: Option<Bytes> },
    /// Go on with this question, whoever is there.
    Relay { next: Box<(ShardId, Op)> },
    /// For other nodes: only to the shard that stands for them.
    Abroad(Box<Abroad>),
    /// Close a connection.
    Close { conn: Key, code: CloseCode },
}

impl Delivery {
    /// The connection that it is for, where it is for one alone.
    pub(super) fn receiver(&self) -> Option<Key> {
        match self {
            Self::To { conn, .. }
            | Self::Acked { conn, .. }
            | Self::Enter { conn, .. }
            | Self::Page { conn, .. }
            | Self::Exit { conn, .. }
            | Self::Part { conn, .. }
            | Self::EnterGroup { conn, .. }
            | Self::Jobs { conn, .. }
            | Self::ExitGroup { conn, .. }
            | Self::Ask { conn, .. }
            | Self::Close { conn, .. } => Some(*conn),
            Self::Fan { .. } | Self::Room { .. } | Self::Everyone { .. } | Self::Ended { .. } | Self::Relay { .. } | Self::Abroad(_) => None,
        }
    }
}

/// How a member begins.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// Where it begins; part of the answer.
    pub(crate) start: TopicStart,
    /// Told before the first message.
    pub(crate) gap: Option<Bytes>,
    pub(crate) then: Then,
    pub(crate) asked: OpeningAsked,
}

/// How a member of a work group begins.
#[derive(Debug)]
pub(crate) struct GroupOpening {
    pub(crate) group: Group,
    pub(crate) request_id: MessageId,
    pub(crate) reply: Bytes,
    /// Told before the first job.
    pub(crate) gap: Option<Bytes>,
}

/// Who waits for the opening.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OpeningAsked {
    /// A join of this topic.
    Join(MessageId),
    /// A pattern join, through its gather.
    Pattern(u32),
    /// Nobody: the topic was born after the pattern was joined.
    Born,
}

/// What follows an opening or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The member has caught up and gets what comes.
    Live,
    /// There is more after this position.
    More(Position),
    /// There is more after this position, but not now.
    Later(Position),
}

/// A shard's part of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Lanes here that match a pattern; each sends its opening.
    Pattern { lanes: u32 },
    /// A pattern is left here.
    Left,
    /// What the connection published here is done or refused.
    Settled,
    /// Rooms here.
    Rooms(Vec<RoomPart>),
    /// Channels here.
    Channels(Vec<ChannelSummary>),
    /// Counts here.
    Status(StatusPart),
    /// What other nodes have.
    Foreign(Box<ForeignPart>),
    /// An answer to another node.
    Peer(Box<Answer>),
    /// It cannot be answered here.
    Refused(Box<Refusal>),
    /// A lane that matches a pattern cannot be joined.
    LaneRefused(Box<Refusal>),
    /// A lane that matched a pattern is no more.
    LaneGone,
}

/// Other nodes' part of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForeignPart {
    pub(crate) rooms: Vec<RoomPart>,
    pub(crate) channels: Vec<ChannelSummary>,
    pub(crate) nodes: Vec<NodeStatus>,
    /// Whether one of them did not answer.
    pub(crate) incomplete: bool,
}

/// A shard's counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusPart {
    pub(crate) rooms: Vec<Room>,
    pub(crate) channels: u64,
    pub(crate) joins: u64,
    pub(crate) held_messages: u64,
    pub(crate) held_bytes: u64,
    /// What keeps it, and how that is.
    pub(crate) storage: Option<(&'static str, StorageState)>,
}
