//! Topics that only other nodes have open, or only Redis knows (N-11, N-12).

use arqonbus_server::config;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::clock::eventually;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Node, heard, know_each_other, node, nodes, patience, quick_redis, red, says};

/// Channels begin only by command, on one node, and are joined on the other.
async fn created_by_command(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let nodes = broken.map(|broken| Node::by(config.clone(), broken, |config| config.create = config::Create::Explicit));
    know_each_other(&nodes, &broken).await;
    let [a, b] = nodes;
    let (mut ada, mut bob) = (Peer::connect(&a).await, Peer::connect(&b).await);
    assert_eq!(bob.refused("join_channel", json!({"room": "room", "channel": "one"})).await, "unknown_channel");
    ada.ok("create_channel", json!({"room": "room", "channel": "one"})).await;
    bob.join("room:one").await;
    assert_eq!(ada.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    ada.ok("delete_channel", json!({"room": "room", "channel": "one"})).await;
    assert_eq!(bob.event("deleted").await, json!({"by": ada.client}));
    assert_eq!(bob.refused("join_channel", json!({"room": "room", "channel": "one"})).await, "unknown_channel");
}

#[tokio::test]
async fn n11_a_channel_that_is_only_created_by_command_is_known_on_every_node() {
    created_by_command([None; 2]).await;
}

#[tokio::test]
async fn n11_is_red_where_other_nodes_are_not_asked() {
    says(&red(created_by_command([None, Some(Sabotage::AskNoNode)])).await, "unknown_channel");
}

/// A node is asked for a topic that was open on one that is gone.
async fn held_by_redis(broken: Option<Sabotage>) {
    let (_redis, config) = quick_redis().await;
    let a = node(&config, None);
    Peer::connect(&a).await.publish("room:one", json!("kept")).await;
    a.stop().await;
    let b = node(&config, broken);
    let mut reader = Peer::connect(&b).await;
    let history = reader.ok("history", json!({"room": "room", "channel": "one"})).await;
    assert_eq!(history["messages"][0]["payload"], "kept", "{history}");
    assert_eq!(reader.refused("history", json!({"room": "room", "channel": "two"})).await, "unknown_channel");
    let created = reader.request(json!({"type": "command", "command": "create_channel", "args": {"room": "room", "channel": "one"}})).await;
    assert_eq!(created["result"]["created"], false, "{created}");
}

#[tokio::test]
async fn n11_what_redis_holds_is_known_although_no_node_has_it_open() {
    held_by_redis(None).await;
}

#[tokio::test]
async fn n11_is_red_where_redis_is_not_asked() {
    says(&red(held_by_redis(Some(Sabotage::ForgetWhatRedisHolds))).await, "unknown_channel");
}

/// A pattern is joined on one node, and topics are opened on the other: before, afterwards, and while nothing is heard.
pub(super) async fn patterns(broken: [Option<Sabotage>; 2]) {
    let (redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let (mut ada, mut bob) = (Peer::connect(&a).await, Peer::connect(&b).await);
    // Open over there before, with a past.
    for n in 0..3 {
        bob.publish("room:old", json!(n)).await;
    }
    let joined = ada.ok("join_channel", json!({"room": "room", "channel": "*"})).await;
    assert_eq!((&joined["topics"][0]["channel"], &joined["topics"][0]["start"]["seq"]), (&json!("old"), &json!(3)), "{joined}");
    // Born over there afterwards: nothing of it is missed.
    for n in 0..50 {
        bob.publish("room:old", json!(["old", n])).await;
        bob.publish("room:new", json!(["new", n])).await;
    }
    let seen = heard(&mut ada, 100, patience(&broken)).await;
    for topic in ["old", "new"] {
        let of_it: Vec<_> = seen.iter().filter(|payload| payload[0] == topic).filter_map(|payload| payload[1].as_u64()).collect();
        assert_eq!(of_it, (0..50).collect::<Vec<_>>(), "all of the {topic} one");
    }
    // Opened while this node heard nothing: found once it hears again.
    redis.cut("pubsub").await;
    bob.publish("room:third", json!(0)).await;
    eventually("the third topic", async || {
        bob.publish("room:third", json!(1)).await;
        ada.already().await.map(drop)
    })
    .await;
    // Until the other node hears again, too, patterns are refused.
    eventually("an answer of all nodes", async || bob.ok("status", json!({})).await["incomplete"].is_null().then_some(())).await;
    eventually("an answer of all nodes", async || ada.ok("status", json!({})).await["incomplete"].is_null().then_some(())).await;
    // With positions of topics that nobody has open.
    let mut carol = Peer::connect(&a).await;
    let positions = json!([{"room": "room", "channel": "old", "epoch": joined["topics"][0]["head"]["epoch"], "seq": 51}]);
    carol.ok("join_channel", json!({"room": "room", "channel": "o*", "positions": positions})).await;
    assert_eq!(carol.payloads(2).await, [json!(["old", 48]), json!(["old", 49])]);
}

#[tokio::test]
async fn n12_a_pattern_receives_what_is_published_in_topics_that_only_other_nodes_have() {
    patterns([None; 2]).await;
}

#[tokio::test]
async fn n12_is_red_where_other_nodes_are_not_asked() {
    says(&red(patterns([Some(Sabotage::AskNoNode), None])).await, "String(\"old\")");
}

/// Several nodes begin the same topics at once, and somebody listens to all of them by a pattern.
async fn begun_together(broken: Option<Sabotage>) {
    const TOPICS: u64 = 60;
    let (_redis, config) = quick_redis().await;
    let nodes = nodes(&config, [broken, None, None]).await;
    let mut ada = Peer::connect(&nodes[0]).await;
    ada.ok("join_channel", json!({"room": "room", "channel": "*"})).await;
    let mut publishers = [Peer::connect(&nodes[0]).await, Peer::connect(&nodes[1]).await, Peer::connect(&nodes[2]).await];
    for topic in 0..TOPICS {
        let [a, b, c] = &mut publishers;
        let topic = format!("room:t{topic}");
        tokio::join!(a.publish(&topic, json!("a")), b.publish(&topic, json!("b")), c.publish(&topic, json!("c")));
    }
    let mut seqs = vec![Vec::new(); TOPICS as usize];
    for _ in 0..3 * TOPICS {
        let Ok(message) = timeout(patience(&[broken]), ada.message()).await else { break };
        let topic: usize = message["channel"].as_str().and_then(|channel| channel[1..].parse().ok()).expect("a topic of these");
        seqs[topic].push(message["seq"].as_u64().expect("a seq"));
    }
    let not_whole: Vec<_> = seqs.iter().filter(|seqs| **seqs != [1, 2, 3]).collect();
    assert!(not_whole.is_empty(), "not all of: {not_whole:?}");
}

#[tokio::test]
async fn n12_topics_that_several_nodes_begin_at_once_are_received_from_their_first_message() {
    begun_together(None).await;
}

#[tokio::test]
async fn n12_is_red_where_other_nodes_are_not_asked_where_a_topic_began() {
    says(&red(begun_together(Some(Sabotage::AskNoNode))).await, "not all of");
}

/// What no node has open is found by whoever resumes a pattern or asks for a replay, also after Redis lost the list of it.
async fn patterns_of_the_past(broken: Option<Sabotage>) {
    let (redis, config) = quick_redis().await;
    let a = node(&config, None);
    let mut sender = Peer::connect(&a).await;
    for topic in ["room:one", "room:two", "elsewhere:three", "room:gone"] {
        sender.publish(topic, json!(topic)).await;
    }
    sender.ok("delete_channel", json!({"room": "room", "channel": "gone"})).await;
    drop(sender);
    a.stop().await;
    let b = node(&config, broken);
    let mut resumes = Peer::connect(&b).await;
    let joined = resumes.ok("join_channel", json!({"room": "room", "channel": "*", "positions": []})).await;
    assert_eq!(joined["topics"].as_array().map(Vec::len), Some(2), "{joined}");
    let mut seen = resumes.payloads(2).await;
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["room:one", "room:two"]);
    let mut replays = Peer::connect(&b).await;
    replays.ok("join_channel", json!({"room": "else*", "channel": "*", "replay": 5})).await;
    assert_eq!(replays.payloads(1).await, ["elsewhere:three"]);
    // A Redis that lost everything has lost the list: what goes on is listed anew.
    redis.flush_all().await;
    resumes.publish("room:one", json!("afterwards")).await;
    drop((resumes, replays));
    b.stop().await;
    let c = node(&config, None);
    let mut later = Peer::connect(&c).await;
    later.ok("join_channel", json!({"room": "*", "channel": "*", "replay": 1})).await;
    assert_eq!(later.payloads(1).await, ["afterwards"]);
}

#[tokio::test]
async fn n12_a_pattern_that_asks_for_the_past_gets_topics_that_no_node_has_open() {
    patterns_of_the_past(None).await;
}

#[tokio::test]
async fn n12_is_red_where_redis_is_not_asked() {
    says(&red(patterns_of_the_past(Some(Sabotage::ForgetWhatRedisHolds))).await, "\"topics\":[]");
}

/// What a pattern would not receive because the bus has all the channels that it may have, is said.
#[tokio::test]
async fn n12_a_pattern_is_refused_that_would_open_more_channels_than_the_bus_may_have() {
    let (_redis, config) = quick_redis().await;
    let a = node(&config, None);
    let mut sender = Peer::connect(&a).await;
    for topic in ["room:one", "room:two", "room:three"] {
        sender.publish(topic, json!(topic)).await;
    }
    drop(sender);
    a.stop().await;
    let b = Node::by(config, None, |config| config.limits.channels = 2);
    let mut resumes = Peer::connect(&b).await;
    assert_eq!(resumes.refused("join_channel", json!({"room": "room", "channel": "*", "positions": []})).await, "limit_exceeded");
}
