//! Several nodes on one Redis are one bus for whatever lives in connections. The names of the requirements are those of specs/003-redis/nodes.md.

use arqonbus_server::config;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::code;
use arqonbus_tests::harness::redis::{Cluster, Redis, Sentinels, Tls};
use arqonbus_tests::harness::{Ended, Peer, Process, Reach, Server};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A node on this Redis.
fn node(redis: &config::Redis) -> Server {
    let storage = config::Storage { kind: config::StorageKind::Redis, redis: redis.clone() };
    Server::with(|config| config.storage = storage)
}

/// So many nodes on this Redis, that all know each other.
async fn nodes<const N: usize>(redis: &config::Redis) -> [Server; N] {
    let nodes = std::array::from_fn(|_| node(redis));
    for node in &nodes {
        know(node, N).await;
    }
    nodes
}

/// Waits until a node knows of so many, itself included.
async fn know(node: &impl Reach, count: usize) {
    let mut peer = Peer::connect(node).await;
    eventually("nodes that know each other", async || {
        let nodes = peer.ok("status", json!({})).await["nodes"].as_array().map(Vec::len);
        (nodes == Some(count)).then_some(())
    })
    .await;
    peer.close().await;
}

/// A Redis whose nodes often give signs of life, and their configuration; a machine that is busy makes none of them seem dead.
async fn quick_redis() -> (Redis, config::Redis) {
    let redis = Redis::start().await;
    let config = config::Redis { node_heartbeat_ms: 100, node_dead_ms: 10_000, ..redis.config() };
    (redis, config)
}

fn to(to: &str, payload: &str) -> Value {
    json!({"type": "message", "to": to, "payload": payload, "ack": true})
}

fn request(topic: &str) -> Value {
    let (room, channel) = topic.split_once(':').expect("room:channel");
    json!({"type": "message", "room": room, "channel": channel, "payload": "2 + 2?", "request": true, "ack": true})
}

/// The next presence event that is not about the watcher itself: which, who, how many.
async fn presence(watcher: &mut Peer) -> (String, String, u64) {
    loop {
        let event = watcher.next().await;
        assert_eq!(event["type"], "event", "{event}");
        let (who, members) = (event["data"]["client"].as_str().expect("a client"), event["data"]["members"].as_u64().expect("a count"));
        if who != watcher.client {
            return (event["event"].as_str().expect("an event").to_owned(), who.to_owned(), members);
        }
    }
}

#[tokio::test]
async fn n04_a_private_message_reaches_its_client_on_another_node() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::connect(&b).await);
    let response = sender.request(to(&receiver.client, "psst")).await;
    assert_eq!(response["result"], json!({"durability": "none", "duplicate": false}));
    let message = receiver.message().await;
    assert_eq!((&message["payload"], &message["sender"]), (&json!("psst"), &json!(sender.client)));
    assert_eq!(code(&sender.request(to("c_00000000", "nobody")).await), "no_recipient");
}

#[tokio::test]
async fn n04_a_user_gets_it_on_every_node_and_once() {
    let (_redis, config) = quick_redis().await;
    let [a, b, c] = nodes(&config).await;
    let mut phone = Peer::introduce(&a, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&b, json!({"user": "ada"})).await;
    let mut sender = Peer::introduce(&a, json!({"user": "bob"})).await;
    let mut message = to("user:ada", "hi");
    message["id"] = "once".into();
    assert_eq!(sender.request(message.clone()).await["result"]["duplicate"], false);
    assert_eq!(sender.request(message.clone()).await["result"]["duplicate"], true);
    sender.request(to("user:ada", "next")).await;
    for peer in [&mut phone, &mut laptop] {
        assert_eq!(peer.payloads(2).await, ["hi", "next"]);
    }
    let mut nobody_here = Peer::introduce(&c, json!({"user": "carol"})).await;
    nobody_here.request(to("user:ada", "from c")).await;
    assert_eq!((phone.message().await["payload"].clone(), laptop.message().await["payload"].clone()), (json!("from c"), json!("from c")));
    assert_eq!(code(&sender.request(to("user:nobody", "x")).await), "no_recipient");
}

