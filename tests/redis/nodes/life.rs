//! Nodes that come, go, die, and hear nothing for a while (N-1, N-9, N-12).

use std::time::Duration;

use arqonbus_server::config;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::{PATIENCE, eventually};
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Process};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{comes_true, know, node, nodes, patience, presence, quick_redis, red, says};

/// How long is waited for the word that somebody is gone: until long after a node counts as dead.
const SILENCE: Duration = Duration::from_secs(14);

/// How many nodes a client's own node knows.
async fn known(peer: &mut Peer) -> usize {
    peer.ok("status", json!({})).await["nodes"].as_array().map_or(0, Vec::len)
}

/// One of two nodes drains.
async fn a_drain(broken: [Option<Sabotage>; 2]) {
    let redis = Redis::start().await;
    let config = config::Redis { node_dead_ms: 20_000, ..redis.config() };
    let [a, b] = nodes(&config, broken).await;
    let mut here = Peer::connect(&a).await;
    b.stop().await;
    // Long before its silence would say so.
    let alone = async || {
        let status = here.ok("status", json!({})).await;
        status["nodes"].as_array().map(Vec::len) == Some(1) && status["incomplete"].is_null()
    };
    assert!(comes_true(patience(&broken), alone).await, "who drains is gone at once");
}

#[tokio::test]
async fn n01_a_node_that_drains_is_gone_at_once() {
    a_drain([None; 2]).await;
}

#[tokio::test]
async fn n01_is_red_where_a_node_goes_without_a_word() {
    says(&red(a_drain([None, Some(Sabotage::LeaveSilently)])).await, "who drains is gone at once");
}

/// A node comes while the other one stands still.
async fn a_newcomer(broken: Option<Sabotage>) {
    let redis = Redis::start().await;
    let other = Process::start(&redis.lines());
    know(&other, 1).await;
    other.signal(Signal::STOP);
    let config = config::Redis { node_answer_ms: 60_000, ..redis.config() };
    let newcomer = node(&config, broken);
    // What is wrong is waited for; what is right shows nothing.
    let time = if broken.is_some() { PATIENCE } else { Duration::from_secs(2) };
    let early = timeout(time, Peer::connect(&newcomer)).await;
    assert!(early.is_err(), "nobody is served before the others are known");
    other.signal(Signal::CONT);
    assert_eq!(known(&mut Peer::connect(&newcomer).await).await, 2);
}

#[tokio::test]
async fn n01_whoever_comes_knows_the_others_before_it_serves_anybody() {
    a_newcomer(None).await;
}

#[tokio::test]
async fn n01_is_red_where_a_node_serves_before_it_knows_the_others() {
    says(&red(a_newcomer(Some(Sabotage::ServeUnacquainted))).await, "nobody is served before the others are known");
}

/// As long as it follows nothing it is not among those who receive its own hello: that one other does is no sign that all have answered.
#[tokio::test]
async fn n01_a_node_that_hears_nobody_does_not_take_itself_for_acquainted() {
    let redis = Redis::for_user("deaf", "deaf", "~* &* +@all -subscribe").await;
    let login = |name: &str| config::Redis { username: name.into(), password: name.to_owned().into(), node_answer_ms: 60_000, ..redis.config() };
    let other = node(&login("harness"), None);
    know(&other, 1).await;
    let newcomer = node(&login("deaf"), None);
    // It would be served by now.
    let early = timeout(Duration::from_secs(2), Peer::connect(&newcomer)).await;
    assert!(early.is_err(), "nobody is served before the others are known");
}

/// A node is killed, and somebody watches a topic with members there.
async fn a_death(broken: Option<Sabotage>) {
    let (redis, config) = quick_redis().await;
    let a = node(&config::Redis { node_dead_ms: 5_000, ..config }, broken);
    let b = Process::start(&format!("{}node_heartbeat_ms = 100\n", redis.lines()));
    know(&a, 2).await;
    let mut watcher = Peer::connect(&a).await;
    watcher.join_with("room:one", json!({"presence": true})).await;
    let guests = [Peer::joined(&b, "room:one").await, Peer::joined(&b, "room:one").await];
    for guest in &guests {
        assert_eq!(presence(&mut watcher, SILENCE).await.expect("news").1, guest.client);
    }
    b.kill();
    let mut gone = Vec::new();
    // Where the promise is broken, for as long as it takes to be dead, and a little.
    let time = if broken.is_some() { Duration::from_secs(8) } else { SILENCE };
    while gone.len() < 2
        && let Some((event, who, members)) = presence(&mut watcher, time).await
    {
        assert_eq!((event.as_str(), members), ("left", 1));
        gone.push(who);
    }
    gone.sort();
    let mut were = guests.map(|guest| guest.client);
    were.sort();
    assert_eq!(gone, were, "the members of the dead are gone");
    let members = watcher.ok("members", json!({"room": "room", "channel": "one"})).await;
    assert_eq!((&members["total"], &members["incomplete"]), (&json!(1), &Value::Null), "nothing is missing");
}

