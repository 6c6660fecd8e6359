//! The bus in one thread, without sockets, on a clock that stands still until it is told to go on.
//!
//! Everything between a connection's bytes and another's is the production path: frames, sessions, lanes, stores, outboxes, the task of a
//! connection and the flusher. Only what carries values between shards and wakes tasks is replaced, by a seeded scheduler that keeps the
//! order of the couriers: within one pair of shards and one kind.

mod frames;
mod peer;
mod pipe;
mod rng;
mod schedule;
mod store;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Wake;

use arqonbus_protocol::{Position, Topic};

pub use frames::{Frame, Reader, close, pong, text};
pub use peer::Peer;
pub use rng::Rng;

use crate::admin::{Phase, Readiness};
use crate::clock::Moment;
use crate::clock::manual::ManualClock;
use crate::config::Config;
use crate::fanout::connection::Sink;
use crate::fanout::{Delivery, MEMBERS_AT_ONCE};
use crate::hash::Homes;
use crate::routing::Op;
use crate::session::Channel;
use crate::shard::Core;
use crate::shard::courier::Bells;
use crate::shared::{Chance, Shared};
use crate::slots::Key;
use crate::storage::{Budget, MemoryStore};
use crate::telemetry::{Metrics, Telemetry};
use crate::transport::socket::Socket;
use pipe::Pipe;
use store::{Late, LateStore};

/// A promise to break, so that a test can show that it would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Some messages are acknowledged and not stored (G4).
    AckBeforeStore,
    /// A resumed subscription goes on where the log begins, and is not told what is missing (G6).
    ResumeWithoutGap,
    /// A join reads the head, and is a member only later (G8).
    JoinReadsThenRegisters,
    /// A message that comes again is stored again (G9).
    ForgetDedup,
    /// A bus that has lost its logs gives the same epochs again (G10).
    KeepEpochOnRestart,
    /// A trimmed past is not told (G11).
    TrimSilently,
    /// A slow reader's queue has no bound (G14).
    NoOutboxBound,
    /// Redis' data counts as the same, whatever happened to it (G10).
    IgnoreIncarnation,
    /// Members are not told of a new epoch (G10).
    NoEpochGap,
    /// Members are not told that Redis is away (G12).
    DegradeSilently,
    /// What Redis has missed or lost is not given to it again (G4, G12).
    ForgetOnOutage,
    /// A hundredth of what other nodes tell is lost: a fault, which breaks nothing.
    DropNotices,
    /// The same, and nobody looks for what is missing (G21).
    DropNoticesForGood,
    /// Nobody looks for what is missing (G21).
    KeepHoles,
    /// The feed of every topic is followed, also where nobody hears it.
    FollowAll,
    /// A feed is let go of as soon as somebody waits for it.
    FollowNothing,
    /// Messages are delivered as they come, and not in the order of the log (G1, G6).
    DeliverAsTheyCome,
    /// What Redis did not take is acknowledged as if it had (G4).
    AckUnwritten,
    /// Replicas that must have a message are not waited for (FR-008 of spec 003).
    AckUnreplicated,
    /// Whoever comes back goes on at the head of the log, and is not told what it missed (G6, G13).
    ResumeAtHead,
    /// Other nodes are not asked, nor is Redis for them, and what they would say counts as said (N-4, N-5, N-7, N-8, N-11, N-12).
    AskNoNode,
    /// Other nodes are not told what happens here (N-6, N-9, N-10, N-12).
    TellNoNode,
    /// Messages of other nodes are not recognised when they come again (N-4, N-6).
    ForgetIdsElsewhere,
    /// A node that is silent lives for ever (N-9).
    KeepTheDead,
    /// What was missed while nothing was heard of other nodes is not asked for (N-9, N-12).
    TrustTheFeed,
    /// A missing answer of a node is not told (N-3).
    ClaimComplete,
    /// A node goes without a word (N-1).
    LeaveSilently,
    /// A node serves before the others have answered it (N-1).
    ServeUnacquainted,
    /// Resume keys are made by a secret of this node's own (N-10).
    OwnSecret,
    /// What Redis holds is not looked up (N-8, N-11, N-12).
    ForgetWhatRedisHolds,
    /// What a sender publishes while others are asked about an earlier message of its does not wait (N-5).
    OvertakeOneself,
    /// A job that was acknowledged is given out again (spec 006).
    ForgetAcks,
    /// A job whose member is gone is given to nobody (spec 006).
    LoseJobsOfTheDead,
}

