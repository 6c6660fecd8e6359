//! Where topics' logs are kept. One trait, one conformance suite, every store passes it.
//!
//! A store gives each entry its position. It may answer at once, or later under the [`Ticket`] of the question: a lane waits for its
//! own answers, and only for those. A store that other nodes write to as well also tells of what nobody here asked for.

mod budget;
mod dedup;
mod entry;
mod groups;
mod log;
mod memory;
pub mod redis;
mod resume;
mod ring;
#[cfg(any(test, feature = "store-suite"))]
pub mod suite;

use std::task::{Context, Poll};

use arqonbus_protocol::{ClientId, Direction, Durability, Epoch, GapReason, Group, Position, StorageState, StorageStatus, Timestamp, Topic};
use bytes::Bytes;

pub use budget::{Budget, StoreCounters};
pub use dedup::{DedupWindow, ID_BYTES, Verdict};
pub use entry::Entry;
pub use groups::*;
pub use memory::MemoryStore;
pub use resume::{Resume, replay_start, resume};

use crate::clock::Moment;

/// Names one question to a store; the answer comes back under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// An answer, or the word that it comes later.
#[derive(Debug)]
pub enum Progress<T> {
    /// Answered.
    Done(Result<T, StoreError>),
    /// Comes as a completion under the question's ticket.
    Later,
}

/// The late answer to one question.
#[derive(Debug)]
pub enum Answer {
    /// To [`Store::open`].
    Opened(Result<LogState, StoreError>),
    /// To [`Store::follow`].
    Followed(Result<(), StoreError>),
    /// To [`Store::append`].
    Appended(Result<Appended, StoreError>),
    /// To [`Store::read`].
    Read(Result<Page, StoreError>),
    /// To [`Store::delete`].
    Deleted(Result<(), StoreError>),
    /// To a question of [`GroupStore`].
    Group(Result<GroupAnswer, StoreError>),
}

/// One thing that a store tells. What it tells of one topic is in the order of the topic's log.
#[derive(Debug)]
pub enum Told {
    /// The late answer to a question.
    Answer(Ticket, Answer),
    /// Another node has appended this.
    Fed {
        /// The log.
        topic: Topic,
        /// Its place: the next after what was told before.
        position: Position,
        /// The delivered envelope, as text.
        body: Bytes,
    },
    /// The log goes on elsewhere: what lies between is not told.
    Moved {
        /// The log.
        topic: Topic,
        /// What subscribers are told; nothing where they miss nothing.
        reason: Option<GapReason>,
        /// What is told next comes after this.
        head: Position,
        /// What acks survive from now on.
        durability: Durability,
    },
    /// Jobs of a group may be there that no answer here has spoken of: another node has given some back, or made room for others.
    Work {
        /// The log.
        topic: Topic,
        /// The group; none for all of the log's.
        group: Option<Group>,
    },
    /// Another node has deleted the log.
    Deleted {
        /// The log, which is closed.
        topic: Topic,
        /// Who deleted it.
        by: ClientId,
    },
}

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Certainly not done; may work later.
    #[error("the store is out of reach: {0}")]
    Unavailable(String),
    /// It may have been done, or not.
    #[error("whether the store has done it is unknown: {0}")]
    Unknown(String),
    /// Certainly not done: the bound on memory is reached and nothing may be given up.
    #[error("the store is full")]
    Full,
}

/// What a topic's log holds and promises; from the first rule that matches the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Messages held; 0 for none.
    pub messages_max: u64,
    /// Milliseconds held.
    pub age_ms_max: u64,
    /// Bytes held, counted as the store counts them; an entry that alone is over it is not held.
    pub bytes_max: u64,
    /// Milliseconds for which an id is remembered.
    pub dedup_ms: u64,
    /// Ids remembered at most.
    pub dedup_entries_max: usize,
}

/// What makes a publish the same as another: hashes of (principal, id) and of the content.
///
/// Clients must not be able to choose them (a cryptographic hash, or a secret key that all nodes of one store share): they could make a
/// store slow, or a message seem sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of principal and id.
    pub key: u128,
    /// Of headers and payload.
    pub content: u64,
}

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Stored, here; `body` is the envelope with its position in it.
    Stored {
        /// Its place.
        position: Position,
        /// The delivered envelope, as text.
        body: Bytes,
    },
    /// It has its place, and is not held: it is over the bounds, or there is no room for it. To be delivered all the same.
    Unheld {
        /// Its place.
        position: Position,
        /// The delivered envelope, as text.
        body: Bytes,
    },
    /// Stored before, there.
    Duplicate {
        /// The first one's place.
        position: Position,
    },
    /// The id was used for another content.
    Conflict,
}

/// The two ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogState {
    /// The last position; seq 0 where nothing was appended in this epoch.
    pub head: Position,
    /// The first seq still held; `None` where nothing is.
    pub first_seq: Option<u64>,
    /// Entries held.
    pub messages: u64,
    /// Bytes held, with what the store needs besides the bodies.
    pub bytes: u64,
}

