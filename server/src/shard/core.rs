//! A shard without its I/O: bytes and values in, deliveries into outboxes and values for other shards out.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use arqonbus_protocol::{CloseCode, EventBody, Timestamp, encode_event, encode_refused};

use crate::commands::{self, Aggregate};
use crate::fanout::connection::{Connection, Place, Sink};
use crate::fanout::{Delivery, Edge, Gather};
use crate::routing::{Asked, ConnId, Home, Op, ShardId};
use crate::session::{self, Channel, Context, Identity, Session, Step};
use crate::shared::Shared;
use crate::slots::Key;
use crate::storage::Store;
use crate::telemetry::{Ended, Signal};
use crate::transport::frame::{Incoming, Opcode};

/// Bytes of one read: enough for a few hundred publishes, few enough that others need not wait long.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// A store's late answers that are taken before others get their turn.
const ANSWERS_AT_ONCE: usize = 256;
/// Questions or deliveries that may wait for another shard before those who make more of them wait too.
const BACKLOG_MAX: usize = 1_024;

/// Home and edge of one shard, and what connects them.
pub(crate) struct Core {
    pub(crate) shard: ShardId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: Home,
    pub(crate) edge: Edge,
    /// Questions for other shards, by shard.
    pub(crate) ops: Vec<Vec<Op>>,
    /// Deliveries for other shards, by shard.
    pub(crate) deliveries: Vec<Vec<Delivery>>,
    pub(crate) scratch: Box<[u8]>,
    steps: Vec<Step>,
    gathers: u32,
    told_outbox_bytes: i64,
    /// What `home.timestamp` says.
    told_unix_ms: u64,
}

impl Core {
    pub(crate) fn new(shard: ShardId, shared: Arc<Shared>, store: Box<dyn Store>) -> Self {
        let ways = shared.ways();
        Self {
            shard,
            home: Home::new(shard, Arc::clone(&shared), store),
            edge: Edge::new(shard, Arc::clone(&shared)),
            ops: (0..ways).map(|_| Vec::new()).collect(),
            deliveries: (0..ways).map(|_| Vec::new()).collect(),
            scratch: vec![0; READ_BYTES].into(),
            steps: Vec::new(),
            gathers: 0,
            told_outbox_bytes: 0,
            told_unix_ms: 0,
            shared,
        }
    }

    /// Sets the present moment; to be done before anything else in a tick.
    pub(crate) fn tick(&mut self) {
        let now = self.shared.clock.now();
        let unix_ms = self.shared.clock.unix_ms();
        // Ticks are shorter than a millisecond: most share the text of the one before.
        if unix_ms != self.told_unix_ms {
            self.told_unix_ms = unix_ms;
            self.home.timestamp = Timestamp::from_unix_ms(unix_ms);
        }
        self.home.now = now;
        self.edge.now = now;
    }

    /// Takes a new connection in, and greets it.
    pub(crate) fn open(&mut self, sink: Sink, channel: Channel, place: Option<Place>, peer: Option<std::net::SocketAddr>) -> Key {
        self.tick();
        let client = self.shared.client_id(self.shard);
        let who = Arc::new(Identity::bare(client));
        let (shard, now) = (self.shard, self.edge.now);
        let key = self.edge.connections.insert_with(|key| {
            let session = Session::new(Arc::clone(&who), ConnId { shard, key }, channel);
            Connection::new(sink, session, place, now)
        });
        if channel == Channel::WebSocket {
            self.edge.audiences.come(key);
            self.shared.telemetry.tell(&Signal::Connected { client, peer });
            let welcome = EventBody::Welcome(Box::new(self.shared.welcome(client)));
            self.edge.to(key, &encode_event(&welcome, None, &self.home.timestamp));
            let asked = Asked { conn: ConnId { shard, key }, who, request_id: self.shared.message_id(self.home.timestamp), command: None };
            self.home.ask(Op::Register { asked, reply: None, resumed: false });
        }
        self.carry();
        key
    }

    /// Takes `length` bytes that a connection's socket put into `scratch`.
    pub(crate) fn received(&mut self, key: Key, length: usize) {
        self.tick();
        let mut scratch = std::mem::take(&mut self.scratch);
        self.decode(key, &mut scratch[..length]);
        self.scratch = scratch;
        self.carry();
    }

