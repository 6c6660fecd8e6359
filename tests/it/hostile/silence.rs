//! The HTTP rows that wait: whoever does not speak, or too slowly, is closed after five seconds.

use std::time::Duration;

use arqonbus_tests::harness::clock::{now, within};
use arqonbus_tests::harness::socket::Socket;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::json;
use tokio::task::JoinSet;

use super::Arena;

/// The five seconds of the promise, and time for a loaded machine.
const CLOSED_WITHIN: Duration = Duration::from_secs(12);

/// What is sent at once, and what then once a second.
const ROWS: &[(&str, &str, &str)] = &[
    ("silence", "", ""),
    ("half a request line", "GET /v1/", ""),
    ("half a header", "GET / HTTP/1.1\r\nHost: x\r\nUpg", ""),
    ("headers without an end", "GET / HTTP/1.1\r\nHost: x\r\n", ""),
    ("a byte at a time", "GET / HTTP/1.1\r\nX: ", "x"),
    ("a header at a time", "GET / HTTP/1.1\r\n", "X: y\r\n"),
    ("idle after an answer", "GET /v1/schema HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ("half a body", "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", ""),
    ("a body a byte at a time", "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", " "),
];

#[tokio::test]
async fn who_does_not_speak_is_closed_after_five_seconds() {
    let mut arena = Arena::open("").await;
    let mut waiting = JoinSet::new();
    for (row, at_once, then) in ROWS {
        let address = arena.address();
        waiting.spawn(async move {
            let mut socket = Socket::plain(address).await;
            socket.write(at_once.as_bytes()).await;
            within(CLOSED_WITHIN, row, async {
                while tokio::time::timeout(Duration::from_secs(1), socket.ended()).await.is_err() {
                    socket.write(then.as_bytes()).await;
                }
            })
            .await;
        });
    }
    // And a thousand more that say nothing: a good client is served meanwhile.
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(Socket::plain(arena.address()).await);
    }
    let begun = now();
    Peer::introduce(&arena, json!({})).await.close().await;
    assert!(now() - begun < Duration::from_secs(5), "a good client waits for silent ones");
    waiting.join_all().await;
    for socket in &mut silent {
        socket.ended().await;
    }
    arena.probe("silence").await;
    arena.close().await;
}
