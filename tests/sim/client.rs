//! One client: a real client core, its socket, and an application that notes what it sees.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use arqonbus_client::core::{Backoff, CallId, Config, Core, Event, Failure, Joining, Outgoing, Output, SubscriptionId};
use arqonbus_client::protocol::{MessageId, Pattern, Position, Target, Topic};
use arqonbus_server::sim::{Frame, LinkId, Reader, SimBus, close, pong, text};
use arqonbus_tests::checker::{Seen, What};

/// What was seen, in order; each observation has a moment of its own.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) seen: Vec<Seen>,
}

impl Notes {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.seen.len() as u64 * 2)
    }

    pub(crate) fn note(&mut self, what: What) {
        let at = Duration::from_nanos(self.seen.len() as u64 * 2 + 1);
        self.seen.push(Seen { at, what });
    }
}

/// One subscription as the application knows it.
#[derive(Debug)]
pub(crate) struct Sub {
    number: u32,
    pub(crate) pattern: Pattern,
    invoked: Duration,
    replays: bool,
    pub(crate) cursors: BTreeMap<Topic, Position>,
}

#[derive(Debug)]
pub(crate) struct Client {
    number: u32,
    pub(crate) core: Core,
    link: Option<LinkId>,
    reader: Reader,
    /// Sent by the core, not yet arrived at the bus.
    up: Vec<u8>,
    /// Sent by the bus, not yet arrived here.
    down: Vec<u8>,
    pub(crate) until: Option<u64>,
    pub(crate) subs: BTreeMap<SubscriptionId, Sub>,
    pub(crate) calls: HashMap<CallId, MessageId>,
    published: u64,
    wants_socket: bool,
    pub(crate) closed: Option<String>,
}

impl Client {
    pub(crate) fn new(number: u32, seed: u64, now: u64) -> Self {
        let mut config = Config::new("ws://bus.test");
        config.backoff = Backoff { base_ms: 20, cap_ms: 400 };
        config.first_attempts_max = 0;
        config.batch = number.is_multiple_of(2);
        config.user = (number == 1).then(|| "ada".parse().unwrap());
        let mut core = Core::new(config, seed);
        core.connect(now);
        Self {
            number,
            core,
            link: None,
            reader: Reader::default(),
            up: Vec::new(),
            down: Vec::new(),
            until: None,
            subs: BTreeMap::new(),
            calls: HashMap::new(),
            published: 0,
            wants_socket: false,
            closed: None,
        }
    }

    pub(crate) fn publish(&mut self, topic: Topic, wait: bool, now: u64, notes: &mut Notes) {
        let id: MessageId = format!("p{}.{}", self.number, self.published).parse().unwrap();
        let payload = format!(r#"{{"from":{},"n":{},"pad":"{}"}}"#, self.number, self.published, "x".repeat((self.published as usize * 37) % 300));
        self.published += 1;
        let mut outgoing = Outgoing::new(Target::Topic(topic), payload.clone());
        outgoing.id = Some(id);
        let invoke = What::Invoke { publisher: self.number, id, topic, payload: fingerprint(&payload) };
        if wait {
            if let Ok(call) = self.core.publish(&outgoing, now) {
                notes.note(invoke);
                self.calls.insert(call, id);
            }
        } else if self.core.publish_nowait(&outgoing, true, now).is_ok() {
            notes.note(invoke);
        }
    }

    pub(crate) fn join(&mut self, pattern: Pattern, replay: Option<u32>, number: u32, now: u64, notes: &mut Notes) {
        let mut joining = Joining::new(pattern);
        joining.replay = replay;
        let Ok(id) = self.core.join(joining, now) else { return };
        let sub = Sub { number, pattern, invoked: notes.now(), replays: replay.is_some(), cursors: BTreeMap::new() };
        self.subs.insert(id, sub);
    }

    pub(crate) fn nth_sub(&self, nth: usize) -> Option<SubscriptionId> {
        self.subs.keys().nth(nth % self.subs.len().max(1)).copied()
    }

    /// Lets so many bytes arrive at each end.
    pub(crate) fn exchange(&mut self, bus: &mut SimBus, up: usize, down: usize, notes: &mut Notes) {
        self.poll(bus, notes);
        let Some(link) = self.link else { return };
        let up = up.min(self.up.len());
        bus.send(link, &self.up[..up]);
        self.up.drain(..up);
        self.down.extend(bus.take(link));
        let down = down.min(self.down.len());
        let bytes: Vec<u8> = self.down.drain(..down).collect();
        self.reader.feed(&bytes);
        while let Some(frame) = (self.link == Some(link)).then(|| self.reader.next_frame()).flatten() {
            self.take(frame, bus, notes);
        }
        if self.link == Some(link) && self.down.is_empty() && !bus.is_open(link) {
            self.drop_link(bus);
            self.core.handle_close(None, bus.now_ms());
        }
        self.poll(bus, notes);
    }

    fn take(&mut self, frame: Frame, bus: &mut SimBus, notes: &mut Notes) {
        let now = bus.now_ms();
        match frame {
            Frame::Text(text) => self.core.handle_frame(&text, now),
            Frame::Ping(payload) => {
                self.up.extend(pong(&payload));
                self.core.handle_alive(now);
            }
            Frame::Pong => self.core.handle_alive(now),
            Frame::Close(code) => {
                self.drop_link(bus);
                self.core.handle_close(Some(code), now);
            }
        }
        self.poll(bus, notes);
    }

    /// The connection is cut: what has not arrived does not arrive.
    pub(crate) fn cut(&mut self, bus: &mut SimBus, notes: &mut Notes) {
        if self.link.is_some() {
            self.drop_link(bus);
            self.core.handle_close(None, bus.now_ms());
            self.poll(bus, notes);
        }
    }

    fn drop_link(&mut self, bus: &mut SimBus) {
        if let Some(link) = self.link.take() {
            bus.cut(link);
        }
        self.up.clear();
        self.down.clear();
        self.reader = Reader::default();
    }

    pub(crate) fn narrow(&mut self, bus: &mut SimBus, window: Option<usize>) {
        if let Some(link) = self.link {
            bus.set_window(link, window);
        }
    }

    /// Whether nothing is under way between client and bus, and nothing is waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.closed.is_some()
            || (self.link.is_some()
                && self.up.is_empty()
                && self.down.is_empty()
                && self.calls.is_empty()
                && !self.core.is_awaiting()
                && self.core.state() == arqonbus_client::State::Connected)
    }