/// Serves a real bus that breaks a promise; otherwise as [`crate::run`].
///
/// # Errors
/// As [`crate::run`].
#[cfg(feature = "sabotage")]
pub async fn run_sabotaged(
    listener: tokio::net::TcpListener,
    config: Config,
    sabotage: Option<Sabotage>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), crate::RunError> {
    crate::bus::run_sabotaged(listener, config, sabotage, shutdown).await
}

/// How a bus is begun.
#[derive(Debug, Clone)]
pub struct Setup {
    /// As a program's; `shards` 0 means 2.
    pub config: Config,
    /// Seeds everything that is left to chance.
    pub seed: u64,
    /// The moment at which the clock stands.
    pub now_ms: u64,
    /// The longest that a store takes to answer; 0 for at once.
    pub store_delay_ms: u64,
    /// Members of an audience who are given what they are owed before others get their turn.
    pub slice_members: usize,
    /// What is broken; needs the feature `sabotage`.
    pub sabotage: Option<Sabotage>,
}

impl Setup {
    /// A bus of two shards that keeps its promises.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut config = Config::default();
        config.telemetry.room = "off".into();
        Self { config, seed, now_ms: 0, store_delay_ms: 0, slice_members: MEMBERS_AT_ONCE, sabotage: None }
    }
}

/// Names a simulated socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId(usize);

/// A simulated socket.
struct Link {
    shard: usize,
    key: Key,
    pipe: Pipe,
    woken: Arc<Flag>,
    /// The server has let go of it.
    over: bool,
}

/// Set when a task is woken.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

struct SimShard {
    core: Core,
    bells: Bells,
    late: Rc<RefCell<Late>>,
}

/// What is under way from one shard to another.
#[derive(Default)]
struct Way {
    ops: VecDeque<Op>,
    deliveries: VecDeque<Delivery>,
}

/// A bus without sockets. See the module.
pub struct SimBus {
    shared: Arc<Shared>,
    clock: ManualClock,
    shards: Vec<SimShard>,
    /// By sender, then receiver.
    ways: Vec<Vec<Way>>,
    /// Ways on which nothing moves.
    held: HashSet<(usize, usize)>,
    links: Vec<Link>,
    rng: Rng,
    swept: Moment,
    /// Nobody is given the rest of what a large audience is owed.
    slices_held: bool,
}

