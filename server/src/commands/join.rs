//! `join_channel`: receive a topic's messages, or those of all topics that match a pattern.

use arqonbus_protocol::{ErrorCode, JoinArgs, Refusal, Topic};

use super::{Aggregate, ask_lane};
use crate::routing::{Asked, JoinOp, LaneOp};
use crate::session::{Context, Session, Step};

pub(super) fn ask(session: &mut Session, asked: Asked, args: JoinArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    cx.refuse_while_draining()?;
    match args.pattern().as_topic() {
        Some(topic) => ask_topic(topic, asked, &args, cx),
        None => ask_pattern(session, asked, args, cx),
    }
}

fn ask_topic(topic: Topic, asked: Asked, args: &JoinArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    if args.positions.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "one topic takes since; positions are for patterns").at("/args/positions"));
    }
    if args.since.is_some() && args.replay.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "either since or replay").at("/args/replay"));
    }
    let join = JoinOp { asked, since: args.since, replay: args.replay, presence: args.presence, pattern: None };
    ask_lane(topic, LaneOp::Join(Box::new(join)), cx);
    Ok(())
}

fn ask_pattern(session: &mut Session, asked: Asked, args: JoinArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    if args.since.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "a pattern takes positions; since is for one topic").at("/args/since"));
    }
    let pattern = args.pattern();
    if session.patterns.contains(&pattern) {
        // A second join replaces the first.
        super::leave::ask_pattern(session, &pattern, cx);
    }
    session.patterns.push(pattern);
    cx.steps.push(Step::AskAll(asked, Aggregate::JoinPattern(Box::new(args))));
    Ok(())
}

/// The refusal of one join too many.
pub(crate) fn limit_reached(joins: usize) -> Refusal {
    Refusal::new(ErrorCode::LimitExceeded, format!("a client may be joined to {joins} topics and patterns"))
}
