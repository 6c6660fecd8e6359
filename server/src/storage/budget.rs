//! The cap on the history of all topics together, and each shard's account of what it holds of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The part of the cap that is kept for logs at or below their fair share: 1/32.
const RESERVE_SHIFT: u32 = 5;

/// One cap on the bytes of history of all shards.
///
/// A log's *fair share* is the cap divided by the number of logs that hold something. The last 1/32 of the cap is for logs at or below
/// their fair share. Where an append would exceed what is left to its log,
/// 1. the log gives up its own oldest entries while it holds more than its fair share;
/// 2. then the largest logs of the same shard give up theirs;
/// 3. where that is not enough (other shards hold the rest, or the entry is larger than the cap) the entry gets its position and is
///    delivered, but the log holds nothing.
///
/// Once a second logs over their fair share give up entries until the reserve is free again, so that a shard whose neighbours filled the
/// cap first gets its share. A publisher never sees an error from the cap; what is given up is counted and announced as `trimmed`.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    bytes: AtomicU64,
    logs: AtomicU64,
}

impl Budget {
    /// Allows `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: AtomicU64::new(0), logs: AtomicU64::new(0) }
    }

    /// Bytes held by all shards.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes allowed.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// What the reserve leaves.
    fn open_bytes_max(&self) -> u64 {
        self.bytes_max - (self.bytes_max >> RESERVE_SHIFT)
    }
}

/// What a store gave up before its time, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Entries given up, or never held, for the cap on all history.
    pub trimmed_for_budget: u64,
    /// Ids forgotten within their window, because there were too many.
    pub dedup_evicted: u64,
}

/// What one shard holds.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    /// Logs that hold something.
    logs: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Remembered ids.
    pub(super) ids: usize,
    pub(super) counters: StoreCounters,
}

impl Account {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, logs: 0, messages: 0, bytes: 0, ids: 0, counters: StoreCounters::default() }
    }

    /// Takes `cost` for an entry of a log that holds `log_bytes`, unless too little is left to it.
    pub(super) fn try_hold(&mut self, cost: u64, log_bytes: u64) -> bool {
        let allowed = if self.is_over_share(log_bytes) { self.budget.open_bytes_max() } else { self.budget.bytes_max };
        let held = self.budget.bytes.fetch_update(Relaxed, Relaxed, |bytes| bytes.checked_add(cost).filter(|bytes| *bytes <= allowed));
        if held.is_err() {
            return false;
        }
        if log_bytes == 0 {
            self.budget.logs.fetch_add(1, Relaxed);
            self.logs += 1;
        }
        self.messages += 1;
        self.bytes += cost;
        true
    }

    /// Gives back an entry's `cost`; `log_bytes` are left in its log.
    pub(super) fn release(&mut self, cost: u64, log_bytes: u64) {
        self.budget.bytes.fetch_sub(cost, Relaxed);
        if log_bytes == 0 {
            self.budget.logs.fetch_sub(1, Relaxed);
            self.logs -= 1;
        }
        self.messages -= 1;
        self.bytes -= cost;
    }

    pub(super) fn is_over_share(&self, log_bytes: u64) -> bool {
        log_bytes > self.budget.bytes_max / self.budget.logs.load(Relaxed).max(1)
    }

    /// Whether the reserve is in use.
    pub(super) fn is_pressed(&self) -> bool {
        self.budget.bytes() > self.budget.open_bytes_max()
    }

    /// Whether `cost` can never be held.
    pub(super) fn is_beyond(&self, cost: u64) -> bool {
        cost > self.budget.bytes_max
    }
}

impl Drop for Account {
    /// A shard that ends leaves its part of the cap to the others.
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Relaxed);
        self.budget.logs.fetch_sub(self.logs, Relaxed);
    }
}
