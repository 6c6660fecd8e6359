//! What Redis answers and other nodes tell, turned into what the lanes are told.

use arqonbus_protocol::{ClientId, Direction, Durability, Epoch, GapReason, Position, Topic};

use super::desk::{Failure, Job, News};
use super::log::{Feed, HeldRead, Log, Next, Place, Placed};
use super::notice::Notice;
use super::script::{Ends, Found, Outcome, Written, began_by_deletion};
use super::{Looking, RedisStore, Waiting};
use crate::clock::Moment;
use crate::storage::{Answer, Appended, Bound, Page, ReadRange, StoreError, Ticket, Told};

/// Milliseconds for which a missing message may still come by itself: an answer and a notice about two neighbours travel by two connections.
const HOLE_MS: u64 = 30;
/// Messages and bytes read at once to fill a hole.
const FILL_MESSAGES: usize = 512;
const FILL_BYTES: usize = 1024 * 1024;

impl RedisStore {
    /// Takes one piece of news.
    pub(super) fn take(&mut self, news: News, now: Moment) {
        match news {
            News::Opened(topic, opened) => self.opened(&topic, opened, now),
            News::Followed(topic, followed) => self.followed(&topic, followed, now),
            News::Appended(answers) => {
                let mut is_away = false;
                for ((topic, waiting), answer) in std::mem::take(&mut self.wire).into_iter().zip(answers) {
                    match answer {
                        Ok(written) => self.written(&topic, waiting, &written, now),
                        Err(failure) => {
                            is_away |= failure.outage;
                            self.not_written(&topic, waiting, &failure, now);
                        }
                    }
                }
                self.batch_done(is_away, now);
            }
            News::Groups(answers) => self.groups_answered(answers, now),
            News::Read(ticket, topic, range, found) => self.found(ticket, &topic, range, found, now),
            News::Filled(topic, found) => self.filled(&topic, found, now),
            News::Heads(heads) => self.all_seen(heads, now),
            News::AllHeads(heads) => {
                let looked = std::mem::replace(&mut self.looking, Looking::Not);
                self.all_seen(heads, now);
                if looked == Looking::Again {
                    self.interrupted(now);
                }
            }
            News::Deleted(ticket, topic, result) => self.deleted(ticket, &topic, result),
            News::Noticed(topic, notice) => self.noticed(&topic, notice, now),
            News::Interrupted => self.interrupted(now),
            News::Down => self.down(now),
            News::Up => self.up(now),
            News::Awake => {
                self.is_waking = false;
                self.fill_holes(now);
            }
        }
    }

