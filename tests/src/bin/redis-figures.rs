//! Measures the bus on Redis: what a publish costs Redis beside a plain two-key script, rates, the way between nodes, healing, and work groups.
//!
//! `cargo run --release -p arqonbus-tests --bin redis-figures` for all, `… --bin redis-figures groups` for work groups only.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use arqonbus_server::config::StorageKind;
use arqonbus_tests::harness::clock::{eventually, now};
use arqonbus_tests::harness::peer::message;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Server};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

/// Publishes of one measurement, at a depth of 256; fewer where fewer are in flight.
const PUBLISHES: usize = 40_000;
/// Rounds; each measures both sides, one after the other.
const ROUNDS: usize = 3;
/// What a bus without batches would do for a message that is kept, counted and announced.
const TWO_KEYS: &str = "redis.call('HINCRBY', KEYS[1], 'seq', 1) \
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'd', ARGV[1]) \
    redis.call('PUBLISH', KEYS[3], ARGV[1]) return 1";

/// Jobs of one measurement, and how many one member may hold and acknowledges together.
const JOBS: usize = 20_000;
const JOBS_HELD: usize = 256;
const JOBS_ACKED: usize = 64;
/// Nodes of one measurement at most.
const NODES_MAX: usize = 2;

#[tokio::main]
async fn main() {
    if std::env::args().nth(1).as_deref() != Some("groups") {
        publishes_and_healing().await;
    }
    println!("\n| work groups, one member a node | jobs/s | µs of Redis for each job |\n|---|---|---|");
    println!("| in memory | {:.0} | – |", jobs(&[Server::with(|config| config.history.messages = JOBS as u64)]).await);
    for nodes in 1..=NODES_MAX {
        let redis = Redis::start().await;
        let nodes: Vec<Server> = (0..nodes).map(|_| node(&redis)).collect();
        prepare(&nodes).await;
        let before = cpu(&redis).await;
        let rate = work_off(&nodes).await;
        println!("| {} on Redis | {rate:.0} | {:.1} |", nodes.len(), (cpu(&redis).await - before) * 1e6 / JOBS as f64);
    }
}

async fn publishes_and_healing() {
    println!(
        "| publishes in flight | two-key script, µs of Redis | the bus, µs of Redis | publishes per call | publishes per Redis CPU-second, ratio |"
    );
    println!("|---|---|---|---|---|");
    for depth in [1, 16, 256] {
        costs(depth).await;
    }
    println!("\n| | acked publishes/s, 256 in flight each |\n|---|---|");
    println!("| one node | {:.0} |", rate(1).await);
    println!("| two nodes, one topic | {:.0} |", rate(2).await);
    let (here, there) = latencies().await;
    println!("\n| median from publish to delivery | µs |\n|---|---|");
    println!("| on the same node | {here} |\n| on another node | {there} |\n| added | {} |", there.saturating_sub(here));
    println!("\n| from Redis' return to healed, 1,000 messages taken meanwhile | {} ms |\n|---|---|", healing().await.as_millis());
}

fn node(redis: &Redis) -> Server {
    Server::with(|config| {
        config.storage.kind = StorageKind::Redis;
        config.storage.redis = redis.config();
        config.history.messages = JOBS as u64;
    })
}

async fn jobs(nodes: &[Server]) -> f64 {
    prepare(nodes).await;
    work_off(nodes).await
}

/// Begins a group, and publishes what it is to do.
async fn prepare(nodes: &[Server]) {
    let mut peer = Peer::connect(&nodes[0]).await;
    peer.ok("join_channel", json!({"room": "load", "channel": "jobs", "group": "g"})).await;
    peer.close().await;
    publish(&nodes[0], "load:jobs", 256, JOBS).await;
}

/// Jobs a second, from the first member's join to the last ack.
async fn work_off(nodes: &[Server]) -> f64 {
    let done = Arc::new(AtomicUsize::new(0));
    let mut members = Vec::new();
    for bus in nodes {
        members.push(Peer::connect(bus).await);
    }
    let begun = now();
    let mut working = tokio::task::JoinSet::new();
    for peer in members {
        working.spawn(work(peer, Arc::clone(&done)));
    }
    eventually("all jobs done", async || (done.load(Relaxed) >= JOBS).then_some(())).await;
    let rate = JOBS as f64 / (now() - begun).as_secs_f64();
    working.shutdown().await;
    rate
}

