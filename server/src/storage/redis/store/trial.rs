//! The store under the conformance suite: a real Redis, a clock that the suite sets, and questions that are waited for.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arqonbus_protocol::{ClientId, Durability, StorageStatus, Topic};
use tokio::runtime::Runtime;

use super::{Bus, Engine, Link, Means, RedisStore};
use crate::clock::{Clock, Moment};
use crate::config;
use crate::hash::Homes;
use crate::storage::suite::{GroupQuestion, Harness, Keeps};
use crate::storage::{
    Answer, Appended, Budget, Entry, Fingerprint, GroupAnswer, LogSettings, LogState, MemoryStore, Page, Progress, ReadRange, Store, StoreError,
    Ticket, Told,
};
use crate::telemetry::Metrics;

/// Milliseconds of the clock at which a case begins: far from 0, as the real one is.
const START_MS: u64 = 1_795_366_140_000;

/// A harness of the suite for the store in Redis.
pub struct Trial {
    store: RedisStore,
    runtime: Runtime,
    _link: Link,
    now: Arc<AtomicU64>,
    asked: u64,
    topics: u64,
    run: u64,
}

impl Trial {
    /// Begins with the Redis of `config`. `run` is another number for each run against the same server.
    ///
    /// # Panics
    /// Where that Redis cannot be reached.
    #[must_use]
    pub fn new(config: &config::Redis, run: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (now, metrics) = (Arc::new(AtomicU64::new(START_MS)), Arc::new(Metrics::default()));
        let (store, link) = runtime.block_on(async {
            let bus = Bus {
                node: ClientId::node(run),
                shards: 1,
                homes: Homes::new(1),
                clock: Clock::start(),
                metrics: Arc::clone(&metrics),
                salt: run.wrapping_mul(0x9E37_79B9_7F4A_7C15),
                now: Some(Arc::clone(&now)),
                #[cfg(any(test, feature = "sabotage"))]
                sabotage: None,
            };
            let (desks, fsync, link) = Engine::start(config, bus).expect("a configuration that can be used");
            link.ready(std::time::Duration::from_secs(10)).await.expect("a Redis that answers");
            let means = Means {
                node: ClientId::node(run),
                fsync,
                memory: MemoryStore::new(run, Arc::new(Budget::new(1 << 20))),
                metrics,
                salt: u128::from(run) << 64,
                #[cfg(any(test, feature = "sabotage"))]
                sabotage: None,
            };
            let desk = desks.into_iter().next().expect("one shard");
            (RedisStore::new(config, desk, means), link)
        });
        Self { store, runtime, _link: link, now, asked: 0, topics: 0, run }
    }

    fn ticket(&mut self) -> Ticket {
        self.asked += 1;
        Ticket(self.asked)
    }

    fn moment(&self) -> Moment {
        Moment(self.now.load(Relaxed) - START_MS)
    }

    /// Waits for the answer to `ticket`.
    fn answer(&mut self, ticket: Ticket) -> Answer {
        let now = self.moment();
        let Self { store, runtime, .. } = self;
        runtime.block_on(async {
            loop {
                if let Told::Answer(told, answer) = poll_fn(|cx| store.poll_told(now, cx)).await
                    && told == ticket
                {
                    return answer;
                }
            }
        })
    }
}

impl Harness for Trial {
    fn topic(&mut self) -> Topic {
        self.topics += 1;
        format!("suite{}:t{}", self.run, self.topics).parse().expect("room and channel are names")
    }

    fn pass(&mut self, ms: u64) {
        self.now.fetch_add(ms, Relaxed);
    }

    fn keeps(&self) -> Keeps {
        Keeps::Elsewhere
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        self.store.durability(settings)
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings) -> Result<LogState, StoreError> {
        let (ticket, now) = (self.ticket(), self.moment());
        match self.store.open(topic, settings, now, ticket) {
            Progress::Done(answer) => answer,
            Progress::Later => {
                let Answer::Opened(answer) = self.answer(ticket) else { unreachable!("it was opened") };
                answer
            }
        }
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>) -> Result<Appended, StoreError> {
        let (ticket, now) = (self.ticket(), self.moment());
        match self.store.append(topic, entry, fingerprint, now, ticket) {
            Progress::Done(answer) => answer,
            Progress::Later => {
                let Answer::Appended(answer) = self.answer(ticket) else { unreachable!("it was appended to") };
                answer
            }
        }
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange) -> Result<Page, StoreError> {
        let (ticket, now) = (self.ticket(), self.moment());
        match self.store.read(topic, range, now, ticket) {
            Progress::Done(answer) => answer,
            Progress::Later => {
                let Answer::Read(answer) = self.answer(ticket) else { unreachable!("it was read") };
                answer
            }
        }
    }

    fn delete(&mut self, topic: &Topic) -> Result<(), StoreError> {
        let ticket = self.ticket();
        match self.store.delete(topic, ClientId::node(1), ticket) {
            Progress::Done(answer) => answer,
            Progress::Later => {
                let Answer::Deleted(answer) = self.answer(ticket) else { unreachable!("it was deleted") };
                answer
            }
        }
    }

    fn group(&mut self, ask: &mut GroupQuestion<'_>) -> Option<Result<GroupAnswer, StoreError>> {
        let (ticket, now) = (self.ticket(), self.moment());
        Some(match ask(self.store.groups()?, now, ticket) {
            Progress::Done(answer) => answer,
            Progress::Later => {
                let Answer::Group(answer) = self.answer(ticket) else { unreachable!("it was asked about a group") };
                answer
            }
        })
    }

    fn close(&mut self, topic: &Topic) {
        self.store.close(topic);
    }

    fn is_forgettable(&mut self, topic: &Topic) -> bool {
        self.store.is_forgettable(topic, self.moment())
    }

    fn sweep(&mut self) {
        self.store.sweep(self.moment());
    }

    fn status(&self) -> StorageStatus {
        self.store.status()
    }
}
