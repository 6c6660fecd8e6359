//! Signs of life (G16).

use arqonbus_tests::harness::{Ended, Peer, Server, clock::eventually};
use serde_json::json;

#[tokio::test]
async fn g16_a_peer_without_a_sign_of_life_is_closed_and_others_are_not() {
    let server = Server::with(|config| config.heartbeat_ms = 500);
    let mut mute = Peer::connect(&server).await;
    mute.answers_pings = false;
    let mut alive = Peer::connect(&server).await;
    let answering = tokio::spawn(async move { alive.end().await });
    assert_eq!(mute.end().await, Ended(Some(4102)));
    // One that came later is still there after it, too: it answers.
    let mut probe = Peer::connect(&server).await;
    eventually("the mute one is gone", async || (probe.ok("status", json!({})).await["connections"] == 2).then_some(())).await;
    probe.settle().await;
    assert!(!answering.is_finished(), "who answers pings stays");
    answering.abort();
}

#[tokio::test]
async fn any_byte_is_a_sign_of_life() {
    let server = Server::with(|config| config.heartbeat_ms = 500);
    let mut mute = Peer::connect(&server).await;
    mute.answers_pings = false;
    let mut chatty = Peer::connect(&server).await;
    chatty.answers_pings = false;
    let ended = tokio::spawn(async move { mute.end().await });
    while !ended.is_finished() {
        chatty.settle().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ended.await.unwrap(), Ended(Some(4102)));
    chatty.settle().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_bytes() {
    use arqonbus_tests::harness::{Reach, frame, socket::Socket};
    let server = Server::start();
    let mut socket = Socket::open(server.address()).await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        socket.send(&frame::Frame::new(frame::PING, payload)).await;
        let pong = loop {
            let frame = socket.read().await.unwrap();
            if frame.opcode == frame::PONG {
                break frame;
            }
        };
        assert_eq!(pong.payload, payload);
    }
}
