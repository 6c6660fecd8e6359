//! Joining, and reading what was joined.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arqonbus_protocol::{Group, JoinResult, Pattern, Position, TopicPosition, TopicStart, limits};
use futures_util::Stream;
use tokio::sync::oneshot;

use super::driver::Control;
use super::jobs::Jobs;
use super::queue::{Item, Overflow, Queue};
use super::{Client, Error};
use crate::Message;
use crate::core::Joining;

/// Messages that a subscription holds for its application, by default.
pub const QUEUE_MESSAGES: usize = 1_024;
/// Bytes of them.
pub const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Joins when it is awaited; see [`Client::join`].
#[must_use = "a join does nothing until it is awaited"]
pub struct Join<'c> {
    client: &'c Client,
    pattern: Result<Pattern, Error>,
    since: Option<Position>,
    replay: Option<u32>,
    positions: Option<Vec<TopicPosition>>,
    presence: bool,
    capacity: usize,
    overflow: Overflow,
}

impl<'c> Join<'c> {
    pub(crate) fn new(client: &'c Client, pattern: &str) -> Self {
        let pattern = pattern.parse().map_err(Into::into);
        Self { client, pattern, since: None, replay: None, positions: None, presence: false, capacity: QUEUE_MESSAGES, overflow: Overflow::Wait }
    }

    /// Begins after this position; for one topic. What is no longer held is told as a gap.
    pub fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    /// Begins with the last `messages` of each topic.
    pub fn replay(mut self, messages: u32) -> Self {
        self.replay = Some(messages);
        self
    }

    /// Resumes a pattern: what is known of its topics. Those not listed begin with their first held message.
    pub fn positions(mut self, positions: Vec<TopicPosition>) -> Self {
        self.positions = Some(positions);
        self
    }

    /// Sets whether to be told who joins and leaves.
    pub fn presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// Sets how many messages may wait for the application.
    pub fn queue(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// Lets the oldest messages give way when the application is slow, with a gap in their place. By default nothing gives way.
    pub fn conflate(mut self) -> Self {
        self.overflow = Overflow::Conflate;
        self
    }

    /// Joins the work group `name` of this topic instead: its members share the messages, and each is one member's job until it is settled.
    /// `since` and `replay` say where a group begins that does not exist yet; it begins at the head where neither is given.
    ///
    /// ```no_run
    /// # async fn work(client: arqonbus_client::Client) -> Result<(), arqonbus_client::Error> {
    /// let mut jobs = client.join("orders:new").group("workers").await?;
    /// while let Some(job) = jobs.job().await {
    ///     println!("{} (delivery {})", job.message().payload_json(), job.delivery());
    ///     job.ack().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn group(self, name: impl AsRef<str>) -> JoinGroup<'c> {
        JoinGroup { group: name.as_ref().parse().map_err(Into::into), max_in_flight: None, join: self }
    }

    async fn join(self) -> Result<Subscription, Error> {
        let pattern = self.pattern?;
        let (since, replay, positions, presence) = (self.since, self.replay, self.positions, self.presence);
        let joining = Joining { since, replay, positions, presence, ..Joining::new(pattern) };
        let queue = Queue::new(self.capacity, QUEUE_BYTES, self.overflow, self.client.attention.clone());
        // Made before the wait, so that giving up the wait leaves again.
        let mut subscription = Subscription { queue, pattern, start: JoinResult::new(Vec::new(), true), _client: self.client.clone() };
        let (reply, answer) = oneshot::channel();
        self.client.control(Control::Join(joining, Arc::clone(&subscription.queue), reply)).await?;
        subscription.start = self.client.answer(answer).await?;
        Ok(subscription)
    }
}

impl<'c> IntoFuture for Join<'c> {
    type Output = Result<Subscription, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.join())
    }
}

/// Joins a work group when it is awaited; see [`Join::group`].
#[must_use = "a join does nothing until it is awaited"]
pub struct JoinGroup<'c> {
    join: Join<'c>,
    group: Result<Group, Error>,
    max_in_flight: Option<u32>,
}

impl<'c> JoinGroup<'c> {
    /// Sets how many jobs this member may hold unsettled, 1 to 1,000; 16 by default.
    pub fn max_in_flight(mut self, jobs: u32) -> Self {
        self.max_in_flight = Some(jobs);
        self
    }

    async fn join(self) -> Result<Jobs, Error> {
        let Self { join, group, max_in_flight } = self;
        let (client, group) = (join.client, group?);
        let in_flight = max_in_flight.unwrap_or(limits::JOBS_IN_FLIGHT_DEFAULT);
        if !(1..=limits::JOBS_IN_FLIGHT_MAX).contains(&in_flight) {
            return Err(Error::Invalid(format!("max_in_flight is 1 to {}", limits::JOBS_IN_FLIGHT_MAX)));
        }
        let beginning = Joining { since: join.since, replay: join.replay, positions: join.positions, ..Joining::new(join.pattern?) };
        let joining = Joining { presence: join.presence, group: Some(group), max_in_flight, ..beginning };
        // What the server has given is never too much for the queue, but for jobs that came again.
        let capacity = join.capacity.max(2 * in_flight as usize);
        let queue = Queue::new(capacity, QUEUE_BYTES, Overflow::Wait, client.attention.clone());
        let mut jobs = Jobs { queue, group, start: JoinResult::new(Vec::new(), true), client: client.clone() };
        let (reply, answer) = oneshot::channel();
        client.control(Control::Join(joining, Arc::clone(&jobs.queue), reply)).await?;
        jobs.start = client.answer(answer).await?;
        Ok(jobs)
    }
}

impl<'c> IntoFuture for JoinGroup<'c> {
    type Output = Result<Jobs, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.join())
    }
}

/// What comes of one topic or pattern, in order: a [`Stream`] of [`Item`]s. Dropping it leaves.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    pattern: Pattern,
    start: JoinResult,
    /// As long as somebody reads, the connection is wanted.
    _client: Client,
}

impl Subscription {
    /// Waits for the next item; `None` after [`Item::Ended`]. Giving up the wait loses nothing.
    pub async fn recv(&mut self) -> Option<Item> {
        poll_fn(|cx| self.queue.poll_pop(cx)).await
    }

    /// Waits for the next message and passes over everything else, gaps included. `None` when the subscription has ended.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            if let Item::Message(message) = self.recv().await? {
                return Some(message);
            }
        }
    }

    /// What was joined.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Where each topic began when it was joined.
    #[must_use]
    pub fn topics(&self) -> &[TopicStart] {
        &self.start.topics
    }

    /// Whether [`Self::topics`] lists all that matched.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.start.complete
    }
}

impl Stream for Subscription {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.queue.poll_pop(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.leave();
    }
}

/// Private messages and broadcasts: a [`Stream`] of [`Item::Message`], [`Item::Missed`] and at last [`Item::Ended`]. See [`Client::inbox`].
#[derive(Debug)]
pub struct Inbox {
    pub(crate) queue: Arc<Queue>,
    pub(crate) _client: Client,
}

impl Inbox {
    /// Waits for the next item; `None` after [`Item::Ended`]. Giving up the wait loses nothing.
    pub async fn recv(&mut self) -> Option<Item> {
        poll_fn(|cx| self.queue.poll_pop(cx)).await
    }

    /// Waits for the next message and passes over everything else. `None` when the client is closed.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            if let Item::Message(message) = self.recv().await? {
                return Some(message);
            }
        }
    }
}

impl Stream for Inbox {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.queue.poll_pop(cx)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.queue.leave();
    }
}
