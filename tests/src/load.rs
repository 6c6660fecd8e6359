//! Publishers and subscribers that go through faults as a client should, and note all that they see.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arqonbus_protocol::{EventBody, MessageId, Position, Retry, ServerEnvelope, Topic};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::checker::{Recorder, What};
use crate::harness::clock::{PATIENCE, now, within};
use crate::harness::{Peer, Reach};

/// After so long without an answer a publisher or subscriber takes its connection for lost.
const IMPATIENCE: Duration = Duration::from_secs(3);

/// The nodes of a bus. Whoever loses one goes to the next.
#[derive(Debug, Clone)]
pub struct Nodes {
    addresses: Arc<[SocketAddr]>,
    next: usize,
}

impl From<SocketAddr> for Nodes {
    fn from(address: SocketAddr) -> Self {
        Self { addresses: Arc::new([address]), next: 0 }
    }
}

impl Nodes {
    /// These, beginning with the one at `first`, counted round.
    #[must_use]
    pub fn of(addresses: &[SocketAddr], first: usize) -> Self {
        Self { addresses: addresses.into(), next: first }
    }

    fn next(&mut self) -> SocketAddr {
        let address = self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        address
    }
}

/// What a publisher is to do.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// Its number: its messages carry it, and it publishes as a user of that name, so that resent messages are recognised.
    pub number: u32,
    /// It publishes to these in turn.
    pub topics: Vec<Topic>,
    /// So much.
    pub amount: Amount,
    /// With so many unacknowledged at most.
    pub window: usize,
}

/// When a publisher has published enough.
#[derive(Debug, Clone)]
pub enum Amount {
    /// After so many messages.
    Count(usize),
    /// Once this says so. It publishes a window full, waits for all of its acks, and rests for so long.
    Until(watch::Receiver<bool>, Duration),
}

impl Amount {
    fn wants(&self, sent: usize) -> bool {
        match self {
            Self::Count(count) => sent < *count,
            Self::Until(enough, _) => !*enough.borrow(),
        }
    }

    async fn rest(&mut self) {
        if let Self::Until(enough, rest) = self {
            // Cut short by the end.
            let _ = timeout(*rest, enough.wait_for(|enough| *enough)).await;
        }
    }
}

struct Pending {
    id: MessageId,
    text: String,
}

impl Publisher {
    /// Publishes everything, and returns when all of it is acknowledged. After a lost connection it resends what is not, in order, under the
    /// same ids.
    pub async fn run(mut self, bus: impl Into<Nodes>, recorder: Recorder) {
        let mut nodes = bus.into();
        let (mut pending, mut sent) = (VecDeque::new(), 0);
        while self.amount.wants(sent) || !pending.is_empty() {
            let mut peer = reconnect(&mut nodes, &json!({"user": format!("publisher-{}", self.number)})).await;
            self.converse(&mut peer, &recorder, &mut pending, &mut sent).await;
        }
    }

    /// Goes on until everything is done or the connection is lost.
    async fn converse(&mut self, peer: &mut Peer, recorder: &Recorder, pending: &mut VecDeque<Pending>, sent: &mut usize) {
        for Pending { text, .. } in &*pending {
            peer.send_text(text).await;
        }
        while self.amount.wants(*sent) || !pending.is_empty() {
            if pending.is_empty() || matches!(self.amount, Amount::Count(_)) {
                self.amount.rest().await;
                while pending.len() < self.window && self.amount.wants(*sent) {
                    let next = self.invoke(*sent, recorder);
                    peer.send_text(&next.text).await;
                    pending.push_back(next);
                    *sent += 1;
                }
            }
            if pending.is_empty() {
                return;
            }
            let Ok(Ok(answer)) = timeout(IMPATIENCE, peer.next_text()).await else { return };
            if settle(&answer, recorder, pending).is_none() {
                return;
            }
        }
    }

    fn invoke(&self, number: usize, recorder: &Recorder) -> Pending {
        let topic = self.topics[number % self.topics.len()];
        let id: MessageId = format!("p{}.{number}", self.number).parse().expect("an id");
        let payload = json!({"from": self.number, "number": number}).to_string();
        let (room, channel) = (topic.room, topic.channel);
        let text = format!(r#"{{"type":"message","id":"{id}","room":"{room}","channel":"{channel}","ack":true,"payload":{payload}}}"#);
        recorder.note(What::Invoke { publisher: self.number, id, topic, payload: fingerprint(&payload) });
        Pending { id, text }
    }
}

/// Notes the answer to a publish; `None` where it has to be sent again on another connection.
fn settle(answer: &str, recorder: &Recorder, pending: &mut VecDeque<Pending>) -> Option<()> {
    let Ok(ServerEnvelope::Response(response)) = ServerEnvelope::decode(answer) else { return Some(()) };
    let id = response.request_id;
    match response.outcome {
        Ok(result) => {
            let position: Position = result.parse().expect("a topic's ack has a position");
            recorder.note(What::Ok { id, position });
        }
        Err(refusal) if refusal.retry == Retry::Never => recorder.note(What::Fail { id }),
        Err(_) => return None,
    }
    pending.retain(|pending| pending.id != id);
    Some(())
}

/// What a subscriber is to do.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Its number.
    pub number: u32,
    /// What it joins.
    pub topic: Topic,
    /// Gets a permit once it has joined for the first time.
    pub ready: Arc<Semaphore>,
    /// Holds the last position of the log, once that is known.
    pub until: watch::Receiver<Option<Position>>,
}