    fn decode(&mut self, key: Key, bytes: &mut [u8]) {
        let Some(conn) = self.edge.connections.get_mut(key) else { return };
        conn.last_heard = self.edge.now;
        conn.pinged = false;
        if conn.closing.is_some() {
            return;
        }
        let (frame_bytes, received_us) = (self.shared.config.limits.frame_bytes, self.shared.clock.micros());
        let mut decoder = std::mem::take(&mut conn.decoder);
        let fed = decoder.feed(bytes, frame_bytes, |incoming| self.receive(key, incoming, received_us));
        if let Err(code) = fed {
            self.edge.close(key, code);
        }
        // What a connection that closes still says is not looked at.
        if let Some(conn) = self.edge.connections.get_mut(key).filter(|conn| conn.closing.is_none()) {
            conn.decoder = decoder;
        }
    }

    /// Takes one whole message, and does what comes of it while it is in the processor's cache; gives whether to go on.
    fn receive(&mut self, key: Key, incoming: Incoming<'_>, received_us: u64) -> bool {
        match incoming {
            Incoming::Text(text) => self.text(key, text, received_us),
            Incoming::Binary(_) => self.edge.close(key, CloseCode::Unsupported),
            Incoming::Ping(payload) => self.edge.control(key, Opcode::Pong, payload),
            Incoming::Pong => {}
            Incoming::Close(code) => self.edge.end(key, code, "", Ended::ByPeer),
        }
        self.edge.connections.get(key).is_some_and(|conn| conn.closing.is_none())
    }

    /// Takes one text message: envelopes, of which each is done with before the next is read.
    fn text(&mut self, key: Key, text: &str, received_us: u64) {
        let Some(conn) = self.edge.connections.get(key) else { return };
        for envelope in session::envelopes(text, conn.session.batch) {
            let Some(conn) = self.edge.connections.get_mut(key).filter(|conn| conn.closing.is_none()) else { return };
            let mut steps = std::mem::take(&mut self.steps);
            conn.session.receive(envelope, &mut Context { shared: &self.shared, timestamp: self.home.timestamp, received_us, steps: &mut steps });
            for step in steps.drain(..) {
                self.step(key, step);
            }
            self.steps = steps;
        }
    }

    fn step(&mut self, key: Key, step: Step) {
        match step {
            Step::Ask(shard, op) => self.ask(shard, op),
            Step::AskAll(all) => self.ask_all(key, &all.0, &all.1),
            Step::Reply(body) => self.edge.to(key, &body),
            Step::Close(code) => self.edge.close(key, code),
        }
    }

    pub(crate) fn ask(&mut self, shard: ShardId, op: Op) {
        if shard == self.shard {
            self.home.ask(op);
        } else {
            self.ops[usize::from(shard)].push(op);
        }
    }

    fn ask_all(&mut self, key: Key, asked: &Asked, aggregate: &Aggregate) {
        self.gathers = self.gathers.wrapping_add(1);
        let gather = self.gathers;
        let Some(conn) = self.edge.connections.get_mut(key) else { return };
        let joins_max = self.shared.config.limits.joins;
        if let Aggregate::JoinPattern(args) = aggregate
            && conn.joins() > joins_max
        {
            let pattern = args.pattern();
            conn.session.patterns.retain(|joined| *joined != pattern);
            let refusal = commands::limit_reached(joins_max);
            self.shared.tell_refused(asked, None, refusal.code);
            return self.edge.to(key, &encode_refused(&asked.request_id, &refusal));
        }
        // Other nodes have topics that match, but no patterns and publishes of connections here.
        let abroad = self.shared.abroad.filter(|_| !matches!(aggregate, Aggregate::LeavePattern(_) | Aggregate::Settled));
        conn.gathers.push((gather, Gather::new(asked.clone(), aggregate.clone(), self.shared.shards + usize::from(abroad.is_some()))));
        for shard in (0..self.shared.shard_ids()).chain(abroad) {
            let asked = asked.clone();
            let op = match aggregate {
                Aggregate::JoinPattern(args) => Op::JoinPattern { asked, gather, args: args.clone() },
                Aggregate::LeavePattern(pattern) => Op::LeavePattern { conn: asked.conn, pattern: *pattern, gather: Some(gather) },
                Aggregate::ListRooms(args) => Op::ListRooms { asked, gather, args: args.clone() },
                Aggregate::ListChannels(args) => Op::ListChannels { asked, gather, args: args.clone() },
                Aggregate::Status => Op::Status { asked, gather },
                Aggregate::Settled => Op::Settled { conn: asked.conn, gather },
            };
            self.ask(shard, op);
        }
    }