#[tokio::test]
async fn n05_a_request_finds_its_responder_on_another_node_or_fails_at_once() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let (mut asker, mut responder) = (Peer::connect(&a).await, Peer::connect(&b).await);
    assert_eq!(code(&asker.request(request("svc:sum")).await), "no_responder");
    let mut question = json!({"type": "message", "to": responder.client, "payload": "2 + 2?", "request": true, "id": "question"});
    question["ack"] = true.into();
    assert_eq!(asker.request(question).await["status"], "ok");
    let asked = responder.message().await;
    let answer = json!({"type": "message", "to": asked["reply_to"], "correlation_id": asked["id"], "payload": 4, "ack": true});
    assert_eq!(responder.request(answer).await["status"], "ok");
    assert_eq!(asker.message().await["payload"], 4);
    asker.join("svc:alone").await;
    assert_eq!(code(&asker.request(request("svc:alone")).await), "no_responder", "nobody answers oneself");
    // Stored, because somebody over there may answer it.
    responder.join("svc:sum").await;
    assert_eq!(asker.request(request("svc:sum")).await["status"], "ok");
    responder.ok("leave_channel", json!({"room": "svc", "channel": "sum"})).await;
    assert_eq!(code(&asker.request(request("svc:sum")).await), "no_responder");
}

#[tokio::test]
async fn n06_a_broadcast_reaches_everyone_on_every_node_once() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let mut here = Peer::joined(&a, "room:one").await;
    let mut there = Peer::joined(&b, "room:two").await;
    let mut outside = Peer::joined(&b, "other:one").await;
    let mut sender = Peer::connect(&a).await;
    let mut to_room = json!({"type": "message", "room": "room", "payload": "room", "ack": true, "id": "r"});
    for duplicate in [false, true] {
        assert_eq!(sender.request(to_room.clone()).await["result"]["duplicate"], duplicate);
    }
    sender.request(json!({"type": "message", "to": "*", "payload": "all", "ack": true})).await;
    for peer in [&mut here, &mut there] {
        assert_eq!(peer.payloads(2).await, ["room", "all"]);
    }
    assert_eq!(outside.message().await["payload"], "all");
    to_room["payload"] = "another".into();
    assert_eq!(code(&sender.request(to_room).await), "id_conflict");
}

#[tokio::test]
async fn n07_disconnect_closes_connections_on_all_nodes() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let mut phone = Peer::introduce(&a, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&b, json!({"user": "ada"})).await;
    let mut admin = Peer::connect(&a).await;
    assert_eq!(admin.ok("disconnect", json!({"user": "ada"})).await, json!({"disconnected": 2}));
    assert_eq!((phone.end().await, laptop.end().await), (Ended(Some(4003)), Ended(Some(4003))));
    eventually("nobody by that name", async || (admin.refused("disconnect", json!({"user": "ada"})).await == "no_recipient").then_some(())).await;
}

#[tokio::test]
async fn n08_lists_are_of_the_whole_bus() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
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
    let seen: Vec<_> =
        channels["channels"].as_array().unwrap().iter().map(|channel| (channel["channel"].clone(), channel["members"].clone())).collect();
    assert_eq!((seen, &channels["next"]), (vec![(json!("one"), json!(1)), (json!("three"), json!(1))], &json!("three")));
    let members = ada.ok("members", json!({"room": "room", "channel": "two"})).await;
    let mut users: Vec<_> = members["members"].as_array().unwrap().iter().map(|member| member["user"].as_str().unwrap().to_owned()).collect();
    users.sort();
    assert_eq!((users, &members["total"]), (vec!["ada".to_owned(), "bob".to_owned()], &json!(2)));
    let page = ada.ok("members", json!({"room": "room", "channel": "two", "limit": 1})).await;
    let rest = ada.ok("members", json!({"room": "room", "channel": "two", "after": page["next"]})).await;
    assert_eq!((page["members"].as_array().unwrap().len(), rest["members"].as_array().unwrap().len(), &page["total"]), (1, 1, &json!(2)));
    assert_eq!(ada.ok("channel_info", json!({"room": "room", "channel": "two"})).await["members"], 2);
    assert_eq!(ada.ok("members", json!({"room": "room", "channel": "three"})).await["total"], 1, "known over there");
    assert_eq!(ada.refused("members", json!({"room": "room", "channel": "none"})).await, "unknown_channel");
    let status = ada.ok("status", json!({})).await;
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!((nodes.len(), status["incomplete"].clone()), (2, Value::Null), "{status}");
    assert_eq!(nodes.iter().map(|node| node["connections"].as_u64().unwrap()).sum::<u64>(), 2);
    assert!(nodes.iter().any(|node| node["node"] == status["node"]));
}