    pub(crate) fn poll(&mut self, bus: &mut SimBus, notes: &mut Notes) {
        loop {
            match self.core.poll_output() {
                Output::Open { .. } => self.wants_socket = true,
                Output::Transmit(envelopes) => self.up.extend(text(&envelopes)),
                Output::Close { code } => {
                    if let Some(link) = self.link {
                        // Everything sent before arrives, as TCP would have it.
                        self.up.extend(close(code));
                        bus.send(link, &self.up);
                    }
                    self.wants_socket = false;
                    self.drop_link(bus);
                }
                Output::Event(event) => self.hear(event, notes),
                Output::Wait { until } => {
                    self.until = until;
                    if !std::mem::take(&mut self.wants_socket) {
                        return;
                    }
                    self.link = Some(bus.open());
                    self.core.handle_open(bus.now_ms());
                }
            }
        }
    }

    fn hear(&mut self, event: Event, notes: &mut Notes) {
        match event {
            Event::Joined { subscription, result, again } => {
                let Some(sub) = self.subs.get_mut(&subscription) else { return };
                for start in &result.topics {
                    sub.joined(start.topic(), start.start, again, notes);
                }
            }
            Event::Message { subscription, message } => {
                let Some(sub) = self.subs.get_mut(&subscription) else { return };
                let (topic, position) = (*message.topic().unwrap(), message.position().unwrap());
                sub.born(topic, Position { seq: 0, ..position }, notes);
                sub.cursors.insert(topic, position);
                let payload = fingerprint(message.payload_json());
                notes.note(What::Deliver { subscription: sub.number, topic, id: *message.id(), position, payload });
            }
            Event::Gap { subscription, topic, gap } => {
                let Some(sub) = self.subs.get_mut(&subscription) else { return };
                sub.born(topic, gap.from.unwrap_or(Position { seq: 0, ..gap.to }), notes);
                sub.cursors.insert(topic, gap.to);
                notes.note(What::Gap { subscription: sub.number, topic, reason: gap.reason, from: gap.from, to: gap.to });
            }
            Event::Ended { subscription, .. } => drop(self.subs.remove(&subscription)),
            Event::Published { call, outcome } => self.settled(call, &outcome, notes),
            Event::Closed(fault) => self.closed = Some(fault.to_string()),
            Event::State(_) | Event::Connected { .. } | Event::Lost { .. } | Event::Refused(_) => {}
            Event::TokenNeeded
            | Event::Presence { .. }
            | Event::Deleted { .. }
            | Event::Inbox(_)
            | Event::Missed { .. }
            | Event::Replied { .. }
            | Event::Job { .. }
            | Event::JobsLost { .. }
            | Event::Settled { .. }
            | Event::Answered { .. } => panic!("nobody asked for {event:?}"),
        }
    }

    fn settled(&mut self, call: CallId, outcome: &Result<arqonbus_client::protocol::PublishResult, Failure>, notes: &mut Notes) {
        let id = self.calls.remove(&call).expect("a publish is settled once");
        notes.note(match outcome {
            Ok(result) => What::Ok { id, position: result.position.expect("a topic has positions") },
            Err(Failure::Rejected(_) | Failure::NotSent) => What::Fail { id },
            Err(Failure::Unknown) => What::Unknown { id },
        });
    }
}

impl Sub {
    /// A join was answered for one topic. At first it begins where the server says; later where the application stands.
    fn joined(&mut self, topic: Topic, start: Position, again: bool, notes: &mut Notes) {
        let known = self.cursors.get(&topic).copied();
        // A topic that came to be while the client was away is wanted from its first message.
        let since = if again { Some(known.unwrap_or(Position { seq: 0, ..start })) } else { self.replays.then_some(start) };
        notes.note(What::Joined { subscription: self.number, topic, since, start, invoked: self.invoked });
        self.cursors.insert(topic, since.unwrap_or(start));
    }

    /// A topic of a pattern that came to be after it was joined.
    fn born(&mut self, topic: Topic, start: Position, notes: &mut Notes) {
        if !self.cursors.contains_key(&topic) {
            notes.note(What::Joined { subscription: self.number, topic, since: Some(start), start, invoked: self.invoked });
            self.cursors.insert(topic, start);
        }
    }
}

pub(crate) fn fingerprint(payload: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
