//! Work groups whose members are on several nodes (spec 006): who gets what, and what becomes of it when members, nodes or Redis fail.

use arqonbus_server::config::Config;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::{position, topic_args};
use arqonbus_tests::harness::redis::{Cluster, Redis};
use arqonbus_tests::harness::{Peer, Process, Reach};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::Node;

pub(super) const TOPIC: &str = "jobs:mail";

/// Long enough that nothing comes back by it while a test waits.
fn patient(config: &mut Config) {
    config.groups.ack_timeout_ms = 600_000;
}

pub(super) async fn worker(bus: &impl Reach, more: Value) -> Peer {
    let mut peer = Peer::connect(bus).await;
    let mut args = json!({"group": "g"});
    args.as_object_mut().expect("members").extend(more.as_object().expect("members").clone());
    peer.ok("join_channel", topic_args(TOPIC, args)).await;
    peer
}

pub(super) fn settling(job: &Value) -> Value {
    let at = position(job);
    topic_args(TOPIC, json!({"group": "g", "epoch": at.epoch, "seqs": [at.seq]}))
}

/// Seq, payload and delivery of a job.
fn told(job: &Value) -> (u64, Value, u64) {
    (job["seq"].as_u64().expect("a seq"), job["payload"].clone(), job["delivery"].as_u64().expect("a count"))
}

/// So many seconds of Redis' own.
pub(super) async fn pass(redis: &Redis, seconds: u64) {
    let uptime = async || redis.info("uptime_in_seconds").await.trim().parse::<u64>().expect("seconds");
    let begun = uptime().await;
    eventually("some seconds of Redis", async || (uptime().await >= begun + seconds).then_some(())).await;
}

/// Jobs that are pending, and those that are still to come, as a node knows it.
async fn standing(peer: &mut Peer) -> (u64, u64) {
    let info = peer.ok("channel_info", topic_args(TOPIC, json!({}))).await;
    (info["groups"][0]["pending"].as_u64().expect("a count"), info["groups"][0]["lag"].as_u64().expect("a count"))
}

#[tokio::test]
async fn each_job_goes_to_one_member_on_one_node_and_no_member_has_more_than_it_asked_for() {
    let redis = Redis::start().await;
    let (a, b) = (Node::with(&redis, None, patient), Node::with(&redis, None, patient));
    let mut workers = [worker(&a, json!({"max_in_flight": 2})).await, worker(&b, json!({"max_in_flight": 3})).await];
    let (mut publisher, mut listener) = (Peer::connect(&a).await, Peer::joined(&b, TOPIC).await);
    for n in 1..=40 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    assert_eq!(listener.payloads(40).await, (1..=40).map(|n| json!(n)).collect::<Vec<_>>(), "others hear all of it");
    let mut held: Vec<Vec<Value>> = vec![Vec::new(), Vec::new()];
    for (worker, (room, held)) in workers.iter_mut().zip([2, 3].into_iter().zip(&mut held)) {
        for _ in 0..room {
            held.push(worker.message().await);
        }
        worker.settle().await;
        assert!(worker.already().await.is_none(), "and no more than there is room for");
    }
    let mut done: Vec<(u64, Value, u64)> = Vec::new();
    while done.len() < 40 {
        for (worker, held) in workers.iter_mut().zip(&mut held) {
            for job in std::mem::take(held) {
                worker.ok("ack", settling(&job)).await;
                done.push(told(&job));
            }
            let left = 40 - done.len();
            while let Some(job) = if left > 0 { worker.already().await } else { None } {
                held.push(job);
            }
        }
    }
    done.sort_by_key(|(seq, ..)| *seq);
    assert_eq!(done, (1..=40).map(|n| (n, json!(n), 1)).collect::<Vec<_>>());
    // By every node, whoever of them has worked.
    for bus in [&a, &b] {
        let mut observer = Peer::connect(bus).await;
        eventually("nothing left", async || {
            let info = observer.ok("channel_info", topic_args(TOPIC, json!({}))).await;
            (info["groups"] == json!([{"group": "g", "members": 2, "pending": 0, "lag": 0}])).then_some(())
        })
        .await;
    }
}

