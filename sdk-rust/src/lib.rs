//! The ArqonBus client: a core without I/O, and a tokio driver over it.
//!
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn quick_start() -> Result<(), Box<dyn std::error::Error>> {
//! use arqonbus_client::{Client, Item};
//!
//! let client = Client::connect("ws://127.0.0.1:9100").await?;
//! let mut topic = client.join("science:explore").replay(10).await?;
//! let ack = client.publish("science:explore", &"hi").await?;
//! println!("stored: {}", ack.durability.as_str());
//! while let Some(item) = topic.recv().await {
//!     match item {
//!         Item::Message(message) => println!("{}", message.payload::<String>()?),
//!         Item::Gap { gap, .. } => println!("messages are missing: {}", gap.reason.as_str()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - A [`Client`] connects again by itself, rejoins from its positions, and resends what is unacknowledged in order under the same ids.
//! - A [`Subscription`] gives each message once and in order, or an [`Item::Gap`] before the first message after a hole. Never neither.
//! - The outcome of a publish is an [`Ack`], [`Error::Rejected`] (certainly not stored), [`Error::NotSent`] (the same, nobody was asked) or
//!   [`Error::Unknown`]. `Unknown` is never told as `Rejected`.
//! - Nothing is unbounded: a slow reader makes the connection wait ([`Overflow::Wait`]) or lets old messages give way and says so
//!   ([`Overflow::Conflate`]); publishers wait while too much is in flight.
//!
//! # Features
//! `tokio` (default): [`Client`] on tokio and tokio-tungstenite. `tls` (default): `wss://` by rustls. Without features only [`core`] is built,
//! also for `wasm32-unknown-unknown`.

#[cfg(feature = "tokio")]
mod client;
pub mod core;
mod message;

pub use arqonbus_protocol as protocol;
#[cfg(feature = "tokio")]
pub use client::*;
pub use core::{EndReason, Fault, State};
pub use message::Message;
