//! The rows about names, wherever a name can stand.

use arqonbus_tests::harness::Peer;
use serde_json::{Value, json};

use super::Arena;

/// Never a name.
fn bad() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "...",
        " ",
        "a b",
        "a/b",
        "../etc/passwd",
        "a\\b",
        "a:b",
        "a,b",
        "a\u{0}b",
        "a\nb",
        "a\tb",
        "a\u{1b}[31m",
        "a\u{7f}",
        "ä",
        "a\u{202e}b",
        "a\u{200b}b",
        "\u{feff}a",
        "ａ",
        "a%20b",
        "a'b",
        "a\"b",
        "a#b",
        "{a}",
        "a+b",
        "a@b",
        "$SYS",
    ]
    .map(str::to_owned)
    .into();
    names.extend(["x".repeat(65), "x".repeat(10_000)]);
    names
}

/// Wildcards where a wildcard cannot stand.
const STRAY: &[&str] = &["**", "*a", "a*b", "a**", "*.a", ">", "a.>"];

async fn refused(peer: &mut Peer, envelope: Value) -> String {
    let response = peer.request(envelope.clone()).await;
    assert_eq!(response["status"], "error", "{envelope}");
    response["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_bad_name_is_taken_anywhere() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    for name in bad().iter().map(String::as_str).chain(STRAY.iter().copied()) {
        for (room, channel) in [(name, "good"), ("good", name)] {
            let message = json!({"type": "message", "room": room, "channel": channel, "payload": 1});
            assert_eq!(refused(&mut peer, message).await, "invalid_name", "publish {room:?} {channel:?}");
            for command in ["join_channel", "leave_channel", "create_channel", "delete_channel", "history", "members", "channel_info"] {
                let envelope = json!({"type": "command", "command": command, "args": {"room": room, "channel": channel}});
                assert_eq!(refused(&mut peer, envelope).await, "invalid_name", "{command} {room:?} {channel:?}");
            }
        }
        assert_eq!(refused(&mut peer, json!({"type": "message", "room": name, "payload": 1})).await, "invalid_name", "broadcast {name:?}");
        let list = json!({"type": "command", "command": "list_channels", "args": {"room": name}});
        assert_eq!(refused(&mut peer, list).await, "invalid_name", "list {name:?}");
    }
    arena.probe("names").await;
    drop(peer);
    arena.close().await;
}

#[tokio::test]
async fn wildcards_are_for_joining_only() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    for (room, channel) in [("*", "b"), ("a", "*"), ("a*", "b"), ("a", "b.*")] {
        let message = json!({"type": "message", "room": room, "channel": channel, "payload": 1});
        assert_eq!(refused(&mut peer, message).await, "invalid_name", "publish {room} {channel}");
        for command in ["create_channel", "delete_channel", "history", "members", "channel_info"] {
            let envelope = json!({"type": "command", "command": command, "args": {"room": room, "channel": channel}});
            assert_eq!(refused(&mut peer, envelope).await, "invalid_name", "{command} {room} {channel}");
        }
        peer.ok("join_channel", json!({"room": room, "channel": channel})).await;
    }
    arena.probe("wildcards").await;
    drop(peer);
    arena.close().await;
}

/// The server's names can be joined where they exist, and do not come to be by it.
#[tokio::test]
async fn the_servers_names_do_not_appear_by_use() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    for (room, channel) in [("_nowhere", "activity"), ("_", "_"), ("good", "_hidden"), ("_telemetry", "nothing")] {
        for command in ["join_channel", "history", "members", "channel_info"] {
            let envelope = json!({"type": "command", "command": command, "args": {"room": room, "channel": channel}});
            let code = refused(&mut peer, envelope).await;
            assert!(["unknown_channel", "invalid_name"].contains(&code.as_str()), "{command} {room}:{channel}: {code}");
        }
    }
    peer.join("_telemetry:activity").await;
    arena.probe("reserved names").await;
    drop(peer);
    arena.close().await;
}

#[tokio::test]
async fn addresses_of_private_messages_are_checked() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    let long = format!("user:{}", "x".repeat(65));
    for to in
        ["", "c_", "c_short", "c_UPPERCASE0", "c_00000000 ", "nobody", "user:", "user:_root", "user:a b", "user:\u{202e}", "**", "a:b", long.as_str()]
    {
        assert_eq!(refused(&mut peer, json!({"type": "message", "to": to, "payload": 1})).await, "invalid_name", "{to:?}");
    }
    arena.probe("addresses").await;
    drop(peer);
    arena.close().await;
}

/// The longest names work, so that the rows above fail for what they say.
#[tokio::test]
async fn good_names_at_the_border_are_taken() {
    let mut arena = Arena::open("").await;
    let mut peer = Peer::connect(&arena).await;
    let long = "x".repeat(64);
    for name in ["a", ".a", "a.", "-", "_.-a", "A.b-C_9", "0", long.as_str()].into_iter().filter(|name| !name.starts_with('_')) {
        peer.join(&format!("{name}:{name}")).await;
        peer.publish(&format!("{name}:{name}"), json!(name)).await;
        assert_eq!(peer.message().await["payload"], name);
    }
    arena.probe("good names").await;
    drop(peer);
    arena.close().await;
}
