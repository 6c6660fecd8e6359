//! The rows about resources: a code, and bounded memory.

use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::{Peer, Reach, observe, socket::Socket};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tokio::task::JoinSet;

use super::Arena;

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn a_flood_of_topics_ends_in_a_code() {
    let mut arena = Arena::open("[limits]\nchannels = 1200\njoins = 500\n").await;
    let mut peer = Peer::connect(&arena).await;
    let (mut joined, mut made) = (0, 0);
    for number in 0..2_000 {
        let response =
            peer.request(json!({"type": "command", "command": "join_channel", "args": {"room": "j", "channel": format!("c{number}")}})).await;
        match response["error"]["code"].as_str() {
            None => joined += 1,
            Some(code) => assert_eq!(code, "limit_exceeded"),
        }
        let response = peer.request(json!({"type": "message", "room": "p", "channel": format!("c{number}"), "payload": 1, "ack": true})).await;
        match response["error"]["code"].as_str() {
            None => made += 1,
            Some(code) => assert_eq!(code, "limit_exceeded"),
        }
    }
    assert_eq!(joined, 500);
    assert!(made < 700, "{made} channels beside those joined");
    arena.probe("topics").await;
    drop(peer);
    arena.close().await;
}

/// Every publish of a flood has its answer (G19).
#[tokio::test]
async fn g19_a_flood_of_publishes_is_answered_one_by_one() {
    const COUNT: usize = 20_000;
    let mut arena = Arena::open("").await;
    let mut peer = Peer::introduce(&arena, json!({"batch": true})).await;
    let mut answered = 0;
    for burst in 0..COUNT / 1_000 {
        let lines: Vec<_> = (0..1_000)
            .map(|number| {
                json!({"type": "message", "id": format!("m{burst}.{number}"), "room": "a", "channel": "b", "payload": 1, "ack": true}).to_string()
            })
            .collect();
        for lines in lines.chunks(250) {
            peer.send_text(&lines.join("\n")).await;
        }
        for _ in 0..1_000 {
            let answer = peer.next().await;
            assert_eq!(answer["type"], "response", "{answer}");
            assert!(answer["status"] == "ok" || ["overloaded", "rate_limited"].contains(&answer["error"]["code"].as_str().unwrap()), "{answer}");
            answered += 1;
        }
    }
    assert_eq!(answered, COUNT);
    arena.probe("publishes").await;
    drop(peer);
    arena.close().await;
}

#[tokio::test]
async fn churn_of_joins_leaves_nothing() {
    let mut arena = Arena::open("[telemetry]\nroom = \"off\"\n").await;
    let mut peer = Peer::connect(&arena).await;
    for number in 0..3_000 {
        let topic = json!({"room": "churn", "channel": format!("c{}", number % 7)});
        peer.send(&json!({"type": "command", "id": format!("j{number}"), "command": "join_channel", "args": topic})).await;
        peer.send(&json!({"type": "command", "id": format!("l{number}"), "command": "leave_channel", "args": topic})).await;
        let (joined, left) = (peer.response(&format!("j{number}")).await, peer.response(&format!("l{number}")).await);
        assert_eq!((&joined["status"], &left["status"]), (&json!("ok"), &json!("ok")));
    }
    eventually("only the bystander's join is left", async || (peer.ok("status", json!({})).await["joins"] == 1).then_some(())).await;
    arena.probe("churn").await;
    drop(peer);
    arena.close().await;
}

/// A reader of a long past that reads nothing holds no more than its outbox.
#[tokio::test]
async fn a_catch_up_that_is_not_read_is_bounded() {
    const COUNT: usize = 50_000;
    let mut arena = Arena::open("[history]\nmessages = 100000\nbytes = 67108864\n[telemetry]\nroom = \"off\"\n").await;
    let mut peer = Peer::introduce(&arena, json!({"batch": true})).await;
    let padding = "x".repeat(200);
    for start in (0..COUNT).step_by(500) {
        let lines: Vec<_> = (start..start + 500)
            .map(|number| json!({"type": "message", "room": "a", "channel": "b", "payload": [number, padding]}).to_string())
            .collect();
        peer.send_text(&lines.join("\n")).await;
    }
    peer.settle().await;
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = Peer::on(Socket::open_narrow(arena.address()).await).await;
        reader.send(&json!({"type": "command", "id": "j", "command": "join_channel", "args": {"room": "a", "channel": "b", "replay": COUNT}})).await;
        readers.push(reader);
    }
    let before = observe::resident_bytes(arena.process.pid());
    for reader in &mut readers {
        assert_eq!(reader.response("j").await["status"], "ok");
    }
    let queued = peer.ok("status", json!({})).await["queued_bytes"].as_u64().unwrap();
    assert!(queued <= 20 * 2 * MIB, "{queued} bytes wait for 20 readers");
    let grown = observe::resident_bytes(arena.process.pid()).saturating_sub(before);
    assert!(grown < 100 * MIB, "{grown} bytes for 20 readers");
    arena.probe("catch-up").await;
    drop(readers);
    drop(peer);
    arena.close().await;
}

#[tokio::test]
async fn a_storm_of_connections_is_partly_served_and_partly_told_to_wait() {
    let mut arena = Arena::open("[limits]\nconnections = 50\n").await;
    let mut storm = JoinSet::new();
    for _ in 0..300 {
        let address = arena.address();
        storm.spawn(async move { Peer::try_introduce(&address, &json!({})).await });
    }
    let served: Vec<_> = storm.join_all().await.into_iter().flatten().collect();
    assert!((1..50).contains(&served.len()), "{} served beside the bystander", served.len());
    arena.probe("storm").await;
    drop(served);
    eventually("room again", async || Peer::try_introduce(&arena, &json!({})).await).await;
    arena.close().await;
}

/// Without file descriptors left the server stops accepting, live clients go on, and later it accepts again.
#[tokio::test]
async fn without_file_descriptors_live_clients_go_on() {
    let mut arena = Arena::open("").await;
    let pid = Pid::from_raw(arena.process.pid().cast_signed());
    let spare = observe::fds(arena.process.pid()) as u64 + 10;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(spare), maximum: Some(spare) }).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(Socket::plain(arena.address()).await);
    }
    arena.probe("no descriptors").await;
    assert_eq!(arena.process.log().matches("panicked").count(), 0);
    assert!(arena.process.log().lines().count() < 50, "the log is flooded:\n{}", arena.process.log());
    drop(waiting);
    eventually("accepting again", async || Peer::try_introduce(&arena, &json!({})).await).await;
    arena.close().await;
}
