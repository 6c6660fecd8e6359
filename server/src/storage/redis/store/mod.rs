//! Logs in Redis, shared by all nodes of a bus: one shard's half of it, which does no I/O.
//!
//! Questions leave by the shard's [`Desk`], and news comes back by it. What is appended while one batch is under way leaves together with the
//! next: under load batches get larger, not more. See specs/003-redis.

mod acked;
mod appends;
pub(crate) mod catalogue;
mod desk;
mod engine;
mod following;
mod group_script;
mod groups;
mod health;
mod incarnation;
pub(crate) mod listing;
mod log;
mod looks;
mod news;
mod notice;
mod outage;
mod packed;
mod script;
mod slots;
mod spare;
#[cfg(any(test, feature = "sabotage"))]
mod switches;
#[cfg(test)]
mod tests;
#[cfg(feature = "store-suite")]
mod trial;
mod verdict;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use arqonbus_protocol::{ClientId, Durability, StorageState, StorageStatus, Topic};

use acked::Acked;
pub(crate) use desk::Desk;
pub(crate) use engine::{Bus, Engine};
#[cfg(feature = "store-suite")]
pub use trial::Trial;

use super::{Code, Confirmation, Feed, Link, LinkError, LinkState, OpenError, Pushed, ServerFacts};
use crate::clock::Moment;
use crate::config::{self, OnOutage};
use crate::hash::Map;
use crate::storage::{
    Answer, Appended, Entry, Fingerprint, GroupStore, LogSettings, LogState, MemoryStore, Page, Progress, ReadRange, Store, StoreCounters,
    StoreError, Ticket, Told,
};
use crate::telemetry::Metrics;
use desk::Job;
use log::{Log, Place};
use script::{Item, Look, Part};
use spare::Missed;

/// Messages and bytes of one batch: Redis serves nobody else while it takes one.
const BATCH_MESSAGES: usize = 512;
const BATCH_BYTES: usize = 256 * 1024;

/// Milliseconds between a message's way to Redis and the outage that was found by it, at most.
const PUT_BACK_MS: u64 = 10_000;

/// Logs in Redis. See the module.
pub(crate) struct RedisStore {
    desk: Desk,
    logs: Map<Topic, Log>,
    /// What is to be told, in order.
    out: VecDeque<Told>,
    /// Questions that found no room.
    outbox: VecDeque<Job>,
    /// What is appended with the next batch.
    gathering: VecDeque<Waiting>,
    /// What is under way, by log.
    wire: Vec<(Topic, Vec<Waiting>)>,
    waker: Option<Waker>,
    is_down: bool,
    /// Since when not all has been well.
    ill_since: Option<Moment>,
    state: StorageState,
    on_outage: OnOutage,
    /// Where logs are while Redis is away.
    memory: MemoryStore,
    missed: Missed,
    acked: Acked,
    groups: groups::Groups,
    /// Logs in which something is missing.
    holes: Vec<Topic>,
    is_waking: bool,
    looking: Looking,
    fsync: Arc<AtomicBool>,
    node: ClientId,
    head_check_ms: u64,
    heads_due: Moment,
    enter_due: Moment,
    /// Makes messages without an id different from each other.
    nonce: u128,
    metrics: Arc<Metrics>,
    /// What acks said when lanes were last told.
    told_fsync: bool,
    #[cfg(any(test, feature = "sabotage"))]
    sabotage: Option<crate::sim::Sabotage>,
}

/// Whether all heads are being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    Not,
    Once,
    /// They are, and there has been reason to do it once more since.
    Again,
}

/// A message on its way to Redis.
#[derive(Debug)]
struct Waiting {
    topic: Topic,
    /// Who waits for the answer; nobody where the message is put back.
    ticket: Option<Ticket>,
    /// When it was acknowledged, where Redis had it before.
    acked: Option<Moment>,
    item: Item,
}

/// What a store needs besides its desk.
pub(crate) struct Means {
    pub(crate) node: ClientId,
    pub(crate) fsync: Arc<AtomicBool>,
    pub(crate) memory: MemoryStore,
    pub(crate) metrics: Arc<Metrics>,
    /// Random.
    pub(crate) salt: u128,
    /// A promise to break, so that a test can show that it would notice.
    #[cfg(any(test, feature = "sabotage"))]
    pub(crate) sabotage: Option<crate::sim::Sabotage>,
}

