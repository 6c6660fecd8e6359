//! Redis is away, or takes nothing (G12): announced before the first message, and healed without a loss; or refused within a second.

use arqonbus_server::config::OnOutage;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::{eventually, now, within};
use arqonbus_tests::harness::redis::Redis;
use serde_json::{Value, json};

use super::{Node, history};

/// How Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// It stands still. `endurance.rs` has it for as long as the promise says.
    Paused,
    /// Its process is dead; it comes back with everything.
    Killed,
    /// It is a replica, and takes no writes.
    ReadOnly,
    /// Its memory is full.
    Full,
}

impl Away {
    async fn begin(self, redis: &mut Redis) {
        match self {
            Self::Paused => redis.pause(),
            Self::Killed => redis.kill(),
            // Nobody is there to be followed, so that it keeps what it has.
            Self::ReadOnly => drop(redis.tell(&["REPLICAOF", "127.0.0.1", "1"]).await),
            Self::Full => redis.set("maxmemory", "1").await,
        }
    }

    async fn end(self, redis: &mut Redis) {
        match self {
            Self::Paused => redis.go_on(),
            Self::Killed => redis.restart().await,
            Self::ReadOnly => redis.promote().await,
            Self::Full => redis.set("maxmemory", "0").await,
        }
    }
}

/// What was seen of it.
struct Seen {
    /// What acks of messages during the outage said.
    acks: Vec<Value>,
    /// What the member heard: gaps by their reason and messages by their payload.
    heard: Vec<String>,
    /// What history holds afterwards.
    history: Vec<Value>,
}

async fn survive(away: Away, sabotage: Option<Sabotage>) -> Seen {
    let mut redis = Redis::append_only("always").await;
    let node = Node::sabotaged(&redis, sabotage);
    let (mut member, mut publisher) = (Peer::joined(&node, "r:c").await, Peer::connect(&node).await);
    assert_eq!(publisher.publish("r:c", json!(1)).await["durability"], json!("redis_fsync"));
    away.begin(&mut redis).await;
    let mut acks = Vec::new();
    for n in 2..=4 {
        acks.push(publisher.publish("r:c", json!(n)).await["durability"].clone());
    }
    assert_eq!(publisher.ok("status", json!({})).await["storage"]["state"], json!("degraded"));
    away.end(&mut redis).await;
    let mut n = 4;
    eventually("acks as before", async || {
        n += 1;
        (publisher.publish("r:c", json!(n)).await["durability"] == json!("redis_fsync")).then_some(())
    })
    .await;
    publisher.publish("r:c", json!("end")).await;
    let mut heard = Vec::new();
    loop {
        let next = member.next().await;
        heard.push(if next["event"] == json!("gap") {
            next["data"]["reason"].as_str().expect("a reason").to_owned()
        } else {
            next["payload"].to_string()
        });
        if next["payload"] == json!("end") {
            break;
        }
    }
    healthy(&mut publisher).await;
    Seen { acks, heard, history: history(&node, "r:c").await }
}

/// What is wrong with it.
fn broken(Seen { acks, heard, history }: &Seen) -> Vec<String> {
    let mut broken = Vec::new();
    if acks.iter().any(|class| *class != "memory") {
        broken.push(format!("acks promised more than memory: {acks:?}"));
    }
    let at = |what: &str| heard.iter().position(|heard| heard == what);
    if at("degraded").is_none_or(|degraded| at("2").is_none_or(|second| degraded > second)) {
        broken.push(format!("the outage was not told before its first message: {heard:?}"));
    }
    if at("restored").is_none_or(|restored| at("4").is_none_or(|fourth| restored < fourth)) {
        broken.push(format!("the end of the outage was not told after its last message: {heard:?}"));
    }
    let expected: Vec<Value> = history.iter().filter_map(Value::as_u64).map(Value::from).collect();
    let last = expected.last().and_then(Value::as_u64).unwrap_or_default();
    if expected != (1..=last.max(5)).map(Value::from).collect::<Vec<_>>() {
        broken.push(format!("history is not whole and in order: {history:?}"));
    }
    broken
}

