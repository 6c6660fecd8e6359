//! What waits to go to the socket: orders in sequence, envelopes gathered into batched frames.

use std::collections::VecDeque;

use arqonbus_protocol::limits::BATCH_BYTES_MAX;

use super::Output;

/// Orders to the socket, oldest first. Bounded by the bounds of what the core has in flight.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    orders: VecDeque<Output>,
    /// Whether frames may hold several envelopes.
    batch: bool,
}

impl Wire {
    pub(crate) fn open(&mut self, url: &str) {
        self.orders.push_back(Output::Open { url: url.to_owned() });
    }

    /// Closes after what was written before.
    pub(crate) fn close(&mut self, code: u16) {
        self.batch = false;
        self.orders.push_back(Output::Close { code });
    }

    /// The socket is gone: nothing more can be written to it.
    pub(crate) fn abandon(&mut self) {
        self.batch = false;
        self.orders.clear();
    }

    pub(crate) fn start_batching(&mut self) {
        self.batch = true;
    }

    pub(crate) fn send(&mut self, envelope: &str) {
        match self.orders.back_mut() {
            Some(Output::Transmit(frame)) if self.batch && frame.len() + 1 + envelope.len() <= BATCH_BYTES_MAX => {
                frame.push('\n');
                frame.push_str(envelope);
            }
            Some(_) | None => self.orders.push_back(Output::Transmit(envelope.to_owned())),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.orders.pop_front()
    }
}
