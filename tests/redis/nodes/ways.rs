//! Every way to Redis carries what nodes say to each other.

use arqonbus_server::config;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::redis::{Cluster, Redis, Sentinels, Tls};
use serde_json::{Value, json};

use super::{know, nodes, to};

/// What every way to Redis has to carry.
async fn two_nodes_are_one_bus(config: &config::Redis) {
    let [a, b] = nodes(config, [None; 2]).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::joined(&b, "room:one").await);
    assert_eq!(sender.publish("room:one", json!("hello")).await["durability"], "redis");
    assert_eq!(sender.request(to(&receiver.client, "psst")).await["status"], "ok");
    let mut seen = receiver.payloads(2).await;
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["hello", "psst"]);
    assert_eq!(sender.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    know(&a, 2).await;
}

#[tokio::test]
async fn nodes_meet_by_tls() {
    let tls = Tls::new();
    let redis = Redis::by_tls(&tls).await;
    two_nodes_are_one_bus(&config::Redis { tls_ca_file: tls.file("ca.pem").display().to_string(), ..redis.config() }).await;
}

#[tokio::test]
async fn nodes_meet_as_a_user_of_redis() {
    let redis = Redis::for_user("bus", "hunter2", "~arqonbus:* ~{arqonbus:* &arqonbus:* &{arqonbus:* +@all -@dangerous +info").await;
    two_nodes_are_one_bus(&config::Redis { username: "bus".into(), password: "hunter2".to_owned().into(), ..redis.config() }).await;
}

#[tokio::test]
async fn nodes_meet_in_a_cluster() {
    let cluster = Cluster::start().await;
    two_nodes_are_one_bus(&cluster.config()).await;
}

#[tokio::test]
async fn nodes_meet_by_sentinels_and_again_after_a_failover() {
    let mut sentinels = Sentinels::start().await;
    let config = sentinels.config();
    two_nodes_are_one_bus(&config).await;
    let [a, b] = nodes(&config, [None; 2]).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::connect(&b).await);
    sentinels.servers[0].kill();
    eventually("a message by the new primary", async || (sender.request(to(&receiver.client, "psst")).await["status"] == "ok").then_some(())).await;
    assert_eq!(receiver.message().await["payload"], "psst");
}
