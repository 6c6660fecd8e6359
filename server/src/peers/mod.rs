//! The rest of the bus as one more shard: as a home it answers with other nodes' parts, as an edge it stands for their askers.
//!
//! It does no I/O: letters, questions and deliveries in, letters, deliveries and questions out. [`post`] moves them.

mod asks;
pub(crate) mod letter;
mod listing;
mod lookups;
mod merge;
mod patterns;
pub(crate) mod post;
mod roster;
mod switches;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arqonbus_protocol::{ClientId, Topic};
use bytes::Bytes;

use crate::clock::Moment;
use crate::fanout::{Delivery, Part};
use crate::routing::{Abroad, Asked, ConnId, Op, PeerOp, ShardId};
use crate::session::Identity;
use crate::shared::Shared;
use crate::slots::Key;
use crate::storage::redis::store::listing::Listing;
use crate::storage::{DedupWindow, Fingerprint, Verdict};
use crate::telemetry::Signal;
use asks::Ask;
use letter::{Letter, News, Question, Said, Whom};
pub(crate) use lookups::{Held, Lookup};
pub(crate) use merge::{node_status, rooms};
use roster::Roster;

/// Questions of one kind, own or foreign, that may be under way.
const QUESTIONS_MAX: usize = 10_000;
/// Ids of broadcasts forgotten in one tick.
const IDS_PER_TICK: usize = 1_000;

/// Why the shard for other nodes could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or runtime could be had.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
    /// The configuration leads to no server.
    #[error(transparent)]
    Open(#[from] crate::storage::redis::OpenError),
}

/// To whom a letter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Every node, this one included.
    All,
    /// One node.
    Node(ClientId),
}

/// Something to be written, and the own question that hangs on it.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) to: To,
    pub(crate) said: Said,
    pub(crate) number: Option<u64>,
}

/// What other nodes are asked, told and owed.
pub(crate) struct Peers {
    shared: Arc<Shared>,
    shard: ShardId,
    who: Arc<Identity>,
    roster: Roster,
    /// Own questions under way.
    asks: HashMap<u64, Ask>,
    asked: u64,
    /// Other nodes' questions at the homes here.
    owed: HashMap<u32, Owed>,
    owing: u32,
    /// Ids of broadcasts that came from elsewhere.
    heard: DedupWindow<()>,
    beaten: Moment,
    /// Whether Redis takes letters and brings them.
    pub(crate) reachable: bool,
    /// How many took the last letter to all, this node included; none before the first.
    pub(crate) receivers: Option<u64>,
    pub(crate) out: Vec<Post>,
    /// What was asked and not answered by all, and must be known: asked again with the next sign of life.
    again: Vec<Abroad>,
    /// What is to be looked up in Redis, by the number of the question.
    pub(crate) lookups: Vec<(u64, Lookup)>,
    pub(crate) ops: Vec<Vec<Op>>,
    pub(crate) deliveries: Vec<Vec<Delivery>>,
    now: Moment,
}

/// Another node's question while the homes here answer it.
struct Owed {
    node: ClientId,
    number: u64,
    question: Question,
    /// Shards that have not answered.
    shards: usize,
    parts: Vec<Part>,
    deadline: Moment,
}

impl Peers {
    pub(crate) fn new(shard: ShardId, shared: Arc<Shared>) -> Self {
        let (redis, history) = (&shared.config.storage.redis, &shared.config.history);
        let empty = || (0..shared.shards).map(|_| Vec::new()).collect();
        Self {
            shard,
            who: Arc::new(Identity::bare(shared.node)),
            roster: Roster::new(redis.node_dead_ms),
            asks: HashMap::new(),
            asked: 0,
            owed: HashMap::new(),
            owing: 0,
            heard: DedupWindow::new(history.dedup_ms, history.dedup_entries),
            beaten: Moment::default(),
            reachable: false,
            receivers: None,
            out: Vec::new(),
            again: Vec::new(),
            lookups: Vec::new(),
            ops: empty(),
            deliveries: (0..shared.shards).map(|_| Vec::new()).collect(),
            now: shared.clock.now(),
            shared,
        }
    }

    /// Sets the present moment; to be done before anything else in a tick.
    pub(crate) fn tick(&mut self) {
        self.now = self.shared.clock.now();
    }

    /// What is due by the clock: signs of life, the end of those who give none, questions that had their time.
    pub(crate) fn sweep(&mut self) {
        self.tick();
        let redis = &self.shared.config.storage.redis;
        if self.now.since(self.beaten) >= redis.node_heartbeat_ms {
            self.say(To::All, Said::Here);
            self.beaten = self.now;
            // Cut off, they are asked once that is over.
            for abroad in std::mem::take(&mut self.again).into_iter().filter(|_| self.reachable).collect::<Vec<_>>() {
                self.abroad(abroad);
            }
        }
        for node in self.dead() {
            self.gone(node);
        }
        self.expire_asks();
        let now = self.now;
        self.owed.retain(|_, owed| owed.deadline > now);
        self.heard.expire(now, IDS_PER_TICK);
    }