#[tokio::test]
async fn n08_a_join_says_how_many_there_are_on_all_nodes() {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let _ada = Peer::joined(&a, "room:one").await;
    let mut bob = Peer::joined(&b, "room:one").await;
    eventually("both counted", async || {
        let members = bob.join("room:one").await.members;
        (members == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn n09_who_watches_is_told_who_comes_and_goes_elsewhere() {
    let (redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let _early = Peer::joined(&b, "room:one").await;
    let mut watcher = Peer::connect(&a).await;
    // What is answered came after what was told before.
    assert_eq!(watcher.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    watcher.join_with("room:one", json!({"presence": true})).await;
    let mut guest = Peer::introduce(&b, json!({"name": "Guest", "user": "ada"})).await;
    guest.join("room:one").await;
    assert_eq!(presence(&mut watcher).await, ("joined".into(), guest.client.clone(), 3), "who was there before is no news");
    guest.ok("leave_channel", json!({"room": "room", "channel": "one"})).await;
    assert_eq!(presence(&mut watcher).await, ("left".into(), guest.client.clone(), 2));
    // What was missed while the feed was away is told once it is back.
    redis.cut("pubsub").await;
    guest.join("room:one").await;
    let joined = presence(&mut watcher).await;
    assert_eq!((joined.0.as_str(), &joined.1), ("joined", &guest.client));
    let client = guest.client.clone();
    guest.close().await;
    let left = presence(&mut watcher).await;
    assert_eq!((left.0.as_str(), left.1), ("left", client));
}

#[tokio::test]
async fn n09_the_members_of_a_dead_node_vanish_and_are_told() {
    let (redis, config) = quick_redis().await;
    let a = node(&config::Redis { node_dead_ms: 2_000, ..config });
    let b = Process::start(&format!("{}node_heartbeat_ms = 100\n", redis.lines()));
    know(&a, 2).await;
    let mut watcher = Peer::connect(&a).await;
    watcher.join_with("room:one", json!({"presence": true})).await;
    let guests = [Peer::joined(&b, "room:one").await, Peer::joined(&b, "room:one").await];
    for guest in &guests {
        assert_eq!(presence(&mut watcher).await.1, guest.client);
    }
    b.kill();
    let mut gone = [presence(&mut watcher).await, presence(&mut watcher).await].map(|(event, who, members)| {
        assert_eq!((event.as_str(), members), ("left", 1));
        who
    });
    gone.sort();
    let mut were = guests.map(|guest| guest.client);
    were.sort();
    assert_eq!(gone, were);
    let members = watcher.ok("members", json!({"room": "room", "channel": "one"})).await;
    assert_eq!((&members["total"], &members["incomplete"]), (&json!(1), &Value::Null), "nothing is missing");
}

#[tokio::test]
async fn n03_a_node_that_does_not_answer_is_said_to_be_missing() {
    let redis = Redis::start().await;
    let config = config::Redis { node_heartbeat_ms: 100, node_dead_ms: 20_000, node_answer_ms: 300, ..redis.config() };
    let a = node(&config);
    let b = Process::start(&redis.lines());
    know(&a, 2).await;
    let mut here = Peer::joined(&a, "room:one").await;
    let mut there = Peer::introduce(&b, json!({"user": "ada"})).await;
    there.join("room:one").await;
    b.signal(Signal::STOP);
    let members = here.ok("members", json!({"room": "room", "channel": "one"})).await;
    assert_eq!((&members["total"], &members["incomplete"]), (&json!(1), &json!(true)));
    for (command, args) in [
        ("list_rooms", json!({})),
        ("list_channels", json!({"room": "room"})),
        ("channel_info", json!({"room": "room", "channel": "one"})),
        ("status", json!({})),
    ] {
        assert_eq!(here.ok(command, args).await["incomplete"], true, "{command}");
    }
    let mut message = to("user:ada", "late");
    message["id"] = "late".into();
    assert_eq!(code(&here.request(message.clone()).await), "outcome_unknown");
    assert_eq!(code(&here.request(request("room:unheard")).await), "storage_unavailable");
    assert_eq!(here.refused("disconnect", json!({"user": "bob"})).await, "outcome_unknown");
    b.signal(Signal::CONT);
    // It was under way all the time: the same id again is not delivered again.
    let again = eventually("an answer", async || {
        let response = here.request(message.clone()).await;
        (response["status"] == "ok").then(|| response["result"]["duplicate"].clone())
    })
    .await;
    here.request(to("user:ada", "next")).await;
    assert_eq!((again, there.payloads(2).await), (json!(true), vec![json!("late"), json!("next")]));
}

#[tokio::test]
async fn n01_a_node_that_drains_is_gone_at_once() {
    let redis = Redis::start().await;
    let config = config::Redis { node_dead_ms: 20_000, ..redis.config() };
    let [a, b] = nodes(&config).await;
    let mut here = Peer::connect(&a).await;
    b.stop().await;
    eventually("one node", async || (here.ok("status", json!({})).await["nodes"].as_array()?.len() == 1).then_some(())).await;
    // Whoever comes knows the others before it serves anybody.
    let c = node(&config);
    assert_eq!(Peer::connect(&c).await.ok("status", json!({})).await["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn n10_a_client_resumes_its_identity_on_another_node() {
    let (redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
    let mut before = Peer::connect(&a).await;
    let connected = before.ok("connect", json!({"user": "ada"})).await;
    let args = json!({"user": "ada", "resume": connected["resume"]});
    let mut after = Peer::connect(&b).await;
    let resumed = after.ok("connect", args.clone()).await;
    assert_eq!((&resumed["client"], &resumed["resumed"]), (&connected["client"], &json!(true)));
    assert_eq!(before.end().await, Ended(Some(4006)), "whoever resumes elsewhere leaves here");
    let mut sender = Peer::connect(&a).await;
    sender.request(to(connected["client"].as_str().unwrap(), "psst")).await;
    assert_eq!(after.message().await["payload"], "psst");
    // A Redis that has lost everything takes the secret of whoever comes first.
    redis.flush_all().await;
    let c = node(&config);
    let again = Peer::connect(&c).await.ok("connect", args).await;
    assert_eq!(again["resumed"], false);
}

#[tokio::test]
async fn n11_a_channel_that_is_only_created_by_command_is_known_on_every_node() {
    let (_redis, config) = quick_redis().await;
    let storage = config::Storage { kind: config::StorageKind::Redis, redis: config };
    let explicit = || Server::with(|config| (config.storage, config.create) = (storage.clone(), config::Create::Explicit));
    let (a, b) = (explicit(), explicit());
    know(&a, 2).await;
    let (mut ada, mut bob) = (Peer::connect(&a).await, Peer::connect(&b).await);
    assert_eq!(bob.refused("join_channel", json!({"room": "room", "channel": "one"})).await, "unknown_channel");
    ada.ok("create_channel", json!({"room": "room", "channel": "one"})).await;
    bob.join("room:one").await;
    assert_eq!(ada.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    ada.ok("delete_channel", json!({"room": "room", "channel": "one"})).await;
    bob.event("deleted").await;
    assert_eq!(bob.refused("join_channel", json!({"room": "room", "channel": "one"})).await, "unknown_channel");
}

#[tokio::test]
async fn n11_what_redis_holds_is_known_although_no_node_has_it_open() {
    let (_redis, config) = quick_redis().await;
    let a = node(&config);
    Peer::connect(&a).await.publish("room:one", json!("kept")).await;
    a.stop().await;
    let b = node(&config);
    let mut reader = Peer::connect(&b).await;
    let history = reader.ok("history", json!({"room": "room", "channel": "one"})).await;
    assert_eq!(history["messages"][0]["payload"], "kept", "{history}");
    assert_eq!(reader.refused("history", json!({"room": "room", "channel": "two"})).await, "unknown_channel");
    let created = reader.request(json!({"type": "command", "command": "create_channel", "args": {"room": "room", "channel": "one"}})).await;
    assert_eq!(created["result"]["created"], false, "{created}");
}

/// What every way to Redis has to carry.
async fn two_nodes_are_one_bus(config: &config::Redis) {
    let [a, b] = nodes(config).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::joined(&b, "room:one").await);
    assert_eq!(sender.publish("room:one", json!("hello")).await["durability"], "redis");
    assert_eq!(sender.request(to(&receiver.client, "psst")).await["status"], "ok");
    let mut seen = receiver.payloads(2).await;
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["hello", "psst"]);
    assert_eq!(sender.ok("members", json!({"room": "room", "channel": "one"})).await["total"], 1);
    know(&a, 2).await;
}

#[tokio::test]
async fn nodes_meet_by_tls() {
    let tls = Tls::new();
    let redis = Redis::by_tls(&tls).await;
    two_nodes_are_one_bus(&config::Redis { tls_ca_file: tls.file("ca.pem").display().to_string(), ..redis.config() }).await;
}

#[tokio::test]
async fn nodes_meet_as_a_user_of_redis() {
    let redis = Redis::for_user("bus", "hunter2", "~arqonbus:* ~{arqonbus:* &arqonbus:* &{arqonbus:* +@all -@dangerous +info").await;
    two_nodes_are_one_bus(&config::Redis { username: "bus".into(), password: "hunter2".to_owned().into(), ..redis.config() }).await;
}

#[tokio::test]
async fn nodes_meet_in_a_cluster() {
    let cluster = Cluster::start().await;
    two_nodes_are_one_bus(&cluster.config()).await;
}

#[tokio::test]
async fn nodes_meet_by_sentinels_and_again_after_a_failover() {
    let mut sentinels = Sentinels::start().await;
    let config = sentinels.config();
    two_nodes_are_one_bus(&config).await;
    let [a, b] = nodes(&config).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::connect(&b).await);
    sentinels.servers[0].kill();
    eventually("a message by the new primary", async || (sender.request(to(&receiver.client, "psst")).await["status"] == "ok").then_some(())).await;
    assert_eq!(receiver.message().await["payload"], "psst");
}

#[tokio::test]
async fn n12_a_pattern_receives_what_is_published_in_topics_that_only_other_nodes_have() {
    let (redis, config) = quick_redis().await;
    let [a, b] = nodes(&config).await;
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
    let seen = ada.payloads(100).await;
    for topic in ["old", "new"] {
        let of_it: Vec<_> = seen.iter().filter(|payload| payload[0] == topic).map(|payload| payload[1].as_u64().unwrap()).collect();
        assert_eq!(of_it, (0..50).collect::<Vec<_>>(), "{topic}");
    }
    // Opened while this node heard nothing: found once it hears again.
    redis.cut("pubsub").await;
    bob.publish("room:third", json!(0)).await;
    eventually("the third topic", async || {
        bob.publish("room:third", json!(1)).await;
        ada.already().await.map(drop)
    })
    .await;
    // With positions of topics that nobody has open.
    let mut carol = Peer::connect(&a).await;
    let positions = json!([{"room": "room", "channel": "old", "epoch": joined["topics"][0]["head"]["epoch"], "seq": 51}]);
    carol.ok("join_channel", json!({"room": "room", "channel": "o*", "positions": positions})).await;
    assert_eq!(carol.payloads(2).await, [json!(["old", 48]), json!(["old", 49])]);
}

/// What no node has open is found by whoever resumes a pattern or asks for a replay, also after Redis lost the list of it.
#[tokio::test]
async fn n12_a_pattern_that_asks_for_the_past_gets_topics_that_no_node_has_open() {
    let (redis, config) = quick_redis().await;
    let a = node(&config);
    let mut sender = Peer::connect(&a).await;
    for topic in ["room:one", "room:two", "elsewhere:three", "room:gone"] {
        sender.publish(topic, json!(topic)).await;
    }
    sender.ok("delete_channel", json!({"room": "room", "channel": "gone"})).await;
    a.stop().await;
    let b = node(&config);
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
    b.stop().await;
    let c = node(&config);
    let mut later = Peer::connect(&c).await;
    later.ok("join_channel", json!({"room": "*", "channel": "*", "replay": 1})).await;
    assert_eq!(later.payloads(1).await, ["afterwards"]);
}

/// What a pattern would not receive because the bus has all the channels that it may have, is said.
#[tokio::test]
async fn n12_a_pattern_is_refused_that_would_open_more_channels_than_the_bus_may_have() {
    let (_redis, config) = quick_redis().await;
    let a = node(&config);
    let mut sender = Peer::connect(&a).await;
    for topic in ["room:one", "room:two", "room:three"] {
        sender.publish(topic, json!(topic)).await;
    }
    a.stop().await;
    let storage = config::Storage { kind: config::StorageKind::Redis, redis: config };
    let b = Server::with(|config| (config.storage, config.limits.channels) = (storage, 2));
    let mut resumes = Peer::connect(&b).await;
    assert_eq!(resumes.refused("join_channel", json!({"room": "room", "channel": "*", "positions": []})).await, "limit_exceeded");
}
