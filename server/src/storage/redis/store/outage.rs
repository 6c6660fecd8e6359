//! While Redis is away, and when it is back.

use arqonbus_protocol::{GapReason, StorageState, Topic};

use super::desk::{Failure, Job};
#[cfg(not(any(test, feature = "sabotage")))]
use super::group_script::Question;
use super::log::{Feed, Place, Placed};
use super::news::IN_MEMORY;
use super::script::{Ends, Item};
use super::{RedisStore, Waiting};
use crate::clock::Moment;
use crate::config::OnOutage;
use crate::storage::{Answer, Appended, LogState, Progress, ReadRange, Store, StoreError, Ticket, Told};

impl RedisStore {
    /// Redis is away: what would have left with the next batch does not wait for it.
    pub(super) fn down(&mut self, now: Moment) {
        self.is_down = true;
        self.ill_since.get_or_insert(now);
        self.state = StorageState::Degraded;
        if self.wire.is_empty() {
            self.go_without(now);
        }
    }

    /// A batch is answered for, well or badly.
    pub(super) fn batch_done(&mut self, is_away: bool, now: Moment) {
        if is_away {
            self.fail(now);
        }
        if self.is_down {
            self.go_without(now);
        }
    }

    /// Takes everything that waits for Redis elsewhere, in order.
    fn go_without(&mut self, now: Moment) {
        let (taken, put_back): (Vec<_>, Vec<_>) = std::mem::take(&mut self.gathering).into_iter().partition(|waiting| waiting.ticket.is_some());
        let mut by_topic: Vec<(Topic, Vec<Item>)> = Vec::new();
        for Waiting { topic, item, .. } in put_back {
            match by_topic.iter_mut().find(|(known, _)| *known == topic) {
                Some((_, items)) => items.push(item),
                None => by_topic.push((topic, vec![item])),
            }
        }
        for (topic, items) in by_topic {
            self.put_off(&topic, items, now);
        }
        for waiting in taken {
            self.append_without(waiting, now);
        }
    }

    /// Keeps what could not be put back for the next time.
    fn put_off(&mut self, topic: &Topic, items: Vec<Item>, now: Moment) {
        self.missed.put_back(topic, items);
        let Some(log) = self.logs.get_mut(topic) else { return };
        log.healing = 0;
        if matches!(log.place, Place::Redis | Place::Restoring) {
            self.move_to_memory(topic, now);
        }
    }

    /// Redis is back: every log that went on in memory is given back to it.
    pub(super) fn up(&mut self, now: Moment) {
        self.is_down = false;
        self.state = StorageState::Healing;
        self.acked.renew(now);
        self.look_at_all(now);
        self.healed_if_all_are();
    }

    /// Offers Redis the logs that went on in memory.
    pub(super) fn take_back(&mut self) {
        let mut looks = Vec::new();
        for (topic, log) in self.logs.iter_mut().filter(|(_, log)| log.place == Place::Memory) {
            log.place = Place::Healing;
            looks.push(*topic);
        }
        for topic in looks {
            let look = self.look(&topic, &self.logs[&topic]);
            self.ask(Job::Open(look));
        }
    }

    fn healed_if_all_are(&mut self) {
        let is_elsewhere = |place| matches!(place, Place::Memory | Place::Healing | Place::Restoring);
        if self.state == StorageState::Healing && !self.logs.values().any(|log| is_elsewhere(log.place)) {
            (self.state, self.ill_since) = (StorageState::Healthy, None);
        }
    }

    /// A question failed because Redis is away; somebody says when it is back.
    pub(super) fn fail(&mut self, now: Moment) {
        if !self.is_down {
            self.down(now);
            self.ask(Job::Probe);
        }
    }

    pub(super) fn not_opened(&mut self, topic: &Topic, failure: &Failure, now: Moment) {
        if failure.outage {
            self.fail(now);
        }
        match self.logs.get(topic).map(|log| log.place) {
            Some(Place::Opening(_)) if failure.outage => self.open_without(topic, &failure.why, now),
            // In memory it would be another log on each node, and nobody would know.
            Some(Place::Opening(ticket)) => self.refuse_to_open(topic, ticket, &failure.why),
            Some(Place::Healing) => {
                if !failure.outage {
                    tracing::error!(room = %topic.room, channel = %topic.channel, why = failure.why, "Redis does not take a log back");
                }
                // It is tried again when Redis is back, or else at the next look at all logs.
                if let Some(log) = self.logs.get_mut(topic) {
                    log.place = Place::Memory;
                }
            }
            Some(Place::Redis | Place::Memory | Place::Restoring) | None => {}
        }
    }