    fn opened(&mut self, topic: &Topic, opened: Result<Ends, Failure>, now: Moment) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        let ends = match opened {
            Ok(ends) => ends,
            Err(failure) => return self.not_opened(topic, &failure, now),
        };
        match log.place {
            Place::Opening(ticket) => {
                log.place = Place::Redis;
                log.begin_at(ends);
                self.tell(ticket, Answer::Opened(Ok(ends.state())));
                self.put_acked_back(topic, ends.start);
                self.follow_anyway(topic);
            }
            Place::Healing if self.is_down => log.place = Place::Memory,
            Place::Healing => self.put_back(topic, ends, now),
            // It is there already, or Redis went away again.
            Place::Redis | Place::Memory | Place::Restoring => {}
        }
    }

    fn written(&mut self, topic: &Topic, waiting: Vec<Waiting>, written: &Written, now: Moment) {
        if self.logs.get(topic).is_some_and(|log| log.is_past(written.epoch)) {
            // Of an incarnation that is gone: what it took is offered to the one that is there, which recognises what it has.
            for waiting in waiting.into_iter().rev() {
                self.gathering.push_front(waiting);
            }
            return;
        }
        self.follow_epoch(topic, written.epoch, written.start);
        for (waiting, outcome) in waiting.into_iter().zip(&written.outcomes) {
            self.settle(topic, waiting, *outcome, now);
        }
        self.restored_if_done(topic);
        self.advance(topic, now);
    }

    /// Settles one message that Redis has answered for.
    fn settle(&mut self, topic: &Topic, waiting: Waiting, outcome: Outcome, now: Moment) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        let Some(ticket) = waiting.ticket else {
            log.healing = log.healing.saturating_sub(1);
            if let Outcome::Stored(seq) = outcome {
                self.metrics.acked_restored.add(u64::from(waiting.acked.is_some()));
                self.acked.remember(topic, (log.epoch, seq), waiting.item.clone(), waiting.acked.unwrap_or(now), now);
            }
            match (outcome, log.place) {
                (Outcome::Stored(seq), Place::Redis) => log.place(seq, Placed::Fed(waiting.item.entry)),
                (Outcome::Stored(seq) | Outcome::Duplicate(seq), _) => log.healed = log.healed.max(seq),
                (Outcome::Conflict, _) => self.metrics.outage_lost.add(1),
            }
            return;
        };
        if log.place == Place::Restoring {
            self.restored(topic);
        }
        let Some(log) = self.logs.get_mut(topic) else { return };
        match outcome {
            Outcome::Stored(seq) => {
                self.acked.remember(topic, (log.epoch, seq), waiting.item.clone(), now, now);
                log.place(seq, Placed::Own(ticket, waiting.item));
            }
            Outcome::Duplicate(seq) => {
                // Where nobody has heard of it yet it is missing: the answer to this node's first try was lost.
                log.known = log.known.max(seq);
                let position = log.position(seq);
                self.tell(ticket, Answer::Appended(Ok(Appended::Duplicate { position })));
            }
            Outcome::Conflict => self.tell(ticket, Answer::Appended(Ok(Appended::Conflict))),
        }
    }

    /// Goes over to the epoch that Redis answers with, where it is another.
    pub(super) fn follow_epoch(&mut self, topic: &Topic, epoch: u64, start: u64) {
        let Some(log) = self.logs.get_mut(topic).filter(|log| log.epoch != epoch) else { return };
        let (owed, held) = (log.take_ahead(), log.take_held());
        let ends = Ends { epoch, start, head: start, first: log.ends.first.min(start), bytes: log.ends.bytes };
        let before = (log.epoch, log.told);
        log.begin_at(ends);
        let (head, settings, place) = (log.position(start), log.settings.clone(), log.place);
        if place != Place::Redis {
            log.healed = start;
            return self.put_acked_back(topic, start);
        }
        // What had its place there is acknowledged with it; that it does not come is what the gap says.
        for (seq, placed) in owed {
            if let Placed::Own(ticket, item) = placed {
                let position = Position { epoch: Epoch::from_number(before.0), seq };
                self.out.push_back(Told::Moved {
                    topic: *topic,
                    reason: Some(GapReason::EpochChanged),
                    head: Position { seq: seq - 1, ..position },
                    durability: self.class(&settings),
                });
                let placed = self.logs[topic].placed(position, item.entry);
                self.tell(ticket, Answer::Appended(Ok(placed)));
            }
        }
        let reason = self.says_epochs().then_some(GapReason::EpochChanged);
        self.out.push_back(Told::Moved { topic: *topic, reason, head, durability: self.class(&settings) });
        self.put_acked_back(topic, start);
        let look = self.look(topic, &self.logs[topic]);
        // What they waited for may never come.
        for HeldRead { ticket, range, .. } in held {
            self.ask(Job::Read(ticket, look.clone(), range));
        }
        // Whatever lost the log's end may have lost the list.
        self.ask(Job::Enter(vec![look]));
    }

    /// Offers Redis what it has acknowledged and lost: what was after `start` in an earlier epoch.
    pub(super) fn put_acked_back(&mut self, topic: &Topic, start: u64) {
        let Some(epoch) = self.logs.get(topic).map(|log| log.epoch) else { return };
        let (items, lost) = self.acked.take_lost(topic, epoch, start);
        if began_by_deletion(epoch) {
            return;
        }
        if lost > 0 {
            self.metrics.acked_lost.add(lost);
            tracing::error!(room = %topic.room, channel = %topic.channel, lost, "Redis has lost acknowledged messages that cannot be put back");
        }
        let is_forgetful = self.is_forgetful();
        let Some(log) = self.logs.get_mut(topic).filter(|log| log.settings.messages_max > 0 && !is_forgetful) else { return };
        log.healing += items.len();
        for (item, acked) in items.into_iter().rev() {
            self.gathering.push_front(Waiting { topic: *topic, ticket: None, acked: Some(acked), item });
        }
    }

    /// Tells whatever is next, until something is missing.
    pub(super) fn advance(&mut self, topic: &Topic, now: Moment) {
        let keeps_order = self.keeps_order();
        let Some(log) = self.logs.get_mut(topic).filter(|log| log.place == Place::Redis) else { return };
        let told = log.told;
        while let Some(next) = log.next(keeps_order) {
            self.out.push_back(match next {
                Next::Message(position, Placed::Own(ticket, item)) => Told::Answer(ticket, Answer::Appended(Ok(log.placed(position, item.entry)))),
                Next::Message(position, Placed::Fed(entry)) => Told::Fed { topic: *topic, position, body: entry.place(&position) },
                Next::Read(read) => Told::Answer(read.ticket, Answer::Read(Ok(page(log, read)))),
            });
        }
        if log.told > told {
            log.hole_since = None;
        }
        if log.has_hole() && log.hole_since.is_none() {
            log.hole_since = Some(now);
            self.holes.push(*topic);
        }
        self.wake_for_holes();
    }

    fn wake_for_holes(&mut self) {
        if !self.holes.is_empty() && !self.is_waking && !self.keeps_holes() {
            self.is_waking = true;
            self.ask(Job::Wake(HOLE_MS));
        }
    }

    /// Reads what is missing and did not come by itself.
    fn fill_holes(&mut self, now: Moment) {
        for topic in std::mem::take(&mut self.holes) {
            let Some(log) = self.logs.get_mut(&topic).filter(|log| log.place == Place::Redis && log.has_hole()) else { continue };
            if self.is_down {
                // Once Redis is back all heads are looked at.
                log.hole_since = None;
                continue;
            }
            let Some(since) = log.hole_since else { continue };
            if now.since(since) < HOLE_MS {
                self.holes.push(topic);
            } else if !std::mem::replace(&mut log.filling, true) {
                self.metrics.feed_holes.add(1);
                self.fill(&topic);
            }
        }
        self.wake_for_holes();
    }

    fn fill(&mut self, topic: &Topic) {
        let Some(log) = self.logs.get(topic) else { return };
        let range =
            ReadRange { since: Some(Bound::Seq(log.told)), until: None, limit: FILL_MESSAGES, bytes_max: FILL_BYTES, direction: Direction::Forward };
        let look = self.look(topic, log);
        self.ask(Job::Fill(look, range));
    }

    fn filled(&mut self, topic: &Topic, found: Result<Found, Failure>, now: Moment) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        log.filling = false;
        let present = found.ok().filter(|found| !log.is_past(found.ends.epoch));
        let Some(found) = present.filter(|_| log.place == Place::Redis && log.feed == Feed::Here) else {
            // What is missing still, or again, is asked for again.
            log.hole_since = None;
            return self.advance(topic, now);
        };
        self.look_at(topic, found.ends);
        let Some(log) = self.logs.get_mut(topic) else { return };
        let first = found.entries.first().map_or(found.ends.head + 1, |(seq, _)| *seq);
        let first = log.first_ahead().map_or(first, |ahead| first.min(ahead));
        if first > log.told + 1 {
            log.skip_to(first - 1);
            let (head, settings) = (log.position(first - 1), log.settings.clone());
            self.out.push_back(Told::Moved { topic: *topic, reason: Some(GapReason::Trimmed), head, durability: self.class(&settings) });
        }
        let Some(log) = self.logs.get_mut(topic) else { return };
        for (seq, entry) in found.entries {
            log.place(seq, Placed::Fed(entry));
        }
        log.hole_since = None;
        self.advance(topic, now);
    }

    fn found(&mut self, ticket: Ticket, topic: &Topic, range: ReadRange, found: Result<Found, Failure>, now: Moment) {
        let Some(log) = self.logs.get(topic) else {
            return self.tell(ticket, Answer::Read(Err(Self::not_open())));
        };
        let found = match found {
            Ok(found) => found,
            Err(failure) => return self.not_found(ticket, topic, &range, &failure, now),
        };
        if log.place != Place::Redis {
            return self.read_without(topic, &range, now, ticket);
        }
        if log.is_past(found.ends.epoch) {
            let look = self.look(topic, log);
            return self.ask(Job::Read(ticket, look, range));
        }
        self.look_at(topic, found.ends);
        if let Some(log) = self.logs.get_mut(topic) {
            log.hold(HeldRead { ticket, range, found });
        }
        self.advance(topic, now);
    }

    /// Takes the ends of a log that was only looked at.
    pub(super) fn seen(&mut self, topic: &Topic, ends: Ends, now: Moment) {
        let Some(log) = self.logs.get(topic) else { return };
        if log.place != Place::Redis || log.is_past(ends.epoch) {
            return;
        }
        self.look_at(topic, ends);
        self.advance(topic, now);
    }

    /// Takes the ends of a log in Redis.
    fn look_at(&mut self, topic: &Topic, ends: Ends) {
        self.follow_epoch(topic, ends.epoch, ends.start);
        let Some(log) = self.logs.get_mut(topic) else { return };
        if log.look(ends) {
            let (head, settings) = (log.position(log.told), log.settings.clone());
            self.out.push_back(Told::Moved { topic: *topic, reason: None, head, durability: self.class(&settings) });
        }
    }

    pub(super) fn noticed(&mut self, topic: &Topic, notice: Notice, now: Moment) {
        let (own, drops) = (self.node, self.drops_notice());
        let Some(log) = self.logs.get_mut(topic) else { return };
        if drops || notice.node() == own {
            return;
        }
        if log.feed == Feed::Away {
            return;
        }
        match (log.place, notice) {
            (Place::Redis, notice) if log.feed != Feed::Here => log.keep_early(notice),
            (Place::Redis, Notice::Appended { epoch, head, entries, .. }) => {
                if !log.notice(epoch, head, entries) && !log.is_past(epoch) {
                    let look = self.look(topic, &self.logs[topic]);
                    self.ask(Job::Heads(vec![look]));
                }
                self.advance(topic, now);
            }
            (Place::Redis, Notice::GaveBack { group, .. }) => self.tell_work(*topic, Some(group)),
            (Place::Redis, Notice::Deleted { by, .. }) => {
                self.forget_lost(topic);
                self.out.push_back(Told::Deleted { topic: *topic, by });
            }
            // While Redis was away, or is being caught up with, what it holds is looked at once that is over.
            (Place::Opening(_) | Place::Memory | Place::Healing | Place::Restoring, _) => {}
        }
    }

    fn deleted(&mut self, ticket: Ticket, topic: &Topic, result: Result<(), Failure>) {
        let result = result.map_err(|failure| self.refusal(&failure));
        if result.is_ok() {
            self.forget_lost(topic);
            self.close_deleted(topic);
        }
        self.tell(ticket, Answer::Deleted(result));
    }

    /// A log was deleted: nothing of it is put back.
    pub(super) fn forget_lost(&mut self, topic: &Topic) {
        self.acked.forget(topic);
        self.gathering.retain(|waiting| waiting.ticket.is_some() || waiting.topic != *topic);
    }

    fn close_deleted(&mut self, topic: &Topic) {
        crate::storage::Store::close(self, topic);
    }

    /// What somebody is told whose question failed.
    pub(super) fn refusal(&self, failure: &Failure) -> StoreError {
        if failure.sure { StoreError::Unavailable(failure.why.clone()) } else { StoreError::Unknown(failure.why.clone()) }
    }
}

