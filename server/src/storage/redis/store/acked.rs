//! What this node acknowledged a moment ago, in case Redis loses it.

use std::collections::VecDeque;

use arqonbus_protocol::Topic;

use super::script::Item;
use crate::clock::Moment;
use crate::hash::Map;

/// For how long what was acknowledged is remembered: longer than a failover takes, and than `appendfsync everysec` may lose.
const ACKED_MS: u64 = 10_000;
/// Messages and bytes of them that one shard remembers.
const ACKED_MAX: usize = 65_536;
const ACKED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What this node acknowledged in the last seconds as kept by Redis.
#[derive(Debug, Default)]
pub(super) struct Acked {
    by_topic: Map<Topic, Topical>,
    /// Oldest first; some name what was taken out meanwhile.
    order: VecDeque<Mark>,
    bytes: usize,
    serials: u64,
    renewed: Moment,
}

/// What is remembered of one log.
#[derive(Debug, Default)]
struct Topical {
    acks: VecDeque<Ack>,
    /// How many were forgotten for want of room while they could still have been lost, and the last of them.
    crowded_out: u64,
    last_crowded_out: (u64, u64),
}

#[derive(Debug)]
struct Ack {
    serial: u64,
    epoch: u64,
    seq: u64,
    /// When it was first acknowledged.
    first: Moment,
    item: Item,
}

#[derive(Debug)]
struct Mark {
    topic: Topic,
    serial: u64,
    at: Moment,
}

impl Acked {
    /// Remembers what has its place now. `first` is when it was acknowledged, also where it was put back since: what is lost again and again is
    /// put back for so long only.
    pub(super) fn remember(&mut self, topic: &Topic, (epoch, seq): (u64, u64), item: Item, first: Moment, now: Moment) {
        self.expire(now);
        if now.since(first) > ACKED_MS {
            return;
        }
        self.serials += 1;
        let serial = self.serials;
        self.bytes += item.entry.text.len();
        self.by_topic.entry(*topic).or_default().acks.push_back(Ack { serial, epoch, seq, first, item });
        self.order.push_back(Mark { topic: *topic, serial, at: now });
        while self.order.len() > ACKED_MAX || self.bytes > ACKED_BYTES_MAX {
            let Some(mark) = self.order.pop_front() else { break };
            if let (Some(ack), Some(topical)) = (self.forget_oldest(&mark), self.by_topic.get_mut(&mark.topic)) {
                topical.crowded_out += 1;
                topical.last_crowded_out = (ack.epoch, ack.seq);
            }
        }
    }

    /// Forgets what no server loses any more. Not to be done while Redis is away: it may have lost what it had just before.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.order.front().is_some_and(|mark| now.since(mark.at) > ACKED_MS) {
            let Some(mark) = self.order.pop_front() else { break };
            self.forget_oldest(&mark);
            let Some(topical) = self.by_topic.get_mut(&mark.topic) else { continue };
            topical.crowded_out = 0;
            if topical.acks.is_empty() {
                self.by_topic.remove(&mark.topic);
            }
        }
    }

    /// Takes out what is named, unless it was taken out before.
    fn forget_oldest(&mut self, mark: &Mark) -> Option<Ack> {
        let topical = self.by_topic.get_mut(&mark.topic)?;
        topical.acks.front().filter(|ack| ack.serial == mark.serial)?;
        let ack = topical.acks.pop_front()?;
        self.bytes -= ack.item.entry.text.len();
        Some(ack)
    }

    /// Redis is back: what it had just before it went away it may lose from now on.
    pub(super) fn renew(&mut self, now: Moment) {
        self.renewed = now;
        for mark in &mut self.order {
            mark.at = now;
        }
    }

    /// A log is in `epoch`, which began after `start`: gives what an earlier one had after that, in order and with the time when it
    /// was acknowledged, and how many of them are not remembered.
    pub(super) fn take_lost(&mut self, topic: &Topic, epoch: u64, start: u64) -> (Vec<(Item, Moment)>, u64) {
        let Some(topical) = self.by_topic.get_mut(topic) else { return (Vec::new(), 0) };
        let (crowded_epoch, last) = topical.last_crowded_out;
        let lost = if crowded_epoch == epoch { 0 } else { std::mem::take(&mut topical.crowded_out).min(last.saturating_sub(start)) };
        let (mut taken, mut kept) = (Vec::new(), VecDeque::with_capacity(topical.acks.len()));
        for ack in topical.acks.drain(..) {
            if ack.epoch != epoch && ack.seq > start {
                self.bytes -= ack.item.entry.text.len();
                taken.push((ack.item, ack.first.max(self.renewed)));
            } else {
                // It is still there, under its seq.
                kept.push_back(Ack { epoch, ..ack });
            }
        }
        topical.acks = kept;
        (taken, lost)
    }

    /// A log was deleted: what it had must not come back.
    pub(super) fn forget(&mut self, topic: &Topic) {
        for ack in self.by_topic.remove(topic).into_iter().flat_map(|topical| topical.acks) {
            self.bytes -= ack.item.entry.text.len();
        }
    }
}
