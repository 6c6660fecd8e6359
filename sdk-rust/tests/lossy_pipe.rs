//! Core × model server × a pipe that is cut anywhere: what is promised of order, recovery and idempotence holds in every run.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[allow(dead_code, unreachable_pub, clippy::wildcard_enum_match_arm, reason = "shared by several test binaries")]
mod support;

use std::collections::{BTreeMap, HashMap, VecDeque};

use arqonbus_client::Message;
use arqonbus_client::core::{CallId, Config, Core, Event, Joining, Outgoing, Output, SubscriptionId};
use arqonbus_client::protocol::{Epoch, Gap, GapReason, Pattern, Position, Topic};
use proptest::prelude::*;
use support::Model;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Act {
    /// The client publishes to topic 0 or 1, perhaps without getting it itself.
    Publish { topic: usize, exclude_sender: bool },
    /// Somebody else publishes.
    Other { topic: usize },
    /// So many frames reach the server.
    Up(usize),
    /// So many frames reach the client.
    Down(usize),
    /// The connection breaks; what was on its way is lost.
    Cut,
    /// Time passes.
    Pass(u64),
    /// The server forgets all but the last messages.
    Trim,
    /// The server loses everything.
    Restart,
    /// The application is slow for a while.
    Pause,
    /// It has caught up.
    Resume,
}

fn network_acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..2_usize, any::<bool>()).prop_map(|(topic, exclude_sender)| Act::Publish { topic, exclude_sender }),
        4 => (0..2_usize).prop_map(|topic| Act::Other { topic }),
        4 => (1..6_usize).prop_map(Act::Up),
        4 => (1..9_usize).prop_map(Act::Down),
        1 => Just(Act::Cut),
        3 => (1..500_u64).prop_map(Act::Pass),
        1 => Just(Act::Pause),
        1 => Just(Act::Resume),
    ]
}

fn all_acts() -> impl Strategy<Value = Act> {
    prop_oneof![20 => network_acts(), 1 => Just(Act::Trim), 1 => Just(Act::Restart)]
}

struct Run {
    core: Core,
    model: Model,
    connection: Option<u64>,
    up: VecDeque<String>,
    down: VecDeque<String>,
    now: u64,
    until: Option<u64>,
    subscriptions: Vec<(SubscriptionId, Pattern)>,
    /// What each subscription saw, by topic.
    seen: HashMap<(SubscriptionId, Topic), Vec<Sight>>,
    starts: HashMap<(SubscriptionId, Topic), Position>,
    published: BTreeMap<CallId, (Topic, u64)>,
    acked: Vec<(CallId, Position)>,
    bad: Vec<String>,
}

#[derive(Debug, Clone)]
enum Sight {
    Message(Message),
    Gap(Gap),
}

