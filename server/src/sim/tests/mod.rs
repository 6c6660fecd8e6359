//! The core of the server, proven without sockets: each test a sentence.

mod audiences;
mod catch_up;
mod clock;
mod directory;
mod groups;
mod joins;
mod lanes;
mod late_store;
mod limits;
mod session;

use arqonbus_protocol::Topic;
use serde_json::{Value, json};

use super::{Peer, Setup, SimBus};

/// A bus of two shards, and what a test says to it in few words.
fn bus() -> SimBus {
    SimBus::new(Setup::new(1))
}

fn bus_with(change: impl FnOnce(&mut Setup)) -> SimBus {
    let mut setup = Setup::new(1);
    change(&mut setup);
    SimBus::new(setup)
}

/// A topic of room `r` whose home is `shard`.
fn topic_on(bus: &SimBus, shard: usize) -> Topic {
    topics_on(bus, shard).next().unwrap()
}

fn topics_on(bus: &SimBus, shard: usize) -> impl Iterator<Item = Topic> {
    (0..).map(|n| format!("r:t{n}").parse::<Topic>().unwrap()).filter(move |topic| bus.home_of(topic) == shard)
}

fn join(topic: &Topic) -> Value {
    json!({ "room": topic.room, "channel": topic.channel })
}

fn join_since(topic: &Topic, since: &Value) -> Value {
    json!({ "room": topic.room, "channel": topic.channel, "since": since })
}

/// The seqs of the messages among what was heard.
fn seqs(heard: &[Value]) -> Vec<u64> {
    heard.iter().filter(|heard| heard["type"] == "message").map(|heard| heard["seq"].as_u64().unwrap()).collect()
}

/// What was heard, in one word each: `seq`, `gap:reason to`, an event's name, `ok`, or a code.
fn brief(heard: &[Value]) -> Vec<String> {
    let word = |heard: &Value| match heard["type"].as_str().unwrap() {
        "message" if heard["seq"].is_u64() => heard["seq"].to_string(),
        "message" => heard["payload"].as_str().unwrap().to_owned(),
        "event" if heard["event"] == "gap" => format!("{} {}", heard["data"]["reason"].as_str().unwrap(), heard["data"]["to"]["seq"]),
        "event" => heard["event"].as_str().unwrap().to_owned(),
        _ if heard["status"] == "ok" => "ok".to_owned(),
        _ => heard["error"]["code"].as_str().unwrap().to_owned(),
    };
    heard.iter().map(word).collect()
}

/// Publishes `count` messages to `topic`, and takes their acks.
fn publish(bus: &mut SimBus, topic: &Topic, count: usize) {
    let mut publisher = Peer::open(bus, 0);
    for _ in 0..count {
        say_message(bus, &mut publisher, topic, &json!({}));
    }
    bus.settle();
    bus.cut(publisher.link);
    bus.settle();
}

fn say_message(bus: &mut SimBus, peer: &mut Peer, topic: &Topic, more: &Value) {
    let mut envelope = json!({ "type": "message", "room": topic.room, "channel": topic.channel, "payload": "p" });
    envelope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    peer.say(bus, &envelope);
}
