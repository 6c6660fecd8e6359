//! What passes between a shard's half of the store and the tasks that talk to Redis: questions one way, answers and news the other.

use arqonbus_protocol::{ClientId, Topic};
use tokio::sync::mpsc;

use super::group_script::{Answers, GroupPart};
use super::notice::Notice;
use super::script::{Ends, Found, Look, Part, Written};
use crate::storage::{ReadRange, Ticket};

/// Questions of one shard that may wait for the tasks.
const JOBS_MAX: usize = 256;
/// Answers and news that may wait for a shard.
const NEWS_MAX: usize = 1_024;

/// A question to Redis.
#[derive(Debug)]
pub(super) enum Job {
    /// Enter the log into the catalogue, then look at it.
    Open(Look),
    /// Follow the log's feed, then look at it.
    Follow(Look),
    /// Append; one such question at a time.
    Append(Vec<Part>),
    /// Ask about work groups; one such question at a time.
    Groups(Vec<GroupPart>),
    /// Read for whoever asked under the ticket.
    Read(Ticket, Look, ReadRange),
    /// Read what is missing after a seq.
    Fill(Look, ReadRange),
    /// Look at logs.
    Heads(Vec<Look>),
    /// Look at all logs; one such question at a time.
    AllHeads(Vec<Look>),
    /// Delete a log for somebody.
    Delete(Ticket, Topic, ClientId),
    /// Enter logs into the catalogue again.
    Enter(Vec<Look>),
    /// Follow a feed no more.
    Unfollow(Topic),
    /// Say [`News::Awake`] in so many milliseconds.
    Wake(u64),
    /// See whether Redis is there: say [`News::Down`] and, once it is, [`News::Up`].
    Probe,
}

/// An answer, or what happened.
#[derive(Debug)]
pub(super) enum News {
    Opened(Topic, Result<Ends, Failure>),
    Followed(Topic, Result<Followed, Failure>),
    /// In the order of the parts.
    Appended(Vec<Result<Written, Failure>>),
    /// In the order of the parts.
    Groups(Vec<Result<Answers, Failure>>),
    Read(Ticket, Topic, ReadRange, Result<Found, Failure>),
    Filled(Topic, Result<Found, Failure>),
    Heads(Vec<(Topic, Ends)>),
    AllHeads(Vec<(Topic, Ends)>),
    Deleted(Ticket, Topic, Result<(), Failure>),
    Noticed(Topic, Notice),
    /// Notices may have been lost.
    Interrupted,
    /// Redis is out of reach, or takes nothing.
    Down,
    /// Redis takes what it is asked to keep.
    Up,
    Awake,
}

/// A log that was looked at once its feed was followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) ends: Ends,
    /// Whether Redis has confirmed it.
    pub(super) confirmed: bool,
}

/// Why Redis did not do something.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Whether it certainly did not.
    pub(super) sure: bool,
    /// Whether it would do nothing else either.
    pub(super) outage: bool,
    pub(super) why: String,
}

/// A shard's end.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) news: mpsc::Receiver<News>,
}

/// The tasks' end.
pub(super) struct Counter {
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) news: mpsc::Sender<News>,
}

impl Desk {
    pub(super) fn new() -> (Self, Counter) {
        let (jobs, jobs_end) = mpsc::channel(JOBS_MAX);
        let (news, news_end) = mpsc::channel(NEWS_MAX);
        (Self { jobs, news: news_end }, Counter { jobs: jobs_end, news })
    }
}
