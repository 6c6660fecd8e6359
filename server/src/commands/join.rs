//! `join_channel`: receive a topic's messages, or those of all topics that match a pattern.

use arqonbus_protocol::{ErrorCode, Group, JoinArgs, Refusal, Topic, limits};

use super::{Aggregate, ask_lane};
use crate::routing::{Asked, GroupJoin, GroupOp, JoinOp, LaneOp};
use crate::session::{Context, Session, Step};
use crate::storage::GroupBegin;

pub(super) fn ask(session: &mut Session, asked: Asked, args: JoinArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    cx.refuse_while_draining()?;
    if let Some(group) = args.group {
        return ask_group(group, asked, &args, cx);
    }
    if args.max_in_flight.is_some() {
        return Err(Refusal::new(ErrorCode::InvalidArgs, "only jobs of a group are in flight").at("/args/max_in_flight"));
    }
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

fn ask_group(group: Group, asked: Asked, args: &JoinArgs, cx: &mut Context<'_>) -> Result<(), Refusal> {
    let invalid = |text, at| Err(Refusal::new(ErrorCode::InvalidArgs, text).at(at));
    let Some(topic) = args.pattern().as_topic() else { return invalid("a group belongs to one topic", "/args/group") };
    if args.positions.is_some() {
        return invalid("one topic takes since; positions are for patterns", "/args/positions");
    }
    if args.presence {
        return invalid("members of a group are told of their jobs only", "/args/presence");
    }
    let begin = match (args.since, args.replay) {
        (Some(_), Some(_)) => return invalid("either since or replay", "/args/replay"),
        (Some(since), None) => GroupBegin::Since(since),
        (None, Some(replay)) => GroupBegin::Replay(replay),
        (None, None) => GroupBegin::Head,
    };
    let max_in_flight = args.max_in_flight.unwrap_or(limits::JOBS_IN_FLIGHT_DEFAULT);
    ask_lane(topic, LaneOp::Group(GroupOp::Join(Box::new(GroupJoin { asked, group, begin, max_in_flight }))), cx);
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
    cx.steps.push(Step::AskAll(Box::new((asked, Aggregate::JoinPattern(Box::new(args))))));
    Ok(())
}

/// The refusal of one join too many.
pub(crate) fn limit_reached(joins: usize) -> Refusal {
    Refusal::new(ErrorCode::LimitExceeded, format!("a client may be joined to {joins} topics and patterns"))
}