    /// Redis takes no letters.
    pub(crate) fn disconnected(&mut self) {
        self.reachable = false;
    }

    /// Whether everybody who received the first hello has answered it.
    pub(crate) fn is_acquainted(&self) -> bool {
        self.receivers.is_some_and(|receivers| receivers <= self.roster.len() as u64 + 1)
    }

    /// The feed brings letters from now on; some may have been lost before.
    pub(crate) fn connected(&mut self) {
        self.tick();
        self.reachable = true;
        self.say(To::All, Said::Hello);
        if !self.trusts_the_feed() {
            self.all_homes(|| PeerOp::Doubt { new: None });
        }
    }

    /// Gives up what is too much to be sent.
    pub(crate) fn shed(&mut self, at_most: usize) {
        let surplus = if self.out.len() > at_most { self.out.split_off(at_most) } else { return };
        self.shared.metrics.node_letters_failed.add(surplus.len() as u64);
        for number in surplus.iter().filter_map(|post| post.number) {
            self.sent(number, false);
        }
    }

    /// The last word to the others.
    pub(crate) fn say_goodbye(&mut self) {
        if !self.leaves_silently() {
            self.say(To::All, Said::Gone);
        }
    }

    pub(crate) fn others(&self) -> usize {
        self.roster.len()
    }

    /// Takes a question of an edge here: a list that every node has a part in.
    pub(crate) fn ask(&mut self, op: Op) {
        match op {
            Op::ListRooms { asked, gather, args } => self.list(asked.conn, gather, Listing::Rooms(args)),
            Op::ListChannels { asked, gather, args } => self.list(asked.conn, gather, Listing::Channels(*args)),
            Op::Status { asked, gather } => self.begin(Question::Status, asks::Then::Gather { conn: asked.conn, gather }),
            Op::JoinPattern { asked, gather, args } => {
                self.begin(Question::Topics(args.pattern()), asks::Then::Found { asked, gather, args });
            }
            // Nothing else is asked of all homes and of this one.
            Op::Lane(..)
            | Op::Send(_)
            | Op::LeavePattern { .. }
            | Op::Unname { .. }
            | Op::CatchUp { .. }
            | Op::Part { .. }
            | Op::PartGroup { .. }
            | Op::PartPatterns { .. }
            | Op::Register { .. }
            | Op::Unregister { .. }
            | Op::RegisterUser { .. }
            | Op::UnregisterUser { .. }
            | Op::Kick { .. }
            | Op::Settled { .. }
            | Op::Peer(_) => {}
        }
    }

