//! The way of a message through Redis, when nothing goes wrong.

use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Process, http};
use serde_json::json;

use super::Node;

#[tokio::test]
async fn a_message_is_kept_acknowledged_and_read() {
    let redis = Redis::start().await;
    let bus = Node::of(&redis);
    let mut peer = Peer::joined(&bus, "science:explore").await;
    let ack = peer.publish("science:explore", json!({"n": 1})).await;
    assert_eq!((&ack["seq"], &ack["durability"], &ack["duplicate"]), (&json!(1), &json!("redis"), &json!(false)), "{ack}");
    assert_eq!(peer.message().await["payload"], json!({"n": 1}));
    let page = peer.ok("history", json!({"room": "science", "channel": "explore"})).await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1), "{page}");
}

#[tokio::test]
async fn what_one_node_takes_all_nodes_deliver_in_one_order() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let (mut on_a, mut on_b) = (Peer::joined(&a, "r:c").await, Peer::joined(&b, "r:c").await);
    for n in 0..20 {
        let publisher = if n % 2 == 0 { &mut on_a } else { &mut on_b };
        publisher.publish("r:c", json!(n)).await;
    }
    let expected: Vec<_> = (0..20).map(|n| json!(n)).collect();
    assert_eq!(on_a.payloads(20).await, expected);
    assert_eq!(on_b.payloads(20).await, expected);
}

/// The largest message and a full batch have room in a notice: what has none is read, and waited for.
#[tokio::test]
async fn what_is_large_comes_from_another_node_without_a_hole() {
    let redis = Redis::start().await;
    let (a, b) = (Process::start(&redis.lines()), Node::of(&redis));
    let (mut on_a, mut on_b) = (Peer::joined(&a, "r:c").await, Peer::joined(&b, "r:c").await);
    on_b.publish("r:c", json!("x".repeat(250_000))).await;
    for n in 0..500 {
        on_b.send(&json!({"type": "message", "room": "r", "channel": "c", "payload": format!("{n:0400}")})).await;
    }
    let first = on_a.message().await;
    assert_eq!(first["payload"].as_str().map(str::len), Some(250_000));
    assert_eq!(on_a.payloads(500).await, (0..500).map(|n| json!(format!("{n:0400}"))).collect::<Vec<_>>());
    let metrics = http::fetch(a.admin(), "/metrics").await;
    assert!(metrics.body.contains("\narqonbus_feed_holes_total 0\n"), "{}", metrics.body);
}

#[tokio::test]
async fn history_outlives_the_node_and_a_client_resumes_on_another() {
    let redis = Redis::start().await;
    let a = Node::of(&redis);
    let mut peer = Peer::joined(&a, "r:c").await;
    let first = peer.publish_at("r:c", json!(1)).await;
    peer.publish("r:c", json!(2)).await;
    drop(peer);
    a.stop().await;
    let b = Node::of(&redis);
    let mut peer = Peer::connect(&b).await;
    peer.join_with("r:c", json!({"since": first})).await;
    peer.publish("r:c", json!(3)).await;
    assert_eq!(peer.payloads(2).await, [json!(2), json!(3)]);
    assert!(peer.already().await.is_none());
}

#[tokio::test]
async fn what_is_sent_again_among_others_is_told_apart() {
    let redis = Redis::start().await;
    let bus = Node::of(&redis);
    let mut peer = Peer::connect(&bus).await;
    // Nobody waits for an ack before the next is sent: what comes while one batch is under way is one batch.
    let mut send = async |range: std::ops::Range<u32>, payload: &str| {
        let mut answers = Vec::new();
        for n in range.clone() {
            let message = json!({"type": "message", "id": format!("m{n}"), "room": "r", "channel": "c", "payload": payload, "ack": true});
            peer.send(&message).await;
        }
        for n in range {
            answers.push(peer.response(&format!("m{n}")).await);
        }
        answers
    };
    let told = |answers: Vec<serde_json::Value>| -> Vec<_> {
        answers.iter().map(|answer| (answer["result"]["seq"].clone(), answer["result"]["duplicate"].clone())).collect()
    };
    send(0..40, "x").await;
    let expected: Vec<_> = (0..60).map(|n| (json!(n + 1), json!(n < 40))).collect();
    assert_eq!(told(send(0..60, "x").await), expected);
    assert!(send(30..60, "y").await.iter().all(|answer| answer["error"]["code"] == json!("id_conflict")));
    let expected: Vec<_> = (20..70).map(|n| (json!(n + 1), json!(n < 60))).collect();
    assert_eq!(told(send(20..70, "x").await), expected);
}
