//! Where deliveries meet connections: audiences on this shard, and the bytes that they share.

pub(crate) mod connection;
mod delivery;
mod edge;
mod gather;
mod groups;
mod liveness;
mod segment;

pub(crate) use connection::Place;
pub(crate) use delivery::{Delivery, Opening, OpeningAsked, Part, StatusPart, Then};
pub(crate) use edge::Edge;
pub(crate) use gather::Gather;
