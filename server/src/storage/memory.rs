//! Logs in the memory of this process: the default store, one for each shard.

use std::collections::BinaryHeap;
use std::sync::Arc;

use arqonbus_protocol::{ClientId, Durability, SEQ_MAX, StorageState, StorageStatus, Timestamp, Topic};
use bytes::Bytes;
use slab::Slab;

use super::budget::Account;
use super::dedup::Verdict;
use super::log::Log;
use super::ring::cost;
use super::{
    Appended, Budget, Entry, Epochs, Fingerprint, GroupStore, LogSettings, LogState, Page, Progress, ReadRange, Store, StoreCounters, StoreError,
    Ticket,
};
use crate::clock::Moment;
use crate::hash::Map;

/// Logs that one sweep looks at, so that a shard with many stays at well under a millisecond.
const SWEEP_LOGS_MAX: usize = 4_096;
/// Entries and ids that one sweep gives up at most, for the same reason.
const SWEEP_ENTRIES_MAX: usize = 32_768;
/// Finding the largest logs means looking at all of them, so that then they make room for more than the one entry: up to this part of
/// what the shard holds.
const ROOM_DIVISOR: u64 = 64;

/// Logs in memory, each a ring bounded by count, age and bytes; all of them under one [`Budget`]. Every answer comes at once.
///
/// Ages and windows follow the moments that it is given, never the wall clock.
#[derive(Debug)]
pub struct MemoryStore {
    epochs: Epochs,
    by_topic: Map<Topic, usize>,
    logs: Slab<Log>,
    account: Account,
    /// Ids remembered at most, over all logs.
    ids_max: usize,
    /// Where the next sweep begins.
    swept: usize,
    seq_max: u64,
}

impl MemoryStore {
    /// Holds nothing yet. `salt` is random and different for each store; `budget` is shared by all.
    #[must_use]
    pub fn new(salt: u64, budget: Arc<Budget>) -> Self {
        let account = Account::new(budget);
        Self { epochs: Epochs::new(salt), by_topic: Map::default(), logs: Slab::new(), account, ids_max: usize::MAX, swept: 0, seq_max: SEQ_MAX }
    }

    /// Remembers at most `ids_max` ids, over all logs; past it those with the most forget their oldest early, which is counted.
    #[must_use]
    pub fn remembering(mut self, ids_max: usize) -> Self {
        self.ids_max = ids_max.max(1);
        self
    }

    fn slot(&self, topic: &Topic) -> Result<usize, StoreError> {
        self.by_topic.get(topic).copied().ok_or_else(|| StoreError::Unavailable("the topic's log is not open".into()))
    }

    fn open_log(&mut self, topic: &Topic, settings: &LogSettings, now: Moment) -> LogState {
        let Some(&slot) = self.by_topic.get(topic) else {
            let log = Log::begin(self.epochs.begin(), settings.clone());
            let state = log.state();
            self.by_topic.insert(*topic, self.logs.insert(log));
            return state;
        };
        let log = &mut self.logs[slot];
        log.keep_to(settings, now, &mut self.account);
        log.state()
    }

    fn append_to(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment) -> Result<Appended, StoreError> {
        let slot = self.slot(topic)?;
        let log = &mut self.logs[slot];
        if let Some(fingerprint) = fingerprint {
            match log.check(fingerprint, now, &mut self.account) {
                Verdict::Fresh if self.account.ids >= self.ids_max => self.forget_oldest_ids(now),
                Verdict::Fresh => {}
                Verdict::Duplicate(position) => return Ok(Appended::Duplicate { position }),
                Verdict::Conflict => return Ok(Appended::Conflict),
            }
        }
        let log = &mut self.logs[slot];
        if log.head.seq >= self.seq_max {
            log.roll(self.epochs.begin(), &mut self.account);
        }
        log.head = log.head.next();
        if let Some(fingerprint) = fingerprint {
            log.remember(fingerprint, now, &mut self.account);
        }
        let position = log.head;
        let timestamp = entry.timestamp;
        let body = entry.place(&position);
        let is_held = self.hold(slot, timestamp, body.clone(), now);
        Ok(if is_held { Appended::Stored { position, body } } else { Appended::Unheld { position, body } })
    }

    /// Puts the head's `body` into the log's ring where the bounds allow; gives whether they do. What a ring holds ends at the head: without
    /// it, it holds nothing.
    fn hold(&mut self, slot: usize, timestamp: Timestamp, body: Bytes, now: Moment) -> bool {
        let (log, cost) = (&mut self.logs[slot], cost(&body));
        if !log.may_hold(cost) {
            log.clear(&mut self.account);
            return false;
        }
        log.trim(now, 1, cost, &mut self.account);
        if self.make_room(slot, cost) {
            self.logs[slot].ring.push(now, timestamp, body);
            return true;
        }
        let log = &mut self.logs[slot];
        self.account.counters.trimmed_for_budget += 1 + log.ring.len();
        log.clear(&mut self.account);
        false
    }

    /// Takes `cost` from the budget for a log, by the rule of [`Budget`]; false where that cannot be.
    fn make_room(&mut self, slot: usize, cost: u64) -> bool {
        if self.account.is_beyond(cost) {
            return false;
        }
        loop {
            let log = &mut self.logs[slot];
            if self.account.try_hold(cost, log.ring.bytes()) {
                return true;
            }
            if self.account.is_over_share(log.ring.bytes()) {
                log.give_up_oldest(&mut self.account);
                self.account.counters.trimmed_for_budget += 1;
            } else if !self.shrink_largest(cost) {
                return false;
            }
        }
    }

