//! `leave_channel`: nothing of it is delivered after the answer.

use arqonbus_protocol::{ErrorCode, LeaveArgs, LeaveResult, Pattern, Refusal, encode_ok};

use super::{Aggregate, ask_lane};
use crate::fanout::Delivery;
use crate::routing::{Asked, GroupLeave, GroupOp, Home, LaneOp, Op, Way};
use crate::session::{Context, Session, Step};
use crate::slots::Key;

pub(super) fn ask(session: &mut Session, asked: Asked, args: &LeaveArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    let pattern = args.pattern();
    if let Some(topic) = pattern.as_topic() {
        let op = match args.group {
            Some(group) => LaneOp::Group(GroupOp::Leave(Box::new(GroupLeave { asked, group }))),
            None => LaneOp::Leave { asked },
        };
        ask_lane(topic, op, cx);
        return Ok(());
    }
    if args.group.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "a group belongs to one topic").at("/args/group"));
    }
    if !session.patterns.contains(&pattern) {
        return Err(not_joined());
    }
    session.patterns.retain(|joined| *joined != pattern);
    cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::LeavePattern(pattern)))));
    Ok(())
}

/// Leaves a pattern everywhere, to join it anew.
pub(super) fn ask_pattern(session: &mut Session, pattern: &Pattern, cx: &mut Context<'_>) {
    session.patterns.retain(|joined| joined != pattern);
    for shard in 0..cx.shared.shard_ids() {
        cx.steps.push(Step::Ask(shard, Op::LeavePattern { conn: session.conn, pattern: *pattern, gather: None }));
    }
}

/// The refusal to leave what was not joined.
pub(crate) fn not_joined() -> Refusal {
    Refusal::new(ErrorCode::NotJoined, "this client is not joined to it")
}

impl Home {
    pub(crate) fn leave(&mut self, key: Key, asked: &Asked) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let (id, topic) = (lane.id, lane.topic);
        let Some(member) = lane.members.get(&asked.conn).filter(|member| member.exact) else {
            return self.refuse(asked, Some(topic), &not_joined());
        };
        let by_pattern = member.patterns > 0;
        self.close_way(key, asked.conn, Way::Name);
        if by_pattern {
            return self.egress.ok(asked, &LeaveResult {});
        }
        let reply = Some(encode_ok(&asked.request_id, &LeaveResult {}).into());
        self.egress.push(asked.conn.shard, Delivery::Exit { lane: id, conn: asked.conn.key, reply });
    }
}
