//! Questions to all other nodes: who has not answered, and what is done with the answers.

use std::collections::BTreeSet;

use arqonbus_protocol::{
    ChannelInfoResult, ClientId, DeleteChannelResult, DisconnectResult, Durability, ErrorCode, JoinArgs, MembersArgs, MembersResult, Pattern,
    PublishResult, Refusal, Topic, encode_ok, encode_refused,
};
use serde_json::value::RawValue;

use super::letter::{Answer, Delivered, MembersHere, MembersPart, News, Private, Question, Said, Whom};
use super::lookups::AfterRedis;
use super::{Lookup, Peers, Post, QUESTIONS_MAX, To};
use crate::clock::Moment;
use crate::commands::cut;
use crate::config::OnOutage;
use crate::fanout::ForeignPart;
use crate::routing::{Abroad, Asked, ConnId, LaneOp, PeerOp, PublishOp, Verdict};
use crate::storage::redis::store::listing::Listing;

/// One question under way.
pub(super) struct Ask {
    pub(super) then: Then,
    /// Nodes that live and have not answered.
    pub(super) waiting: BTreeSet<ClientId>,
    pub(super) answers: Vec<(ClientId, Answer)>,
    pub(super) deadline: Moment,
}

/// What is done once all have answered, or had their time.
pub(super) enum Then {
    /// Give the parts to an edge that gathers.
    Gather {
        conn: ConnId,
        gather: u32,
    },
    /// The same, once Redis has said what it holds besides.
    List {
        conn: ConnId,
        gather: u32,
        listing: Listing,
    },
    /// Open what is found here, for a pattern that is being joined.
    Found {
        asked: Asked,
        gather: u32,
        args: Box<JoinArgs>,
    },
    /// Open what is found here, for patterns that were joined before.
    Topics {
        pattern: Pattern,
    },
    Members {
        asked: Asked,
        args: Box<MembersArgs>,
        own: Option<MembersResult>,
    },
    Info {
        asked: Asked,
        own: Box<ChannelInfoResult>,
    },
    Exists {
        topic: Topic,
        op: Box<LaneOp>,
    },
    Request {
        topic: Topic,
        publish: Box<PublishOp>,
    },
    Send {
        publish: Box<PublishOp>,
        here: Delivered,
    },
    Kick {
        asked: Asked,
        here: u64,
    },
    /// A channel is deleted, whoever has not heard of it.
    Deleted {
        asked: Asked,
        result: DeleteChannelResult,
    },
    Watch {
        topic: Topic,
        list: bool,
    },
    /// Let those in who wait for it.
    Birthplace {
        topic: Topic,
    },
    /// A broadcast is acknowledged when it was told.
    Told {
        publish: Box<PublishOp>,
        duplicate: bool,
    },
    /// The nodes have answered, and Redis is asked.
    Redis(AfterRedis),
}

impl Peers {
    /// What a home here asks or tells others.
    pub(super) fn abroad(&mut self, abroad: Abroad) {
        match abroad {
            Abroad::Members { asked, args, own } => self.begin(Question::Members((*args).clone()), Then::Members { asked, args, own }),
            Abroad::Info { asked, own } => {
                let topic = Topic { room: own.room, channel: own.channel };
                self.begin(Question::Watch { topic, list: false }, Then::Info { asked, own });
            }
            Abroad::Exists { topic, op } => self.begin(Question::Watch { topic, list: false }, Then::Exists { topic, op }),
            Abroad::Request { topic, publish } => self.begin(Question::Watch { topic, list: false }, Then::Request { topic, publish }),
            Abroad::Watch { topic, list } => self.begin(Question::Watch { topic, list }, Then::Watch { topic, list }),
            Abroad::Birthplace { topic } => self.begin(Question::Watch { topic, list: false }, Then::Birthplace { topic }),
            Abroad::Topics { pattern } => self.begin(Question::Topics(pattern), Then::Topics { pattern }),
            Abroad::Ended { asked, topic, result } => {
                self.begin(Question::Ended { topic, by: asked.who.client }, Then::Deleted { asked, result });
            }
            Abroad::Kick { asked, whom, here } => self.begin(Question::Kick(whom), Then::Kick { asked, here }),
            Abroad::Send { publish, here } => match private(&publish) {
                Some(private) => self.begin(Question::Deliver(Box::new(private)), Then::Send { publish, here }),
                None => self.finish(Then::Send { publish, here }, Vec::new(), true),
            },
            Abroad::Broadcast { publish, duplicate } => self.broadcast(publish, duplicate),
            Abroad::Tell(news) => {
                // Whoever comes later asks.
                if self.others() > 0 && !self.is_mute() {
                    self.out.push(Post { to: To::All, said: Said::Tell(*news), number: None });
                }
            }
        }
    }

