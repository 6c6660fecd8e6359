//! Finds out from what clients saw whether the bus kept its promises G1–G3 and G5–G10. Costs O(n log n).

mod history;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use arqonbus_protocol::{Epoch, GapReason, MessageId, Position, Topic};

pub use history::{Fault, Recorder, Seen, What};

/// A broken promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// Which one.
    pub promise: Promise,
    /// What shows it.
    pub evidence: String,
}

/// The promises that a history can break; see `docs/guarantees.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// One message at each position, no holes.
    G1TotalOrder,
    /// A publisher's messages keep their order.
    G2PublisherFifo,
    /// What was acknowledged first has the lower position.
    G3RealTime,
    /// Nothing invented, nothing altered, nothing stored that was refused.
    G5Genuine,
    /// Exactly once and in order, or a gap.
    G6ExactlyOnceOrGap,
    /// No gap without a reason.
    G7NoFalseGap,
    /// A join begins at the head, and everything after it comes.
    G8JoinRace,
    /// An id is stored once.
    G9Idempotent,
    /// A new incarnation has a new epoch.
    G10LostPast,
}

use Promise as P;

/// Checks a history, in the order of time.
#[must_use]
pub fn check(history: &[Seen]) -> Vec<Violation> {
    let mut checker = Checker::default();
    for seen in history {
        checker.see(seen);
    }
    checker.conclude();
    checker.violations
}

/// Fails the test with everything that is wrong in a history.
pub fn assert_kept(history: &[Seen]) {
    let violations = check(history);
    let shown: Vec<_> = violations.iter().take(20).map(|violation| format!("{:?}: {}", violation.promise, violation.evidence)).collect();
    assert!(violations.is_empty(), "{} promises broken in {} observations:\n{}", violations.len(), history.len(), shown.join("\n"));
}

/// One publish.
struct Publish {
    publisher: u32,
    topic: Topic,
    payload: u64,
    invoked: Duration,
    /// In which of the incarnations between restarts it was invoked.
    incarnation: u32,
    /// When, and in which epoch: what memory acknowledged in an outage has another place in the log that it is given back to.
    acked: Option<(Duration, Epoch)>,
    refused: bool,
    position: Option<Position>,
}

impl Publish {
    fn acked_in(&self, epoch: Epoch) -> Option<Duration> {
        self.acked.filter(|(_, of)| *of == epoch).map(|(at, _)| at)
    }
}

/// One subscription to one topic.
struct Subscription {
    /// The last position that it holds.
    cursor: Position,
    delivered: HashSet<(Epoch, u64)>,
}

#[derive(Default)]
struct Checker {
    violations: Vec<Violation>,
    publishes: HashMap<MessageId, Publish>,
    /// The order in which ids were invoked.
    invoked: Vec<MessageId>,
    /// What is where: the id and the payload.
    log: HashMap<(Topic, Epoch), BTreeMap<u64, MessageId>>,
    subscriptions: HashMap<(u32, Topic), Subscription>,
    /// The incarnation in which an epoch was first seen.
    epochs: HashMap<(Topic, Epoch), u32>,
    incarnation: u32,
    /// Whether something has happened that may lose messages.
    gaps_justified: bool,
    restarted: bool,
}

impl Checker {
    fn see(&mut self, seen: &Seen) {
        let at = seen.at;
        match seen.what {
            What::Invoke { publisher, id, topic, payload } => self.invoke(publisher, id, topic, payload, at),
            What::Ok { id, position } => self.acked(id, position, at),
            What::Fail { id } => {
                if let Some(publish) = self.publishes.get_mut(&id) {
                    publish.refused = true;
                }
            }
            What::Unknown { .. } => {}
            What::Joined { subscription, topic, since, start, invoked } => self.joined((subscription, topic), since, start, invoked),
            What::Deliver { subscription, topic, id, position, payload } => self.delivered((subscription, topic), id, position, payload),
            What::Gap { subscription, topic, reason, from, to } => self.gap((subscription, topic), reason, from, to),
            What::Settled { topic, head } => self.settled(topic, head),
            What::Fault(fault) => {
                self.gaps_justified |= fault.justifies_gaps();
                // Memory has other epochs than the store that is away.
                self.restarted |= matches!(fault, Fault::Restart | Fault::Outage);
                self.incarnation += u32::from(fault == Fault::Restart);
            }
        }
    }

    fn blame(&mut self, promise: Promise, evidence: String) {
        self.violations.push(Violation { promise, evidence });
    }

