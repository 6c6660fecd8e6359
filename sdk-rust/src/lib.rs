//! The ArqonBus client: a core without I/O, and a tokio driver over it.

#[cfg(feature = "tokio")]
mod client;
pub mod core;
mod message;

pub use arqonbus_protocol as protocol;
#[cfg(feature = "tokio")]
pub use client::*;
pub use core::{EndReason, Fault, State};
pub use message::Message;
