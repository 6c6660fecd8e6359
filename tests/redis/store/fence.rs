//! By what a log is known to be the one that this server wrote (G6, G7, G10): what the functions remember of their server, and what a node tells them
//! where they may not ask.

use arqonbus_protocol::Position;
use arqonbus_server::config::{self, OnOutage};
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::{message, position};
use arqonbus_tests::harness::redis::{Cluster, Redis};
use redis::{Value as Told, from_redis_value};
use serde_json::{Value, json};

use super::faults::{Loss, broken, leave_behind, server, suffer_on, take_over};
use super::{Node, history};

/// Publishes under an id of its own until Redis has it.
async fn publish(bus: &Node, n: u32) -> Position {
    publish_to("r:c", bus, n).await
}

async fn publish_to(topic: &str, bus: &Node, n: u32) -> Position {
    let mut peer = Peer::connect(bus).await;
    let mut envelope = message(topic, json!(n));
    envelope["id"] = json!(format!("m{n}"));
    let kept = eventually("an ack of Redis", async || {
        let answer = peer.request(envelope.clone()).await;
        (answer["result"]["durability"] == json!("redis")).then(|| answer["result"].clone())
    });
    position(&kept.await)
}

/// What somebody is told first who comes back with this position.
async fn resume(bus: &Node, since: Position) -> Value {
    let mut peer = Peer::connect(bus).await;
    peer.join_with("r:c", json!({"since": since})).await;
    peer.next().await
}

/// Hands the part of the primary over, with everything that was written.
async fn hand_over(from: &Redis, to: &Redis) {
    let port = to.port().to_string();
    eventually("a replica that is known", async || from.ask(&["FAILOVER", "TO", "127.0.0.1", &port]).await.ok()).await;
    eventually("the new primary", async || (to.info("role").await == "master").then_some(())).await;
    from.in_sync().await;
    assert_ne!(to.info("sync_partial_ok").await, "0", "it has not been given everything anew");
}

/// Waits until the history is this. A node that takes the change of primary for an outage has it again once that is over.
async fn holds(bus: &Node, payloads: &[u32]) {
    let expected: Vec<Value> = payloads.iter().map(|n| json!(n)).collect();
    eventually("the whole history", async || (history(bus, "r:c").await == expected).then_some(())).await;
}

fn are_distinct(positions: &[Position]) -> bool {
    positions.iter().enumerate().all(|(at, position)| !positions[..at].contains(position))
}

#[tokio::test]
async fn g07_the_first_replica_of_a_server_is_no_gap() {
    let redis = Redis::start().await;
    let node = Node::of(&redis);
    let before = publish(&node, 1).await;
    let name = redis.info("master_replid").await;
    let _replica = Redis::replica_of(&redis).await;
    assert_ne!(redis.info("master_replid").await, name, "the server took another name");
    let after = publish(&node, 2).await;
    assert_eq!((after.epoch, after.seq), (before.epoch, 2));
    assert_eq!(resume(&node, before).await["payload"], json!(2));
    // Functions that are loaded anew know only the new name: once, and not at every turn.
    redis.tell(&["FUNCTION", "FLUSH"]).await;
    let (anew, then) = (publish(&node, 3).await, publish(&node, 4).await);
    assert_ne!(anew.epoch, before.epoch);
    assert_eq!(then.epoch, anew.epoch);
}

#[tokio::test]
async fn g06_g07_a_server_that_was_a_replica_for_a_while_and_missed_nothing_goes_on() {
    let redis = Redis::start().await;
    let node = Node::of(&redis);
    let first = publish(&node, 1).await;
    let other = Redis::replica_of(&redis).await;
    for n in 2..=3 {
        hand_over(&redis, &other).await;
        hand_over(&other, &redis).await;
        let next = publish(&node, n).await;
        assert_eq!((next.epoch, next.seq), (first.epoch, u64::from(n)));
    }
    holds(&node, &[1, 2, 3]).await;
}

#[tokio::test]
async fn g06_g10_what_another_primary_wrote_meanwhile_is_another_epoch() {
    let redis = Redis::start().await;
    let node = Node::of(&redis);
    let mut positions = vec![publish(&node, 1).await];
    let other = Redis::replica_of(&redis).await;
    hand_over(&redis, &other).await;
    let there = Node::of(&other);
    positions.push(publish(&there, 2).await);
    hand_over(&other, &redis).await;
    positions.push(publish(&node, 3).await);
    assert!(are_distinct(&positions), "{positions:?}");
    assert_ne!(positions[0].epoch, positions[1].epoch, "each primary begins its own");
    assert_ne!(positions[1].epoch, positions[2].epoch);
    for before in &positions[..2] {
        assert_eq!(resume(&node, *before).await["data"]["reason"], json!("epoch_changed"));
    }
    holds(&node, &[1, 2, 3]).await;
}

