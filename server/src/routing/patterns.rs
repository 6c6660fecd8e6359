//! Members by pattern: let into every lane that matches, now and when it is born.

use arqonbus_protocol::{JoinArgs, Pattern, Position, Topic, TopicPosition};

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
    /// While other nodes are asked for topics: those that it is in already. None once they have answered.
    pub(super) met: Option<Vec<Topic>>,
}

impl Home {
    pub(super) fn join_pattern(&mut self, asked: &Asked, gather: u32, args: &JoinArgs) {
        let pattern = args.pattern();
        self.begin_anew(asked, args);
        let mut matching: Vec<(Topic, Key)> =
            self.by_topic.iter().filter(|(topic, _)| pattern.matches(topic)).map(|(topic, key)| (*topic, *key)).collect();
        matching.sort_unstable();
        let met = self.has_peers().then(|| matching.iter().map(|(topic, _)| *topic).collect());
        self.patterns.push(PatternMember { pattern, conn: asked.conn, asked: asked.clone(), presence: args.presence, met });
        let lanes = u32::try_from(matching.len()).expect("there are fewer than 2^32 lanes");
        self.egress.part(asked.conn, gather, Part::Pattern { lanes });
        for (topic, key) in matching {
            let since = known(args, &topic);
            let part = PatternPart { gather, resumes: args.positions.is_some() };
            let join = JoinOp { asked: asked.clone(), since, replay: args.replay, presence: args.presence, pattern: Some(part) };
            self.ask_lane(key, LaneOp::Join(Box::new(join)));
        }
    }

    /// Begins the topics that the client has a position of and that are no more, as a join by name would: so it is told now that their
    /// past is lost, and not only when somebody publishes there.
    fn begin_anew(&mut self, asked: &Asked, args: &JoinArgs) {
        let pattern = args.pattern();
        for topic in args.positions.iter().flatten().map(TopicPosition::topic) {
            let is_missing = self.shared.homes.of_topic(&topic) == self.shard && !self.by_topic.contains_key(&topic);
            if is_missing && pattern.matches(&topic) && self.shared.may_be_joined(&topic) {
                // Past the bound on channels it is told when there is room for it again.
                self.admit_lane(topic, Some(asked.who.client));
            }
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
            self.ask_lane(key, LaneOp::LeavePattern { conn });
        }
    }

    /// Lets those in whose patterns match a lane that was just born.
    pub(super) fn let_patterns_in(&mut self, key: Key, topic: &Topic) {
        let since = self.birth.since();
        let mut matching: Vec<(Asked, bool, bool)> = Vec::new();
        for member in self.patterns.iter_mut().filter(|member| member.pattern.matches(topic)) {
            // Whoever is still joining is let into other nodes' topics by what they answer.
            if self.birth.is_elsewhere() && member.met.is_some() {
                continue;
            }
            if let Some(met) = &mut member.met {
                met.push(*topic);
            }
            matching.push((member.asked.clone(), member.presence, member.met.is_none()));
        }
        for (asked, presence, whole) in matching {
            self.ask_lane(key, LaneOp::Born { asked, presence, since, whole });
        }
    }
}

/// What the client knows of `topic`.
pub(super) fn known(args: &JoinArgs, topic: &Topic) -> Option<Position> {
    args.positions.iter().flatten().find(|known| known.topic() == *topic).map(TopicPosition::position)
}
