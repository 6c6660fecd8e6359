//! By what a log is known to be the one that this server wrote (G6, G7, G10): what the functions remember of their server, and what a node tells them
//! where they may not ask.

use arqonbus_protocol::Position;
use arqonbus_server::config::OnOutage;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::position;
use arqonbus_tests::harness::redis::Redis;
use redis::Value as Told;
use serde_json::{Value, json};

use super::faults::{Loss, broken, leave_behind, server, suffer_on, take_over};
use super::{Node, history};

/// Publishes under an id of its own until Redis has it.
async fn publish(bus: &Node, n: u32) -> Position {
    let mut peer = Peer::connect(bus).await;
    let envelope = json!({"type": "message", "id": format!("m{n}"), "room": "r", "channel": "c", "payload": n, "ack": true});
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
    assert_eq!(history(&node, "r:c").await, [json!(1), json!(2), json!(3)]);
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
    assert_eq!(history(&node, "r:c").await, [json!(1), json!(2), json!(3)]);
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
    let listed = format!("{:?}", replica.tell(&["FUNCTION", "LIST"]).await);
    let (_, rest) = listed.split_once("arqonbus_heads_").expect("the primary's functions");
    let name = format!("arqonbus_heads_{}", &rest[..12]);
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

/// Lets a server refuse its functions to ask for INFO, as some that are run by others do.
async fn forbid_info(redis: &Redis) {
    let node = Node::of(redis);
    Peer::connect(&node).await.publish("some:topic", json!(1)).await;
    node.stop().await;
    let code = code(redis).await;
    let changed = code.replace("'INFO', 'replication'", "'CONFIG', 'GET', 'save'");
    assert_ne!(changed, code, "there is a question to be refused");
    redis.tell(&["FUNCTION", "LOAD", "REPLACE", &changed]).await;
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
        forbid_info(&redis).await;
        let node = Node::of(&redis);
        assert_eq!(broken(&suffer_on(&mut redis, &node, loss).await), [] as [String; 0], "{loss:?}");
        assert!(!code(&redis).await.contains("'INFO', 'replication'"), "they were those that may not ask");
    }
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_guide_sees_a_failover_too() {
    let mut redis = Redis::start().await;
    forbid_info(&redis).await;
    let rules = ["~arqonbus:*", "~{arqonbus:*", "&arqonbus:*", "&{arqonbus:*", "+@all", "-@dangerous", "+info", "+config|get"];
    redis.tell(&[&["ACL", "SETUSER", "bus", "on", ">hunter2"], &rules[..]].concat()).await;
    let node = Node::with(&redis, None, |config| {
        config.storage.redis.username = "bus".into();
        config.storage.redis.password = "hunter2".to_owned().into();
    });
    assert_eq!(broken(&suffer_on(&mut redis, &node, Loss::Failover).await), [] as [String; 0]);
}
