//! The closed list of what telemetry may tell.

use std::borrow::Cow;
use std::net::SocketAddr;

use arqonbus_protocol::{ClientId, CommandSpec, ErrorCode, GapReason, Group, MessageId, Pattern, StorageState, Topic, UserId};
use serde::Serialize;
use tracing::Level;

use super::labels::{Ended, Label, Returned, TurnedAway, label};

/// One thing that happened and that an operator may want to know.
#[derive(Debug, Clone)]
pub enum Signal<'a> {
    /// The server listens.
    Started {
        /// For clients.
        listen: SocketAddr,
    },
    /// A session began.
    Connected {
        /// Its identity.
        client: ClientId,
        /// Where it comes from; in the log only.
        peer: Option<SocketAddr>,
    },
    /// A session introduced itself by `connect`.
    Identified {
        /// Its identity from now on.
        client: ClientId,
        /// Whom it acts for.
        user: Option<UserId>,
        /// The name it gave.
        name: Option<&'a str>,
        /// The software it named.
        agent: Option<&'a str>,
    },
    /// A session ended.
    Disconnected {
        /// Its identity.
        client: ClientId,
        /// Whom it acted for.
        user: Option<UserId>,
        /// How.
        ended: Ended,
    },
    /// A connection was refused before it became a session.
    TurnedAway {
        /// Why.
        reason: TurnedAway,
    },
    /// Accepting pauses because no file descriptor is left.
    AcceptPaused,
    /// A client joined a topic or pattern.
    Joined {
        /// Who.
        client: ClientId,
        /// Whom it acts for.
        user: Option<UserId>,
        /// What; a topic becomes a pattern by `into`.
        joined: Pattern,
    },
    /// A client left what it had joined, also by disconnecting.
    Left {
        /// Who.
        client: ClientId,
        /// Whom it acts for.
        user: Option<UserId>,
        /// What.
        left: Pattern,
    },
    /// A channel came to be.
    Created {
        /// Which.
        topic: Topic,
        /// By whom; none where the configuration declares it.
        client: Option<ClientId>,
    },
    /// A channel was deleted.
    Deleted {
        /// Which.
        topic: Topic,
        /// By whom.
        client: ClientId,
    },
    /// An idle empty topic was forgotten.
    Forgotten {
        /// Which.
        topic: Topic,
    },
    /// Another node was heard of for the first time.
    NodeUp {
        /// Which.
        node: ClientId,
    },
    /// Another node is dead, or said that it goes.
    NodeDown {
        /// Which.
        node: ClientId,
    },
    /// A request was refused.
    Refused {
        /// Who asked; none over HTTP.
        client: Option<ClientId>,
        /// The topic that it was about, where there is one.
        topic: Option<Topic>,
        /// The command; none for messages and for what could not be read.
        command: Option<&'static CommandSpec>,
        /// The request's id, where one was readable.
        id: Option<MessageId>,
        /// Why.
        code: ErrorCode,
    },
    /// A connection is closed because it reads too slowly.
    SlowConsumer {
        /// Who.
        client: ClientId,
        /// Whom it acts for.
        user: Option<UserId>,
        /// What waited for it.
        queued_bytes: u64,
    },
    /// A subscriber was told of a gap.
    Gap {
        /// Who.
        client: ClientId,
        /// In which topic.
        topic: Topic,
        /// Why.
        reason: GapReason,
    },
    /// Jobs came back to their group.
    Redelivered {
        /// Whose group.
        topic: Topic,
        /// Which group.
        group: Group,
        /// How many.
        jobs: u64,
        /// Why.
        why: Returned,
    },
    /// A dead job was published as a dead letter, and settled.
    DeadLettered {
        /// Whose group.
        topic: Topic,
        /// Which group.
        group: Group,
    },
    /// A dead job was settled, and is published nowhere.
    Discarded {
        /// Whose group.
        topic: Topic,
        /// Which group.
        group: Group,
    },
    /// A group without members was forgotten.
    GroupForgotten {
        /// Whose group.
        topic: Topic,
        /// Which group.
        group: Group,
        /// What it had not settled.
        jobs: u64,
    },
    /// Message ids were forgotten before their window was over.
    DedupEvicted {
        /// How many.
        ids: u64,
    },
    /// The store is in another state.
    Storage {
        /// The new one.
        state: StorageState,
    },
    /// The server begins to shut down.
    Draining {
        /// Open connections.
        connections: u64,
    },
    /// The server has shut down.
    Drained {
        /// Connections that had to be cut.
        cut: u64,
    },
}

