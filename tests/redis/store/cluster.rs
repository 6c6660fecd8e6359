//! The store on a Redis Cluster: topics in several slots, on several servers.

use arqonbus_server::config::{OnOutage, StorageKind};
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::message;
use arqonbus_tests::harness::redis::{Cluster, Redis};
use arqonbus_tests::harness::{Peer, Server};
use serde_json::{Value, json};

use super::{Node, history};

#[tokio::test]
async fn topics_of_all_slots_are_kept_and_delivered_by_all_nodes() {
    let cluster = Cluster::start().await;
    let node = || {
        Server::with(|config| {
            config.storage.kind = StorageKind::Redis;
            config.storage.redis = cluster.config();
        })
    };
    let (a, b) = (node(), node());
    let topics: Vec<String> = (0..12).map(|n| format!("r:c{n}")).collect();
    let mut member = Peer::connect(&b).await;
    for topic in &topics {
        member.join(topic).await;
    }
    let mut publisher = Peer::connect(&a).await;
    // All at once, so that one batch has several slots in it.
    for (n, topic) in topics.iter().enumerate() {
        publisher.send(&message(topic, json!(n))).await;
    }
    for _ in &topics {
        let ack = publisher.next().await;
        assert_eq!((&ack["status"], &ack["result"]["durability"]), (&json!("ok"), &json!("redis")), "{ack}");
    }
    let mut heard = member.payloads(topics.len()).await;
    heard.sort_by_key(Value::as_u64);
    assert_eq!(heard, (0..topics.len()).map(|n| json!(n)).collect::<Vec<_>>());
    for (n, topic) in topics.iter().enumerate() {
        assert_eq!(history(&b, topic).await, [json!(n)]);
    }
}

/// A node that waits for a replica of whichever primary.
fn waiting(cluster: &Cluster, sabotage: Option<Sabotage>) -> Node {
    Node::by(cluster.config(), sabotage, |config| {
        (config.storage.redis.wait_replicas, config.storage.redis.wait_ms) = (1, 400);
        config.storage.redis.on_outage = OnOutage::Reject;
    })
}

/// A message whose id goes by its topic and payload.
fn publish(topic: &str, payload: &str) -> Value {
    let mut publish = message(topic, json!(payload));
    publish["id"] = json!(format!("{topic}-{payload}").replace([':', ' '], "-"));
    publish
}

/// Publishes to all topics at once; what each was answered, in their order.
async fn publish_at_once(peer: &mut Peer, topics: &[String], payload: &str) -> Vec<Value> {
    let publishes: Vec<Value> = topics.iter().map(|topic| publish(topic, payload)).collect();
    for publish in &publishes {
        peer.send(publish).await;
    }
    let mut answers = Vec::new();
    for publish in publishes {
        answers.push(peer.response(publish["id"].as_str().expect("an id")).await);
    }
    answers
}

/// One replica stands still: the topics of its primary, and what publishes to them are told; the same for all others.
async fn one_replica_stands_still(sabotage: Option<Sabotage>) -> (Vec<Value>, Vec<Value>) {
    let cluster = Cluster::with_replicas().await;
    let node = waiting(&cluster, sabotage);
    let topics: Vec<String> = (0..24).map(|n| format!("r:c{n}")).collect();
    let mut peer = Peer::connect(&node).await;
    // A busy machine may take longer than the wait: then the outcome is unknown, and the same id is sent again.
    let all_kept = async |peer: &mut Peer| {
        let are_kept = |answers: Vec<Value>| answers.iter().all(|answer| answer["result"]["durability"] == "redis").then_some(());
        eventually("all acknowledged", async || are_kept(publish_at_once(peer, &topics, "first").await)).await;
    };
    all_kept(&mut peer).await;
    let waits = async || {
        let mut calls = 0;
        for node in &cluster.nodes {
            let stats: String = redis::from_redis_value(node.tell(&["INFO", "commandstats"]).await).expect("text");
            let of_wait = stats.lines().find_map(|line| line.strip_prefix("cmdstat_wait:calls=")?.split(',').next()?.parse::<usize>().ok());
            calls += of_wait.unwrap_or_default();
        }
        calls
    };
    let keepers: Vec<usize> = {
        let mut keepers = Vec::new();
        for topic in &topics {
            keepers.push(cluster.keeper(topic).await);
        }
        keepers
    };
    assert!((0..3).all(|keeper| keepers.contains(&keeper)), "each primary keeps some: {keepers:?}");
    cluster.replicas[0].pause();
    let before = waits().await;
    let answers = publish_at_once(&mut peer, &topics, "second").await;
    if sabotage.is_none() {
        assert!(waits().await - before < topics.len(), "a server is asked once for all that it keeps");
    }
    cluster.replicas[0].go_on();
    for topic in &topics {
        eventually("what was stored, whoever had it", async || {
            peer.request(publish(topic, "second")).await;
            (history(&node, topic).await == [json!("first"), json!("second")]).then_some(())
        })
        .await;
    }
    let of =
        |is_kept: fn(usize) -> bool| answers.iter().zip(&keepers).filter(|(_, keeper)| is_kept(**keeper)).map(|(answer, _)| answer.clone()).collect();
    (of(|keeper| keeper == 0), of(|keeper| keeper != 0))
}

