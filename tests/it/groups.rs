//! Work groups over sockets: raw members, and the Rust client's, through lost connections and lost servers (spec 006).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arqonbus_client::{Client, Error, Job, Jobs, State, WorkItem};
use arqonbus_protocol::{ErrorCode, GapReason};
use arqonbus_tests::harness::chaos::{Chaos, Fate, Plan};
use arqonbus_tests::harness::clock::{PATIENCE, eventually, within};
use arqonbus_tests::harness::{Peer, Process, Reach, Server, http, peer::position, peer::topic_args};
use serde_json::{Value, json};
use tokio::task::JoinSet;

async fn member(server: &Server, more: Value) -> Peer {
    let mut peer = Peer::connect(server).await;
    let mut args = json!({"group": "g"});
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    peer.ok("join_channel", topic_args("a:b", args)).await;
    peer
}

fn settling(job: &Value, more: &Value) -> Value {
    let at = position(job);
    let mut args = json!({"group": "g", "epoch": at.epoch, "seqs": [at.seq]});
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    topic_args("a:b", args)
}

async fn connect(address: SocketAddr) -> Client {
    let builder = Client::builder(format!("ws://{address}")).backoff(Duration::from_millis(5), Duration::from_millis(100));
    within(PATIENCE, "a connection", builder.first_attempts(20).connect()).await.expect("a connection")
}

async fn item(jobs: &mut Jobs) -> WorkItem {
    within(PATIENCE, "an item", jobs.recv()).await.expect("the subscription goes on")
}

async fn job(jobs: &mut Jobs) -> Job {
    let item = item(jobs).await;
    let WorkItem::Job(job) = item else { panic!("no job: {item:?}") };
    job
}

#[tokio::test]
async fn members_share_what_ordinary_ones_all_get() {
    let server = Server::start();
    let mut members = vec![member(&server, json!({})).await, member(&server, json!({})).await];
    let mut listener = Peer::joined(&server, "a:b").await;
    let mut publisher = Peer::connect(&server).await;
    for payload in 0..4 {
        publisher.publish("a:b", json!(payload)).await;
    }
    assert_eq!(listener.payloads(4).await, [0, 1, 2, 3]);
    let mut payloads = Vec::new();
    for member in &mut members {
        for _ in 0..2 {
            let job = member.message().await;
            assert_eq!((&job["group"], &job["delivery"]), (&json!("g"), &json!(1)));
            member.ok("ack", settling(&job, &json!({}))).await;
            payloads.push(job["payload"].as_u64().unwrap());
        }
    }
    payloads.sort_unstable();
    assert_eq!(payloads, [0, 1, 2, 3], "in turn, and each once");
    let info = publisher.ok("channel_info", topic_args("a:b", json!({}))).await;
    assert_eq!(info["groups"], json!([{"group": "g", "members": 2, "pending": 0, "lag": 0}]));
}

#[tokio::test]
async fn what_a_lost_member_held_and_what_ran_out_of_time_is_given_to_another() {
    let server = Server::with(|config| config.groups.ack_timeout_ms = 1_000);
    let mut first = member(&server, json!({"max_in_flight": 1})).await;
    let mut publisher = Peer::connect(&server).await;
    publisher.publish("a:b", json!("work")).await;
    let given = first.message().await;
    let mut second = member(&server, json!({"max_in_flight": 1})).await;
    let again = second.message().await;
    assert_eq!((&again["id"], &again["seq"], &again["delivery"]), (&given["id"], &given["seq"], &json!(2)), "after its time");
    assert_eq!(first.refused("ack", settling(&given, &json!({}))).await, "not_held");
    drop(second);
    let third = first.message().await;
    assert_eq!((&third["id"], &third["delivery"]), (&given["id"], &json!(3)), "at once");
    first.ok("ack", settling(&third, &json!({}))).await;
}

