//! Every bound of the wire, and the answer at it.

use arqonbus_tests::harness::{
    Ended, Peer, Reach, Server, http,
    peer::{code, message},
    socket::{Socket, upgrade},
};
use serde_json::{Map, Value, json};

#[tokio::test]
async fn an_envelope_may_be_as_large_as_the_limit_and_no_larger() {
    let server = Server::with(|config| config.limits.envelope_bytes = 4096);
    let mut peer = Peer::connect(&server).await;
    assert_eq!(peer.welcome["limits"]["envelope_bytes"], 4096);
    for (size, fits) in [(4096, true), (4097, false)] {
        let frame = r#"{"type":"message","id":"m","room":"a","channel":"b","ack":true,"payload":""}"#;
        let padding = "x".repeat(size - frame.len());
        peer.send_text(&frame.replace("\"\"", &format!("\"{padding}\"")).replace("\"m\"", "\"n\"")).await;
        let answer = peer.next().await;
        if fits {
            assert_eq!(answer["status"], "ok", "{answer}");
        } else {
            assert_eq!(answer["error"]["code"], "too_large", "{answer}");
        }
    }
    peer.settle().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_1009() {
    let server = Server::with(|config| config.limits.frame_bytes = 8192);
    let mut peer = Peer::connect(&server).await;
    peer.send_text(&" ".repeat(8193)).await;
    assert_eq!(peer.end().await, Ended(Some(1009)));
}

#[tokio::test]
async fn joins_are_bounded() {
    let server = Server::with(|config| config.limits.joins = 3);
    let mut peer = Peer::connect(&server).await;
    for (room, channel) in [("a", "one"), ("a", "two"), ("b", "*")] {
        peer.ok("join_channel", json!({"room": room, "channel": channel})).await;
    }
    assert_eq!(peer.refused("join_channel", json!({"room": "a", "channel": "three"})).await, "limit_exceeded");
    peer.ok("leave_channel", json!({"room": "b", "channel": "*"})).await;
    peer.join("a:three").await;
}

#[tokio::test]
async fn channels_are_bounded() {
    let server = Server::with(|config| {
        config.limits.channels = 5;
        config.telemetry.room = "off".into();
    });
    let mut peer = Peer::connect(&server).await;
    let mut refused = 0;
    for number in 0..20 {
        let response = peer.request(message(&format!("flood:c{number}"), json!(1))).await;
        if response["status"] == "error" {
            assert_eq!(code(&response), "limit_exceeded");
            refused += 1;
        }
    }
    assert_eq!(refused, 15);
    assert_eq!(peer.refused("create_channel", json!({"room": "a", "channel": "b"})).await, "limit_exceeded");
    assert_eq!(peer.refused("join_channel", json!({"room": "a", "channel": "b"})).await, "limit_exceeded");
    peer.publish("flood:c0", json!("the others go on")).await;
}

#[tokio::test]
async fn headers_are_bounded() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let mut peer = Peer::connect(&server).await;
    let many = |count: usize| Value::Object((0..count).map(|number| (format!("h{number}"), json!("v"))).collect::<Map<_, _>>());
    for (headers, expected) in [
        (many(32), None),
        (many(33), Some("too_large")),
        (json!({"large": "x".repeat(4096)}), Some("too_large")),
        (json!({"number": 1}), Some("invalid_envelope")),
        (json!({"bad name": "v"}), Some("invalid_envelope")),
        (json!(["v"]), Some("invalid_envelope")),
    ] {
        let mut envelope = message("a:b", json!(1));
        envelope["headers"] = headers.clone();
        let response = peer.request(envelope).await;
        match expected {
            None => assert_eq!(subscriber.message().await["headers"], headers),
            Some(expected) => assert_eq!(code(&response), expected, "{headers}"),
        }
        peer.settle().await;
    }
}

#[tokio::test]
async fn three_malformed_envelopes_in_a_row_close_4000() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    for malformed in ["{", "[]", r#"{"type":"dance"}"#] {
        peer.send_text(malformed).await;
    }
    assert_eq!(peer.end().await, Ended(Some(4000)));

    let mut peer = Peer::connect(&server).await;
    for _ in 0..3 {
        peer.send_text("{").await;
        peer.send_text(r#"{"type":"message","id":5}"#).await;
        assert_eq!([peer.error().await, peer.error().await], ["invalid_json", "invalid_envelope"]);
        peer.settle().await;
    }
    for _ in 0..5 {
        assert_eq!(peer.refused("fly", json!({})).await, "unknown_command", "a refusal of what could be read does not count");
    }
}

/// A text that was cut within a character, or a tree that is too deep, is the application's; a client that relays it goes on.
#[tokio::test]
async fn payloads_that_are_refused_do_not_close_the_connection() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    for (payload, headers, expected) in [
        (r#""\ud83d""#, "{}", "invalid_json"),
        (r#"{"a":1,"a":2}"#, "{}", "invalid_json"),
        (deep.as_str(), "{}", "too_deep"),
        ("1", r#"{"number":1}"#, "invalid_envelope"),
    ] {
        for _ in 0..4 {
            peer.send_text(&format!(r#"{{"type":"message","id":"m","room":"a","channel":"b","headers":{headers},"payload":{payload}}}"#)).await;
            assert_eq!(code(&peer.response("m").await), expected, "{payload}");
        }
    }
    peer.settle().await;
}

#[tokio::test]
async fn connections_over_the_cap_get_503() {
    let server = Server::with(|config| config.limits.connections = 3);
    let peers = [Peer::connect(&server).await, Peer::connect(&server).await, Peer::connect(&server).await];
    let mut surplus = Socket::plain(server.address()).await;
    surplus.write(upgrade("/v1/ws", &server.address().to_string(), "").as_bytes()).await;
    let answer = surplus.answer().await.expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    for peer in peers {
        peer.close().await;
    }
    arqonbus_tests::harness::clock::eventually("room again", async || Peer::try_introduce(&server, &json!({})).await).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let server = Server::with(|config| config.limits.http_body_bytes = 10_000);
    let answer = http::post(server.address(), "/v1/envelopes", &" ".repeat(10_001)).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_replay_is_bounded() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    peer.join_with("a:b", json!({"replay": 100_000})).await;
    for replay in [json!(100_001), json!(-1), json!(2_147_483_648_u64), json!("all")] {
        let refused = peer.refused("join_channel", json!({"room": "a", "channel": "b", "replay": replay})).await;
        assert_eq!(refused, "invalid_args", "replay {replay}");
    }
}
