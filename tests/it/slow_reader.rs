//! A reader that stops reading harms nobody but itself (G14).

use arqonbus_tests::harness::{Ended, Peer, Reach, Server, clock::eventually, peer::position, socket::Socket};
use serde_json::{Value, json};

const PADDING: usize = 16 * 1024;

#[tokio::test]
async fn g14_a_slow_reader_is_closed_and_nobody_waits_for_it() {
    let server = Server::with(|config| {
        config.limits.outbox_bytes = 256 * 1024;
    });
    let mut slow = Peer::on(Socket::open_narrow(server.address()).await).await;
    slow.join("a:b").await;
    let mut watcher = Peer::joined(&server, "_telemetry:activity").await;
    let mut quick = [Peer::joined(&server, "a:b").await, Peer::joined(&server, "a:b").await, Peer::joined(&server, "a:b").await];
    let mut publisher = Peer::connect(&server).await;
    let padding = "x".repeat(PADDING);

    let mut published = 0;
    // Whatever the kernel buffers for the one that does not read, at some point it is full.
    while !told_of(&mut watcher, &slow.client).await {
        published += 1;
        publisher.publish("a:b", json!([published, padding])).await;
        for peer in &mut quick {
            assert_eq!(peer.message().await["payload"][0], published);
        }
        assert!(published < 4_000, "64 MiB wait for a reader that reads nothing");
    }

    let held = drain_what_came(&mut slow).await;
    assert!(held < published, "the rest was not sent");
    let epoch = publisher.ok("channel_info", json!({"room": "a", "channel": "b"})).await["head"]["epoch"].clone();
    let mut resumed = Peer::connect(&server).await;
    resumed.join_with("a:b", json!({"since": {"epoch": epoch, "seq": held}})).await;
    for expected in held + 1..=published {
        assert_eq!(position(&resumed.message().await).seq, expected, "it resumes without a hole");
    }
}

/// Whether telemetry has said by now that this client is a slow consumer.
async fn told_of(watcher: &mut Peer, client: &str) -> bool {
    while let Some(activity) = watcher.already().await {
        if activity["payload"]["signal"] == "slow_consumer" {
            assert_eq!(activity["payload"]["client"], client, "only the one that does not read");
            return true;
        }
    }
    false
}

/// Reads on after the stop: what was on its way, in order, then the end with its code. Gives the last seq.
async fn drain_what_came(slow: &mut Peer) -> u64 {
    let mut held = 0;
    loop {
        match slow.next_text().await {
            Ok(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                held += 1;
                assert_eq!(position(&message).seq, held);
            }
            Err(ended) => {
                assert_eq!(ended, Ended(Some(4100)));
                return held;
            }
        }
    }
}

#[tokio::test]
async fn g14_a_reader_that_takes_nothing_for_too_long_is_closed() {
    let server = Server::with(|config| {
        config.limits.outbox_age_ms = 200;
        config.limits.outbox_bytes = 64 * 1024 * 1024;
        config.telemetry.room = "off".into();
    });
    let mut slow = Peer::on(Socket::open_narrow(server.address()).await).await;
    slow.join("a:b").await;
    let mut publisher = Peer::connect(&server).await;
    let padding = "x".repeat(PADDING);
    // 8 MiB: more than the kernel buffers, less than the outbox may hold.
    for _ in 0..512 {
        publisher.publish("a:b", json!(padding)).await;
    }
    eventually("the slow reader is gone", async || (publisher.ok("status", json!({})).await["connections"] == 1).then_some(())).await;
}
