//! Coming back: exactly once and in order, or a gap that says why (G6, G10, G11).

use arqonbus_protocol::Position;
use arqonbus_tests::harness::{Peer, Reach, Server, peer::position, quick};
use serde_json::{Value, json};

async fn publish(peer: &mut Peer, payloads: std::ops::RangeInclusive<u64>) -> Position {
    let mut head = None;
    for payload in payloads {
        head = Some(peer.publish_at("a:b", json!(payload)).await);
    }
    head.unwrap()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    range.map(Value::from).collect()
}

#[tokio::test]
async fn g06_a_resumed_subscription_goes_on_where_it_was() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    let held = publish(&mut publisher, 1..=5).await;
    let head = publish(&mut publisher, 6..=9).await;
    let mut subscriber = Peer::connect(&server).await;
    let start = subscriber.join_with("a:b", json!({"since": held})).await;
    assert_eq!((start.head, start.start), (head, held));
    assert_eq!(subscriber.payloads(4).await, numbers(6..=9));
    publish(&mut publisher, 10..=10).await;
    assert_eq!(subscriber.payloads(1).await, numbers(10..=10));
}

#[tokio::test]
async fn a_replay_gives_the_last_messages_then_live_ones() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    let head = publish(&mut publisher, 1..=9).await;
    for (replay, first) in [(3, 7), (0, 10), (9, 1), (100, 1)] {
        let mut subscriber = Peer::connect(&server).await;
        let start = subscriber.join_with("a:b", json!({"replay": replay})).await;
        assert_eq!((start.head, start.start.seq), (head, first - 1), "replay {replay}");
        assert_eq!(subscriber.payloads(10 - first as usize).await, numbers(first..=9));
    }
}

/// The reply is on the wire first, then the gap, then what is held, then what is live.
#[tokio::test]
async fn g11_a_trimmed_past_is_announced_before_the_first_message_after_it() {
    let server = Server::with(|config| config.history.messages = 5);
    let mut publisher = Peer::connect(&server).await;
    let held = publish(&mut publisher, 1..=2).await;
    let head = publish(&mut publisher, 3..=20).await;
    let first = publisher.ok("channel_info", json!({"room": "a", "channel": "b"})).await["first_seq"].as_u64().unwrap();
    let mut subscriber = Peer::connect(&server).await;
    subscriber.send(&json!({"type": "command", "id": "j", "command": "join_channel", "args": {"room": "a", "channel": "b", "since": held}})).await;
    let reply = subscriber.next().await;
    assert_eq!(reply["type"], "response", "{reply}");
    assert_eq!(position(&reply["result"]["topics"][0]["start"]).seq, first - 1);
    let gap = subscriber.event("gap").await;
    assert_eq!(gap["reason"], "trimmed");
    assert_eq!(position(&gap["from"]), held);
    assert_eq!(position(&gap["to"]), Position { seq: first - 1, ..head });
    assert_eq!(subscriber.payloads((20 - first + 1) as usize).await, numbers(first..=20));
}

/// Every border of a log: what a position there gives.
#[tokio::test]
async fn g11_positions_at_every_border_of_the_log() {
    const SEQ_MAX: u64 = (1 << 53) - 1;
    let server = Server::with(|config| config.history.messages = 5);
    let mut publisher = Peer::connect(&server).await;
    let head = publish(&mut publisher, 1..=20).await;
    let oldest = publisher.ok("channel_info", json!({"room": "a", "channel": "b"})).await["first_seq"].as_u64().unwrap();
    for (since, reason, next) in [
        (0, Some("trimmed"), oldest),
        (oldest - 2, Some("trimmed"), oldest),
        (oldest - 1, None, oldest),
        (oldest, None, oldest + 1),
        (19, None, 20),
        (20, None, 21),
        (21, Some("ahead"), 21),
        (SEQ_MAX, Some("ahead"), 21),
    ] {
        let mut subscriber = Peer::connect(&server).await;
        subscriber.join_with("a:b", json!({"since": {"epoch": head.epoch, "seq": since}})).await;
        if let Some(reason) = reason {
            let gap = subscriber.event("gap").await;
            assert_eq!((&gap["reason"], position(&gap["to"])), (&json!(reason), Position { seq: next - 1, ..head }), "since {since}");
        }
        if next <= 20 {
            assert_eq!(subscriber.payloads((20 - next + 1) as usize).await, numbers(next..=20), "since {since}");
        }
        let live = publisher.publish_at("a:fence", json!(0)).await;
        subscriber.join_with("a:fence", json!({"since": {"epoch": live.epoch, "seq": live.seq - 1}})).await;
        assert_eq!(subscriber.message().await["channel"], "fence", "since {since}: nothing else came");
    }
    for since in [json!({"epoch": head.epoch, "seq": SEQ_MAX + 1}), json!({"epoch": head.epoch, "seq": -1}), json!({"epoch": "", "seq": 1}), json!(7)]
    {
        let refused = publisher.refused("join_channel", json!({"room": "a", "channel": "b", "since": since})).await;
        assert_eq!(refused, "invalid_args", "since {since}");
    }
}

