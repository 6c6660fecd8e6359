//! The entries that one log holds, oldest first, found by seq in one step.

use std::collections::VecDeque;
use std::ops::Range;

use arqonbus_protocol::{Direction, Timestamp};
use bytes::Bytes;

use super::{Bound, ReadRange};
use crate::clock::Moment;

/// What an entry costs beside its body: its slot and the slack of the queue (60), the shared header of `Bytes` (32), what the allocator
/// adds to the body (24), and the spare room that a position leaves (12).
pub(super) const ENTRY_OVERHEAD: u64 = 128;

/// What holding `body` costs, in bytes.
pub(super) fn cost(body: &Bytes) -> u64 {
    body.len() as u64 + ENTRY_OVERHEAD
}

/// Entries without a hole between them, the last of which is the log's head.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    bytes: u64,
    /// How many slots have an earlier timestamp than the one before. At 0 the timestamps are sorted.
    steps_back: usize,
}

#[derive(Debug)]
struct Slot {
    appended: Moment,
    unix_ms: u64,
    body: Bytes,
}

/// Entries of one read by index, and whether there are more.
pub(super) struct Slice {
    pub(super) entries: Vec<(u64, Bytes)>,
    pub(super) more: bool,
}

impl Ring {
    pub(super) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What all entries cost together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest was appended.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.slots.front().map(|slot| slot.appended)
    }

    pub(super) fn push(&mut self, appended: Moment, timestamp: Timestamp, body: Bytes) {
        let slot = Slot { appended, unix_ms: timestamp.unix_ms(), body };
        if self.slots.back().is_some_and(|last| slot.unix_ms < last.unix_ms) {
            self.steps_back += 1;
        }
        self.bytes += cost(&slot.body);
        if self.slots.len() == self.slots.capacity() {
            // By a quarter, where a queue by itself would double: the slack is most of what a small entry costs.
            self.slots.reserve_exact((self.slots.len() / 4).max(4));
        }
        self.slots.push_back(slot);
    }

    /// Removes the oldest, and gives what it cost.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let slot = self.slots.pop_front()?;
        if self.slots.front().is_some_and(|next| next.unix_ms < slot.unix_ms) {
            self.steps_back -= 1;
        }
        self.bytes -= cost(&slot.body);
        if self.slots.capacity() > 16 && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        Some(cost(&slot.body))
    }

    /// Reads, where the oldest entry has `first_seq`.
    pub(super) fn read(&self, first_seq: u64, range: &ReadRange) -> Slice {
        let mut rest = self.indexes(first_seq, range);
        let mut slice = Slice { entries: Vec::with_capacity(range.limit.min(rest.len())), more: false };
        let mut bytes = 0;
        while slice.entries.len() < range.limit {
            let next = match range.direction {
                Direction::Forward => rest.clone().next(),
                Direction::Backward => rest.clone().next_back(),
            };
            let Some(index) = next else { break };
            let body = &self.slots[index].body;
            bytes += body.len();
            if bytes > range.bytes_max && !slice.entries.is_empty() {
                break;
            }
            slice.entries.push((first_seq + index as u64, body.clone()));
            match range.direction {
                Direction::Forward => rest.start += 1,
                Direction::Backward => rest.end -= 1,
            }
        }
        slice.more = !rest.is_empty();
        slice
    }

    fn indexes(&self, first_seq: u64, range: &ReadRange) -> Range<usize> {
        let start = range.since.map_or(0, |bound| self.cut(first_seq, bound));
        let end = range.until.map_or(self.slots.len(), |bound| self.cut(first_seq, bound));
        start..end.max(start)
    }

    /// The index of the first entry after `bound`.
    fn cut(&self, first_seq: u64, bound: Bound) -> usize {
        match bound {
            Bound::Seq(seq) => usize::try_from(seq.saturating_add(1).saturating_sub(first_seq)).unwrap_or(usize::MAX).min(self.slots.len()),
            Bound::Time(time) => self.cut_by_time(time.unix_ms()),
        }
    }

    fn cut_by_time(&self, unix_ms: u64) -> usize {
        if self.steps_back == 0 {
            return self.slots.partition_point(|slot| slot.unix_ms <= unix_ms);
        }
        self.slots.iter().position(|slot| slot.unix_ms > unix_ms).unwrap_or(self.slots.len())
    }
}
