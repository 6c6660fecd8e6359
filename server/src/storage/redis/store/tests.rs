//! One shard's half against tasks that are played by hand: what comes when is the test's to say.

mod outages;
mod reads;
mod tries;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

use arqonbus_protocol::{ClientId, Timestamp, Topic};
use bytes::Bytes;

use super::desk::{Counter, Desk, Failure, Followed, Job, News};
use super::script::{Ends, Item, Outcome, Part, Written};
use super::{Means, RedisStore};
use crate::clock::Moment;
use crate::config;
use crate::storage::{Answer, Budget, Entry, Fingerprint, LogSettings, MemoryStore, Progress, Store, Ticket, Told};
use crate::telemetry::Metrics;

/// A store, and the tasks' end of its desk.
pub(super) struct Shard {
    pub(super) store: RedisStore,
    counter: Counter,
    pub(super) now: Moment,
    pub(super) metrics: Arc<Metrics>,
    tickets: u64,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self::with(&config::Redis::default())
    }

    pub(super) fn with(config: &config::Redis) -> Self {
        let (desk, counter) = Desk::new();
        let metrics = Arc::new(Metrics::default());
        let means = Means {
            node: ClientId::node(1),
            fsync: Arc::new(AtomicBool::new(false)),
            memory: MemoryStore::new(1, Arc::new(Budget::new(1 << 24))),
            metrics: Arc::clone(&metrics),
            salt: 1,
            sabotage: None,
        };
        let now = Moment::default().plus_ms(1_000_000);
        Self { store: RedisStore::new(config, desk, means), counter, now, metrics, tickets: 0 }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Lets the store take this, and whatever else waits; gives what it tells.
    pub(super) fn hear(&mut self, news: News) -> Vec<Told> {
        assert!(self.counter.news.try_send(news).is_ok(), "there is room");
        self.told()
    }

    pub(super) fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Poll::Ready(next) = self.store.poll_told(self.now, &mut Context::from_waker(Waker::noop())) {
            told.push(next);
        }
        told
    }

    /// What the store has asked since it was last looked at.
    pub(super) fn jobs(&mut self) -> Vec<Job> {
        std::iter::from_fn(|| self.counter.jobs.try_recv().ok()).collect()
    }

    /// The batch that the store has sent; the texts of its messages, as they are in the one log of the test.
    pub(super) fn batch(&mut self) -> Option<Vec<String>> {
        let text = |item: &Item| String::from_utf8(item.entry.text.to_vec()).expect("text");
        let texts = |parts: Vec<Part>| parts.iter().flat_map(|part| part.items.iter().map(text)).collect();
        self.jobs().into_iter().find_map(|job| if let Job::Append(parts) = job { Some(texts(parts)) } else { None })
    }

    pub(super) fn open(&mut self, ends: Ends) {
        let ticket = self.ticket();
        assert!(matches!(self.store.open(&topic(), &settings(), self.now, ticket), Progress::Later));
        let told = self.hear(opened(ends));
        assert!(matches!(told[..], [Told::Answer(_, Answer::Opened(Ok(_)))]), "{told:?}");
        let ticket = self.ticket();
        assert!(matches!(self.store.follow(&topic(), self.now, ticket), Progress::Later));
        self.hear(News::Followed(topic(), Ok(Followed { ends, confirmed: true })));
        self.jobs();
    }

    pub(super) fn publish(&mut self, text: &str) -> Vec<Told> {
        let entry = Entry { text: Bytes::copy_from_slice(text.as_bytes()), hole: 0, timestamp: Timestamp::from_unix_ms(1_795_366_140_000) };
        let ticket = self.ticket();
        let fingerprint = Fingerprint { key: u128::from(ticket.0), content: 0 };
        assert!(matches!(self.store.append(&topic(), entry, Some(fingerprint), self.now, ticket), Progress::Later));
        self.told()
    }

    /// Publishes, and lets Redis store it at `seq`.
    pub(super) fn stored(&mut self, text: &str, epoch: u64, seq: u64) {
        self.publish(text);
        assert_eq!(self.batch(), Some(vec![text.to_owned()]));
        let told = self.hear(written(epoch, 0, seq..=seq));
        assert!(told.iter().any(|told| matches!(told, Told::Answer(_, Answer::Appended(Ok(_))))), "{told:?}");
    }
}

pub(super) fn topic() -> Topic {
    "r:c".parse().expect("a topic")
}

pub(super) fn settings() -> LogSettings {
    LogSettings { messages_max: 100_000, age_ms_max: 3_600_000, bytes_max: 1 << 30, dedup_ms: 120_000, dedup_entries_max: 100_000 }
}

pub(super) fn ends(epoch: u64, start: u64, head: u64) -> Ends {
    Ends { epoch, start, head, first: u64::from(head > 0), bytes: head * 100 }
}

pub(super) fn opened(ends: Ends) -> News {
    News::Opened(topic(), Ok(ends))
}

pub(super) fn written(epoch: u64, start: u64, seqs: std::ops::RangeInclusive<u64>) -> News {
    News::Appended(vec![Ok(Written { epoch, start, outcomes: seqs.map(Outcome::Stored).collect() })])
}

/// Redis is away.
pub(super) fn away() -> Failure {
    Failure { sure: false, outage: true, why: "away".into() }
}