/// Which entries to read. Bounds are seqs of `epoch`, or times.
#[derive(Debug, Clone, Copy)]
pub struct ReadRange {
    /// Only entries after this.
    pub since: Option<Bound>,
    /// Only entries up to and including this.
    pub until: Option<Bound>,
    /// Entries at most.
    pub limit: usize,
    /// Bytes at most; one entry is given even where it is larger.
    pub bytes_max: usize,
    /// Oldest first, or newest first.
    pub direction: Direction,
}

/// An end of a range, within the log's present epoch.
///
/// A time cuts the log in two, before the first held entry with a later timestamp: `since` takes what follows the cut, `until` what
/// precedes it, both in order of seq. So two ranges that meet at one time share no entry and miss none, also where the wall clock was set
/// back between two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// By place.
    Seq(u64),
    /// By the server's wall clock.
    Time(Timestamp),
}

/// Entries of one read, in the asked direction, and the log's state at the same instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The log's ends.
    pub state: LogState,
    /// Seq and body of each entry.
    pub entries: Vec<(u64, Bytes)>,
    /// Whether the range holds more after these.
    pub more: bool,
}

/// Keeps the logs of topics.
///
/// Every question comes with the present moment, so that a store has no clock of its own. A question about a log that is not open is
/// [`StoreError::Unavailable`]; a lane opens its log first.
pub trait Store {
    /// Its kind, as `status` names it.
    fn kind(&self) -> &'static str;

    /// What an ack for a topic with these settings survives.
    fn durability(&self, settings: &LogSettings) -> Durability;

    /// Opens the topic's log, begun anew where there is none, and keeps to `settings` from now on.
    fn open(&mut self, topic: &Topic, settings: &LogSettings, now: Moment, ticket: Ticket) -> Progress<LogState>;

    /// Begins to tell what other nodes append to an open log: everything after the [`Told::Moved`] that comes before the answer. Until then, and
    /// after [`Store::unfollow`], only this node's own messages are told, and nothing is said of those between them.
    ///
    /// A store that nobody else writes to has nothing to add here.
    fn follow(&mut self, _topic: &Topic, _now: Moment, _ticket: Ticket) -> Progress<()> {
        Progress::Done(Ok(()))
    }

    /// Nobody here wants to be told what other nodes append. Not to be asked while a question about the log is under way, except to append.
    fn unfollow(&mut self, _topic: &Topic, _now: Moment) {}

    /// Appends to an open log, unless `fingerprint` says that it was appended before. Many may be asked at once; those of one topic are answered
    /// in the order in which they were asked.
    fn append(&mut self, topic: &Topic, entry: Entry, fingerprint: Option<Fingerprint>, now: Moment, ticket: Ticket) -> Progress<Appended>;

    /// Reads from an open log.
    fn read(&mut self, topic: &Topic, range: &ReadRange, now: Moment, ticket: Ticket) -> Progress<Page>;

    /// Deletes a log for `by`, with all it holds and remembers; its epoch ends. Does nothing where there is none.
    fn delete(&mut self, topic: &Topic, by: ClientId, ticket: Ticket) -> Progress<()>;

    /// Its work groups; none where it has none to offer.
    fn groups(&mut self) -> Option<&mut dyn GroupStore> {
        None
    }

    /// Gives one late answer, to a question that was [`Progress::Later`], or tells what nobody asked. Where there is nothing yet, the task of
    /// `cx` is woken once there is.
    ///
    /// A store that always answers at once has nothing to add here.
    fn poll_told(&mut self, _now: Moment, _cx: &mut Context<'_>) -> Poll<Told> {
        Poll::Pending
    }

    /// Forgets what is too old. True for a topic whose log may be closed without a loss: nothing held, no id remembered, or both kept
    /// elsewhere.
    fn is_forgettable(&mut self, topic: &Topic, now: Moment) -> bool;

    /// Lets go of a log that is forgettable; the next question about it opens it again.
    fn close(&mut self, topic: &Topic);

    /// Lets go of a log that another node has deleted: nothing of it is to come back.
    fn forget(&mut self, topic: &Topic) {
        self.close(topic);
    }

    /// Gives up expired entries of some logs; called about once a second, does a bounded amount of work.
    fn sweep(&mut self, now: Moment);

    /// What it gave up before its time, since it began.
    fn counters(&self) -> StoreCounters;

    /// How it is, and what it holds.
    fn status(&self) -> StorageStatus;

    /// How it is; cheap enough to be asked after everything that it tells.
    fn state(&self) -> StorageState {
        StorageState::Healthy
    }
}

/// Makes epochs that no other log of this process, nor of another with other `salt`, has had.
#[derive(Debug)]
pub struct Epochs {
    next: u64,
}

impl Epochs {
    /// Starts at 63 random bits, so that two lives of a process, or two shards of one, do not meet.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        Self { next: salt >> 1 }
    }

    /// An epoch that was not given before.
    pub fn begin(&mut self) -> Epoch {
        self.next += 1;
        Epoch::from_number(self.next)
    }
}
