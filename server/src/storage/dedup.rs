//! Remembers what was published under an id for a while, so that a message sent again is not stored again.

mod index;

use std::collections::VecDeque;

use self::index::Index;
use super::Fingerprint;
use crate::clock::Moment;

/// Entries given up by one [`DedupWindow::check`] at most: more than one that it adds, and a short wait.
const EXPIRED_PER_CHECK_MAX: usize = 64;

/// What remembering an id costs: its slot and the slack of the queue (50), its part of the index (22).
pub const ID_BYTES: u64 = 72;

/// Slots are counted by 32 bits, and found by 31 of their hash. Far more than fit into memory.
const ENTRIES_LIMIT: usize = 1 << 30;

/// What is known about a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<T> {
    /// Nothing: it was not seen within the window, or has been given up.
    Fresh,
    /// It was seen, with this outcome.
    Duplicate(T),
    /// Its key was seen with another content.
    Conflict,
}

/// The outcomes of publishes by fingerprint, each remembered for a window of time, and of a bounded number.
///
/// Keys are taken for evenly spread, see [`Fingerprint`]. An entry takes up to [`ID_BYTES`] with a `T` of 8.
/// 0 milliseconds or 0 entries switch it off.
#[derive(Debug)]
pub struct DedupWindow<T> {
    ms: u64,
    entries_max: usize,
    /// Oldest first; the slot number of the first is `first_number`.
    slots: VecDeque<Slot<T>>,
    first_number: u32,
    /// The number of the slot of each key.
    index: Index,
    evicted: u64,
}

#[derive(Debug)]
struct Slot<T> {
    /// As two words: a `u128` would align the slot to 16 bytes.
    key: [u64; 2],
    content: u64,
    remembered: Moment,
    outcome: T,
}

impl<T: Clone> DedupWindow<T> {
    /// Remembers for `ms` milliseconds, `entries_max` at most.
    #[must_use]
    pub fn new(ms: u64, entries_max: usize) -> Self {
        let entries_max = entries_max.min(ENTRIES_LIMIT);
        Self { ms, entries_max, slots: VecDeque::new(), first_number: 0, index: Index::default(), evicted: 0 }
    }

    /// Changes the bounds; what no longer fits is given up, and what has expired does not come back.
    pub fn set_bounds(&mut self, ms: u64, entries_max: usize, now: Moment) {
        self.expire(now, usize::MAX);
        self.ms = ms;
        self.entries_max = if ms == 0 { 0 } else { entries_max.min(ENTRIES_LIMIT) };
        while self.slots.len() > self.entries_max {
            self.evict(now);
        }
    }

    /// What is known about `fingerprint`.
    pub fn check(&mut self, fingerprint: Fingerprint, now: Moment) -> Verdict<T> {
        self.expire(now, EXPIRED_PER_CHECK_MAX);
        let Some(slot) = self.find(split(fingerprint.key)) else { return Verdict::Fresh };
        if self.is_expired(slot, now) {
            Verdict::Fresh
        } else if slot.content == fingerprint.content {
            Verdict::Duplicate(slot.outcome.clone())
        } else {
            Verdict::Conflict
        }
    }

    /// Remembers `outcome` from now on. To be called where [`Self::check`] has just said [`Verdict::Fresh`].
    pub fn remember(&mut self, fingerprint: Fingerprint, outcome: T, now: Moment) {
        if self.ms == 0 || self.entries_max == 0 {
            return;
        }
        if self.slots.len() >= self.entries_max {
            self.evict(now);
        }
        let key = split(fingerprint.key);
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact((self.slots.len() / 4).max(4));
        }
        let number = self.first_number.wrapping_add(u32::try_from(self.slots.len()).expect("entries are at most 2^30"));
        self.slots.push_back(Slot { key, content: fingerprint.content, remembered: now, outcome });
        let (slots, first) = (&self.slots, self.first_number);
        // There may be an expired one that was not given up yet.
        if !self.index.replace(spread(key), number, |number| slots[place(number, first)].key == key) {
            self.index.insert(spread(key), number);
        }
    }

    /// Gives up expired entries, `at_most` so many; gives how many.
    pub fn expire(&mut self, now: Moment, at_most: usize) -> usize {
        let mut given_up = 0;
        while given_up < at_most && self.slots.front().is_some_and(|slot| self.is_expired(slot, now)) {
            self.pop();
            given_up += 1;
        }
        given_up
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_spent(&self, now: Moment) -> bool {
        self.slots.back().is_none_or(|newest| self.is_expired(newest, now))
    }

    /// Entries in memory, also those that are expired and not given up yet.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.slots.len()
    }

    /// Entries given up before their time since the window was made, because there were too many.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Gives up the oldest entry, counted where that is before its time.
    pub fn evict(&mut self, now: Moment) {
        if self.slots.front().is_some_and(|oldest| !self.is_expired(oldest, now)) {
            self.evicted += 1;
        }
        self.pop();
    }

    fn is_expired(&self, slot: &Slot<T>, now: Moment) -> bool {
        now.since(slot.remembered) >= self.ms
    }

    fn find(&self, key: [u64; 2]) -> Option<&Slot<T>> {
        let slot = |number: u32| &self.slots[place(number, self.first_number)];
        self.index.find(spread(key), |number| slot(number).key == key).map(slot)
    }

    fn pop(&mut self) {
        let Some(oldest) = self.slots.pop_front() else { return };
        // Not there where the key was remembered again meanwhile: then the index names the later slot.
        self.index.remove(spread(oldest.key), self.first_number);
        self.first_number = self.first_number.wrapping_add(1);
        if self.slots.capacity() > 64 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
            self.index.shrink();
        }
    }
}

