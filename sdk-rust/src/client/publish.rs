//! Publishing: one message, its options, and the wait for its outcome.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use arqonbus_protocol::{PublishResult, Target, json};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::builder::millis;
use super::driver::Work;
use super::{Client, Error};
use crate::Message;
use crate::core::{Fault, Outgoing, State};

/// The ack of a publish: its place, what it survives, and whether it was stored before.
pub type Ack = PublishResult;

/// A message to send; awaiting it sends it and waits for the ack. See [`Client::publish`].
#[must_use = "a publish does nothing until it is awaited or sent"]
pub struct Publish<'c> {
    client: &'c Client,
    outgoing: Result<Outgoing, Error>,
    headers: serde_json::Map<String, serde_json::Value>,
}

impl<'c> Publish<'c> {
    pub(crate) fn new(client: &'c Client, target: Result<Target, Error>, payload: Result<String, Error>) -> Self {
        let outgoing = target.and_then(|target| Ok(Outgoing::new(target, payload?)));
        Self { client, outgoing, headers: serde_json::Map::new() }
    }

    fn with(mut self, change: impl FnOnce(&mut Outgoing) -> Result<(), Error>) -> Self {
        self.outgoing = self.outgoing.and_then(|mut outgoing| change(&mut outgoing).map(|()| outgoing));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into().into());
        self
    }

    /// Sets the idempotency key: the same id within the server's window is stored once.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.with(|outgoing| {
            outgoing.id = Some(id.as_ref().parse()?);
            Ok(())
        })
    }

    /// Says which message this one answers.
    pub fn correlation_id(self, id: impl AsRef<str>) -> Self {
        self.with(|outgoing| {
            outgoing.correlation_id = Some(id.as_ref().parse()?);
            Ok(())
        })
    }

    /// Leaves this connection out of the delivery.
    pub fn exclude_sender(self) -> Self {
        self.with(|outgoing| {
            outgoing.exclude_sender = true;
            Ok(())
        })
    }

    /// Sets the time after which the outcome is given up.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|outgoing| {
            outgoing.timeout_ms = Some(millis(timeout));
            Ok(())
        })
    }

    /// Hands the message over and does not wait for the ack: many can be in flight, in the order of these calls. Waits only while
    /// the client is at its bound.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Closed`]; nothing was sent then.
    pub async fn send(self) -> Result<Receipt, Error> {
        let client = self.client;
        let (reply, answer) = oneshot::channel();
        client.work(Work::Publish(self.finish()?, reply)).await?;
        Ok(Receipt { answer, client: client.clone() })
    }

    /// Sends without asking for an ack. While there is no connection it waits in the bounded queue of publishes. A refusal is told
    /// by [`Client::refusals`].
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Closed`]; nothing was sent then.
    pub async fn nowait(self) -> Result<(), Error> {
        let client = self.client;
        client.work(Work::Nowait(self.finish()?)).await
    }

    /// As [`Self::nowait`], but [`Error::NotSent`] while there is no connection.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NotSent`] or [`Error::Closed`]; nothing was sent then.
    pub async fn nowait_if_connected(self) -> Result<(), Error> {
        if self.client.state() != State::Connected {
            return Err(Error::NotSent);
        }
        self.nowait().await
    }

    pub(crate) async fn request(self) -> Result<Message, Error> {
        let client = self.client;
        let (reply, answer) = oneshot::channel();
        client.work(Work::Request(self.finish()?, reply)).await?;
        client.answer(answer).await
    }

    fn finish(self) -> Result<Outgoing, Error> {
        let mut outgoing = self.outgoing?;
        if !self.headers.is_empty() {
            outgoing.headers = Some(serde_json::to_string(&self.headers).map_err(|error| Error::Invalid(error.to_string()))?);
        }
        Ok(outgoing)
    }
}

impl<'c> IntoFuture for Publish<'c> {
    type Output = Result<Ack, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await?.await })
    }
}

/// A publish that was handed over; awaiting it gives the outcome.
#[derive(Debug)]
#[must_use = "without waiting for it the outcome is not known"]
pub struct Receipt {
    answer: oneshot::Receiver<Result<PublishResult, Error>>,
    client: Client,
}

impl Future for Receipt {
    type Output = Result<Ack, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A driver that is gone without an answer was torn down with its runtime: what it had sent is not known.
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(self.client.unanswered())))
    }
}

/// A request; awaiting it gives the reply. See [`Client::request`].
#[must_use = "a request does nothing until it is awaited"]
pub struct Request<'c>(pub(crate) Publish<'c>);

impl<'c> Request<'c> {
    /// Adds a header.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sets how long to wait for the reply.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self(self.0.timeout(timeout))
    }
}

impl<'c> IntoFuture for Request<'c> {
    type Output = Result<Message, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.request())
    }
}

/// Renders a value as the payload of a message.
pub(crate) fn payload<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Invalid(format!("the payload cannot be written as JSON: {error}")))
}

/// Takes JSON text as a payload, where the server would.
pub(crate) fn raw_payload(text: &str) -> Result<String, Error> {
    let depth_max = arqonbus_protocol::limits::DEPTH_MAX - 1;
    let raw = json::RawJson::new(text, depth_max).map_err(|fault| Error::Invalid(format!("the payload is not JSON: {fault}")))?;
    if raw.as_str().contains(['\n', '\r']) {
        // Line breaks separate envelopes; outside of strings they mean nothing.
        return Ok(raw.as_str().replace(['\n', '\r'], " "));
    }
    Ok(raw.as_str().to_owned())
}

impl Client {
    /// What a call learns when the driver is gone.
    pub(crate) fn unanswered(&self) -> Error {
        match self.shared.fault.get() {
            Some(Fault::Closed) | None => Error::Unknown,
            Some(fault) => Error::Closed(fault.clone()),
        }
    }
}