fn topics() -> [Topic; 2] {
    ["a:x".parse().unwrap(), "a:y".parse().unwrap()]
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut config = Config::new("ws://model");
        config.first_attempts_max = 0;
        config.publish_timeout_ms = 90_000;
        let mut core = Core::new(config, seed);
        core.connect(0);
        let mut run = Self {
            core,
            model: Model::default(),
            connection: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            now: 0,
            until: None,
            subscriptions: Vec::new(),
            seen: HashMap::new(),
            starts: HashMap::new(),
            published: BTreeMap::new(),
            acked: Vec::new(),
            bad: Vec::new(),
        };
        run.settle();
        run.heal();
        for pattern in ["a:x", "a:*"] {
            let pattern: Pattern = pattern.parse().unwrap();
            let id = run.core.join(Joining::new(pattern), run.now).unwrap();
            run.subscriptions.push((id, pattern));
            run.heal();
        }
        run
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Publish { topic, exclude_sender } => {
                let topic = topics()[*topic];
                let number = self.published.len() as u64;
                let mut outgoing = Outgoing::new(topic, number.to_string());
                outgoing.exclude_sender = *exclude_sender;
                let call = self.core.publish(&outgoing, self.now).unwrap();
                self.published.insert(call, (topic, number));
            }
            Act::Other { topic } => drop(self.model.publish(topics()[*topic], "\"other\"")),
            Act::Up(count) => (0..*count).for_each(|_| self.up_one()),
            Act::Down(count) => (0..*count).for_each(|_| self.down_one()),
            Act::Cut => self.cut(),
            Act::Pass(ms) => self.pass(*ms),
            Act::Trim => self.model.trim(2),
            Act::Restart => {
                self.cut();
                self.model.lose_everything();
            }
            Act::Pause => self.core.pause(self.subscriptions[0].0, self.now),
            Act::Resume => self.core.resume(self.subscriptions[0].0, self.now),
        }
        self.settle();
    }

    fn up_one(&mut self) {
        if let (Some(connection), Some(frame)) = (self.connection, self.up.pop_front()) {
            self.model.frame(connection, &frame);
        }
        self.settle();
    }

    fn down_one(&mut self) {
        if let Some(frame) = self.down.pop_front() {
            self.core.handle_frame(&frame, self.now);
        }
        self.settle();
    }

    fn cut(&mut self) {
        if self.hang_up() {
            self.core.handle_close(None, self.now);
        }
    }

    fn hang_up(&mut self) -> bool {
        self.up.clear();
        self.down.clear();
        self.connection.take().inspect(|connection| self.model.close(*connection)).is_some()
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.until.filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Takes all outputs, and what the server has to say onto the pipe.
    fn settle(&mut self) {
        loop {
            match self.core.poll_output() {
                Output::Open { .. } => {
                    self.connection = Some(self.model.open());
                    self.core.handle_open(self.now);
                }
                Output::Transmit(frame) => self.up.push_back(frame),
                Output::Close { .. } => drop(self.hang_up()),
                Output::Event(event) => self.tell(event),
                Output::Wait { until } => {
                    self.until = until;
                    break;
                }
            }
        }
        while let Some(frame) = self.connection.and_then(|connection| self.model.pop(connection)) {
            self.down.push_back(frame);
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Message { subscription, message } => {
                let topic = *message.topic().unwrap();
                self.seen.entry((subscription, topic)).or_default().push(Sight::Message(message));
            }
            Event::Gap { subscription, topic, gap } => self.seen.entry((subscription, topic)).or_default().push(Sight::Gap(gap)),
            Event::Joined { subscription, result, again: false } => {
                self.starts.extend(result.topics.iter().map(|start| ((subscription, start.topic()), start.start)));
            }
            Event::Published { call, outcome: Ok(result) } => self.acked.push((call, result.position.unwrap())),
            Event::Published { .. }
            | Event::Ended { .. }
            | Event::Closed(_)
            | Event::Refused(_)
            | Event::Inbox(_)
            | Event::Missed { .. }
            | Event::Deleted { .. } => {
                self.bad.push(format!("{event:?}"));
            }
            Event::Job { .. } | Event::JobsLost { .. } | Event::Settled { .. } => self.bad.push(format!("{event:?}")),
            Event::Joined { .. }
            | Event::State(_)
            | Event::Connected { .. }
            | Event::Lost { .. }
            | Event::TokenNeeded
            | Event::Presence { .. }
            | Event::Replied { .. }
            | Event::Answered { .. } => {}
        }
    }

    /// Lets the network be well until nothing moves any more.
    fn heal(&mut self) {
        for _ in 0..10_000 {
            let moves = !self.up.is_empty() || !self.down.is_empty();
            self.up_one();
            self.down_one();
            let connected = self.core.state() == arqonbus_client::State::Connected;
            if !moves && connected && !self.core.is_awaiting() && self.until.is_none_or(|until| until > self.now + 2_000) {
                return;
            }
            if !moves {
                self.pass(50);
            }
        }
        panic!("it does not come to rest: {:?}", self.core.state());
    }

    fn finish(&mut self) {
        self.core.resume(self.subscriptions[0].0, self.now);
        self.settle();
        self.heal();
        assert!(self.bad.is_empty(), "{:?}", self.bad);
    }

    /// G6: exactly once, in order, or an explicit gap; and everybody arrives at the end of the log.
    fn check_continuity(&self) {
        for (subscription, pattern) in &self.subscriptions {
            for (topic, log) in self.model.logs.iter().filter(|(topic, _)| pattern.matches(topic)) {
                let key = (*subscription, *topic);
                let seen = self.seen.get(&key).map_or(&[][..], Vec::as_slice);
                let mut at = self.starts.get(&key).copied();
                for sight in seen {
                    match sight {
                        Sight::Gap(gap) => at = Some(gap.to),
                        Sight::Message(message) => {
                            let position = message.position().unwrap();
                            let before = at.unwrap_or(Position { seq: 0, ..position });
                            assert_eq!(before.epoch, position.epoch, "{pattern} {topic}: a new epoch without a gap");
                            assert!(position.seq > before.seq, "{pattern} {topic}: {position:?} after {before:?}");
                            for skipped in before.seq + 1..position.seq {
                                assert!(
                                    self.is_own(topic, position.epoch, skipped),
                                    "{pattern} {topic}: {skipped} is missing before {}",
                                    position.seq
                                );
                            }
                            at = Some(position);
                        }
                    }
                }
                let at = at.unwrap_or(Position { epoch: log.epoch, seq: 0 });
                let rest: Vec<u64> = log.entries.iter().filter(|entry| at.epoch != log.epoch || entry.seq > at.seq).map(|entry| entry.seq).collect();
                assert!(
                    rest.iter().all(|seq| self.is_own(topic, log.epoch, *seq)),
                    "{pattern} {topic}: stopped at {at:?}, the log has {rest:?} after it"
                );
            }
        }
    }

    /// Whether only others were to see it.
    fn is_own(&self, topic: &Topic, epoch: Epoch, seq: u64) -> bool {
        self.model.excluded.contains(&(*topic, epoch, seq))
    }

    fn gaps(&self) -> Vec<&Gap> {
        self.seen.values().flatten().filter_map(|sight| if let Sight::Gap(gap) = sight { Some(gap) } else { None }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// With nothing but a bad network: no gap (G7), all publishes acked, stored once (G9) and in order (G2), all seen once (G6).
    #[test]
    fn g02_g06_g07_g09_a_bad_network_loses_nothing(seed in any::<u64>(), acts in prop::collection::vec(network_acts(), 1..120)) {
        let mut run = Run::new(seed);
        acts.iter().for_each(|act| run.act(act));
        run.finish();
        run.check_continuity();
        prop_assert!(run.gaps().is_empty(), "a false gap: {:?}", run.gaps());
        prop_assert_eq!(run.acked.len(), run.published.len());
        for (call, position) in &run.acked {
            let (topic, number) = run.published[call];
            let entry = run.model.logs[&topic].entries.iter().find(|entry| entry.seq == position.seq).expect("an acked message is held");
            prop_assert_eq!(&entry.payload, &number.to_string());
        }
        for log in run.model.logs.values() {
            let own: Vec<u64> = log.entries.iter().filter_map(|entry| entry.payload.parse().ok()).collect();
            prop_assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "stored twice or out of order: {own:?}");
        }
    }

    /// With a server that forgets and restarts: still never silent, never twice, never out of order (G6).
    #[test]
    fn g06_a_forgetful_server_is_announced(seed in any::<u64>(), acts in prop::collection::vec(all_acts(), 1..160)) {
        let mut run = Run::new(seed);
        acts.iter().for_each(|act| run.act(act));
        run.finish();
        run.check_continuity();
        prop_assert!(run.gaps().iter().all(|gap| gap.from != Some(gap.to)), "a gap that is none: {:?}", run.gaps());
        prop_assert!(run.gaps().iter().all(|gap| matches!(gap.reason, GapReason::EpochChanged | GapReason::Trimmed | GapReason::Ahead)));
    }
}