    fn invoke(&mut self, publisher: u32, id: MessageId, topic: Topic, payload: u64, invoked: Duration) {
        let incarnation = self.incarnation;
        self.publishes.entry(id).or_insert_with(|| {
            self.invoked.push(id);
            Publish { publisher, topic, payload, invoked, incarnation, acked: None, refused: false, position: None }
        });
    }

    fn acked(&mut self, id: MessageId, position: Position, at: Duration) {
        let Some(publish) = self.publishes.get_mut(&id) else {
            return self.blame(P::G5Genuine, format!("an ack of {id}, which nobody published"));
        };
        publish.acked.get_or_insert((at, position.epoch));
        let topic = publish.topic;
        self.place(id, topic, position);
    }

    /// Somebody says that this message is at this position: everybody must agree (G1), and it must be there only (G9).
    fn place(&mut self, id: MessageId, topic: Topic, position: Position) {
        let slot = *self.log.entry((topic, position.epoch)).or_default().entry(position.seq).or_insert(id);
        if slot != id {
            self.blame(P::G1TotalOrder, format!("{slot} and {id} are both at {} of {topic}", show(position)));
        }
        let born = *self.epochs.entry((topic, position.epoch)).or_insert(self.incarnation);
        let Some(publish) = self.publishes.get_mut(&id) else { return };
        let first = *publish.position.get_or_insert(position);
        let (invoked_in, refused) = (publish.incarnation, publish.refused);
        if first != position && first.epoch == position.epoch {
            self.blame(P::G9Idempotent, format!("{id} is at {} and at {}", show(first), show(position)));
        }
        if born < invoked_in {
            self.blame(P::G10LostPast, format!("{id} was published after a restart, but is in epoch {} of before", position.epoch));
        }
        if refused {
            self.blame(P::G5Genuine, format!("{id} was refused, but is at {}", show(position)));
        }
    }

    fn joined(&mut self, key: (u32, Topic), since: Option<Position>, start: Position, invoked: Duration) {
        if since.is_none() {
            self.begins_at_head(key, start, invoked);
        }
        let cursor = since.unwrap_or(start);
        let known = self.subscriptions.get(&key);
        if let Some(known) = known.filter(|known| since.is_some_and(|since| since != known.cursor)) {
            let evidence = format!("{key:?} held {} and went on from {}", show(known.cursor), show(cursor));
            self.blame(P::G6ExactlyOnceOrGap, evidence);
        }
        let subscription = self.subscriptions.entry(key).or_insert_with(|| Subscription { cursor, delivered: HashSet::new() });
        subscription.cursor = cursor;
    }

    /// What was acknowledged before the join was sent lies before its start (G8).
    fn begins_at_head(&mut self, key: (u32, Topic), start: Position, invoked: Duration) {
        let log = self.log.get(&(key.1, start.epoch));
        let late = log.and_then(|log| {
            log.range(start.seq + 1..)
                .find(|(_, id)| self.publishes.get(id).and_then(|publish| publish.acked).is_some_and(|(acked, _)| acked < invoked))
        });
        if let Some((seq, id)) = late {
            let evidence = format!("{key:?} began at {}, though {id} at {seq} had been acknowledged before", show(start));
            self.blame(P::G8JoinRace, evidence);
        }
    }

    fn delivered(&mut self, key: (u32, Topic), id: MessageId, position: Position, payload: u64) {
        match self.publishes.get(&id) {
            None => self.blame(P::G5Genuine, format!("{key:?} got {id}, which nobody published")),
            Some(publish) if publish.topic != key.1 || publish.payload != payload => {
                self.blame(P::G5Genuine, format!("{key:?} got {id} with another payload or topic than it was published with"));
            }
            Some(_) => {}
        }
        self.place(id, key.1, position);
        let Some(subscription) = self.subscriptions.get_mut(&key) else {
            return self.blame(P::G8JoinRace, format!("{key:?} got {} before it had joined", show(position)));
        };
        let expected = subscription.cursor.next();
        let again = !subscription.delivered.insert((position.epoch, position.seq));
        subscription.cursor = position;
        if again {
            self.blame(P::G6ExactlyOnceOrGap, format!("{key:?} got {} twice", show(position)));
        } else if position != expected {
            self.blame(P::G6ExactlyOnceOrGap, format!("{key:?} got {} where {} was next", show(position), show(expected)));
        }
    }

