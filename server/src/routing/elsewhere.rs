//! Patterns over several nodes: topics that are open elsewhere are opened here for those whose patterns match.

use arqonbus_protocol::{ErrorCode, JoinArgs, Pattern, Position, Refusal, Topic};

use super::op::{Asked, JoinOp, LaneOp, PatternPart};
use super::patterns::known;
use super::{Abroad, ConnId, Home, Lane};
use crate::fanout::{Delivery, Part};
use crate::peers::letter::Answer;
use crate::slots::Key;

/// How members by pattern enter the lane that is being begun.
#[derive(Debug, Default)]
pub(crate) struct Birth {
    /// Another node opened the topic here: what came after this is theirs.
    since: Option<Position>,
    /// Another node has it.
    elsewhere: bool,
}

impl Birth {
    pub(super) fn since(&self) -> Option<Position> {
        self.since
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }
}

impl Home {
    /// Gives another node the topics that are open here and match.
    pub(super) fn topics_for(&mut self, number: u32, pattern: &Pattern) {
        let topics = self.by_topic.keys().filter(|topic| pattern.matches(topic)).map(ToString::to_string).collect();
        self.answer_abroad(number, Answer::Topics(topics));
    }

    /// A topic was opened on another node, at this position where that is known: members by pattern here follow it from there.
    pub(super) fn opened_abroad(&mut self, topic: Topic, since: Option<Position>) {
        if !self.by_topic.contains_key(&topic) && self.patterns.iter().any(|member| member.met.is_none() && member.pattern.matches(&topic)) {
            self.birth = Birth { since, elsewhere: true };
            // Past the bound on channels it is followed when there is room for it again.
            self.admit_lane(topic, None);
            self.birth = Birth::default();
        }
    }

    /// Lets those who join a new lane by pattern wait until all nodes have said where they opened it. Somebody may have published there a moment ago: not
    /// where nothing was ever published, and where nothing is kept it could not be had.
    pub(super) fn hold_births(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.settings.messages_max > 0) else { return };
        let opened_at = lane.opened_at;
        let waits = |op: &LaneOp| matches!(op, LaneOp::Born { since, whole: true, .. } if since.or(opened_at).is_some_and(|from| from.seq > 0));
        if self.shared.abroad.is_none() || !lane.queue.iter().any(waits) {
            return;
        }
        let (unborn, queue): (Vec<_>, Vec<_>) = lane.queue.drain(..).partition(waits);
        lane.unborn.extend(unborn);
        lane.queue.extend(queue);
        let topic = lane.topic;
        self.abroad(Abroad::Birthplace { topic });
    }

    /// All nodes have said where they opened a topic: whoever was there before begins where the first of them did.
    pub(super) fn let_unborn_in(&mut self, topic: &Topic, opened: &[Position]) {
        let Some(key) = self.by_topic.get(topic).copied() else { return };
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(here) = lane.opened_at else { return };
        for mut op in std::mem::take(&mut lane.unborn) {
            if let LaneOp::Born { since, .. } = &mut op {
                let all = opened.iter().copied().chain(*since).chain([here]);
                *since = all.filter(|from| from.epoch == here.epoch).min_by_key(|from| from.seq);
            }
            self.ask_lane(key, op);
        }
    }

    /// Opens a topic that another node has, for a pattern that is being joined; its opening is a part of the answer.
    pub(super) fn join_found(&mut self, topic: Topic, asked: &Asked, gather: u32, args: &JoinArgs) {
        let pattern = args.pattern();
        let member = self.patterns.iter().find(|member| member.conn == asked.conn && member.pattern == pattern);
        let is_in = member.is_none_or(|member| member.met.as_ref().is_none_or(|met| met.contains(&topic)));
        let key = self.by_topic.get(&topic).copied().or_else(|| {
            self.birth = Birth { since: None, elsewhere: true };
            let begun = self.admit_lane(topic, Some(asked.who.client));
            self.birth = Birth::default();
            begun
        });
        if key.is_none() {
            let full = Refusal::new(ErrorCode::LimitExceeded, "the bus has all the channels that it may have, and another one matches the pattern");
            return self.egress.part(asked.conn, gather, Part::LaneRefused(Box::new(full)));
        }
        if let Some(key) = key.filter(|_| !is_in) {
            let part = PatternPart { gather, resumes: args.positions.is_some() };
            let since = known(args, &topic);
            let join = JoinOp { asked: asked.clone(), since, replay: args.replay, presence: args.presence, pattern: Some(part) };
            return self.ask_lane(key, LaneOp::Join(Box::new(join)));
        }
        // It is let in by the join of what is here, or is no member any more.
        self.egress.part(asked.conn, gather, Part::LaneGone);
    }

    /// All that others have of a pattern is opened here: from now on what they open is news.
    pub(super) fn pattern_settled(&mut self, conn: ConnId, pattern: &Pattern) {
        for member in self.patterns.iter_mut().filter(|member| member.conn == conn && member.pattern == *pattern) {
            member.met = None;
        }
    }

    /// What other nodes opened meanwhile may not have been told: they are asked.
    pub(super) fn doubt_patterns(&mut self) {
        let mut patterns: Vec<Pattern> = self.patterns.iter().map(|member| member.pattern).collect();
        patterns.sort_unstable();
        patterns.dedup();
        for pattern in patterns {
            self.abroad(Abroad::Topics { pattern });
        }
    }

    pub(super) fn answer_abroad(&mut self, number: u32, answer: Answer) {
        if let Some(shard) = self.shared.abroad {
            self.egress.push(shard, Delivery::Part { conn: Key::NOBODY, gather: number, part: Part::Peer(Box::new(answer)) });
        }
    }
}

impl Lane {
    /// Lets one of the patterns of `conn` go that is not in yet; gives whether there was one.
    pub(super) fn call_off(&mut self, conn: ConnId) -> bool {
        let found = self.unborn.iter().position(|op| matches!(op, LaneOp::Born { asked, .. } if asked.conn == conn));
        found.map(|at| self.unborn.swap_remove(at)).is_some()
    }
}
