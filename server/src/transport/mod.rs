//! Sockets: accepting them, the handshake, frames in, bytes out.

pub(crate) mod frame;
pub(crate) mod outbox;
pub(crate) mod socket;