label! {
    /// The name of a [`Signal`], without its facts.
    SignalKind "signal" {
        /// [`Signal::Started`].
        Started = "started",
        /// [`Signal::Connected`].
        Connected = "connected",
        /// [`Signal::Identified`].
        Identified = "identified",
        /// [`Signal::Disconnected`].
        Disconnected = "disconnected",
        /// [`Signal::TurnedAway`].
        TurnedAway = "turned_away",
        /// [`Signal::AcceptPaused`].
        AcceptPaused = "accept_paused",
        /// [`Signal::Joined`].
        Joined = "joined",
        /// [`Signal::Left`].
        Left = "left",
        /// [`Signal::Created`].
        Created = "created",
        /// [`Signal::Deleted`].
        Deleted = "deleted",
        /// [`Signal::Forgotten`].
        Forgotten = "forgotten",
        /// [`Signal::NodeUp`].
        NodeUp = "node_up",
        /// [`Signal::NodeDown`].
        NodeDown = "node_down",
        /// [`Signal::Refused`].
        Refused = "refused",
        /// [`Signal::SlowConsumer`].
        SlowConsumer = "slow_consumer",
        /// [`Signal::Gap`].
        Gap = "gap",
        /// [`Signal::Redelivered`].
        Redelivered = "redelivered",
        /// [`Signal::DeadLettered`].
        DeadLettered = "dead_lettered",
        /// [`Signal::Discarded`].
        Discarded = "discarded",
        /// [`Signal::GroupForgotten`].
        GroupForgotten = "group_forgotten",
        /// [`Signal::DedupEvicted`].
        DedupEvicted = "dedup_evicted",
        /// [`Signal::Storage`].
        Storage = "storage",
        /// [`Signal::Draining`].
        Draining = "draining",
        /// [`Signal::Drained`].
        Drained = "drained",
    }
}

impl Signal<'_> {
    /// Which it is.
    #[must_use]
    pub fn kind(&self) -> SignalKind {
        match self {
            Self::Started { .. } => SignalKind::Started,
            Self::Connected { .. } => SignalKind::Connected,
            Self::Identified { .. } => SignalKind::Identified,
            Self::Disconnected { .. } => SignalKind::Disconnected,
            Self::TurnedAway { .. } => SignalKind::TurnedAway,
            Self::AcceptPaused => SignalKind::AcceptPaused,
            Self::Joined { .. } => SignalKind::Joined,
            Self::Left { .. } => SignalKind::Left,
            Self::Created { .. } => SignalKind::Created,
            Self::Deleted { .. } => SignalKind::Deleted,
            Self::Forgotten { .. } => SignalKind::Forgotten,
            Self::NodeUp { .. } => SignalKind::NodeUp,
            Self::NodeDown { .. } => SignalKind::NodeDown,
            Self::Refused { .. } => SignalKind::Refused,
            Self::SlowConsumer { .. } => SignalKind::SlowConsumer,
            Self::Gap { .. } => SignalKind::Gap,
            Self::Redelivered { .. } => SignalKind::Redelivered,
            Self::DeadLettered { .. } => SignalKind::DeadLettered,
            Self::Discarded { .. } => SignalKind::Discarded,
            Self::GroupForgotten { .. } => SignalKind::GroupForgotten,
            Self::DedupEvicted { .. } => SignalKind::DedupEvicted,
            Self::Storage { .. } => SignalKind::Storage,
            Self::Draining { .. } => SignalKind::Draining,
            Self::Drained { .. } => SignalKind::Drained,
        }
    }

    /// How loud it is in the log. What a client can cause at will is quiet, so that none can flood the log at its default level.
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Refused { code: ErrorCode::Internal, .. } => Level::ERROR,
            Self::AcceptPaused | Self::SlowConsumer { .. } | Self::DedupEvicted { .. } | Self::Storage { state: StorageState::Degraded } => {
                Level::WARN
            }
            Self::Started { .. }
            | Self::NodeUp { .. }
            | Self::NodeDown { .. }
            | Self::Storage { .. }
            | Self::Draining { .. }
            | Self::Drained { .. } => Level::INFO,
            Self::Connected { .. }
            | Self::Identified { .. }
            | Self::Disconnected { .. }
            | Self::TurnedAway { .. }
            | Self::Joined { .. }
            | Self::Left { .. }
            | Self::Created { .. }
            | Self::Deleted { .. }
            | Self::Forgotten { .. }
            | Self::Refused { .. }
            | Self::Gap { .. }
            | Self::Redelivered { .. }
            | Self::DeadLettered { .. }
            | Self::Discarded { .. }
            | Self::GroupForgotten { .. } => Level::DEBUG,
        }
    }

    /// What is known about it, by the names that logs and activity events use.
    pub(super) fn facts(&self) -> Facts<'_> {
        let none = Facts::default();
        match self {
            Self::Started { listen } => Facts { listen: Some(*listen), ..none },
            Self::NodeUp { node } | Self::NodeDown { node } => Facts { client: Some(node), ..none },
            Self::Connected { client, peer } => Facts { client: Some(client), peer: *peer, ..none },
            Self::Identified { client, user, name, agent } => Facts { client: Some(client), user: user.as_ref(), name: *name, agent: *agent, ..none },
            Self::Disconnected { client, user, ended } => Facts { client: Some(client), user: user.as_ref(), code: Some(ended.text()), ..none },
            Self::TurnedAway { reason } => Facts { reason: Some(reason.text()), ..none },
            Self::AcceptPaused => none,
            Self::Joined { client, user, joined: pattern } | Self::Left { client, user, left: pattern } => {
                Facts { client: Some(client), user: user.as_ref(), ..Facts::of_pattern(pattern) }
            }
            Self::Created { topic, client } => Facts { client: client.as_ref(), ..Facts::of_topic(topic) },
            Self::Deleted { topic, client } => Facts { client: Some(client), ..Facts::of_topic(topic) },
            Self::Forgotten { topic } => Facts::of_topic(topic),
            Self::Refused { client, topic, command, id, code } => Facts {
                client: client.as_ref(),
                command: command.map(|spec| spec.name),
                id: id.as_ref(),
                code: Some(code.as_str().into()),
                ..topic.as_ref().map_or(none, Facts::of_topic)
            },
            Self::SlowConsumer { client, user, queued_bytes } => {
                Facts { client: Some(client), user: user.as_ref(), queued_bytes: Some(*queued_bytes), ..none }
            }
            Self::Gap { client, topic, reason } => Facts { client: Some(client), reason: Some(reason.as_str().into()), ..Facts::of_topic(topic) },
            Self::Redelivered { topic, group, jobs, why } => {
                Facts { group: Some(group), count: Some(*jobs), reason: Some(why.text()), ..Facts::of_topic(topic) }
            }
            Self::DeadLettered { topic, group } | Self::Discarded { topic, group } => Facts { group: Some(group), ..Facts::of_topic(topic) },
            Self::GroupForgotten { topic, group, jobs } => Facts { group: Some(group), count: Some(*jobs), ..Facts::of_topic(topic) },
            Self::DedupEvicted { ids: count } | Self::Draining { connections: count } | Self::Drained { cut: count } => {
                Facts { count: Some(*count), ..none }
            }
            Self::Storage { state } => Facts { state: Some(state.text()), ..none },
        }
    }
}

