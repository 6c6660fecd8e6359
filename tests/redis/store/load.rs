//! Publishers and subscribers on two nodes, through faults, with the history checker (G1–G3, G6–G10, G12, G13, G21). Each scene is played as
//! it should be, here or in `endurance.rs`, and with the mechanism taken away that it is about.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use arqonbus_server::config::Config;
use arqonbus_server::sim::Sabotage;
use arqonbus_tests::checker::{Fault, What, check};
use arqonbus_tests::harness::chaos::Dice;
use arqonbus_tests::harness::redis::Redis;
use arqonbus_tests::harness::{Process, Reach};
use arqonbus_tests::run::Run;

use super::{Node, all_are, shows, verdict};
use crate::endurance;

const NOTHING: [String; 0] = [];
/// What publishers rest between two windows, so that a bus that goes on in memory does not take more than it keeps.
const REST: Duration = Duration::from_millis(10);

/// Two nodes on one Redis that break a promise.
fn two(redis: &Redis, sabotage: Option<Sabotage>) -> ([Node; 2], [SocketAddr; 2]) {
    let nodes = [Node::sabotaged(redis, sabotage), Node::sabotaged(redis, sabotage)];
    let addresses = [nodes[0].address(), nodes[1].address()];
    (nodes, addresses)
}

/// Two nodes under load while something happens to Redis, again and again, or until no node goes on. A node that was not there finds out what the
/// log holds.
async fn through(fault: impl AsyncFn(&Redis), sabotage: Option<Sabotage>) -> Vec<String> {
    let redis = Redis::start().await;
    let (_nodes, addresses) = two(&redis, sabotage);
    let mut run = Run::steady(&addresses, 4, 8, Duration::ZERO).await;
    let keeps_holes = matches!(sabotage, Some(Sabotage::KeepHoles | Sabotage::DropNoticesForGood));
    if keeps_holes {
        // When no node goes on, everybody has waited for as long as the promise says. What comes may be later on a busy machine.
        run.patience = Duration::from_secs(3);
    }
    for _ in 0..if keeps_holes { 60 } else { 8 } {
        if !run.goes_on(200).await {
            break;
        }
        fault(&redis).await;
    }
    verdict(run, &Node::of(&redis)).await
}

/// As in `endurance.rs`, without rest, and until somebody sees it.
#[tokio::test]
async fn g01_is_red_where_messages_are_not_put_into_the_order_of_the_log() {
    let redis = Redis::start().await;
    let (nodes, addresses) = two(&redis, Some(Sabotage::DeliverAsTheyCome));
    let run = Run::steady(&addresses, 8, 8, Duration::ZERO).await;
    assert!(run.breaks().await);
    let found = verdict(run, &nodes[0]).await;
    assert!(shows(&found, "G6"), "{found:?}");
}

#[tokio::test]
async fn g21_a_feed_that_is_cut_under_load_loses_nothing_and_makes_no_gap() {
    assert_eq!(through(async |redis| redis.cut("pubsub").await, None).await, NOTHING);
}

#[tokio::test]
async fn g21_is_red_where_nobody_looks_for_what_a_cut_feed_missed() {
    let found = through(async |redis| redis.cut("pubsub").await, Some(Sabotage::KeepHoles)).await;
    assert!(found.iter().any(|broken| broken.contains("ended at")), "somebody did not receive everything: {found:?}");
}

#[tokio::test]
async fn g09_connections_to_redis_that_are_cut_under_load_lose_and_repeat_nothing() {
    assert_eq!(through(async |redis| redis.cut("normal").await, None).await, NOTHING);
}

#[tokio::test]
async fn g21_notices_that_are_lost_are_found_and_filled() {
    assert_eq!(through(async |_| (), Some(Sabotage::DropNotices)).await, NOTHING);
}

#[tokio::test]
async fn g21_is_red_where_nobody_looks_for_what_is_missing() {
    let found = through(async |_| (), Some(Sabotage::DropNoticesForGood)).await;
    assert!(found.iter().any(|broken| broken.contains("ended at")), "somebody did not receive everything: {found:?}");
}

/// Redis is killed under load, and comes back with its append-only file: at once, and after the nodes have gone on without it.
async fn killed_under_load(sabotage: Option<Sabotage>) -> Vec<String> {
    let mut redis = Redis::append_only("always").await;
    let (nodes, addresses) = two(&redis, sabotage);
    let run = Run::steady(&addresses, 4, 8, REST).await;
    for kill in 1..=4 {
        run.more(200).await;
        run.note(Fault::Outage);
        redis.kill();
        if kill == 2 {
            all_are("degraded", &addresses).await;
            run.more(50).await;
        }
        redis.restart().await;
        // What was taken in memory is given back before the bus is well.
        all_are("healthy", &addresses).await;
    }
    verdict(run, &nodes[0]).await
}

