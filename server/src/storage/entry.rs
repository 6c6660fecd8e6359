//! A message on its way into a log: an encoded envelope with a hole where its position goes.

use arqonbus_protocol::{Delivery, Position, Timestamp};
use bytes::{Bytes, BytesMut};

/// An envelope encoded without its position, and the place where that belongs.
///
/// It is encoded once, before its position is known; a store that keeps it elsewhere keeps `text` and `hole`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The envelope without `epoch` and `seq`.
    pub text: Bytes,
    /// Where in `text` they go.
    pub hole: usize,
    /// When the server took it.
    pub timestamp: Timestamp,
}

impl Entry {
    /// Encodes `delivery`, whose head has no position yet.
    #[must_use]
    pub fn encode(delivery: &Delivery<'_>) -> Self {
        debug_assert!(delivery.head.position.is_none(), "the store gives the position");
        let mut text = Vec::with_capacity(256 + delivery.payload.as_str().len());
        let hole = delivery.encode_into(&mut text);
        Self { text: text.into(), hole, timestamp: delivery.head.timestamp }
    }

    /// The envelope with `position` in it; made in place where nobody else holds the text.
    #[must_use]
    pub fn place(self, position: &Position) -> Bytes {
        let mut members = Vec::with_capacity(POSITION_BYTES);
        position.encode_into(&mut members);
        let mut body = self.text.try_into_mut().unwrap_or_else(|shared| {
            let mut copy = BytesMut::with_capacity(shared.len() + POSITION_BYTES);
            copy.extend_from_slice(&shared);
            copy
        });
        let end = body.len();
        body.extend_from_slice(&members);
        body.copy_within(self.hole..end, self.hole + members.len());
        body[self.hole..self.hole + members.len()].copy_from_slice(&members);
        body.freeze()
    }
}

/// `,"epoch":"…","seq":…` at its longest.
const POSITION_BYTES: usize = 50;
