//! One shard: a thread with some of the connections, some of the lanes, and the tasks that move bytes and values between them.

pub(crate) mod connections;
mod core;
pub(crate) mod courier;
pub(crate) mod flusher;
mod http;
mod thread;

pub(crate) use self::core::Core;
pub(crate) use courier::{Way, Wires};
pub(crate) use http::HttpJob;
pub(crate) use thread::{Control, Incoming, Shard, Upgraded, spawn};
