//! Publishing to a topic: stored, then acknowledged, then gathered for its audience.

use arqonbus_protocol::{Durability, ErrorCode, EventBody, Gap, GapReason, Position, PublishResult, Refusal, Topic, encode_event};

use super::lane::Lane;
use super::op::PublishOp;
use super::{Abroad, Home};
use crate::fanout::{Delivery, Frames};
use crate::slots::Key;
use crate::storage::{Appended, Entry, Progress, StoreError, Verdict};

/// What was done since the metrics were last told.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    /// When the first of them was read, in microseconds of the clock.
    pub(crate) first_received_us: Option<u64>,
}

impl Home {
    pub(super) fn publish(&mut self, key: Key, mut publish: Box<PublishOp>) {
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        let alone = publish.request && !publish.asked_abroad && !lane.reaches_another_than(publish.asked.conn);
        // A request that was stored is not refused when it comes again and the responder is gone.
        if alone && !self.was_requested(&publish) {
            if self.has_peers() {
                self.hold_up(topic, publish.asked.conn);
                return self.abroad(Abroad::Request { topic, publish });
            }
            return self.refuse(&publish.asked, Some(topic), &Refusal::new(ErrorCode::NoResponder, "nobody is there to answer"));
        }
        if !publish.asked.who.is_node() {
            self.counts.add(&publish);
        }
        let ticket = self.ticket();
        // Nobody reads the text again: the store may write the position into it.
        let entry = Entry { text: std::mem::take(&mut publish.entry.text), ..publish.entry };
        match self.store.append(&topic, entry, publish.fingerprint, self.now, ticket) {
            Progress::Done(appended) => self.published(key, &mut publish, appended),
            Progress::Later => self.await_append(key, ticket, publish),
        }
    }

    pub(super) fn published(&mut self, key: Key, publish: &mut PublishOp, appended: Result<Appended, StoreError>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let topic = lane.topic;
        let is_held = !matches!(appended, Ok(Appended::Unheld { .. }));
        let (position, duplicate) = match appended {
            Ok(Appended::Stored { position, body } | Appended::Unheld { position, body }) => {
                if position.epoch != lane.head.epoch {
                    let gap = epoch_gap(&topic, lane.head, position, self.timestamp);
                    lane.flush(&mut self.egress);
                    lane.fan(&Frames::of(&gap), None, &mut self.egress);
                }
                lane.idle_since = None;
                // What was read to fill a hole has been told already.
                let is_new = position.epoch != lane.head.epoch || position.seq > lane.head.seq;
                if is_new {
                    lane.head = position;
                }
                if let Some(fingerprint) = publish.fingerprint.filter(|_| publish.request) {
                    self.sent.remember(fingerprint, (), self.now);
                }
                if is_new && publish.exclude_sender {
                    lane.flush(&mut self.egress);
                    lane.fan(&Frames::of(&body), Some(publish.asked.conn), &mut self.egress);
                } else if is_new && lane.gather(&body) {
                    self.gathered.push(key);
                }
                self.stock(key);
                (position, false)
            }
            Ok(Appended::Duplicate { position }) => {
                if publish.exclude_sender {
                    lane.leave_out(position, publish.asked.conn);
                }
                (position, true)
            }
            Ok(Appended::Conflict) => {
                return self.refuse(&publish.asked, Some(topic), &id_conflict());
            }
            Err(error) => return self.refuse_store(&publish.asked, Some(topic), &error),
        };
        if let Some(next) = publish.then.take() {
            self.egress.push(self.shard, Delivery::Relay { next });
        }
        if publish.ack {
            let durability = if is_held { self.durability(key) } else { Durability::None };
            self.egress.acked(&publish.asked, PublishResult { position: Some(position), durability, duplicate });
        }
    }

    /// Whether this very request was stored a moment ago.
    pub(super) fn was_requested(&mut self, publish: &PublishOp) -> bool {
        publish.fingerprint.is_some_and(|fingerprint| matches!(self.sent.check(fingerprint, self.now), Verdict::Duplicate(())))
    }

    fn durability(&self, key: Key) -> Durability {
        self.lanes.get(key).map_or(Durability::None, |lane: &Lane| lane.durability)
    }
}

impl Counts {
    /// Counts a message from a client.
    pub(crate) fn add(&mut self, publish: &PublishOp) {
        self.messages_in += 1;
        self.bytes_in += publish.entry.text.len() as u64;
        self.first_received_us.get_or_insert(publish.received_us);
    }
}

/// The refusal of an id that was used for another content.
pub(super) fn id_conflict() -> Refusal {
    Refusal::new(ErrorCode::IdConflict, "this id was used for another message a moment ago").at("/id")
}

/// The log began a new epoch under its members.
fn epoch_gap(topic: &Topic, from: Position, first: Position, timestamp: arqonbus_protocol::Timestamp) -> Vec<u8> {
    let to = Position { seq: first.seq - 1, ..first };
    let gap = Gap { reason: GapReason::EpochChanged, from: Some(from), to, refetch_after_ms: 0 };
    encode_event(&EventBody::Gap(gap), Some(topic), &timestamp)
}
