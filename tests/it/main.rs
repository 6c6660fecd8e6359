//! Behaviours of the whole bus, over real sockets. A test named `gNN_…` falsifies the promise of that number in `docs/guarantees.md`.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail their tests by panicking")]

mod batch;
mod client;
mod clock;
mod commands;
mod connect;
mod create;
mod dedup;
mod drain;
mod exclude_sender;
mod faults;
mod groups;
mod heartbeat;
mod history;
mod hostile;
mod http;
mod limits;
mod listings;
mod order;
mod patterns;
mod presence;
mod private;
mod request_reply;
mod resume;
mod rooms;
mod slow_reader;
mod telemetry;
