//! Every command: that it works, and each of its own errors. `COMMANDS` says which there are.

use arqonbus_protocol::{COMMANDS, ErrorCode};
use arqonbus_server::config::Create;
use arqonbus_tests::harness::{Ended, Peer, Server};
use serde_json::{Value, json};

/// For each command: arguments that work, one after the other, in a bus where the user `victim` is connected.
fn that_work() -> Vec<(&'static str, Value)> {
    let topic = json!({"room": "a", "channel": "b"});
    vec![
        ("connect", json!({"name": "me"})),
        ("ping", json!({})),
        ("status", json!({})),
        ("create_channel", json!({"room": "a", "channel": "new"})),
        ("join_channel", topic.clone()),
        ("list_rooms", json!({})),
        ("list_channels", json!({"room": "a"})),
        ("channel_info", topic.clone()),
        ("members", topic.clone()),
        ("history", topic.clone()),
        ("leave_channel", topic.clone()),
        ("disconnect", json!({"user": "victim"})),
        ("help", json!({})),
        ("delete_channel", topic),
    ]
}

/// For each command and each of its own errors: arguments that provoke it where channels appear only by `create_channel`.
fn that_fail() -> Vec<(&'static str, ErrorCode, Value)> {
    use ErrorCode as E;
    let reserved = json!({"room": "a", "channel": "_b"});
    let bad = json!({"room": "a", "channel": "b/c"});
    let missing = json!({"room": "a", "channel": "missing"});
    let jobs = json!({"room": "a", "channel": "missing", "group": "g", "epoch": "e", "seqs": [1]});
    let bad_group = json!({"room": "a", "channel": "b", "group": "_g", "epoch": "e", "seqs": [1]});
    vec![
        ("create_channel", E::InvalidName, reserved),
        ("delete_channel", E::InvalidName, bad.clone()),
        ("delete_channel", E::UnknownChannel, missing.clone()),
        ("join_channel", E::InvalidName, bad),
        ("join_channel", E::UnknownChannel, missing.clone()),
        ("leave_channel", E::NotJoined, missing.clone()),
        ("leave_channel", E::NotJoined, json!({"room": "a", "channel": "missing", "group": "g"})),
        ("join_channel", E::InvalidName, json!({"room": "a", "channel": "b", "group": "_g"})),
        ("join_channel", E::InvalidArgs, json!({"room": "a", "channel": "*", "group": "g"})),
        ("ack", E::NotHeld, jobs.clone()),
        ("ack", E::InvalidName, bad_group.clone()),
        ("nack", E::NotHeld, jobs),
        ("nack", E::InvalidName, bad_group),
        ("channel_info", E::UnknownChannel, missing.clone()),
        ("members", E::UnknownChannel, missing.clone()),
        ("history", E::UnknownChannel, missing),
        ("disconnect", E::NoRecipient, json!({"client": "c_00000000"})),
        ("disconnect", E::NoRecipient, json!({"user": "nobody"})),
        ("disconnect", E::InvalidArgs, json!({})),
        ("disconnect", E::InvalidArgs, json!({"user": "a", "client": "c_00000000"})),
        ("refresh", E::Unsupported, json!({"token": "t"})),
        ("refresh", E::InvalidArgs, json!({})),
        ("help", E::UnknownCommand, json!({"command": "fly"})),
        ("list_channels", E::InvalidArgs, json!({})),
        ("ping", E::InvalidEnvelope, json!([])),
    ]
}

