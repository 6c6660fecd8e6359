//! The delivering half of a shard: takes deliveries, puts their bytes into the outboxes of its connections, and asks for more where
//! that is due. It does no I/O.

use std::sync::Arc;

use arqonbus_protocol::{CloseCode, JoinResult, MessageId, Position, PublishResult, encode_acked_into, encode_ok, encode_refused};
use bytes::Bytes;

use super::connection::Connection;
use super::segment;
use super::spread::Audiences;
use super::{Delivery, Opening, OpeningAsked, Part, Then};
use crate::clock::Moment;
use crate::commands::limit_reached;
use crate::routing::{ConnId, LaneId, Op, ShardId};
use crate::session::Channel;
use crate::shared::Shared;
use crate::slots::{Key, Slots};
use crate::telemetry::{Ended, Signal};

/// Connections of one shard, and who among them is in which lane.
pub(crate) struct Edge {
    pub(crate) shard: ShardId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) connections: Slots<Connection>,
    pub(crate) audiences: Audiences,
    /// Connections with something to write, in the order in which they got it.
    pub(crate) dirty: Vec<Key>,
    /// Questions that deliveries led to.
    pub(crate) asks: Vec<(ShardId, Op)>,
    pub(crate) messages_out: u64,
    /// Where an answer is written, for reuse.
    answer: Vec<u8>,
    pub(crate) now: Moment,
}

impl Edge {
    pub(crate) fn new(shard: ShardId, shared: Arc<Shared>) -> Self {
        Self {
            shard,
            shared,
            connections: Slots::default(),
            audiences: Audiences::default(),
            dirty: Vec::new(),
            asks: Vec::new(),
            messages_out: 0,
            answer: Vec::new(),
            now: Moment::default(),
        }
    }

    /// Takes one delivery.
    pub(crate) fn deliver(&mut self, delivery: Delivery) {
        if let Some(conn) = delivery.receiver() {
            self.settle(conn);
        }
        match delivery {
            Delivery::To { conn, body } => self.to(conn, &body),
            Delivery::Acked { conn, request_id, result } => self.acked(conn, &request_id, &result),
            Delivery::Fan { lane, frames, except } => self.fan(lane, frames, except),
            Delivery::Room { room, body, except } => self.room(room, &body, except),
            Delivery::Everyone { body, except } => self.everyone(&body, except),
            Delivery::Enter { lane, conn, opening } => self.enter(lane, conn, *opening),
            Delivery::Page { lane, conn, gap, bodies, then } => self.page(lane, conn, gap.as_ref(), &bodies, then),
            Delivery::Exit { lane, conn, reply } => self.exit(lane, conn, reply),
            Delivery::Ended { lane, event } => self.ended(lane, event),
            Delivery::Part { conn, gather, part } => self.part(conn, gather, part),
            Delivery::EnterGroup { lane, conn, opening } => self.enter_group(lane, conn, &opening),
            Delivery::Jobs { lane, conn, group, gap, bodies } => self.jobs(lane, conn, group, gap.as_ref(), &bodies),
            Delivery::ExitGroup { lane, conn, group, reply } => self.exit_group(lane, conn, group, reply.as_ref()),
            Delivery::Relay { next } => self.asks.push(*next),
            Delivery::Close { conn, code } => self.close(conn, code),
            // No edge here stands for other nodes.
            Delivery::Abroad(_) => {}
            Delivery::Ask { conn, next } => {
                if self.connections.get(conn).is_some_and(|conn| conn.closing.is_none()) {
                    self.asks.push(*next);
                }
            }
        }
    }

    fn id(&self, key: Key) -> ConnId {
        ConnId { shard: self.shard, key }
    }

    /// Puts a connection on the list of those to be flushed, or closes it where it takes too little.
    pub(super) fn touched(&mut self, key: Key) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.queued_bytes() > self.shared.config.limits.outbox_bytes {
            // The socket may take more than the flusher has come round to give it.
            conn.flush(None, self.now);
            if conn.queued_bytes() > self.shared.config.limits.outbox_bytes {
                return self.close_slow(key);
            }
        }
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Closes a connection that reads too slowly; what it missed is in the log.
    pub(crate) fn close_slow(&mut self, key: Key) {
        let Some(conn) = self.connections.get(key).filter(|conn| conn.closing.is_none()) else { return };
        let who = &conn.session.who;
        let queued_bytes = conn.queued_bytes() as u64;
        self.shared.telemetry.tell(&Signal::SlowConsumer { client: who.client, user: who.user, queued_bytes });
        self.close(key, CloseCode::SlowConsumer);
    }

    pub(crate) fn to(&mut self, key: Key, body: &[u8]) {
        if let Some(conn) = self.connections.get_mut(key) {
            conn.push_own(body);
            self.touched(key);
        }
    }

