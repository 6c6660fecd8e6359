//! Dead letters: a job that is given out no more is published elsewhere, and then settled.

use arqonbus_protocol::limits::{HEADERS_BYTES_MAX, HEADERS_MAX};
use arqonbus_protocol::{Delivery, DeliveryHead, Group, Position, RawJson, ServerEnvelope, Target, Topic};
use serde_json::{Map, Value};

use super::GroupOp;
use crate::fanout::Delivery as Outward;
use crate::routing::{Asked, ConnId, Home, LaneOp, Op, Pending, PublishOp};
use crate::slots::Key;
use crate::storage::{DeadJob, Entry, GroupAnswer, GroupId, Holder, Jobs, Outcome, Settled};
use crate::telemetry::Signal;

/// Headers that a dead letter has beside those of its sender.
const HEADERS_OWN: usize = 6;

impl Home {
    /// Sends a dead job to the dead-letter topic of its own, or settles it where there is none.
    pub(super) fn bury(&mut self, key: Key, group: Group, dead: &DeadJob) {
        let Some(lane) = self.lanes.get(key) else { return };
        let topic = lane.topic;
        let position = dead.job.position;
        // A letter that went where it came from would come back for ever.
        let grave = self.shared.config.groups_of(&topic).dead_letter_topic(&topic).filter(|grave| *grave != topic);
        let letter = grave.and_then(|grave| Some((grave, self.letter(&topic, group, grave, dead)?)));
        let Some((grave, letter)) = letter else {
            return self.settle_dead(key, group, position, false);
        };
        let home = self.shared.homes.of_topic(&grave);
        let next = Box::new((home, Op::Send(Box::new(letter))));
        self.egress.push(self.shard, Outward::Relay { next });
    }

    /// The message that tells of a dead job; `None` where the job's own cannot be read.
    fn letter(&self, topic: &Topic, group: Group, grave: Topic, dead: &DeadJob) -> Option<PublishOp> {
        let text = std::str::from_utf8(&dead.job.body).ok()?;
        let Ok(ServerEnvelope::Message(message)) = ServerEnvelope::decode(text) else { return None };
        let headers = headers(message.headers, topic, group, dead);
        let head = DeliveryHead {
            target: Target::Topic(grave),
            timestamp: self.timestamp,
            position: None,
            // Nobody who looks at dead letters is to answer them.
            reply_to: None,
            exclude_sender: false,
            ..message.head
        };
        let position = dead.job.position;
        let entry = Entry::encode(&Delivery { head, headers: Some(RawJson::from_encoder(&headers)), payload: message.payload, job: None });
        // Once for each job, also where the word that it is stored got lost.
        let key = ("dead letter", topic, group, position, message.head.id, grave);
        let then = Op::Lane(*topic, Box::new(LaneOp::Group(GroupOp::Buried { group, position, letter: true })));
        Some(PublishOp {
            asked: Asked {
                conn: ConnId { shard: self.shard, key: Key::NOBODY },
                who: std::sync::Arc::clone(&self.node),
                request_id: message.head.id,
                command: None,
            },
            target: Target::Topic(grave),
            entry,
            fingerprint: Some(self.shared.homes.fingerprint(key, message.payload.as_str())),
            request: false,
            ack: false,
            exclude_sender: false,
            asked_abroad: false,
            received_us: 0,
            then: Some(Box::new((self.shard, then))),
        })
    }

    /// Settles a job that is given out no more.
    pub(super) fn settle_dead(&mut self, key: Key, group: Group, position: Position, letter: bool) {
        let Some(lane) = self.lanes.get(key) else { return };
        let of = GroupId { topic: lane.topic, group };
        let ticket = self.ticket();
        let Some(store) = self.store.groups() else { return };
        let jobs = Jobs { epoch: position.epoch, seqs: &[position.seq] };
        let settled = store.settle(&of, Holder::DEAD_LETTERS, jobs, &Outcome::Done, self.now, ticket);
        let pending = Pending::Op(LaneOp::Group(GroupOp::Buried { group, position, letter }));
        self.answered(key, ticket, pending, settled.map(GroupAnswer::Settled), Self::group_answered);
    }

    pub(super) fn buried(&mut self, key: Key, name: Group, letter: bool, settled: &Settled) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let topic = lane.topic;
        let Some(group) = lane.groups.get_mut(&name) else { return };
        group.state = settled.state;
        group.unblock();
        if settled.not_held.is_empty() {
            let signal = if letter { Signal::DeadLettered { topic, group: name } } else { Signal::Discarded { topic, group: name } };
            self.shared.telemetry.tell(&signal);
        }
        self.rouse(key);
    }
}

/// The sender's headers and why the job is dead, within the bounds of any message.
fn headers(raw: Option<RawJson<'_>>, topic: &Topic, group: Group, dead: &DeadJob) -> String {
    let mut theirs: Map<String, Value> = raw.and_then(|raw| serde_json::from_str(raw.as_str()).ok()).unwrap_or_default();
    let Position { epoch, seq } = dead.job.position;
    let own = [
        ("dead-topic", topic.to_string()),
        ("dead-group", group.to_string()),
        ("dead-position", format!("{epoch}:{seq}")),
        ("dead-deliveries", dead.job.delivery.to_string()),
        ("dead-reason", Home::reason(&dead.failed)),
    ];
    let mut dropped = 0;
    loop {
        let mut all = theirs.clone();
        all.extend(own.iter().map(|(name, text)| ((*name).to_owned(), text.as_str().into())));
        if dropped > 0 {
            all.insert("dead-dropped".to_owned(), dropped.to_string().into());
        }
        let text = Value::Object(all).to_string();
        let fits = text.len() <= HEADERS_BYTES_MAX && theirs.len() + HEADERS_OWN <= HEADERS_MAX;
        let Some(last) = theirs.keys().next_back().filter(|_| !fits).cloned() else { return text };
        theirs.remove(&last);
        dropped += 1;
    }
}
