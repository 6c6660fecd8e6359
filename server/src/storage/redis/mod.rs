//! The shared store: how Redis is reached, and what is kept there.

mod backoff;
mod error;
mod facts;
mod feed;
mod link;
pub(crate) mod store;
mod way;

pub use error::{Code, LinkError, OpenError};
pub use facts::{Advice, Facts, Fsync, ServerFacts};
pub use feed::{Confirmation, Feed, Pushed};
pub use link::{Link, LinkState};
#[cfg(feature = "store-suite")]
pub use store::Trial;
