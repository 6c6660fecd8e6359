//! Publishing to everybody but oneself.

use arqonbus_tests::harness::{Peer, Server, peer::position};
use serde_json::{Value, json};

fn message(payload: &str) -> Value {
    json!({"type": "message", "room": "a", "channel": "b", "payload": payload, "exclude_sender": true})
}

#[tokio::test]
async fn the_sender_gets_an_ack_in_place_of_its_message_and_in_its_order() {
    let server = Server::start();
    let mut sender = Peer::joined(&server, "a:b").await;
    let mut other = Peer::joined(&server, "a:b").await;
    let mut mine = message("mine");
    mine["id"] = "mine".into();
    sender.send(&mine).await;
    assert_eq!(other.message().await["exclude_sender"], true);
    other.publish("a:b", json!("theirs")).await;

    let first = sender.next().await;
    assert_eq!((&first["type"], &first["request_id"]), (&json!("response"), &json!("mine")), "the ack is implied, and comes first");
    let theirs = sender.message().await;
    assert_eq!(theirs["payload"], "theirs");
    assert_eq!(position(&theirs), position(&first["result"]).next());
}

#[tokio::test]
async fn a_catch_up_holds_the_senders_own_messages_marked() {
    let server = Server::start();
    let mut sender = Peer::connect(&server).await;
    sender.request(message("mine")).await;
    sender.join_with("a:b", json!({"replay": 10})).await;
    let held = sender.message().await;
    assert_eq!((&held["payload"], &held["exclude_sender"]), (&json!("mine"), &json!(true)));
}

#[tokio::test]
async fn another_connection_of_the_same_user_is_not_left_out() {
    let server = Server::start();
    let mut phone = Peer::introduce(&server, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&server, json!({"user": "ada"})).await;
    laptop.join("a:b").await;
    phone.request(message("from the phone")).await;
    assert_eq!(laptop.message().await["payload"], "from the phone");
}
