//! Work groups when Redis loses data, is away, or is killed under load (spec 006): what is lost is announced, what was acknowledged is done, and no
//! ack is confirmed that Redis has not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arqonbus_client::Client;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::harness::clock::{PATIENCE, eventually, within};
use arqonbus_tests::harness::peer::topic_args;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Peer, Reach};
use serde_json::json;
use tokio::task::JoinSet;

use super::Node;
use super::faults::{leave_behind, take_over};
use super::groups::{TOPIC, pass, settling, worker};

/// How Redis loses its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// A replica that lacks the last messages, and the last acks, takes over.
    Failover,
    /// Everything is deleted.
    Flush,
}

/// What the two members heard after it: gaps of the group by their reason, and payloads, each in its order.
async fn suffer(loss: Loss, sabotage: Option<Sabotage>) -> Vec<Vec<String>> {
    let redis = Redis::start().await;
    // The first replica of a server makes it begin a new incarnation: it is there before anything is published.
    let replica = if loss == Loss::Failover { Some(Redis::replica_of(&redis).await) } else { None };
    let node = || Node::with(&redis, sabotage, |config| config.groups.ack_timeout_ms = 2_000);
    let (a, b) = (node(), node());
    let (mut first, mut second) = (worker(&a, json!({"max_in_flight": 1})).await, worker(&b, json!({"max_in_flight": 1})).await);
    let mut publisher = Peer::connect(&a).await;
    // Two are done, for good.
    for n in 1..=2 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    for member in [&mut first, &mut second] {
        let job = member.message().await;
        member.ok("ack", settling(&job)).await;
    }
    if let Some(replica) = &replica {
        leave_behind(&redis, replica).await;
    }
    // Two are held while it happens.
    for n in 3..=4 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    let held = [first.message().await, second.message().await];
    match &replica {
        Some(replica) => take_over(&redis, replica).await,
        None => redis.flush_all().await,
    }
    eventually("a publish after it", async || {
        let answer = publisher.request(json!({"type": "message", "id": "five", "room": "jobs", "channel": "mail", "payload": 5, "ack": true})).await;
        (answer["status"] == json!("ok")).then_some(())
    })
    .await;
    drop(held);
    let mut heard = vec![Vec::new(), Vec::new()];
    // With the promise broken some never come.
    let owed = if sabotage.is_none() { 3..=5 } else { 5..=5 };
    let done = |heard: &[Vec<String>]| owed.clone().all(|n| heard.iter().flatten().any(|word| *word == n.to_string()));
    eventually("all that was not acknowledged", async || {
        for (member, heard) in [&mut first, &mut second].into_iter().zip(&mut heard) {
            while let Some(next) = member.already().await {
                if next["event"] == json!("gap") {
                    assert_eq!(next["group"], json!("g"), "{next}");
                    heard.push(next["data"]["reason"].as_str().expect("a reason").to_owned());
                } else {
                    heard.push(next["payload"].to_string());
                    member.request(json!({"type": "command", "command": "ack", "args": settling(&next)})).await;
                }
            }
        }
        done(&heard).then_some(())
    })
    .await;
    heard
}

fn is_told_first(heard: &[Vec<String>]) -> bool {
    heard.iter().any(|heard| heard.first().is_some_and(|word| word == "epoch_changed"))
}

#[tokio::test]
async fn after_a_failover_to_a_replica_that_lags_the_group_goes_on_after_a_gap_and_loses_nothing() {
    let heard = suffer(Loss::Failover, None).await;
    assert!(is_told_first(&heard), "{heard:?}");
    let again = heard.iter().flatten().filter(|word| *word == "1" || *word == "2").count();
    assert_eq!(again, 0, "what the replica knew to be done is given to nobody: {heard:?}");
}

#[tokio::test]
async fn after_flushall_the_group_begins_anew_after_a_gap_and_loses_nothing() {
    let heard = suffer(Loss::Flush, None).await;
    assert!(is_told_first(&heard), "{heard:?}");
}

#[tokio::test]
async fn it_is_red_where_the_incarnation_is_not_looked_at() {
    let heard = suffer(Loss::Failover, Some(Sabotage::IgnoreIncarnation)).await;
    assert!(!is_told_first(&heard), "{heard:?}");
}

#[tokio::test]
async fn while_redis_stands_still_no_ack_is_confirmed_and_nobody_joins_and_then_the_work_goes_on() {
    let redis = Redis::start().await;
    let (a, b) = (Node::of(&redis), Node::of(&redis));
    let mut first = worker(&a, json!({"max_in_flight": 1})).await;
    let mut publisher = Peer::connect(&b).await;
    for n in 1..=2 {
        publisher.publish(TOPIC, json!(n)).await;
    }
    let job = first.message().await;
    let ack = json!({"type": "command", "command": "ack", "args": settling(&job)});
    redis.pause();
    let mut answers = BTreeSet::new();
    for _ in 0..2 {
        answers.insert(first.request(ack.clone()).await["error"]["code"].as_str().unwrap_or("ok").to_owned());
    }
    assert!(answers.iter().all(|code| code == "outcome_unknown" || code == "storage_unavailable"), "{answers:?}");
    let mut other = Peer::connect(&a).await;
    assert_eq!(other.refused("join_channel", topic_args(TOPIC, json!({"group": "g"}))).await, "storage_unavailable");
    redis.go_on();
    // What was on its way when it stopped may have been done.
    eventually("an answer", async || {
        let answer = first.request(ack.clone()).await;
        let is_settled = answer["status"] == json!("ok") || answer["error"]["code"] == json!("not_held");
        is_settled.then_some(())
    })
    .await;
    let next = loop {
        let next = first.next().await;
        if next["type"] == json!("message") {
            break next;
        }
    };
    assert_eq!(next["payload"], json!(2));
    first.ok("ack", settling(&next)).await;
    eventually("a member more", async || {
        let join = json!({"type": "command", "command": "join_channel", "args": topic_args(TOPIC, json!({"group": "g"}))});
        (other.request(join).await["status"] == json!("ok")).then_some(())
    })
    .await;
}