#[tokio::test]
async fn every_command_works() {
    let server = Server::start();
    let _victim = Peer::introduce(&server, json!({"user": "victim"})).await;
    let mut peer = Peer::connect(&server).await;
    // What settles jobs is tried in `groups`, where there are some.
    let mut tried = vec!["refresh", "ack", "nack"];
    for (command, args) in that_work() {
        let result = peer.ok(command, args).await;
        assert!(result.is_object(), "{command}: {result}");
        tried.push(command);
    }
    let untried: Vec<_> = COMMANDS.iter().map(|spec| spec.name).filter(|name| !tried.contains(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[tokio::test]
async fn every_command_refuses_as_documented() {
    let server = Server::with(|config| config.create = Create::Explicit);
    let mut peer = Peer::connect(&server).await;
    for (command, code, args) in that_fail() {
        assert_eq!(peer.refused(command, args.clone()).await, code.as_str(), "{command} {args}");
        // A refusal that counts as malformed must not add up to a closed connection here.
        peer.settle().await;
    }
}

#[tokio::test]
async fn status_counts_what_there_is() {
    let server = Server::with(|config| config.telemetry.room = "off".into());
    let mut peer = Peer::joined(&server, "a:b").await;
    let _other = Peer::joined(&server, "a:c").await;
    peer.publish("a:b", json!(1)).await;
    peer.message().await;
    let status = peer.ok("status", json!({})).await;
    for (key, expected) in [("state", json!("ready")), ("connections", json!(2)), ("rooms", json!(1)), ("channels", json!(2)), ("joins", json!(2))] {
        assert_eq!(status[key], expected, "{key} in {status}");
    }
    assert_eq!((&status["messages_in"], &status["messages_out"]), (&json!(1), &json!(1)), "{status}");
    assert_eq!((&status["storage"]["kind"], &status["storage"]["state"]), (&json!("memory"), &json!("healthy")));
    assert_eq!(status["storage"]["messages"], 1, "{status}");
    assert_eq!(status["node"], peer.welcome["node"]);
}

#[tokio::test]
async fn channel_info_says_what_is_held() {
    let server = Server::with(|config| config.history.messages = 5);
    let mut peer = Peer::joined(&server, "a:b").await;
    for payload in 0..3 {
        peer.publish("a:b", json!(payload)).await;
    }
    let info = peer.ok("channel_info", json!({"room": "a", "channel": "b"})).await;
    assert_eq!((&info["room"], &info["channel"], &info["members"]), (&json!("a"), &json!("b"), &json!(1)));
    assert_eq!((&info["head"]["seq"], &info["first_seq"], &info["messages"]), (&json!(3), &json!(1), &json!(3)));
    assert!(info["bytes"].as_u64().unwrap() > 0);
    assert_eq!(info["durability"], "memory");
    assert_eq!(info["retention"], json!({"messages": 5, "age_ms": 3_600_000, "bytes": 16 * 1024 * 1024}));
}

#[tokio::test]
async fn disconnect_closes_the_connections_of_whom_it_names() {
    let server = Server::start();
    let mut admin = Peer::connect(&server).await;
    let mut one = Peer::introduce(&server, json!({"user": "eve"})).await;
    let mut two = Peer::introduce(&server, json!({"user": "eve"})).await;
    let mut other = Peer::connect(&server).await;
    assert_eq!(admin.ok("disconnect", json!({"user": "eve"})).await["disconnected"], 2);
    for peer in [&mut one, &mut two] {
        assert_eq!(peer.end().await, Ended(Some(4003)));
    }
    let client = other.client.clone();
    assert_eq!(admin.ok("disconnect", json!({"client": client})).await["disconnected"], 1);
    assert_eq!(other.end().await, Ended(Some(4003)));
    admin.settle().await;
}

#[tokio::test]
async fn help_lists_every_command() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    let help = peer.ok("help", json!({})).await;
    let names: Vec<_> = help["commands"].as_array().unwrap().iter().map(|command| command["name"].as_str().unwrap()).collect();
    assert_eq!(names, COMMANDS.iter().map(|spec| spec.name).collect::<Vec<_>>());
    let one = peer.ok("help", json!({"command": "join_channel"})).await;
    assert_eq!(one["commands"].as_array().unwrap().len(), 1);
    let args = one["commands"][0]["args"].as_array().unwrap();
    for arg in ["room", "channel", "since", "replay", "positions", "presence"] {
        assert!(args.contains(&json!(arg)), "{args:?}");
    }
}

#[tokio::test]
async fn nothing_is_delivered_after_the_answer_to_leave() {
    let server = Server::start();
    let mut leaver = Peer::joined(&server, "a:b").await;
    let mut publisher = Peer::connect(&server).await;
    for number in 0..200 {
        publisher.send(&json!({"type": "message", "room": "a", "channel": "b", "payload": number})).await;
    }
    leaver.send(&json!({"type": "command", "id": "leave", "command": "leave_channel", "args": {"room": "a", "channel": "b"}})).await;
    loop {
        let envelope = leaver.next().await;
        if envelope["type"] == "response" {
            break;
        }
    }
    publisher.settle().await;
    publisher.publish("a:b", json!("after")).await;
    leaver.join("a:fence").await;
    publisher.publish("a:fence", json!("fence")).await;
    assert_eq!(leaver.message().await["payload"], "fence");
}
