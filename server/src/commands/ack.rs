//! `ack`: jobs of a work group are done.

use arqonbus_protocol::{AckArgs, Topic};

use super::ask_lane;
use crate::routing::{Asked, GroupOp, LaneOp, Settling};
use crate::session::Context;
use crate::storage::Outcome;

pub(super) fn ask(asked: Asked, args: AckArgs, cx: &mut Context<'_>) {
    let settling = Settling { asked, group: args.group, epoch: args.epoch, seqs: once_each(args.seqs), outcome: Outcome::Done };
    ask_lane(Topic { room: args.room, channel: args.channel }, LaneOp::Group(GroupOp::Settle(Box::new(settling))), cx);
}

/// The seqs without repetitions.
pub(super) fn once_each(mut seqs: Vec<u64>) -> Vec<u64> {
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}
