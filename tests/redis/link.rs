//! The connections to Redis: every way to it, what an error says about the outcome, and how they come back.

use arqonbus_server::config;
use arqonbus_server::storage::redis::{Advice, Code, Feed, Fsync, Link, LinkError, LinkState, Pushed};
use arqonbus_tests::harness::clock::{PATIENCE, eventually, within};
use arqonbus_tests::harness::redis::{Cluster, Redis, Sentinels, Tls};
use redis::{Value, cmd};
use tokio::sync::mpsc;

fn set(key: &str, value: &str) -> redis::Cmd {
    let mut command = cmd("SET");
    command.arg(key).arg(value);
    command
}

async fn up(config: &config::Redis) -> Link {
    let link = Link::open(config, 1).expect("a usable configuration");
    link.ready(PATIENCE).await.expect("a connection");
    link
}

/// Waits until commands are carried out.
async fn works(link: &Link) {
    eventually("a link that works", async || link.query(&set("a", "1")).await.ok()).await;
}

/// Waits until the link says that it is down, and why.
async fn down(link: &Link, why: &str) -> String {
    let mut state = link.state();
    let told = state.wait_for(|state| matches!(state, LinkState::Down { why: told } if told.contains(why)));
    format!("{:?}", *within(PATIENCE, why, told).await.expect("a link"))
}

async fn follow(config: &config::Redis, channel: &str) -> (Feed, mpsc::Receiver<Pushed>) {
    let (pushes, mut pushed) = mpsc::channel(64);
    let feed = Feed::open(config, 2, pushes).expect("a usable configuration");
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
    feed.follow(vec![channel.as_bytes().to_vec()]).await.confirmed().await.expect("a confirmation");
    (feed, pushed)
}

async fn next(pushed: &mut mpsc::Receiver<Pushed>) -> Pushed {
    within(PATIENCE, "something pushed", pushed.recv()).await.expect("a feed")
}

fn message(channel: &str, payload: &str) -> Pushed {
    Pushed::Message { channel: channel.to_owned().into(), payload: payload.to_owned().into() }
}

#[tokio::test]
async fn one_server_is_asked_and_followed() {
    let server = Redis::append_only("always").await;
    let link = up(&server.config()).await;
    let facts = link.ready(PATIENCE).await.unwrap();
    assert!(facts.fsync_always() && facts.advice().is_empty() && facts.servers[0].version.starts_with('7'), "{facts:?}");
    let (feed, mut pushed) = follow(&server.config(), "news").await;
    let mut publish = cmd("PUBLISH");
    assert_eq!(link.query(publish.arg("news").arg("hello")).await, Ok(Value::Int(1)));
    assert_eq!(next(&mut pushed).await, message("news", "hello"));
    feed.unfollow(vec![b"news".to_vec()]).await.confirmed().await.unwrap();
    assert_eq!(link.query(&publish).await, Ok(Value::Int(0)));
}

#[tokio::test]
async fn many_commands_are_under_way_at_once_and_answered_in_order() {
    let server = Redis::start().await;
    let link = up(&server.config()).await;
    let mut incr = cmd("INCR");
    incr.arg("n");
    let mut tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (link, incr) = (link.clone(), incr.clone());
            tokio::spawn(async move { link.query(&incr).await })
        })
        .collect();
    for (number, task) in (1..).zip(&mut tasks) {
        assert_eq!(task.await.unwrap(), Ok(Value::Int(number)));
    }
}

