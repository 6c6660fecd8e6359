//! Reading a topic's past.

use arqonbus_protocol::Position;
use arqonbus_tests::harness::{Peer, Server, peer::position};
use serde_json::{Value, json};

const TOPIC: (&str, &str) = ("log", "book");

/// A topic with messages 1 to `count`; gives a peer and the head.
async fn filled(server: &Server, count: u64) -> (Peer, Position) {
    let mut peer = Peer::connect(server).await;
    let mut head = None;
    for payload in 1..=count {
        head = Some(peer.publish_at("log:book", json!(payload)).await);
    }
    (peer, head.unwrap())
}

async fn read(peer: &mut Peer, args: Value) -> Value {
    let mut all = json!({"room": TOPIC.0, "channel": TOPIC.1});
    all.as_object_mut().unwrap().extend(args.as_object().unwrap().clone());
    peer.ok("history", all).await
}

fn seqs(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let server = Server::start();
    let (mut peer, head) = filled(&server, 25).await;
    let cases = [("forward", "since", (1..=25).collect::<Vec<u64>>()), ("backward", "until", (1..=25).rev().collect())];
    for (direction, bound, expected) in cases {
        let (mut all, mut pages, mut args) = (Vec::new(), 0, json!({"direction": direction, "limit": 10}));
        loop {
            let page = read(&mut peer, args.clone()).await;
            assert_eq!(position(&page["head"]), head);
            all.extend(seqs(&page));
            pages += 1;
            if page["next"].is_null() {
                break;
            }
            args[bound] = page["next"].clone();
        }
        assert_eq!((all, pages), (expected, 3), "{direction}");
    }
}

#[tokio::test]
async fn since_is_exclusive_and_until_inclusive() {
    let server = Server::start();
    let (mut peer, head) = filled(&server, 10).await;
    let at = |seq: u64| json!({"epoch": head.epoch, "seq": seq});
    for (args, expected) in [
        (json!({"since": at(3), "until": at(6)}), vec![4, 5, 6]),
        (json!({"since": at(0), "until": at(2)}), vec![1, 2]),
        (json!({"since": at(9)}), vec![10]),
        (json!({"since": at(10)}), vec![]),
        (json!({"since": at(5), "until": at(5)}), vec![]),
        (json!({"since": at(3), "until": at(6), "direction": "backward"}), vec![6, 5, 4]),
        (json!({"since": at(3), "direction": "backward", "limit": 2}), vec![10, 9]),
        (json!({"since": "2020-01-01T00:00:00.000Z", "limit": 3}), vec![1, 2, 3]),
        (json!({"since": "2099-01-01T00:00:00.000Z"}), vec![]),
        (json!({"until": "2020-01-01T00:00:00.000Z"}), vec![]),
        (json!({"until": "2099-01-01T00:00:00.000Z", "limit": 2, "direction": "backward"}), vec![10, 9]),
    ] {
        let page = read(&mut peer, args.clone()).await;
        assert_eq!(seqs(&page), expected, "{args}");
    }
}

#[tokio::test]
async fn held_messages_are_those_that_were_delivered_byte_for_byte() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "log:book").await;
    let mut publisher = Peer::introduce(&server, json!({"user": "ada"})).await;
    publisher
        .send_text(
            r#"{"type":"message","id":"m1","room":"log","channel":"book","headers":{ "trace" : "1" },"payload":{ "a":1.0 },"correlation_id":"c1"}"#,
        )
        .await;
    let delivered = subscriber.next_text().await.unwrap();
    publisher.send(&json!({"type": "command", "id": "h", "command": "history", "args": {"room": "log", "channel": "book"}})).await;
    let page = publisher.next_text().await.unwrap();
    assert!(page.contains(&delivered), "{delivered} is not in {page}");
}

#[tokio::test]
async fn the_limit_is_bounded_and_a_page_has_a_hundred_by_default() {
    let server = Server::start();
    let (mut peer, _) = filled(&server, 120).await;
    assert_eq!(seqs(&read(&mut peer, json!({})).await).len(), 100);
    assert_eq!(seqs(&read(&mut peer, json!({"limit": 1000})).await).len(), 120);
    for limit in [json!(0), json!(1001), json!(2_147_483_648_u64), json!(4_294_967_296_u64), json!(-1), json!(1.5), json!("10")] {
        let refused = peer.refused("history", json!({"room": "log", "channel": "book", "limit": limit})).await;
        assert_eq!(refused, "invalid_args", "limit {limit}");
    }
}

#[tokio::test]
async fn a_trimmed_past_is_said_in_history_too() {
    let server = Server::with(|config| config.history.messages = 5);
    let (mut peer, head) = filled(&server, 20).await;
    let page = read(&mut peer, json!({"since": {"epoch": head.epoch, "seq": 2}})).await;
    let first = page["first_seq"].as_u64().unwrap();
    assert!(first > 3, "{page}");
    assert_eq!(seqs(&page), (first..=20).collect::<Vec<_>>());
    assert_eq!(page["gap"]["reason"], "trimmed", "{page}");
    assert_eq!(position(&page["gap"]["to"]).seq, first - 1);
    let page = read(&mut peer, json!({"since": {"epoch": "0ther", "seq": 2}})).await;
    assert_eq!(page["gap"]["reason"], "epoch_changed", "{page}");
}

#[tokio::test]
async fn a_topic_without_history_says_so_and_has_none() {
    let server = Server::with(|config| config.history.messages = 0);
    let mut subscriber = Peer::joined(&server, "log:book").await;
    let mut peer = Peer::connect(&server).await;
    assert_eq!(peer.publish("log:book", json!(1)).await["durability"], "none");
    assert_eq!(subscriber.message().await["payload"], 1);
    assert_eq!(seqs(&read(&mut peer, json!({})).await), [0_u64; 0]);
}

#[tokio::test]
async fn a_message_over_the_bytes_of_its_log_is_delivered_and_its_ack_says_that_it_is_not_kept() {
    let server = Server::with(|config| config.history.bytes = 10_000);
    let mut subscriber = Peer::joined(&server, "log:book").await;
    let mut peer = Peer::connect(&server).await;
    assert_eq!(peer.publish("log:book", json!("small")).await["durability"], "memory");
    assert_eq!(peer.publish("log:book", json!("x".repeat(20_000))).await["durability"], "none");
    assert_eq!(peer.publish("log:book", json!("small")).await["durability"], "memory");
    assert_eq!(subscriber.payloads(3).await[2], "small");
    assert_eq!(seqs(&read(&mut peer, json!({})).await), [3]);
}

#[tokio::test]
async fn messages_leave_by_age() {
    let server = Server::with(|config| config.history.age_ms = 50);
    let (mut peer, _) = filled(&server, 3).await;
    arqonbus_tests::harness::clock::eventually("an empty history", async || {
        let page = read(&mut peer, json!({})).await;
        seqs(&page).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_page_ends_early_at_its_byte_bound_and_goes_on() {
    let server = Server::start();
    let mut peer = Peer::connect(&server).await;
    let large = "x".repeat(100 * 1024);
    for _ in 0..12 {
        peer.publish("log:book", json!(large)).await;
    }
    let (mut all, mut args, mut pages) = (Vec::new(), json!({}), 0);
    loop {
        let page = read(&mut peer, args.clone()).await;
        all.extend(seqs(&page));
        pages += 1;
        if page["next"].is_null() {
            break;
        }
        args["since"] = page["next"].clone();
    }
    assert_eq!(all, (1..=12).collect::<Vec<_>>());
    assert!(pages > 1, "more than a page holds");
}