    /// Opens a log in memory, or not at all.
    pub(super) fn open_without(&mut self, topic: &Topic, why: &str, now: Moment) {
        let Some(Place::Opening(ticket)) = self.logs.get(topic).map(|log| log.place) else { return };
        if self.on_outage == OnOutage::Reject {
            return self.refuse_to_open(topic, ticket, why);
        }
        let state = self.open_in_memory(topic, now);
        self.tell(ticket, Answer::Opened(Ok(state)));
        self.out.push_back(Told::Moved { topic: *topic, reason: None, head: state.head, durability: IN_MEMORY });
    }

    fn refuse_to_open(&mut self, topic: &Topic, ticket: Ticket, why: &str) {
        self.logs.remove(topic);
        self.tell(ticket, Answer::Opened(Err(StoreError::Unavailable(why.to_owned()))));
    }

    fn open_in_memory(&mut self, topic: &Topic, now: Moment) -> LogState {
        let Some(log) = self.logs.get_mut(topic) else { unreachable!("only open logs are moved") };
        log.place = Place::Memory;
        let Progress::Done(Ok(state)) = self.memory.open(topic, &log.settings.clone(), now, Ticket(0)) else {
            unreachable!("memory opens every log, at once")
        };
        state
    }

    /// Moves a log from Redis to memory; its members are told before anything that follows.
    pub(super) fn move_to_memory(&mut self, topic: &Topic, now: Moment) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        if log.place == Place::Restoring {
            // Its members are still where they were.
            log.place = Place::Memory;
            return;
        }
        let (held, ahead) = (log.take_held(), log.take_ahead());
        log.hole_since = None;
        for (seq, placed) in ahead {
            let Placed::Own(ticket, item) = placed else { continue };
            // It is stored, and acknowledged so; what is missing before it is said to be.
            let Some(log) = self.logs.get(topic) else { return };
            let (before, position, class) = (log.position(seq - 1), log.position(seq), self.class(&log.settings));
            self.out.push_back(Told::Moved { topic: *topic, reason: Some(GapReason::Degraded), head: before, durability: class });
            let placed = log.placed(position, item.entry);
            self.tell(ticket, Answer::Appended(Ok(placed)));
        }
        self.follow_in_memory(topic);
        let state = self.open_in_memory(topic, now);
        self.metrics.degraded_topics.add(1);
        let reason = self.says_degraded().then_some(GapReason::Degraded);
        self.out.push_back(Told::Moved { topic: *topic, reason, head: state.head, durability: IN_MEMORY });
        for read in held {
            self.read_without(topic, &read.range, now, read.ticket);
        }
    }

    /// Takes a message that Redis was not given.
    pub(super) fn append_without(&mut self, waiting: Waiting, now: Moment) {
        let topic = waiting.topic;
        match (waiting.ticket, self.on_outage) {
            (Some(ticket), OnOutage::Reject) => {
                self.tell(ticket, Answer::Appended(Err(StoreError::Unavailable("Redis is away".into()))));
            }
            (None, _) => self.put_off(&topic, vec![waiting.item], now),
            (Some(_), OnOutage::Degrade) => {
                if self.logs.get(&topic).is_some_and(|log| matches!(log.place, Place::Redis | Place::Restoring)) {
                    self.move_to_memory(&topic, now);
                }
                self.append_to_memory(waiting, now);
            }
        }
    }

    /// Takes a message into memory, and keeps it for Redis.
    pub(super) fn append_to_memory(&mut self, waiting: Waiting, now: Moment) {
        let Waiting { topic, ticket: Some(ticket), item, .. } = waiting else { return };
        let kept = item.clone();
        let Progress::Done(appended) = self.memory.append(&topic, item.entry, Some(item.fingerprint), now, ticket) else {
            unreachable!("memory answers at once")
        };
        if matches!(appended, Ok(Appended::Stored { .. } | Appended::Unheld { .. })) && !self.is_forgetful() && !self.missed.keep(&topic, kept) {
            self.metrics.outage_lost.add(1);
        }
        self.tell(ticket, Answer::Appended(appended));
    }

    /// A batch failed. Whether it was stored may be unknown: it is offered again under its ids, or whoever waits is told that it is unknown.
    pub(super) fn not_written(&mut self, topic: &Topic, waiting: Vec<Waiting>, failure: &Failure, now: Moment) {
        if !failure.outage || !self.logs.contains_key(topic) {
            return self.refuse(topic, waiting, failure);
        }
        let (taken, put_back): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.ticket.is_some());
        // Before those that wait for the next batch: they are put off together.
        for waiting in put_back.into_iter().rev() {
            self.gathering.push_front(waiting);
        }
        if self.on_outage == OnOutage::Reject {
            return self.refuse(topic, taken, failure);
        }
        #[cfg(any(test, feature = "sabotage"))]
        let taken = self.unless_acked(topic, taken, now);
        for waiting in taken {
            self.append_without(waiting, now);
        }
    }

    fn refuse(&mut self, topic: &Topic, waiting: Vec<Waiting>, failure: &Failure) {
        for Waiting { ticket, acked, .. } in waiting {
            let refusal = self.refusal(failure);
            match ticket {
                Some(ticket) => self.tell(ticket, Answer::Appended(Err(refusal))),
                None => {
                    let lost = if acked.is_some() { &self.metrics.acked_lost } else { &self.metrics.outage_lost };
                    lost.add(1);
                    tracing::error!(room = %topic.room, channel = %topic.channel, why = failure.why, "a message cannot be put back into Redis");
                    if let Some(log) = self.logs.get_mut(topic) {
                        log.healing = log.healing.saturating_sub(1);
                    }
                }
            }
        }
        self.restored_if_done(topic);
    }

    pub(super) fn not_found(&mut self, ticket: Ticket, topic: &Topic, range: &ReadRange, failure: &Failure, now: Moment) {
        if !failure.outage {
            return self.tell(ticket, Answer::Read(Err(StoreError::Unavailable(failure.why.clone()))));
        }
        self.fail(now);
        self.read_without(topic, range, now, ticket);
    }

    /// Reads what there is without Redis.
    pub(super) fn read_without(&mut self, topic: &Topic, range: &ReadRange, now: Moment, ticket: Ticket) {
        if self.on_outage == OnOutage::Reject {
            return self.tell(ticket, Answer::Read(Err(StoreError::Unavailable("Redis is away".into()))));
        }
        if self.logs.get(topic).is_some_and(|log| log.place == Place::Redis) {
            self.move_to_memory(topic, now);
        }
        let Progress::Done(page) = self.memory.read(topic, range, now, ticket) else { unreachable!("memory answers at once") };
        self.tell(ticket, Answer::Read(page));
    }

    /// Gives a log what it has missed. What is published from now on goes behind it.
    pub(super) fn put_back(&mut self, topic: &Topic, ends: Ends, now: Moment) {
        let items = self.missed.take(topic);
        let Some(log) = self.logs.get_mut(topic) else { return };
        log.place = Place::Restoring;
        log.begin_at(ends);
        (log.healing, log.healed) = (items.len(), ends.head);
        if log.feed == Feed::Here {
            // Whoever came while Redis was away has not asked it for the feed.
            self.ask_for_feed(topic);
        }
        self.gathering.extend(items.into_iter().map(|item| Waiting { topic: *topic, ticket: None, acked: None, item }));
        self.put_acked_back(topic, ends.start);
        self.restored_if_done(topic);
        self.advance(topic, now);
    }

    pub(super) fn restored_if_done(&mut self, topic: &Topic) {
        if self.logs.get(topic).is_some_and(|log| log.place == Place::Restoring && log.healing == 0) {
            self.restored(topic);
        }
    }

    /// A log is in Redis again, with what it had missed.
    pub(super) fn restored(&mut self, topic: &Topic) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        let head = log.healed.max(log.told);
        log.place = Place::Redis;
        log.skip_to(head);
        log.known = log.known.max(head);
        let (position, settings) = (log.position(head), log.settings.clone());
        self.memory.close(topic);
        self.out.push_back(Told::Moved { topic: *topic, reason: Some(GapReason::Restored), head: position, durability: self.class(&settings) });
        self.healed_if_all_are();
        self.wake();
    }
}

#[cfg(not(any(test, feature = "sabotage")))]
#[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "of the same shape as with switches")]
impl RedisStore {
    pub(super) fn says_epochs(&self) -> bool {
        true
    }

    pub(super) fn says_degraded(&self) -> bool {
        true
    }

    pub(super) fn keeps_holes(&self) -> bool {
        false
    }

    pub(super) fn keeps_order(&self) -> bool {
        true
    }

    pub(super) fn is_forgetful(&self) -> bool {
        false
    }

    pub(super) fn follow_anyway(&mut self, _topic: &Topic) {}

    pub(super) fn drop_feed(&mut self, _topic: &Topic) {}

    pub(super) fn drops_notice(&mut self) -> bool {
        false
    }

    pub(super) fn asks_instead(&self, question: Question) -> Option<Question> {
        Some(question)
    }
}
