//! The client for tokio: handles for the application, one task that owns the socket.

mod builder;
mod clock;
mod commands;
mod driver;
mod error;
mod jobs;
mod publish;
mod queue;
mod respond;
mod socket;
mod subscription;
#[cfg(feature = "tls")]
mod tls;

use std::sync::Arc;

use arqonbus_protocol::{ClientId, Refusal, Target, Topic, UserId};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use builder::Builder;
pub use commands::History;
pub use error::Error;
pub use jobs::{Job, Jobs, Nack, WorkItem};
pub use publish::{Ack, Publish, Receipt, Request};
pub use queue::{Item, Overflow};
pub use respond::Responder;
pub use subscription::{Inbox, Join, JoinGroup, QUEUE_BYTES, QUEUE_MESSAGES, Subscription};

use crate::Message;
use crate::core::{Fault, State};
use driver::{Control, Shared, Work};
use queue::Queue;

/// A connection to the bus that repairs itself. Cloning is cheap; clones share the connection, and the last one to go drains it.
#[derive(Debug, Clone)]
pub struct Client {
    work: mpsc::Sender<Work>,
    control: mpsc::Sender<Control>,
    attention: mpsc::Sender<()>,
    shared: Arc<Shared>,
}

/// Who the server says this client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The connection.
    pub client: ClientId,
    /// Whom it acts for.
    pub user: Option<UserId>,
    /// Whether the identity is the one of an earlier connection.
    pub resumed: bool,
}