#[tokio::test]
async fn g04_where_replicas_must_have_it_each_server_of_a_cluster_is_asked_for_its_own() {
    let (still, others) = one_replica_stands_still(None).await;
    assert!(still.iter().all(|answer| answer["status"] == "error"), "{still:?}");
    assert!(still.iter().any(|answer| answer["error"]["code"] == "outcome_unknown"), "stored, and not as it should be: {still:?}");
    // Of those that are well, a busy machine may keep one waiting.
    assert!(others.iter().any(|answer| answer["result"]["durability"] == "redis"), "{others:?}");
}

#[tokio::test]
async fn g04_is_red_where_replicas_are_not_waited_for_in_a_cluster() {
    let (still, _) = one_replica_stands_still(Some(Sabotage::AckUnreplicated)).await;
    assert!(still.iter().all(|answer| answer["status"] == "ok"), "{still:?}");
}

#[tokio::test]
async fn g04_what_a_replica_had_to_have_is_there_after_its_primary_is_gone() {
    let mut cluster = Cluster::with_replicas().await;
    let node = waiting(&cluster, None);
    let mut peer = Peer::connect(&node).await;
    let acked = async |peer: &mut Peer, n: usize| {
        eventually("an ack", async || (peer.request(publish("r:c", &n.to_string())).await["result"]["durability"] == "redis").then_some(())).await;
    };
    for n in 0..20 {
        acked(&mut peer, n).await;
    }
    let keeper = cluster.keeper("r:c").await;
    cluster.fail_over(keeper).await;
    let held = cluster.replicas[keeper].tell(&["EXISTS", "{arqonbus:room:r:channel:c}"]).await;
    assert_eq!(held, redis::Value::Int(1));
    // Its primary has no replica any more: nothing is acknowledged until there is one.
    let refused = eventually("an answer of the new primary", async || {
        let answer = peer.request(publish("r:c", "20")).await;
        (answer["error"]["code"] == "outcome_unknown").then_some(answer)
    });
    refused.await;
    let mut history = history(&node, "r:c").await;
    history.truncate(20);
    assert_eq!(history, (0..20).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

/// What goes to one server together goes alone once a slot of it has moved.
#[tokio::test]
async fn where_replicas_are_waited_for_a_slot_that_has_moved_fails_no_other() {
    let cluster = Cluster::with_replicas().await;
    let node = Node::by(cluster.config(), None, |config| config.storage.redis.wait_replicas = 1);
    let mut topics = Vec::new();
    for n in 0..30 {
        let topic = format!("r:c{n}");
        if cluster.keeper(&topic).await == 0 {
            topics.push(topic);
        }
    }
    let mut peer = Peer::connect(&node).await;
    let all_are_kept = async |peer: &mut Peer, payload: &str| {
        publish_at_once(peer, &topics, payload).await.iter().all(|answer| answer["result"]["durability"] == "redis")
    };
    let mut wrong = Vec::new();
    // A busy machine may take longer than is waited, so one round may fail for another reason.
    for round in 0..3 {
        eventually("all acknowledged", async || all_are_kept(&mut peer, &format!("before {round}")).await.then_some(())).await;
        let mut member = Peer::joined(&node, &topics[0]).await;
        cluster.move_topic(&topics[1 + round], 0, 1).await;
        let after = format!("after {round}");
        if !all_are_kept(&mut peer, &after).await {
            wrong.push("not acknowledged".to_owned());
            continue;
        }
        // What is taken for an outage is told to the members of others too.
        let told = member.next().await;
        if told["payload"] == json!(after) {
            return;
        }
        wrong.push(told.to_string());
    }
    panic!("{wrong:?}");
}

/// On newer servers `WAIT` knows only of its connection's latest write: what another connection wrote is no reason to wait.
#[tokio::test]
async fn g04_what_was_stored_before_is_written_to_again_so_that_it_is_waited_for() {
    let redis = Redis::start().await;
    let _replica = Redis::replica_of(&redis).await;
    let node = Node::with(&redis, None, |config| config.storage.redis.wait_replicas = 1);
    let mut peer = Peer::connect(&node).await;
    let expires = async || redis.tell(&["PEXPIRETIME", "{arqonbus:room:r:channel:c}:meta"]).await;
    eventually("an ack", async || (peer.request(publish("r:c", "1")).await["status"] == "ok").then_some(())).await;
    let before = expires().await;
    eventually("a write", async || {
        let again = peer.request(publish("r:c", "1")).await;
        assert!(again["status"] != "ok" || again["result"]["duplicate"] == true, "{again}");
        (expires().await != before).then_some(())
    })
    .await;
}