    /// Asks all others; where there are none, the answer is there at once.
    pub(super) fn begin(&mut self, question: Question, then: Then) {
        let waiting: BTreeSet<ClientId> = self.asked_of().collect();
        if !self.reachable || self.asks.len() >= QUESTIONS_MAX {
            return self.finish(then, Vec::new(), false);
        }
        if waiting.is_empty() {
            return self.finish(then, Vec::new(), true);
        }
        self.asked += 1;
        let deadline = self.now.plus_ms(self.shared.config.storage.redis.node_answer_ms);
        self.asks.insert(self.asked, Ask { then, waiting, answers: Vec::new(), deadline });
        self.out.push(Post { to: To::All, said: Said::Ask(self.asked, question), number: Some(self.asked) });
    }

    fn broadcast(&mut self, publish: Box<PublishOp>, duplicate: bool) {
        let room = if let arqonbus_protocol::Target::Room(room) = publish.target { Some(room) } else { None };
        let Some(body) = raw(&publish) else { return };
        if !self.reachable || self.is_mute() {
            return self.told_all(&publish, duplicate, self.is_mute());
        }
        self.asked += 1;
        let news = News::Broadcast { room, body, print: publish.fingerprint.map(Into::into) };
        // It waits for nobody's answer, only for the word that it was sent.
        let deadline = self.now.plus_ms(self.shared.config.storage.redis.response_ms.saturating_mul(2));
        let ask = Ask { then: Then::Told { publish, duplicate }, waiting: BTreeSet::new(), answers: Vec::new(), deadline };
        self.asks.insert(self.asked, ask);
        self.out.push(Post { to: To::All, said: Said::Tell(news), number: Some(self.asked) });
    }

    /// Redis has taken what carries this question, or has not.
    pub(crate) fn sent(&mut self, number: u64, taken: bool) {
        let is_told = self.asks.get(&number).is_some_and(|ask| matches!(ask.then, Then::Told { .. }));
        if taken && !is_told {
            return;
        }
        let Some(ask) = self.asks.remove(&number) else { return };
        self.finish(ask.then, ask.answers, taken);
    }

    pub(super) fn answered(&mut self, number: u64, node: ClientId, answer: Answer) {
        let Some(ask) = self.asks.get_mut(&number) else { return };
        if !ask.waiting.remove(&node) {
            return;
        }
        ask.answers.push((node, answer));
        self.finish_if_done(number);
    }

    /// A node is dead: nothing is there that could be missing.
    pub(super) fn never_answers(&mut self, node: ClientId) {
        let concerned: Vec<u64> = self.asks.iter_mut().filter_map(|(number, ask)| ask.waiting.remove(&node).then_some(*number)).collect();
        for number in concerned {
            self.finish_if_done(number);
        }
    }

    fn finish_if_done(&mut self, number: u64) {
        if self.asks.get(&number).is_some_and(|ask| ask.waiting.is_empty())
            && let Some(ask) = self.asks.remove(&number)
        {
            self.finish(ask.then, ask.answers, true);
        }
    }

    pub(super) fn expire_asks(&mut self) {
        let due: Vec<u64> = self.asks.iter().filter(|(_, ask)| ask.deadline <= self.now).map(|(number, _)| *number).collect();
        for number in due {
            if let Some(ask) = self.asks.remove(&number) {
                self.shared.metrics.node_answers_missing.add(ask.waiting.len() as u64);
                self.finish(ask.then, ask.answers, self.claims_complete());
            }
        }
    }

