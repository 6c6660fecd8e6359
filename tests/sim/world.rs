//! The world of one run: a bus, clients, and everything that is done to them.

use arqonbus_client::protocol::{Pattern, Topic};
use arqonbus_server::sim::{Sabotage, Setup, SimBus};
use arqonbus_tests::checker::{Fault, Promise, Violation, What, check};

use crate::client::{Client, Notes};
use crate::plan::{Act, Kind, Plan};

const TOPICS: [&str; 4] = ["r:a", "r:b", "s:a", "s:c"];
const PATTERNS: [&str; 7] = ["r:a", "r:b", "s:a", "s:c", "r:*", "*:a*", "*:*"];
const CLIENTS: u32 = 3;
/// Messages that a topic holds where history is short.
const SHORT: u64 = 6;
/// Milliseconds in which everybody has caught up once nothing goes wrong any more (G16).
const HEAL_MS: u64 = 30_000;

/// Plays a plan to its end, and says what promises were broken.
pub(crate) fn play(plan: &Plan, sabotage: Option<Sabotage>) -> Vec<Violation> {
    let mut world = World::new(plan, sabotage);
    for act in &plan.acts {
        world.act(act);
    }
    world.conclude()
}

struct World {
    bus: SimBus,
    clients: Vec<Client>,
    notes: Notes,
    kind: Kind,
    seed: u64,
    sabotage: Option<Sabotage>,
    lives: u64,
    subscriptions: u32,
}

impl World {
    fn new(plan: &Plan, sabotage: Option<Sabotage>) -> Self {
        let bus = SimBus::new(setup(plan.kind, plan.seed, 0, sabotage));
        let clients = (0..CLIENTS).map(|number| Client::new(number, plan.seed ^ u64::from(number), 0)).collect();
        let mut notes = Notes::default();
        if plan.kind != Kind::Flaps {
            notes.note(What::Fault(Fault::Trim));
        }
        Self { bus, clients, notes, kind: plan.kind, seed: plan.seed, sabotage, lives: 0, subscriptions: 0 }
    }

    fn act(&mut self, act: &Act) {
        let now = self.bus.now_ms();
        let Self { bus, clients, notes, .. } = self;
        let count = clients.len();
        let pick = |client: usize| client % count;
        match *act {
            Act::Publish { client, topic, count } => {
                for _ in 0..count {
                    clients[pick(client)].publish(self::topic(topic), true, now, notes);
                }
            }
            Act::PublishNowait { client, topic } => clients[pick(client)].publish(self::topic(topic), false, now, notes),
            Act::Join { client, pattern, replay } => {
                self.subscriptions += 1;
                clients[pick(client)].join(self::pattern(pattern), replay, self.subscriptions, now, notes);
            }
            Act::Leave { client, nth } => with_sub(&mut clients[pick(client)], nth, |client, id| client.core.leave(id, now)),
            Act::Pause { client, nth } => with_sub(&mut clients[pick(client)], nth, |client, id| client.core.pause(id, now)),
            Act::Resume { client, nth } => with_sub(&mut clients[pick(client)], nth, |client, id| client.core.resume(id, now)),
            Act::Move { client, up, down } => clients[pick(client)].exchange(bus, up, down, notes),
            Act::Work { steps } => _ = (0..steps).map_while(|_| bus.step().then_some(())).count(),
            Act::Flow => self.flow(),
            Act::Cut { client, up, down } => {
                clients[pick(client)].exchange(bus, up, down, notes);
                clients[pick(client)].cut(bus, notes);
            }
            Act::Narrow { client, window } => clients[pick(client)].narrow(bus, Some(window)),
            Act::Pass { ms } => self.pass(ms),
            Act::StepClock { hours } => bus.step_wall_clock(hours * 3_600_000),
            Act::Restart => self.restart(),
        }
        for client in &mut self.clients {
            client.poll(&mut self.bus, &mut self.notes);
        }
    }

    /// Everything that is under way arrives.
    fn flow(&mut self) {
        for _ in 0..20 {
            self.bus.run();
            for client in &mut self.clients {
                client.exchange(&mut self.bus, usize::MAX, usize::MAX, &mut self.notes);
            }
        }
    }

    /// Time passes, and clients whose alarm goes off hear it.
    fn pass(&mut self, ms: u64) {
        let end = self.bus.now_ms() + ms;
        while self.bus.now_ms() < end {
            let now = self.bus.now_ms();
            let alarm = self.clients.iter().filter_map(|client| client.until).min().unwrap_or(end);
            self.bus.pass(alarm.clamp(now + 1, end) - now);
            self.ring();
        }
    }

