//! Who is there, on all nodes: lists, presence, and the identity that a client takes along (N-8 to N-10).

use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::peer::text;
use arqonbus_tests::harness::{Ended, Peer};
use serde_json::{Value, json};

use super::{comes_true, node, nodes, patience, presence, quick_redis, red, says, to};

fn list<'a>(result: &'a Value, name: &str) -> &'a Vec<Value> {
    result[name].as_array().unwrap_or_else(|| panic!("{name} in {result}"))
}

/// Everything that lists something, on a bus of two nodes.
async fn lists(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let mut ada = Peer::introduce(&a, json!({"user": "ada"})).await;
    let mut bob = Peer::introduce(&b, json!({"user": "bob"})).await;
    for (peer, topics) in [(&mut ada, ["room:one", "room:two"]), (&mut bob, ["room:two", "room:three"])] {
        for topic in topics {
            peer.join(topic).await;
        }
    }
    let rooms = ada.ok("list_rooms", json!({"after": "_telemetry"})).await;
    assert_eq!(rooms, json!({"rooms": [{"room": "room", "channels": 3, "members": 4}]}));
    let channels = bob.ok("list_channels", json!({"room": "room", "limit": 2})).await;
    let seen: Vec<_> = list(&channels, "channels").iter().map(|channel| (channel["channel"].clone(), channel["members"].clone())).collect();
    assert_eq!((seen, &channels["next"]), (vec![(json!("one"), json!(1)), (json!("three"), json!(1))], &json!("three")));
    let members = ada.ok("members", json!({"room": "room", "channel": "two"})).await;
    let mut users: Vec<_> = list(&members, "members").iter().map(|member| text(&member["user"])).collect();
    users.sort();
    assert_eq!((users, &members["total"]), (vec!["ada".to_owned(), "bob".to_owned()], &json!(2)));
    let page = ada.ok("members", json!({"room": "room", "channel": "two", "limit": 1})).await;
    let rest = ada.ok("members", json!({"room": "room", "channel": "two", "after": page["next"]})).await;
    assert_eq!((list(&page, "members").len(), list(&rest, "members").len(), &page["total"]), (1, 1, &json!(2)));
    assert_eq!(ada.ok("channel_info", json!({"room": "room", "channel": "two"})).await["members"], 2);
    assert_eq!(ada.ok("members", json!({"room": "room", "channel": "three"})).await["total"], 1, "known over there");
    assert_eq!(ada.refused("members", json!({"room": "room", "channel": "none"})).await, "unknown_channel");
    let status = ada.ok("status", json!({})).await;
    let nodes = list(&status, "nodes");
    assert_eq!((nodes.len(), status["incomplete"].clone()), (2, Value::Null), "{status}");
    assert_eq!(nodes.iter().map(|node| node["connections"].as_u64().expect("a count")).sum::<u64>(), 2);
    assert!(nodes.iter().any(|node| node["node"] == status["node"]));
}

#[tokio::test]
async fn n08_lists_are_of_the_whole_bus() {
    lists([None; 2]).await;
}

#[tokio::test]
async fn n08_is_red_where_other_nodes_are_not_asked() {
    says(&red(lists([Some(Sabotage::AskNoNode), None])).await, "\"members\": Number(2)");
}

/// Everything that lists something, after all nodes were restarted: Redis still holds messages of what nobody has open.
async fn lists_of_the_past(broken: Option<Sabotage>) {
    let (redis, config) = quick_redis().await;
    let a = node(&config, None);
    let mut sender = Peer::connect(&a).await;
    for topic in ["room:a", "room:b", "room:b", "room:c", "room:gone", "attic:x"] {
        sender.publish(topic, json!(topic)).await;
    }
    // Joined, and nothing was ever published there.
    sender.join("room:empty").await;
    sender.ok("delete_channel", json!({"room": "room", "channel": "gone"})).await;
    drop(sender);
    a.stop().await;
    let b = node(&config, broken);
    let mut reader = Peer::joined(&b, "room:b").await;
    let rooms = reader.ok("list_rooms", json!({})).await;
    let mut seen = list(&rooms, "rooms").clone();
    seen.retain(|room| room["room"] != "_telemetry");
    let expected = [json!({"room": "attic", "channels": 1, "members": 0}), json!({"room": "room", "channels": 3, "members": 1})];
    assert_eq!((seen.as_slice(), &rooms["incomplete"]), (expected.as_slice(), &Value::Null), "rooms that Redis holds messages of");
    let page = reader.ok("list_channels", json!({"room": "room", "limit": 2})).await;
    let of = |channels: &Value| {
        list(channels, "channels").iter().map(|one| (one["channel"].clone(), one["members"].clone(), one["head"]["seq"].clone())).collect::<Vec<_>>()
    };
    assert_eq!((of(&page), &page["next"]), (vec![(json!("a"), json!(0), json!(1)), (json!("b"), json!(1), json!(2))], &json!("b")));
    let rest = reader.ok("list_channels", json!({"room": "room", "after": page["next"]})).await;
    assert_eq!((of(&rest), &rest["next"]), (vec![(json!("c"), json!(0), json!(1))], &Value::Null));
    // The position that is listed is the one that the log goes on from.
    let info = reader.ok("channel_info", json!({"room": "room", "channel": "a"})).await;
    assert_eq!((&info["head"], &info["messages"]), (&page["channels"][0]["head"], &json!(1)));
    let members = reader.ok("members", json!({"room": "attic", "channel": "x"})).await;
    assert_eq!(members, json!({"members": [], "total": 0}));
    assert_eq!(reader.refused("members", json!({"room": "room", "channel": "none"})).await, "unknown_channel");
    redis.flush_all().await;
    let rooms = reader.ok("list_rooms", json!({"after": "a", "limit": 1})).await;
    assert_eq!(list(&rooms, "rooms")[0]["room"], "room", "what Redis has lost is not listed: {rooms}");
}