    /// Goes on with the answers; `complete` unless one is missing.
    pub(super) fn finish(&mut self, then: Then, answers: Vec<(ClientId, Answer)>, complete: bool) {
        match then {
            Then::Gather { conn, gather } => {
                self.give(conn, gather, Box::new(foreign(answers, !complete)));
            }
            Then::List { conn, gather, listing } => {
                self.listed_by_nodes(conn, gather, listing, Box::new(foreign(answers, !complete)));
            }
            Then::Found { asked, gather, args } => self.found_elsewhere(asked, gather, args, topics(&answers), complete),
            Then::Topics { pattern } => {
                if !complete {
                    self.again.push(Abroad::Topics { pattern });
                }
                for topic in topics(&answers) {
                    self.home(self.shared.homes.of_topic(&topic), PeerOp::Opened { topic, head: None });
                }
            }
            Then::Members { asked, args, own } => self.members(&asked, &args, own, answers, complete),
            Then::Info { asked, mut own } => {
                own.members += counts(&answers).sum::<u64>();
                let abroad = answers.iter().filter_map(|(_, answer)| if let Answer::Watch(Some(here)) = answer { Some(&here.groups) } else { None });
                super::merge::groups(&mut own, abroad.flatten());
                own.incomplete = !complete;
                self.to(asked.conn, encode_ok(&asked.request_id, &own));
            }
            Then::Exists { topic, op } => {
                let exists = counts(&answers).next().is_some();
                match op.asked() {
                    // While Redis is away each node is a bus of its own, and may begin channels.
                    Some(_) if !self.reachable && matches!(*op, LaneOp::Create { .. }) => self.settle(topic, op, Verdict::Exists(exists)),
                    Some(_) if !exists && !complete => self.settle(topic, op, Verdict::Refused(not_done())),
                    Some(_) if !exists => self.look_up(Lookup::Topic(topic), AfterRedis::Held { topic, op }),
                    Some(_) | None => self.settle(topic, op, Verdict::Exists(exists)),
                }
            }
            Then::Request { topic, publish } => {
                let verdict = match counts(&answers).sum::<u64>() {
                    0 if complete => Verdict::Refused(Refusal::new(ErrorCode::NoResponder, "nobody is there to answer")),
                    0 => Verdict::Refused(not_done()),
                    _ => Verdict::Answerable,
                };
                self.settle(topic, Box::new(LaneOp::Publish(publish)), verdict);
            }
            Then::Send { publish, here } => self.settle_send(&publish, here, &answers, complete),
            Then::Deleted { asked, result } => self.to(asked.conn, encode_ok(&asked.request_id, &result)),
            Then::Kick { asked, here } => self.settle_kick(&asked, here, &answers, complete),
            Then::Watch { topic, list } => self.watched(topic, list, answers, complete),
            Then::Birthplace { topic } => {
                let opened = answers.iter().filter_map(|(_, answer)| if let Answer::Watch(Some(here)) = answer { here.opened_at } else { None });
                self.home(self.shared.homes.of_topic(&topic), PeerOp::Birthplace { topic, opened: opened.collect() });
            }
            Then::Told { publish, duplicate } => self.told_all(&publish, duplicate, complete),
            // Only a look-up that had no answer in time ends here.
            Then::Redis(after) => self.unanswered_by_redis(after),
        }
    }

    fn watched(&mut self, topic: Topic, list: bool, answers: Vec<(ClientId, Answer)>, complete: bool) {
        if !complete && list {
            self.again.push(Abroad::Watch { topic, list });
        }
        for (node, answer) in answers {
            // Where it has no such channel, nobody is in it there.
            if let Answer::Watch(here) = answer
                && let Some(here) = here.or_else(|| list.then(MembersHere::default))
            {
                self.home(self.shared.homes.of_topic(&topic), PeerOp::Watched { node, topic, here, listed: list });
            }
        }
    }

    fn members(&mut self, asked: &Asked, args: &MembersArgs, own: Option<MembersResult>, answers: Vec<(ClientId, Answer)>, complete: bool) {
        let mut parts: Vec<MembersPart> = own.map(|MembersResult { members, total, .. }| MembersPart { members, total }).into_iter().collect();
        parts.extend(answers.into_iter().filter_map(|(_, answer)| if let Answer::Members(part) = answer { part } else { None }));
        if parts.is_empty() && complete && self.reachable {
            let (asked, topic) = (asked.clone(), Topic { room: args.room, channel: args.channel });
            return self.look_up(Lookup::Topic(topic), AfterRedis::NoMembers { asked });
        }
        if parts.is_empty() {
            return self.refuse(asked, &not_done());
        }
        let total = parts.iter().map(|part| part.total).sum();
        let mut members: Vec<_> = parts.into_iter().flat_map(|part| part.members).collect();
        members.sort_unstable_by_key(|member| member.client);
        let next = cut(&mut members, args.limit, |member| member.client);
        self.to(asked.conn, encode_ok(&asked.request_id, &MembersResult { members, total, next, incomplete: !complete }));
    }

    fn settle_kick(&mut self, asked: &Asked, here: u64, answers: &[(ClientId, Answer)], complete: bool) {
        let there: u64 = answers.iter().map(|(_, answer)| if let Answer::Kick(count) = answer { *count } else { 0 }).sum();
        let disconnected = here + there;
        if disconnected > 0 {
            return self.to(asked.conn, encode_ok(&asked.request_id, &DisconnectResult { disconnected, incomplete: !complete }));
        }
        let nobody = || Refusal::new(ErrorCode::NoRecipient, "nobody is there by that name").at("/args");
        self.refuse(asked, &if complete { nobody() } else { unknown() });
    }