impl RedisStore {
    pub(crate) fn new(config: &config::Redis, desk: Desk, means: Means) -> Self {
        Self {
            desk,
            logs: Map::default(),
            out: VecDeque::new(),
            outbox: VecDeque::new(),
            gathering: VecDeque::new(),
            wire: Vec::new(),
            waker: None,
            is_down: false,
            ill_since: None,
            state: StorageState::Healthy,
            on_outage: config.on_outage,
            memory: means.memory,
            missed: Missed::new(config.outage_messages, config.outage_bytes),
            acked: Acked::default(),
            groups: groups::Groups::default(),
            holes: Vec::new(),
            is_waking: false,
            looking: Looking::Not,
            fsync: means.fsync,
            node: means.node,
            head_check_ms: config.head_check_ms,
            heads_due: Moment::default(),
            enter_due: Moment::default().plus_ms(catalogue::ENTER_AGAIN_MS),
            nonce: means.salt,
            metrics: means.metrics,
            told_fsync: false,
            #[cfg(any(test, feature = "sabotage"))]
            sabotage: means.sabotage,
        }
    }

    fn look(&self, topic: &Topic, log: &Log) -> Look {
        Look { topic: *topic, settings: log.settings.clone(), messages_before: None }
    }

    fn ask(&mut self, job: Job) {
        self.outbox.push_back(job);
        self.send();
    }

    /// Hands over what finds room; the rest goes when the next news comes.
    fn send(&mut self) {
        while let Some(job) = self.outbox.pop_front() {
            if let Err(error) = self.desk.jobs.try_send(job) {
                if let tokio::sync::mpsc::error::TrySendError::Full(job) = error {
                    self.outbox.push_front(job);
                }
                return;
            }
        }
    }