impl Subscriber {
    /// Receives until it holds the last position. After a lost connection it goes on from what it holds.
    pub async fn run(mut self, bus: impl Into<Nodes>, recorder: Recorder) {
        let (mut nodes, mut cursor) = (bus.into(), None);
        while cursor.is_none() || *self.until.borrow() != cursor {
            let mut peer = reconnect(&mut nodes, &json!({"batch": self.number.is_multiple_of(2)})).await;
            let first = cursor.is_none();
            if self.join(&mut peer, &recorder, &mut cursor).await.is_none() {
                continue;
            }
            if first {
                self.ready.add_permits(1);
            }
            self.receive(&mut peer, &recorder, &mut cursor).await;
        }
    }

    async fn join(&self, peer: &mut Peer, recorder: &Recorder, cursor: &mut Option<Position>) -> Option<()> {
        let Topic { room, channel } = self.topic;
        let since = *cursor;
        let args = json!({"room": room, "channel": channel, "since": since});
        let invoked = now();
        peer.send(&json!({"type": "command", "id": "join", "command": "join_channel", "args": args})).await;
        let answer: Value = serde_json::from_str(&timeout(IMPATIENCE, peer.next_text()).await.ok()?.ok()?).expect("JSON");
        let start = crate::harness::peer::position(answer["result"]["topics"].get(0).map(|topic| &topic["start"])?);
        recorder.note(What::Joined { subscription: self.number, topic: self.topic, since, start, invoked });
        cursor.get_or_insert(start);
        Some(())
    }

    /// Goes on until everything has come or the connection is lost.
    async fn receive(&mut self, peer: &mut Peer, recorder: &Recorder, cursor: &mut Option<Position>) {
        while *self.until.borrow() != *cursor {
            let text = tokio::select! {
                text = timeout(IMPATIENCE, peer.next_text()) => text,
                Ok(()) = self.until.changed() => continue,
            };
            // Whether there is nothing to be said, or nothing comes, is seen when the run ends.
            let Ok(text) = text else { continue };
            let Ok(text) = text else { return };
            self.note(&text, recorder, cursor);
        }
    }

    fn note(&self, text: &str, recorder: &Recorder, cursor: &mut Option<Position>) {
        let (subscription, topic) = (self.number, self.topic);
        match ServerEnvelope::decode(text).expect("an envelope") {
            ServerEnvelope::Message(delivery) => {
                let position = delivery.head.position.expect("a topic's message has a position");
                let payload = fingerprint(delivery.payload.as_str());
                recorder.note(What::Deliver { subscription, topic, id: delivery.head.id, position, payload });
                *cursor = Some(position);
            }
            ServerEnvelope::Event(event) if event.name == "gap" => {
                let Ok(Some(EventBody::Gap(gap))) = event.body() else { panic!("a gap: {text}") };
                recorder.note(What::Gap { subscription, topic, reason: gap.reason, from: gap.from, to: gap.to });
                *cursor = Some(gap.to);
            }
            ServerEnvelope::Event(_) | ServerEnvelope::Response(_) | ServerEnvelope::Error(_) => {}
        }
    }
}

/// Waits until all publishing is done and everybody holds everything, then notes where the logs ended.
pub async fn head(bus: &impl Reach, topic: Topic) -> Position {
    let mut peer = reconnect(&mut bus.address().into(), &json!({})).await;
    let info = peer.ok("channel_info", json!({"room": topic.room, "channel": topic.channel})).await;
    crate::harness::peer::position(&info["head"])
}

async fn reconnect(nodes: &mut Nodes, args: &Value) -> Peer {
    within(PATIENCE, "a connection", async {
        loop {
            if let Ok(Some(peer)) = timeout(IMPATIENCE, Peer::try_introduce(&nodes.next(), args)).await {
                return peer;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A number that stands for a payload.
#[must_use]
pub fn fingerprint(payload: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