    fn settle_send(&mut self, publish: &PublishOp, here: Delivered, answers: &[(ClientId, Answer)], complete: bool) {
        let all =
            || answers.iter().filter_map(|(_, answer)| if let Answer::Deliver(delivered) = answer { Some(*delivered) } else { None }).chain([here]);
        let is = |what: Delivered| all().any(|delivered| delivered == what);
        if is(Delivered::Now) || is(Delivered::Before) {
            if publish.ack {
                let result = PublishResult { position: None, durability: Durability::None, duplicate: !is(Delivered::Now) };
                self.to(publish.asked.conn, encode_ok(&publish.asked.request_id, &result));
            }
            return;
        }
        let code = if publish.request { ErrorCode::NoResponder } else { ErrorCode::NoRecipient };
        let refusal = if is(Delivered::Conflict) {
            Refusal::new(ErrorCode::IdConflict, "this id was used for another message a moment ago").at("/id")
        } else if complete {
            Refusal::new(code, "nobody is there by that name").at("/to")
        } else {
            unknown()
        };
        self.refuse(&publish.asked, &refusal);
    }

    /// Acknowledges a broadcast that was told to the others, or could not be.
    fn told_all(&mut self, publish: &PublishOp, duplicate: bool, told: bool) {
        let asked = &publish.asked;
        if !told && self.shared.config.storage.redis.on_outage == OnOutage::Reject {
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, "the other nodes cannot be told");
            return self.refuse(asked, &refusal);
        }
        if publish.ack {
            let result = PublishResult { position: None, durability: Durability::None, duplicate };
            self.to(asked.conn, encode_ok(&asked.request_id, &result));
        }
    }

    pub(super) fn refuse(&mut self, asked: &Asked, refusal: &Refusal) {
        self.shared.tell_refused(asked, None, refusal.code);
        self.to(asked.conn, encode_refused(&asked.request_id, refusal));
    }
}

/// For what was not begun, because it depends on what others say.
pub(super) fn not_done() -> Refusal {
    Refusal::new(ErrorCode::StorageUnavailable, "a node of the bus, or Redis, did not answer in time")
}

/// For what another node may have done, or may yet do.
fn unknown() -> Refusal {
    Refusal::new(ErrorCode::OutcomeUnknown, "a node of the bus did not answer in time")
}

fn counts(answers: &[(ClientId, Answer)]) -> impl Iterator<Item = u64> {
    answers.iter().filter_map(|(_, answer)| if let Answer::Watch(Some(here)) = answer { Some(here.count) } else { None })
}

/// The topics that others have, each once.
fn topics(answers: &[(ClientId, Answer)]) -> BTreeSet<Topic> {
    let texts = answers.iter().filter_map(|(_, answer)| if let Answer::Topics(topics) = answer { Some(topics) } else { None });
    texts.flatten().filter_map(|topic| topic.parse().ok()).collect()
}

fn foreign(answers: Vec<(ClientId, Answer)>, incomplete: bool) -> ForeignPart {
    let mut part = ForeignPart { incomplete, ..ForeignPart::default() };
    for (_, answer) in answers {
        match answer {
            Answer::Rooms(rooms) => part.rooms.extend(rooms),
            Answer::Channels(channels) => part.channels.extend(channels),
            Answer::Status(status) => part.nodes.push(*status),
            Answer::Topics(_) | Answer::Members(_) | Answer::Watch(_) | Answer::Deliver(_) | Answer::Kick(_) | Answer::Ended => {}
        }
    }
    part
}

/// The message as others are to deliver it; `None` where it is to nobody in particular.
fn private(publish: &PublishOp) -> Option<Private> {
    let whom = match publish.target {
        arqonbus_protocol::Target::Client(client) => Whom::Client(client),
        arqonbus_protocol::Target::User(user) => Whom::User(user),
        arqonbus_protocol::Target::Topic(_) | arqonbus_protocol::Target::Room(_) | arqonbus_protocol::Target::Everyone => return None,
    };
    Some(Private { whom, body: raw(publish)?, print: publish.fingerprint.map(Into::into) })
}

/// The delivered envelope, whose text this server made itself.
fn raw(publish: &PublishOp) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(publish.entry.text.to_vec()).ok()?).ok()
}