#[tokio::test]
async fn what_redis_refuses_is_told_by_its_code() {
    let server = Redis::start().await;
    let link = up(&server.config()).await;
    let refused = async |command: &redis::Cmd| match link.query(command).await {
        Err(LinkError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(cmd("EVALSHA").arg("0".repeat(40)).arg(0)).await, Code::NoScript);
    link.query(cmd("LPUSH").arg("list").arg("x")).await.unwrap();
    assert_eq!(refused(cmd("INCR").arg("list")).await, Code::WrongType);
    server.set("maxmemory", "1").await;
    assert_eq!(refused(&set("a", "b")).await, Code::OutOfMemory);
    server.set("maxmemory", "0").await;
    let error = "return redis.error_reply('BUSY doing')";
    assert_eq!(refused(cmd("EVAL").arg(error).arg(0)).await, Code::Busy);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_at_once_and_found_again() {
    let mut server = Redis::start().await;
    let link = up(&server.config()).await;
    let (_feed, mut pushed) = follow(&server.config(), "news").await;
    let mut state = link.state();
    server.kill();
    within(PATIENCE, "the loss", state.wait_for(|state| matches!(state, LinkState::Down { .. }))).await.unwrap();
    assert!(matches!(link.query(&set("a", "1")).await, Err(LinkError::NotSent(_))));
    server.restart().await;
    works(&link).await;
    assert!(matches!(&*link.state().borrow(), LinkState::Up { connection, .. } if *connection > 1));
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
    link.query(cmd("PUBLISH").arg("news").arg("again")).await.unwrap();
    assert_eq!(next(&mut pushed).await, message("news", "again"));
}

#[tokio::test]
async fn a_command_without_an_answer_is_unknown_and_the_link_goes_down() {
    let server = Redis::start().await;
    let link = up(&config::Redis { response_ms: 100, ..server.config() }).await;
    server.pause();
    assert!(matches!(link.query(&set("a", "1")).await, Err(LinkError::Unknown(_))));
    down(&link, "").await;
    server.go_on();
    works(&link).await;
}

#[tokio::test]
async fn a_replica_and_a_server_that_loads_are_not_taken() {
    let primary = Redis::start().await;
    let replica = Redis::replica_of(&primary).await;
    let link = Link::open(&replica.config(), 1).unwrap();
    down(&link, "replica").await;
    replica.promote().await;
    works(&link).await;
    // Demoted under the link: the first refusal tells.
    replica.demote(&primary).await;
    eventually("a refusal or the loss", async || link.query(&set("a", "2")).await.err()).await;
    down(&link, "").await;
}

#[tokio::test]
async fn what_is_dangerous_is_said_and_changes_are_seen() {
    let server = Redis::with(&["save \"\"", "maxmemory-policy allkeys-lru"]).await;
    let link = up(&server.config()).await;
    let advice = link.ready(PATIENCE).await.unwrap().advice();
    assert_eq!(advice, [Advice::Evicts("allkeys-lru".into()), Advice::KeepsNothing]);
    server.set("appendonly", "yes").await;
    server.set("appendfsync", "no").await;
    let seen = |state: &LinkState| match state {
        LinkState::Up { facts, .. } => facts.servers[0].append_only && facts.servers[0].fsync == Some(Fsync::No),
        LinkState::Down { .. } => false,
    };
    within(PATIENCE, "the change", link.state().wait_for(seen)).await.unwrap();
}

#[tokio::test]
async fn a_feed_that_is_cut_follows_again_and_says_so() {
    let server = Redis::start().await;
    let link = up(&server.config()).await;
    let (feed, mut pushed) = follow(&server.config(), "a").await;
    feed.follow((0..3_000).map(|n| format!("many-{n}").into_bytes()).collect()).await.confirmed().await.unwrap();
    server.cut("pubsub").await;
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
    for channel in ["a", "many-0", "many-2999"] {
        assert_eq!(link.query(cmd("PUBLISH").arg(channel).arg("x")).await, Ok(Value::Int(1)));
        assert_eq!(next(&mut pushed).await, message(channel, "x"));
    }
}

#[tokio::test]
async fn a_feed_that_is_not_taken_from_drops_and_says_so() {
    let server = Redis::start().await;
    let link = up(&server.config()).await;
    let (_feed, mut pushed) = follow(&server.config(), "a").await;
    for n in 0..100 {
        link.query(cmd("PUBLISH").arg("a").arg(n)).await.unwrap();
    }
    for n in 0..64 {
        assert_eq!(next(&mut pushed).await, message("a", &n.to_string()));
    }
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
}

#[tokio::test]
async fn redis_is_reached_by_tls_and_only_with_the_right_authority() {
    let tls = Tls::new();
    let server = Redis::by_tls(&tls).await;
    let trusting = config::Redis { tls_ca_file: tls.file("ca.pem").display().to_string(), ..server.config() };
    works(&up(&trusting).await).await;
    let (_feed, _) = follow(&trusting, "a").await;
    let other = Tls::new();
    let stranger = config::Redis { tls_ca_file: other.file("ca.pem").display().to_string(), ..server.config() };
    down(&Link::open(&stranger, 1).unwrap(), "certificate").await;
}

#[tokio::test]
async fn a_user_of_redis_may_do_what_its_rules_say() {
    let rules = "~arqonbus* &arqonbus* +@all -@dangerous +info";
    let server = Redis::for_user("bus", "hunter2", rules).await;
    let file = arqonbus_tests::harness::Scratch::new();
    let password_file = file.path().join("password");
    std::fs::write(&password_file, "hunter2\n").unwrap();
    let config = config::Redis { username: "bus".into(), password_file: password_file.display().to_string(), ..server.config() };
    let link = up(&config).await;
    assert_eq!(link.ready(PATIENCE).await.unwrap().advice(), []);
    link.query(&set("arqonbus:a", "1")).await.unwrap();
    assert!(matches!(link.query(&set("other", "1")).await, Err(LinkError::Refused { code: Code::NoPermission, .. })));
    server.tell(&["ACL", "SETUSER", "blind", "on", ">hunter2", "~*", "&*", "+@all", "-info"]).await;
    let blind = config::Redis { username: "blind".into(), ..config.clone() };
    down(&Link::open(&blind, 1).unwrap(), "allow the user +info").await;
    let wrong = config::Redis { password_file: String::new(), password: "hunter3".to_owned().into(), ..config };
    let told = down(&Link::open(&wrong, 1).unwrap(), "assword").await;
    assert!(!told.contains("hunter") && !format!("{wrong:?}").contains("hunter"), "{told}");
}

#[tokio::test]
async fn the_sentinels_lead_to_whoever_is_the_primary() {
    let mut sentinels = Sentinels::start().await;
    let link = up(&sentinels.config()).await;
    let (_feed, mut pushed) = follow(&sentinels.config(), "news").await;
    link.query(&set("a", "1")).await.unwrap();
    let before = link.ready(PATIENCE).await.unwrap().servers[0].replid.clone();
    sentinels.servers[0].kill();
    eventually("the new primary", async || {
        let replid = link.ready(PATIENCE).await.ok()?.servers[0].replid.clone();
        (replid != before).then_some(())
    })
    .await;
    works(&link).await;
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
    eventually("a message by the new primary", async || {
        link.query(cmd("PUBLISH").arg("news").arg("x")).await.ok();
        (pushed.try_recv() == Ok(message("news", "x"))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_asked_and_followed_by_slot() {
    let cluster = Cluster::start().await;
    let link = up(&cluster.config()).await;
    assert_eq!((link.is_cluster(), link.ready(PATIENCE).await.unwrap().servers.len()), (true, 3));
    let (feed, mut pushed) = follow(&cluster.config(), "{a}news").await;
    let channels = ["{b}news", "{c}news", "{d}news"];
    feed.follow(channels.iter().map(|channel| channel.as_bytes().to_vec()).collect()).await.confirmed().await.unwrap();
    for channel in channels.iter().chain(&["{a}news"]) {
        link.query(&set(channel, "1")).await.unwrap();
        assert_eq!(link.query(cmd("SPUBLISH").arg(channel).arg("x")).await, Ok(Value::Int(1)));
        assert_eq!(next(&mut pushed).await, message(channel, "x"));
    }
    for node in &cluster.nodes {
        node.cut("pubsub").await;
    }
    assert_eq!(next(&mut pushed).await, Pushed::Interrupted);
    link.query(cmd("SPUBLISH").arg("{a}news").arg("again")).await.unwrap();
    eventually("the message", async || (pushed.try_recv() == Ok(message("{a}news", "again"))).then_some(())).await;
}