impl Client {
    /// Connects with the defaults; see [`Client::builder`] for options.
    ///
    /// # Errors
    /// [`Error::Closed`] with the fault where no connection came about.
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// Begins a client for an address such as `ws://127.0.0.1:9100`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// Joins a topic (`science:explore`) or a pattern (`orders:eu.*`); awaiting it gives the [`Subscription`].
    pub fn join(&self, pattern: impl AsRef<str>) -> Join<'_> {
        Join::new(self, pattern.as_ref())
    }

    /// Publishes to a topic; awaiting it gives the [`Ack`].
    pub fn publish<T: Serialize + ?Sized>(&self, topic: impl AsRef<str>, payload: &T) -> Publish<'_> {
        Publish::new(self, parse_topic(topic.as_ref()), publish::payload(payload))
    }

    /// Publishes JSON text as it is.
    pub fn publish_json(&self, topic: impl AsRef<str>, payload: &str) -> Publish<'_> {
        Publish::new(self, parse_topic(topic.as_ref()), publish::raw_payload(payload))
    }

    /// Publishes to a topic without asking for an ack.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Closed`]; nothing was sent then.
    pub async fn publish_nowait<T: Serialize + ?Sized>(&self, topic: impl AsRef<str>, payload: &T) -> Result<(), Error> {
        self.publish(topic, payload).nowait().await
    }

    /// Sends to any target, with JSON text as payload.
    pub fn send_json(&self, target: Target, payload: &str) -> Publish<'_> {
        Publish::new(self, Ok(target), publish::raw_payload(payload))
    }

    /// Sends to one client (`c_…`) or to every connection of a user (`user:<id>`).
    pub fn private<T: Serialize + ?Sized>(&self, to: impl AsRef<str>, payload: &T) -> Publish<'_> {
        Publish::new(self, parse_address(to.as_ref()), publish::payload(payload))
    }

    /// Sends to the members of any channel of a room, once each.
    pub fn broadcast_room<T: Serialize + ?Sized>(&self, room: impl AsRef<str>, payload: &T) -> Publish<'_> {
        Publish::new(self, room.as_ref().parse().map(Target::Room).map_err(Into::into), publish::payload(payload))
    }

    /// Sends to everybody.
    pub fn broadcast_all<T: Serialize + ?Sized>(&self, payload: &T) -> Publish<'_> {
        Publish::new(self, Ok(Target::Everyone), publish::payload(payload))
    }

    /// Sends a request to a topic; awaiting it gives the reply. Refused at once where nobody could answer.
    pub fn request<T: Serialize + ?Sized>(&self, topic: impl AsRef<str>, payload: &T) -> Request<'_> {
        Request(self.publish(topic, payload))
    }

    /// Sends a request to one client (`c_…`) or to every connection of a user (`user:<id>`), whose inbox gets it; the first reply counts.
    /// Refused at once where nobody is there.
    pub fn request_private<T: Serialize + ?Sized>(&self, to: impl AsRef<str>, payload: &T) -> Request<'_> {
        Request(self.private(to, payload))
    }

    /// Sends a request to any target that can answer, with JSON text as payload.
    pub fn request_json_to(&self, target: Target, payload: &str) -> Request<'_> {
        Request(self.send_json(target, payload))
    }

    /// Sends a request with JSON text as payload.
    pub fn request_json(&self, topic: impl AsRef<str>, payload: &str) -> Request<'_> {
        Request(self.publish_json(topic, payload))
    }

    /// Answers a request that was received.
    pub fn reply<T: Serialize + ?Sized>(&self, request: &Message, payload: &T) -> Publish<'_> {
        self.reply_with(request, publish::payload(payload))
    }

    /// Answers a request with JSON text.
    pub fn reply_json(&self, request: &Message, payload: &str) -> Publish<'_> {
        self.reply_with(request, publish::raw_payload(payload))
    }

    fn reply_with(&self, request: &Message, payload: Result<String, Error>) -> Publish<'_> {
        let target = request.reply_to().copied().map(Target::Client).ok_or_else(|| Error::Invalid("the message asks for no answer".to_owned()));
        Publish::new(self, target, payload).correlation_id(request.id().as_str())
    }

    /// Receives what is addressed to this client and not to a topic that it joined: private messages, broadcasts to rooms and to
    /// everybody. What came while there was no inbox comes first. Both then and for a slow reader the oldest messages give way past a
    /// bound, and [`Item::Missed`] says how many.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn inbox(&self) -> Result<Inbox, Error> {
        let queue = Queue::new(QUEUE_MESSAGES, QUEUE_BYTES, Overflow::Conflate, self.attention.clone());
        self.control(Control::Inbox(Arc::clone(&queue))).await?;
        Ok(Inbox { queue, _client: self.clone() })
    }

    /// How the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        *self.shared.state.borrow()
    }

    /// Follows how the connection is.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Who the server says this client is.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.shared.identity.borrow().clone()
    }

    /// Why the connection was lost the last time, for people.
    #[must_use]
    pub fn last_loss(&self) -> Option<String> {
        self.shared.last_loss.borrow().clone()
    }

    /// Why the client is closed for good, where it is.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.shared.fault.get().cloned()
    }

    /// Follows refusals that nobody waits for, such as those of publishes without ack.
    #[must_use]
    pub fn refusals(&self) -> broadcast::Receiver<Refusal> {
        self.shared.refusals.subscribe()
    }

    /// Replaces the credentials, also of the live connection.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn set_token(&self, token: impl Into<String>) -> Result<(), Error> {
        self.control(Control::Token(token.into())).await
    }

    /// Says that the machine has slept or the network changed: looks at once whether the connection lives.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn wake(&self) -> Result<(), Error> {
        self.control(Control::Wake).await
    }

    /// Takes no new work, waits for what is in flight, leaves, and closes.
    pub async fn drain(&self) {
        self.finish(Control::Drain).await;
    }

    /// Closes at once: publishes in flight end as [`Error::Unknown`].
    pub async fn close(&self) {
        self.finish(Control::Close).await;
    }

    /// Waits until the client is closed and its socket has said goodbye: then nothing of it is left.
    pub async fn ended(&self) {
        self.control.closed().await;
    }

    async fn finish(&self, how: Control) {
        let _already_closed = self.control(how).await;
        // The driver lets go of its line when the socket has said goodbye: what was written before has reached the server then.
        self.control.closed().await;
    }

    pub(crate) async fn work(&self, work: Work) -> Result<(), Error> {
        self.work.send(work).await.map_err(|_| self.closed())
    }

    pub(crate) async fn control(&self, control: Control) -> Result<(), Error> {
        self.control.send(control).await.map_err(|_| self.closed())
    }

    pub(crate) async fn answer<T>(&self, answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
        answer.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    fn closed(&self) -> Error {
        Error::Closed(self.fault().unwrap_or(Fault::Closed))
    }
}

fn parse_topic(text: &str) -> Result<Target, Error> {
    Ok(Target::Topic(text.parse::<Topic>()?))
}

fn parse_address(text: &str) -> Result<Target, Error> {
    match text.strip_prefix("user:") {
        Some(user) => Ok(Target::User(user.parse()?)),
        None => Ok(Target::Client(text.parse()?)),
    }
}