#[tokio::test]
async fn n08_lists_have_what_redis_holds_and_no_node_has_open() {
    lists_of_the_past(None).await;
}

#[tokio::test]
async fn n08_is_red_where_redis_is_not_asked() {
    says(&red(lists_of_the_past(Some(Sabotage::ForgetWhatRedisHolds))).await, "rooms that Redis holds messages of");
}

/// Two members of one topic, on two nodes.
async fn counts(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let mut ada = Peer::joined(&a, "room:one").await;
    // Once a question is answered, what was told before it has been heard: from now on the other node knows of her only if it asks.
    ada.ok("members", json!({"room": "room", "channel": "one"})).await;
    let mut bob = Peer::joined(&b, "room:one").await;
    assert!(comes_true(patience(&broken), async || bob.join("room:one").await.members == 2).await, "both are counted");
}

#[tokio::test]
async fn n08_a_join_says_how_many_there_are_on_all_nodes() {
    counts([None; 2]).await;
}

#[tokio::test]
async fn n08_is_red_where_a_join_asks_nobody() {
    says(&red(counts([None, Some(Sabotage::AskNoNode)])).await, "both are counted");
}

/// Somebody watches a topic, and others come and go on the other node.
pub(super) async fn comings_and_goings(broken: [Option<Sabotage>; 2]) {
    let (redis, config) = quick_redis().await;
    let time = patience(&broken);
    let [a, b] = nodes(&config, broken).await;
    let _early = Peer::joined(&b, "room:one").await;
    let mut watcher = Peer::connect(&a).await;
    // What is answered came after what was told before.
    assert_eq!(watcher.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    watcher.join_with("room:one", json!({"presence": true})).await;
    let mut guest = Peer::introduce(&b, json!({"name": "Guest", "user": "ada"})).await;
    guest.join("room:one").await;
    let joined = presence(&mut watcher, time).await;
    assert_eq!(joined, Some(("joined".into(), guest.client.clone(), 3)), "who comes and goes is told, and who was there before is no news");
    guest.ok("leave_channel", json!({"room": "room", "channel": "one"})).await;
    let left = presence(&mut watcher, time).await;
    assert_eq!(left, Some(("left".into(), guest.client.clone(), 2)), "who comes and goes is told");
    // What was missed while the feed was away is told once it is back.
    redis.cut("pubsub").await;
    guest.join("room:one").await;
    let joined = presence(&mut watcher, time).await.expect("news");
    assert_eq!((joined.0.as_str(), &joined.1), ("joined", &guest.client));
    let client = guest.client.clone();
    guest.close().await;
    let left = presence(&mut watcher, time).await.expect("news");
    assert_eq!((left.0.as_str(), left.1), ("left", client));
}

#[tokio::test]
async fn n09_who_watches_is_told_who_comes_and_goes_elsewhere() {
    comings_and_goings([None; 2]).await;
}

/// A client takes its identity along to the other node.
pub(super) async fn a_client_moves(broken: [Option<Sabotage>; 2]) {
    let (redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let mut before = Peer::connect(&a).await;
    let connected = before.ok("connect", json!({"user": "ada"})).await;
    let args = json!({"user": "ada", "resume": connected["resume"]});
    let mut after = Peer::connect(&b).await;
    let resumed = after.ok("connect", args.clone()).await;
    assert_eq!((&resumed["client"], &resumed["resumed"]), (&connected["client"], &json!(true)), "it is who it was");
    let ended = tokio::time::timeout(patience(&broken), before.end()).await;
    assert_eq!(ended.ok(), Some(Ended(Some(4006))), "whoever resumes elsewhere leaves here");
    let mut sender = Peer::connect(&a).await;
    sender.request(to(&text(&connected["client"]), "psst")).await;
    assert_eq!(after.message().await["payload"], "psst");
    // A Redis that has lost everything takes the secret of whoever comes first.
    redis.flush_all().await;
    let c = node(&config, None);
    let again = Peer::connect(&c).await.ok("connect", args).await;
    assert_eq!(again["resumed"], false);
}

#[tokio::test]
async fn n10_a_client_resumes_its_identity_on_another_node() {
    a_client_moves([None; 2]).await;
}

#[tokio::test]
async fn n10_is_red_where_a_node_has_a_secret_of_its_own() {
    says(&red(a_client_moves([None, Some(Sabotage::OwnSecret)])).await, "it is who it was");
}
