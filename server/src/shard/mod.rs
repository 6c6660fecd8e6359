//! One shard: a thread with some of the connections, some of the lanes, and the tasks that move bytes and values between them.

mod connections;
mod core;
mod courier;
mod flusher;
mod http;
mod thread;

pub(crate) use self::core::Core;
pub(crate) use courier::Wires;
pub(crate) use http::HttpJob;
pub(crate) use thread::{Control, Incoming, Shard, Upgraded, spawn};
