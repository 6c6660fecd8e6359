//! What the promises name a time for: a Redis that stands still for thirty seconds, and a minute of load on two nodes.

use std::time::Duration;

use arqonbus_server::sim::Sabotage;
use arqonbus_tests::checker::Fault;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Process, Reach, http};
use arqonbus_tests::run::Run;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{Node, all_are};
use crate::verdict::verdict;

/// What publishers rest between two windows: a load for a minute leaves room for the tests that run beside it.
const REST: Duration = Duration::from_millis(400);

/// How long two nodes are loaded: a minute, or as the variable says, in seconds.
fn load_seconds() -> u64 {
    std::env::var("ARQONBUS_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60)
}

/// Eight publishers, and fifty subscribers on each of two nodes.
async fn two_nodes_under_load(seconds: u64) -> Vec<String> {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let run = Run::steady(&[a.address(), b.address()], 8, 100, REST).await;
    sleep(Duration::from_secs(seconds)).await;
    verdict(run, &b).await
}

/// Redis stands still for so many seconds, and at least until both nodes have gone on without it.
pub(crate) async fn stopped_under_load(seconds: u64, sabotage: Option<Sabotage>) -> Vec<String> {
    let redis = Redis::start().await;
    let (a, b) = (Node::sabotaged(&redis, sabotage), Process::start(&format!("[history]\nmessages = 100000\n{}", redis.lines())));
    let nodes = [a.address(), b.address()];
    let run = Run::steady(&nodes, 4, 8, REST).await;
    run.reached(100).await;
    all_tell("healthy", &b).await;
    run.note(Fault::Outage);
    redis.pause();
    all_are("degraded", &nodes).await;
    all_tell("degraded", &b).await;
    for _ in 0..seconds.max(1) {
        // Everybody goes on without it, and whoever operates the bus sees why.
        assert_eq!(told(&b).await, ["degraded"; 3]);
        run.more(1).await;
        sleep(Duration::from_secs(1)).await;
    }
    run.more(100).await;
    redis.go_on();
    all_are("healthy", &nodes).await;
    all_tell("healthy", &b).await;
    run.more(100).await;
    verdict(run, &a).await
}

async fn all_tell(state: &str, node: &Process) {
    eventually(state, async || (told(node).await == [state; 3]).then_some(())).await;
}

/// How the store is by `status`, by the probe for readiness, and by the metrics. A process that is not well lives and takes clients all the same.
async fn told(node: &Process) -> [String; 3] {
    let status = Peer::connect(node).await.ok("status", json!({})).await;
    let probe = async |path: &str| {
        let answer = http::fetch(node.admin(), path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    };
    probe("/health").await;
    let ready: Value = serde_json::from_str(&probe("/ready").await).expect("JSON");
    let metrics = probe("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("arqonbus_storage_state{state=\"")?.strip_suffix("\"} 1"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    [text(&status["storage"]["state"]), text(&ready["storage"]), line.unwrap_or_default().to_owned()]
}

/// Both at once: neither needs much of the machine, and the other tests wait for a place beside them.
#[tokio::test]
async fn g01_g12_a_minute_of_load_and_thirty_seconds_without_redis_lose_nothing() {
    let (loaded, stopped) = tokio::join!(two_nodes_under_load(load_seconds()), stopped_under_load(30, None));
    assert_eq!(loaded, [] as [String; 0], "two nodes with fifty subscribers each");
    assert_eq!(stopped, [] as [String; 0], "a Redis that stands still");
}
