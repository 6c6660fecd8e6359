//! What the bus tells about itself, on the bus and at its admin listener.

use arqonbus_tests::harness::{Peer, Process, Server, clock::eventually, http, peer::message};
use serde_json::{Value, json};

/// Reads the telemetry room until a message fits.
async fn until(peer: &mut Peer, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let payload = peer.message().await["payload"].clone();
        if fits(&payload) {
            return payload;
        }
    }
}

#[tokio::test]
async fn activity_is_published_on_the_configured_room() {
    let server = Server::with(|config| {
        config.telemetry.room = "_watch".into();
        config.telemetry.activity_channel = "events".into();
    });
    let mut watcher = Peer::joined(&server, "_watch:events").await;
    let mut actor = Peer::introduce(&server, json!({"user": "ada"})).await;
    let client = actor.client.clone();
    actor.join("a:b").await;
    actor.refused("leave_channel", json!({"room": "x", "channel": "y"})).await;
    actor.ok("leave_channel", json!({"room": "a", "channel": "b"})).await;
    actor.ok("delete_channel", json!({"room": "a", "channel": "b"})).await;
    actor.close().await;
    for signal in ["connected", "created", "joined", "refused", "left", "deleted", "disconnected"] {
        let payload = until(&mut watcher, |payload| payload["signal"] == signal && payload["client"] == client.as_str()).await;
        match signal {
            "joined" | "left" | "deleted" => assert_eq!((&payload["room"], &payload["channel"]), (&json!("a"), &json!("b")), "{payload}"),
            "refused" => assert_eq!((&payload["command"], &payload["code"]), (&json!("leave_channel"), &json!("not_joined")), "{payload}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn snapshots_of_the_metrics_are_published() {
    let server = Server::with(|config| config.telemetry.snapshot_ms = 50);
    let mut watcher = Peer::joined(&server, "_telemetry:metrics").await;
    let snapshot = watcher.message().await["payload"].clone();
    assert!(snapshot.is_object(), "{snapshot}");
}

#[tokio::test]
async fn nobody_but_the_server_publishes_in_its_rooms() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    for topic in ["_telemetry:activity", "_telemetry:mine", "a:_b", "_x:_y"] {
        let response = peer.request(message(topic, json!(1))).await;
        assert_eq!(response["error"]["code"], "invalid_name", "{topic}: {response}");
    }
    let broadcast = peer.request(json!({"type": "message", "room": "_telemetry", "payload": 1, "ack": true})).await;
    assert_eq!(broadcast["error"]["code"], "invalid_name", "{broadcast}");
}

#[tokio::test]
async fn the_bus_goes_on_while_nobody_reads_its_telemetry() {
    let server = Server::with(|config| config.telemetry.queue = 1);
    let mut peer = Peer::connect(&server).await;
    for number in 0..300 {
        peer.join(&format!("a:c{number}")).await;
    }
    peer.publish("a:c0", json!(1)).await;
    assert_eq!(peer.message().await["payload"], 1);
}

#[tokio::test]
async fn the_admin_listener_answers_and_the_public_one_does_not() {
    let server = Process::start("");
    let mut peer = Peer::joined(&server, "a:b").await;
    peer.publish("a:b", json!(1)).await;
    peer.message().await;
    for path in ["/health", "/ready", "/version"] {
        assert_eq!(http::fetch(server.admin(), path).await.status, 200, "{path}");
    }
    let metrics = http::fetch(server.admin(), "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain") || metrics.header("content-type").unwrap().contains("openmetrics"));
    for line in [
        "arqonbus_connections 1",
        "arqonbus_messages_in_total 1",
        "arqonbus_messages_out_total 1",
        "arqonbus_commands_total{command=\"join_channel\"} 1",
    ] {
        // Counters of connections are folded in by their shards now and then.
        eventually(line, async || http::fetch(server.admin(), "/metrics").await.body.lines().any(|sample| sample == line).then_some(())).await;
    }
    for path in ["/health", "/ready", "/version", "/metrics", "/admin", "/v2/ws", "/v1/envelopes/x"] {
        assert_eq!(http::fetch(arqonbus_tests::harness::Reach::address(&server), path).await.status, 404, "{path} on the public port");
    }
}
