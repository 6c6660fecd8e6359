//! A memory store that answers late, and breaks promises where it is told to.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};

use arqonbus_protocol::{ClientId, Durability, StorageStatus, Topic};

use super::{Rng, Sabotage};
use crate::clock::Moment;
use crate::clock::manual::ManualClock;
use crate::storage::{
    Answer, Appended, Claimed, Entry, Fingerprint, Forgetting, Freed, GroupAnswer, GroupBegin, GroupId, GroupOpened, GroupSettings, GroupStore,
    Holder, Jobs, LogSettings, LogState, MemoryStore, Outcome, Page, Progress, ReadRange, Settled, Store, StoreCounters, Ticket, Told, Want, Whose,
};

/// Answers that are on their way, each with its moment. The appends of one topic keep their order, and what is asked about its groups keeps its own.
#[derive(Debug, Default)]
pub(super) struct Late {
    answers: VecDeque<Coming>,
    /// Topics whose questions are answered only once they are let go.
    pub(super) stuck: HashSet<Topic>,
    held: Vec<(Topic, Ticket, Answer)>,
}

#[derive(Debug)]
struct Coming {
    topic: Topic,
    due: Moment,
    ticket: Ticket,
    answer: Answer,
}

impl Late {
    /// When the first answer is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.answers.iter().map(|coming| coming.due).min()
    }

    /// When the last append of `topic` is answered, or the last question about its groups.
    fn last(&self, topic: &Topic, is_of_kind: fn(&Answer) -> bool) -> Option<Moment> {
        let mut of_kind = self.answers.iter().filter(|coming| coming.topic == *topic && is_of_kind(&coming.answer));
        of_kind.next_back().map(|coming| coming.due)
    }

    /// Lets the questions of `topic` be answered.
    pub(super) fn unstick(&mut self, topic: &Topic, now: Moment) {
        self.stuck.remove(topic);
        let (freed, held) = std::mem::take(&mut self.held).into_iter().partition(|(stuck, ..)| stuck == topic);
        self.held = held;
        self.answers.extend(Vec::into_iter(freed).map(|(topic, ticket, answer)| Coming { topic, due: now, ticket, answer }));
    }
}

/// The store of a simulated shard.
pub(super) struct LateStore {
    inner: MemoryStore,
    late: Rc<RefCell<Late>>,
    clock: ManualClock,
    rng: Rng,
    delay_ms_max: u64,
    sabotage: Option<Sabotage>,
    appends: u64,
}

impl LateStore {
    pub(super) fn new(inner: MemoryStore, clock: ManualClock, rng: Rng, delay_ms_max: u64, sabotage: Option<Sabotage>) -> (Self, Rc<RefCell<Late>>) {
        let late = Rc::new(RefCell::new(Late::default()));
        (Self { inner, late: Rc::clone(&late), clock, rng, delay_ms_max, sabotage, appends: 0 }, late)
    }

    /// Gives an answer now or later.
    fn answer<T>(
        &mut self,
        topic: &Topic,
        ticket: Ticket,
        progress: Progress<T>,
        wrap: impl FnOnce(Result<T, crate::storage::StoreError>) -> Answer,
    ) -> Progress<T> {
        let Progress::Done(result) = progress else { return progress };
        let mut late = self.late.borrow_mut();
        if late.stuck.contains(topic) {
            late.held.push((*topic, ticket, wrap(result)));
            return Progress::Later;
        }
        let delay_ms = if self.delay_ms_max == 0 { 0 } else { self.rng.below(self.delay_ms_max + 1) };
        let is_append: fn(&Answer) -> bool = |answer| matches!(answer, Answer::Appended(_));
        let is_about_groups: fn(&Answer) -> bool = |answer| matches!(answer, Answer::Group(_));
        if delay_ms == 0 && late.last(topic, is_append).is_none() && late.last(topic, is_about_groups).is_none() {
            return Progress::Done(result);
        }
        let (mut due, answer) = (self.clock.now().plus_ms(delay_ms), wrap(result));
        for ordered in [is_append, is_about_groups].into_iter().filter(|is_of_kind| is_of_kind(&answer)) {
            due = due.max(late.last(topic, ordered).unwrap_or_default());
        }
        late.answers.push_back(Coming { topic: *topic, due, ticket, answer });
        Progress::Later
    }

    /// Says where an entry would go without putting it there.
    fn pretend(&mut self, topic: &Topic, entry: &Entry, now: Moment, ticket: Ticket) -> Progress<Appended> {
        let nothing = ReadRange { since: None, until: None, limit: 0, bytes_max: 0, direction: arqonbus_protocol::Direction::Forward };
        match self.inner.read(topic, &nothing, now, ticket) {
            Progress::Done(read) => Progress::Done(read.map(|page| {
                let position = page.state.head.next();
                Appended::Stored { position, body: entry.clone().place(&position) }
            })),
            Progress::Later => Progress::Later,
        }
    }
}

impl LateStore {
    /// What a working store says of a group, now or later.
    fn group<T>(
        &mut self,
        of: &GroupId,
        ticket: Ticket,
        wrap: fn(T) -> GroupAnswer,
        ask: impl FnOnce(&mut MemoryStore) -> Progress<T>,
    ) -> Progress<T> {
        let answer = ask(&mut self.inner);
        self.answer(&of.topic, ticket, answer, |result| Answer::Group(result.map(wrap)))
    }
}

