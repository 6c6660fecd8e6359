//! Members by pattern: let into every lane that matches, now and when it is born.

use arqonbus_protocol::{JoinArgs, Pattern, Position, Topic};

use super::op::{Asked, JoinOp, LaneOp, PatternPart};
use super::{ConnId, Home};
use crate::fanout::Part;
use crate::slots::Key;

/// A connection that joined a pattern.
#[derive(Debug, Clone)]
pub(crate) struct PatternMember {
    pub(crate) pattern: Pattern,
    pub(crate) conn: ConnId,
    asked: Asked,
    presence: bool,
}

impl Home {
    pub(super) fn join_pattern(&mut self, asked: &Asked, gather: u32, args: &JoinArgs) {
        let pattern = args.pattern();
        self.patterns.push(PatternMember { pattern, conn: asked.conn, asked: asked.clone(), presence: args.presence });
        let mut matching: Vec<(Topic, Key)> =
            self.by_topic.iter().filter(|(topic, _)| pattern.matches(topic)).map(|(topic, key)| (*topic, *key)).collect();
        matching.sort_unstable();
        let lanes = u32::try_from(matching.len()).expect("there are fewer than 2^32 lanes");
        self.egress.part(asked.conn, gather, Part::Pattern { lanes });
        for (topic, key) in matching {
            let since = known(args, &topic);
            let part = PatternPart { gather, resumes: args.positions.is_some() };
            let join = JoinOp { asked: asked.clone(), since, replay: args.replay, presence: args.presence, pattern: Some(part) };
            self.ask_lane(key, LaneOp::Join(Box::new(join)));
        }
    }

    pub(super) fn leave_pattern(&mut self, conn: ConnId, pattern: &Pattern, gather: Option<u32>) {
        self.leave_matching(conn, pattern);
        // Behind everything that these lanes have sent to the connection.
        if let Some(gather) = gather {
            self.egress.part(conn, gather, Part::Left);
        }
    }

    fn leave_matching(&mut self, conn: ConnId, pattern: &Pattern) {
        let Some(at) = self.patterns.iter().position(|member| member.conn == conn && member.pattern == *pattern) else { return };
        self.patterns.swap_remove(at);
        let matching: Vec<Key> = self.by_topic.iter().filter(|(topic, _)| pattern.matches(topic)).map(|(_, key)| *key).collect();
        for key in matching {
            self.leave_by_pattern(key, conn);
        }
    }

    /// Lets those in whose patterns match a lane that was just born.
    pub(super) fn let_patterns_in(&mut self, key: Key, topic: &Topic) {
        let matching: Vec<(Asked, bool)> =
            self.patterns.iter().filter(|member| member.pattern.matches(topic)).map(|member| (member.asked.clone(), member.presence)).collect();
        for (asked, presence) in matching {
            self.enter_newborn(key, &asked, presence);
        }
    }
}

/// What the client knows of `topic`.
fn known(args: &JoinArgs, topic: &Topic) -> Option<Position> {
    args.positions.iter().flatten().find(|known| known.topic() == *topic).map(arqonbus_protocol::TopicPosition::position)
}