impl SimBus {
    /// Begins a bus.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { mut config, seed, now_ms, store_delay_ms, slice_members, sabotage } = setup;
        let mut rng = Rng::new(seed);
        let shards = if config.shards == 0 { 2 } else { config.shards };
        if sabotage == Some(Sabotage::NoOutboxBound) {
            (config.limits.outbox_bytes, config.limits.outbox_age_ms) = (usize::MAX, u64::MAX);
        }
        let clock = ManualClock::new(Moment(now_ms));
        let metrics = Arc::new(Metrics::default());
        let (telemetry, _) = Telemetry::new(Arc::clone(&metrics), &config.telemetry);
        let budget = Arc::new(Budget::new(config.history_total_bytes));
        let secret = std::array::from_fn(|_| rng.next_u64() as u8);
        let chance = Chance { secret, node: rng.next_u64(), random: rng.next_u64(), homes: Homes::seeded(shards, seed) };
        let readiness = Arc::new(Readiness::default());
        readiness.enter(Phase::Ready);
        let mut shared = Shared::with(config, shards, metrics, telemetry, readiness, clock.clock(), chance);
        shared.sabotage = sabotage;
        let shared = Arc::new(shared);
        let shard = |id: usize| {
            // Shards differ also where a restarted bus repeats itself.
            let salt = if sabotage == Some(Sabotage::KeepEpochOnRestart) { (id as u64) << 32 } else { rng.next_u64() };
            let inner = MemoryStore::new(salt, Arc::clone(&budget)).remembering(shared.config.ids_of_logs_max(shards));
            let (store, late) = LateStore::new(inner, clock, Rng::new(rng.next_u64()), store_delay_ms, sabotage);
            let id = u16::try_from(id).expect("there are few shards");
            let mut core = Core::new(id, Arc::clone(&shared), Box::new(store));
            core.edge.audiences.at_once = slice_members;
            core.tick();
            core.home.declare();
            SimShard { core, bells: Bells::new(shards), late }
        };
        let built = (0..shards).map(shard).collect();
        let ways = (0..shards).map(|_| (0..shards).map(|_| Way::default()).collect()).collect();
        Self { shared, clock, shards: built, ways, held: HashSet::new(), links: Vec::new(), rng, swept: Moment(now_ms), slices_held: false }
    }

    /// Opens a connection on some shard.
    pub fn open(&mut self) -> LinkId {
        let shard = self.rng.index(self.shards.len());
        self.open_on(shard)
    }

    /// Opens a connection on one shard.
    pub fn open_on(&mut self, shard: usize) -> LinkId {
        let pipe = Pipe::default();
        let sink = Sink::Socket(Socket::Boxed(Box::new(pipe.clone())));
        let key = self.shards[shard].core.open(sink, Channel::WebSocket, None, None);
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.links.push(Link { shard, key, pipe, woken, over: false });
        LinkId(self.links.len() - 1)
    }

    /// Hands bytes of a client to its connection.
    pub fn send(&mut self, link: LinkId, bytes: &[u8]) {
        self.links[link.0].pipe.send(bytes);
    }

    /// Takes what the server has written to a connection.
    pub fn take(&mut self, link: LinkId) -> Vec<u8> {
        self.links[link.0].pipe.take()
    }

    /// Bounds what the server can write to a connection before some of it is taken.
    pub fn set_window(&mut self, link: LinkId, window: Option<usize>) {
        self.links[link.0].pipe.set_window(window);
    }

    /// Lets a client vanish.
    pub fn cut(&mut self, link: LinkId) {
        self.links[link.0].pipe.cut();
    }

    /// Whether the server still has the connection, and has not shut its side.
    #[must_use]
    pub fn is_open(&self, link: LinkId) -> bool {
        let link = &self.links[link.0];
        !link.over && !link.pipe.is_shut()
    }

    /// Whether the server has let go of the connection.
    #[must_use]
    pub fn is_over(&self, link: LinkId) -> bool {
        self.links[link.0].over
    }

    /// The present moment.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now().0
    }

    /// Steps the wall clock as an operator would, or a time server.
    pub fn step_wall_clock(&mut self, ms: i64) {
        self.clock.step_wall(ms);
    }

    /// The shard on which a topic is at home.
    #[must_use]
    pub fn home_of(&self, topic: &Topic) -> usize {
        usize::from(self.shared.homes.of_topic(topic))
    }

    /// The last position of a topic, where the bus has it.
    #[must_use]
    pub fn head(&self, topic: &Topic) -> Option<Position> {
        let home = &self.shards[self.home_of(topic)].core.home;
        home.by_topic.get(topic).and_then(|key| home.lanes.get(*key)).map(|lane| lane.head)
    }

    /// Bytes that wait for one connection.
    #[must_use]
    pub fn queued_bytes(&self, link: LinkId) -> usize {
        let Link { shard, key, .. } = &self.links[link.0];
        self.shards[*shard].core.edge.connections.get(*key).map_or(0, crate::fanout::connection::Connection::queued_bytes)
    }

    /// Keeps what goes from one shard to another under way until [`SimBus::release`].
    pub fn hold(&mut self, from: usize, to: usize) {
        self.held.insert((from, to));
    }

    /// Lets all that is under way move again.
    pub fn release(&mut self) {
        self.held.clear();
        self.slices_held = false;
    }

    /// Gives nobody the rest of what a large audience is owed until [`SimBus::release`].
    pub fn hold_slices(&mut self) {
        self.slices_held = true;
    }

    /// Bytes of messages that members of large audiences are owed.
    #[must_use]
    pub fn owed_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.core.edge.audiences.owed_bytes()).sum()
    }

    /// Lets the store answer questions about `topic` only after [`SimBus::unstick`].
    pub fn stick(&mut self, topic: &Topic) {
        let home = self.home_of(topic);
        self.shards[home].late.borrow_mut().stuck.insert(*topic);
    }

    /// Lets the store answer questions about `topic` again.
    pub fn unstick(&mut self, topic: &Topic) {
        let (home, now) = (self.home_of(topic), self.clock.now());
        self.shards[home].late.borrow_mut().unstick(topic, now);
    }

    /// Begins to drain, and tells every client.
    pub fn drain(&mut self) {
        self.shared.drain();
        for shard in &mut self.shards {
            let keys = shard.core.audience_of_drain();
            shard.core.announce_drain(&keys);
        }
    }

    /// Closes every connection, as the end of a drain does.
    pub fn close_all(&mut self) {
        for shard in &mut self.shards {
            shard.core.close_slice(usize::MAX);
        }
    }
}