#[tokio::test]
async fn a_job_that_nobody_can_do_is_a_dead_letter_on_a_topic_of_its_own() {
    let server = Server::with(|config| config.groups.deliveries_max = 2);
    let mut morgue = Peer::joined(&server, "a:b.dead").await;
    let mut worker = member(&server, json!({})).await;
    let mut publisher = Peer::connect(&server).await;
    publisher.request(json!({"type": "message", "id": "bad", "room": "a", "channel": "b", "payload": [1], "headers": {"k": "v"}, "ack": true})).await;
    for delivery in 1..=2 {
        let job = worker.message().await;
        assert_eq!(job["delivery"], delivery);
        worker.ok("nack", settling(&job, &json!({"reason": "no"}))).await;
    }
    let letter = morgue.message().await;
    assert_eq!((&letter["id"], &letter["payload"], &letter["sender"]), (&json!("bad"), &json!([1]), &json!(publisher.client)));
    assert_eq!(
        (&letter["headers"]["k"], &letter["headers"]["dead-reason"], &letter["headers"]["dead-deliveries"]),
        (&json!("v"), &json!("no"), &json!("2"))
    );
    publisher.publish("a:b", json!("next")).await;
    assert_eq!(worker.message().await["payload"], "next", "and the others go on");
}

#[tokio::test]
async fn over_http_nobody_is_a_member() {
    let server = Server::start();
    for command in ["join_channel", "ack", "nack"] {
        let args = topic_args("a:b", json!({"group": "g", "epoch": "e", "seqs": [1]}));
        let envelope = json!({"type": "command", "command": command, "args": args}).to_string();
        let answer = http::post(server.address(), "/v1/envelopes", &envelope).await;
        assert_eq!(answer.status, 501, "{command}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_client_acks_gives_back_and_gives_up() {
    let server = Server::start();
    let client = connect(server.address()).await;
    let mut jobs = client.join("orders:new").group("packers").max_in_flight(4).await.unwrap();
    assert!(jobs.start().is_some_and(|start| start.created && start.max_in_flight == 4));
    for payload in 1..=3 {
        client.publish("orders:new", &payload).await.unwrap();
    }
    let (first, second, third) = (job(&mut jobs).await, job(&mut jobs).await, job(&mut jobs).await);
    assert_eq!([first.payload::<u32>().unwrap(), second.payload().unwrap(), third.payload().unwrap()], [1, 2, 3]);
    let (a, b) = tokio::join!(first.ack(), third.ack());
    assert_eq!((a, b), (Ok(()), Ok(())), "settled together");
    second.nack().reason("not yet").await.unwrap();
    let again = job(&mut jobs).await;
    assert_eq!((again.delivery(), again.payload::<u32>().unwrap()), (2, 2));
    let Err(Error::Rejected(refusal)) = second.ack().await else { panic!("it was given back") };
    assert_eq!(refusal.code, ErrorCode::NotHeld);
    again.nack().delay(Duration::from_millis(1)).await.unwrap();
    let late = job(&mut jobs).await;
    assert_eq!(late.delivery(), 3);
    late.nack().dead().reason("nobody wants it").await.unwrap();
    let dead = eventually("the letter", async || client.history("orders:new.dead").next().await.and_then(Result::ok)).await;
    assert_eq!(dead.header("dead-reason").as_deref(), Some("nobody wants it"));
    assert!(matches!(client.join("orders:*").group("packers").await, Err(Error::Invalid(_))));
    client.drain().await;
}

#[tokio::test]
async fn a_slow_worker_keeps_no_more_than_it_may_and_a_flood_goes_past_it() {
    let server = Server::with(|config| config.history.messages = 100_000);
    let client = connect(server.address()).await;
    let mut slow = client.join("a:b").group("g").max_in_flight(3).await.unwrap();
    let fast: Vec<Client> = vec![connect(server.address()).await, connect(server.address()).await];
    let done = Arc::new(Mutex::new(BTreeSet::new()));
    let mut workers = JoinSet::new();
    for client in &fast {
        let mut jobs = client.join("a:b").group("g").max_in_flight(64).await.unwrap();
        let done = Arc::clone(&done);
        workers.spawn(async move {
            while let Some(job) = jobs.job().await {
                job.ack().await.unwrap();
                assert!(done.lock().unwrap().insert(job.payload::<u32>().unwrap()), "nothing is done twice");
            }
        });
    }
    const COUNT: u32 = 3_000;
    for number in 0..COUNT {
        client.publish("a:b", &number).nowait().await.unwrap();
    }
    let held = [job(&mut slow).await, job(&mut slow).await, job(&mut slow).await];
    eventually("all but what the slow one holds", async || (done.lock().unwrap().len() == COUNT as usize - 3).then_some(())).await;
    let info = client.channel_info("a:b").await.unwrap();
    assert_eq!((info.groups[0].pending, info.groups[0].lag), (3, 0));
    held[0].ack().await.unwrap();
    drop(slow);
    eventually("what the slow one did not do", async || (done.lock().unwrap().len() == COUNT as usize - 1).then_some(())).await;
    workers.abort_all();
}

#[tokio::test]
async fn a_worker_of_a_killed_server_is_told_what_it_lost_and_goes_on() {
    let process = Process::start("");
    let address = process.address();
    let client = connect(address).await;
    let mut jobs = client.join("a:b").group("g").await.unwrap();
    for number in 1..=3 {
        client.publish("a:b", &number).await.unwrap();
    }
    let held = job(&mut jobs).await;
    job(&mut jobs).await.ack().await.unwrap();
    process.kill();
    eventually("the loss", async || (client.state() != State::Connected).then_some(())).await;
    let _process = Process::at(&address.to_string(), "");
    let lost = item(&mut jobs).await;
    assert!(matches!(lost, WorkItem::Lost(2)), "the one that was read, and the one that was not: {lost:?}");
    let gap = item(&mut jobs).await;
    assert!(matches!(gap, WorkItem::Gap { gap, .. } if gap.reason == GapReason::EpochChanged), "{gap:?}");
    assert!(matches!(held.ack().await, Err(Error::Rejected(refusal)) if refusal.code == ErrorCode::NotHeld));
    client.publish("a:b", &4).await.unwrap();
    let next = job(&mut jobs).await;
    assert_eq!((next.payload::<u32>().unwrap(), next.delivery()), (4, 1));
    next.ack().await.unwrap();
}

/// What workers did with each message: how often it was given, and how often it was certainly settled.
type Book = Arc<Mutex<BTreeMap<u32, (u32, u32)>>>;

async fn work(client: Client, book: Book) {
    let mut jobs = client.join("a:b").group("g").max_in_flight(8).await.unwrap();
    while let Some(job) = jobs.job().await {
        let number: u32 = job.payload().unwrap();
        {
            let mut book = book.lock().unwrap();
            let entry = book.entry(number).or_default();
            assert_eq!(entry.1, 0, "{number} was acked and is given out again");
            entry.0 += 1;
        }
        match job.ack().await {
            Ok(()) => book.lock().unwrap().get_mut(&number).unwrap().1 += 1,
            // Its connection was lost: it may have been settled, or comes again.
            Err(Error::Unknown) => {}
            Err(Error::Rejected(refusal)) if refusal.code == ErrorCode::NotHeld => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn under_flapping_connections_no_acked_job_comes_again_and_none_is_lost() {
    let server = Server::with(|config| {
        config.history.messages = 100_000;
        config.groups.deliveries_max = 0;
    });
    let chaos = Chaos::before(server.address(), 11, |_, dice| Plan {
        up: Fate { delay_ms: 1, slice: 1 + dice.below(200) as usize, cut: None },
        down: Fate { delay_ms: 1, slice: 1 + dice.below(2_000) as usize, cut: None },
    })
    .await;
    let book = Book::default();
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        workers.spawn(work(connect(chaos.address()).await, Arc::clone(&book)));
    }
    let publisher = connect(server.address()).await;
    const COUNT: u32 = 1_000;
    eventually("the members", async || (publisher.members("a:b").await.ok()?.total == 3).then_some(())).await;
    for number in 0..COUNT {
        publisher.publish("a:b", &number).await.unwrap();
        if number % 100 == 50 {
            chaos.flap();
        }
    }
    let pending = async || {
        let info = publisher.channel_info("a:b").await.ok()?;
        let group = info.groups.first()?;
        (group.pending == 0 && group.lag == 0).then_some(())
    };
    eventually("every job settled", pending).await;
    let book = book.lock().unwrap();
    assert_eq!(book.len(), COUNT as usize, "each was given to somebody");
    assert!(book.values().any(|(given, _)| *given > 1), "some came again, or nothing was lost and this proves nothing");
    workers.abort_all();
}
