//! The harness of stores that always answer at once.

use arqonbus_protocol::{ClientId, Durability, StorageStatus, Topic};

use super::{GroupQuestion, Harness, Keeps};
use crate::clock::Moment;
use crate::storage::{Appended, Entry, Fingerprint, GroupAnswer, LogSettings, LogState, Page, Progress, ReadRange, Store, StoreError, Ticket};

/// A store that answers at once, and moments that pass when told.
#[derive(Debug)]
pub struct Prompt<S> {
    store: S,
    now: Moment,
    asked: u64,
    topics: u64,
    keeps: Keeps,
}

impl<S: Store> Prompt<S> {
    /// Drives `store`, which keeps its logs there.
    pub fn new(store: S, keeps: Keeps) -> Self {
        Self { store, now: Moment(1_000), asked: 0, topics: 0, keeps }
    }

    fn ticket(&mut self) -> Ticket {
        self.asked += 1;
        Ticket(self.asked)
    }
}

fn answer<T>(progress: Progress<T>) -> Result<T, StoreError> {
    match progress {
        Progress::Done(answer) => answer,
        Progress::Later => panic!("the store answers later: it needs a harness of its own"),
    }
}

impl<S: Store> Harness for Prompt<S> {
    fn topic(&mut self) -> Topic {
        self.topics += 1;
        format!("suite:t{}", self.topics).parse().expect("room and channel are names")
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    fn keeps(&self) -> Keeps {
        self.keeps
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        self.store.durability(settings)
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings) -> Result<LogState, StoreError> {
        let ticket = self.ticket();
        answer(self.store.open(topic, settings, self.now, ticket))
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>) -> Result<Appended, StoreError> {
        let ticket = self.ticket();
        answer(self.store.append(topic, entry, fingerprint, self.now, ticket))
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange) -> Result<Page, StoreError> {
        let ticket = self.ticket();
        answer(self.store.read(topic, range, self.now, ticket))
    }

    fn delete(&mut self, topic: &Topic) -> Result<(), StoreError> {
        let ticket = self.ticket();
        answer(self.store.delete(topic, ClientId::node(1), ticket))
    }

    fn group(&mut self, ask: &mut GroupQuestion<'_>) -> Option<Result<GroupAnswer, StoreError>> {
        let (ticket, now) = (self.ticket(), self.now);
        Some(answer(ask(self.store.groups()?, now, ticket)))
    }

    fn close(&mut self, topic: &Topic) {
        self.store.close(topic);
    }

    fn is_forgettable(&mut self, topic: &Topic) -> bool {
        self.store.is_forgettable(topic, self.now)
    }

    fn sweep(&mut self) {
        self.store.sweep(self.now);
    }

    fn status(&self) -> StorageStatus {
        self.store.status()
    }
}
