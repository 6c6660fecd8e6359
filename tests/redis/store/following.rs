//! A node follows the topics that somebody there hears, and no others: from before the first message that is theirs until they have left.

use arqonbus_protocol::Position;
use arqonbus_server::config::{Config, Create, OnOutage};
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::{position, topic_args};
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::{Value, json};

use super::{Node, all_are};

const TOPIC: &str = "lobby:chat";

/// Nothing is found by looking at the heads, and whoever leaves is gone.
fn prompt(config: &mut Config) {
    config.storage.redis.head_check_ms = 600_000;
    config.storage.redis.linger_ms = 0;
}

/// How many nodes follow the topic.
async fn followers(redis: &Redis) -> i64 {
    let feed = format!("{{{}:room:lobby:channel:chat}}:feed", redis.config().prefix);
    let answer = redis.tell(&["PUBSUB", "NUMSUB", &feed]).await;
    redis::from_redis_value::<(String, i64)>(answer).expect("a channel and a count").1
}

async fn followed_by(redis: &Redis, followers_expected: i64) {
    eventually("the nodes that follow", async || (followers(redis).await == followers_expected).then_some(())).await;
}

/// How many nodes follow a topic that is only published to, once both have.
async fn followers_of_a_published(sabotage: Option<Sabotage>) -> i64 {
    let redis = Redis::start().await;
    let nodes = [Node::with(&redis, sabotage, prompt), Node::with(&redis, sabotage, prompt)];
    for node in &nodes {
        let mut publisher = Peer::connect(node).await;
        publisher.publish(TOPIC, json!(1)).await;
        publisher.ok("history", topic_args(TOPIC, json!({}))).await;
        publisher.ok("channel_info", topic_args(TOPIC, json!({}))).await;
    }
    followers(&redis).await
}

#[tokio::test]
async fn a_topic_that_is_only_published_to_and_read_is_not_followed() {
    assert_eq!(followers_of_a_published(None).await, 0);
}

#[tokio::test]
async fn it_is_red_where_every_topic_is_followed() {
    assert_eq!(followers_of_a_published(Some(Sabotage::FollowAll)).await, 2);
}

#[tokio::test]
async fn a_topic_is_followed_for_each_way_into_it_until_that_is_left() {
    let redis = Redis::start().await;
    let nodes = [Node::with(&redis, None, prompt), Node::with(&redis, None, prompt)];
    Peer::connect(&nodes[0]).await.publish(TOPIC, json!(1)).await;
    for way in [topic_args(TOPIC, json!({})), topic_args(TOPIC, json!({"group": "g"})), json!({"room": "lobby", "channel": "*"})] {
        let mut member = Peer::connect(&nodes[0]).await;
        member.ok("join_channel", way.clone()).await;
        assert_eq!(followers(&redis).await, 1, "{way}");
        member.ok("leave_channel", way).await;
        followed_by(&redis, 0).await;
    }
}

/// What a first member hears of what another node publishes, as far as it comes in a second; its own node has published before.
async fn heard_of_another_node(sabotage: Option<Sabotage>) -> usize {
    let redis = Redis::start().await;
    let [a, b] = [Node::with(&redis, sabotage, prompt), Node::with(&redis, sabotage, prompt)];
    Peer::connect(&a).await.publish(TOPIC, json!("before")).await;
    let mut other = Peer::connect(&b).await;
    other.publish(TOPIC, json!("before")).await;
    let mut member = Peer::connect(&a).await;
    let start = member.join(TOPIC).await;
    assert_eq!(start.start.seq, 2, "it begins at the head, whoever published there");
    for n in 0..10 {
        other.publish(TOPIC, json!(n)).await;
    }
    let mut heard = 0;
    while let Ok(message) = tokio::time::timeout(std::time::Duration::from_secs(1), member.message()).await {
        assert_eq!(message["payload"], json!(heard));
        heard += 1;
        if heard == 10 {
            break;
        }
    }
    heard
}

#[tokio::test]
async fn a_first_member_hears_other_nodes_from_its_start() {
    assert_eq!(heard_of_another_node(None).await, 10);
}

#[tokio::test]
async fn it_is_red_where_the_feed_is_not_followed() {
    assert_eq!(heard_of_another_node(Some(Sabotage::FollowNothing)).await, 0);
}

#[tokio::test]
async fn whoever_comes_and_goes_under_load_misses_and_repeats_nothing() {
    let redis = Redis::start().await;
    let [a, b] = [Node::with(&redis, None, prompt), Node::with(&redis, None, prompt)];
    let publishers: Vec<_> = [&a, &b]
        .into_iter()
        .map(|node| async {
            let mut publisher = Peer::connect(node).await;
            loop {
                publisher.publish(TOPIC, json!("load")).await;
            }
        })
        .collect();
    let member = async {
        let mut since: Option<Position> = None;
        for _ in 0..8 {
            let mut member = Peer::connect(&a).await;
            let start = member.join_with(TOPIC, json!({"since": since})).await;
            let mut last = start.start;
            if let Some(since) = since {
                assert_eq!(last, since, "no gap");
            }
            // Into what is live by then.
            while last.seq < start.head.seq + 50 {
                let position = position(&member.message().await);
                assert_eq!((position.epoch, position.seq), (last.epoch, last.seq + 1));
                last = position;
            }
            since = Some(last);
            member.close().await;
            followed_by(&redis, 0).await;
        }
    };
    let [first, second] = <[_; 2]>::try_from(publishers).unwrap_or_else(|_| unreachable!("there are two"));
    tokio::select! {
        () = member => {}
        never = first => never,
        never = second => never,
    }
}

