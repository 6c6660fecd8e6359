//! What a session asks of the shard that owns a topic, client or user.

use std::sync::Arc;

use arqonbus_protocol::{
    ChannelInfoArgs, ClientId, CommandSpec, CreateChannelArgs, DeleteChannelArgs, Epoch, Group, HistoryArgs, JoinArgs, ListChannelsArgs,
    ListRoomsArgs, MembersArgs, MessageId, Pattern, Position, Target, Topic, UserId,
};
use bytes::Bytes;

use super::PeerOp;
use super::groups::GroupOp;
use crate::peers::letter::Whom;
use crate::session::Identity;
use crate::slots::Key;
use crate::storage::{Entry, Fingerprint};

/// A shard, by number.
pub(crate) type ShardId = u16;

/// A connection, wherever it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnId {
    pub(crate) shard: ShardId,
    pub(crate) key: Key,
}

/// A lane, wherever it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneId {
    pub(crate) shard: ShardId,
    pub(crate) key: Key,
}

/// Who asks, and under which id the answer goes back.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) conn: ConnId,
    pub(crate) who: Arc<Identity>,
    pub(crate) request_id: MessageId,
    /// The command that asks; none for a message.
    pub(crate) command: Option<&'static CommandSpec>,
}

/// One question to a home. Questions of one connection to one home stay in order.
#[derive(Debug)]
pub(crate) enum Op {
    /// For the lane of a topic.
    Lane(Topic, Box<LaneOp>),
    /// A message to its target.
    Send(Box<PublishOp>),
    /// Join all topics that match, here.
    JoinPattern { asked: Asked, gather: u32, args: Box<JoinArgs> },
    /// Leave a pattern, here; somebody may wait for it to be over.
    LeavePattern { conn: ConnId, pattern: Pattern, gather: Option<u32> },
    /// A member by a pattern is not one by name.
    Unname { lane: LaneId, conn: ConnId },
    /// The next page for a member that is catching up.
    CatchUp { lane: LaneId, conn: ConnId, from: Position },
    /// A connection is gone from a lane.
    Part { lane: LaneId, conn: ConnId },
    /// A connection is gone from a work group, or was never let in.
    PartGroup { lane: LaneId, conn: ConnId, group: Group },
    /// A connection is gone; forget its patterns.
    PartPatterns { conn: ConnId },
    /// A connection now answers to a client id.
    Register { asked: Asked, reply: Option<Bytes>, resumed: bool },
    /// A connection no longer answers to a client id.
    Unregister { client: ClientId, conn: ConnId },
    /// A connection now acts for a user.
    RegisterUser { user: UserId, conn: ConnId, then: Box<(ShardId, Op)> },
    /// A connection no longer acts for a user.
    UnregisterUser { user: UserId, conn: ConnId },
    /// Close the connections of a client or user.
    Kick { asked: Asked, whom: Whom },
    /// List rooms, here.
    ListRooms { asked: Asked, gather: u32, args: ListRoomsArgs },
    /// List a room's channels, here.
    ListChannels { asked: Asked, gather: u32, args: Box<ListChannelsArgs> },
    /// Count, here.
    Status { asked: Asked, gather: u32 },
    /// Answer once what a connection has published here is done or refused.
    Settled { conn: ConnId, gather: u32 },
    /// Another node asks or tells something.
    Peer(Box<PeerOp>),
}

/// One question to a lane.
#[derive(Debug)]
pub(crate) enum LaneOp {
    Publish(Box<PublishOp>),
    Join(Box<JoinOp>),
    Leave {
        asked: Asked,
    },
    Create {
        asked: Asked,
        args: Box<CreateChannelArgs>,
    },
    Delete {
        asked: Asked,
        args: Box<DeleteChannelArgs>,
    },
    Info {
        asked: Asked,
        args: Box<ChannelInfoArgs>,
    },
    Members {
        asked: Asked,
        args: Box<MembersArgs>,
    },
    History {
        asked: Asked,
        args: Box<HistoryArgs>,
        /// The epoch that it was last read by.
        epoch: Option<Epoch>,
    },
    CatchUp {
        conn: ConnId,
        from: Position,
    },
    /// A member of a pattern enters the lane, which is new.
    Born {
        /// Where it begins for those who join by pattern, if not where the lane was opened.
        since: Option<Position>,
        /// Whether all is theirs that came since any node has it open: they were there before.
        whole: bool,
        asked: Asked,
        presence: bool,
    },
    /// A member of a pattern leaves it.
    LeavePattern {
        conn: ConnId,
    },
    /// A member by a pattern is not one by name.
    Unname {
        conn: ConnId,
    },
    /// The log was deleted on another node.
    Ended {
        by: ClientId,
    },
    /// About a work group.
    Group(GroupOp),
}

/// A message that is ready to be stored and delivered.
#[derive(Debug)]
pub(crate) struct PublishOp {
    pub(crate) asked: Asked,
    pub(crate) target: Target,
    pub(crate) entry: Entry,
    /// Set where the client gave an id.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) request: bool,
    pub(crate) ack: bool,
    pub(crate) exclude_sender: bool,
    /// A request of which other nodes were asked whether anybody there can answer it, and somebody can.
    pub(crate) asked_abroad: bool,
    /// When it was read, in microseconds of the clock.
    pub(crate) received_us: u64,
    /// What is asked once it is stored; for what the bus publishes by itself.
    pub(crate) then: Option<Box<(ShardId, Op)>>,
}

/// One member's way into one lane.
#[derive(Debug)]
pub(crate) struct JoinOp {
    pub(crate) asked: Asked,
    pub(crate) since: Option<Position>,
    pub(crate) replay: Option<u32>,
    pub(crate) presence: bool,
    /// The gather of the pattern join that this is a part of.
    pub(crate) pattern: Option<PatternPart>,
}

/// A topic's part in a pattern join.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatternPart {
    pub(crate) gather: u32,
    /// Whether delivery begins with the first held message where no position is known.
    pub(crate) resumes: bool,
}

impl LaneOp {
    /// Where the answer is gathered, for a part of a pattern join.
    pub(super) fn gather(&self) -> Option<(ConnId, u32)> {
        let Self::Join(join) = self else { return None };
        join.pattern.map(|part| (join.asked.conn, part.gather))
    }

    /// Whether it lets a member in.
    pub(super) fn lets_in(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Born { .. } | Self::Group(GroupOp::Join(_)))
    }

    /// Who waits for the answer.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        match self {
            Self::Publish(publish) => Some(&publish.asked),
            Self::Join(join) => Some(&join.asked),
            Self::Leave { asked }
            | Self::Create { asked, .. }
            | Self::Delete { asked, .. }
            | Self::Info { asked, .. }
            | Self::Members { asked, .. }
            | Self::History { asked, .. } => Some(asked),
            Self::Group(op) => op.asked(),
            Self::CatchUp { .. } | Self::Born { .. } | Self::LeavePattern { .. } | Self::Unname { .. } | Self::Ended { .. } => None,
        }
    }
}
