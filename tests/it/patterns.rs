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

#[tokio::test]
async fn who_is_joined_twice_over_gets_each_message_once() {
    let server = Server::start();
    let mut subscriber = Peer::connect(&server).await;
    for (room, channel) in [("a", "b"), ("a", "*"), ("*", "b")] {
        subscriber.ok("join_channel", json!({"room": room, "channel": channel})).await;
    }
    let mut publisher = Peer::connect(&server).await;
    for payload in 1..=3 {
        publisher.publish("a:b", json!(payload)).await;
    }
    assert_eq!(subscriber.payloads(3).await, [json!(1), json!(2), json!(3)]);
    subscriber.ok("leave_channel", json!({"room": "a", "channel": "b"})).await;
    subscriber.ok("leave_channel", json!({"room": "*", "channel": "b"})).await;
    publisher.publish("a:b", json!(4)).await;
    assert_eq!(subscriber.payloads(1).await, [json!(4)], "one of three is left");
    assert_eq!(subscriber.ok("members", json!({"room": "a", "channel": "b"})).await["total"], 1);
    subscriber.ok("leave_channel", json!({"room": "a", "channel": "*"})).await;
    assert_eq!(subscriber.ok("members", json!({"room": "a", "channel": "b"})).await["total"], 0);
}

/// A channel that is born, deleted and born again under a pattern: every life is seen from its first message.
#[tokio::test]
async fn a_pattern_sees_every_life_of_a_channel() {
    let server = Server::start();
    let mut subscriber = Peer::connect(&server).await;
    subscriber.ok("join_channel", json!({"room": "a", "channel": "*"})).await;
    let mut publisher = Peer::connect(&server).await;
    let mut epochs = Vec::new();
    for life in 0..5 {
        for seq in 1..=3 {
            publisher.publish("a:b", json!([life, seq])).await;
            let message = subscriber.message().await;
            assert_eq!((&message["payload"], &message["seq"]), (&json!([life, seq]), &json!(seq)));
            epochs.push(message["epoch"].as_str().unwrap().to_owned());
        }
        publisher.ok("delete_channel", json!({"room": "a", "channel": "b"})).await;
        subscriber.event("deleted").await;
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 5, "each life has an epoch of its own: {epochs:?}");
}

/// Joins by pattern while channels are born and filled: nothing is lost and nothing comes twice.
#[tokio::test]
async fn g08_a_pattern_join_amid_births_loses_nothing() {
    const TOPICS: u64 = 200;
    const EACH: u64 = 5;
    let server = Server::start();
    let address = arqonbus_tests::harness::Reach::address(&server);
    let publishing = tokio::spawn(async move {
        let mut publisher = Peer::connect(&address).await;
        for seq in 1..=EACH {
            for topic in 0..TOPICS {
                publisher.send(&json!({"type": "message", "room": "a", "channel": format!("c{topic}"), "payload": seq})).await;
            }
        }
        publisher.settle().await;
    });
    let mut subscribers = Vec::new();
    for _ in 0..5 {
        let mut subscriber = Peer::connect(&server).await;
        let joined = subscriber.ok("join_channel", json!({"room": "a", "channel": "c*"})).await;
        subscribers.push((subscriber, joined["topics"].clone()));
    }
    publishing.await.unwrap();
    for (subscriber, topics) in &mut subscribers {
        let mut last: std::collections::HashMap<String, u64> = topics
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| (topic["channel"].as_str().unwrap().to_owned(), topic["start"]["seq"].as_u64().unwrap()))
            .collect();
        let missing = |last: &std::collections::HashMap<String, u64>| TOPICS * EACH - last.values().sum::<u64>();
        while missing(&last) > 0 {
            let message = subscriber.message().await;
            let held = last.entry(message["channel"].as_str().unwrap().to_owned()).or_default();
            *held += 1;
            assert_eq!(message["seq"], *held, "{message}");
        }
    }
}
