//! Broadcast to a room and to everybody.

use arqonbus_tests::harness::{Peer, Server};
use serde_json::{Value, json};

/// Reads until each of these payloads has come, and gives all messages that came.
async fn until_all(peer: &mut Peer, mut awaited: Vec<Value>) -> Vec<Value> {
    let mut messages = Vec::new();
    while !awaited.is_empty() {
        let message = peer.message().await;
        awaited.retain(|payload| *payload != message["payload"]);
        messages.push(message);
    }
    messages
}

#[tokio::test]
async fn a_room_broadcast_reaches_members_of_any_channel_once_each() {
    let server = Server::start();
    let mut both = Peer::joined(&server, "room:one").await;
    both.join("room:two").await;
    let mut by_pattern = Peer::joined(&server, "room:*").await;
    let mut other = Peer::joined(&server, "elsewhere:one").await;
    let mut publisher = Peer::connect(&server).await;

    let response = publisher.request(json!({"type": "message", "room": "room", "payload": "to all", "ack": true})).await;
    assert_eq!(response["status"], "ok", "{response}");
    for peer in [&mut both, &mut by_pattern] {
        let message = peer.message().await;
        assert_eq!((&message["room"], &message["channel"], &message["payload"]), (&json!("room"), &Value::Null, &json!("to all")));
    }
    publisher.publish("room:one", json!("after one")).await;
    publisher.publish("room:two", json!("after two")).await;
    publisher.publish("elsewhere:one", json!("after")).await;
    for peer in [&mut both, &mut by_pattern] {
        let messages = until_all(peer, vec![json!("after one"), json!("after two")]).await;
        assert_eq!(messages.len(), 2, "nobody gets a broadcast twice: {messages:?}");
    }
    assert_eq!(other.message().await["payload"], "after", "the broadcast stays in its room");
}

#[tokio::test]
async fn a_global_broadcast_reaches_everybody() {
    let server = Server::start();
    let mut joined = Peer::joined(&server, "room:one").await;
    let mut bare = Peer::connect(&server).await;
    let mut publisher = Peer::connect(&server).await;
    let response = publisher.request(json!({"type": "message", "to": "*", "payload": "hear ye", "ack": true})).await;
    assert_eq!(response["status"], "ok", "{response}");
    for peer in [&mut joined, &mut bare] {
        let message = peer.message().await;
        assert_eq!((&message["to"], &message["payload"]), (&json!("*"), &json!("hear ye")));
        assert_eq!(message["sender"], publisher.client.as_str());
    }
}

#[tokio::test]
async fn members_of_one_topic_do_not_hear_another() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "room:one").await;
    let mut publisher = Peer::connect(&server).await;
    for topic in ["room:other", "other:one", "room:one2", "roo:one", "room:one"] {
        publisher.publish(topic, json!(topic)).await;
    }
    assert_eq!(subscriber.message().await["payload"], "room:one");
}

#[tokio::test]
async fn a_publisher_that_is_a_member_hears_itself() {
    let server = Server::start();
    let mut peer = Peer::joined(&server, "room:one").await;
    peer.publish("room:one", json!(1)).await;
    assert_eq!(peer.message().await["payload"], 1);
}
