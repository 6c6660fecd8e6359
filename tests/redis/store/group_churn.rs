//! Members of one group that come and go on two nodes while they work, settle, give back and forget (spec 006, SC-001): in the end each message was
//! acknowledged or is a dead letter, and none that was acknowledged was given out again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::eventually;
use arqonbus_tests::harness::peer::topic_args;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::groups::{TOPIC, settling, worker};
use super::{Node, history};

const MESSAGES: u64 = 240;
const WORKERS: u64 = 6;

struct At(SocketAddr);

impl Reach for At {
    fn address(&self) -> SocketAddr {
        self.0
    }
}

/// What all workers know together.
#[derive(Default)]
struct Book {
    /// Seq and delivery of all that was given.
    given: BTreeSet<(u64, u64)>,
    acked: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl Book {
    fn take(&mut self, job: &Value) {
        let (number, delivery) = (job["payload"].as_u64().expect("a number"), job["delivery"].as_u64().expect("a count"));
        if self.acked.contains(&number) {
            self.wrong.push(format!("{number} was acked and is given out again"));
        }
        if !self.given.insert((number, delivery)) {
            self.wrong.push(format!("{number} is given out a second time as delivery {delivery}"));
        }
    }
}

/// Dice of one worker: the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Joins on one node and the other in turn, works on a few jobs, and goes.
async fn come_and_go(nodes: [SocketAddr; 2], seed: u64, book: Arc<Mutex<Book>>) {
    let mut dice = Dice(seed);
    for round in seed.. {
        let mut peer = worker(&At(nodes[usize::try_from(round % 2).expect("0 or 1")]), json!({"max_in_flight": 1 + dice.below(6)})).await;
        let (turns, mut idle) = (1 + dice.below(12), 0);
        let mut worked = 0;
        while worked < turns && idle < 20 {
            let Some(job) = peer.already().await else {
                idle += 1;
                continue;
            };
            worked += 1;
            book.lock().expect("no worker panicked").take(&job);
            let mut args = settling(&job);
            let command = match dice.below(10) {
                0..6 => "ack",
                6 | 7 => "nack",
                8 => {
                    args["dead"] = json!(true);
                    "nack"
                }
                // Nothing is said: it is somebody else's when this one goes.
                _ => continue,
            };
            let answer = peer.request(json!({"type": "command", "command": command, "args": args})).await;
            if command == "ack" && answer["status"] == json!("ok") {
                book.lock().expect("no worker panicked").acked.insert(job["payload"].as_u64().expect("a number"));
            }
        }
        if dice.below(2) == 0 {
            peer.ok("leave_channel", topic_args(TOPIC, json!({"group": "g"}))).await;
        }
        drop(peer);
    }
}

/// What is wrong in the end.
async fn churn(sabotage: Option<Sabotage>) -> Vec<String> {
    let redis = Redis::start().await;
    let node = || {
        Node::with(&redis, sabotage, |config| {
            config.groups.ack_timeout_ms = 600_000;
            config.groups.deliveries_max = 4;
        })
    };
    let (a, b) = (node(), node());
    // The group is there before the first message.
    drop(worker(&a, json!({})).await);
    let book = Arc::<Mutex<Book>>::default();
    let mut workers = JoinSet::new();
    for seed in 0..WORKERS {
        workers.spawn(come_and_go([a.address(), b.address()], seed, Arc::clone(&book)));
    }
    let mut publishers = [Peer::connect(&a).await, Peer::connect(&b).await];
    for number in 0..MESSAGES {
        publishers[usize::from(number % 3 == 0)].publish(TOPIC, json!(number)).await;
    }
    let is_broken = || !book.lock().expect("no worker panicked").wrong.is_empty();
    eventually("all settled, or something wrong", async || {
        let info = publishers[0].ok("channel_info", topic_args(TOPIC, json!({}))).await;
        let group = &info["groups"][0];
        (is_broken() || (group["pending"] == json!(0) && group["lag"] == json!(0))).then_some(())
    })
    .await;
    workers.shutdown().await;
    let dead: BTreeSet<u64> = history(&b, &format!("{TOPIC}.dead")).await.iter().filter_map(Value::as_u64).collect();
    let book = Arc::into_inner(book).expect("all workers have ended").into_inner().expect("no worker panicked");
    let mut wrong = book.wrong;
    wrong.extend(
        (0..MESSAGES)
            .filter(|number| !book.acked.contains(number) && !dead.contains(number) && sabotage.is_none())
            .map(|number| format!("{number} is lost")),
    );
    wrong
}

#[tokio::test]
async fn whoever_comes_and_goes_no_acked_job_comes_again_and_none_is_lost() {
    assert_eq!(churn(None).await, [] as [String; 0]);
}

#[tokio::test]
async fn it_is_red_where_an_ack_is_forgotten() {
    let wrong = churn(Some(Sabotage::ForgetAcks)).await;
    assert!(wrong.iter().any(|what| what.contains("given out again")), "{wrong:?}");
}
