//! Where deliveries meet connections: audiences on this shard, and the bytes that they share.

mod audience;
pub(crate) mod connection;
mod delivery;
mod edge;
mod gather;
mod groups;
mod liveness;
mod segment;
mod spread;

pub(crate) use connection::Place;
pub(crate) use delivery::{Delivery, ForeignPart, GroupOpening, Opening, OpeningAsked, Part, StatusPart, Then};
pub(crate) use edge::Edge;
pub(crate) use gather::Gather;
pub(crate) use segment::{Frames, Gathered};
#[cfg(any(test, feature = "sim"))]
pub(crate) use spread::MEMBERS_AT_ONCE;
#[cfg(test)]
pub(crate) use spread::OWED_BYTES_MAX;
