//! A received message: its facts, and its payload as the text that came.

use std::sync::Arc;

use arqonbus_protocol::{ClientId, Delivery, MessageId, Position, RawJson, Target, Timestamp, Topic, UserId};
use serde::de::DeserializeOwned;

/// A message as it was delivered. Cloning is cheap: clones share the text.
#[derive(Debug, Clone)]
pub struct Message(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    head: arqonbus_protocol::DeliveryHead,
    headers: Option<Box<str>>,
    payload: Box<str>,
}

impl Message {
    /// Takes a decoded delivery out of the frame that it came in.
    #[must_use]
    pub fn from_delivery(delivery: &Delivery<'_>) -> Self {
        Self(Arc::new(Inner {
            head: delivery.head,
            headers: delivery.headers.map(|raw| raw.as_str().into()),
            payload: delivery.payload.as_str().into(),
        }))
    }

    /// The sender's idempotency key.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.0.head.id
    }

    /// Where it went.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.0.head.target
    }

    /// The topic, where it went to one.
    #[must_use]
    pub fn topic(&self) -> Option<&Topic> {
        match &self.0.head.target {
            Target::Topic(topic) => Some(topic),
            Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone => None,
        }
    }

    /// Whose connection it came from.
    #[must_use]
    pub fn sender(&self) -> &ClientId {
        &self.0.head.sender
    }

    /// Whom that connection acts for.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.0.head.user.as_ref()
    }

    /// When the server took it.
    #[must_use]
    pub fn timestamp(&self) -> &Timestamp {
        &self.0.head.timestamp
    }

    /// Its place in the topic, where the target keeps an order. Give it to `since` to go on after this message.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.head.position
    }

    /// Where an answer goes, where one is expected.
    #[must_use]
    pub fn reply_to(&self) -> Option<&ClientId> {
        self.0.head.reply_to.as_ref()
    }

    /// The message that this one answers.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&MessageId> {
        self.0.head.correlation_id.as_ref()
    }

    /// One header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().remove(name)
    }

    /// All headers, by name.
    #[must_use]
    pub fn headers(&self) -> std::collections::BTreeMap<String, String> {
        self.0.headers.as_deref().and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
    }

    /// The headers as the JSON text that was sent.
    #[must_use]
    pub fn headers_json(&self) -> Option<&str> {
        self.0.headers.as_deref()
    }

    /// The payload as the JSON text that was sent.
    #[must_use]
    pub fn payload_json(&self) -> &str {
        &self.0.payload
    }

    /// Reads the payload into a type.
    ///
    /// # Errors
    /// Where the payload is not of that type.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0.payload)
    }

    /// The message as the envelope that it came in.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(320 + self.0.payload.len());
        self.encode_into(&mut out);
        arqonbus_protocol::json::written(out)
    }

    /// Appends that envelope to `out`, as UTF-8.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let headers = self.0.headers.as_deref().map(RawJson::from_encoder);
        let delivery = Delivery { head: self.0.head, headers, payload: RawJson::from_encoder(&self.0.payload), job: None };
        delivery.encode_into(out);
    }
}
