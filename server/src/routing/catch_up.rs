//! The way into a lane: what was missed, page by page, and then live, without a hole or a repetition between.

use arqonbus_protocol::{Direction, EventBody, Gap, Position, Topic, TopicStart, encode_event};
use bytes::Bytes;

use super::lane::{Member, Pending, Way};
use super::op::{Asked, JoinOp, LaneOp};
use super::{Abroad, ConnId, Home, Lane};
use crate::fanout::{Delivery, Opening, OpeningAsked, Part, Then};
use crate::session::Identity;
use crate::slots::Key;
use crate::storage::{Bound, LogState, Page, ReadRange, Resume, StoreError, replay_start, resume};
use crate::telemetry::Signal;

/// Milliseconds over which the hints to refetch are spread.
pub(super) const REFETCH_WINDOW_MS: u64 = 2_000;
/// Messages and bytes of one page: a page must fit into an outbox several times over.
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 128 * 1024;

impl Home {
    pub(super) fn join(&mut self, key: Key, join: Box<JoinOp>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        // Whoever is already in must have everything that the log will be said to hold.
        lane.flush(&mut self.egress);
        let topic = lane.topic;
        let ticket = self.ticket();
        let state = self.store.read(&topic, &page_range(0, 0), self.now, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::Join(join)), state, Self::read);
    }

    /// Lets a member in: live at once where nothing was missed, else catching up from where it begins.
    pub(super) fn joined(&mut self, key: Key, join: &JoinOp, page: Result<Page, StoreError>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        // Other nodes' messages that the store told of before this page are not for whoever enters with it.
        lane.flush(&mut self.egress);
        let topic = lane.topic;
        let state = match page {
            Ok(page) => page.state,
            Err(error) => return self.refuse_join(join, topic, &error),
        };
        let (start, gap) = beginning(join, &state);
        #[cfg(any(test, feature = "sabotage"))]
        let gap = gap.filter(|_| !self.sabotages(crate::sim::Sabotage::ResumeWithoutGap));
        #[cfg(any(test, feature = "sabotage"))]
        let (start, gap) = if join.since.is_some() && self.sabotages(crate::sim::Sabotage::ResumeAtHead) { (state.head, None) } else { (start, gap) };
        let members = self.enter_member(key, &join.asked, join.presence, if join.pattern.is_none() { Way::Name } else { Way::Pattern });
        let gap = gap.map(|gap| self.gap_event(&join.asked.who, &topic, gap));
        let asked = join.pattern.map_or(OpeningAsked::Join(join.asked.request_id), |part| OpeningAsked::Pattern(part.gather));
        let start = TopicStart { room: topic.room, channel: topic.channel, head: state.head, start, members };
        self.open(key, &join.asked, Opening { start, gap, then: then(start.start, state.head), asked });
    }

    fn refuse_join(&mut self, join: &JoinOp, topic: Topic, error: &StoreError) {
        match join.pattern {
            None => self.refuse_store(&join.asked, Some(topic), error),
            Some(part) => self.egress.part(join.asked.conn, part.gather, Part::LaneRefused(Box::new(error.refusal()))),
        }
    }

    /// Lets a member of a pattern into a lane that was just born: nothing was missed, or only what came after `since`.
    pub(super) fn enter_newborn(&mut self, key: Key, asked: &Asked, presence: bool, since: Option<Position>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.flush(&mut self.egress);
        let (topic, head) = (lane.topic, lane.head);
        // What others appended since it was opened is not to be missed.
        let from = since.or(lane.opened_at).filter(|from| from.epoch == head.epoch).unwrap_or(head);
        let members = self.enter_member(key, asked, presence, Way::Pattern);
        let start = TopicStart { room: topic.room, channel: topic.channel, head, start: from, members };
        self.open(key, asked, Opening { start, gap: None, then: then(from, head), asked: OpeningAsked::Born });
    }

    fn open(&mut self, key: Key, asked: &Asked, opening: Opening) {
        let lane = super::LaneId { shard: self.shard, key };
        self.egress.push(asked.conn.shard, Delivery::Enter { lane, conn: asked.conn.key, opening: Box::new(opening) });
    }

    /// The next page for a member that is catching up.
    pub(super) fn catch_up(&mut self, key: Key, conn: ConnId, from: Position) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.members.contains_key(&conn)) else {
            return self.nothing_more(key, conn);
        };
        lane.flush(&mut self.egress);
        let (topic, range) = (lane.topic, page_range(from.seq, PAGE_MESSAGES));
        let ticket = self.ticket();
        let page = self.store.read(&topic, &range, self.now, ticket);
        self.answered(key, ticket, Pending::Op(LaneOp::CatchUp { conn, from }), page, Self::read);
    }

    pub(super) fn caught_up(&mut self, key: Key, conn: ConnId, from: Position, page: Result<Page, StoreError>) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.members.contains_key(&conn)) else {
            return self.nothing_more(key, conn);
        };
        lane.flush(&mut self.egress);
        let member = &lane.members[&conn];
        let (id, topic, who) = (lane.id, lane.topic, member.who.clone());
        let delivery = match page {
            // The store is out of reach: the member asks again from where it is, in a while.
            Err(_) => Delivery::Page { lane: id, conn: conn.key, gap: None, bodies: Vec::new(), then: Then::Later(from) },
            Ok(page) => match resume(from, &page.state) {
                Resume { start, gap: Some(gap) } => {
                    let gap = Some(self.gap_event(&who, &topic, gap));
                    Delivery::Page { lane: id, conn: conn.key, gap, bodies: Vec::new(), then: then(start, page.state.head) }
                }
                Resume { start, gap: None } => {
                    let last = Position { seq: page.entries.last().map_or(start.seq, |(seq, _)| *seq), ..start };
                    let bodies = page.entries.into_iter().map(|(_, body)| body).collect();
                    Delivery::Page { lane: id, conn: conn.key, gap: None, bodies, then: then(last, page.state.head) }
                }
            },
        };
        self.egress.push(conn.shard, delivery);
    }

    /// A page is owed even to a member that is none any more: its connection asks for no other page meanwhile.
    pub(super) fn nothing_more(&mut self, key: Key, conn: ConnId) {
        let lane = super::LaneId { shard: self.shard, key };
        self.egress.push(conn.shard, Delivery::Page { lane, conn: conn.key, gap: None, bodies: Vec::new(), then: Then::Live });
    }

    /// Adds a way into a lane for a connection; gives how many members there are.
    pub(super) fn enter_member(&mut self, key: Key, asked: &Asked, presence: bool, way: Way) -> u64 {
        let member = Member {
            who: asked.who.clone(),
            joined_unix_ms: self.timestamp.unix_ms(),
            presence,
            exact: way == Way::Name,
            patterns: u16::from(way == Way::Pattern),
            groups: u16::from(way == Way::Group),
        };
        let Some(lane) = self.lanes.get_mut(key) else { return 0 };
        let is_new = lane.enter(asked.conn, member);
        let (topic, here, members) = (lane.topic, lane.members.len() as u64, lane.members_everywhere());
        if presence && lane.watchers == 1 {
            lane.forget_foreign_lists();
            self.abroad(Abroad::Watch { topic, list: true });
        }
        if is_new {
            self.tell_presence(key, &asked.who, asked.conn, EventBody::Joined);
            self.tell_abroad(topic, true, &asked.who, here);
            self.shared.telemetry.tell(&Signal::Joined { client: asked.who.client, user: asked.who.user, joined: topic.into() });
        }
        members
    }

    fn gap_event(&self, who: &Identity, topic: &Topic, gap: Gap) -> Bytes {
        self.shared.telemetry.tell(&Signal::Gap { client: who.client, topic: *topic, reason: gap.reason });
        let gap = Gap { refetch_after_ms: self.shared.jitter(REFETCH_WINDOW_MS), ..gap };
        encode_event(&EventBody::Gap(gap), Some(topic), &self.timestamp).into()
    }
}

