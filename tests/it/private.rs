//! Private messages: to one connection, and to every connection of a user.

use arqonbus_tests::harness::{Peer, Server, peer::code};
use serde_json::{Value, json};

fn private(to: &str, payload: &str) -> Value {
    json!({"type": "message", "to": to, "payload": payload, "ack": true})
}

#[tokio::test]
async fn a_private_message_reaches_one_client() {
    let server = Server::start();
    let (mut sender, mut receiver, mut other) = (Peer::connect(&server).await, Peer::connect(&server).await, Peer::connect(&server).await);
    let response = sender.request(private(&receiver.client, "psst")).await;
    assert_eq!(response["status"], "ok", "{response}");
    let message = receiver.message().await;
    assert_eq!((&message["payload"], &message["to"]), (&json!("psst"), &json!(receiver.client)));
    assert_eq!(message["sender"], sender.client.as_str());
    sender.request(private(&other.client, "later")).await;
    assert_eq!(other.message().await["payload"], "later", "the first was not for this one");
}

#[tokio::test]
async fn every_connection_of_a_user_gets_a_message_to_the_user() {
    let server = Server::start();
    let mut phone = Peer::introduce(&server, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&server, json!({"user": "ada"})).await;
    let mut other = Peer::introduce(&server, json!({"user": "bob"})).await;
    let mut sender = Peer::connect(&server).await;
    sender.request(private("user:ada", "hi")).await;
    sender.request(private("user:bob", "bob")).await;
    for peer in [&mut phone, &mut laptop] {
        let message = peer.message().await;
        assert_eq!((&message["payload"], &message["to"]), (&json!("hi"), &json!("user:ada")));
    }
    assert_eq!(other.message().await["payload"], "bob");
}

#[tokio::test]
async fn nobody_there_is_an_error_and_not_a_silence() {
    let server = Server::start();
    let mut sender = Peer::connect(&server).await;
    let mut gone = Peer::introduce(&server, json!({"user": "gone"})).await;
    let client = gone.client.clone();
    gone.settle().await;
    gone.close().await;
    for to in ["c_00000000", "user:nobody", "user:gone", client.as_str()] {
        // A server may take a moment to notice that a connection has ended.
        arqonbus_tests::harness::clock::eventually("no recipient", async || {
            let response = sender.request(private(to, "anybody?")).await;
            (response["status"] == "error").then(|| assert_eq!(code(&response), "no_recipient"))
        })
        .await;
    }
}

#[tokio::test]
async fn without_ack_only_a_refusal_is_answered() {
    let server = Server::start();
    let mut sender = Peer::connect(&server).await;
    sender.send(&json!({"type": "message", "id": "lost", "to": "c_00000000", "payload": 1})).await;
    assert_eq!(code(&sender.response("lost").await), "no_recipient");
    sender.send(&json!({"type": "message", "id": "kept", "room": "a", "channel": "b", "payload": 1})).await;
    let answer = sender.request(json!({"type": "command", "id": "after", "command": "ping"})).await;
    assert_eq!(answer["status"], "ok", "and nothing else was answered before");
    sender.join_with("a:b", json!({"replay": 1})).await;
    assert_eq!(sender.message().await["id"], "kept");
}