impl Notice {
    fn node(&self) -> ClientId {
        match self {
            Self::Appended { node, .. } | Self::GaveBack { node, .. } | Self::Deleted { node, .. } => *node,
        }
    }
}

/// The page of a read: everything up to its head has been told, and perhaps more.
fn page(log: &Log, read: HeldRead) -> Page {
    let HeldRead { range, found, .. } = read;
    let mut state = found.ends.state();
    let position = state.head;
    state.head.seq = state.head.seq.max(log.told);
    if let Some(first) = state.first_seq {
        state.messages = state.head.seq + 1 - first;
    }
    let (mut bytes, mut entries) = (range.bytes_max, Vec::new());
    for (seq, entry) in found.entries {
        let body = entry.place(&Position { seq, ..position });
        if entries.len() == range.limit || (!entries.is_empty() && body.len() > bytes) {
            break;
        }
        bytes = bytes.saturating_sub(body.len());
        entries.push((seq, body));
    }
    let more = match (entries.last(), range.direction) {
        (Some((last, _)), Direction::Forward) => *last < found.to,
        (Some((last, _)), Direction::Backward) => *last > found.from,
        (None, _) => found.from <= found.to,
    };
    Page { state, entries, more }
}

/// What acks survive while a log is in memory.
pub(super) const IN_MEMORY: Durability = Durability::Memory;
