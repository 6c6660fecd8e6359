//! What every shard of one bus has in common: configuration, clock, identity, telemetry, and a few counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use arqonbus_protocol::{ClientId, ErrorCode, MessageId, StorageState, Timestamp, Topic, Welcome};

use crate::admin::{Phase, Readiness};
use crate::census::Census;
use crate::clock::{Clock, Moment};
use crate::config::{Config, StorageKind};
use crate::hash::Homes;
use crate::routing::{Asked, ShardId};
use crate::session::{Identity, ResumeKeys};
use crate::telemetry::{Metrics, Signal, Telemetry};

/// Gauges that every shard tells of itself.
const HELD: usize = 3;

/// Common to all shards; nothing in it is waited for.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) node: ClientId,
    pub(crate) shards: usize,
    /// The shard that stands for the other nodes, where there may be any.
    pub(crate) abroad: Option<ShardId>,
    pub(crate) homes: Homes,
    pub(crate) resume_keys: ResumeKeys,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) telemetry: Telemetry,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) census: Census,
    places: AtomicUsize,
    /// Seeds the random numbers that need not be secret.
    random: AtomicU64,
    /// When the last client should be back, once the server drains.
    drain_ends: AtomicU64,
    /// What each shard last told of itself.
    held: Vec<[AtomicU64; HELD]>,
    /// How each shard's store is, and what was last told of all of them.
    storage: Mutex<(Vec<StorageState>, StorageState)>,
    /// A promise that this bus breaks, so that a test can show that it would notice.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) sabotage: Option<crate::sim::Sabotage>,
}