    fn gap(&mut self, key: (u32, Topic), reason: GapReason, from: Option<Position>, to: Position) {
        if !self.gaps_justified || (reason == GapReason::EpochChanged && !self.restarted) {
            self.blame(P::G7NoFalseGap, format!("{key:?} was told of a gap ({}) that nothing explains", reason.as_str()));
        }
        let Some(subscription) = self.subscriptions.get_mut(&key) else {
            return self.blame(P::G8JoinRace, format!("{key:?} was told of a gap before it had joined"));
        };
        let held = subscription.cursor;
        subscription.cursor = to;
        if from.is_some_and(|from| from != held) {
            self.blame(P::G6ExactlyOnceOrGap, format!("{key:?} held {} and was told of a gap from {from:?}", show(held)));
        }
        if to.epoch == held.epoch && to.seq < held.seq {
            self.blame(P::G6ExactlyOnceOrGap, format!("{key:?} was sent back from {} to {}", show(held), show(to)));
        }
    }

    fn settled(&mut self, topic: Topic, head: Position) {
        let behind: Vec<_> =
            self.subscriptions.iter().filter(|((_, of), sub)| *of == topic && sub.cursor != head).map(|(key, sub)| (*key, sub.cursor)).collect();
        for (key, cursor) in behind {
            self.blame(P::G6ExactlyOnceOrGap, format!("{key:?} ended at {}, and the log at {}", show(cursor), show(head)));
        }
    }

    /// What only the whole history can show.
    fn conclude(&mut self) {
        self.holes();
        self.publisher_order();
        self.real_time_order();
    }

    /// A position that nobody saw may hold a message whose outcome nobody knows, but no other (G1).
    fn holes(&mut self) {
        let mut unplaced: HashMap<Topic, u64> = HashMap::new();
        let mut here: HashMap<(Topic, Epoch), u64> = HashMap::new();
        for publish in self.publishes.values().filter(|publish| !publish.refused) {
            *unplaced.entry(publish.topic).or_default() += 1;
            if let Some(position) = publish.position {
                *here.entry((publish.topic, position.epoch)).or_default() += 1;
            }
        }
        let mut found = Vec::new();
        for ((topic, epoch), log) in &self.log {
            let (Some((&first, _)), Some((&last, _))) = (log.first_key_value(), log.last_key_value()) else { continue };
            let holes = last - first + 1 - log.len() as u64;
            // A message whose first answer was lost may lie in this log and, resent to the next one, in that.
            let possible = unplaced.get(topic).copied().unwrap_or(0) - here.get(&(*topic, *epoch)).copied().unwrap_or(0);
            if holes > possible {
                found.push(format!("{holes} holes in {topic} between {epoch}/{first} and {epoch}/{last}"));
            }
        }
        for evidence in found {
            self.blame(P::G1TotalOrder, evidence);
        }
    }

    /// In the order of invocation, the seqs of one publisher in one log rise (G2).
    fn publisher_order(&mut self) {
        let mut last: HashMap<(u32, Topic, Epoch), (u64, MessageId)> = HashMap::new();
        let mut found = Vec::new();
        for id in &self.invoked {
            let publish = &self.publishes[id];
            let Some(position) = publish.position else { continue };
            let before = last.insert((publish.publisher, publish.topic, position.epoch), (position.seq, *id));
            if let Some((seq, earlier)) = before.filter(|(seq, _)| *seq > position.seq) {
                found.push(format!("publisher {} sent {earlier} before {id}, but they are at {seq} and {}", publish.publisher, position.seq));
            }
        }
        for evidence in found {
            self.blame(P::G2PublisherFifo, evidence);
        }
    }

    /// Nothing that was acknowledged before another was sent lies after it (G3).
    fn real_time_order(&mut self) {
        let mut found = Vec::new();
        for ((topic, epoch), log) in &self.log {
            let mut earliest_ack: Option<(Duration, MessageId)> = None;
            for (seq, id) in log.iter().rev() {
                let Some(publish) = self.publishes.get(id) else { continue };
                if let Some((acked, later)) = earliest_ack.filter(|(acked, _)| *acked < publish.invoked) {
                    found.push(format!(
                        "{later} was acknowledged at {acked:?}, before {id} was sent, but {id} is at {seq} of {topic}, {epoch}, before it"
                    ));
                }
                if let Some(acked) = publish.acked_in(*epoch).filter(|acked| earliest_ack.is_none_or(|(earliest, _)| *acked < earliest)) {
                    earliest_ack = Some((acked, *id));
                }
            }
        }
        for evidence in found {
            self.blame(P::G3RealTime, evidence);
        }
    }
}

fn show(position: Position) -> String {
    format!("{}/{}", position.epoch, position.seq)
}
