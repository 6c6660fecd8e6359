//! Several nodes on one Redis are one bus for whatever lives in connections. The names of the requirements are those of specs/003-redis/nodes.md.
//!
//! Each scene is played as it should be, and with a mechanism of one node taken away: then its own assertion must fail.

mod life;
mod lists;
mod messages;
mod topics;
mod ways;

use std::future::Future;
use std::time::Duration;

use arqonbus_server::config;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::{PATIENCE, eventually};
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::node::Node;

/// A node on this Redis.
fn node(redis: &config::Redis, broken: Option<Sabotage>) -> Node {
    Node::by(redis.clone(), broken, |_| {})
}

/// So many nodes on this Redis, that all know each other.
async fn nodes<const N: usize>(redis: &config::Redis, broken: [Option<Sabotage>; N]) -> [Node; N] {
    let nodes = broken.map(|broken| node(redis, broken));
    know_each_other(&nodes, &broken).await;
    nodes
}

/// Waits until nodes know each other. One that breaks a promise may not say so; the others, whom it has answered, do.
async fn know_each_other<const N: usize>(nodes: &[Node; N], broken: &[Option<Sabotage>; N]) {
    for (node, _) in nodes.iter().zip(broken).filter(|(_, broken)| broken.is_none()) {
        know(node, N).await;
    }
}

/// Waits until a node knows of so many, itself included.
async fn know(node: &impl Reach, count: usize) {
    let mut peer = Peer::connect(node).await;
    eventually("nodes that know each other", async || {
        let nodes = peer.ok("status", json!({})).await["nodes"].as_array().map(Vec::len);
        (nodes == Some(count)).then_some(())
    })
    .await;
    peer.close().await;
}

/// A Redis whose nodes often give signs of life, and their configuration; a machine that is busy makes none of them seem dead.
async fn quick_redis() -> (Redis, config::Redis) {
    let redis = Redis::start().await;
    let config = config::Redis { node_heartbeat_ms: 100, node_dead_ms: 10_000, ..redis.config() };
    (redis, config)
}

fn to(to: &str, payload: &str) -> Value {
    json!({"type": "message", "to": to, "payload": payload, "ack": true})
}

/// The next presence event that is not about the watcher itself: which, who, how many. None where there is none in time.
async fn presence(watcher: &mut Peer, time: Duration) -> Option<(String, String, u64)> {
    loop {
        let event = timeout(time, watcher.next()).await.ok()?;
        assert_eq!(event["type"], "event", "{event}");
        let (who, members) = (event["data"]["client"].as_str().expect("a client"), event["data"]["members"].as_u64().expect("a count"));
        if who != watcher.client {
            return Some((event["event"].as_str().expect("an event").to_owned(), who.to_owned(), members));
        }
    }
}

/// The payloads of the next messages: so many, or fewer where they do not come in time.
async fn heard(peer: &mut Peer, count: usize, time: Duration) -> Vec<Value> {
    let mut payloads = Vec::new();
    while payloads.len() < count
        && let Ok(message) = timeout(time, peer.message()).await
    {
        payloads.push(message["payload"].clone());
    }
    payloads
}

/// Whether something becomes true in time.
async fn comes_true(time: Duration, mut is_true: impl AsyncFnMut() -> bool) -> bool {
    timeout(time, eventually("it comes true", async || is_true().await.then_some(()))).await.is_ok()
}

/// How long is waited for what has to come: not as long where a promise is broken, and it is not to come.
fn patience(broken: &[Option<Sabotage>]) -> Duration {
    // The clock of whoever waits at most so long stops before its own patience does.
    if broken.iter().any(Option::is_some) { Duration::from_secs(6) } else { PATIENCE - Duration::from_secs(1) }
}

/// Plays a scene whose bus breaks a promise; gives what its assertion says.
async fn red(scene: impl Future<Output = ()> + 'static) -> String {
    let local = LocalSet::new();
    let Err(failed) = local.run_until(async { spawn_local(scene).await }).await else { return "nothing".to_owned() };
    let panic = failed.into_panic();
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// The assertion that failed is the one that is about the promise.
fn says(said: &str, what: &str) {
    assert!(said.contains(what), "{what:?} was to be said, and was not: {said}");
}

/// These wait for what does not come, and so are played at once.
#[tokio::test]
async fn n06_n09_n10_n12_are_red_where_other_nodes_are_not_told() {
    let mute = Some(Sabotage::TellNoNode);
    let (broadcasts, presence, identity, patterns) = tokio::join!(
        red(messages::broadcasts([mute, None])),
        red(lists::comings_and_goings([None, mute])),
        red(lists::a_client_moves([None, mute])),
        red(topics::patterns([None, mute])),
    );
    says(&broadcasts, "each broadcast once");
    says(&presence, "who comes and goes is told");
    says(&identity, "whoever resumes elsewhere leaves here");
    says(&patterns, "all of the new one");
}
