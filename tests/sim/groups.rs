//! A model of one work group: members that come, go, settle or forget their jobs in any order, on a bus whose store answers late. No job that
//! was acknowledged is given out again, no delivery is made twice, and in the end each message was acknowledged or is a dead letter.

use std::collections::{BTreeMap, BTreeSet};

use arqonbus_server::sim::{Peer, Sabotage, Setup, SimBus};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

const TOPIC: &str = "r:a";
const WORKERS_MAX: usize = 4;
/// Below twice the heartbeat, so that nobody is closed for silence in between.
const STEP_MS: u64 = 4_000;

/// What happens next; numbers pick one of those that are there.
#[derive(Debug, Clone, Copy)]
enum Act {
    Publish(u8),
    Join(u8),
    Vanish(usize),
    Leave(usize),
    Ack(usize, u8),
    Nack(usize, u8, bool),
    Dead(usize),
    Pass(u64),
    /// Settlings and joins are under way while other things happen.
    Work(u8),
}

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    store_delay_ms: u64,
    acts: Vec<Act>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let act = prop_oneof![
        4 => (1..6_u8).prop_map(Act::Publish),
        3 => (1..8_u8).prop_map(Act::Join),
        2 => any::<usize>().prop_map(Act::Vanish),
        1 => any::<usize>().prop_map(Act::Leave),
        5 => (any::<usize>(), 1..6_u8).prop_map(|(worker, jobs)| Act::Ack(worker, jobs)),
        2 => (any::<usize>(), 1..4_u8, any::<bool>()).prop_map(|(worker, jobs, later)| Act::Nack(worker, jobs, later)),
        1 => any::<usize>().prop_map(Act::Dead),
        2 => (1..STEP_MS).prop_map(Act::Pass),
        2 => (1..40_u8).prop_map(Act::Work),
    ];
    (any::<u64>(), prop_oneof![Just(0), Just(5)], prop::collection::vec(act, 1..60)).prop_map(|(seed, store_delay_ms, acts)| Plan {
        seed,
        store_delay_ms,
        acts,
    })
}

struct Worker {
    peer: Peer,
    /// What it was given and has said nothing about.
    held: BTreeSet<u64>,
    /// Acks that are not answered, by request.
    acks: BTreeMap<String, Vec<u64>>,
}

struct World {
    bus: SimBus,
    publisher: Peer,
    workers: Vec<Worker>,
    published: u64,
    /// Each seq with each of its deliveries.
    given: BTreeSet<(u64, u64)>,
    acked: BTreeSet<u64>,
    /// What was acknowledged by members that vanished before the answer: it may be settled.
    unknown: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl World {
    fn new(plan: &Plan, sabotage: Option<Sabotage>) -> Self {
        let mut setup = Setup::new(plan.seed);
        (setup.store_delay_ms, setup.sabotage) = (plan.store_delay_ms, sabotage);
        (setup.config.groups.ack_timeout_ms, setup.config.groups.deliveries_max) = (8_000, 4);
        let mut bus = SimBus::new(setup);
        let publisher = Peer::open(&mut bus, 0);
        let (workers, given, acked, unknown, wrong) = Default::default();
        let mut world = Self { bus, publisher, workers, published: 0, given, acked, unknown, wrong };
        // Somebody begins the group, so that all that is published is its business.
        world.join(4);
        world.bus.settle();
        world.hear();
        world
    }

    fn args(&self, seqs: &[u64]) -> Value {
        let epoch = self.bus.head(&TOPIC.parse().unwrap()).map(|head| head.epoch);
        json!({ "room": "r", "channel": "a", "group": "g", "epoch": epoch, "seqs": seqs })
    }

    fn join(&mut self, max_in_flight: u8) {
        let shard = self.workers.len() % 2;
        let mut peer = Peer::open(&mut self.bus, shard);
        peer.command(&mut self.bus, "join_channel", &json!({ "room": "r", "channel": "a", "group": "g", "max_in_flight": max_in_flight }));
        self.workers.push(Worker { peer, held: BTreeSet::new(), acks: BTreeMap::new() });
    }

    fn act(&mut self, act: Act) {
        let pick = |of: usize| if self.workers.is_empty() { None } else { Some(of % self.workers.len()) };
        match act {
            Act::Publish(count) => {
                for _ in 0..count {
                    self.published += 1;
                    let id = format!("m{}", self.published);
                    self.publisher.publish(&mut self.bus, TOPIC, &id);
                }
                self.publisher.hear(&mut self.bus);
            }
            Act::Join(max_in_flight) if self.workers.len() < WORKERS_MAX => self.join(max_in_flight),
            Act::Vanish(worker) => {
                if let Some(worker) = pick(worker) {
                    self.vanish(worker);
                }
            }
            Act::Leave(worker) => {
                if let Some(worker) = pick(worker) {
                    let args = json!({ "room": "r", "channel": "a", "group": "g" });
                    self.workers[worker].peer.command(&mut self.bus, "leave_channel", &args);
                    self.hear();
                    self.vanish(worker);
                }
            }
            Act::Ack(worker, jobs) => self.settle(pick(worker), jobs, "ack", &json!({})),
            Act::Nack(worker, jobs, later) => {
                let more = if later { json!({ "delay_ms": 3_000 }) } else { json!({}) };
                self.settle(pick(worker), jobs, "nack", &more);
            }
            Act::Dead(worker) => self.settle(pick(worker), 1, "nack", &json!({ "dead": true })),
            Act::Pass(ms) => self.pass(ms),
            Act::Work(steps) => _ = (0..steps).map_while(|_| self.bus.step().then_some(())).count(),
            Act::Join(_) => {}
        }
        self.hear_now();
    }

    fn vanish(&mut self, worker: usize) {
        let worker = self.workers.swap_remove(worker);
        self.unknown.extend(worker.acks.into_values().flatten());
        self.bus.cut(worker.peer.link);
    }

    fn pass(&mut self, ms: u64) {
        self.bus.advance(ms);
        self.hear();
    }

    fn settle(&mut self, worker: Option<usize>, jobs: u8, verb: &str, more: &Value) {
        let Some(worker) = worker else { return };
        let seqs: Vec<u64> = self.workers[worker].held.iter().copied().take(usize::from(jobs)).collect();
        if seqs.is_empty() {
            return;
        }
        let mut args = self.args(&seqs);
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Worker { peer, held, acks } = &mut self.workers[worker];
        held.retain(|seq| !seqs.contains(seq));
        let id = peer.command(&mut self.bus, verb, &args);
        if verb == "ack" {
            acks.insert(id, seqs);
        }
    }

    /// Lets everything settle, and takes what came.
    fn hear(&mut self) {
        self.bus.settle();
        self.hear_now();
        self.bus.settle();
    }

    fn hear_now(&mut self) {
        self.publisher.hear_now(&mut self.bus);
        // All that came, before any of it is judged: an ack that was taken comes before the job is given to another.
        let mut heard: Vec<(usize, Value)> = Vec::new();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            heard.extend(worker.peer.hear_now(&mut self.bus).into_iter().map(|envelope| (number, envelope)));
        }
        let (jobs, others): (Vec<_>, Vec<_>) = heard.into_iter().partition(|(_, envelope)| envelope["type"] == "message");
        let before = self.acked.clone();
        for (number, envelope) in others {
            self.take_answer(number, &envelope);
        }
        for (number, job) in jobs {
            self.take_job(number, &job, &before);
        }
    }

