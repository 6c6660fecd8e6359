//! `nack`: jobs of a work group are given back, at once, after a while, or as dead.

use arqonbus_protocol::{ErrorCode, NackArgs, Refusal};

use super::ack::once_each;
use super::ask_lane;
use crate::routing::{Asked, GroupOp, LaneOp, Settling};
use crate::session::Context;
use crate::storage::Outcome;

pub(super) fn ask(asked: Asked, args: NackArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    if args.dead && args.delay_ms.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "what is dead does not come back: either delay_ms or dead").at("/args/delay_ms"));
    }
    let topic = args.topic();
    let reason = args.reason.map(String::into_boxed_str);
    let outcome =
        if args.dead { Outcome::Dead { reason } } else { Outcome::Again { delay_ms: u64::from(args.delay_ms.unwrap_or_default()), reason } };
    let settling = Settling { asked, group: args.group, epoch: args.epoch, seqs: once_each(args.seqs), outcome };
    ask_lane(topic, LaneOp::Group(GroupOp::Settle(Box::new(settling))), cx);
    Ok(())
}
