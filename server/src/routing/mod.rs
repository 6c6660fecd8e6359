//! Where things are decided in order: lanes, the directory, patterns. One [`Home`] a shard; it takes [`Op`]s and gives [`Delivery`]s.

mod abroad;
mod answer;
mod begin;
mod behind;
mod broadcast;
mod catch_up;
mod directory;
mod elsewhere;
mod fed;
mod groups;
mod home;
mod lane;
mod op;
mod owed;
mod patterns;
mod publish;
mod settled;
mod upkeep;
mod verdict;

pub(crate) use abroad::{Abroad, Foreign, PeerOp, presence};
pub(crate) use answer::Egress;
pub(crate) use groups::{GroupJoin, GroupLeave, GroupOp, LaneGroup, Settling};
pub(crate) use home::Home;
pub(crate) use lane::{Lane, Member, Pending, Way};
pub(crate) use op::{Asked, ConnId, JoinOp, LaneId, LaneOp, Op, PublishOp, ShardId};
pub(crate) use verdict::Verdict;