/// A member on one node holds a job and is gone. What the member on another node hears before a message that is published afterwards.
async fn part(sabotage: Option<Sabotage>, leaves: bool) -> Vec<(u64, Value, u64)> {
    let redis = Redis::start().await;
    let (a, b) = (Node::with(&redis, sabotage, patient), Node::with(&redis, None, patient));
    let mut first = worker(&a, json!({})).await;
    let mut publisher = Peer::connect(&b).await;
    publisher.publish(TOPIC, json!("work")).await;
    assert_eq!(told(&first.message().await), (1, json!("work"), 1));
    let mut second = worker(&b, json!({})).await;
    if leaves {
        first.ok("leave_channel", topic_args(TOPIC, json!({"group": "g"}))).await;
    } else {
        drop(first);
        eventually("a member less", async || (publisher.ok("members", topic_args(TOPIC, json!({}))).await["total"] == json!(1)).then_some(())).await;
    }
    let mut heard = Vec::new();
    if sabotage.is_none() {
        heard.push(told(&second.message().await));
    }
    publisher.publish(TOPIC, json!("next")).await;
    heard.push(told(&second.message().await));
    heard
}

#[tokio::test]
async fn what_a_member_that_leaves_or_is_lost_held_goes_to_another_node_at_once() {
    for leaves in [true, false] {
        assert_eq!(part(None, leaves).await, [(1, json!("work"), 2), (2, json!("next"), 1)]);
    }
}

#[tokio::test]
async fn it_is_red_where_the_jobs_of_the_gone_are_lost() {
    assert_eq!(part(Some(Sabotage::LoseJobsOfTheDead), true).await, [(2, json!("next"), 1)]);
}

#[tokio::test]
async fn what_is_settled_on_one_node_makes_room_on_another() {
    let redis = Redis::start().await;
    let bounded = |config: &mut Config| {
        patient(config);
        config.limits.group_pending = 2;
        // Only a notice brings the word in time.
        config.storage.redis.head_check_ms = 600_000;
    };
    let (a, b) = (Node::with(&redis, None, bounded), Node::with(&redis, None, bounded));
    let mut first = worker(&a, json!({"max_in_flight": 2})).await;
    let mut publisher = Peer::connect(&b).await;
    for n in 1..=4 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    let held = [first.message().await, first.message().await];
    let mut second = worker(&b, json!({})).await;
    // From now on the first has room for one, which it holds: what its ack makes room for is the other's.
    first.ok("join_channel", topic_args(TOPIC, json!({"group": "g", "max_in_flight": 1}))).await;
    first.ok("ack", settling(&held[0])).await;
    assert_eq!(told(&second.message().await), (3, json!(3), 1));
}

/// What the members of two nodes are given after one of them acknowledged a job and both left.
async fn acked(sabotage: Option<Sabotage>) -> Vec<(u64, Value, u64)> {
    let redis = Redis::start().await;
    let (a, b) = (Node::with(&redis, sabotage, patient), Node::with(&redis, sabotage, patient));
    let mut first = worker(&a, json!({"max_in_flight": 1})).await;
    let mut publisher = Peer::connect(&b).await;
    for n in 1..=2 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    let job = first.message().await;
    first.ok("ack", settling(&job)).await;
    first.ok("leave_channel", topic_args(TOPIC, json!({"group": "g"}))).await;
    let mut second = worker(&b, json!({})).await;
    publisher.publish(TOPIC, json!("end")).await;
    let mut heard = Vec::new();
    loop {
        let job = second.message().await;
        if job["payload"] == json!("end") {
            return heard;
        }
        heard.push(told(&job));
    }
}

#[tokio::test]
async fn what_is_acknowledged_is_given_to_nobody_on_any_node() {
    let heard = acked(None).await;
    assert!(heard.iter().all(|(seq, ..)| *seq == 2), "{heard:?}");
}

#[tokio::test]
async fn it_is_red_where_an_ack_is_forgotten() {
    let heard = acked(Some(Sabotage::ForgetAcks)).await;
    assert!(heard.iter().any(|(seq, ..)| *seq == 1), "{heard:?}");
}

fn process(redis: &Redis, ack_timeout_ms: u64) -> Process {
    Process::start(&format!("{}[groups]\nack_timeout_ms = {ack_timeout_ms}\n", redis.lines()))
}

