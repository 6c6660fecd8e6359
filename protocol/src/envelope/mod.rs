//! The envelopes, by direction: what a server decodes, and what a client decodes.

#[cfg(not(target_arch = "wasm32"))]
mod checking;
mod client;
mod fields;
mod server;
#[cfg(test)]
mod tests;
#[cfg(any(test, target_arch = "wasm32"))]
mod trusting;
mod write;

use std::fmt;
use std::str::FromStr;

#[cfg(not(target_arch = "wasm32"))]
use checking as decoding;
#[cfg(target_arch = "wasm32")]
use trusting as decoding;

pub use client::{ClientEnvelope, Publish, Request, encode_command};
pub use server::{
    Delivery, DeliveryHead, ErrorEnvelope, Event, JobHead, Response, ServerEnvelope, encode_acked_into, encode_error, encode_event,
    encode_group_event, encode_history, encode_ok, encode_refused,
};

use crate::{Channel, ClientId, Invalid, MessageId, Refusal, Room, Topic, UserId};

/// A text that is no envelope: why, and the id that an answer can be tied to, where one was readable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Malformed {
    /// The request's id, where it stood before the fault.
    pub id: Option<MessageId>,
    /// What is wrong, and where.
    pub refusal: Refusal,
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every member of one topic, in order.
    Topic(Topic),
    /// The members of any channel of a room, once each.
    Room(Room),
    /// One connection.
    Client(ClientId),
    /// Every connection of a user.
    User(UserId),
    /// Everybody.
    Everyone,
}

impl Target {
    /// The topic's channel, where it is a topic.
    #[must_use]
    pub fn channel(&self) -> Option<Channel> {
        match self {
            Self::Topic(topic) => Some(topic.channel),
            Self::Room(_) | Self::Client(_) | Self::User(_) | Self::Everyone => None,
        }
    }
}

impl From<Topic> for Target {
    fn from(topic: Topic) -> Self {
        Self::Topic(topic)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(topic) => topic.fmt(f),
            Self::Room(room) => room.fmt(f),
            Self::Client(client) => client.fmt(f),
            Self::User(user) => write!(f, "user:{user}"),
            Self::Everyone => f.write_str("*"),
        }
    }
}

/// Reads the text of `to`: a client id, `user:<id>`, or `*`.
pub(crate) fn parse_to(text: &str) -> Result<Target, Invalid> {
    let expected = "to is a client id (c_...), user:<id>, or *";
    match text.strip_prefix("user:") {
        Some(user) => UserId::from_str(user).map(Target::User),
        None if text == "*" => Ok(Target::Everyone),
        None => ClientId::from_str(text).map(Target::Client).map_err(|_| Invalid { expected }),
    }
}
