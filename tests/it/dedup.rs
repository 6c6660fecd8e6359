//! Sending again under the same id (G9).

use arqonbus_tests::harness::{Peer, Server, clock::eventually, peer::code};
use serde_json::{Value, json};

fn message(id: &str, payload: &str) -> Value {
    json!({"type": "message", "id": id, "room": "a", "channel": "b", "payload": payload, "ack": true})
}

#[tokio::test]
async fn g09_the_same_message_is_stored_once_and_acknowledged_alike() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let mut publisher = Peer::connect(&server).await;
    let first = publisher.request(message("m1", "one")).await["result"].clone();
    assert_eq!(first["duplicate"], false);
    publisher.request(message("m2", "two")).await;
    let again = publisher.request(message("m1", "one")).await["result"].clone();
    assert_eq!((&again["duplicate"], &again["epoch"], &again["seq"]), (&json!(true), &first["epoch"], &first["seq"]));
    publisher.request(message("m3", "three")).await;
    assert_eq!(subscriber.payloads(3).await, [json!("one"), json!("two"), json!("three")]);
}

#[tokio::test]
async fn g09_the_same_id_with_another_payload_is_a_conflict() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    publisher.request(message("m1", "one")).await;
    assert_eq!(code(&publisher.request(message("m1", "two")).await), "id_conflict");
}

#[tokio::test]
async fn g09_ids_belong_to_their_principal_and_their_topic() {
    let server = Server::start();
    let mut one = Peer::connect(&server).await;
    let mut other = Peer::connect(&server).await;
    one.request(message("m1", "one")).await;
    let response = other.request(message("m1", "other")).await;
    assert_eq!((&response["status"], &response["result"]["duplicate"]), (&json!("ok"), &json!(false)), "{response}");
    let mut elsewhere = message("m1", "elsewhere");
    elsewhere["channel"] = "c".into();
    assert_eq!(one.request(elsewhere).await["result"]["duplicate"], false);
}

#[tokio::test]
async fn g09_a_user_is_recognised_on_another_connection() {
    let server = Server::start();
    let mut before = Peer::introduce(&server, json!({"user": "ada"})).await;
    let first = before.request(message("m1", "one")).await["result"].clone();
    before.close().await;
    let mut after = Peer::introduce(&server, json!({"user": "ada"})).await;
    let again = after.request(message("m1", "one")).await["result"].clone();
    assert_eq!((&again["duplicate"], &again["seq"]), (&json!(true), &first["seq"]));
}

#[tokio::test]
async fn g09_a_client_is_recognised_by_its_resume_key() {
    let server = Server::start();
    let mut before = Peer::connect(&server).await;
    let key = before.ok("connect", json!({})).await["resume"].clone();
    let first = before.request(message("m1", "one")).await["result"].clone();
    before.close().await;
    let mut after = Peer::introduce(&server, json!({"resume": key})).await;
    let again = after.request(message("m1", "one")).await["result"].clone();
    assert_eq!((&again["duplicate"], &again["seq"]), (&json!(true), &first["seq"]));
}

#[tokio::test]
async fn after_the_window_an_id_is_new() {
    let server = Server::with(|config| config.history.dedup_ms = 50);
    let mut publisher = Peer::connect(&server).await;
    publisher.request(message("m1", "one")).await;
    eventually("the end of the window", async || {
        let response = publisher.request(message("m1", "one")).await;
        (response["result"]["duplicate"] == false).then_some(())
    })
    .await;
}