#[tokio::test]
async fn g04_what_was_acknowledged_by_fsync_survives_redis_killed_under_load() {
    assert_eq!(killed_under_load(None).await, NOTHING);
}

#[tokio::test]
async fn g04_is_red_where_a_killed_redis_is_not_given_what_it_missed() {
    let found = killed_under_load(Some(Sabotage::ForgetOnOutage)).await;
    assert!(shows(&found, "G4"), "{found:?}");
}

#[tokio::test]
async fn g12_is_red_where_a_redis_that_stands_still_under_load_is_not_told() {
    let found = endurance::stopped_under_load(0, Some(Sabotage::DegradeSilently)).await;
    assert!(shows(&found, "G6"), "{found:?}");
}

#[tokio::test]
async fn g12_is_red_where_a_redis_that_stood_still_is_not_given_what_it_missed() {
    let found = endurance::stopped_under_load(0, Some(Sabotage::ForgetOnOutage)).await;
    assert!(shows(&found, "G4"), "{found:?}");
}

/// Bytes and messages of a log that keeps everything.
const KEEPS_ALL: &str = "messages = 1000000\nbytes = 200000000\n";

/// Publishers and subscribers that nodes die under.
struct Dying {
    run: Run,
    dice: Dice,
    lines: String,
}

impl Dying {
    /// Clients of these processes, and subscribers of a node that is not killed.
    #[expect(clippy::print_stdout, reason = "shown where the test fails: how to see the failure again")]
    async fn of(clients_of: &[SocketAddr], stays: &Node, lines: String) -> Self {
        let seed = std::env::var("ARQONBUS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_128);
        println!("ARQONBUS_SEED={seed}");
        let mut run = Run::steady(clients_of, 4, 4, REST).await;
        run.subscribe(&[stays.address()], STAYING).await;
        Self { run, dice: Dice::new(seed), lines }
    }

    /// Kills a node at a random point, and starts it again.
    async fn kills(&mut self, node: Process) -> Process {
        self.run.more(20 + usize::try_from(self.dice.below(100)).expect("a small number")).await;
        let address = node.address().to_string();
        node.kill();
        Process::at(&address, &self.lines)
    }
}

/// The subscribers of the node that is not killed.
const STAYING: Range<u32> = 100..104;

fn lines(redis: &Redis) -> String {
    format!("shards = 2\n[history]\n{KEEPS_ALL}{}backoff_min_ms = 5\nhead_check_ms = 1000\n", redis.lines())
}

fn keep_all(config: &mut Config) {
    (config.history.messages, config.history.bytes) = (1_000_000, 200_000_000);
}

/// Two nodes are killed in turn, so that whoever was on the one is on the other when that dies; a third one is left alone. The clients have threads of
/// their own: they go on while a node is started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g13_nodes_that_are_killed_two_hundred_times_are_nobody_elses_matter_and_their_clients_go_on_elsewhere() {
    const KILLS: usize = 200;
    let redis = Redis::start().await;
    let lines = lines(&redis);
    let stays = Node::with(&redis, None, keep_all);
    let (mut next, mut other) = (Process::start(&lines), Process::start(&lines));
    let mut dying = Dying::of(&[next.address(), other.address()], &stays, lines).await;
    for _ in 0..KILLS {
        let again = dying.kills(next).await;
        (next, other) = (other, again);
    }
    let recorder = dying.run.recorder.clone();
    // No gap is justified: all of it is in Redis.
    assert_eq!(verdict(dying.run, &stays).await, NOTHING);
    let joins = |of: &dyn Fn(u32) -> bool| recorder.count(|what| matches!(what, What::Joined { subscription, .. } if of(*subscription)));
    assert_eq!(joins(&|subscription| STAYING.contains(&subscription)), STAYING.len(), "whoever is elsewhere sees nothing of it");
    let moved = joins(&|subscription| !STAYING.contains(&subscription));
    assert!(moved >= KILLS, "each kill met somebody, taken together: {moved} joins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g13_is_red_where_whoever_comes_from_a_killed_node_goes_on_at_the_head() {
    let redis = Redis::start().await;
    let lines = lines(&redis);
    let stays = Node::with(&redis, Some(Sabotage::ResumeAtHead), keep_all);
    let mut dies = Process::start(&lines);
    let nodes = [dies.address(), stays.address()];
    let mut dying = Dying::of(&nodes, &stays, lines).await;
    // Whoever moves misses something only where something was published meanwhile: others come to the node that dies, until somebody does.
    for round in 0..50 {
        let first = 200 + 8 * round;
        dying.run.subscribe(&nodes, first..first + 8).await;
        dies = dying.kills(dies).await;
        if !check(&dying.run.recorder.history()).is_empty() {
            break;
        }
    }
    let found = verdict(dying.run, &stays).await;
    assert!(shows(&found, "G6"), "{found:?}");
}
