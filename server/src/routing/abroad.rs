//! What a home has to do with other nodes: what it asks and tells them, and what it does for them.
//!
//! The rest of the bus is one more shard, [`Shared::abroad`](crate::shared::Shared::abroad): questions to it are deliveries, its own are [`Op`](super::Op)s.

use std::sync::Arc;

use arqonbus_protocol::{
    ChannelInfoResult, ClientId, CloseCode, DeleteChannelResult, EventBody, JoinArgs, MembersArgs, MembersResult, Pattern, Position, Presence, Topic,
    encode_event,
};
use bytes::Bytes;

use super::op::{Asked, LaneOp, PublishOp};
use super::verdict::Verdict;
use super::{ConnId, Home};
use crate::fanout::Delivery;
use crate::peers::letter::{Answer, Delivered, MembersHere, MembersPart, News, Private, Whom};
use crate::session::Identity;
use crate::slots::Key;
use crate::storage;

/// What a home asks or tells other nodes.
#[derive(Debug)]
pub(crate) enum Abroad {
    /// Add theirs to a page of members; there is no page where the channel is unknown here.
    Members { asked: Asked, args: Box<MembersArgs>, own: Option<MembersResult> },
    /// Add theirs to the members of a channel.
    Info { asked: Asked, own: Box<ChannelInfoResult> },
    /// The channel is unknown here: is it known elsewhere?
    Exists { topic: Topic, op: Box<LaneOp> },
    /// Nobody here can answer this request: can anybody elsewhere?
    Request { topic: Topic, publish: Box<PublishOp> },
    /// Deliver to a client or user who may be elsewhere; `here` says what became of it here.
    Send { publish: Box<PublishOp>, here: Delivered },
    /// Deliver to a room or to everyone on all nodes.
    Broadcast { publish: Box<PublishOp>, duplicate: bool },
    /// Close their connections too; so many are being closed here.
    Kick { asked: Asked, whom: Whom, here: u64 },
    /// A channel was deleted; its deleter is answered once all others know.
    Ended { asked: Asked, topic: Topic, result: DeleteChannelResult },
    /// Who is in this topic elsewhere? The members themselves where `list`.
    Watch { topic: Topic, list: bool },
    /// Where did others open this topic?
    Birthplace { topic: Topic },
    /// Which topics that match are open elsewhere? They are opened here.
    Topics { pattern: Pattern },
    /// Something happened here.
    Tell(Box<News>),
}

/// What other nodes ask or tell a home. An answer goes back under the number of the question.
#[derive(Debug)]
pub(crate) enum PeerOp {
    Members {
        number: u32,
        args: Box<MembersArgs>,
    },
    Watch {
        number: u32,
        topic: Topic,
        list: bool,
    },
    Deliver {
        number: u32,
        private: Box<Private>,
    },
    Kick {
        number: u32,
        whom: Whom,
    },
    /// A channel was deleted on another node.
    Ended {
        number: u32,
        topic: Topic,
        by: ClientId,
    },
    /// A client joined or left on another node.
    Presence {
        node: ClientId,
        topic: Topic,
        joined: bool,
        presence: Box<Presence>,
    },
    /// Who is in a topic on another node; the members themselves where `listed`.
    Watched {
        node: ClientId,
        topic: Topic,
        here: MembersHere,
        listed: bool,
    },
    /// A client id was taken up elsewhere.
    Resumed {
        client: ClientId,
    },
    /// The topics here that match.
    Topics {
        number: u32,
        pattern: Pattern,
    },
    /// A topic was opened on another node.
    Opened {
        topic: Topic,
        head: Option<Position>,
    },
    /// Where others opened a topic, as far as they have it.
    Birthplace {
        topic: Topic,
        opened: Vec<Position>,
    },
    /// A topic that is open elsewhere, for a pattern that is being joined here.
    Found {
        topic: Topic,
        asked: Asked,
        gather: u32,
        args: Box<JoinArgs>,
    },
    /// All that others have of a pattern that is being joined here has been told.
    PatternSettled {
        conn: ConnId,
        pattern: Pattern,
    },
    /// A node is gone, with all who were on it.
    Gone {
        node: ClientId,
    },
    /// What is known of other nodes' members may be wrong: ask anew. A node that is new had nobody until now.
    Doubt {
        new: Option<ClientId>,
    },
    /// What is known elsewhere of what was asked of a topic here.
    Settled {
        topic: Topic,
        op: Box<LaneOp>,
        verdict: Verdict,
    },
}

/// One other node's members of a lane.
#[derive(Debug)]
pub(crate) struct Foreign {
    node: ClientId,
    count: u64,
    /// The members themselves, where somebody here watches.
    list: Vec<Presence>,
    /// Whether the list is whole: it was given once since somebody watches.
    listed: bool,
}