#[tokio::test]
async fn g06_g10_of_two_primaries_at_once_none_goes_on_with_what_the_other_lost() {
    let redis = Redis::start().await;
    let node = Node::of(&redis);
    let mut positions = vec![publish(&node, 1).await];
    let other = Redis::replica_of(&redis).await;
    leave_behind(&redis, &other).await;
    let there = Node::of(&other);
    for n in [2, 4] {
        positions.push(publish(&node, n).await);
        positions.push(publish(&there, n + 1).await);
    }
    take_over(&redis, &other).await;
    positions.push(publish(&node, 6).await);
    assert!(are_distinct(&positions), "{positions:?}");
    assert_ne!(positions[1].epoch, positions[5].epoch, "it has lost 2 and 4 for 3 and 5");
    assert_eq!(resume(&node, positions[3]).await["data"]["reason"], json!("epoch_changed"));
    // And once more, from the other side.
    take_over(&other, &redis).await;
    positions.push(publish(&there, 7).await);
    assert!(are_distinct(&positions), "{positions:?}");
}

#[tokio::test]
async fn a_replica_that_can_be_written_writes_no_log() {
    let redis = Redis::start().await;
    let node = Node::of(&redis);
    publish(&node, 1).await;
    let replica = Redis::replica_of(&redis).await;
    replica.set("replica-read-only", "no").await;
    let name = function(&replica, "heads").await;
    let words = [name.as_str(), "4", "{x}", "{x}:meta", "{x}:ids:0", "{x}:ids:1", "", "", "1", "1,1,1,1,1,1", ""];
    let refused = replica.ask(&[&["FCALL"], &words[..]].concat()).await.expect_err("it is a replica");
    assert!(refused.contains("a replica is no incarnation"), "{refused}");
}

#[tokio::test]
async fn a_log_of_another_format_is_neither_read_nor_written() {
    let redis = Redis::start().await;
    let node = Node::with(&redis, None, |config| config.storage.redis.on_outage = OnOutage::Reject);
    let mut peer = Peer::connect(&node).await;
    let meta = "{arqonbus:room:r:channel:c}:meta";
    let other = format!("\u{2}{}", "\0".repeat(82));
    for set in [&["SET", meta, other.as_str()][..], &["HSET", meta, "head", "7"]] {
        redis.tell(&["DEL", meta]).await;
        redis.tell(set).await;
        let dump = redis.tell(&["DEBUG", "DIGEST-VALUE", meta]).await;
        let refused = peer.request(json!({"type": "message", "room": "r", "channel": "c", "payload": 1, "ack": true})).await;
        assert_eq!(refused["error"]["code"], json!("storage_unavailable"), "{refused}");
        assert_eq!(redis.tell(&["DEBUG", "DIGEST-VALUE", meta]).await, dump, "it is as it was");
    }
}

/// Lets servers refuse their functions to ask for INFO, as some that are run by others do.
async fn forbid_info(bus: config::Redis, servers: &[Redis]) {
    let node = Node::by(bus, None, |_| {});
    Peer::connect(&node).await.publish("some:topic", json!(1)).await;
    node.stop().await;
    for server in servers {
        let code = code(server).await;
        let changed = code.replace("'INFO', 'replication'", "'CONFIG', 'GET', 'save'");
        assert_ne!(changed, code, "there is a question to be refused");
        server.tell(&["FUNCTION", "LOAD", "REPLACE", &changed]).await;
    }
}

fn may_ask(code: &str) -> bool {
    code.contains("'INFO', 'replication'")
}

/// Makes the user whom the guide tells of, and gives a way to Redis as that one.
async fn as_user(config: config::Redis, servers: impl Iterator<Item = &Redis>) -> config::Redis {
    let rules = ["~arqonbus:*", "~{arqonbus:*", "&arqonbus:*", "&{arqonbus:*", "+@all", "-@dangerous", "+info", "+config|get"];
    for server in servers {
        server.tell(&[&["ACL", "SETUSER", "bus", "on", ">hunter2"], &rules[..]].concat()).await;
    }
    config::Redis { username: "bus".into(), password: "hunter2".to_owned().into(), ..config }
}

/// What a function is called there.
async fn function(redis: &Redis, name: &str) -> String {
    let listed = format!("{:?}", redis.tell(&["FUNCTION", "LIST"]).await);
    let (_, rest) = listed.split_once(&format!("arqonbus_{name}_")).expect("the bus has told it");
    format!("arqonbus_{name}_{}", &rest[..12])
}

