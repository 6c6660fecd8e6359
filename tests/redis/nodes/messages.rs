//! What is sent to somebody, or to everybody, reaches them on whichever node they are (N-3 to N-7).

use arqonbus_server::config;
use arqonbus_server::config::Create;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::code;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Ended, Peer, Process};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{heard, know, node, nodes, patience, quick_redis, red, says, to};

fn request(topic: &str) -> Value {
    let (room, channel) = topic.split_once(':').expect("room:channel");
    json!({"type": "message", "room": room, "channel": channel, "payload": "2 + 2?", "request": true, "ack": true})
}

/// A message to a client of another node, and to nobody.
async fn to_a_client(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let (mut sender, mut receiver) = (Peer::connect(&a).await, Peer::connect(&b).await);
    let response = sender.request(to(&receiver.client, "psst")).await;
    assert_eq!(response["result"], json!({"durability": "none", "duplicate": false}), "{response}");
    let message = receiver.message().await;
    assert_eq!((&message["payload"], &message["sender"]), (&json!("psst"), &json!(sender.client)));
    assert_eq!(code(&sender.request(to("c_00000000", "nobody")).await), "no_recipient");
}

#[tokio::test]
async fn n04_a_private_message_reaches_its_client_on_another_node() {
    to_a_client([None; 2]).await;
}

#[tokio::test]
async fn n04_is_red_where_other_nodes_are_not_asked() {
    says(&red(to_a_client([Some(Sabotage::AskNoNode), None])).await, "no_recipient");
}

/// Messages to a user with connections on two nodes, from both of these and from a third.
async fn to_a_user(broken: [Option<Sabotage>; 3]) {
    let (_redis, config) = quick_redis().await;
    let [a, b, c] = nodes(&config, broken).await;
    let mut phone = Peer::introduce(&a, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&b, json!({"user": "ada"})).await;
    let mut sender = Peer::introduce(&a, json!({"user": "bob"})).await;
    let mut message = to("user:ada", "hi");
    message["id"] = "once".into();
    assert_eq!(sender.request(message.clone()).await["result"]["duplicate"], false);
    assert_eq!(sender.request(message.clone()).await["result"]["duplicate"], true, "each message once");
    sender.request(to("user:ada", "next")).await;
    for peer in [&mut phone, &mut laptop] {
        assert_eq!(peer.payloads(2).await, ["hi", "next"], "each message once");
    }
    let mut nobody_here = Peer::introduce(&c, json!({"user": "carol"})).await;
    nobody_here.request(to("user:ada", "from c")).await;
    assert_eq!((phone.message().await["payload"].clone(), laptop.message().await["payload"].clone()), (json!("from c"), json!("from c")));
    assert_eq!(code(&sender.request(to("user:nobody", "x")).await), "no_recipient");
}

#[tokio::test]
async fn n04_a_user_gets_it_on_every_node_and_once() {
    to_a_user([None; 3]).await;
}

#[tokio::test]
async fn n04_is_red_where_a_message_of_another_node_is_not_recognised() {
    says(&red(to_a_user([None, Some(Sabotage::ForgetIdsElsewhere), None])).await, "each message once");
}

/// Requests to a client, to a topic, and to nobody.
async fn requests(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let (mut asker, mut responder) = (Peer::connect(&a).await, Peer::connect(&b).await);
    assert_eq!(code(&asker.request(request("svc:sum")).await), "no_responder");
    let mut question = json!({"type": "message", "to": responder.client, "payload": "2 + 2?", "request": true, "id": "question"});
    question["ack"] = true.into();
    let asked = asker.request(question).await;
    assert_eq!(asked["status"], "ok", "{asked}");
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
async fn n05_a_request_finds_its_responder_on_another_node_or_fails_at_once() {
    requests([None; 2]).await;
}

#[tokio::test]
async fn n05_is_red_where_other_nodes_are_not_asked() {
    says(&red(requests([Some(Sabotage::AskNoNode), None])).await, "no_responder");
}

/// Sends messages of these numbers at once; every third is no request. Gives what became of each.
async fn send_all(asker: &mut Peer, topic: &str, numbers: std::ops::Range<u64>) -> Vec<Value> {
    for number in numbers.clone() {
        let mut message = request(topic);
        (message["payload"], message["id"], message["request"]) = (number.into(), format!("m{number}").into(), (number % 3 != 2).into());
        asker.send(&message).await;
    }
    let mut answers = Vec::new();
    for number in numbers {
        answers.push(asker.response(&format!("m{number}")).await);
    }
    answers
}

/// Requests that others are asked about, and what their sender publishes behind them: where the topic is unknown here, where it is known, and where
/// nobody answers.
async fn requests_in_order(broken: Option<Sabotage>) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, [broken, None]).await;
    let (mut asker, mut other, mut responder) = (Peer::connect(&a).await, Peer::connect(&a).await, Peer::joined(&b, "svc:sum").await);
    for numbers in [0..60, 60..120] {
        let answers = send_all(&mut asker, "svc:sum", numbers.clone()).await;
        let seqs: Vec<u64> = answers.iter().map(|answer| answer["result"]["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"))).collect();
        assert!(seqs.is_sorted(), "in the order of their sender: {seqs:?}");
        let payloads: Vec<Value> = numbers.map(Value::from).collect();
        assert_eq!(responder.payloads(60).await, payloads);
    }
    responder.ok("leave_channel", json!({"room": "svc", "channel": "sum"})).await;
    let answers = send_all(&mut asker, "svc:sum", 120..150).await;
    let refused = answers.iter().filter(|answer| answer["status"] == "error").map(code).collect::<Vec<_>>();
    assert_eq!(refused, vec!["no_responder"; 20], "and what is behind them goes on");
    // Whoever is not behind a request does not wait for one.
    other.publish("svc:sum", json!("other")).await;
}