impl SignalKind {
    /// The same as a few words, for the log.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Started => "listening",
            Self::Connected => "client connected",
            Self::Identified => "client introduced itself",
            Self::Disconnected => "client disconnected",
            Self::TurnedAway => "connection refused",
            Self::AcceptPaused => "no file descriptor left, accepting pauses",
            Self::Joined => "client joined",
            Self::Left => "client left",
            Self::Created => "channel created",
            Self::Deleted => "channel deleted",
            Self::Forgotten => "idle topic forgotten",
            Self::NodeUp => "node is there",
            Self::NodeDown => "node is gone",
            Self::Refused => "request refused",
            Self::SlowConsumer => "slow consumer closed",
            Self::Gap => "gap told",
            Self::Redelivered => "jobs came back",
            Self::DeadLettered => "dead job published",
            Self::Discarded => "dead job discarded",
            Self::GroupForgotten => "group without members forgotten",
            Self::DedupEvicted => "message ids forgotten early",
            Self::Storage => "store changed state",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

/// What is known about a signal. What is foreign text (`name`, `agent`) is escaped wherever it is written.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<&'a ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<&'a Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queued_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<&'a str>,
    /// Addresses are the operator's business, not that of whoever listens on the bus.
    #[serde(skip)]
    pub(super) peer: Option<SocketAddr>,
    #[serde(skip)]
    pub(super) listen: Option<SocketAddr>,
}

impl<'a> Facts<'a> {
    fn of_topic(topic: &'a Topic) -> Self {
        Self { room: Some(topic.room.as_str()), channel: Some(topic.channel.as_str()), ..Self::default() }
    }

    fn of_pattern(pattern: &'a Pattern) -> Self {
        Self { room: Some(pattern.room.as_str()), channel: Some(pattern.channel.as_str()), ..Self::default() }
    }
}
