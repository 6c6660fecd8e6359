//! Shutting down without losing a word (G15).

use std::sync::Arc;

use arqonbus_tests::harness::{Ended, Peer, Process, Reach, clock::eventually, http};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SLOW_DRAIN: &str = "[drain]\nreconnect_window_ms = 4000\nnotice_ms = 500\ndeadline_ms = 10000\n";

/// A publisher that pipelines until it hears of the drain, then sends no more and waits for what it is owed. Gives how many answers it is
/// owed at the end, and the hint.
async fn publish_until_told(process: Arc<Process>, number: usize) -> (usize, u64, Ended) {
    let mut peer = Peer::connect(&*process).await;
    let (mut sent, mut owed, mut hint) = (0, 0_usize, None);
    loop {
        while hint.is_none() && owed < 16 {
            sent += 1;
            let id = format!("m{number}.{sent}");
            peer.send(&json!({"type": "message", "id": id, "room": "a", "channel": format!("c{number}"), "payload": sent, "ack": true})).await;
            owed += 1;
        }
        match peer.next_text().await {
            Ok(text) => {
                let envelope: Value = serde_json::from_str(&text).unwrap();
                if envelope["type"] == "response" {
                    let refused = envelope["status"] == "error";
                    assert!(!refused || envelope["error"]["code"] == "draining", "{envelope}");
                    owed -= 1;
                } else if envelope["event"] == "welcome" {
                    hint = Some(envelope["data"]["draining"]["reconnect_after_ms"].as_u64().expect("a hint"));
                }
            }
            Err(ended) => return (owed, hint.expect("a hint before the end"), ended),
        }
    }
}

#[tokio::test]
async fn g15_sigterm_under_load_gives_every_answer_that_is_owed() {
    let process = Arc::new(Process::start(SLOW_DRAIN));
    let mut clients = JoinSet::new();
    for number in 0..50 {
        clients.spawn(publish_until_told(Arc::clone(&process), number));
    }
    let mut watcher = Peer::connect(&*process).await;
    eventually("load", async || (watcher.ok("status", json!({})).await["messages_in"].as_u64() > Some(2_000)).then_some(())).await;
    assert_eq!(http::fetch(process.admin(), "/ready").await.status, 200);

    process.signal(Signal::TERM);
    assert!(watcher.event("welcome").await["draining"].is_object());
    assert_eq!(http::fetch(process.admin(), "/ready").await.status, 503, "not ready at once");
    assert_eq!(http::fetch(process.admin(), "/health").await.status, 200, "but alive");
    let refused = watcher.refused("join_channel", json!({"room": "a", "channel": "b"})).await;
    assert_eq!(refused, "draining", "no new work");
    assert!(Peer::try_introduce(&*process, &json!({})).await.is_none(), "nobody new is let in");

    let told = clients.join_all().await;
    assert!(told.iter().all(|(owed, ..)| *owed == 0), "answers owed: {told:?}");
    assert!(told.iter().all(|(.., ended)| *ended == Ended(Some(1012))), "{told:?}");
    let hints: std::collections::BTreeSet<_> = told.iter().map(|(_, hint, _)| *hint).collect();
    assert!(hints.len() > 10 && hints.iter().all(|hint| *hint <= 6_000), "spread over the window: {hints:?}");
    assert_eq!(watcher.end().await, Ended(Some(1012)));
    let mut process = Arc::into_inner(process).expect("all clients are gone");
    assert_eq!(process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn g15_a_second_sigterm_ends_at_once() {
    let mut process = Process::start("[drain]\nreconnect_window_ms = 20000\nnotice_ms = 20000\ndeadline_ms = 25000\n");
    let mut peer = Peer::connect(&process).await;
    process.signal(Signal::TERM);
    assert!(peer.event("welcome").await["draining"].is_object());
    assert!(process.is_alive());
    process.signal(Signal::TERM);
    // Far below the notice that it would otherwise wait for; `exit` has a deadline of the same order.
    let begun = arqonbus_tests::harness::clock::now();
    process.exit().await;
    assert!((arqonbus_tests::harness::clock::now() - begun).as_secs() < 10, "it did not wait for the drain");
}

#[tokio::test]
async fn an_idle_server_ends_soon() {
    let mut process = Process::start("[drain]\nreconnect_window_ms = 100\nnotice_ms = 10\ndeadline_ms = 10000\n");
    let address = process.address();
    process.signal(Signal::INT);
    assert_eq!(process.exit().await.code(), Some(0));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
