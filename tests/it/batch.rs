//! Several envelopes in one frame, for those that asked for it.

use arqonbus_tests::harness::{Peer, Server, peer::code};
use serde_json::json;

#[tokio::test]
async fn a_batch_is_answered_like_its_envelopes_one_by_one() {
    let server = Server::start();
    let mut peer = Peer::introduce(&server, json!({"batch": true})).await;
    peer.join("a:b").await;
    let lines = [
        r#"{"type":"message","id":"one","room":"a","channel":"b","payload":1,"ack":true}"#,
        "",
        r#"{"type":"message","id":"two","room":"a"#,
        r#"{"type":"command","id":"three","command":"ping"}"#,
        "",
    ];
    peer.send_text(&lines.join("\n")).await;
    assert_eq!(peer.response("one").await["status"], "ok");
    assert_eq!(peer.response("three").await["status"], "ok");
    assert_eq!(code(&peer.response("two").await), "invalid_json", "its id was readable");
    assert_eq!(peer.message().await["payload"], 1);
}

#[tokio::test]
async fn a_frame_without_an_envelope_is_refused() {
    let server = Server::start();
    let mut peer = Peer::introduce(&server, json!({"batch": true})).await;
    for empty in ["\n\n", ""] {
        peer.send_text(empty).await;
        assert_eq!(peer.error().await, "invalid_json");
        peer.settle().await;
    }
}

#[tokio::test]
async fn who_did_not_ask_for_batches_cannot_send_them() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    peer.send_text("{\"type\":\"command\",\"id\":\"one\",\"command\":\"ping\"}\n{\"type\":\"command\",\"id\":\"two\",\"command\":\"ping\"}").await;
    let refusal = peer.next().await;
    assert_eq!(refusal["error"]["code"], "invalid_json", "{refusal}");
    peer.settle().await;
}

/// Line breaks are whitespace to JSON, and harmless where nothing is relayed; in a payload they would break other people's batches.
#[tokio::test]
async fn a_line_break_in_a_payload_is_refused_with_its_place() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    peer.send_text("{\"type\":\"message\",\"id\":\"m\",\"room\":\"a\",\"channel\":\"b\",\"payload\":{\n\"a\":1}}").await;
    let response = peer.response("m").await;
    assert_eq!((code(&response).as_str(), &response["error"]["at"]), ("invalid_json", &json!("/payload")));
    peer.send_text("{\"type\":\"command\",\n\"id\":\"p\",\r\n\"command\":\"ping\"}").await;
    assert_eq!(peer.response("p").await["status"], "ok");
}

#[tokio::test]
async fn a_reader_of_batches_gets_every_message_once() {
    let server = Server::start();
    let mut subscriber = Peer::introduce(&server, json!({"batch": true})).await;
    let mut plain = Peer::joined(&server, "a:b").await;
    subscriber.join("a:b").await;
    let mut publisher = Peer::introduce(&server, json!({"batch": true})).await;
    let lines: Vec<_> = (0..500).map(|number| json!({"type": "message", "room": "a", "channel": "b", "payload": number}).to_string()).collect();
    publisher.send_text(&lines.join("\n")).await;
    let expected: Vec<_> = (0..500).map(|number| json!(number)).collect();
    assert_eq!(subscriber.payloads(500).await, expected);
    assert_eq!(plain.payloads(500).await, expected);
}