/// The index of a slot by its number, where the first slot has number `first`.
fn place(number: u32, first: u32) -> usize {
    number.wrapping_sub(first) as usize
}

fn split(key: u128) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

fn spread(key: [u64; 2]) -> u64 {
    key[0] ^ key[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(key: u128, content: u64) -> Fingerprint {
        // Evenly spread, as they are: by an odd factor, under which no two are the same.
        Fingerprint { key: key.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835), content }
    }

    #[test]
    fn a_key_is_known_until_the_window_ends() {
        let mut window = DedupWindow::new(100, 10);
        assert_eq!(window.check(print(1, 1), Moment(0)), Verdict::Fresh);
        window.remember(print(1, 1), 7_u64, Moment(0));
        assert_eq!(window.check(print(1, 1), Moment(99)), Verdict::Duplicate(7));
        assert_eq!(window.check(print(1, 2), Moment(99)), Verdict::Conflict);
        assert_eq!(window.check(print(1, 2), Moment(100)), Verdict::Fresh);
        assert!(window.is_spent(Moment(100)));
        assert_eq!(window.evicted(), 0);
    }

    #[test]
    fn the_oldest_leave_early_where_there_are_too_many_and_are_counted() {
        let mut window = DedupWindow::new(100, 3);
        for key in 0..5 {
            window.remember(print(key, 0), key as u64, Moment(key as u64));
        }
        let known: Vec<_> = (0..5).map(|key| window.check(print(key, 0), Moment(5)) != Verdict::Fresh).collect();
        assert_eq!(known, [false, false, true, true, true]);
        assert_eq!((window.entries(), window.evicted()), (3, 2));
        window.remember(print(9, 0), 9, Moment(150));
        assert_eq!(window.evicted(), 2, "an expired one is no early loss");
        window.set_bounds(100, 0, Moment(151));
        assert_eq!((window.entries(), window.evicted()), (0, 3));
    }

    #[test]
    fn a_window_of_nothing_remembers_nothing() {
        for (ms, entries_max) in [(0, 10), (10, 0)] {
            let mut window = DedupWindow::new(ms, entries_max);
            window.remember(print(1, 1), 1_u64, Moment(0));
            assert_eq!((window.check(print(1, 1), Moment(0)), window.evicted()), (Verdict::Fresh, 0));
        }
    }

    #[test]
    fn a_key_remembered_again_outlives_its_expired_slot() {
        let mut window = DedupWindow::new(10, 1_000);
        for key in 0..200 {
            window.remember(print(key, 0), 1_u64, Moment(0));
        }
        // One check gives up fewer than have expired, so slot 199 is still there when its key comes back.
        assert_eq!(window.check(print(199, 0), Moment(10)), Verdict::Fresh);
        window.remember(print(199, 0), 2, Moment(10));
        window.expire(Moment(10), usize::MAX);
        assert_eq!((window.check(print(199, 0), Moment(11)), window.entries()), (Verdict::Duplicate(2), 1));
    }

    #[test]
    fn numbers_may_wrap() {
        let mut window = DedupWindow::new(1_000_000, 100);
        window.first_number = u32::MAX - 50;
        for key in 0..1_000 {
            window.remember(print(key, 0), key as u64, Moment(0));
            assert_eq!(window.check(print(key.saturating_sub(99), 0), Moment(0)), Verdict::Duplicate(key.saturating_sub(99) as u64));
        }
    }

    #[test]
    fn an_entry_is_small_and_memory_is_given_back() {
        assert_eq!(size_of::<Slot<u64>>(), 40);
        let mut window = DedupWindow::new(10, 100_000);
        for key in 0..100_000 {
            window.remember(print(key, 0), 0_u64, Moment(0));
        }
        let held = window.slots.capacity() * size_of::<Slot<u64>>() + window.index.bytes();
        assert!(held <= 72 * 100_000, "{} bytes an entry", held / 100_000);
        window.expire(Moment(10), usize::MAX);
        assert!(window.slots.capacity() <= 64 && window.index.bytes() <= 1_024);
    }
}