    fn acked(&mut self, key: Key, request_id: &MessageId, result: &PublishResult) {
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        encode_acked_into(&mut answer, request_id, result);
        self.to(key, &answer);
        self.answer = answer;
    }

    /// The connections that receive what they did not ask for: all but HTTP requests.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (Key, &Connection)> {
        self.connections.iter().filter(|(_, conn)| conn.session.channel == Channel::WebSocket)
    }

    /// Puts envelopes that are shared with others into one outbox.
    pub(super) fn share(&mut self, key: Key, bodies: &[Bytes]) {
        let Some(conn) = self.connections.get_mut(key).filter(|_| !bodies.is_empty()) else { return };
        let frames = segment::frames(bodies, conn.session.batch);
        conn.push_frames(frames);
        self.touched(key);
    }

    fn enter(&mut self, lane: LaneId, key: Key, opening: Opening) {
        let joins_max = self.shared.config.limits.joins;
        let Some(conn) = self.connections.get_mut(key).filter(|conn| conn.closing.is_none()) else {
            return self.asks.push((lane.shard, Op::Part { lane, conn: ConnId { shard: self.shard, key } }));
        };
        let exact = matches!(opening.asked, OpeningAsked::Join(_));
        let known = conn.lanes.iter_mut().find(|(known, _)| *known == lane);
        let (is_new, was_exact) = known.as_ref().map_or((true, false), |(_, exact)| (false, *exact));
        if let OpeningAsked::Join(request_id) = opening.asked
            && !was_exact
            && conn.joins() >= joins_max
        {
            return self.refuse_join(lane, key, &request_id, is_new);
        }
        match conn.lanes.iter_mut().find(|(known, _)| *known == lane) {
            Some((_, was)) => *was |= exact,
            None => conn.lanes.push((lane, exact)),
        }
        // The same join again replaces the first. Another way in takes nothing away from the first.
        let replaces = is_new || (exact && was_exact && !conn.session.patterns.iter().any(|pattern| pattern.matches(&opening.start.topic())));
        let stays = !replaces && self.is_behind(lane, key, opening.start.start);
        match opening.asked {
            OpeningAsked::Join(request_id) => {
                let result = JoinResult::new(vec![opening.start], true);
                self.to(key, &encode_ok(&request_id, &result));
            }
            OpeningAsked::Born => {}
            OpeningAsked::Pattern(id) => {
                if let Some((_, gather)) = conn_gather(&mut self.connections, key, id) {
                    gather.opening(opening.start);
                }
            }
        }
        if let Some(gap) = opening.gap {
            self.share(key, &[gap]);
        }
        if !stays {
            self.audiences.leave(lane, key);
            self.audiences.enter(lane, opening.start.room, key);
            self.follow(lane, key, opening.then);
        }
        if let OpeningAsked::Pattern(id) = opening.asked {
            self.complete(key, id);
        }
    }

    /// One join too many: the lane is told to forget it.
    fn refuse_join(&mut self, lane: LaneId, key: Key, request_id: &MessageId, is_new: bool) {
        let conn = self.id(key);
        // By a pattern or a group it stays a member.
        let is_new = is_new && !self.connections.get(key).is_some_and(|conn| conn.groups.iter().any(|(known, _)| *known == lane));
        self.asks.push((lane.shard, if is_new { Op::Part { lane, conn } } else { Op::Unname { lane, conn } }));
        let refusal = limit_reached(self.shared.config.limits.joins);
        self.to(key, &encode_refused(request_id, &refusal));
    }

    /// Whether a member is still being given what lies before `start`, for the sake of another way into the lane.
    fn is_behind(&self, lane: LaneId, key: Key, start: Position) -> bool {
        let waits = self.audiences.is_live(lane, key) == Some(false);
        let given = self.connections.get(key).and_then(|conn| conn.given(lane));
        given.is_some_and(|given| waits && (given.epoch != start.epoch || given.seq <= start.seq))
    }

    fn follow(&mut self, lane: LaneId, key: Key, then: Then) {
        match then {
            Then::Live => self.audiences.make_live(lane, key),
            Then::More(from) => {
                if let Some(conn) = self.connections.get_mut(key) {
                    conn.catching.push((lane, from));
                }
                self.touched(key);
                self.ask_page(key);
            }
            // The next sweep asks again: at once would be for ever.
            Then::Later(from) => {
                if let Some(conn) = self.connections.get_mut(key) {
                    conn.catching.push((lane, from));
                }
            }
        }
    }

    /// Asks for the next page of a connection that has room for it.
    pub(crate) fn ask_page(&mut self, key: Key) {
        let id = self.id(key);
        let low = self.shared.config.limits.outbox_bytes / 8;
        let Some(conn) = self.connections.get_mut(key) else { return };
        if conn.page_asked.is_some() || conn.catching.is_empty() || conn.queued_bytes() > low {
            return;
        }
        let (lane, from) = conn.catching.remove(0);
        conn.page_asked = Some((lane, from));
        self.asks.push((lane.shard, Op::CatchUp { lane, conn: id, from }));
    }

    fn page(&mut self, lane: LaneId, key: Key, gap: Option<&Bytes>, bodies: &[Bytes], then: Then) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        conn.page_asked = None;
        // It may have left, or joined anew, while the page was on its way.
        let waits = self.audiences.is_live(lane, key) == Some(false);
        let current = waits && !conn.catching.iter().any(|(other, _)| *other == lane);
        if current {
            self.share(key, gap.map_or(&[], std::slice::from_ref));
            self.share(key, bodies);
            self.messages_out += bodies.len() as u64;
            self.follow(lane, key, then);
        }
        if !matches!(then, Then::Later(_)) {
            self.ask_page(key);
        }
    }

    fn exit(&mut self, lane: LaneId, key: Key, reply: Option<Bytes>) {
        self.forget_lane(lane, key);
        if let Some(reply) = reply {
            self.to(key, &reply);
        }
    }

    /// A connection is no member of a lane any more.
    pub(super) fn forget_lane(&mut self, lane: LaneId, key: Key) {
        self.audiences.leave(lane, key);
        if let Some(conn) = self.connections.get_mut(key) {
            conn.lanes.retain(|(known, _)| *known != lane);
            conn.catching.retain(|(other, _)| *other != lane);
        }
    }

    fn part(&mut self, key: Key, id: u32, part: Part) {
        if let Some((_, gather)) = conn_gather(&mut self.connections, key, id) {
            gather.part(part);
        }
        self.complete(key, id);
    }

    /// Answers a question to all shards once all have answered, and lets through what was held meanwhile.
    fn complete(&mut self, key: Key, id: u32) {
        let Some(conn) = self.connections.get_mut(key) else { return };
        let Some(at) = conn.gathers.iter().position(|(known, gather)| *known == id && gather.is_complete()) else { return };
        let (_, mut gather) = conn.gathers.swap_remove(at);
        let answer = gather.answer(&self.shared);
        if let Some(pattern) = gather.refused_pattern() {
            let conn = self.id(key);
            self.asks.extend((0..self.shared.shard_ids()).map(|shard| (shard, Op::LeavePattern { conn, pattern, gather: None })));
            if let Some(conn) = self.connections.get_mut(key) {
                conn.session.patterns.retain(|joined| *joined != pattern);
            }
        }
        self.to(key, &answer);
        let Some(conn) = self.connections.get_mut(key) else { return };
        for frames in std::mem::take(&mut conn.held) {
            conn.push_frames(frames);
        }
        self.touched(key);
    }

    pub(crate) fn close(&mut self, key: Key, code: CloseCode) {
        self.end(key, code.code(), code.reason(), Ended::Closed(code));
    }

    /// Begins to close a connection; it leaves its lanes at once.
    pub(crate) fn end(&mut self, key: Key, code: u16, reason: &str, ended: Ended) {
        let now = self.now;
        // What a slow reader is owed would be thrown away with the rest.
        if !matches!(ended, Ended::Closed(CloseCode::SlowConsumer)) {
            self.settle(key);
        }
        let Some(conn) = self.connections.get_mut(key).filter(|conn| conn.closing.is_none()) else { return };
        conn.close(code, reason, ended, now);
        self.leave_all(key);
        self.touched(key);
    }

    /// Takes a connection that is going out of all it is in.
    pub(crate) fn leave_all(&mut self, key: Key) {
        let id = self.id(key);
        let Some(conn) = self.connections.get_mut(key) else { return };
        conn.catching.clear();
        conn.gathers.clear();
        conn.held.clear();
        let has_patterns = !std::mem::take(&mut conn.session.patterns).is_empty();
        let who = Arc::clone(&conn.session.who);
        let mut left: Vec<LaneId> = std::mem::take(&mut conn.groups).into_iter().map(|(lane, _)| lane).collect();
        for (lane, _) in std::mem::take(&mut conn.lanes) {
            self.audiences.leave(lane, key);
            left.push(lane);
        }
        left.sort_unstable();
        left.dedup();
        self.asks.extend(left.into_iter().map(|lane| (lane.shard, Op::Part { lane, conn: id })));
        if has_patterns {
            self.asks.extend((0..self.shared.shard_ids()).map(|shard| (shard, Op::PartPatterns { conn: id })));
        }
        let homes = &self.shared.homes;
        self.asks.push((homes.of_client(&who.client), Op::Unregister { client: who.client, conn: id }));
        if let Some(user) = who.user {
            self.asks.push((homes.of_user(&user), Op::UnregisterUser { user, conn: id }));
        }
    }
}

fn conn_gather(connections: &mut Slots<Connection>, key: Key, id: u32) -> Option<&mut (u32, super::Gather)> {
    connections.get_mut(key)?.gathers.iter_mut().find(|(known, _)| *known == id)
}