#[tokio::test]
async fn what_a_node_that_is_killed_had_given_out_comes_back_by_the_time_out_on_another() {
    let redis = Redis::start().await;
    let (doomed, b) = (process(&redis, 1_500), Node::with(&redis, None, |config| config.groups.ack_timeout_ms = 1_500));
    let mut first = worker(&doomed, json!({})).await;
    let mut publisher = Peer::connect(&b).await;
    for n in 1..=3 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    for n in 1..=3 {
        assert_eq!(told(&first.message().await), (n, json!(n), 1));
    }
    let mut second = worker(&b, json!({})).await;
    doomed.kill();
    for n in 1..=3 {
        let job = second.message().await;
        assert_eq!(told(&job), (n, json!(n), 2));
        second.ok("ack", settling(&job)).await;
    }
    assert_eq!(standing(&mut publisher).await, (0, 0));
}

#[tokio::test]
async fn a_node_that_stood_still_has_lost_its_jobs_and_its_members_get_others() {
    let redis = Redis::start().await;
    let (still, b) = (process(&redis, 1_000), Node::with(&redis, None, |config| config.groups.ack_timeout_ms = 1_000));
    let mut first = worker(&still, json!({"max_in_flight": 1})).await;
    let mut publisher = Peer::connect(&b).await;
    publisher.publish(TOPIC, json!("work")).await;
    let job = first.message().await;
    still.signal(Signal::STOP);
    let mut second = worker(&b, json!({"max_in_flight": 1})).await;
    let again = second.message().await;
    assert_eq!(told(&again), (1, json!("work"), 2));
    second.ok("ack", settling(&again)).await;
    still.signal(Signal::CONT);
    assert_eq!(first.refused("ack", settling(&job)).await, "not_held", "it is done by another");
    second.ok("leave_channel", topic_args(TOPIC, json!({"group": "g"}))).await;
    publisher.publish(TOPIC, json!("next")).await;
    assert_eq!(first.message().await["payload"], json!("next"), "it has room again");
}

#[tokio::test]
async fn a_group_outlives_its_nodes() {
    let redis = Redis::start().await;
    let a = Node::of(&redis);
    let mut first = worker(&a, json!({"max_in_flight": 1})).await;
    for n in 1..=3 {
        first.publish(TOPIC, json!(n)).await;
    }
    let job = first.message().await;
    first.ok("ack", settling(&job)).await;
    first.message().await;
    drop(first);
    a.stop().await;
    let b = Node::of(&redis);
    let mut second = Peer::connect(&b).await;
    let joined = second.ok("join_channel", topic_args(TOPIC, json!({"group": "g", "replay": 9}))).await;
    assert_eq!((&joined["group"]["created"], &joined["topics"][0]["start"]["seq"]), (&json!(false), &json!(2)), "it is as it was: {joined}");
    let mut heard = vec![told(&second.message().await), told(&second.message().await)];
    heard.sort_by_key(|(seq, ..)| *seq);
    assert_eq!(heard, [(2, json!(2), 2), (3, json!(3), 1)]);
}

#[tokio::test]
async fn a_dead_letter_is_stored_once_whichever_node_gives_the_job_up() {
    let redis = Redis::start().await;
    let strict = |config: &mut Config| {
        patient(config);
        config.groups.deliveries_max = 2;
    };
    let (a, b) = (Node::with(&redis, None, strict), Node::with(&redis, None, strict));
    let mut morgue = Peer::joined(&b, "jobs:mail.dead").await;
    let (mut first, mut second) = (worker(&a, json!({})).await, worker(&b, json!({})).await);
    let mut publisher = Peer::connect(&a).await;
    for n in 0..6 {
        publisher.request(json!({"type": "message", "id": format!("m{n}"), "room": "jobs", "channel": "mail", "payload": n, "ack": true})).await;
    }
    let mut tries = 0;
    while tries < 12 {
        for worker in [&mut first, &mut second] {
            while let Some(job) = worker.already().await {
                worker.ok("nack", settling(&job)).await;
                tries += 1;
            }
        }
    }
    let mut letters = morgue.payloads(6).await;
    letters.sort_by_key(Value::as_u64);
    assert_eq!(letters, (0..6).map(|n| json!(n)).collect::<Vec<_>>());
    eventually("all settled", async || (standing(&mut publisher).await == (0, 0)).then_some(())).await;
    morgue.settle().await;
    assert!(morgue.already().await.is_none(), "each once");
}