#[tokio::test]
async fn n05_a_sender_is_not_overtaken_by_itself_while_other_nodes_are_asked() {
    requests_in_order(None).await;
}

#[tokio::test]
async fn n05_is_red_where_what_is_behind_a_request_does_not_wait() {
    says(&red(requests_in_order(Some(Sabotage::OvertakeOneself))).await, "in the order of their sender");
}

/// Publishes to a channel that only the other node has, where channels begin only by command.
#[tokio::test]
async fn n11_a_sender_is_not_overtaken_by_itself_while_it_is_asked_for_a_channel() {
    let (_redis, config) = quick_redis().await;
    let nodes = [None; 2].map(|broken| crate::node::Node::by(config.clone(), broken, |config| config.create = Create::Explicit));
    super::know_each_other(&nodes, &[None; 2]).await;
    let [a, b] = nodes;
    let (mut sender, mut owner) = (Peer::connect(&a).await, Peer::connect(&b).await);
    owner.ok("create_channel", json!({"room": "room", "channel": "one"})).await;
    owner.join("room:one").await;
    for number in 0..60 {
        sender.send(&json!({"type": "message", "room": "room", "channel": "one", "payload": number})).await;
    }
    assert_eq!(owner.payloads(60).await, (0..60).map(Value::from).collect::<Vec<_>>());
}

/// Broadcasts to a room, twice under one id, and to everyone.
pub(super) async fn broadcasts(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
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
        assert_eq!(heard(peer, 2, patience(&broken)).await, ["room", "all"], "each broadcast once");
    }
    assert_eq!(outside.message().await["payload"], "all");
    to_room["payload"] = "another".into();
    assert_eq!(code(&sender.request(to_room).await), "id_conflict");
}

#[tokio::test]
async fn n06_a_broadcast_reaches_everyone_on_every_node_once() {
    broadcasts([None; 2]).await;
}

#[tokio::test]
async fn n06_is_red_where_a_broadcast_of_another_node_is_not_recognised() {
    says(&red(broadcasts([None, Some(Sabotage::ForgetIdsElsewhere)])).await, "each broadcast once");
}

/// A user with connections on two nodes is disconnected.
async fn disconnects(broken: [Option<Sabotage>; 2]) {
    let (_redis, config) = quick_redis().await;
    let [a, b] = nodes(&config, broken).await;
    let mut phone = Peer::introduce(&a, json!({"user": "ada"})).await;
    let mut laptop = Peer::introduce(&b, json!({"user": "ada"})).await;
    let mut admin = Peer::connect(&a).await;
    assert_eq!(admin.ok("disconnect", json!({"user": "ada"})).await, json!({"disconnected": 2}));
    assert_eq!((phone.end().await, laptop.end().await), (Ended(Some(4003)), Ended(Some(4003))));
    // What is closed may be counted until its end was noticed.
    let again = json!({"type": "command", "command": "disconnect", "args": {"user": "ada"}});
    eventually("nobody by that name", async || (admin.request(again.clone()).await["error"]["code"] == "no_recipient").then_some(())).await;
}

#[tokio::test]
async fn n07_disconnect_closes_connections_on_all_nodes() {
    disconnects([None; 2]).await;
}

#[tokio::test]
async fn n07_is_red_where_other_nodes_are_not_asked() {
    says(&red(disconnects([Some(Sabotage::AskNoNode), None])).await, "Object {\"disconnected\": Number(1)}");
}

/// Questions to a bus one of whose nodes stands still.
async fn a_silent_node(broken: Option<Sabotage>) {
    let redis = Redis::start().await;
    let config = config::Redis { node_heartbeat_ms: 100, node_dead_ms: 20_000, node_answer_ms: 300, ..redis.config() };
    let a = node(&config, broken);
    let b = Process::start(&redis.lines());
    know(&a, 2).await;
    let mut here = Peer::joined(&a, "room:one").await;
    let mut there = Peer::introduce(&b, json!({"user": "ada"})).await;
    there.join("room:one").await;
    b.signal(Signal::STOP);
    let members = here.ok("members", json!({"room": "room", "channel": "one"})).await;
    assert_eq!((&members["total"], &members["incomplete"]), (&json!(1), &json!(true)), "what is missing is said to be");
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
async fn n03_a_node_that_does_not_answer_is_said_to_be_missing() {
    a_silent_node(None).await;
}

#[tokio::test]
async fn n03_is_red_where_a_missing_answer_is_not_told() {
    says(&red(a_silent_node(Some(Sabotage::ClaimComplete))).await, "what is missing is said to be");
}
