//! Questions to Redis about what it holds and no node has open, once the nodes have answered.

use std::collections::BTreeSet;

use arqonbus_protocol::{ErrorCode, JoinArgs, MembersResult, Pattern, Refusal, Topic, encode_ok};

use super::Peers;
use super::asks::{Ask, Then, not_done};
use crate::fanout::ForeignPart;
use crate::routing::{Asked, ConnId, LaneOp, PeerOp, Verdict};
use crate::storage::redis::store::listing::{Listed, Listing};

/// Milliseconds that Redis has to say what it holds.
const LOOKUP_MS: u64 = 5_000;

/// A question about what Redis holds.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// Messages of this topic?
    Topic(Topic),
    /// Messages of which topics that match?
    Pattern(Pattern),
    /// Messages of which topics of this page?
    List(Listing),
}

/// What Redis holds of what was looked up.
#[derive(Debug)]
pub(crate) enum Held {
    Topics(Vec<Topic>),
    Listed(Listed),
}

/// What is done once Redis has answered, or had its time.
pub(super) enum AfterRedis {
    /// Open these, which the nodes have, and what Redis holds besides, for a pattern that is being joined.
    Stored { asked: Asked, gather: u32, args: Box<JoinArgs>, topics: BTreeSet<Topic> },
    /// Go on with a question about a channel that no node has open.
    Held { topic: Topic, op: Box<LaneOp> },
    /// Nobody is in this channel: say so where there is one.
    NoMembers { asked: Asked },
    /// Give the edge that gathers what the nodes have said of a list, and what Redis holds besides.
    Listed { conn: ConnId, gather: u32, listing: Listing, part: Box<ForeignPart> },
}

impl Peers {
    /// Asks Redis what it holds of what no node has open.
    pub(super) fn look_up(&mut self, lookup: Lookup, after: AfterRedis) {
        self.asked += 1;
        let deadline = self.now.plus_ms(LOOKUP_MS);
        let ask = Ask { then: Then::Redis(after), waiting: BTreeSet::new(), answers: Vec::new(), deadline };
        self.asks.insert(self.asked, ask);
        self.lookups.push((self.asked, lookup));
    }

    /// Whether the answer to a look-up is still waited for.
    pub(crate) fn awaits(&self, number: u64) -> bool {
        self.asks.contains_key(&number)
    }

    /// Takes the answer to a look-up; none where Redis gave none.
    pub(crate) fn looked_up(&mut self, number: u64, held: Option<Held>) {
        let Some(ask) = self.asks.remove(&number) else { return };
        let Then::Redis(after) = ask.then else { return };
        match (after, held.map(|held| self.believed(held))) {
            (AfterRedis::Held { topic, op }, Some(Held::Topics(held))) => self.settle(topic, op, Verdict::Exists(!held.is_empty())),
            (AfterRedis::Stored { asked, gather, args, mut topics }, Some(Held::Topics(held))) => {
                topics.extend(held);
                self.found(&asked, gather, &args, topics, true);
            }
            (AfterRedis::NoMembers { asked }, Some(Held::Topics(held))) if held.is_empty() => {
                self.refuse(&asked, &Refusal::new(ErrorCode::UnknownChannel, "there is no such channel"));
            }
            (AfterRedis::NoMembers { asked }, Some(Held::Topics(_))) => {
                let nobody = MembersResult { members: Vec::new(), total: 0, next: None, incomplete: false };
                self.to(asked.conn, encode_ok(&asked.request_id, &nobody));
            }
            (AfterRedis::Listed { conn, gather, listing, part }, Some(Held::Listed(held))) => {
                self.listed_by_redis(conn, gather, &listing, part, held);
            }
            // An answer to another question is none.
            (after, Some(Held::Topics(_) | Held::Listed(_)) | None) => self.unanswered_by_redis(after),
        }
    }

    /// Redis has not said in time what it holds.
    pub(super) fn unanswered_by_redis(&mut self, after: AfterRedis) {
        match after {
            AfterRedis::Stored { asked, gather, args, topics } => self.found(&asked, gather, &args, topics, false),
            AfterRedis::Held { topic, op } => {
                let verdict = if op.asked().is_some() { Verdict::Refused(not_done()) } else { Verdict::Exists(false) };
                self.settle(topic, op, verdict);
            }
            AfterRedis::NoMembers { asked } => self.refuse(&asked, &not_done()),
            AfterRedis::Listed { conn, gather, listing, part } => self.listed_by_redis(conn, gather, &listing, part, Listed::default()),
        }
    }

    fn believed(&self, held: Held) -> Held {
        if self.believes_redis() {
            return held;
        }
        match held {
            Held::Topics(_) => Held::Topics(Vec::new()),
            Held::Listed(_) => Held::Listed(Listed { topics: Vec::new(), complete: true }),
        }
    }

    /// Lets a home go on with what depended on others.
    pub(super) fn settle(&mut self, topic: Topic, op: Box<LaneOp>, verdict: Verdict) {
        self.home(self.shared.homes.of_topic(&topic), PeerOp::Settled { topic, op, verdict });
    }
}
