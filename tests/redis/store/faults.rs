//! What Redis may do to its data, and what the bus then says (G4, G6, G9, G10). Each scenario is run as it should be, and with the mechanism
//! taken away that keeps the promise.

use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::{message, position};
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::{Value, json};

use super::{Node, history};

/// Something that Redis' data suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A replica that lacks the last messages takes over.
    Failover,
    /// Everything is deleted.
    Flush,
    /// It restarts from a snapshot that lacks the last messages.
    Snapshot,
    /// It restarts and has lost nothing.
    Restart,
}

/// What a member, and somebody who comes back, saw of it.
pub(super) struct Seen {
    /// The gap that the live member was told, where it was before the next message.
    gap: Option<Value>,
    /// Positions that it was given, of the messages before and after.
    positions: Vec<arqonbus_protocol::Position>,
    /// The gap told to one who comes back with a position of before.
    resumed: Option<Value>,
    /// Payloads that history holds in the end.
    history: Vec<Value>,
}

/// A server that can suffer it.
pub(super) async fn server(loss: Loss) -> Redis {
    let lines: &[&str] = if loss == Loss::Restart { &["save \"\"", "appendonly yes", "appendfsync always"] } else { &["save \"\""] };
    Redis::with(lines).await
}

async fn suffer(loss: Loss, sabotage: Option<Sabotage>) -> Seen {
    let mut redis = server(loss).await;
    let node = Node::sabotaged(&redis, sabotage);
    suffer_on(&mut redis, &node, loss).await
}

/// Publishes three messages, two more that Redis loses, one more, and a few that mark the end.
pub(super) async fn suffer_on(redis: &mut Redis, node: &Node, loss: Loss) -> Seen {
    let (mut member, mut publisher) = (Peer::joined(node, "r:c").await, Peer::connect(node).await);
    let mut positions = Vec::new();
    for n in 1..=3 {
        positions.push(publisher.publish_at("r:c", json!(n)).await);
    }
    let replica = if loss == Loss::Failover { Some(Redis::replica_of(redis).await) } else { None };
    match (&replica, loss) {
        (Some(replica), _) => leave_behind(redis, replica).await,
        (None, Loss::Snapshot) => drop(redis.tell(&["SAVE"]).await),
        (None, _) => {}
    }
    for n in 4..=5 {
        positions.push(publisher.publish_at("r:c", json!(n)).await);
    }
    member.payloads(5).await;
    match (&replica, loss) {
        (Some(replica), _) => take_over(redis, replica).await,
        (None, Loss::Flush) => redis.flush_all().await,
        (None, _) => redis.restart().await,
    }
    let sixth = eventually("a publish after it", async || {
        let answer = publisher.request(json!({"type": "message", "room": "r", "channel": "c", "payload": 6, "ack": true, "id": "six"})).await;
        (answer["result"]["durability"] != json!("memory") && answer["status"] == json!("ok")).then(|| answer["result"].clone())
    })
    .await;
    positions.push(position(&sixth));
    for _ in 0..3 {
        publisher.publish("r:c", json!("end")).await;
    }
    let mut seen = Seen { gap: None, positions, resumed: None, history: Vec::new() };
    loop {
        let next = member.next().await;
        if next["event"] == json!("gap") && next["data"]["reason"] == json!("epoch_changed") {
            seen.gap.get_or_insert(next);
        } else if next["payload"] == json!("end") {
            break;
        }
    }
    let mut back = Peer::connect(node).await;
    back.join_with("r:c", json!({"since": seen.positions[4]})).await;
    let next = back.next().await;
    seen.resumed = (next["event"] == json!("gap")).then_some(next);
    seen.history = history(node, "r:c").await;
    seen
}

/// The replica has everything up to here, and nothing that follows.
pub(super) async fn leave_behind(redis: &Redis, replica: &Redis) {
    let offset = async |server: &Redis| server.info("master_repl_offset").await;
    eventually("a replica that has everything", async || (offset(replica).await == offset(redis).await).then_some(())).await;
    replica.promote().await;
}