    /// Takes what homes here ask and tell others, and what they answer others.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Abroad(abroad) => self.abroad(*abroad),
            Delivery::Part { gather, part, .. } => self.part(gather, part),
            // The edge of the rest of the bus has no connections.
            Delivery::To { .. }
            | Delivery::Acked { .. }
            | Delivery::Fan { .. }
            | Delivery::Room { .. }
            | Delivery::Everyone { .. }
            | Delivery::Enter { .. }
            | Delivery::Page { .. }
            | Delivery::Exit { .. }
            | Delivery::Ended { .. }
            | Delivery::EnterGroup { .. }
            | Delivery::Jobs { .. }
            | Delivery::ExitGroup { .. }
            | Delivery::Ask { .. }
            | Delivery::Relay { .. }
            | Delivery::Close { .. } => {}
        }
    }

    /// Takes a letter. Nobody who writes one is known to be wrong: what makes no sense is dropped.
    pub(crate) fn received(&mut self, letter: Letter) {
        if letter.from == self.shared.node {
            return;
        }
        let node = letter.from;
        let is_new = self.roster.heard(node, self.now);
        if is_new {
            self.shared.metrics.nodes.set(self.roster.len() as u64 + 1);
            self.shared.telemetry.tell(&Signal::NodeUp { node });
            self.all_homes(|| PeerOp::Doubt { new: Some(node) });
        }
        for said in letter.said {
            match said {
                Said::Hello => self.say(To::Node(node), Said::Here),
                Said::Here => {}
                Said::Gone => {
                    if self.roster.gone(&node) {
                        self.gone(node);
                    }
                }
                Said::Ask(number, question) => self.owe(node, number, question),
                Said::Answer(number, answer) => self.answered(number, node, answer),
                Said::Tell(news) => self.told(node, news),
            }
        }
    }

    fn gone(&mut self, node: ClientId) {
        self.shared.metrics.nodes.set(self.roster.len() as u64 + 1);
        self.shared.telemetry.tell(&Signal::NodeDown { node });
        self.all_homes(|| PeerOp::Gone { node });
        self.never_answers(node);
    }

    fn say(&mut self, to: To, said: Said) {
        self.out.push(Post { to, said, number: None });
    }

    /// Carries another node's question to the homes here.
    fn owe(&mut self, node: ClientId, number: u64, question: Question) {
        // Whoever is not answered says so to its client; that is better than to be flooded.
        if self.owed.len() >= QUESTIONS_MAX {
            return;
        }
        self.owing = self.owing.wrapping_add(1);
        let gather = self.owing;
        let homes = &self.shared.homes;
        let asked = || Asked {
            conn: ConnId { shard: self.shard, key: Key::NOBODY },
            who: Arc::clone(&self.who),
            request_id: self.shared.message_id(self.shared.clock.timestamp()),
            command: None,
        };
        let mut ops: Vec<(ShardId, Op)> = Vec::new();
        let mut to = |shard: ShardId, op: PeerOp| ops.push((shard, Op::Peer(Box::new(op))));
        match question.clone() {
            Question::Rooms(args) => {
                ops.extend((0..self.shared.shard_ids()).map(|shard| (shard, Op::ListRooms { asked: asked(), gather, args: args.clone() })));
            }
            Question::Channels(args) => {
                ops.extend(
                    (0..self.shared.shard_ids()).map(|shard| (shard, Op::ListChannels { asked: asked(), gather, args: Box::new(args.clone()) })),
                );
            }
            Question::Status => ops.extend((0..self.shared.shard_ids()).map(|shard| (shard, Op::Status { asked: asked(), gather }))),
            Question::Topics(pattern) => {
                for shard in 0..self.shared.shard_ids() {
                    to(shard, PeerOp::Topics { number: gather, pattern });
                }
            }
            Question::Members(args) => {
                let home = homes.of_topic(&Topic { room: args.room, channel: args.channel });
                to(home, PeerOp::Members { number: gather, args: Box::new(args) });
            }
            Question::Watch { topic, list } => to(homes.of_topic(&topic), PeerOp::Watch { number: gather, topic, list }),
            Question::Deliver(private) => to(self.home_of(&private.whom), PeerOp::Deliver { number: gather, private }),
            Question::Kick(whom) => to(self.home_of(&whom), PeerOp::Kick { number: gather, whom }),
            Question::Ended { topic, by } => to(homes.of_topic(&topic), PeerOp::Ended { number: gather, topic, by }),
        }
        let deadline = self.now.plus_ms(2 * self.shared.config.storage.redis.node_answer_ms);
        self.owed.insert(gather, Owed { node, number, question, shards: ops.len(), parts: Vec::new(), deadline });
        for (shard, op) in ops {
            self.ops[usize::from(shard)].push(op);
        }
    }

    fn home_of(&self, whom: &Whom) -> ShardId {
        match whom {
            Whom::Client(client) => self.shared.homes.of_client(client),
            Whom::User(user) => self.shared.homes.of_user(user),
        }
    }

    /// Takes a home's part of an answer that is owed; sends the answer once all are in.
    fn part(&mut self, gather: u32, part: Part) {
        let Some(owed) = self.owed.get_mut(&gather) else { return };
        owed.parts.push(part);
        owed.shards -= 1;
        if owed.shards > 0 {
            return;
        }
        let Some(Owed { node, number, question, parts, .. }) = self.owed.remove(&gather) else { return };
        if let Some(answer) = merge::answer(&self.shared, &question, parts) {
            self.say(To::Node(node), Said::Answer(number, answer));
        }
    }

    fn told(&mut self, node: ClientId, news: News) {
        match news {
            News::Broadcast { room, body, print } => {
                if let Some(print) = print.map(Fingerprint::from).filter(|_| !self.forgets_ids()) {
                    if !matches!(self.heard.check(print, self.now), Verdict::Fresh) {
                        return;
                    }
                    self.heard.remember(print, (), self.now);
                }
                let body = Bytes::copy_from_slice(body.get().as_bytes());
                for deliveries in &mut self.deliveries {
                    let body = body.clone();
                    deliveries.push(match room {
                        Some(room) => Delivery::Room { room, body, except: None },
                        None => Delivery::Everyone { body, except: None },
                    });
                }
            }
            News::Presence { topic, joined, presence } => {
                let presence = Box::new(presence);
                self.home(self.shared.homes.of_topic(&topic), PeerOp::Presence { node, topic, joined, presence });
            }
            News::Opened { topic, head } => {
                self.note_opened(node, &topic);
                self.home(self.shared.homes.of_topic(&topic), PeerOp::Opened { topic, head: Some(head) });
            }
            News::Resumed(client) => self.home(self.shared.homes.of_client(&client), PeerOp::Resumed { client }),
        }
    }

    fn home(&mut self, shard: ShardId, op: PeerOp) {
        self.ops[usize::from(shard)].push(Op::Peer(Box::new(op)));
    }

    fn all_homes(&mut self, op: impl Fn() -> PeerOp) {
        for shard in 0..self.shared.shard_ids() {
            self.home(shard, op());
        }
    }

    fn to(&mut self, conn: ConnId, body: impl Into<Bytes>) {
        self.deliveries[usize::from(conn.shard)].push(Delivery::To { conn: conn.key, body: body.into() });
    }
}
