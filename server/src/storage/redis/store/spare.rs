//! What this node keeps in case Redis does not: what it took while Redis was away, and what it acknowledged a moment ago.

use std::collections::VecDeque;

use arqonbus_protocol::Topic;

use super::script::Item;
use crate::clock::Moment;
use crate::hash::Map;

/// Messages that Redis has missed, by log, within bounds.
#[derive(Debug)]
pub(super) struct Missed {
    by_topic: Map<Topic, VecDeque<Item>>,
    messages: u64,
    bytes: u64,
    messages_max: u64,
    bytes_max: u64,
}

impl Missed {
    pub(super) fn new(messages_max: u64, bytes_max: u64) -> Self {
        Self { by_topic: Map::default(), messages: 0, bytes: 0, messages_max, bytes_max }
    }

    /// Keeps one more; false where there is no room.
    pub(super) fn keep(&mut self, topic: &Topic, item: Item) -> bool {
        let bytes = self.bytes + item.entry.text.len() as u64;
        if self.messages >= self.messages_max || bytes > self.bytes_max {
            return false;
        }
        (self.messages, self.bytes) = (self.messages + 1, bytes);
        self.by_topic.entry(*topic).or_default().push_back(item);
        true
    }

    /// Takes back what was taken before, in front of what came later.
    pub(super) fn put_back(&mut self, topic: &Topic, items: Vec<Item>) {
        self.messages += items.len() as u64;
        self.bytes += items.iter().map(|item| item.entry.text.len() as u64).sum::<u64>();
        let kept = self.by_topic.entry(*topic).or_default();
        for item in items.into_iter().rev() {
            kept.push_front(item);
        }
    }

    /// Gives everything that a log has missed.
    pub(super) fn take(&mut self, topic: &Topic) -> VecDeque<Item> {
        let items = self.by_topic.remove(topic).unwrap_or_default();
        self.messages -= items.len() as u64;
        self.bytes -= items.iter().map(|item| item.entry.text.len() as u64).sum::<u64>();
        items
    }
}

/// For how long what was acknowledged is remembered: longer than a failover takes, and than `appendfsync everysec` may lose.
const ACKED_MS: u64 = 10_000;
/// Messages and bytes of them that one shard remembers.
const ACKED_MAX: usize = 65_536;
const ACKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What this node acknowledged in the last seconds as kept by Redis.
#[derive(Debug, Default)]
pub(super) struct Acked {
    ring: VecDeque<Ack>,
    bytes: usize,
    /// By log: how many were forgotten for want of room while they could still have been lost, and the last of them.
    crowded_out: Map<Topic, (u64, u64)>,
}

#[derive(Debug)]
struct Ack {
    topic: Topic,
    seq: u64,
    at: Moment,
    item: Item,
}

impl Acked {
    pub(super) fn remember(&mut self, topic: &Topic, seq: u64, item: Item, now: Moment) {
        self.expire(now);
        self.bytes += item.entry.text.len();
        self.ring.push_back(Ack { topic: *topic, seq, at: now, item });
        while self.ring.len() > ACKED_MAX || self.bytes > ACKED_BYTES_MAX {
            let Some(ack) = self.ring.pop_front() else { break };
            self.bytes -= ack.item.entry.text.len();
            let (count, last) = self.crowded_out.entry(ack.topic).or_default();
            (*count, *last) = (*count + 1, ack.seq);
        }
    }

    /// Forgets what no server loses any more.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.ring.front().is_some_and(|ack| now.since(ack.at) > ACKED_MS) {
            if let Some(ack) = self.ring.pop_front() {
                self.bytes -= ack.item.entry.text.len();
                self.crowded_out.remove(&ack.topic);
            }
        }
        if self.ring.is_empty() {
            self.crowded_out.clear();
        }
    }

    /// A log has lost what came after `seq`: gives what is remembered of it, in order, and how many are not.
    pub(super) fn take_after(&mut self, topic: &Topic, seq: u64) -> (Vec<Item>, u64) {
        let lost = self.crowded_out.remove(topic).map_or(0, |(count, last)| count.min(last.saturating_sub(seq)));
        let (mut taken, mut kept) = (Vec::new(), VecDeque::with_capacity(self.ring.len()));
        for ack in self.ring.drain(..) {
            if ack.topic != *topic {
                kept.push_back(ack);
            } else if ack.seq > seq {
                taken.push(ack.item);
            }
        }
        self.ring = kept;
        self.bytes = self.ring.iter().map(|ack| ack.item.entry.text.len()).sum();
        (taken, lost)
    }

    pub(super) fn forget(&mut self, topic: &Topic) {
        self.crowded_out.remove(topic);
    }
}
