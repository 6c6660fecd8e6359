//! `exclude_sender` where the answer of Redis is lost: what was stored comes back by another way, and its sender is left out all the same.

use std::collections::BTreeSet;

use arqonbus_tests::harness::Peer;
use arqonbus_tests::harness::redis::Redis;
use serde_json::{Value, json};

use super::Node;

/// Messages of each in one round.
const WINDOW: u64 = 32;
/// So many answers are to be lost, of whatever is sent.
const LOST: u64 = 20;
/// Rounds, each with a cut, in which that has to happen.
const ROUNDS_MAX: u64 = 500;

/// What a sender sees of a topic: messages, and acks of its own that it does not see.
#[derive(Default)]
struct View {
    /// The last seq without anything missing before it.
    at: u64,
    acked: BTreeSet<u64>,
    own: Vec<Value>,
}

impl View {
    fn sees(&mut self, envelope: &Value, me: &str) {
        if envelope["type"] == "response" {
            assert_eq!(envelope["status"], "ok", "{envelope}");
            self.acked.insert(envelope["result"]["seq"].as_u64().expect("a seq"));
        } else if envelope["sender"] == me {
            self.own.push(envelope.clone());
            self.acked.insert(envelope["seq"].as_u64().expect("a seq"));
        } else {
            let seq = envelope["seq"].as_u64().unwrap_or_else(|| panic!("no message: {envelope}"));
            self.pass_acked();
            assert_eq!(seq, self.at + 1, "what is not seen is acknowledged before what follows it");
            self.at = seq;
        }
        self.pass_acked();
    }

    fn pass_acked(&mut self) {
        while self.acked.remove(&(self.at + 1)) {
            self.at += 1;
        }
    }
}

#[tokio::test]
async fn whoever_does_not_want_its_own_messages_does_not_get_them_where_an_answer_of_redis_was_lost() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let (mut sender, mut other) = (Peer::joined(&a, "r:c").await, Peer::connect(&b).await);
    let (mut view, me) = (View::default(), sender.client.clone());
    let mut repeated = 0;
    for round in 0..ROUNDS_MAX {
        if repeated >= LOST {
            break;
        }
        for n in 0..WINDOW {
            let number = round * WINDOW + n;
            let message =
                json!({"type": "message", "id": format!("m{number}"), "room": "r", "channel": "c", "payload": number, "exclude_sender": true});
            sender.send(&message).await;
            other.send(&json!({"type": "message", "room": "r", "channel": "c", "payload": "other"})).await;
        }
        redis.cut("normal").await;
        while view.at < 2 * WINDOW * (round + 1) {
            let envelope = sender.next().await;
            repeated += u64::from(envelope["result"]["duplicate"] == true);
            view.sees(&envelope, &me);
        }
    }
    assert!(repeated >= LOST, "only {repeated} answers were lost");
    assert_eq!(view.own, Vec::<Value>::new());
}