/// The server at the bus' address becomes what the replica is: it has lost what came after.
pub(super) async fn take_over(redis: &Redis, replica: &Redis) {
    redis.demote(replica).await;
    redis.in_sync().await;
    redis.promote().await;
}

/// What is wrong with what was seen.
pub(super) fn broken(seen: &Seen) -> Vec<String> {
    let mut broken = Vec::new();
    if seen.gap.is_none() {
        broken.push("a live member was not told".to_owned());
    }
    if seen.resumed.as_ref().is_none_or(|gap| gap["data"]["reason"] != json!("epoch_changed")) {
        broken.push(format!("one who came back was told that it missed nothing: {:?}", seen.resumed));
    }
    for (at, position) in seen.positions.iter().enumerate() {
        if seen.positions[..at].contains(position) {
            broken.push(format!("{position:?} was given twice"));
        }
    }
    for n in 1..=6 {
        if seen.history.iter().filter(|payload| **payload == json!(n)).count() != 1 {
            broken.push(format!("{n} is not in the history once: {:?}", seen.history));
        }
    }
    broken
}

#[tokio::test]
async fn g04_g10_a_failover_to_a_replica_that_lags_is_announced_and_what_was_acknowledged_is_put_back() {
    assert_eq!(broken(&suffer(Loss::Failover, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g04_g10_flushall_is_announced_and_what_was_acknowledged_is_put_back() {
    assert_eq!(broken(&suffer(Loss::Flush, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g04_g10_a_restart_from_an_older_snapshot_is_announced_and_what_was_acknowledged_is_put_back() {
    assert_eq!(broken(&suffer(Loss::Snapshot, None).await), [] as [String; 0]);
}

#[tokio::test]
async fn g04_g10_a_restart_with_everything_is_announced_and_loses_nothing() {
    assert_eq!(broken(&suffer(Loss::Restart, None).await), [] as [String; 0]);
}

/// Acknowledged, lost, and the bus has gone on without Redis before it found out.
async fn lose_in_an_outage(sabotage: Option<Sabotage>) -> Vec<Value> {
    let mut redis = server(Loss::Snapshot).await;
    let node = Node::sabotaged(&redis, sabotage);
    let mut publisher = Peer::connect(&node).await;
    publisher.publish("r:c", json!(1)).await;
    redis.tell(&["SAVE"]).await;
    for n in 2..=3 {
        assert_eq!(publisher.publish("r:c", json!(n)).await["durability"], json!("redis"));
    }
    redis.kill();
    assert_eq!(publisher.publish("r:c", json!(4)).await["durability"], json!("memory"));
    redis.restart().await;
    super::all_are("healthy", &[node.address()]).await;
    history(&node, "r:c").await
}

#[tokio::test]
async fn g04_g12_what_redis_lost_is_put_back_in_front_of_what_was_taken_meanwhile() {
    assert_eq!(lose_in_an_outage(None).await, [json!(1), json!(2), json!(3), json!(4)]);
}

#[tokio::test]
async fn g04_is_red_where_what_redis_lost_in_an_outage_is_not_put_back() {
    assert_eq!(lose_in_an_outage(Some(Sabotage::ForgetOnOutage)).await, [json!(1)]);
}

#[tokio::test]
async fn g10_is_red_where_the_incarnation_is_not_looked_at() {
    let broken = broken(&suffer(Loss::Failover, Some(Sabotage::IgnoreIncarnation)).await);
    assert!(broken.iter().any(|what| what.contains("was not told")), "{broken:?}");
    assert!(broken.iter().any(|what| what.contains("given twice")), "the seqs of the lost messages are issued again: {broken:?}");
}

#[tokio::test]
async fn g10_is_red_where_a_new_epoch_is_not_told() {
    for loss in [Loss::Flush, Loss::Snapshot, Loss::Restart] {
        let broken = broken(&suffer(loss, Some(Sabotage::NoEpochGap)).await);
        assert!(broken.iter().any(|what| what.contains("was not told")), "{loss:?}: {broken:?}");
    }
}

#[tokio::test]
async fn g04_is_red_where_what_redis_lost_is_not_put_back() {
    for loss in [Loss::Failover, Loss::Flush, Loss::Snapshot] {
        let broken = broken(&suffer(loss, Some(Sabotage::ForgetOnOutage)).await);
        assert!(broken.iter().any(|what| what.contains("not in the history once")), "{loss:?}: {broken:?}");
    }
}

#[tokio::test]
async fn g04_acks_say_what_holds_now_where_redis_is_configured_anew() {
    let redis = Redis::append_only("always").await;
    let node = Node::with(&redis, None, |config| config.storage.redis.head_check_ms = 600_000);
    let mut publisher = Peer::connect(&node).await;
    for (name, value, class) in [
        ("appendfsync", "everysec", "redis"),
        ("appendfsync", "always", "redis_fsync"),
        ("no-appendfsync-on-rewrite", "yes", "redis"),
        ("no-appendfsync-on-rewrite", "no", "redis_fsync"),
        ("appendonly", "no", "redis"),
        ("appendonly", "yes", "redis_fsync"),
    ] {
        redis.set(name, value).await;
        eventually(&format!("{name} {value}"), async || (publisher.publish("r:c", json!(1)).await["durability"] == json!(class)).then_some(())).await;
    }
}

#[tokio::test]
async fn g04_where_replicas_must_have_it_an_ack_says_that_they_do() {
    let redis = Redis::start().await;
    let replica = Redis::replica_of(&redis).await;
    let node = Node::with(&redis, None, |config| {
        (config.storage.redis.wait_replicas, config.storage.redis.wait_ms) = (1, 400);
    });
    let mut publisher = Peer::connect(&node).await;
    // A busy machine may take longer than the wait: then the outcome is unknown, and the same id is sent again.
    let acked = async |publisher: &mut Peer, n: u32| {
        let publish = json!({"type": "message", "id": format!("m{n}"), "room": "r", "channel": "c", "payload": n, "ack": true});
        eventually("an ack", async || (publisher.request(publish.clone()).await["result"]["durability"] == json!("redis")).then_some(())).await;
    };
    acked(&mut publisher, 1).await;
    let held = async |server: &Redis| server.info("db0").await;
    assert_eq!(held(&redis).await.split(',').next(), held(&replica).await.split(',').next(), "the replica has it by then");
    replica.pause();
    let answer = publisher.request(json!({"type": "message", "id": "m2", "room": "r", "channel": "c", "payload": 2, "ack": true})).await;
    assert_eq!(answer["error"]["code"], json!("outcome_unknown"), "stored, and not as it should be: {answer}");
    replica.go_on();
    acked(&mut publisher, 3).await;
    assert_eq!(history(&node, "r:c").await, [json!(1), json!(2), json!(3)]);
}

/// Each shard waits by itself: the waits do not add up to an outage, and who asks for something else does not wait.
#[tokio::test]
async fn a_replica_that_stands_still_holds_up_nobody_but_those_who_need_it() {
    let redis = Redis::start().await;
    let replica = Redis::replica_of(&redis).await;
    let node = Node::with(&redis, None, |config| {
        config.shards = 4;
        config.storage.redis.wait_replicas = 1;
    });
    let mut publisher = Peer::connect(&node).await;
    let topics: Vec<String> = (0..24).map(|n| format!("r:c{n}")).collect();
    let mut round = 0;
    // A busy machine may need longer for once: it would be an outage, and an ack say that it is kept in memory.
    let mut publish = async || {
        round += 1;
        for topic in &topics {
            let mut publish = message(topic, json!(round));
            publish["id"] = json!(format!("{}-{round}", &topic[2..]));
            publisher.send(&publish).await;
        }
        let mut answers = Vec::new();
        for topic in &topics {
            answers.push(publisher.response(&format!("{}-{round}", &topic[2..])).await);
        }
        answers
    };
    eventually("all acknowledged", async || publish().await.iter().all(|answer| answer["result"]["durability"] == json!("redis")).then_some(()))
        .await;
    replica.pause();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers = publish().await;
        if answers.iter().all(|answer| answer["error"]["code"] == json!("outcome_unknown")) {
            return;
        }
    }
    panic!("{answers:?}");
}