impl Lane {
    /// Whether the lane may be closed when its log may.
    pub(super) fn is_idle(&self) -> bool {
        let is_deserted = self.members.is_empty() && self.groups.is_empty();
        is_deserted && !self.declared && self.unborn.is_empty() && self.waiting.is_none() && self.appending.is_empty() && self.queue.is_empty()
    }
}

/// What follows once a member holds everything up to `position`.
fn then(position: Position, head: Position) -> Then {
    if position == head { Then::Live } else { Then::More(position) }
}

/// The log's ends, and up to `limit` entries after `seq`.
fn page_range(seq: u64, limit: usize) -> ReadRange {
    ReadRange { since: Some(Bound::Seq(seq)), until: None, limit, bytes_max: PAGE_BYTES, direction: Direction::Forward }
}

/// Where a join begins, and what it has to be told before.
fn beginning(join: &JoinOp, state: &LogState) -> (Position, Option<Gap>) {
    match (join.since, join.replay, join.pattern) {
        (Some(since), _, _) => {
            let resumed = resume(since, state);
            (resumed.start, resumed.gap)
        }
        (None, Some(replay), _) => (replay_start(u64::from(replay), state), None),
        // A topic that a resumed pattern did not know was born meanwhile: all of it is new.
        (None, None, Some(part)) if part.resumes => {
            let resumed = resume(Position { seq: 0, ..state.head }, state);
            (resumed.start, resumed.gap)
        }
        (None, None, _) => (state.head, None),
    }
}
