//! Redis is there, and does not do what it is asked: said, and not passed over in memory.

use arqonbus_server::config;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::Reach;
use arqonbus_tests::harness::redis::Redis;
use serde_json::json;

use super::{Node, all_are, history};

fn login(redis: &Redis, user: &str, password: &str) -> config::Redis {
    config::Redis { username: user.into(), password: password.to_owned().into(), ..redis.config() }
}

/// The state of a node's store does not go to and fro while functions may not be called.
async fn stays_degraded(node: &Node) {
    all_are("degraded", &[node.address()]).await;
    let mut peer = Peer::connect(node).await;
    for _ in 0..50 {
        assert_eq!(peer.ok("status", json!({})).await["storage"]["state"], json!("degraded"));
    }
}

#[tokio::test]
async fn g12_a_user_who_may_not_call_functions_any_more_is_an_outage_until_it_may() {
    let redis = Redis::for_user("bus", "pw", "~* &* +@all").await;
    let node = Node::by(login(&redis, "bus", "pw"), None, |_| {});
    let mut publisher = Peer::connect(&node).await;
    publisher.publish("r:c", json!(1)).await;
    redis.tell(&["ACL", "SETUSER", "bus", "-fcall"]).await;
    assert_eq!(publisher.publish("r:c", json!(2)).await["durability"], json!("memory"));
    stays_degraded(&node).await;
    redis.tell(&["ACL", "SETUSER", "bus", "+fcall"]).await;
    all_are("healthy", &[node.address()]).await;
    assert_eq!(history(&node, "r:c").await, [json!(1), json!(2)]);
}

#[tokio::test]
async fn g12_a_redis_without_functions_is_an_outage() {
    let redis = Redis::with(&["save \"\"", "rename-command FUNCTION \"\""]).await;
    let node = Node::of(&redis);
    assert_eq!(Peer::connect(&node).await.publish("r:c", json!(1)).await["durability"], json!("memory"));
    stays_degraded(&node).await;
}

/// Somebody else wrote to its keys.
#[tokio::test]
async fn a_topic_whose_log_cannot_be_read_is_refused_and_the_others_are_served() {
    let redis = Redis::start().await;
    for key in ["{arqonbus:room:r:channel:stream}", "{arqonbus:room:r:channel:meta}:meta"] {
        redis.tell(&["SET", key, "x"]).await;
    }
    let node = Node::of(&redis);
    let mut peer = Peer::connect(&node).await;
    for channel in ["stream", "meta"] {
        let answer = peer.request(json!({"type": "message", "room": "r", "channel": channel, "payload": 1, "ack": true})).await;
        assert_eq!(answer["error"]["code"], json!("storage_unavailable"), "{answer}");
        let join = peer.request(json!({"type": "command", "command": "join_channel", "args": {"room": "r", "channel": channel}})).await;
        assert_eq!(join["error"]["code"], json!("storage_unavailable"), "{join}");
    }
    assert_eq!(peer.publish("r:c", json!(1)).await["durability"], json!("redis"));
    redis.tell(&["DEL", "{arqonbus:room:r:channel:stream}"]).await;
    assert_eq!(peer.publish("r:stream", json!(2)).await["durability"], json!("redis"));
}

/// One that hears no notices, so that what is missing is found by looking only; among what it looks at is a log that cannot be read.
#[tokio::test]
async fn g21_a_log_that_cannot_be_read_does_not_hide_what_is_missing_of_others() {
    let redis = Redis::for_user("deaf", "pw", "~* resetchannels +@all").await;
    let deaf = Node::by(login(&redis, "deaf", "pw"), None, |config| config.storage.redis.head_check_ms = 200);
    let other = Node::by(login(&redis, "harness", "harness"), None, |_| {});
    let mut member = Peer::joined(&deaf, "r:good").await;
    member.publish("r:bad", json!(1)).await;
    redis.tell(&["SET", "{arqonbus:room:r:channel:bad}", "x"]).await;
    Peer::connect(&other).await.publish("r:good", json!(2)).await;
    assert_eq!(member.message().await["payload"], json!(2));
}

/// A deletion that another node has not heard of when it publishes next: the new log must not be taken for one that Redis has lost.
#[tokio::test]
async fn what_a_client_has_deleted_does_not_come_back_from_another_node() {
    let redis = Redis::for_user("deaf", "pw", "~* resetchannels +@all").await;
    let deaf = Node::by(login(&redis, "deaf", "pw"), None, |config| config.storage.redis.head_check_ms = 600_000);
    let other = Node::by(login(&redis, "harness", "harness"), None, |_| {});
    let (mut publisher, mut admin) = (Peer::connect(&deaf).await, Peer::connect(&other).await);
    for n in 1..=3 {
        publisher.publish("r:c", json!(n)).await;
    }
    admin.ok("join_channel", json!({"room": "r", "channel": "c"})).await;
    admin.request(json!({"type": "command", "command": "delete_channel", "args": {"room": "r", "channel": "c"}})).await;
    for n in 4..=6 {
        publisher.publish("r:c", json!(n)).await;
    }
    assert_eq!(history(&other, "r:c").await, [json!(4), json!(5), json!(6)]);
}
