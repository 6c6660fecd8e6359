//! What a store knows of work groups: which jobs are out, with whom, and how often they were given.
//!
//! The store decides who may have what; who the members are, and how much room each has, is the lane's business. So the same questions
//! fit a store in memory and one that several nodes share.

use arqonbus_protocol::{Gap, Group, Position, Topic};
use bytes::Bytes;

use super::{Progress, Ticket};
use crate::clock::Moment;

/// Names a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId {
    /// Whose messages it shares.
    pub topic: Topic,
    /// Its name there.
    pub group: Group,
}

/// Whoever holds jobs. One that has gone is never named again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub u128);

impl Holder {
    /// The way to the dead-letter topic holds a job while it is published there.
    pub const DEAD_LETTERS: Self = Self(u128::MAX);
}

/// What a group keeps to; given anew with each opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSettings {
    /// Milliseconds for which a job is held unsettled.
    pub ack_timeout_ms: u64,
    /// Times that a job is given out; 0 for no end.
    pub deliveries_max: u32,
    /// Jobs that are pending at most; past it nothing new is given out.
    pub pending_max: usize,
    /// Bytes of their bodies, likewise.
    pub pending_bytes_max: u64,
    /// Milliseconds for which nobody anywhere was a member before it may be forgotten.
    pub forget_ms: u64,
}

/// Where a group that does not exist begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBegin {
    /// After this position, as a subscription resumes.
    Since(Position),
    /// With the last so many messages.
    Replay(u32),
    /// With the next message.
    Head,
}

/// How a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupState {
    /// The last position that was given out for the first time.
    pub cursor: Position,
    /// Jobs that were given out and are not settled.
    pub pending: u64,
    /// When to look for what has been held, or put off, for long enough.
    pub next_due: Option<Moment>,
}

/// The answer to [`GroupStore::open_group`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOpened {
    /// Whether it did not exist.
    pub created: bool,
    /// What a group that begins after a position does not get.
    pub gap: Option<Gap>,
    /// How it stands.
    pub state: GroupState,
}

/// How much one claim may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Jobs; 0 asks for dead ones only, and is told of no gap.
    pub jobs: usize,
    /// Bytes of them; one is given even where it is larger, unless this is 0.
    pub bytes: u64,
}

/// A message in the care of one holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its place in the log.
    pub position: Position,
    /// How often it was given out, this time included.
    pub delivery: u32,
    /// The envelope, as it was appended.
    pub body: Bytes,
}

/// A job that is given out no more; [`Holder::DEAD_LETTERS`] has it until it is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadJob {
    /// The job; `delivery` is how often it was given out in all.
    pub job: Job,
    /// How its last holder failed.
    pub failed: Failed,
}

/// How a job came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Its holder gave it back, and may have said why.
    Nacked(Option<Box<str>>),
    /// It was not settled in time.
    TimedOut,
    /// Its holder is gone.
    MemberLost,
}

/// The answer to [`GroupStore::claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What lies before these jobs and is given to nobody.
    pub gap: Option<Gap>,
    /// In the order in which they are given out.
    pub jobs: Vec<Job>,
    /// Dead ones, to be published elsewhere and then settled.
    pub dead: Vec<DeadJob>,
    /// Whether another claim would get more.
    pub more: bool,
    /// How the group stands.
    pub state: GroupState,
}

/// What its holder says of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// To be given out again, not before so many milliseconds.
    Again {
        /// Milliseconds.
        delay_ms: u64,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// Never to be given out again.
    Dead {
        /// Why.
        reason: Option<Box<str>>,
    },
}

/// The answer to [`GroupStore::settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Seqs that the holder does not hold: nothing was done about them.
    pub not_held: Vec<u64>,
    /// How the group stands.
    pub state: GroupState,
}

/// Which jobs go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// All that this one holds: it is gone.
    Of(Holder),
    /// All that have been held, or put off, for long enough.
    Due,
}

/// The answer to [`GroupStore::free`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freed {
    /// What was held, and by whom.
    pub held: Vec<(Holder, u64)>,
    /// Jobs that holders on other nodes held.
    pub others: u64,
    /// How the group stands.
    pub state: GroupState,
}

/// The late answer to a question about a group.
#[derive(Debug)]
pub enum GroupAnswer {
    /// To [`GroupStore::open_group`].
    Opened(GroupOpened),
    /// To [`GroupStore::claim`].
    Claimed(Claimed),
    /// To [`GroupStore::settle`].
    Settled(Settled),
    /// To [`GroupStore::free`].
    Freed(Freed),
    /// To [`GroupStore::forget_group`].
    Forgotten(bool),
}

/// Keeps the groups of open logs. A late answer comes as [`Answer::Group`](super::Answer::Group), those of one topic in the order of the questions.
///
/// Where other nodes share a group, its members hold jobs that no answer here speaks of, and `next_due` is early enough to find what a node that
/// died has left. What others give back is told by [`Told::Work`](super::Told::Work).
///
/// A question about a group that was not opened is [`StoreError::Unavailable`](super::StoreError::Unavailable). A group ends with its log.
pub trait GroupStore {
    /// Opens a group, begun where there is none, and keeps to `settings` from now on.
    fn open_group(&mut self, of: &GroupId, begin: GroupBegin, settings: &GroupSettings, now: Moment, ticket: Ticket) -> Progress<GroupOpened>;

    /// Gives jobs to `holder`: first what came back, lowest position first, then what is new. Each counts one delivery more.
    fn claim(&mut self, of: &GroupId, holder: Holder, want: Want, now: Moment, ticket: Ticket) -> Progress<Claimed>;

    /// Takes what `holder` says of jobs of `epoch`.
    fn settle(&mut self, of: &GroupId, holder: Holder, jobs: Jobs<'_>, outcome: &Outcome, now: Moment, ticket: Ticket) -> Progress<Settled>;

    /// Takes jobs back, so that others may have them.
    fn free(&mut self, of: &GroupId, whose: Whose, now: Moment, ticket: Ticket) -> Progress<Freed>;

    /// Forgets a group with all that is pending; false where it has members on another node, or had a while ago. Here it is closed either way.
    fn forget_group(&mut self, of: &GroupId, ticket: Ticket) -> Progress<bool>;

    /// Says whether anybody here is a member from now on. A store of one node need not know.
    fn attend(&mut self, _of: &GroupId, _attended: bool) {}
}

/// Names jobs of one group.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'a> {
    /// Their epoch.
    pub epoch: arqonbus_protocol::Epoch,
    /// Their seqs.
    pub seqs: &'a [u64],
}

impl<T> Progress<T> {
    /// The same answer in another shape.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Done(answer) => Progress::Done(answer.map(change)),
            Self::Later => Progress::Later,
        }
    }
}
