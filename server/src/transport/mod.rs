//! Sockets: accepting them, the handshake, frames in, bytes out.

#[doc(hidden)]
pub mod echo;
pub(crate) mod envelopes;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod listener;
pub(crate) mod outbox;
pub(crate) mod socket;
pub(crate) mod surface;
