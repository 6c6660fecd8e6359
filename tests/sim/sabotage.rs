//! Promises broken on purpose. Each scene passes on a bus that keeps them, and its checker reports the one that is broken: a test that was
//! never red proves nothing.

use std::collections::HashSet;

use arqonbus_client::protocol::{EventBody, Position, ServerEnvelope, Topic};
use arqonbus_server::sim::{Peer, Sabotage, Setup, SimBus};
use arqonbus_tests::checker::{Fault, Promise, Violation, What, check};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::client::{Notes, fingerprint};
use crate::plan::{Kind, plans};
use crate::world;

const TOPIC: &str = "r:a";

/// A bus, one publisher, and what was seen.
struct Scene {
    bus: SimBus,
    publisher: Peer,
    notes: Notes,
    sabotage: Option<Sabotage>,
}

impl Scene {
    fn new(sabotage: Option<Sabotage>, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::new(1);
        setup.sabotage = sabotage;
        change(&mut setup);
        let mut bus = SimBus::new(setup);
        let publisher = Peer::open(&mut bus, 0);
        Self { bus, publisher, notes: Notes::default(), sabotage }
    }

    fn topic(&self) -> Topic {
        TOPIC.parse().unwrap()
    }

    fn publish(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            let (id, topic) = (format!("m{id}"), self.topic());
            let payload = fingerprint(&json!(id).to_string());
            self.notes.note(What::Invoke { publisher: 0, id: id.parse().unwrap(), topic, payload });
            self.publisher.publish(&mut self.bus, TOPIC, &id);
        }
    }

    fn take_acks(&mut self) {
        for heard in self.publisher.hear(&mut self.bus) {
            if heard["status"] == "ok" && heard["result"]["seq"].is_u64() {
                let id = heard["request_id"].as_str().unwrap().parse().unwrap();
                let position = serde_json::from_value(heard["result"].clone()).unwrap();
                self.notes.note(What::Ok { id, position });
            }
        }
    }

    /// What a subscriber heard, as the wire said it.
    fn note_heard(&mut self, heard: &[Value], since: Option<Position>) {
        let topic = self.topic();
        for value in heard {
            let text = value.to_string();
            match ServerEnvelope::decode(&text).unwrap() {
                ServerEnvelope::Response(_) if value["result"]["topics"].is_array() => {
                    let start = serde_json::from_value(value["result"]["topics"][0]["start"].clone()).unwrap();
                    self.notes.note(What::Joined { subscription: 0, topic, since, start, invoked: std::time::Duration::ZERO });
                }
                ServerEnvelope::Message(delivery) => {
                    let (id, position) = (delivery.head.id, delivery.head.position.unwrap());
                    let payload = fingerprint(delivery.payload.as_str());
                    self.notes.note(What::Deliver { subscription: 0, topic, id, position, payload });
                }
                ServerEnvelope::Event(event) => {
                    if let Ok(Some(EventBody::Gap(gap))) = event.body() {
                        self.notes.note(What::Gap { subscription: 0, topic, reason: gap.reason, from: gap.from, to: gap.to });
                    }
                }
                ServerEnvelope::Response(_) | ServerEnvelope::Error(_) => {}
            }
        }
    }

    fn join(&mut self, since: Option<Position>) -> Peer {
        let mut peer = Peer::open(&mut self.bus, 1);
        let mut args = json!({ "room": "r", "channel": "a" });
        if let Some(since) = since {
            args["since"] = json!(since);
        }
        peer.command(&mut self.bus, "join_channel", &args);
        peer
    }

    fn head(&self) -> Position {
        self.bus.head(&self.topic()).unwrap()
    }

    fn conclude(mut self) -> Vec<Violation> {
        let head = self.head();
        let topic = self.topic();
        self.notes.note(What::Settled { topic, head });
        check(&self.notes.seen)
    }
}

/// Asserts that a scene is clean, and that its checker sees `sabotage` as one of `promises`.
fn seen(sabotage: Sabotage, promises: &[Promise], scene: fn(Option<Sabotage>) -> Vec<Violation>) {
    assert_eq!(scene(None), []);
    let found = scene(Some(sabotage));
    assert!(found.iter().any(|violation| promises.contains(&violation.promise)), "{sabotage:?} was not noticed: {found:?}");
}