/// The text of the functions that a server has.
async fn code(redis: &Redis) -> String {
    let mut code = None;
    find_code(&redis.tell(&["FUNCTION", "LIST", "WITHCODE"]).await, &mut code);
    code.expect("the functions")
}

fn find_code(value: &Told, code: &mut Option<String>) {
    if let Told::Array(values) = value {
        values.iter().for_each(|value| find_code(value, code));
    } else if let Told::Map(pairs) = value {
        pairs.iter().for_each(|(_, value)| find_code(value, code));
    } else if let Told::BulkString(text) = value
        && text.starts_with(b"#!lua")
    {
        *code = String::from_utf8(text.clone()).ok();
    } else if let Told::VerbatimString { text, .. } = value
        && text.starts_with("#!lua")
    {
        *code = Some(text.clone());
    }
}

#[tokio::test]
async fn g04_g10_where_functions_may_not_ask_the_node_tells_them() {
    for loss in [Loss::Failover, Loss::Flush, Loss::Snapshot, Loss::Restart] {
        let mut redis = server(loss).await;
        forbid_info(redis.config(), std::slice::from_ref(&redis)).await;
        let node = Node::of(&redis);
        assert_eq!(broken(&suffer_on(&mut redis, &node, loss).await), [] as [String; 0], "{loss:?}");
        assert!(!may_ask(&code(&redis).await), "they were those that may not ask");
    }
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_guide_sees_a_failover_too() {
    let mut redis = Redis::start().await;
    forbid_info(redis.config(), std::slice::from_ref(&redis)).await;
    let way = as_user(redis.config(), std::iter::once(&redis)).await;
    let node = Node::with(&redis, None, |config| config.storage.redis = way);
    assert_eq!(broken(&suffer_on(&mut redis, &node, Loss::Failover).await), [] as [String; 0]);
}

/// A cluster's client may ask two servers where one was meant: what the one says of itself is not believed by the other.
#[tokio::test]
async fn g10_no_server_believes_what_was_said_to_another() {
    let servers = [Redis::start().await, Redis::start().await];
    let mut marks = Vec::new();
    for server in &servers {
        publish(&Node::of(server), 1).await;
        let mark: String = from_redis_value(server.tell(&["FCALL", &function(server, "mark").await, "0", "same"]).await).expect("a mark");
        marks.push(mark);
    }
    let [here, _] = &servers;
    let vouch = function(here, "vouch").await;
    let refused = here.ask(&["FCALL", &vouch, "0", &marks[1], "token"]).await.expect_err("it is another's");
    assert!(refused.contains("not what was marked"), "{refused}");
    here.tell(&["FCALL", &vouch, "0", &marks[0], "token"]).await;
}

/// Each server of a cluster is asked and told by itself, and a replica that takes over without the latest messages goes on as nobody else.
#[tokio::test]
async fn g04_g10_in_a_cluster_where_functions_may_not_ask_the_node_tells_each_server() {
    let mut cluster = Cluster::with_replicas().await;
    forbid_info(cluster.config(), &cluster.nodes).await;
    let way = as_user(cluster.config(), cluster.nodes.iter().chain(&cluster.replicas)).await;
    let node = Node::by(way, None, |config| config.storage.redis.on_outage = OnOutage::Reject);
    let topics: Vec<String> = (0..12).map(|n| format!("r:c{n}")).collect();
    let lost = cluster.keeper(&topics[0]).await;
    let mut before = Vec::new();
    for topic in &topics {
        before.push(publish_to(topic, &node, 1).await);
    }
    cluster.leave_behind(lost).await;
    let unknown_there = publish_to(&topics[0], &node, 2).await;
    assert_eq!((unknown_there.epoch, unknown_there.seq), (before[0].epoch, 2));
    let mut member = Peer::connect(&node).await;
    member.join(&topics[0]).await;
    cluster.fail_over(lost).await;
    for (topic, before) in topics.iter().zip(&before) {
        let after = publish_to(topic, &node, 3).await;
        let is_of_another = cluster.keeper(topic).await == lost;
        assert_eq!(after.epoch != before.epoch, is_of_another, "{topic}: {before:?}, {after:?}");
    }
    assert_eq!(member.next().await["data"]["reason"], json!("epoch_changed"));
    let mut back = Peer::connect(&node).await;
    back.join_with(&topics[0], json!({"since": unknown_there})).await;
    assert_eq!(back.next().await["data"]["reason"], json!("epoch_changed"));
    let mut history = history(&node, &topics[0]).await;
    history.sort_by_key(Value::as_u64);
    assert_eq!(history, [json!(1), json!(2), json!(3)], "what was acknowledged was put back");
    for server in cluster.nodes.iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, server)| server).chain([&cluster.replicas[lost]]) {
        assert!(!may_ask(&code(server).await), "they were those that may not ask");
    }
}