    /// Lets the largest logs give up their oldest entries, for `cost` bytes or somewhat more; false where nothing is held.
    fn shrink_largest(&mut self, cost: u64) -> bool {
        let bytes = self.account.bytes;
        let wanted = cost.max(bytes / ROOM_DIVISOR);
        let mut largest = self.by_bytes(|_| true);
        while bytes - self.account.bytes < wanted && self.shrink_first(&mut largest) {}
        self.account.bytes < bytes
    }

    /// Lets the logs over their fair share give up entries until the reserve is free.
    fn free_reserve(&mut self) {
        if !self.account.is_pressed() {
            return;
        }
        let mut largest = self.by_bytes(|log| self.account.is_over_share(log.ring.bytes()));
        for _ in 0..SWEEP_ENTRIES_MAX {
            let goes_on = self.account.is_pressed() && largest.peek().is_some_and(|(bytes, _)| self.account.is_over_share(*bytes));
            if !goes_on || !self.shrink_first(&mut largest) {
                return;
            }
        }
    }

    /// Lets the logs with the most ids forget their oldest, for the one to come and somewhat more.
    fn forget_oldest_ids(&mut self, now: Moment) {
        let mut largest: BinaryHeap<(usize, usize)> = self.logs.iter().map(|(slot, log)| (log.ids(), slot)).collect();
        for _ in 0..self.ids_max / ROOM_DIVISOR as usize + 1 {
            let Some((ids, slot)) = largest.pop().filter(|(ids, _)| *ids > 0) else { return };
            self.logs[slot].forget_oldest(now, &mut self.account);
            largest.push((ids - 1, slot));
        }
    }

    fn by_bytes(&self, wanted: impl Fn(&Log) -> bool) -> BinaryHeap<(u64, usize)> {
        self.logs.iter().filter(|(_, log)| !log.ring.is_empty() && wanted(log)).map(|(slot, log)| (log.ring.bytes(), slot)).collect()
    }

    /// Takes the oldest entry of the first of `largest`; false where there is none.
    fn shrink_first(&mut self, largest: &mut BinaryHeap<(u64, usize)>) -> bool {
        let Some((_, slot)) = largest.pop() else { return false };
        let log = &mut self.logs[slot];
        log.give_up_oldest(&mut self.account);
        self.account.counters.trimmed_for_budget += 1;
        if !log.ring.is_empty() {
            largest.push((log.ring.bytes(), slot));
        }
        true
    }

    fn read_from(&mut self, topic: &Topic, range: &ReadRange, now: Moment) -> Result<Page, StoreError> {
        let slot = self.slot(topic)?;
        let log = &mut self.logs[slot];
        log.expire(now, usize::MAX, &mut self.account);
        Ok(log.read(range))
    }

    fn forget(&mut self, topic: &Topic) {
        if let Some(slot) = self.by_topic.remove(topic) {
            self.logs.remove(slot).end(&mut self.account);
        }
    }

    fn sweep_some(&mut self, now: Moment) {
        let end = self.swept.saturating_add(SWEEP_LOGS_MAX).min(self.logs.capacity());
        let mut entries_left = SWEEP_ENTRIES_MAX;
        while self.swept < end && entries_left > 0 {
            if let Some(log) = self.logs.get_mut(self.swept) {
                entries_left -= log.expire(now, entries_left, &mut self.account);
                entries_left -= log.forget(now, entries_left, &mut self.account);
            }
            // A log that took all that was left is where the next sweep begins.
            self.swept += usize::from(entries_left > 0);
        }
        if self.swept >= self.logs.capacity() {
            self.swept = 0;
        }
    }
}

impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        let holds = settings.messages_max > 0 && settings.age_ms_max > 0 && settings.bytes_max > 0;
        if holds { Durability::Memory } else { Durability::None }
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings, now: Moment, _ticket: Ticket) -> Progress<LogState> {
        Progress::Done(Ok(self.open_log(topic, settings, now)))
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment, _ticket: Ticket) -> Progress<Appended> {
        Progress::Done(self.append_to(topic, entry, fingerprint, now))
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange, now: Moment, _ticket: Ticket) -> Progress<Page> {
        Progress::Done(self.read_from(topic, range, now))
    }

    fn delete(&mut self, topic: &Topic, _by: ClientId, _ticket: Ticket) -> Progress<()> {
        self.forget(topic);
        Progress::Done(Ok(()))
    }

    fn close(&mut self, topic: &Topic) {
        self.forget(topic);
    }

    fn groups(&mut self) -> Option<&mut dyn GroupStore> {
        Some(self)
    }

    fn is_forgettable(&mut self, topic: &Topic, now: Moment) -> bool {
        let Ok(slot) = self.slot(topic) else { return true };
        let log = &mut self.logs[slot];
        log.expire(now, usize::MAX, &mut self.account);
        log.is_forgettable(now)
    }

    fn sweep(&mut self, now: Moment) {
        self.sweep_some(now);
        self.free_reserve();
    }

    fn counters(&self) -> StoreCounters {
        self.account.counters
    }

    fn status(&self) -> StorageStatus {
        StorageStatus { kind: self.kind().into(), state: StorageState::Healthy, messages: self.account.messages, bytes: self.account.bytes }
    }
}

pub(super) mod groups;
#[cfg(test)]
mod tests;