    /// One text of an HTTP request; the answer goes to the connection's sink.
    pub(crate) fn http(&mut self, key: Key, text: &str) {
        self.tick();
        self.text(key, text, self.shared.clock.micros());
        self.carry();
    }

    /// Ends a tick: lets lanes fan out, and carries values between home and edge until both are quiet.
    pub(crate) fn carry(&mut self) {
        self.home.settle();
        loop {
            for shard in (0..self.shared.shard_ids()).chain(self.shared.abroad) {
                let deliveries = self.home.egress.take(shard);
                if shard == self.shard {
                    for delivery in deliveries {
                        self.edge.deliver(delivery);
                    }
                } else if self.deliveries[usize::from(shard)].is_empty() {
                    self.deliveries[usize::from(shard)] = deliveries;
                } else {
                    self.deliveries[usize::from(shard)].extend(deliveries);
                }
            }
            if self.edge.asks.is_empty() {
                break;
            }
            for (shard, op) in std::mem::take(&mut self.edge.asks) {
                self.ask(shard, op);
            }
            self.home.settle();
        }
        let out = std::mem::take(&mut self.edge.messages_out);
        if out > 0 {
            self.shared.metrics.messages_out.add(out);
        }
    }

    /// Takes what the store has to tell; the task of `cx` is woken when there is more.
    pub(crate) fn take_answers(&mut self, cx: &mut TaskContext<'_>) {
        self.tick();
        for _ in 0..ANSWERS_AT_ONCE {
            let now = self.home.now;
            let Poll::Ready(told) = self.home.store.poll_told(now, cx) else {
                self.home.tell_storage();
                return self.carry();
            };
            self.home.hear(told);
        }
        self.carry();
        cx.waker().wake_by_ref();
    }

    /// Whether so much waits for other shards that whoever makes more should wait.
    pub(crate) fn is_clogged(&self) -> bool {
        self.ops.iter().map(Vec::len).chain(self.deliveries.iter().map(Vec::len)).any(|len| len > BACKLOG_MAX)
    }

    /// Forgets a connection whose socket is done with.
    pub(crate) fn closed(&mut self, key: Key, how: Ended) {
        self.tick();
        self.edge.leave_all(key);
        self.edge.audiences.go(key);
        if let Some(conn) = self.edge.connections.remove(key)
            && conn.session.channel == Channel::WebSocket
        {
            let ended = conn.closing.map_or(how, |closing| closing.ended);
            self.shared.telemetry.tell(&Signal::Disconnected { client: conn.session.who.client, user: conn.session.who.user, ended });
        }
        self.carry();
    }

    /// What is done about once a second.
    pub(crate) fn sweep(&mut self) {
        self.tick();
        self.edge.check_liveness();
        self.home.sweep();
        let queued: i64 = self.edge.connections.iter().map(|(_, conn)| i64::try_from(conn.queued_bytes()).unwrap_or(i64::MAX)).sum();
        self.shared.metrics.outbox_bytes.add(queued - self.told_outbox_bytes);
        self.told_outbox_bytes = queued;
        self.carry();
    }

    /// Who has to be told that this server is shutting down.
    pub(crate) fn audience_of_drain(&self) -> Vec<Key> {
        self.edge.sockets().map(|(key, _)| key).collect()
    }

    /// Tells some clients that this server is shutting down, each with its own time to come back.
    pub(crate) fn announce_drain(&mut self, keys: &[Key]) {
        self.tick();
        for key in keys {
            let Some(client) = self.edge.connections.get(*key).map(|conn| conn.session.who.client) else { continue };
            let welcome = EventBody::Welcome(Box::new(self.shared.welcome(client)));
            self.edge.to(*key, &encode_event(&welcome, None, &self.home.timestamp));
        }
    }

    /// Closes up to `count` connections because the server restarts. Gives whether any is left that is not closing.
    pub(crate) fn close_slice(&mut self, count: usize) -> bool {
        self.tick();
        let open: Vec<Key> = self.edge.sockets().filter(|(_, conn)| conn.closing.is_none()).map(|(key, _)| key).collect();
        for key in open.iter().take(count) {
            self.edge.close(*key, CloseCode::Restart);
        }
        self.carry();
        open.len() > count
    }
}