#[tokio::test]
async fn g12_a_redis_that_is_stopped_is_announced_and_healed() {
    assert_eq!(broken(&survive(Away::Paused, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g12_a_redis_that_is_killed_is_announced_and_healed() {
    assert_eq!(broken(&survive(Away::Killed, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g12_a_redis_that_became_a_replica_is_announced_and_healed() {
    assert_eq!(broken(&survive(Away::ReadOnly, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g12_a_redis_that_is_full_is_announced_and_healed() {
    assert_eq!(broken(&survive(Away::Full, None).await), [] as [String; 0]);
}

/// Whatever keeps Redis away, the same must be noticed.
async fn is_red(sabotage: Sabotage, ways: &[Away], notices: &[&str]) {
    for away in ways {
        let broken = broken(&survive(*away, Some(sabotage)).await);
        for notice in notices {
            assert!(broken.iter().any(|what| what.contains(notice)), "{away:?}: {broken:?}");
        }
    }
}

const WAYS: [Away; 4] = [Away::Paused, Away::Killed, Away::ReadOnly, Away::Full];

#[tokio::test]
async fn g12_is_red_where_the_outage_is_not_told() {
    is_red(Sabotage::DegradeSilently, &WAYS, &["was not told before"]).await;
}

#[tokio::test]
async fn g12_is_red_where_what_was_taken_is_not_given_to_redis() {
    is_red(Sabotage::ForgetOnOutage, &WAYS, &["not whole"]).await;
}

/// One that answers: what it did not take is certain.
#[tokio::test]
async fn g04_is_red_where_what_redis_refused_is_acknowledged() {
    is_red(Sabotage::AckUnwritten, &[Away::ReadOnly, Away::Full], &["promised more", "not whole"]).await;
}

#[tokio::test]
async fn g12_what_must_not_go_on_without_redis_is_refused_at_once() {
    let mut redis = Redis::start().await;
    let node = Node::with(&redis, None, |config| config.storage.redis.on_outage = OnOutage::Reject);
    let mut publisher = Peer::connect(&node).await;
    publisher.publish("r:c", json!(1)).await;
    redis.kill();
    let begun = now();
    let publish = json!({"type": "message", "room": "r", "channel": "c", "payload": 2, "ack": true});
    let answer = publisher.request(publish.clone()).await;
    // It may have been on its way before the connection was known to be lost.
    assert!([json!("storage_unavailable"), json!("outcome_unknown")].contains(&answer["error"]["code"]), "{answer}");
    // The promise has a time in it: a second, and what a busy machine adds.
    assert!((now() - begun).as_millis() < 3_000, "{:?}", now() - begun);
    let answer = within(std::time::Duration::from_secs(3), "an answer without a wait", publisher.request(publish)).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["retry"]), (&json!("storage_unavailable"), &json!("later")), "{answer}");
    redis.restart().await;
    eventually("a publish", async || {
        let answer = publisher.request(json!({"type": "message", "room": "r", "channel": "c", "payload": 3, "ack": true})).await;
        (answer["status"] == json!("ok")).then_some(())
    })
    .await;
}

/// As many wait for Redis as it is asked by several rounds of questions.
#[tokio::test]
async fn g12_what_must_not_go_on_without_redis_is_refused_at_once_behind_many_others() {
    const TOPICS: u32 = 1_500;
    let redis = Redis::start().await;
    let node = Node::with(&redis, None, |config| config.storage.redis.on_outage = OnOutage::Reject);
    let (mut publisher, mut reader) = (Peer::connect(&node).await, Peer::connect(&node).await);
    publisher.publish("r:c", json!(1)).await;
    for n in 0..TOPICS {
        publisher.publish(&format!("r:t{n}"), json!(n)).await;
    }
    redis.pause();
    for n in 0..TOPICS {
        let history = json!({"type": "command", "id": format!("h{n}"), "command": "history", "args": {"room": "r", "channel": format!("t{n}")}});
        reader.send(&history).await;
    }
    reader.send(&json!({"type": "message", "id": "p", "room": "r", "channel": "c", "payload": 2, "ack": true})).await;
    let begun = now();
    for _ in 0..=TOPICS {
        let answer = reader.next().await;
        assert_eq!(answer["status"], json!("error"), "{answer}");
    }
    // A second, and what a busy machine adds.
    assert!((now() - begun).as_millis() < 4_000, "{:?}", now() - begun);
    redis.go_on();
}

#[tokio::test]
async fn g12_a_publish_whose_outcome_is_unknown_is_not_refused() {
    let redis = Redis::start().await;
    let node = Node::with(&redis, None, |config| config.storage.redis.on_outage = OnOutage::Reject);
    let mut publisher = Peer::introduce(&node, json!({"user": "ada"})).await;
    publisher.publish("r:c", json!(1)).await;
    let publish = published_in_doubt(&redis, &mut publisher).await;
    redis.go_on();
    // Sent again: stored once, whether Redis had taken it or not.
    eventually("an answer", async || {
        let answer = publisher.request(publish.clone()).await;
        (answer["status"] == json!("ok")).then_some(())
    })
    .await;
    assert_eq!(history(&node, "r:c").await, [json!(1), publish["payload"].clone()]);
}

async fn healthy(peer: &mut Peer) {
    eventually("a bus that is well", async || (peer.ok("status", json!({})).await["storage"]["state"] == json!("healthy")).then_some(())).await;
}

/// Stops Redis, and publishes: gives a message that was on its way to it.
async fn published_in_doubt(redis: &Redis, publisher: &mut Peer) -> Value {
    for n in 2..12 {
        redis.pause();
        let publish = json!({"type": "message", "id": format!("m{n}"), "room": "r", "channel": "c", "payload": n, "ack": true});
        let answer = publisher.request(publish.clone()).await;
        if answer["error"]["code"] == json!("outcome_unknown") {
            return publish;
        }
        // On a busy machine it may come after the bus has found Redis silent: then it is certainly not stored, and must not be found later.
        assert_eq!(answer["error"]["code"], json!("storage_unavailable"), "{answer}");
        redis.go_on();
        healthy(publisher).await;
    }
    panic!("no message was under way when Redis stopped");
}

#[tokio::test]
async fn a_bus_starts_without_redis_where_it_may_and_joins_it_later() {
    let mut redis = Redis::append_only("always").await;
    redis.kill();
    let node = Node::with(&redis, None, |config| config.storage.redis.start_without = true);
    let mut member = eventually("a join", async || {
        let mut peer = Peer::connect(&node).await;
        let answer = peer.request(json!({"type": "command", "command": "join_channel", "args": {"room": "r", "channel": "c"}})).await;
        (answer["status"] == json!("ok")).then_some(peer)
    })
    .await;
    assert_eq!(member.publish("r:c", json!(1)).await["durability"], json!("memory"));
    assert_eq!(member.message().await["payload"], json!(1));
    redis.restart().await;
    let gap = member.event("gap").await;
    assert_eq!(gap["reason"], json!("restored"));
    assert_eq!(member.publish("r:c", json!(2)).await["durability"], json!("redis_fsync"));
    assert_eq!(member.message().await["payload"], json!(2));
    assert_eq!(history(&node, "r:c").await, [json!(1), json!(2)]);
}
