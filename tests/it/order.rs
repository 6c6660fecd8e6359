//! One order per topic, the same for everybody (G1–G3, G5, G8).

use std::sync::Arc;

use arqonbus_protocol::Topic;
use arqonbus_tests::checker::{Recorder, What, assert_kept};
use arqonbus_tests::harness::{Peer, Reach, Server};
use arqonbus_tests::load::{Amount, Publisher, Subscriber, head};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

fn topics(count: usize) -> Vec<Topic> {
    (0..count).map(|number| format!("room{}:t{number}", number % 3).parse().unwrap()).collect()
}

#[tokio::test]
async fn g01_g02_g03_g05_everybody_sees_one_order() {
    const TOPICS: usize = 10;
    const SUBSCRIBERS: u32 = 20;
    let server = Server::start();
    let (recorder, ready, topics) = (Recorder::default(), Arc::new(Semaphore::new(0)), topics(TOPICS));
    let ends: Vec<_> = topics.iter().map(|_| watch::channel(None)).collect();
    let mut subscribers = JoinSet::new();
    for number in 0..SUBSCRIBERS {
        let topic = number as usize % TOPICS;
        let subscriber = Subscriber { number, topic: topics[topic], ready: Arc::clone(&ready), until: ends[topic].1.clone() };
        subscribers.spawn(subscriber.run(server.address(), recorder.clone()));
    }
    let _ = ready.acquire_many(SUBSCRIBERS).await.unwrap();
    let mut publishers = JoinSet::new();
    for number in 0..8 {
        let publisher = Publisher { number, topics: topics.clone(), amount: Amount::Count(500), window: 32 };
        publishers.spawn(publisher.run(server.address(), recorder.clone()));
    }
    publishers.join_all().await;
    for (topic, (end, _)) in topics.iter().zip(&ends) {
        let head = head(&server, *topic).await;
        assert_eq!(head.seq, 400);
        end.send_replace(Some(head));
    }
    subscribers.join_all().await;
    for (topic, (end, _)) in topics.iter().zip(&ends) {
        recorder.note(What::Settled { topic: *topic, head: end.borrow().unwrap() });
    }
    assert_kept(&recorder.history());
}

/// The payload's bytes come as they were sent, spaces, escapes and number forms included.
#[tokio::test]
async fn g05_payloads_are_relayed_byte_for_byte() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let mut publisher = Peer::connect(&server).await;
    for payload in [
        "{ \"b\" : 1,\t\"a\":[ 1.0 , 1e3, -0, 0.10 ] }",
        "\"\\u0041\\/\\ud83d\\ude00 ü\u{1F600}\"",
        "123456789012345678901234567890",
        "null",
        "true",
        "{}",
        "[]",
        "{\"type\":\"event\",\"seq\":1}",
    ] {
        publisher.send_text(&format!("{{\"type\":\"message\",\"room\":\"a\",\"channel\":\"b\",\"payload\":{payload}}}")).await;
        let delivered = subscriber.next_text().await.unwrap();
        assert!(delivered.contains(&format!("\"payload\":{payload}")), "{payload} came as {delivered}");
    }
}

#[tokio::test]
async fn g05_what_the_server_owns_is_the_servers() {
    let server = Server::start();
    let mut subscriber = Peer::joined(&server, "a:b").await;
    let mut publisher = Peer::introduce(&server, json!({"user": "ada"})).await;
    let ack = publisher.publish("a:b", json!({"sender": "c_00000000", "seq": 99})).await;
    let message = subscriber.message().await;
    assert_eq!(message["sender"], publisher.client.as_str());
    assert_eq!(message["user"], "ada");
    assert_eq!((&message["epoch"], &message["seq"]), (&ack["epoch"], &ack["seq"]));
    assert_eq!(ack["seq"], 1);
    assert_eq!(ack["durability"], "memory");
    assert_eq!(ack["duplicate"], false);
    assert!(message["timestamp"].as_str().unwrap().ends_with('Z'));
}

/// What a subscriber gets begins right after the head that the join's reply names, whatever is published meanwhile.
#[tokio::test]
async fn g08_nothing_is_lost_or_doubled_between_a_join_and_the_first_delivery() {
    let server = Server::start();
    let topic: Topic = "busy:topic".parse().unwrap();
    let (recorder, ready, (end, until)) = (Recorder::default(), Arc::new(Semaphore::new(0)), watch::channel(None));
    let publisher = Publisher { number: 1, topics: vec![topic], amount: Amount::Count(4_000), window: 64 };
    let publishing = tokio::spawn(publisher.run(server.address(), recorder.clone()));
    let mut subscribers = JoinSet::new();
    for number in 0..30 {
        let subscriber = Subscriber { number, topic, ready: Arc::clone(&ready), until: until.clone() };
        subscribers.spawn(subscriber.run(server.address(), recorder.clone()));
        // One after the other, so that the joins fall all over the run.
        ready.acquire().await.unwrap().forget();
    }
    publishing.await.unwrap();
    let head = head(&server, topic).await;
    end.send_replace(Some(head));
    subscribers.join_all().await;
    recorder.note(What::Settled { topic, head });
    assert_kept(&recorder.history());
}