impl Home {
    /// Asks or tells other nodes.
    pub(crate) fn abroad(&mut self, abroad: Abroad) {
        if let Some(shard) = self.shared.abroad {
            self.egress.push(shard, Delivery::Abroad(Box::new(abroad)));
        }
    }

    pub(crate) fn has_peers(&self) -> bool {
        self.shared.abroad.is_some()
    }

    /// Does what another node asks or tells.
    pub(super) fn peer(&mut self, op: PeerOp) {
        match op {
            PeerOp::Members { number, args } => self.members_for(number, &args),
            PeerOp::Watch { number, topic, list } => self.watch_for(number, &topic, list),
            PeerOp::Deliver { number, private } => self.deliver_for(number, &private),
            PeerOp::Kick { number, whom } => {
                let closed = self.close_all(&whom);
                self.answer_abroad(number, Answer::Kick(closed));
            }
            PeerOp::Ended { number, topic, by } => {
                self.ended_abroad(&topic, by);
                self.answer_abroad(number, Answer::Ended);
            }
            PeerOp::Presence { node, topic, joined, presence } => self.foreign_presence(node, &topic, joined, *presence),
            PeerOp::Watched { node, topic, here, listed } => self.watched(node, &topic, here, listed),
            PeerOp::Resumed { client } => {
                if let Some(conn) = self.directory.client(&client) {
                    self.egress.push(conn.shard, Delivery::Close { conn: conn.key, code: CloseCode::Replaced });
                }
            }
            PeerOp::Topics { number, pattern } => self.topics_for(number, &pattern),
            PeerOp::Opened { topic, head } => self.opened_abroad(topic, head),
            PeerOp::Birthplace { topic, opened } => self.let_unborn_in(&topic, &opened),
            PeerOp::Found { topic, asked, gather, args } => self.join_found(topic, &asked, gather, &args),
            PeerOp::PatternSettled { conn, pattern } => self.pattern_settled(conn, &pattern),
            PeerOp::Gone { node } => self.node_gone(&node),
            PeerOp::Doubt { new } => self.doubt(new),
            PeerOp::Settled { topic, op, verdict } => self.go_on(topic, *op, &verdict),
        }
    }

    /// Lets other nodes know who came or went here.
    pub(super) fn tell_abroad(&mut self, topic: Topic, joined: bool, who: &Arc<Identity>, here: u64) {
        if self.has_peers() {
            self.abroad(Abroad::Tell(Box::new(News::Presence { topic, joined, presence: presence(who, here) })));
        }
    }

    fn members_for(&mut self, number: u32, args: &MembersArgs) {
        let key = self.by_topic.get(&Topic { room: args.room, channel: args.channel }).copied();
        let part = key.and_then(|key| self.lanes.get(key)).map(|lane| {
            let MembersResult { members, total, .. } = crate::commands::members_page(lane, args);
            MembersPart { members, total }
        });
        self.answer_abroad(number, Answer::Members(part));
    }

    fn watch_for(&mut self, number: u32, topic: &Topic, list: bool) {
        let lane = self.by_topic.get(topic).and_then(|key| self.lanes.get(*key));
        let here = lane.map(|lane| MembersHere {
            count: lane.members.len() as u64,
            list: if list { lane.members.values().map(|member| presence(&member.who, lane.members.len() as u64)).collect() } else { Vec::new() },
            groups: lane.groups.iter().map(|(name, group)| group.here(*name)).collect(),
            opened_at: lane.opened_at,
        });
        self.answer_abroad(number, Answer::Watch(here));
    }

    /// Delivers another node's message to whoever it names and is here.
    fn deliver_for(&mut self, number: u32, private: &Private) {
        let print = private.print.map(storage::Fingerprint::from);
        #[cfg(any(test, feature = "sabotage"))]
        let print = print.filter(|_| !self.sabotages(crate::sim::Sabotage::ForgetIdsElsewhere));
        let delivered = match print.map(|print| self.sent.check(print, self.now)) {
            Some(storage::Verdict::Duplicate(())) => Delivered::Before,
            Some(storage::Verdict::Conflict) => Delivered::Conflict,
            None | Some(storage::Verdict::Fresh) => {
                let found = self.found(&private.whom);
                let body = Bytes::copy_from_slice(private.body.get().as_bytes());
                for conn in &found {
                    self.egress.send(*conn, body.clone());
                }
                if let Some(print) = print.filter(|_| !found.is_empty()) {
                    self.sent.remember(print, (), self.now);
                }
                if found.is_empty() { Delivered::Nobody } else { Delivered::Now }
            }
        };
        self.answer_abroad(number, Answer::Deliver(delivered));
    }

