//! The store on a Redis Cluster: topics in several slots, on several servers.

use arqonbus_server::config::StorageKind;
use arqonbus_tests::harness::redis::Cluster;
use arqonbus_tests::harness::{Peer, Server};
use serde_json::json;

use super::history;

#[tokio::test]
async fn topics_of_all_slots_are_kept_and_delivered_by_all_nodes() {
    let cluster = Cluster::start().await;
    let node = || {
        Server::with(|config| {
            config.storage.kind = StorageKind::Redis;
            config.storage.redis = cluster.config();
        })
    };
    let (a, b) = (node(), node());
    let topics: Vec<String> = (0..12).map(|n| format!("r:c{n}")).collect();
    let mut member = Peer::connect(&b).await;
    for topic in &topics {
        member.join(topic).await;
    }
    let mut publisher = Peer::connect(&a).await;
    // All at once, so that one batch has several slots in it.
    for (n, topic) in topics.iter().enumerate() {
        let mut publish = arqonbus_tests::harness::peer::message(topic, json!(n));
        publish["ack"] = json!(true);
        publisher.send(&publish).await;
    }
    for _ in &topics {
        let ack = publisher.next().await;
        assert_eq!((&ack["status"], &ack["result"]["durability"]), (&json!("ok"), &json!("redis")), "{ack}");
    }
    let mut heard = member.payloads(topics.len()).await;
    heard.sort_by_key(serde_json::Value::as_u64);
    assert_eq!(heard, (0..topics.len()).map(|n| json!(n)).collect::<Vec<_>>());
    for (n, topic) in topics.iter().enumerate() {
        assert_eq!(history(&b, topic).await, [json!(n)]);
    }
}