impl GroupStore for LateStore {
    fn open_group(&mut self, of: &GroupId, begin: GroupBegin, settings: &GroupSettings, now: Moment, ticket: Ticket) -> Progress<GroupOpened> {
        self.group(of, ticket, GroupAnswer::Opened, |inner| inner.open_group(of, begin, settings, now, ticket))
    }

    fn claim(&mut self, of: &GroupId, holder: Holder, want: Want, now: Moment, ticket: Ticket) -> Progress<Claimed> {
        self.group(of, ticket, GroupAnswer::Claimed, |inner| inner.claim(of, holder, want, now, ticket))
    }

    fn settle(&mut self, of: &GroupId, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, now: Moment, ticket: Ticket) -> Progress<Settled> {
        let forgetful = self.sabotage == Some(Sabotage::ForgetAcks) && *outcome == Outcome::Done;
        let again = Outcome::Again { delay_ms: 0, reason: None };
        let outcome = if forgetful { &again } else { outcome };
        self.group(of, ticket, GroupAnswer::Settled, |inner| inner.settle(of, holder, jobs, outcome, now, ticket))
    }

    fn free(&mut self, of: &GroupId, whose: Whose, now: Moment, ticket: Ticket) -> Progress<Freed> {
        let lost = self.sabotage == Some(Sabotage::LoseJobsOfTheDead);
        self.group(of, ticket, GroupAnswer::Freed, |inner| {
            let freed = inner.free(of, whose, now, ticket);
            if let (true, Whose::Of(_), Progress::Done(Ok(freed))) = (lost, whose, &freed) {
                // Nobody holds them any more, and nobody gets them: as if they had been done.
                let seqs: Vec<u64> = freed.held.iter().map(|(_, seq)| *seq).collect();
                let thief = Holder(1);
                let _ = inner.claim(of, thief, Want { jobs: seqs.len(), bytes: u64::MAX }, now, ticket);
                let _ = inner.settle(of, thief, Jobs { epoch: freed.state.cursor.epoch, seqs: &seqs }, &Outcome::Done, now, ticket);
            }
            freed
        })
    }

    fn forget_group(&mut self, of: &GroupId, ticket: Ticket) -> Progress<Forgetting> {
        self.group(of, ticket, GroupAnswer::Forgotten, |inner| inner.forget_group(of, ticket))
    }
}

impl Store for LateStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn durability(&self, settings: &LogSettings) -> Durability {
        self.inner.durability(settings)
    }

    fn open(&mut self, topic: &Topic, settings: &LogSettings, now: Moment, ticket: Ticket) -> Progress<LogState> {
        let opened = self.inner.open(topic, settings, now, ticket);
        self.answer(topic, ticket, opened, Answer::Opened)
    }

    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment, ticket: Ticket) -> Progress<Appended> {
        self.appends += 1;
        let fingerprint = fingerprint.filter(|_| self.sabotage != Some(Sabotage::ForgetDedup));
        let appended = if self.sabotage == Some(Sabotage::AckBeforeStore) && self.appends.is_multiple_of(4) {
            self.pretend(topic, &entry, now, ticket)
        } else {
            self.inner.append(topic, entry, fingerprint, now, ticket)
        };
        self.answer(topic, ticket, appended, Answer::Appended)
    }

    fn read(&mut self, topic: &Topic, range: &ReadRange, now: Moment, ticket: Ticket) -> Progress<Page> {
        let mut page = self.inner.read(topic, range, now, ticket);
        if let (Some(Sabotage::TrimSilently), Progress::Done(Ok(page))) = (self.sabotage, &mut page) {
            // What is trimmed is said to be there, and left out.
            page.state.first_seq = Some(1);
        }
        self.answer(topic, ticket, page, Answer::Read)
    }

    fn delete(&mut self, topic: &Topic, by: ClientId, ticket: Ticket) -> Progress<()> {
        let deleted = self.inner.delete(topic, by, ticket);
        self.answer(topic, ticket, deleted, Answer::Deleted)
    }

    fn close(&mut self, topic: &Topic) {
        self.inner.close(topic);
    }

    fn groups(&mut self) -> Option<&mut dyn GroupStore> {
        Some(self)
    }

    fn poll_told(&mut self, now: Moment, _cx: &mut Context<'_>) -> Poll<Told> {
        let mut late = self.late.borrow_mut();
        let due = late.answers.iter().position(|coming| coming.due <= now);
        match due.and_then(|at| late.answers.remove(at)) {
            Some(Coming { ticket, answer, .. }) => Poll::Ready(Told::Answer(ticket, answer)),
            None => Poll::Pending,
        }
    }

    fn is_forgettable(&mut self, topic: &Topic, now: Moment) -> bool {
        self.inner.is_forgettable(topic, now)
    }

    fn sweep(&mut self, now: Moment) {
        self.inner.sweep(now);
    }

    fn status(&self) -> StorageStatus {
        self.inner.status()
    }

    fn counters(&self) -> StoreCounters {
        self.inner.counters()
    }
}