    /// Lets [`Store::poll_told`] be called once this tick is over.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn tell(&mut self, ticket: Ticket, answer: Answer) {
        self.out.push_back(Told::Answer(ticket, answer));
        self.wake();
    }

    /// Sends what has gathered, unless a batch is under way.
    fn dispatch(&mut self, now: Moment) {
        if !self.wire.is_empty() || self.is_down || self.gathering.is_empty() {
            return;
        }
        let mut at: Map<Topic, usize> = Map::default();
        let (mut messages, mut bytes) = (0, 0);
        while let Some(next) = self.gathering.front() {
            bytes += next.item.entry.text.len();
            let beside = at.get(&next.topic).map_or(&[][..], |at| &self.wire[*at].1);
            if !self.may_go_beside(next, beside) || messages == BATCH_MESSAGES || (messages > 0 && bytes > BATCH_BYTES) {
                break;
            }
            messages += 1;
            let Some(next) = self.gathering.pop_front() else { break };
            let at = *at.entry(next.topic).or_insert_with(|| {
                self.wire.push((next.topic, Vec::new()));
                self.wire.len() - 1
            });
            self.wire[at].1.push(next);
        }
        let parts = self.wire.iter().map(|(topic, waiting)| self.part(topic, waiting, now)).collect();
        self.ask(Job::Append(parts));
    }

    /// Whether a message may be in one entry with those: its id is another, and the entry stays a small part of what the log may hold, since
    /// it is held or given up as a whole.
    fn may_go_beside(&self, next: &Waiting, beside: &[Waiting]) -> bool {
        let key = next.item.fingerprint.key;
        let bytes_max = self.logs.get(&next.topic).map_or(0, |log| log.settings.bytes_max / 8);
        let bytes: u64 = beside.iter().chain([next]).map(|waiting| waiting.item.entry.text.len() as u64).sum();
        beside.is_empty() || (bytes <= bytes_max && beside.iter().all(|other| other.item.fingerprint.key != key))
    }

    fn part(&self, topic: &Topic, waiting: &[Waiting], now: Moment) -> Part {
        let log = self.logs.get(topic);
        let nothing = LogSettings { messages_max: 0, age_ms_max: 0, bytes_max: 0, dedup_ms: 0, dedup_entries_max: 0 };
        let mut settings = log.map_or(nothing, |log| log.settings.clone());
        if settings.dedup_ms > 0 && waiting.iter().any(|waiting| waiting.ticket.is_none()) {
            // What is put back may have been stored before the outage, and is known by its id.
            let ill_ms = self.ill_since.map_or(0, |since| now.since(since));
            settings.dedup_ms = settings.dedup_ms.saturating_add(ill_ms + PUT_BACK_MS);
        }
        Part {
            topic: *topic,
            settings,
            follows: log.is_some_and(|log| log.follows),
            items: waiting.iter().map(|waiting| waiting.item.clone()).collect(),
        }
    }

    /// What acks of a log in Redis survive.
    fn class(&self, settings: &LogSettings) -> Durability {
        let holds = settings.messages_max > 0 && settings.age_ms_max > 0 && settings.bytes_max > 0;
        match (holds, self.fsync.load(Relaxed)) {
            (false, _) => Durability::None,
            (true, true) => Durability::RedisFsync,
            (true, false) => Durability::Redis,
        }
    }

    /// A fingerprint for a message that has none: its own, so that trying again is harmless.
    fn own_fingerprint(&mut self) -> Fingerprint {
        self.nonce = self.nonce.wrapping_add(1);
        Fingerprint { key: self.nonce, content: 0 }
    }

    fn not_open() -> StoreError {
        StoreError::Unavailable("the topic's log is not open".into())
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        self.class(settings)
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings, now: Moment, ticket: Ticket) -> Progress<LogState> {
        let before = self.logs.get(topic).map(|log| log.settings.messages_max);
        let log = Log::new(settings.clone(), Place::Opening(ticket));
        let look = Look { messages_before: before, ..self.look(topic, &log) };
        self.logs.insert(*topic, log);
        if self.is_down {
            self.open_without(topic, "Redis is away", now);
        } else {
            self.ask(Job::Open(look));
        }
        Progress::Later
    }

    fn follow(&mut self, topic: &Topic, now: Moment, ticket: Ticket) -> Progress<()> {
        self.begin_to_follow(topic, now, ticket)
    }

    fn unfollow(&mut self, topic: &Topic, now: Moment) {
        self.end_to_follow(topic);
        // Nothing waits for others' messages any more.
        self.advance(topic, now);
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment, ticket: Ticket) -> Progress<Appended> {
        let fingerprint = fingerprint.unwrap_or_else(|| self.own_fingerprint());
        let Some(log) = self.logs.get(topic) else { return Progress::Done(Err(Self::not_open())) };
        let (place, waiting) = (log.place, Waiting { topic: *topic, ticket: Some(ticket), acked: None, item: Item { entry, fingerprint } });
        match place {
            Place::Opening(_) => return Progress::Done(Err(Self::not_open())),
            Place::Memory | Place::Healing => self.append_to_memory(waiting, now),
            // Behind what is under way, whatever becomes of it.
            Place::Redis | Place::Restoring if self.is_down && self.wire.is_empty() => self.append_without(waiting, now),
            Place::Redis | Place::Restoring => self.gathering.push_back(waiting),
        }
        self.wake();
        Progress::Later
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange, now: Moment, ticket: Ticket) -> Progress<Page> {
        let Some(log) = self.logs.get(topic) else { return Progress::Done(Err(Self::not_open())) };
        match log.place {
            Place::Opening(_) => return Progress::Done(Err(Self::not_open())),
            Place::Redis if !self.is_down => {
                let look = self.look(topic, log);
                self.ask(Job::Read(ticket, look, *range));
            }
            Place::Redis | Place::Memory | Place::Healing | Place::Restoring => self.read_without(topic, range, now, ticket),
        }
        Progress::Later
    }

    fn delete(&mut self, topic: &Topic, by: ClientId, ticket: Ticket) -> Progress<()> {
        match self.logs.get(topic) {
            None if !self.is_down => self.ask(Job::Delete(ticket, *topic, by)),
            Some(log) if log.place == Place::Redis && !self.is_down => self.ask(Job::Delete(ticket, *topic, by)),
            _ => return Progress::Done(Err(StoreError::Unavailable("Redis is away".into()))),
        }
        Progress::Later
    }

    fn groups(&mut self) -> Option<&mut dyn GroupStore> {
        Some(self)
    }

    fn poll_told(&mut self, now: Moment, cx: &mut Context<'_>) -> Poll<Told> {
        loop {
            if let Some(told) = self.out.pop_front() {
                return Poll::Ready(told);
            }
            match self.desk.news.poll_recv(cx) {
                Poll::Ready(Some(news)) => self.take(news, now),
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        self.send();
        self.dispatch(now);
        self.dispatch_groups(now);
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn is_forgettable(&mut self, topic: &Topic, _now: Moment) -> bool {
        // Redis keeps it, unless Redis is still to be given what this node has. What groups have given out is looked after.
        self.logs.get(topic).is_none_or(|log| log.place == Place::Redis && log.healing == 0) && self.groups.are_closed(topic)
    }

    fn close(&mut self, topic: &Topic) {
        self.end_to_follow(topic);
        if self.logs.remove(topic).is_some() {
            self.memory.close(topic);
            self.groups.close(topic);
        }
    }

    fn forget(&mut self, topic: &Topic) {
        self.forget_lost(topic);
        self.close(topic);
    }

    fn sweep(&mut self, now: Moment) {
        self.memory.sweep(now);
        if !self.is_down {
            self.acked.expire(now);
        }
        if now >= self.heads_due {
            self.look_at_all(now);
        }
        if now >= self.enter_due {
            self.enter_all(now);
        }
    }

    fn counters(&self) -> StoreCounters {
        self.memory.counters()
    }

    fn status(&self) -> StorageStatus {
        let memory = self.memory.status();
        let in_redis = self.logs.values().filter(|log| log.place == Place::Redis).map(|log| log.ends.state());
        let (messages, bytes) = in_redis.fold((memory.messages, memory.bytes), |sum, state| (sum.0 + state.messages, sum.1 + state.bytes));
        StorageStatus { kind: self.kind().into(), state: self.state, messages, bytes }
    }

    fn state(&self) -> StorageState {
        self.state
    }
}