/// What one bus has by chance.
pub(crate) struct Chance {
    /// The secret of its resume keys.
    pub(crate) secret: [u8; 32],
    /// Names the node.
    pub(crate) node: u64,
    /// Seeds the random numbers that need not be secret.
    pub(crate) random: u64,
    pub(crate) homes: Homes,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        shards: usize,
        metrics: Arc<Metrics>,
        telemetry: Telemetry,
        readiness: Arc<Readiness>,
    ) -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let homes = Homes::new(shards);
        let homes = if config.storage.kind == StorageKind::Redis { homes.shared() } else { homes };
        let chance = Chance { secret, node: getrandom::u64()?, random: getrandom::u64()?, homes };
        Ok(Self::with(config, shards, metrics, telemetry, readiness, Clock::start(), chance))
    }

    /// All of it with a clock and random numbers from outside.
    pub(crate) fn with(
        config: Config,
        shards: usize,
        metrics: Arc<Metrics>,
        telemetry: Telemetry,
        readiness: Arc<Readiness>,
        clock: Clock,
        chance: Chance,
    ) -> Self {
        let several = config.storage.kind == StorageKind::Redis;
        Self {
            abroad: several.then(|| u16::try_from(shards).expect("there are fewer than 2^16 shards")),
            config,
            clock,
            node: ClientId::node(chance.node),
            shards,
            homes: chance.homes,
            resume_keys: ResumeKeys::new(chance.secret),
            metrics,
            telemetry,
            readiness,
            census: Census::default(),
            places: AtomicUsize::new(0),
            random: AtomicU64::new(chance.random),
            drain_ends: AtomicU64::new(0),
            held: (0..shards).map(|_| Default::default()).collect(),
            storage: Mutex::new((vec![StorageState::Healthy; shards], StorageState::Healthy)),
            #[cfg(any(test, feature = "sim"))]
            sabotage: None,
        }
    }

    /// Whether this bus breaks this promise.
    #[cfg(any(test, feature = "sabotage"))]
    pub(crate) fn sabotages(&self, sabotage: crate::sim::Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(crate) fn shard_ids(&self) -> u16 {
        u16::try_from(self.shards).expect("there are fewer than 2^16 shards")
    }

    /// Ways that lead from a shard: to each shard, and to the one that stands for other nodes.
    pub(crate) fn ways(&self) -> usize {
        self.shards + usize::from(self.abroad.is_some())
    }

    /// 64 bits that spread well and are not secret (SplitMix64; Steele, Lea and Flood 2014).
    pub(crate) fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn random_wide(&self) -> u128 {
        (u128::from(self.random()) << 64) | u128::from(self.random())
    }

    /// Up to `window_ms` milliseconds.
    pub(crate) fn jitter(&self, window_ms: u64) -> u64 {
        self.random() % (window_ms + 1)
    }

    /// An id for a message whose sender gave none.
    pub(crate) fn message_id(&self, timestamp: Timestamp) -> MessageId {
        MessageId::ulid(timestamp.unix_ms(), self.random_wide())
    }

    /// An id for a client, whose home is `shard`: so that registering it crosses no shard.
    pub(crate) fn client_id(&self, shard: u16) -> ClientId {
        loop {
            let client = ClientId::client(self.random_wide());
            if self.homes.of_client(&client) == shard {
                return client;
            }
        }
    }

    /// Whether a join may begin `topic`: the server's own only where they are configured.
    pub(crate) fn may_be_joined(&self, topic: &Topic) -> bool {
        let telemetry = &self.config.telemetry;
        let own = telemetry.room == topic.room.as_str()
            && (telemetry.activity_channel == topic.channel.as_str() || telemetry.metrics_channel == topic.channel.as_str());
        own || (!topic.is_reserved() && self.config.creates_on_use(topic))
    }

    /// Takes a place for one connection, HTTP or WebSocket.
    pub(crate) fn take_place(&self) -> bool {
        self.places.fetch_update(Relaxed, Relaxed, |count| (count < self.config.limits.connections).then_some(count + 1)).is_ok()
    }

    /// Gives one back.
    pub(crate) fn release_place(&self) {
        self.places.fetch_sub(1, Relaxed);
    }

    /// Whether the server has all the connections that it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.metrics.connections.value() >= self.config.limits.connections as u64
    }

    /// Begins to drain: no new work from now on.
    pub(crate) fn drain(&self) {
        self.drain_ends.store(self.clock.now().plus_ms(self.config.drain.reconnect_window_ms).0, Relaxed);
        self.readiness.enter(Phase::Draining);
    }

    /// While draining: when a client should come back, in milliseconds; another value at every call.
    pub(crate) fn draining_ms(&self) -> Option<u64> {
        if self.readiness.phase() != Phase::Draining {
            return None;
        }
        let left = Moment(self.drain_ends.load(Relaxed)).since(self.clock.now());
        Some(self.jitter(left))
    }

    /// The introduction of this server to one client.
    pub(crate) fn welcome(&self, client: ClientId) -> Welcome {
        let limits = &self.config.limits;
        Welcome {
            version: env!("CARGO_PKG_VERSION").into(),
            protocols: vec![arqonbus_protocol::PROTOCOL_VERSION],
            node: self.node,
            client,
            limits: arqonbus_protocol::limits::Limits {
                envelope_bytes: limits.envelope_bytes as u64,
                frame_bytes: limits.frame_bytes as u64,
                joins: limits.joins as u64,
                history: arqonbus_protocol::limits::HISTORY_LIMIT_MAX,
            },
            heartbeat_ms: self.config.heartbeat_ms,
            auth_required: false,
            draining: self.draining_ms().map(|reconnect_after_ms| arqonbus_protocol::Draining { reconnect_after_ms }),
        }
    }

    /// Lets telemetry know of a refused request.
    pub(crate) fn tell_refused(&self, asked: &Asked, topic: Option<Topic>, code: ErrorCode) {
        self.telemetry.tell(&Signal::Refused { client: Some(asked.who.client), topic, command: asked.command, id: Some(asked.request_id), code });
    }

    /// Lets telemetry know of input that could not be read.
    pub(crate) fn tell_unreadable(&self, who: &Identity, id: Option<MessageId>, code: ErrorCode) {
        self.telemetry.tell(&Signal::Refused { client: Some(who.client), topic: None, command: None, id, code });
    }

    /// Takes how one shard's store is, and tells how all of them together are where that has changed.
    pub(crate) fn tell_storage(&self, shard: u16, state: StorageState) {
        let mut storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        storage.0[usize::from(shard)] = state;
        let worst = storage.0.iter().copied().max_by_key(|state| state.severity()).unwrap_or(state);
        if std::mem::replace(&mut storage.1, worst) != worst {
            self.telemetry.tell(&Signal::Storage { state: worst });
        }
    }

    /// Takes one shard's gauges, and sets those of the bus: joins, messages and bytes held.
    pub(crate) fn tell_held(&self, shard: u16, gauges: [u64; HELD]) {
        for (gauge, value) in self.held[usize::from(shard)].iter().zip(gauges) {
            gauge.store(value, Relaxed);
        }
        let sum = |at: usize| self.held.iter().map(|shard| shard[at].load(Relaxed)).sum();
        let metrics = &self.metrics;
        for (at, gauge) in [&metrics.joins, &metrics.history_messages, &metrics.history_bytes].into_iter().enumerate() {
            gauge.set(sum(at));
        }
        let (channels, rooms) = self.census.counts();
        metrics.channels.set(channels);
        metrics.rooms.set(rooms);
    }
}
