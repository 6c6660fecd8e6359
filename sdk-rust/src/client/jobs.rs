//! Work groups: jobs that one member of many has, until it settles them.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arqonbus_protocol::{Gap, Group, GroupStart, JobHead, JoinResult, Topic, TopicStart};
use futures_util::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::builder::millis;
use super::driver::Control;
use super::queue::{Item, Queue};
use super::{Client, Error};
use crate::Message;
use crate::core::{EndReason, JobRef, Settling};

/// What comes of a work group.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkItem {
    /// A job.
    Job(Job),
    /// What lies between two positions is given to nobody: it was trimmed before the group came to it, or the log began anew. Told before
    /// the next job, to one member.
    Gap {
        /// Of which topic.
        topic: Topic,
        /// What is missing, and why.
        gap: Gap,
    },
    /// So many jobs that this member held, and had said nothing about, went to others: the connection was lost. Settling one of them
    /// gives `not_held`.
    Lost(u64),
    /// The last item: why nothing more comes.
    Ended(EndReason),
}

/// A message in the care of this client. While it is not settled it counts towards the jobs that may be held; what is dropped without a word
/// goes to another member after the server's `ack_timeout_ms`.
#[derive(Debug)]
pub struct Job {
    message: Message,
    group: Group,
    job: JobRef,
    client: Client,
}

impl Job {
    /// What it is about.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The group whose job it is.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The job as the envelope that it came in.
    #[must_use]
    pub fn to_json(&self) -> String {
        let head = JobHead { group: self.group, delivery: self.job.delivery };
        String::from_utf8(head.splice(self.message.to_json().as_bytes())).expect("written from text")
    }

    /// How often it was given out, this time included.
    #[must_use]
    pub fn delivery(&self) -> u32 {
        self.job.delivery
    }

    /// Reads the payload into a type.
    ///
    /// # Errors
    /// Where the payload is not of that type.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.message.payload()
    }

    /// Says that it is done, and waits until the server knows.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `not_held` where the job is another's by now; [`Error::Unknown`] where the connection was lost before the
    /// answer: then it may be given out again.
    pub async fn ack(&self) -> Result<(), Error> {
        self.settle(Settling::Ack).await
    }

    /// Gives it back; awaiting that sends it.
    pub fn nack(&self) -> Nack<'_> {
        Nack { job: self, delay: None, reason: None, dead: false }
    }

    async fn settle(&self, settling: Settling) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.client.control(Control::Settle(self.job, settling, reply)).await?;
        self.client.answer(answer).await
    }
}

/// A job on its way back; see [`Job::nack`]. Without options another member has it at once, or this one again.
#[derive(Debug)]
#[must_use = "a nack does nothing until it is awaited"]
pub struct Nack<'j> {
    job: &'j Job,
    delay: Option<Duration>,
    reason: Option<String>,
    dead: bool,
}

impl<'j> Nack<'j> {
    /// Lets it rest for a while, a day at most; looked at about once a second.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Says why, in up to 256 characters; should it end as a dead letter, its headers say so.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sends it to the dead-letter topic now, whatever the count.
    pub fn dead(mut self) -> Self {
        self.dead = true;
        self
    }
}

impl<'j> IntoFuture for Nack<'j> {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'j>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { job, delay, reason, dead } = self;
        let delay_ms = delay.map(|delay| u32::try_from(millis(delay)).unwrap_or(u32::MAX));
        if dead && delay_ms.is_some() {
            return Box::pin(async { Err(Error::Invalid("what is dead does not come back: either delay or dead".to_owned())) });
        }
        let settling = if dead { Settling::Dead { reason } } else { Settling::Nack { delay_ms, reason } };
        Box::pin(job.settle(settling))
    }
}

/// The jobs of one work group, in the order in which they come: a [`Stream`] of [`WorkItem`]s. Dropping it leaves the group, and what is held goes to
/// others.
#[derive(Debug)]
pub struct Jobs {
    pub(super) queue: Arc<Queue>,
    pub(super) group: Group,
    pub(super) start: JoinResult,
    pub(super) client: Client,
}

impl Jobs {
    /// Waits for the next item; `None` after [`WorkItem::Ended`]. Giving up the wait loses nothing.
    pub async fn recv(&mut self) -> Option<WorkItem> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// Waits for the next job and passes over everything else, gaps included. `None` when the subscription has ended.
    pub async fn job(&mut self) -> Option<Job> {
        loop {
            if let WorkItem::Job(job) = self.recv().await? {
                return Some(job);
            }
        }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Where the group stood when it was joined: new jobs began after `start`.
    #[must_use]
    pub fn topic(&self) -> Option<&TopicStart> {
        self.start.topics.first()
    }

    /// How the group was when it was joined, and what it keeps to.
    #[must_use]
    pub fn start(&self) -> Option<&GroupStart> {
        self.start.group.as_ref()
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<WorkItem>> {
        loop {
            return Poll::Ready(match std::task::ready!(self.queue.poll_pop(cx)) {
                Some(Item::Job { message, job }) => Some(WorkItem::Job(Job { message, group: self.group, job, client: self.client.clone() })),
                Some(Item::Gap { topic, gap }) => Some(WorkItem::Gap { topic, gap }),
                Some(Item::JobsLost(jobs)) => Some(WorkItem::Lost(jobs)),
                Some(Item::Ended(reason)) => Some(WorkItem::Ended(reason)),
                // What ordinary members are told.
                Some(Item::Message(_) | Item::Presence { .. } | Item::Deleted { .. } | Item::Missed(_)) => continue,
                None => None,
            });
        }
    }
}

impl Stream for Jobs {
    type Item = WorkItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WorkItem>> {
        self.poll_item(cx)
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.queue.leave();
    }
}
