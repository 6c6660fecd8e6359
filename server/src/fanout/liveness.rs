//! Connections that say nothing, take nothing, or do not finish closing.

use arqonbus_protocol::CloseCode;

use super::Edge;
use super::connection::Sink;
use crate::slots::Key;
use crate::transport::frame::Opcode;

/// Milliseconds that a peer has to take our close frame and close its side.
const LINGER_MS: u64 = 2_000;

/// What a look at one connection calls for.
enum Call {
    Nothing,
    Ping,
    Close(CloseCode),
    /// It is slow: it took nothing for too long.
    Slow,
    Cut,
}

impl Edge {
    /// Looks at every connection once.
    pub(crate) fn check_liveness(&mut self) {
        for key in self.connections.keys() {
            // A page that could not be given the last time.
            self.ask_page(key);
            match self.look(key) {
                Call::Nothing => {}
                Call::Ping => {
                    if let Some(conn) = self.connections.get_mut(key) {
                        conn.pinged = true;
                    }
                    self.control(key, Opcode::Ping, b"");
                }
                Call::Close(code) => self.close(key, code),
                Call::Slow => self.close_slow(key),
                Call::Cut => self.cut(key),
            }
        }
    }

    fn look(&self, key: Key) -> Call {
        let Some(conn) = self.connections.get(key) else { return Call::Nothing };
        if matches!(conn.sink, Sink::Http(_)) {
            return Call::Nothing;
        }
        let heartbeat_ms = self.shared.config.heartbeat_ms;
        let silent_ms = self.now.since(conn.last_heard);
        if let Some(closing) = conn.closing {
            // A slow reader may still come round to its close frame.
            let patience_ms = if conn.outbox.is_empty() { LINGER_MS } else { self.shared.config.limits.outbox_age_ms };
            return if self.now.since(closing.since) > patience_ms { Call::Cut } else { Call::Nothing };
        }
        if conn.outbox.blocked_since.is_some_and(|since| self.now.since(since) > self.shared.config.limits.outbox_age_ms) {
            return Call::Slow;
        }
        match silent_ms {
            // A sweep may be the first to look for longer than that: nobody is closed who was not asked.
            silent if silent > 2 * heartbeat_ms && conn.pinged => Call::Close(CloseCode::NoPong),
            silent if silent >= heartbeat_ms && !conn.pinged => Call::Ping,
            _ => Call::Nothing,
        }
    }

    /// Gives up on a connection; its task ends it.
    pub(crate) fn cut(&mut self, key: Key) {
        if let Some(conn) = self.connections.get_mut(key) {
            conn.cut = true;
            conn.wake();
        }
    }

    /// Queues a control frame.
    pub(crate) fn control(&mut self, key: Key, opcode: Opcode, payload: &[u8]) {
        if let Some(conn) = self.connections.get_mut(key) {
            conn.push_control(opcode, payload);
            self.touched(key);
        }
    }
}
