//! A pattern that is joined here: what there is of it elsewhere is opened here, before the join is answered.

use std::collections::BTreeSet;

use arqonbus_protocol::{ClientId, JoinArgs, Topic};

use super::Peers;
use super::asks::{Then, not_done};
use super::letter::Answer;
use super::lookups::{AfterRedis, Lookup};
use crate::fanout::{Delivery, Part};
use crate::routing::{Asked, PeerOp};

impl Peers {
    /// The other nodes have these topics open; `complete` unless one did not answer.
    pub(super) fn found_elsewhere(&mut self, asked: Asked, gather: u32, args: Box<JoinArgs>, topics: BTreeSet<Topic>, complete: bool) {
        // Whoever asks for nothing of the past hears of what is opened from now on.
        let asks_for_past = args.positions.is_some() || args.replay.is_some_and(|replay| replay > 0);
        if complete && self.reachable && asks_for_past {
            let pattern = args.pattern();
            return self.look_up(Lookup::Pattern(pattern), AfterRedis::Stored { asked, gather, args, topics });
        }
        self.found(&asked, gather, &args, topics, complete);
    }

    /// Opens here what there is elsewhere that matches a pattern, or refuses the pattern: what is there would not be received.
    pub(super) fn found(&mut self, asked: &Asked, gather: u32, args: &JoinArgs, topics: BTreeSet<Topic>, complete: bool) {
        // While Redis is away each node is a bus of its own; afterwards others are asked again.
        let refused = !complete && self.reachable;
        let lanes = u32::try_from(topics.len()).unwrap_or(u32::MAX) + u32::from(refused);
        let (shard, conn) = (usize::from(asked.conn.shard), asked.conn.key);
        self.deliveries[shard].push(Delivery::Part { conn, gather, part: Part::Pattern { lanes } });
        if refused {
            self.deliveries[shard].push(Delivery::Part { conn, gather, part: Part::LaneRefused(Box::new(not_done())) });
        }
        for topic in topics {
            let op = PeerOp::Found { topic, asked: asked.clone(), gather, args: Box::new(args.clone()) };
            self.home(self.shared.homes.of_topic(&topic), op);
        }
        let (conn, pattern) = (asked.conn, args.pattern());
        self.all_homes(|| PeerOp::PatternSettled { conn, pattern });
    }

    /// Notes a topic that was opened elsewhere for patterns that are being joined: its node may have answered before.
    pub(super) fn note_opened(&mut self, node: ClientId, topic: &Topic) {
        for ask in self.asks.values_mut() {
            if let Then::Found { args, .. } = &ask.then
                && args.pattern().matches(topic)
            {
                ask.answers.push((node, Answer::Topics(vec![topic.to_string()])));
            } else if let Then::Redis(AfterRedis::Stored { args, topics, .. }) = &mut ask.then
                && args.pattern().matches(topic)
            {
                topics.insert(*topic);
            }
        }
    }
}
