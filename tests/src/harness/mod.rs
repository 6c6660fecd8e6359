//! What the tests drive a bus with: servers, raw clients, a proxy that breaks connections, and a clock.

pub mod chaos;
pub mod clock;
pub mod frame;
pub mod http;
pub mod observe;
pub mod peer;
mod process;
pub mod redis;
mod scratch;
mod server;
pub mod socket;
#[cfg(test)]
mod tests;

pub use peer::{Ended, Peer, Start};
pub use process::Process;
pub use scratch::Scratch;
pub use server::{Server, quick};

use std::net::SocketAddr;

/// Where clients connect.
pub trait Reach {
    /// The address.
    fn address(&self) -> SocketAddr;
}

impl Reach for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}