/// What a channel that nobody hears is to one node after another has deleted it: the code of the refusal, if there is one.
async fn deleted_elsewhere(sabotage: Option<Sabotage>) -> Option<String> {
    let redis = Redis::start().await;
    let only_created = |config: &mut Config| {
        prompt(config);
        config.create = Create::Explicit;
    };
    let [a, b] = [Node::with(&redis, None, only_created), Node::with(&redis, sabotage, only_created)];
    let (mut here, mut there) = (Peer::connect(&a).await, Peer::connect(&b).await);
    for peer in [&mut here, &mut there] {
        peer.ok("create_channel", topic_args(TOPIC, json!({}))).await;
    }
    there.ok("delete_channel", topic_args(TOPIC, json!({}))).await;
    let join = json!({"type": "command", "command": "join_channel", "args": topic_args(TOPIC, json!({}))});
    here.request(join).await["error"]["code"].as_str().map(ToOwned::to_owned)
}

#[tokio::test]
async fn a_channel_that_nobody_hears_is_deleted_on_all_nodes_before_that_is_acknowledged() {
    assert_eq!(deleted_elsewhere(None).await.as_deref(), Some("unknown_channel"));
}

#[tokio::test]
async fn it_is_red_where_no_other_node_is_told() {
    assert_eq!(deleted_elsewhere(Some(Sabotage::AskNoNode)).await, None);
}

#[tokio::test]
async fn history_is_read_by_positions_of_a_log_that_another_node_began_unnoticed() {
    let redis = Redis::start().await;
    let [a, b] = [Node::with(&redis, None, prompt), Node::with(&redis, None, prompt)];
    let (mut here, mut there) = (Peer::connect(&a).await, Peer::connect(&b).await);
    here.publish(TOPIC, json!("of another log")).await;
    there.publish(TOPIC, json!("of another log")).await;
    redis.flush_all().await;
    let positions = [there.publish_at(TOPIC, json!(1)).await, there.publish_at(TOPIC, json!(2)).await];
    there.publish(TOPIC, json!(3)).await;
    let page = here.ok("history", topic_args(TOPIC, json!({"since": positions[0], "until": positions[1]}))).await;
    let seqs: Vec<_> = page["messages"].as_array().expect("messages").iter().map(|message| position(message).seq).collect();
    assert_eq!(seqs, (positions[0].seq + 1..=positions[1].seq).collect::<Vec<_>>(), "{page}");
}

/// A first member comes while Redis is away, after its node has published; Redis comes back, and another node publishes.
async fn heard_after_an_outage(on_outage: OnOutage) -> Vec<Value> {
    let mut redis = Redis::append_only("always").await;
    let change = |config: &mut Config| {
        prompt(config);
        config.storage.redis.on_outage = on_outage;
    };
    let [a, b] = [Node::with(&redis, None, change), Node::with(&redis, None, change)];
    for node in [&a, &b] {
        Peer::connect(node).await.publish(TOPIC, json!("before")).await;
    }
    redis.kill();
    all_are("degraded", &[a.address(), b.address()]).await;
    let mut member = Peer::connect(&a).await;
    if on_outage == OnOutage::Reject {
        assert_eq!(member.refused("join_channel", topic_args(TOPIC, json!({}))).await, "storage_unavailable");
    } else {
        member.join(TOPIC).await;
        Peer::connect(&a).await.publish(TOPIC, json!("meanwhile")).await;
    }
    redis.restart().await;
    all_are("healthy", &[a.address(), b.address()]).await;
    if on_outage == OnOutage::Reject {
        member.join(TOPIC).await;
    }
    followed_by(&redis, 1).await;
    let mut other = Peer::connect(&b).await;
    for n in 0..3 {
        other.publish(TOPIC, json!(n)).await;
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&json!(2)) {
        let envelope = member.next().await;
        heard.push(if envelope["type"] == "event" { envelope["data"]["reason"].clone() } else { envelope["payload"].clone() });
    }
    heard
}

#[tokio::test]
async fn whoever_joins_without_redis_hears_other_nodes_once_it_is_back() {
    assert_eq!(heard_after_an_outage(OnOutage::Degrade).await, [json!("meanwhile"), json!("restored"), json!(0), json!(1), json!(2)]);
}

#[tokio::test]
async fn whoever_is_refused_without_redis_hears_other_nodes_once_it_has_joined() {
    assert_eq!(heard_after_an_outage(OnOutage::Reject).await, [json!(0), json!(1), json!(2)]);
}