#[tokio::test]
async fn a_deleted_channel_takes_its_groups_with_it_on_every_node() {
    let redis = Redis::start().await;
    let (a, b) = (Node::with(&redis, None, patient), Node::with(&redis, None, patient));
    let (mut first, mut second) = (worker(&a, json!({})).await, worker(&b, json!({})).await);
    first.publish(TOPIC, json!(1)).await;
    first.ok("delete_channel", topic_args(TOPIC, json!({}))).await;
    while second.next().await["event"] != json!("deleted") {}
    let joined = second.ok("join_channel", topic_args(TOPIC, json!({"group": "g"}))).await;
    assert_eq!((&joined["group"]["created"], &joined["group"]["pending"]), (&json!(true), &json!(0)), "{joined}");
    second.publish(TOPIC, json!(2)).await;
    assert_eq!(second.message().await["payload"], json!(2));
    assert_eq!(
        redis.tell(&["KEYS", "*:group:*:jobs"]).await,
        redis::Value::Array(vec![redis::Value::BulkString(b"{arqonbus:room:jobs:channel:mail}:group:g:jobs".to_vec())])
    );
}

#[tokio::test]
async fn a_group_is_forgotten_where_no_node_has_members_and_not_before() {
    let redis = Redis::start().await;
    let forgetful = |config: &mut Config| {
        patient(config);
        config.groups.forget_ms = 1_000;
    };
    let (a, b) = (Node::with(&redis, None, forgetful), Node::with(&redis, None, forgetful));
    let (mut first, second) = (worker(&a, json!({})).await, worker(&b, json!({})).await);
    let mut observer = Peer::connect(&b).await;
    drop(second);
    // By then the node without members has let go of it; the one with a member keeps it.
    pass(&redis, 4).await;
    let held = async || redis.tell(&["EXISTS", "{arqonbus:room:jobs:channel:mail}:group:g"]).await == redis::Value::Int(1);
    assert!(held().await, "somebody works there");
    observer.publish(TOPIC, json!("work")).await;
    assert_eq!(first.message().await["payload"], json!("work"));
    drop(first);
    eventually("a group that is forgotten", async || (!held().await).then_some(())).await;
}

#[tokio::test]
async fn on_a_cluster_groups_of_all_slots_are_shared() {
    let cluster = Cluster::start().await;
    let node = || {
        arqonbus_tests::harness::Server::with(|config| {
            config.storage.kind = arqonbus_server::config::StorageKind::Redis;
            config.storage.redis = cluster.config();
            config.groups.deliveries_max = 1;
        })
    };
    let (a, b) = (node(), node());
    let topics: Vec<String> = (0..6).map(|n| format!("r:c{n}")).collect();
    let (mut first, mut second, mut publisher) = (Peer::connect(&a).await, Peer::connect(&b).await, Peer::connect(&a).await);
    for topic in &topics {
        first.ok("join_channel", topic_args(topic, json!({"group": "g", "max_in_flight": 1}))).await;
        second.ok("join_channel", topic_args(topic, json!({"group": "g", "max_in_flight": 1}))).await;
    }
    let settling = |job: &Value| {
        let at = position(job);
        json!({"room": job["room"], "channel": job["channel"], "group": "g", "epoch": at.epoch, "seqs": [at.seq]})
    };
    for topic in &topics {
        for n in 1..=2 {
            publisher.publish(topic, json!(n)).await;
        }
    }
    for _ in &topics {
        let (here, there) = (first.message().await, second.message().await);
        first.ok("ack", settling(&here)).await;
        let mut dead = settling(&there);
        dead["dead"] = json!(true);
        second.ok("nack", dead).await;
    }
    for topic in &topics {
        let dead = async || super::history(&b, &format!("{topic}.dead")).await.len();
        let is_known = async |peer: &mut Peer| {
            let args = topic_args(&format!("{topic}.dead"), json!({}));
            peer.request(json!({"type": "command", "command": "channel_info", "args": args})).await["status"] == json!("ok")
        };
        eventually("a dead letter in another slot", async || (is_known(&mut publisher).await && dead().await == 1).then_some(())).await;
    }
}