#[tokio::test]
async fn g11_a_position_in_an_empty_topic_is_not_taken_for_its_own() {
    let server = Server::start();
    let mut subscriber = Peer::connect(&server).await;
    let start = subscriber.join_with("never:used", json!({"since": {"epoch": "0ther", "seq": 7}})).await;
    let gap = subscriber.event("gap").await;
    assert_eq!((&gap["reason"], position(&gap["to"])), (&json!("epoch_changed"), start.start));
    assert_eq!(start.start.seq, 0);
}

#[tokio::test]
async fn g10_a_restarted_node_announces_that_the_past_is_lost() {
    let server = Server::start();
    let address = server.address();
    let mut publisher = Peer::connect(&server).await;
    let held = publish(&mut publisher, 1..=5).await;
    drop(publisher);
    server.stop().await;
    let server = Server::at(address, quick());
    let mut publisher = Peer::connect(&server).await;
    let mut subscriber = Peer::connect(&server).await;
    let start = subscriber.join_with("a:b", json!({"since": held})).await;
    let gap = subscriber.event("gap").await;
    assert_eq!((&gap["reason"], position(&gap["from"])), (&json!("epoch_changed"), held));
    assert_eq!(position(&gap["to"]), start.start);
    assert_ne!(start.head.epoch, held.epoch);
    let next = publish(&mut publisher, 1..=1).await;
    assert_eq!(position(&subscriber.message().await), next);
    assert_eq!(next, start.start.next());
}

/// The position of the log's first life says `epoch_changed` even when the new life is longer.
#[tokio::test]
async fn g10_a_deleted_and_recreated_channel_is_another_log() {
    let server = Server::start();
    let mut publisher = Peer::connect(&server).await;
    let held = publish(&mut publisher, 1..=3).await;
    publisher.ok("delete_channel", json!({"room": "a", "channel": "b"})).await;
    let head = publish(&mut publisher, 4..=9).await;
    assert_ne!(head.epoch, held.epoch);
    assert_eq!(head.seq, 6);
    let mut subscriber = Peer::connect(&server).await;
    subscriber.join_with("a:b", json!({"since": held})).await;
    let gap = subscriber.event("gap").await;
    assert_eq!((&gap["reason"], position(&gap["to"])), (&json!("epoch_changed"), Position { seq: 0, ..head }));
    assert_eq!(subscriber.payloads(6).await, numbers(4..=9));
}

/// A past that is far larger than an outbox comes page by page, and does not count as slow reading.
#[tokio::test]
async fn g11_a_long_catch_up_is_paged_and_not_refused() {
    const COUNT: u64 = 3_000;
    let server = Server::with(|config| {
        config.limits.outbox_bytes = 128 * 1024;
        config.history.messages = COUNT;
    });
    let mut publisher = Peer::connect(&server).await;
    let padding = "x".repeat(1024);
    for number in 1..=COUNT {
        publisher.send(&json!({"type": "message", "room": "a", "channel": "b", "payload": [number, padding]})).await;
    }
    publisher.settle().await;
    let mut subscriber = Peer::connect(&server).await;
    let start = subscriber.join_with("a:b", json!({"replay": COUNT})).await;
    assert_eq!((start.head.seq, start.start.seq), (COUNT, 0));
    // What is published meanwhile follows what is held.
    publisher.publish("a:b", json!([COUNT + 1])).await;
    for expected in 1..=COUNT + 1 {
        let message = subscriber.message().await;
        assert_eq!((position(&message).seq, &message["payload"][0]), (expected, &json!(expected)));
    }
}

#[tokio::test]
async fn a_second_join_of_the_same_topic_does_not_double_deliveries() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    subscriber.join("a:b").await;
    let mut publisher = Peer::connect(&server).await;
    publish(&mut publisher, 1..=3).await;
    assert_eq!(subscriber.payloads(3).await, numbers(1..=3));
}
