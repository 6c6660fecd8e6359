//! The Rust client through the same faults: every subscriber sees the next message or a gap, every publish has its outcome.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use arqonbus_client::{Client, Error, Item, Receipt, Subscription};
use arqonbus_protocol::{ErrorCode, MessageId, Position, Topic};
use arqonbus_server::config::Create;
use arqonbus_tests::checker::{Fault, Recorder, What, assert_kept};
use arqonbus_tests::harness::chaos::{Chaos, Fate, Plan};
use arqonbus_tests::harness::clock::{PATIENCE, eventually, now, within};
use arqonbus_tests::harness::{Process, Reach, Server};
use arqonbus_tests::load::{fingerprint, head};
use tokio::sync::watch;
use tokio::task::JoinSet;

async fn connect(address: SocketAddr, user: &str) -> Client {
    let builder = Client::builder(format!("ws://{address}")).user(user).backoff(Duration::from_millis(5), Duration::from_millis(100));
    within(PATIENCE, "a connection", builder.first_attempts(20).connect()).await.expect("a connection")
}

/// Publishes `count` messages with 16 in flight, and notes the outcome of each.
async fn publish(address: SocketAddr, number: u32, topic: Topic, count: usize, recorder: Recorder) {
    let client = connect(address, &format!("publisher-{number}")).await;
    let mut receipts: VecDeque<(MessageId, Receipt)> = VecDeque::new();
    for message in 0..count {
        let id: MessageId = format!("c{number}.{message}").parse().unwrap();
        let payload = format!("[{number},{message}]");
        recorder.note(What::Invoke { publisher: number, id, topic, payload: fingerprint(&payload) });
        receipts.push_back((id, client.publish_json(topic.to_string(), &payload).id(id.to_string()).send().await.expect("room for it")));
        if receipts.len() == 16 {
            settle(receipts.pop_front().unwrap(), &recorder).await;
        }
    }
    for receipt in receipts {
        settle(receipt, &recorder).await;
    }
}

async fn settle((id, receipt): (MessageId, Receipt), recorder: &Recorder) {
    recorder.note(match within(2 * PATIENCE, "an outcome", receipt).await {
        Ok(ack) => What::Ok { id, position: ack.position.expect("a topic's ack has a position") },
        Err(Error::Unknown) => What::Unknown { id },
        Err(Error::Rejected(_) | Error::NotSent) => What::Fail { id },
        Err(other) => panic!("{other}"),
    });
}

/// What nobody waits for is told all the same, wherever its topic lives, before the client is gone.
#[tokio::test]
async fn a_drain_tells_every_refusal_of_what_was_published_without_an_ack() {
    let server = Server::with(|config| (config.shards, config.create) = (4, Create::Explicit));
    let client = connect(server.address(), "hurry").await;
    let mut refusals = client.refusals();
    for number in 0..16 {
        client.publish_json(format!("no:where{number}"), "1").nowait().await.expect("room for it");
    }
    client.drain().await;
    let mut told = 0;
    while let Ok(refusal) = refusals.try_recv() {
        assert_eq!(refusal.code, ErrorCode::UnknownChannel);
        told += 1;
    }
    assert_eq!(told, 16);
}

/// Receives until the last position is held.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum may grow, and nothing else is expected")]
async fn receive(mut messages: Subscription, number: u32, topic: Topic, mut until: watch::Receiver<Option<Position>>, recorder: Recorder) {
    let mut cursor = None;
    while cursor.is_none() || *until.borrow() != cursor {
        let item = tokio::select! {
            item = messages.recv() => item.expect("the subscription goes on"),
            Ok(()) = until.changed() => continue,
        };
        match item {
            Item::Message(message) => {
                let position = message.position().expect("a topic's message has a position");
                let payload = fingerprint(message.payload_json());
                recorder.note(What::Deliver { subscription: number, topic, id: *message.id(), position, payload });
                cursor = Some(position);
            }
            Item::Gap { gap, .. } => {
                recorder.note(What::Gap { subscription: number, topic, reason: gap.reason, from: gap.from, to: gap.to });
                cursor = Some(gap.to);
            }
            other => panic!("{other:?}"),
        }
    }
}

struct Run {
    recorder: Recorder,
    topic: Topic,
    publishers: JoinSet<()>,
    subscribers: JoinSet<()>,
    end: watch::Sender<Option<Position>>,
}

impl Run {
    async fn begin(address: SocketAddr, publishers: u32, subscribers: u32, count: usize) -> Self {
        let (recorder, topic) = (Recorder::default(), "a:b".parse::<Topic>().unwrap());
        let (end, until) = watch::channel(None);
        let mut run = Self { recorder, topic, publishers: JoinSet::new(), subscribers: JoinSet::new(), end };
        for number in 0..subscribers {
            let client = connect(address, &format!("subscriber-{number}")).await;
            let invoked = now();
            let messages = client.join(topic.to_string()).await.expect("a subscription");
            let start = messages.topics()[0].start;
            run.recorder.note(What::Joined { subscription: number, topic, since: None, start, invoked });
            run.subscribers.spawn(receive(messages, number, topic, until.clone(), run.recorder.clone()));
        }
        for number in 0..publishers {
            run.publishers.spawn(publish(address, number, topic, count, run.recorder.clone()));
        }
        run
    }

    async fn reached(&self, acknowledged: usize) {
        eventually("progress", async || {
            let acked = self.recorder.history().iter().filter(|seen| matches!(seen.what, What::Ok { .. })).count();
            (acked >= acknowledged).then_some(())
        })
        .await;
    }

    async fn check(self, bus: &impl Reach) {
        within(3 * PATIENCE, "every outcome", self.publishers.join_all()).await;
        let head = head(bus, self.topic).await;
        self.end.send_replace(Some(head));
        within(3 * PATIENCE, "everybody caught up", self.subscribers.join_all()).await;
        self.recorder.note(What::Settled { topic: self.topic, head });
        assert_kept(&self.recorder.history());
    }
}

#[tokio::test]
async fn g04_g06_g10_clients_of_a_killed_and_restarted_server_see_the_next_message_or_a_gap() {
    let mut process = Process::start("");
    let address = process.address();
    let run = Run::begin(address, 3, 8, 2_000).await;
    for round in 1..=3 {
        run.reached(round * 1_000).await;
        process.kill();
        run.recorder.note(What::Fault(Fault::Restart));
        process = Process::at(&address.to_string(), "");
    }
    run.check(&process).await;
}

#[tokio::test]
async fn g06_g07_clients_whose_connections_flap_lose_nothing_and_see_no_gap() {
    let server = Server::with(|config| config.history.messages = 100_000);
    let chaos = Chaos::before(server.address(), 7, |_, dice| Plan {
        up: Fate { delay_ms: 2, slice: 1 + dice.below(400) as usize, cut: None },
        down: Fate { delay_ms: 2, slice: 1 + dice.below(4_000) as usize, cut: None },
    })
    .await;
    let run = Run::begin(chaos.address(), 3, 6, 300).await;
    for flap in 1..=8 {
        run.reached(flap * 90).await;
        run.recorder.note(What::Fault(Fault::Flap));
        chaos.flap();
    }
    run.check(&server).await;
}