    fn ring(&mut self) {
        let now = self.bus.now_ms();
        for client in &mut self.clients {
            if client.until.is_some_and(|until| until <= now) {
                client.core.handle_timeout(now);
                client.poll(&mut self.bus, &mut self.notes);
            }
        }
    }

    fn restart(&mut self) {
        self.lives += 1;
        self.notes.note(What::Fault(Fault::Restart));
        let new = SimBus::new(setup(self.kind, self.seed.wrapping_add(self.lives), self.bus.now_ms(), self.sabotage));
        let mut old = std::mem::replace(&mut self.bus, new);
        for client in &mut self.clients {
            client.cut(&mut old, &mut self.notes);
            // An attempt that the old bus had not answered is lost with it.
            client.poll(&mut self.bus, &mut self.notes);
        }
    }

    /// Lets everything heal, and looks whether everybody has caught up.
    fn conclude(mut self) -> Vec<Violation> {
        let end = self.bus.now_ms() + HEAL_MS;
        let ids: Vec<_> = self.clients.iter().map(|client| client.subs.keys().copied().collect::<Vec<_>>()).collect();
        for (client, ids) in self.clients.iter_mut().zip(ids) {
            client.narrow(&mut self.bus, None);
            ids.into_iter().for_each(|id| client.core.resume(id, self.bus.now_ms()));
        }
        let mut quiet = 0;
        // A subscription that found a hole waits before it repairs it a second time.
        while self.bus.now_ms() < end && (quiet < 5 || !self.behind().is_empty()) {
            self.bus.settle();
            self.flow();
            self.pass(50);
            quiet = if self.clients.iter().all(Client::is_quiet) { quiet + 1 } else { 0 };
        }
        self.flow();
        if std::env::var_os("ARQONBUS_MODEL_SHOW").is_some() {
            self.notes.seen.iter().for_each(|seen| println!("{seen:?}"));
        }
        let mut violations = self.behind();
        violations.extend(check(&self.notes.seen));
        violations
    }

    fn behind(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut blame = |evidence| violations.push(Violation { promise: Promise::G6ExactlyOnceOrGap, evidence });
        for (at, client) in self.clients.iter().enumerate() {
            if let Some(why) = &client.closed {
                blame(format!("client {at} gave up: {why}"));
            }
            if !client.is_quiet() {
                blame(format!("client {at} does not come to rest: {:?}, {} publishes open", client.core.state(), client.calls.len()));
            }
            for sub in client.subs.values() {
                for topic in TOPICS.iter().map(|name| name.parse::<Topic>().unwrap()).filter(|topic| sub.pattern.matches(topic)) {
                    let (head, cursor) = (self.bus.head(&topic), sub.cursors.get(&topic).copied());
                    // A pattern is told nothing of a topic that has no message in this life, unless it knew one in an earlier life (G10).
                    let is_owed = sub.pattern.as_topic().is_some() || cursor.is_some() || head.is_some_and(|head| head.seq > 0);
                    if is_owed && head != cursor {
                        blame(format!("client {at} ended {}, {topic} at {cursor:?}, and the log at {head:?}", sub.pattern));
                    }
                }
            }
        }
        violations
    }
}

fn setup(kind: Kind, seed: u64, now_ms: u64, sabotage: Option<Sabotage>) -> Setup {
    let mut setup = Setup::new(seed);
    setup.now_ms = now_ms;
    setup.sabotage = sabotage;
    setup.config.shards = if kind == Kind::LateStore { 4 } else { 2 };
    setup.store_delay_ms = if kind == Kind::LateStore { 30 } else { 0 };
    // Small slices, pages and queues, so that their bounds are met.
    setup.slice_members = 1 + usize::try_from(seed % 3).unwrap();
    setup.config.limits.outbox_bytes = 16 * 1024;
    if kind != Kind::Flaps {
        setup.config.history.messages = SHORT;
    }
    setup
}

fn with_sub(client: &mut Client, nth: usize, act: impl FnOnce(&mut Client, arqonbus_client::core::SubscriptionId)) {
    if let Some(id) = client.nth_sub(nth) {
        act(client, id);
    }
}

fn topic(at: usize) -> Topic {
    TOPICS[at % TOPICS.len()].parse().unwrap()
}

fn pattern(at: usize) -> Pattern {
    PATTERNS[at % PATTERNS.len()].parse().unwrap()
}
