//! The ArqonBus server: rooms and channels over WebSocket.

pub mod admin;
mod bus;
mod census;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
mod commands;
pub mod config;
mod fanout;
mod hash;
mod peers;
mod routing;
mod session;
mod shard;
mod shared;
#[cfg(any(test, feature = "sim"))]
#[doc(hidden)]
pub mod sim;
mod slots;
pub mod storage;
pub mod telemetry;
#[doc(hidden)]
pub mod transport;

pub use bus::{Bus, RunError, StartError, run};
