//! The ArqonBus server: rooms and channels over WebSocket.

pub mod admin;
pub mod clock;
pub mod config;
pub mod storage;
pub mod telemetry;
