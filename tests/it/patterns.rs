//! Joins of many topics at once.

use arqonbus_tests::harness::{Peer, Server, peer::position};
use serde_json::{Value, json};

fn names(topics: &Value) -> Vec<String> {
    let mut names: Vec<_> = topics
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| format!("{}:{}", topic["room"].as_str().unwrap(), topic["channel"].as_str().unwrap()))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_pattern_takes_what_matches_now_and_later() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    for topic in ["orders:eu.paris", "orders:eu.berlin", "orders:us.nyc", "other:eu.rome"] {
        publisher.publish(topic, json!("before")).await;
    }
    let mut subscriber = Peer::connect(&server).await;
    let joined = subscriber.ok("join_channel", json!({"room": "orders", "channel": "eu.*"})).await;
    assert_eq!(names(&joined["topics"]), ["orders:eu.berlin", "orders:eu.paris"]);
    assert_eq!(joined["complete"], true);
    for topic in ["orders:us.nyc", "other:eu.rome", "orders:eu.paris"] {
        publisher.publish(topic, json!("known")).await;
    }
    let message = subscriber.message().await;
    assert_eq!((&message["channel"], &message["seq"]), (&json!("eu.paris"), &json!(2)));
    publisher.publish("orders:eu.new", json!("born later")).await;
    let message = subscriber.message().await;
    assert_eq!((&message["channel"], &message["seq"]), (&json!("eu.new"), &json!(1)), "a topic born later starts at 1");
}

#[tokio::test]
async fn a_wildcard_does_not_reach_the_servers_names() {
    let server = Server::start();
    let mut watcher = Peer::connect(&server).await;
    let joined = watcher.ok("join_channel", json!({"room": "*", "channel": "*"})).await;
    assert!(names(&joined["topics"]).iter().all(|name| !name.starts_with('_')), "{joined}");
    let mut publisher = Peer::joined(&server, "a:b").await;
    publisher.publish("a:b", json!("seen")).await;
    let message = watcher.message().await;
    assert_eq!((&message["room"], &message["payload"]), (&json!("a"), &json!("seen")), "and no telemetry before it");
}

#[tokio::test]
async fn what_was_joined_by_pattern_is_left_by_pattern() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:fence").await;
    let mut publisher = Peer::connect(&server).await;
    // Often, because the topics live elsewhere than the client: an answer that does not wait for all of them is mostly late enough.
    for round in 0..50 {
        let topic = format!("r{round}:b1");
        let pattern = json!({"room": format!("r{round}"), "channel": "b*"});
        subscriber.ok("join_channel", pattern.clone()).await;
        publisher.publish(&topic, json!(1)).await;
        assert_eq!(subscriber.message().await["payload"], 1);
        assert_eq!(subscriber.refused("leave_channel", json!({"room": format!("r{round}"), "channel": "b1"})).await, "not_joined");
        subscriber.ok("leave_channel", pattern.clone()).await;
        publisher.publish(&topic, json!(2)).await;
        publisher.publish("a:fence", json!("end")).await;
        assert_eq!(subscriber.message().await["payload"], "end", "nothing of it is delivered after the answer");
        assert_eq!(subscriber.refused("leave_channel", pattern).await, "not_joined");
    }
}

#[tokio::test]
async fn a_pattern_is_resumed_from_positions() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    let known = publisher.publish_at("a:known", json!(1)).await;
    for (topic, payload) in [("a:known", 2), ("a:known", 3), ("a:unknown", 4), ("a:unknown", 5)] {
        publisher.publish(topic, json!(payload)).await;
    }
    let mut subscriber = Peer::connect(&server).await;
    let positions = json!([{"room": "a", "channel": "known", "epoch": known.epoch, "seq": known.seq}]);
    let joined = subscriber.ok("join_channel", json!({"room": "a", "channel": "*", "positions": positions})).await;
    assert_eq!(joined["topics"].as_array().unwrap().len(), 2);
    let mut by_topic: Vec<_> = Vec::new();
    for _ in 0..4 {
        let message = subscriber.message().await;
        by_topic.push((message["channel"].as_str().unwrap().to_owned(), position(&message).seq, message["payload"].clone()));
    }
    by_topic.sort_by_key(|(channel, seq, _)| (channel.clone(), *seq));
    let expected = [("known", 2, 2), ("known", 3, 3), ("unknown", 1, 4), ("unknown", 2, 5)];
    assert_eq!(by_topic, expected.map(|(channel, seq, payload)| (channel.to_owned(), seq, json!(payload))));
    publisher.publish("a:known", json!("live")).await;
    assert_eq!(subscriber.message().await["payload"], "live");
}

#[tokio::test]
async fn a_pattern_can_begin_with_the_last_messages_of_each_topic() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    for payload in 1..=3 {
        publisher.publish("a:x", json!(payload)).await;
        publisher.publish("a:y", json!(payload)).await;
    }
    let mut subscriber = Peer::connect(&server).await;
    subscriber.join_with("a:*", json!({"replay": 1})).await;
    assert_eq!(subscriber.payloads(2).await, [json!(3), json!(3)]);
}