    /// The connections here of a client or user.
    pub(super) fn found(&self, whom: &Whom) -> Vec<ConnId> {
        match whom {
            Whom::Client(client) => self.directory.client(client).into_iter().collect(),
            Whom::User(user) => self.directory.user(user).to_vec(),
        }
    }

    /// Closes the connections here of a client or user; gives how many.
    pub(super) fn close_all(&mut self, whom: &Whom) -> u64 {
        let found = self.found(whom);
        for conn in &found {
            self.egress.push(conn.shard, Delivery::Close { conn: conn.key, code: CloseCode::Forbidden });
        }
        found.len() as u64
    }

    fn foreign_presence(&mut self, node: ClientId, topic: &Topic, joined: bool, presence: Presence) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let watched = lane.watchers > 0;
        let foreign = lane.foreign_of(node);
        foreign.count = presence.members;
        let known = foreign.list.iter().position(|member| member.client == presence.client);
        let news = if joined { known.is_none() } else { known.is_some() };
        match known {
            Some(at) if !joined => drop(foreign.list.swap_remove(at)),
            None if joined && watched => foreign.list.push(presence.clone()),
            _ => {}
        }
        if watched && news {
            self.tell_foreign(key, presence, joined);
        }
    }

    /// Takes who is in a topic on another node, and tells those who watch what is different from what was known.
    fn watched(&mut self, node: ClientId, topic: &Topic, here: MembersHere, listed: bool) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let watched = lane.watchers > 0;
        let foreign = lane.foreign_of(node);
        foreign.count = here.count;
        if !listed {
            return;
        }
        let before = std::mem::replace(&mut foreign.list, here.list.clone());
        // Who is there when somebody begins to watch is no news.
        if !std::mem::replace(&mut foreign.listed, watched) || !watched {
            return;
        }
        let among = |list: &[Presence], member: &Presence| list.iter().any(|other| other.client == member.client);
        let left: Vec<Presence> = before.iter().filter(|member| !among(&here.list, member)).cloned().collect();
        let joined: Vec<Presence> = here.list.into_iter().filter(|member| !among(&before, member)).collect();
        for (members, joined) in [(left, false), (joined, true)] {
            for member in members {
                self.tell_foreign(key, member, joined);
            }
        }
    }

    fn node_gone(&mut self, node: &ClientId) {
        for key in self.lanes.keys() {
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            let Some(at) = lane.foreign.iter().position(|foreign| foreign.node == *node) else { continue };
            for member in lane.foreign.swap_remove(at).list {
                self.tell_foreign(key, member, false);
            }
        }
    }

    /// Asks anew who is elsewhere in the lanes that somebody here watches.
    fn doubt(&mut self, new: Option<ClientId>) {
        self.doubt_patterns();
        for key in self.lanes.keys() {
            let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.watchers > 0) else { continue };
            if let Some(node) = new {
                // Whoever is there is news.
                lane.foreign_of(node).listed = true;
            }
            let topic = lane.topic;
            self.abroad(Abroad::Watch { topic, list: true });
        }
    }

    /// Tells a lane's watchers who came or went elsewhere.
    fn tell_foreign(&mut self, key: Key, presence: Presence, joined: bool) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.watchers > 0) else { return };
        lane.flush(&mut self.egress);
        let presence = Presence { members: lane.members_everywhere(), ..presence };
        let event = if joined { EventBody::Joined(presence) } else { EventBody::Left(presence) };
        let body: Bytes = encode_event(&event, Some(&lane.topic), &self.timestamp).into();
        for (conn, _) in lane.members.iter().filter(|(_, member)| member.presence) {
            self.egress.send(*conn, body.clone());
        }
    }
}

impl super::Lane {
    fn foreign_of(&mut self, node: ClientId) -> &mut Foreign {
        let at = self.foreign.iter().position(|foreign| foreign.node == node).unwrap_or_else(|| {
            self.foreign.push(Foreign { node, count: 0, list: Vec::new(), listed: false });
            self.foreign.len() - 1
        });
        &mut self.foreign[at]
    }

    /// Somebody begins to watch: what is known of others is asked for anew.
    pub(super) fn forget_foreign_lists(&mut self) {
        for foreign in &mut self.foreign {
            foreign.list = Vec::new();
            foreign.listed = false;
        }
    }

    /// Members on all nodes, as far as is known here.
    pub(crate) fn members_everywhere(&self) -> u64 {
        self.members.len() as u64 + self.foreign.iter().map(|foreign| foreign.count).sum::<u64>()
    }
}

/// Who somebody is, for those who watch a topic.
pub(crate) fn presence(who: &Arc<Identity>, members: u64) -> Presence {
    let about = who.about.as_deref();
    Presence {
        client: who.client,
        user: who.user,
        name: about.and_then(|about| about.name.clone()),
        kind: about.and_then(|about| about.kind.clone()),
        members,
    }
}
