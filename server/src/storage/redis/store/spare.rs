//! What this node took while Redis was away, and keeps for it.

use std::collections::VecDeque;

use arqonbus_protocol::Topic;

use super::script::Item;
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
