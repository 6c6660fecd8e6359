//! The ArqonBus server: rooms and channels over WebSocket.

pub mod admin;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod storage;
pub mod telemetry;
