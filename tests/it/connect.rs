//! The beginning of a connection: welcome, `connect`, identity, resume key.

use arqonbus_tests::harness::{
    Ended, Peer, Reach, Server, http,
    peer::code,
    socket::{Socket, upgrade},
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_server_speaks_first_and_says_what_it_takes() {
    let server = Server::start();
    let peer = Peer::connect(&server).await;
    let welcome = &peer.welcome;
    assert_eq!(welcome["protocols"], json!([1]));
    assert_eq!(welcome["auth_required"], false);
    assert_eq!(welcome["heartbeat_ms"], 15_000);
    assert_eq!(welcome["limits"], json!({"envelope_bytes": 262_144, "frame_bytes": 1_048_576, "joins": 1_000, "history": 1_000}));
    assert!(welcome["node"].as_str().unwrap().starts_with("n_"), "{welcome}");
    assert!(welcome["client"].as_str().unwrap().starts_with("c_"), "{welcome}");
    assert_eq!(welcome["draining"], Value::Null);
}

#[tokio::test]
async fn both_paths_and_the_subprotocol_work() {
    let server = Server::start();
    for (path, extra) in [("/", ""), ("/v1/ws", ""), ("/v1/ws", "Sec-WebSocket-Protocol: arqonbus.v1\r\n"), ("/v1/ws?agent=x", "")] {
        let socket = Socket::plain(server.address()).await.shake_hands(server.address(), path, extra).await;
        Peer::on(socket).await.settle().await;
    }
}

/// A client that offers subprotocols is answered by ours, or by none (RFC 6455 §4.2.2).
#[tokio::test]
async fn the_subprotocol_is_answered_where_it_was_offered() {
    let server = Server::start();
    let host = server.address().to_string();
    for (offered, answered) in [
        ("Sec-WebSocket-Protocol: arqonbus.v1\r\n", Some("arqonbus.v1")),
        ("Sec-WebSocket-Protocol: chat, arqonbus.v1\r\n", Some("arqonbus.v1")),
        ("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: arqonbus.v1\r\n", Some("arqonbus.v1")),
        ("Sec-WebSocket-Protocol: chat\r\n", None),
        ("", None),
    ] {
        let answer = http::raw(server.address(), upgrade("/", &host, offered).as_bytes()).await.expect("an answer");
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, answered), "{offered}");
    }
}

#[tokio::test]
async fn nothing_is_needed_before_the_first_message() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let mut bare = Peer::connect(&server).await;
    bare.send_text(r#"{"type":"message","room":"a","channel":"b","payload":1}"#).await;
    assert_eq!(subscriber.message().await["payload"], 1);
}

#[tokio::test]
async fn connect_tells_who_one_is() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    let metadata = json!({"lang": "rust"});
    let args = json!({"protocol": 1, "user": "ada", "name": "Ada", "kind": "test", "batch": true, "agent": "it/1", "metadata": metadata});
    let result = peer.ok("connect", args).await;
    assert_eq!((&result["client"], &result["user"]), (&json!(peer.client), &json!("ada")));
    assert_eq!((&result["resumed"], &result["batch"], &result["heartbeat_ms"]), (&json!(false), &json!(true), &json!(15_000)));
    assert!(!result["resume"].as_str().unwrap().is_empty());
    peer.join("a:b").await;
    let members = peer.ok("members", json!({"room": "a", "channel": "b"})).await;
    let mut member = members["members"][0].clone();
    assert!(member["joined"].as_str().unwrap().ends_with('Z'));
    member.as_object_mut().unwrap().remove("joined");
    assert_eq!(member, json!({"client": peer.client, "user": "ada", "name": "Ada", "kind": "test", "metadata": metadata}));
}

#[tokio::test]
async fn a_resume_key_restores_the_identity_and_replaces_the_older_connection() {
    let server = Server::start();
    let mut before = Peer::connect(&server).await;
    let key = before.ok("connect", json!({"user": "ada"})).await["resume"].clone();
    let mut after = Peer::connect(&server).await;
    let result = after.ok("connect", json!({"resume": key, "user": "ada"})).await;
    assert_eq!((&result["client"], &result["resumed"]), (&json!(before.client), &json!(true)));
    assert_eq!(before.end().await, Ended(Some(4006)));
    let mut other = Peer::connect(&server).await;
    let response = other.request(json!({"type": "message", "to": before.client, "payload": "still you?", "ack": true})).await;
    assert_eq!(response["status"], "ok", "{response}");
    assert_eq!(after.message().await["payload"], "still you?");
}

#[tokio::test]
async fn an_invented_resume_key_restores_nothing() {
    let server = Server::start();
    let mut victim = Peer::connect(&server).await;
    let key = victim.ok("connect", json!({})).await["resume"].as_str().unwrap().to_owned();
    // The same length and form, another secret.
    let forged: String = key
        .chars()
        .map(|c| {
            if c == 'a' {
                'b'
            } else if c.is_ascii_digit() {
                '0'
            } else {
                c
            }
        })
        .collect();
    for key in [forged, victim.client.clone(), String::new(), "x".repeat(10_000)] {
        let mut thief = Peer::connect(&server).await;
        let response = thief.request(json!({"type": "command", "command": "connect", "args": {"resume": key}})).await;
        assert_ne!(response["result"]["client"], victim.client.as_str(), "{response}");
        assert_ne!(response["result"]["resumed"], true, "{response}");
    }
    victim.settle().await;
}

#[tokio::test]
async fn another_version_is_closed() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    peer.send(&json!({"type": "command", "id": "c", "command": "connect", "args": {"protocol": 2}})).await;
    assert_eq!(peer.end().await, Ended(Some(4004)));
}

#[tokio::test]
async fn labels_and_metadata_are_bounded() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    for args in [
        json!({"name": "x".repeat(65)}),
        json!({"name": ""}),
        json!({"kind": "line\nbreak"}),
        json!({"agent": "\u{1b}[31mred"}),
        json!({"user": "_root"}),
        json!({"user": "a b"}),
        json!({"metadata": {"large": "x".repeat(1024)}}),
        json!({"metadata": 7}),
        json!({"batch": "yes"}),
        json!({"protocol": "1"}),
    ] {
        let response = peer.request(json!({"type": "command", "command": "connect", "args": args})).await;
        assert!(["invalid_args", "too_large"].contains(&code(&response).as_str()), "{args}: {response}");
    }
}
