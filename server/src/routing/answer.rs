//! The way out of a home: deliveries by shard, and the few shapes of an answer.

use arqonbus_protocol::{ErrorCode, PublishResult, Refusal, encode_ok, encode_refused};
use bytes::Bytes;
use serde::Serialize;

use super::{Asked, ConnId};
use crate::fanout::{Delivery, Part};
use crate::storage::StoreError;

/// Deliveries that wait to be carried to their shards.
#[derive(Debug)]
pub(crate) struct Egress {
    to: Vec<Vec<Delivery>>,
    shards: usize,
}

impl Egress {
    /// To so many shards, and on `ways` ways: one more where there are other nodes.
    pub(crate) fn new(shards: usize, ways: usize) -> Self {
        Self { to: (0..ways).map(|_| Vec::new()).collect(), shards }
    }

    pub(crate) fn push(&mut self, shard: u16, delivery: Delivery) {
        self.to[usize::from(shard)].push(delivery);
    }

    /// The same to every shard.
    pub(crate) fn push_all(&mut self, delivery: impl Fn(u16) -> Delivery) {
        for (shard, queue) in (0..).zip(&mut self.to[..self.shards]) {
            queue.push(delivery(shard));
        }
    }

    /// One envelope to one connection.
    pub(crate) fn send(&mut self, conn: ConnId, body: impl Into<Bytes>) {
        self.push(conn.shard, Delivery::To { conn: conn.key, body: body.into() });
    }

    /// Answers a request that was carried out.
    pub(crate) fn ok(&mut self, asked: &Asked, result: &impl Serialize) {
        self.send(asked.conn, encode_ok(&asked.request_id, result));
    }

    /// Answers a publish that was carried out.
    pub(crate) fn acked(&mut self, asked: &Asked, result: PublishResult) {
        self.push(asked.conn.shard, Delivery::Acked { conn: asked.conn.key, request_id: asked.request_id, result });
    }

    /// Answers a request that was not.
    pub(crate) fn refuse(&mut self, asked: &Asked, refusal: &Refusal) {
        self.send(asked.conn, encode_refused(&asked.request_id, refusal));
    }

    /// Answers this shard's part of a question to all.
    pub(crate) fn part(&mut self, conn: ConnId, gather: u32, part: Part) {
        self.push(conn.shard, Delivery::Part { conn: conn.key, gather, part });
    }

    /// Takes what waits for `shard`.
    pub(crate) fn take(&mut self, shard: u16) -> Vec<Delivery> {
        std::mem::take(&mut self.to[usize::from(shard)])
    }
}

impl StoreError {
    /// The same on the wire.
    pub(crate) fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Unavailable(_) => ErrorCode::StorageUnavailable,
            Self::Unknown(_) => ErrorCode::OutcomeUnknown,
            Self::Full => ErrorCode::Overloaded,
        };
        Refusal::new(code, self.to_string())
    }
}