#[tokio::test]
async fn n09_the_members_of_a_dead_node_vanish_and_are_told() {
    a_death(None).await;
}

#[tokio::test]
async fn n09_is_red_where_the_dead_live_on() {
    says(&red(a_death(Some(Sabotage::KeepTheDead))).await, "the members of the dead are gone");
}

/// A node hears nothing for a while, because its user of Redis may follow no channel. Meanwhile, on the other one, somebody joins a topic that is
/// watched here, and a topic is opened that a pattern here matches.
async fn deafness(broken: Option<Sabotage>) {
    let redis = Redis::for_user("deaf", "deaf", "~* +@all &*").await;
    // Nobody is so long silent that it counts as new afterwards.
    let login = |name: &str| config::Redis {
        username: name.into(),
        password: name.to_owned().into(),
        node_heartbeat_ms: 100,
        node_dead_ms: 25_000,
        ..redis.config()
    };
    let (here, there) = (node(&login("deaf"), broken), node(&login("harness"), None));
    know(&there, 2).await;
    let (mut watcher, mut ada) = (Peer::connect(&here).await, Peer::connect(&here).await);
    watcher.join_with("room:one", json!({"presence": true})).await;
    ada.ok("join_channel", json!({"room": "other", "channel": "*"})).await;

    redis.tell(&["ACL", "SETUSER", "deaf", "resetchannels"]).await;
    eventually("a node that hears nothing", async || (followers(&redis).await == 1).then_some(())).await;
    let mut guest = Peer::joined(&there, "room:one").await;
    guest.publish("other:new", json!("missed")).await;
    // Once a question is answered for, or had its time, what was told before it has been told.
    assert_eq!(guest.ok("members", json!({"room": "room", "channel": "one"})).await["incomplete"], true);
    redis.tell(&["ACL", "SETUSER", "deaf", "allchannels"]).await;

    let guest_id = guest.client.clone();
    let time = patience(&[broken]);
    let told = async { presence(&mut watcher, time).await.is_some_and(|(event, who, _)| event == "joined" && who == guest_id) };
    let found = comes_true(time, async || {
        guest.publish("other:new", json!("next")).await;
        ada.already().await.is_some()
    });
    let (told, found) = tokio::join!(told, found);
    assert_eq!((told, found), (true, true), "what was missed is told, what was opened is followed");
}

#[tokio::test]
async fn n09_who_counted_as_dead_while_nothing_was_heard_is_told_to_be_there_again() {
    let redis = Redis::for_user("deaf", "deaf", "~* +@all &*").await;
    let login = |name: &str, dead_ms: u64| config::Redis {
        username: name.into(),
        password: name.to_owned().into(),
        node_heartbeat_ms: 100,
        node_dead_ms: dead_ms,
        ..redis.config()
    };
    let (here, there) = (node(&login("deaf", 3_000), None), node(&login("harness", 25_000), None));
    know(&there, 2).await;
    let guest = Peer::joined(&there, "room:one").await;
    let mut watcher = Peer::connect(&here).await;
    watcher.join_with("room:one", json!({"presence": true})).await;
    eventually("a guest that is known", async || {
        let members = watcher.ok("members", json!({"room": "room", "channel": "one"})).await;
        (members["total"] == 2 && members["incomplete"].is_null()).then_some(())
    })
    .await;
    redis.tell(&["ACL", "SETUSER", "deaf", "resetchannels"]).await;
    let mut last = String::new();
    while last != "left" {
        last = presence(&mut watcher, SILENCE).await.expect("the word that it is gone").0;
    }
    redis.tell(&["ACL", "SETUSER", "deaf", "allchannels"]).await;
    while last != "joined" {
        let (event, who, _) = presence(&mut watcher, SILENCE).await.expect("the word that it is there");
        assert_eq!(who, guest.client);
        last = event;
    }
}

/// How many nodes follow what nodes tell all.
async fn followers(server: &Redis) -> i64 {
    let (_, count): (String, i64) = redis::from_redis_value(server.tell(&["PUBSUB", "NUMSUB", "arqonbus:{nodes}"]).await).expect("a count");
    count
}

#[tokio::test]
async fn n09_n12_what_a_node_missed_while_it_heard_nothing_is_found_afterwards() {
    deafness(None).await;
}

#[tokio::test]
async fn n09_n12_is_red_where_what_was_missed_is_not_asked_for() {
    says(&red(deafness(Some(Sabotage::TrustTheFeed))).await, "(false, false)");
}