#[test]
fn g04_an_ack_means_stored() {
    fn unreadable(sabotage: Option<Sabotage>) -> Vec<String> {
        let mut scene = Scene::new(sabotage, |_| {});
        scene.publish(1..=10);
        let heard = scene.publisher.hear(&mut scene.bus);
        let acked = heard.iter().filter(|heard| heard["status"] == "ok").map(|heard| heard["request_id"].as_str().unwrap().to_owned());
        let history = scene.publisher.ask(&mut scene.bus, "history", &json!({ "room": "r", "channel": "a" }));
        let held: HashSet<&str> = history["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect();
        acked.filter(|id| !held.contains(id.as_str())).collect()
    }
    assert_eq!(unreadable(None), [] as [String; 0]);
    assert_eq!(unreadable(Some(Sabotage::AckBeforeStore)), ["m4", "m8"]);
}

#[test]
fn g06_resume_is_exactly_once_or_an_explicit_gap() {
    seen(Sabotage::ResumeWithoutGap, &[Promise::G6ExactlyOnceOrGap], resume_past_what_is_held);
}

#[test]
fn g11_a_trimmed_past_is_announced() {
    seen(Sabotage::TrimSilently, &[Promise::G6ExactlyOnceOrGap], resume_past_what_is_held);
}

fn resume_past_what_is_held(sabotage: Option<Sabotage>) -> Vec<Violation> {
    let mut scene = Scene::new(sabotage, |setup| setup.config.history.messages = 3);
    scene.notes.note(What::Fault(Fault::Trim));
    scene.publish(1..=10);
    scene.take_acks();
    let since = Position { seq: 2, ..scene.head() };
    let mut peer = scene.join(Some(since));
    let heard = peer.hear(&mut scene.bus);
    scene.note_heard(&heard, Some(since));
    scene.conclude()
}

#[test]
fn g08_no_join_publish_race() {
    seen(Sabotage::JoinReadsThenRegisters, &[Promise::G6ExactlyOnceOrGap, Promise::G8JoinRace], |sabotage| {
        let mut scene = Scene::new(sabotage, |setup| setup.store_delay_ms = 20);
        scene.publish(1..=3);
        scene.take_acks();
        let mut peer = scene.join(None);
        for id in 4..=12 {
            scene.bus.run();
            scene.publish([id]);
            scene.bus.advance(7);
        }
        let heard = peer.hear(&mut scene.bus);
        scene.note_heard(&heard, None);
        scene.take_acks();
        scene.conclude()
    });
}

#[test]
fn g09_a_resent_message_is_stored_once() {
    seen(Sabotage::ForgetDedup, &[Promise::G9Idempotent], |sabotage| {
        let mut scene = Scene::new(sabotage, |_| {});
        scene.publish(1..=3);
        scene.take_acks();
        scene.publish([2, 3]);
        scene.take_acks();
        scene.conclude()
    });
}

#[test]
fn g10_a_lost_past_is_announced() {
    seen(Sabotage::KeepEpochOnRestart, &[Promise::G10LostPast, Promise::G1TotalOrder], |sabotage| {
        let mut scene = Scene::new(sabotage, |_| {});
        let mut first = scene.join(None);
        scene.bus.settle();
        scene.publish(1..=5);
        scene.take_acks();
        let heard = first.hear(&mut scene.bus);
        scene.note_heard(&heard, None);
        let since = scene.head();

        scene.notes.note(What::Fault(Fault::Restart));
        let Scene { bus, publisher, .. } = Scene::new(scene.sabotage, |setup| setup.seed = 2);
        (scene.bus, scene.publisher) = (bus, publisher);
        scene.publish(6..=12);
        scene.take_acks();
        let mut again = scene.join(Some(since));
        let heard = again.hear(&mut scene.bus);
        scene.note_heard(&heard, Some(since));
        scene.conclude()
    });
}

#[test]
fn g14_a_slow_reader_harms_nobody() {
    const BOUND: usize = 16 * 1024;
    fn harm(sabotage: Option<Sabotage>) -> Vec<String> {
        let mut scene = Scene::new(sabotage, |setup| setup.config.limits.outbox_bytes = BOUND);
        let (mut slow, mut other) = (scene.join(None), scene.join(None));
        slow.hear(&mut scene.bus);
        other.hear(&mut scene.bus);
        scene.bus.set_window(slow.link, Some(100));
        let (mut harm, mut got) = (Vec::new(), 0);
        for id in 1..=500 {
            scene.publish([id]);
            got += other.hear(&mut scene.bus).iter().filter(|heard| heard["type"] == "message").count();
            scene.publisher.hear(&mut scene.bus);
            if scene.bus.queued_bytes(slow.link) > BOUND && harm.is_empty() {
                harm.push(format!("{} bytes wait after {id} messages", scene.bus.queued_bytes(slow.link)));
            }
        }
        if got != 500 {
            harm.push(format!("another got {got} of 500"));
        }
        scene.bus.set_window(slow.link, None);
        slow.hear(&mut scene.bus);
        if slow.closed != Some(4100) {
            harm.push(format!("the slow one was closed with {:?}", slow.closed));
        }
        harm
    }
    assert_eq!(harm(None), [] as [String; 0]);
    assert_eq!(harm(Some(Sabotage::NoOutboxBound)).len(), 2);
}

/// The model as a whole notices what the client core does not make good by itself.
#[test]
fn the_model_notices() {
    let runs = |kind, sabotage| {
        let mut runner = TestRunner::deterministic();
        (0..60).filter(|_| !world::play(&plans(kind).new_tree(&mut runner).unwrap().current(), sabotage).is_empty()).count()
    };
    for kind in [Kind::Flaps, Kind::Losses] {
        assert_eq!(runs(kind, None), 0, "{kind:?}");
    }
    for (kind, sabotage) in
        [(Kind::Flaps, Sabotage::AckBeforeStore), (Kind::Flaps, Sabotage::ForgetDedup), (Kind::Losses, Sabotage::KeepEpochOnRestart)]
    {
        assert!(runs(kind, Some(sabotage)) > 0, "{sabotage:?} was not noticed in any run");
    }
}