    fn take_answer(&mut self, number: usize, envelope: &Value) {
        let Some(seqs) = envelope["request_id"].as_str().and_then(|id| self.workers[number].acks.remove(id)) else { return };
        if envelope["status"] != "ok" {
            return;
        }
        let missed: Vec<u64> = envelope["result"]["not_held"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        for seq in seqs.into_iter().filter(|seq| !missed.contains(seq)) {
            if !self.acked.insert(seq) {
                self.wrong.push(format!("{seq} was acknowledged twice"));
            }
        }
    }

    fn take_job(&mut self, number: usize, job: &Value, acked: &BTreeSet<u64>) {
        let (seq, delivery) = (job["seq"].as_u64().unwrap(), job["delivery"].as_u64().unwrap());
        if acked.contains(&seq) {
            self.wrong.push(format!("{seq} was acknowledged and is given out again"));
        }
        if !self.given.insert((seq, delivery)) {
            self.wrong.push(format!("{seq} is given out twice as delivery {delivery}"));
        }
        self.workers[number].held.insert(seq);
    }

    /// Works until nothing is left, and says what is missing.
    fn conclude(mut self) -> Vec<String> {
        self.hear();
        while !self.workers.is_empty() {
            self.vanish(0);
        }
        self.bus.settle();
        self.join(100);
        for _ in 0..8 {
            self.pass(STEP_MS);
            while !self.workers[0].held.is_empty() {
                self.settle(Some(0), 100, "ack", &json!({}));
                self.hear();
            }
        }
        let mut reader = Peer::open(&mut self.bus, 0);
        let info = reader.ask(&mut self.bus, "channel_info", &json!({ "room": "r", "channel": "a" }));
        if info["groups"][0]["pending"] != 0 || info["groups"][0]["lag"] != 0 {
            self.wrong.push(format!("something is left: {}", info["groups"]));
        }
        let letters = reader.ask(&mut self.bus, "history", &json!({ "room": "r", "channel": "a.dead", "limit": 1_000 }));
        let dead: BTreeSet<String> =
            letters["messages"].as_array().into_iter().flatten().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
        for seq in 1..=self.published {
            if !self.acked.contains(&seq) && !self.unknown.contains(&seq) && !dead.contains(&format!("m{seq}")) {
                self.wrong.push(format!("{seq} was neither acknowledged nor is it dead"));
            }
        }
        self.wrong
    }
}

fn play(plan: &Plan, sabotage: Option<Sabotage>) -> Vec<String> {
    let mut world = World::new(plan, sabotage);
    for act in &plan.acts {
        world.act(*act);
    }
    world.conclude()
}

proptest! {
    #![proptest_config(crate::cases(100))]

    #[test]
    fn no_acked_job_comes_again_and_none_is_lost(plan in plans()) {
        let wrong = play(&plan, None);
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Some plan among these shows the fault.
fn noticed(sabotage: Sabotage, word: &str) {
    let mut runner = TestRunner::deterministic();
    let found = (0..60).any(|_| {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        play(&plan, Some(sabotage)).iter().any(|wrong| wrong.contains(word))
    });
    assert!(found, "{sabotage:?} was not noticed");
}

#[test]
fn a_forgotten_ack_is_noticed() {
    noticed(Sabotage::ForgetAcks, "given out again");
}

#[test]
fn jobs_that_died_with_their_member_are_noticed() {
    noticed(Sabotage::LoseJobsOfTheDead, "neither acknowledged nor is it dead");
}