/// Acknowledges what it is given, many at a time.
async fn work(mut peer: Peer, done: Arc<AtomicUsize>) {
    peer.ok("join_channel", json!({"room": "load", "channel": "jobs", "group": "g", "max_in_flight": JOBS_HELD})).await;
    let (mut seqs, mut epoch) = (Vec::new(), String::new());
    while let Ok(text) = peer.next_text().await {
        let member = |name: &str| text.split_once(name).map(|(_, rest)| rest);
        if let Some(settled) = member("\"settled\":") {
            let count = settled.split(|other: char| !other.is_ascii_digit()).next().and_then(|count| count.parse().ok());
            done.fetch_add(count.unwrap_or(0), Relaxed);
            continue;
        }
        let Some(seq) = member("\"seq\":").and_then(|rest| rest.split(',').next()) else { continue };
        if epoch.is_empty() {
            epoch = member("\"epoch\":\"").and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned();
        }
        seqs.push(seq.to_owned());
        // The last ones are fewer.
        if seqs.len() == JOBS_ACKED || done.load(Relaxed) + 2 * NODES_MAX * JOBS_HELD >= JOBS {
            let list = std::mem::take(&mut seqs).join(",");
            let args = format!(r#"{{"room":"load","channel":"jobs","group":"g","epoch":"{epoch}","seqs":[{list}]}}"#);
            peer.send_text(&format!(r#"{{"type":"command","id":"a","command":"ack","args":{args}}}"#)).await;
        }
    }
}

/// Seconds of CPU that Redis has used.
async fn cpu(redis: &Redis) -> f64 {
    let part = async |name: &str| redis.info(name).await.trim().parse::<f64>().expect("seconds");
    part("used_cpu_user").await + part("used_cpu_sys").await
}

/// Calls of functions that Redis has taken.
async fn calls(redis: &Redis) -> f64 {
    let statistics = redis.info("cmdstat_fcall").await;
    let calls = statistics.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
    calls.expect("a count").parse().expect("a number")
}

fn publishes(depth: usize) -> usize {
    if depth == 1 { PUBLISHES / 16 } else { PUBLISHES }
}

async fn costs(depth: usize) {
    let redis = Redis::start().await;
    let bus = node(&redis);
    // The functions are loaded by then.
    publish(&bus, "load:one", 1, 1).await;
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let count = publishes(depth);
        let before = cpu(&redis).await;
        two_keys(&redis, depth, count).await;
        let (between, called) = (cpu(&redis).await, calls(&redis).await);
        publish(&bus, "load:one", depth, count).await;
        let after = cpu(&redis).await;
        let each = |seconds: f64| seconds * 1e6 / count as f64;
        if round > 0 {
            rounds.push((each(between - before), each(after - between), count as f64 / (calls(&redis).await - called)));
        }
    }
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (two, ours, together) = rounds[rounds.len() / 2];
    println!("| {depth} | {two:.2} | {ours:.2} | {together:.1} | {:.2} |", two / ours);
}

/// Runs the script so often, with so many under way on one connection.
async fn two_keys(redis: &Redis, depth: usize, count: usize) {
    let client = redis::Client::open(redis.url()).expect("an address");
    // On a busy machine an answer may take longer than it would wait by default.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patient).await.expect("a connection");
    let payload = message("load:one", json!("x".repeat(256))).to_string();
    let tasks: Vec<_> = (0..depth).map(|_| tokio::spawn(run_script(connection.clone(), payload.clone(), count / depth))).collect();
    for task in tasks {
        task.await.expect("the script runs");
    }
}

async fn run_script(mut connection: MultiplexedConnection, payload: String, count: usize) {
    let script = redis::Script::new(TWO_KEYS);
    for _ in 0..count {
        let done: redis::RedisResult<i64> = script.key("two:meta").key("two:log").key("two:feed").arg(&payload).invoke_async(&mut connection).await;
        done.expect("the script runs");
    }
}

/// Publishes so often with so many unacknowledged, and waits for the last ack.
async fn publish(bus: &Server, topic: &str, depth: usize, count: usize) {
    let mut peer = Peer::connect(bus).await;
    let mut envelope = message(topic, json!("x".repeat(256)));
    envelope["ack"] = json!(true);
    let text = envelope.to_string();
    for _ in 0..depth.min(count) {
        peer.send_text(&text).await;
    }
    for acked in 0..count {
        let answer = peer.next_text().await.expect("an ack");
        assert!(answer.contains("\"ok\""), "{answer}");
        if acked + depth < count {
            peer.send_text(&text).await;
        }
    }
}

/// Acknowledged publishes a second through so many nodes, to one topic.
async fn rate(nodes: usize) -> f64 {
    let redis = Redis::start().await;
    let nodes: Vec<Server> = (0..nodes).map(|_| node(&redis)).collect();
    let begun = now();
    let mut publishing = tokio::task::JoinSet::new();
    let count = PUBLISHES / nodes.len();
    let all = nodes.len() * count;
    for bus in nodes {
        publishing.spawn(async move {
            publish(&bus, "load:one", 256, count).await;
            bus
        });
    }
    publishing.join_all().await;
    all as f64 / (now() - begun).as_secs_f64()
}

/// Medians in microseconds, from the send of a publish to its delivery on the same node and on another.
async fn latencies() -> (u128, u128) {
    let redis = Redis::start().await;
    let (a, b) = (node(&redis), node(&redis));
    let (mut publisher, mut here, mut there) = (Peer::connect(&a).await, Peer::joined(&a, "load:one").await, Peer::joined(&b, "load:one").await);
    let text = message("load:one", json!("x".repeat(256))).to_string();
    let (mut on_same, mut on_other) = (Vec::new(), Vec::new());
    for _ in 0..1_000 {
        let sent = now();
        publisher.send_text(&text).await;
        let heard = async |peer: &mut Peer| {
            peer.message().await;
            (now() - sent).as_micros()
        };
        let (same, other) = tokio::join!(heard(&mut here), heard(&mut there));
        on_same.push(same);
        on_other.push(other);
    }
    on_same.sort_unstable();
    on_other.sort_unstable();
    (on_same[500], on_other[500])
}

/// From the first answer of a Redis that was away until everything taken meanwhile is in it.
async fn healing() -> Duration {
    let mut redis = Redis::append_only("everysec").await;
    let bus = node(&redis);
    let mut peer = Peer::connect(&bus).await;
    peer.publish("load:one", json!(0)).await;
    redis.kill();
    publish(&bus, "load:one", 64, 1_000).await;
    redis.restart().await;
    let back = now();
    eventually("a bus that is well", async || {
        let status: Value = peer.ok("status", json!({})).await;
        (status["storage"]["state"] == json!("healthy")).then_some(())
    })
    .await;
    now() - back
}
