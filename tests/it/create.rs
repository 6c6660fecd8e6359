//! How channels come to be and end.

use arqonbus_server::config::{Create, Rule};
use arqonbus_tests::harness::{
    Peer, Server,
    peer::{code, message},
};
use serde_json::json;

fn rule(topics: &str) -> Rule {
    Rule { topics: topics.parse().unwrap(), description: Some("declared".into()), history: None, groups: None, create: None }
}

#[tokio::test]
async fn an_explicit_channel_does_not_appear_by_use() {
    let server = Server::with(|config| {
        config.create = Create::Explicit;
        config.rules = vec![rule("declared:one"), Rule { create: Some(Create::OnUse), ..rule("free:*") }];
    });
    let mut peer = Peer::connect(&server).await;
    assert_eq!(peer.refused("join_channel", json!({"room": "a", "channel": "b"})).await, "unknown_channel");
    assert_eq!(code(&peer.request(message("a:b", json!(1))).await), "unknown_channel");
    for command in ["history", "members", "channel_info", "delete_channel"] {
        assert_eq!(peer.refused(command, json!({"room": "a", "channel": "b"})).await, "unknown_channel", "{command}");
    }
    let created = peer.ok("create_channel", json!({"room": "a", "channel": "b", "description": "mine"})).await;
    assert_eq!((&created["created"], &created["head"]["seq"]), (&json!(true), &json!(0)));
    assert_eq!(peer.ok("create_channel", json!({"room": "a", "channel": "b"})).await["created"], false);
    assert_eq!(peer.ok("channel_info", json!({"room": "a", "channel": "b"})).await["description"], "mine");
    for topic in ["a:b", "declared:one", "free:any"] {
        peer.join(topic).await;
        peer.publish(topic, json!(topic)).await;
        assert_eq!(peer.message().await["payload"], topic);
    }
    assert_eq!(peer.ok("channel_info", json!({"room": "declared", "channel": "one"})).await["description"], "declared");
}

#[tokio::test]
async fn a_deleted_channel_tells_its_members_and_is_gone() {
    let server = Server::start();
    let mut member = Peer::joined(&server, "a:b").await;
    let mut by_pattern = Peer::joined(&server, "a:*").await;
    let mut owner = Peer::connect(&server).await;
    let first = owner.publish_at("a:b", json!(1)).await;
    for peer in [&mut member, &mut by_pattern] {
        peer.message().await;
    }
    assert_eq!(owner.ok("delete_channel", json!({"room": "a", "channel": "b"})).await["members"], 2);
    for peer in [&mut member, &mut by_pattern] {
        assert_eq!(peer.event("deleted").await["by"], owner.client.as_str());
    }
    assert_eq!(member.refused("leave_channel", json!({"room": "a", "channel": "b"})).await, "not_joined", "the subscription has ended");
    let again = owner.publish_at("a:b", json!(2)).await;
    assert_eq!(again.seq, 1);
    assert_ne!(again.epoch, first.epoch);
    let born_again = by_pattern.message().await;
    assert_eq!((&born_again["payload"], &born_again["seq"]), (&json!(2), &json!(1)), "a pattern goes on matching");
}

#[tokio::test]
async fn a_description_is_bounded_and_the_servers_names_are_not_for_creating() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    let long = json!({"room": "a", "channel": "b", "description": "x".repeat(257)});
    assert_eq!(peer.refused("create_channel", long).await, "invalid_args");
    for (room, channel) in [("_a", "b"), ("a", "_b"), ("_telemetry", "activity")] {
        assert_eq!(peer.refused("create_channel", json!({"room": room, "channel": channel})).await, "invalid_name", "{room}:{channel}");
        let refused = peer.refused("delete_channel", json!({"room": room, "channel": channel})).await;
        assert!(["invalid_name", "unknown_channel"].contains(&refused.as_str()), "{room}:{channel}: {refused}");
    }
}
