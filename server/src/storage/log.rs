//! One topic's log in memory: where it stands, what it holds, which ids it remembers.

use std::collections::BTreeMap;

use arqonbus_protocol::{Epoch, Group, Position};

use super::budget::Account;
use super::dedup::{DedupWindow, Verdict};
use super::memory::groups::GroupLog;
use super::ring::Ring;
use super::{Fingerprint, LogSettings, LogState, Page, ReadRange};
use crate::clock::Moment;

/// One life of a topic, from `open` to `delete`.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) head: Position,
    pub(super) settings: LogSettings,
    pub(super) ring: Ring,
    /// The seqs of this epoch's ids.
    dedup: DedupWindow<u64>,
    /// Those of the epoch that ran out of seqs, while they last.
    former: Option<Box<(Epoch, DedupWindow<u64>)>>,
    /// Its work groups.
    pub(super) groups: BTreeMap<Group, GroupLog>,
}

impl Log {
    pub(super) fn begin(epoch: Epoch, settings: LogSettings) -> Self {
        let dedup = DedupWindow::new(settings.dedup_ms, settings.dedup_entries_max);
        Self { head: Position { epoch, seq: 0 }, settings, ring: Ring::default(), dedup, former: None, groups: BTreeMap::new() }
    }

    pub(super) fn keep_to(&mut self, settings: &LogSettings, now: Moment, account: &mut Account) {
        // What has expired under the former bounds does not come back under new ones.
        self.expire(now, usize::MAX, account);
        self.settings = settings.clone();
        self.counting_ids(account, |log| log.dedup.set_bounds(log.settings.dedup_ms, log.settings.dedup_entries_max, now));
        self.trim(now, 0, 0, account);
    }

    pub(super) fn state(&self) -> LogState {
        LogState { head: self.head, first_seq: self.first_seq(), messages: self.ring.len(), bytes: self.ring.bytes() }
    }

    pub(super) fn read(&self, range: &ReadRange) -> Page {
        let slice = self.ring.read(self.first_seq().unwrap_or(0), range);
        Page { state: self.state(), entries: slice.entries, more: slice.more }
    }

    fn first_seq(&self) -> Option<u64> {
        if self.ring.is_empty() { None } else { Some(self.head.seq - self.ring.len() + 1) }
    }

    /// Goes on in `epoch`, from its start. The ids stay known.
    pub(super) fn roll(&mut self, epoch: Epoch, account: &mut Account) {
        self.clear(account);
        self.counting_ids(account, |log| {
            let dedup = DedupWindow::new(log.settings.dedup_ms, log.settings.dedup_entries_max);
            log.former = Some(Box::new((log.head.epoch, std::mem::replace(&mut log.dedup, dedup))));
        });
        self.head = Position { epoch, seq: 0 };
    }

    /// Where the fingerprint was appended before.
    pub(super) fn check(&mut self, fingerprint: Fingerprint, now: Moment, account: &mut Account) -> Verdict<Position> {
        self.counting_ids(account, |log| log.look_up(fingerprint, now))
    }

    fn look_up(&mut self, fingerprint: Fingerprint, now: Moment) -> Verdict<Position> {
        match self.dedup.check(fingerprint, now) {
            Verdict::Fresh => {}
            Verdict::Duplicate(seq) => return Verdict::Duplicate(Position { seq, ..self.head }),
            Verdict::Conflict => return Verdict::Conflict,
        }
        match self.former.as_mut().map(|former| (former.0, former.1.check(fingerprint, now))) {
            None | Some((_, Verdict::Fresh)) => Verdict::Fresh,
            Some((epoch, Verdict::Duplicate(seq))) => Verdict::Duplicate(Position { epoch, seq }),
            Some((_, Verdict::Conflict)) => Verdict::Conflict,
        }
    }

    /// Remembers that the head has this fingerprint.
    pub(super) fn remember(&mut self, fingerprint: Fingerprint, now: Moment, account: &mut Account) {
        self.counting_ids(account, |log| log.dedup.remember(fingerprint, log.head.seq, now));
    }

    /// Forgets the oldest id, because the bus remembers too many.
    pub(super) fn forget_oldest(&mut self, now: Moment, account: &mut Account) {
        self.counting_ids(account, |log| match &mut log.former {
            Some(former) if former.1.entries() > 0 => former.1.evict(now),
            Some(_) | None => log.dedup.evict(now),
        });
    }

    /// Ids in memory.
    pub(super) fn ids(&self) -> usize {
        self.dedup.entries() + self.former.as_ref().map_or(0, |former| former.1.entries())
    }

    fn ids_evicted(&self) -> u64 {
        self.dedup.evicted() + self.former.as_ref().map_or(0, |former| former.1.evicted())
    }

    fn counting_ids<T>(&mut self, account: &mut Account, change: impl FnOnce(&mut Self) -> T) -> T {
        let (ids, evicted) = (self.ids(), self.ids_evicted());
        let result = change(self);
        account.ids = account.ids + self.ids() - ids;
        account.counters.dedup_evicted += self.ids_evicted().saturating_sub(evicted);
        result
    }

    /// Whether an entry of `cost` is within the bounds at all.
    pub(super) fn may_hold(&self, cost: u64) -> bool {
        self.settings.messages_max > 0 && self.settings.age_ms_max > 0 && cost <= self.settings.bytes_max
    }

    /// Gives up what is too old, and as much as `messages` and `bytes` more need room.
    pub(super) fn trim(&mut self, now: Moment, messages: u64, bytes: u64, account: &mut Account) {
        self.expire(now, usize::MAX, account);
        while self.ring.len() + messages > self.settings.messages_max || self.ring.bytes() + bytes > self.settings.bytes_max {
            if !self.give_up_oldest(account) {
                break;
            }
        }
    }

    /// Gives up entries that are too old, `at_most` so many; gives how many.
    pub(super) fn expire(&mut self, now: Moment, at_most: usize, account: &mut Account) -> usize {
        let mut given_up = 0;
        while given_up < at_most && self.ring.oldest().is_some_and(|appended| now.since(appended) >= self.settings.age_ms_max) {
            self.give_up_oldest(account);
            given_up += 1;
        }
        given_up
    }

    /// Forgets ids whose window has ended, `at_most` so many; gives how many.
    pub(super) fn forget(&mut self, now: Moment, at_most: usize, account: &mut Account) -> usize {
        self.counting_ids(account, |log| {
            if log.former.as_ref().is_some_and(|former| former.1.is_spent(now)) {
                log.former = None;
            }
            log.dedup.expire(now, at_most)
        })
    }

    pub(super) fn is_forgettable(&self, now: Moment) -> bool {
        self.ring.is_empty() && self.groups.is_empty() && self.dedup.is_spent(now) && self.former.as_ref().is_none_or(|former| former.1.is_spent(now))
    }

    pub(super) fn give_up_oldest(&mut self, account: &mut Account) -> bool {
        let Some(cost) = self.ring.pop() else { return false };
        account.release(cost, self.ring.bytes());
        true
    }

    pub(super) fn clear(&mut self, account: &mut Account) {
        while self.give_up_oldest(account) {}
    }

    /// Ends with all it holds and remembers.
    pub(super) fn end(mut self, account: &mut Account) {
        self.clear(account);
        account.ids -= self.ids();
    }
}
