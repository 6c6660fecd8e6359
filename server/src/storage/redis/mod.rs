//! The shared store: how Redis is reached, and what is kept there.

mod backoff;
mod error;
mod facts;
mod feed;
mod link;
mod way;

pub use error::{Code, LinkError, OpenError};
pub use facts::{Advice, Facts, Fsync, ServerFacts};
pub use feed::{Feed, Pushed};
pub use link::{Link, LinkState};
