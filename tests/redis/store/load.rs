//! Publishers and subscribers on two nodes, through faults, with the history checker (G1–G3, G6–G10, G13, G21).

use std::collections::BTreeSet;
use std::time::Duration;

use arqonbus_server::sim::Sabotage;
use arqonbus_tests::checker::{Fault, Recorder, What, assert_kept, check};
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Process, Reach};
use arqonbus_tests::run::Run;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Node, history};

/// How long two nodes are loaded: ten seconds, or as the variable says, in seconds.
fn load_time() -> Duration {
    let seconds = std::env::var("ARQONBUS_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// Every acknowledged message is in the history, once.
fn assert_all_there(recorder: &Recorder, held: &[Value]) {
    let mut there = BTreeSet::new();
    for payload in held {
        let key = format!("p{}.{}", payload["from"], payload["number"]);
        assert!(there.insert(key.clone()), "{key} is in the history twice");
    }
    let lost: Vec<_> = (recorder.history().iter())
        .filter_map(|seen| if let What::Ok { id, .. } = seen.what { Some(id.to_string()) } else { None })
        .filter(|id| !there.contains(id))
        .collect();
    assert!(lost.is_empty(), "{} acknowledged messages are lost: {:?}", lost.len(), &lost[..lost.len().min(10)]);
}

#[tokio::test]
async fn g01_two_nodes_with_fifty_subscribers_each_see_one_order() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    // So many messages as take about that long where there is nothing else to do; the checker wants an end that everybody reaches.
    let count = 100 * usize::try_from(load_time().as_secs()).expect("seconds");
    let run = Run::among(&[a.address(), b.address()], 8, 100, count).await;
    let recorder = run.finish(&a).await;
    assert_kept(&recorder.history());
    assert_all_there(&recorder, &history(&b, "a:b").await);
}

#[tokio::test]
async fn g21_a_feed_that_is_cut_under_load_loses_nothing_and_makes_no_gap() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let run = Run::among(&[a.address(), b.address()], 4, 8, 400).await;
    for cut in 1..=6 {
        run.reached(cut * 200).await;
        redis.cut("pubsub").await;
    }
    run.check(&a).await;
}

#[tokio::test]
async fn g09_connections_to_redis_that_are_cut_under_load_lose_and_repeat_nothing() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let run = Run::among(&[a.address(), b.address()], 4, 8, 400).await;
    for cut in 1..=6 {
        run.reached(cut * 200).await;
        redis.cut("normal").await;
    }
    let recorder = run.finish(&a).await;
    assert_kept(&recorder.history());
    assert_all_there(&recorder, &history(&b, "a:b").await);
}

/// Two nodes that lose a hundredth of the notices; what is wrong with what everybody saw.
async fn with_lost_notices(sabotage: Sabotage) -> Result<(), String> {
    let redis = Redis::start().await;
    let (a, b) = (Node::sabotaged(&redis, Some(sabotage)), Node::sabotaged(&redis, Some(sabotage)));
    let run = Run::among(&[a.address(), b.address()], 4, 8, 500).await;
    let recorder = run.finish(&a).await;
    match check(&recorder.history()).first() {
        None => Ok(()),
        Some(violation) => Err(format!("{violation:?}")),
    }
}

#[tokio::test]
async fn g21_notices_that_are_lost_are_found_and_filled() {
    assert_eq!(with_lost_notices(Sabotage::DropNotices).await, Ok(()));
}

#[tokio::test]
async fn g21_is_red_where_nobody_looks_for_what_is_missing() {
    // Whoever waits for what does not come fails where it waits.
    let local = tokio::task::LocalSet::new();
    let outcome = local.run_until(async { tokio::task::spawn_local(with_lost_notices(Sabotage::DropNoticesForGood)).await }).await;
    assert!(!matches!(outcome, Ok(Ok(()))));
}

#[tokio::test]
async fn g04_what_was_acknowledged_by_fsync_survives_redis_killed_under_load() {
    let mut redis = Redis::append_only("always").await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let run = Run::among(&[a.address(), b.address()], 4, 8, 300).await;
    for kill in 1..=3 {
        run.reached(kill * 250).await;
        run.note(Fault::Outage);
        redis.kill();
        redis.restart().await;
    }
    let recorder = run.finish(&a).await;
    assert_kept(&recorder.history());
    // What was taken in memory is given back before the bus is well.
    eventually("a bus that is well", async || {
        let mut healthy = 0;
        for node in [&a, &b] {
            let status = arqonbus_tests::harness::Peer::connect(node).await.ok("status", json!({})).await;
            healthy += u32::from(status["storage"]["state"] == json!("healthy"));
        }
        (healthy == 2).then_some(())
    })
    .await;
    assert_all_there(&recorder, &history(&b, "a:b").await);
}

#[tokio::test]
async fn g12_redis_that_is_stopped_under_load_loses_nothing() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let run = Run::among(&[a.address(), b.address()], 4, 8, 400).await;
    run.reached(200).await;
    run.note(Fault::Outage);
    redis.pause();
    // Everybody goes on without it.
    run.reached(500).await;
    redis.go_on();
    let recorder = run.finish(&a).await;
    assert_kept(&recorder.history());
    assert_all_there(&recorder, &history(&b, "a:b").await);
}

#[tokio::test]
async fn g13_a_node_that_is_killed_is_nobody_elses_matter_and_its_clients_go_on_elsewhere() {
    let redis = Redis::start().await;
    let lines = format!("[history]\nmessages = 100000\n{}backoff_min_ms = 5\nhead_check_ms = 1000\n", redis.lines());
    let stays = Node::of(&redis);
    let mut dies = Process::start(&format!("shards = 2\n{lines}"));
    let address = dies.address();
    let run = Run::among(&[stays.address(), address], 4, 8, 400).await;
    for kill in 1..=5 {
        run.reached(kill * 250).await;
        dies.signal(Signal::KILL);
        drop(dies);
        dies = Process::at(&address.to_string(), &format!("shards = 2\n{lines}"));
    }
    let recorder = run.finish(&stays).await;
    // No gap is justified: all of it is in Redis.
    assert_kept(&recorder.history());
    assert_all_there(&recorder, &history(&stays, "a:b").await);
}