/// What workers did with each message: how often it was given to them, and whether its ack was confirmed.
#[derive(Default)]
struct Book {
    given: BTreeMap<u32, u32>,
    done: BTreeSet<u32>,
    /// Given to somebody after its ack was confirmed.
    again: BTreeSet<u32>,
}

async fn work(client: Client, book: Arc<Mutex<Book>>) {
    let mut jobs = client.join(TOPIC).group("g").max_in_flight(8).await.expect("a member");
    while let Some(job) = jobs.job().await {
        let number: u32 = job.payload().expect("a number");
        {
            let mut book = book.lock().expect("no test panicked with it");
            *book.given.entry(number).or_default() += 1;
            if book.done.contains(&number) {
                book.again.insert(number);
            }
        }
        if job.ack().await.is_ok() {
            book.lock().expect("no test panicked with it").done.insert(number);
        }
    }
}

async fn connect(bus: &impl Reach) -> Client {
    let builder = Client::builder(format!("ws://{}", bus.address())).backoff(Duration::from_millis(5), Duration::from_millis(100));
    within(PATIENCE, "a connection", builder.connect()).await.expect("a connection")
}

/// Two nodes work on what is published while Redis, which forces everything to disk, is killed and comes back. What was given again after a confirmed
/// ack, and what was acknowledged to the publisher and never done.
async fn killed_under_load(sabotage: Option<Sabotage>) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let mut redis = Redis::append_only("always").await;
    let node = || {
        Node::with(&redis, sabotage, |config| {
            config.groups.ack_timeout_ms = 1_500;
            config.groups.deliveries_max = 0;
        })
    };
    let (a, b) = (node(), node());
    let book = Arc::<Mutex<Book>>::default();
    let mut workers = JoinSet::new();
    for client in [connect(&a).await, connect(&a).await, connect(&b).await, connect(&b).await] {
        workers.spawn(work(client, Arc::clone(&book)));
    }
    let publisher = connect(&a).await;
    eventually("the members", async || (publisher.members(TOPIC).await.ok()?.total == 4).then_some(())).await;
    let mut acked = BTreeSet::new();
    let publish = async |numbers: std::ops::Range<u32>, acked: &mut BTreeSet<u32>| {
        for number in numbers {
            if publisher.publish(TOPIC, &number).await.is_ok() {
                acked.insert(number);
            }
        }
    };
    publish(0..150, &mut acked).await;
    redis.kill();
    publish(150..200, &mut acked).await;
    redis.restart().await;
    publish(200..350, &mut acked).await;
    if sabotage.is_none() {
        // An ack whose outcome is unknown may have been taken: then the job does not come again.
        eventually("nothing left to be done", async || {
            let info = publisher.channel_info(TOPIC).await.ok()?;
            let group = info.groups.first()?;
            let is_given = acked.iter().all(|number| book.lock().expect("no worker panicked").given.contains_key(number));
            (group.pending == 0 && group.lag == 0 && is_given).then_some(())
        })
        .await;
    } else {
        eventually("something that is given again", async || (!book.lock().expect("no worker panicked").again.is_empty()).then_some(())).await;
    }
    workers.abort_all();
    let book = book.lock().expect("no worker panicked");
    (book.again.clone(), acked.into_iter().filter(|number| !book.given.contains_key(number)).collect())
}

#[tokio::test]
async fn when_redis_is_killed_under_load_all_that_was_acknowledged_is_done_and_no_acked_job_comes_again() {
    let (again, lost) = killed_under_load(None).await;
    assert_eq!((again, lost), (BTreeSet::new(), BTreeSet::new()));
}

#[tokio::test]
async fn it_is_red_where_acks_are_confirmed_and_not_kept() {
    let (again, _) = killed_under_load(Some(Sabotage::ForgetAcks)).await;
    assert!(!again.is_empty());
}

#[tokio::test]
async fn an_idle_group_asks_redis_nothing() {
    let redis = Redis::start().await;
    let node = || Node::with(&redis, None, |config| config.storage.redis.head_check_ms = 600_000);
    let (a, b) = (node(), node());
    let (mut first, _second) = (worker(&a, json!({})).await, worker(&b, json!({})).await);
    first.publish(TOPIC, json!("work")).await;
    let mut observer = Peer::connect(&a).await;
    eventually("a job that is out", async || {
        let info = observer.ok("channel_info", topic_args(TOPIC, json!({}))).await;
        (info["groups"][0]["lag"] == json!(0)).then_some(())
    })
    .await;
    let calls = async || {
        let line = redis.info("cmdstat_fcall").await;
        line.split([',', '=']).nth(1).and_then(|calls| calls.parse::<u64>().ok()).expect("a count")
    };
    // By then each node has looked at its groups several times.
    let before = calls().await;
    pass(&redis, 4).await;
    let asked = calls().await - before;
    assert!(asked <= 4, "{asked} questions, and nothing has happened");
}
