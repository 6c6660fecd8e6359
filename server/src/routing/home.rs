//! The home of some topics, clients and users: takes questions in order, and decides.

use std::sync::Arc;

use arqonbus_protocol::{ErrorCode, Refusal, StorageState, Target, Timestamp, Topic};
use indexmap::IndexSet;

use super::behind::Behind;
use super::directory::Directory;
use super::elsewhere::Birth;
use super::groups::GroupOp;
use super::lane::Pending;
use super::op::{Asked, LaneOp, Op, PublishOp, ShardId};
use super::patterns::PatternMember;
use super::publish::Counts;
use super::settled::Behindhand;
use super::{ConnId, Egress, Lane};
use crate::clock::Moment;
use crate::hash::{Map, State};
use crate::session::Identity;
use crate::shared::Shared;
use crate::slots::{Key, Slots};
use crate::storage::{Answer, DedupWindow, Page, Progress, Store, StoreError, Ticket, Told};

/// The deciding half of a shard. It does no I/O: questions in, deliveries out.
pub(crate) struct Home {
    pub(crate) shard: ShardId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Box<dyn Store>,
    pub(crate) lanes: Slots<Lane>,
    pub(crate) by_topic: Map<Topic, Key>,
    pub(crate) patterns: Vec<PatternMember>,
    pub(crate) birth: Birth,
    /// Publishes behind one about which other nodes are asked, by topic and sender.
    pub(super) behind: Map<(Topic, ConnId), Behind>,
    /// Who is to hear once nothing is under way of what it published.
    pub(super) behindhand: Behindhand,
    pub(crate) directory: Directory,
    /// Ids of messages to targets that have no log.
    pub(crate) sent: DedupWindow<()>,
    pub(crate) egress: Egress,
    /// Lanes with something to fan out.
    pub(crate) gathered: Vec<Key>,
    /// Lanes whose work groups may have something to give out.
    pub(crate) roused: Vec<Key>,
    /// Lanes with work groups.
    pub(crate) grouped: IndexSet<Key, State>,
    /// The bus as a sender.
    pub(crate) node: Arc<Identity>,
    pub(crate) counts: Counts,
    /// Lanes by the ticket of the question that they wait for.
    pub(super) waiting: Map<Ticket, Key>,
    tickets: u64,
    /// Joins whose lane goes on without them.
    #[cfg(any(test, feature = "sabotage"))]
    loose: Map<Ticket, (Key, Pending)>,
    /// The present moment, as of this tick.
    pub(crate) now: Moment,
    pub(crate) timestamp: Timestamp,
    /// Where idle lanes are looked for next.
    pub(crate) upkeep_from: usize,
    /// Ids forgotten early, as far as telemetry knows.
    pub(crate) told_evicted: u64,
    /// How the store was when it was last looked at.
    pub(crate) storage_state: StorageState,
}

impl Home {
    pub(crate) fn new(shard: ShardId, shared: Arc<Shared>, store: Box<dyn Store>) -> Self {
        let sent = DedupWindow::new(shared.config.history.dedup_ms, shared.config.ids_of_sent_max(shared.shards));
        let timestamp = shared.clock.timestamp();
        let node = Arc::new(Identity::bare(shared.node));
        Self {
            shard,
            egress: Egress::new(shared.shards, shared.ways()),
            shared,
            store,
            lanes: Slots::default(),
            by_topic: Map::default(),
            patterns: Vec::new(),
            birth: Birth::default(),
            behind: Map::default(),
            behindhand: Behindhand::default(),
            directory: Directory::default(),
            sent,
            gathered: Vec::new(),
            roused: Vec::new(),
            grouped: IndexSet::default(),
            node,
            counts: Counts::default(),
            waiting: Map::default(),
            tickets: 0,
            #[cfg(any(test, feature = "sabotage"))]
            loose: Map::default(),
            now: Moment::default(),
            timestamp,
            upkeep_from: 0,
            told_evicted: 0,
            storage_state: StorageState::Healthy,
        }
    }

    /// Begins the channels that the configuration declares and whose home this is.
    pub(crate) fn declare(&mut self) {
        let shared = Arc::clone(&self.shared);
        for rule in &shared.config.rules {
            let Some(topic) = rule.topics.as_topic().filter(|topic| shared.homes.of_topic(topic) == self.shard) else { continue };
            if self.by_topic.contains_key(&topic) {
                continue;
            }
            let Some(key) = self.admit_lane(topic, None) else { continue };
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.declared = true;
                lane.description.clone_from(&rule.description);
            }
        }
    }

    /// Takes one question.
    pub(crate) fn ask(&mut self, op: Op) {
        match op {
            Op::Lane(topic, op) => self.ask_topic(topic, *op),
            Op::Send(publish) => match publish.target {
                Target::Topic(topic) => self.ask_topic(topic, LaneOp::Publish(publish)),
                Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone => self.send(publish),
            },
            Op::JoinPattern { asked, gather, args } => self.join_pattern(&asked, gather, &args),
            Op::LeavePattern { conn, pattern, gather } => self.leave_pattern(conn, &pattern, gather),
            Op::Unname { lane, conn } => self.ask_lane(lane.key, LaneOp::Unname { conn }),
            Op::CatchUp { lane, conn, from } => self.ask_lane(lane.key, LaneOp::CatchUp { conn, from }),
            Op::Part { lane, conn } => self.part(lane.key, conn),
            Op::PartGroup { lane, conn, group } => self.ask_lane(lane.key, LaneOp::Group(GroupOp::Part { conn, group })),
            Op::PartPatterns { conn } => self.patterns.retain(|member| member.conn != conn),
            Op::Register { asked, reply, resumed } => self.register(&asked, reply, resumed),
            Op::Unregister { client, conn } => self.directory.remove_client(&client, conn),
            Op::RegisterUser { user, conn, then } => {
                self.directory.add_user(user, conn);
                self.egress.push(conn.shard, crate::fanout::Delivery::Ask { conn: conn.key, next: then });
            }
            Op::UnregisterUser { user, conn } => self.directory.remove_user(&user, conn),
            Op::Kick { asked, whom } => self.kick(asked, whom),
            Op::ListRooms { asked, gather, args } => self.list_rooms(&asked, gather, &args),
            Op::ListChannels { asked, gather, args } => self.list_channels(&asked, gather, &args),
            Op::Status { asked, gather } => self.status(&asked, gather),
            Op::Settled { conn, gather } => self.ask_settled(conn, gather),
            Op::Peer(op) => self.peer(*op),
        }
    }

    /// Ends a tick: fans out what was gathered, and tells the metrics.
    pub(crate) fn settle(&mut self) {
        self.give_out();
        self.answer_settled();
        for key in std::mem::take(&mut self.gathered) {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.flush(&mut self.egress);
            }
        }
        let Counts { messages_in, bytes_in, first_received_us } = std::mem::take(&mut self.counts);
        if let Some(first) = first_received_us {
            let metrics = &self.shared.metrics;
            metrics.messages_in.add(messages_in);
            metrics.bytes_in.add(bytes_in);
            // For the first of them; the others took less.
            metrics.publish_latency.observe_many_us(self.shared.clock.micros().saturating_sub(first), messages_in);
        }
    }

    pub(super) fn ask_topic(&mut self, topic: Topic, op: LaneOp) {
        if let Some(op) = self.unless_behind(topic, op)
            && let Some(op) = self.unless_abroad(topic, op)
            && let Some(key) = self.lane_for(topic, &op)
        {
            self.ask_lane(key, op);
        }
    }

    /// Hands one question to a lane, or queues it while the lane waits for its store.
    pub(crate) fn ask_lane(&mut self, key: Key, op: LaneOp) {
        let Some(lane) = self.lanes.get_mut(key) else {
            let gone = StoreError::Unavailable("the channel was being opened".into());
            return self.give_up(key, &op, &gone.refusal());
        };
        let queue_max = self.shared.config.limits.lane_queue;
        let is_passed = lane.is_passed_by(&op);
        let is_full = if is_passed { lane.grouping.len() >= queue_max } else { lane.is_full(queue_max) };
        if is_passed && (op.asked().is_none() || !is_full) {
            return self.run(key, op);
        }
        if lane.queue.is_empty() && lane.is_free_for(&op) && !is_full && !is_passed {
            return self.run(key, op);
        }
        // What no client waits for is bounded by connections and patterns, and must not be forgotten.
        if op.asked().is_none() || !is_full {
            lane.queue.push_back(op);
            return;
        }
        self.give_up(key, &op, &Refusal::new(ErrorCode::Overloaded, "too much waits for this channel's store"));
    }

    pub(super) fn run(&mut self, key: Key, op: LaneOp) {
        if op.lets_in() && self.lanes.get(key).is_some_and(|lane| !lane.followed) {
            return self.follow_first(key, op);
        }
        match op {
            LaneOp::Publish(publish) => self.publish(key, publish),
            LaneOp::Join(join) => self.join(key, join),
            LaneOp::Leave { asked } => self.leave(key, &asked),
            LaneOp::Create { asked, args } => self.create(key, &asked, *args),
            LaneOp::Delete { asked, args } => self.delete(key, asked, args),
            LaneOp::Info { asked, args } => self.info(key, asked, args),
            LaneOp::Members { asked, args } => self.members(key, asked, args),
            LaneOp::History { asked, args, .. } => self.history(key, asked, args),
            LaneOp::CatchUp { conn, from } => self.catch_up(key, conn, from),
            LaneOp::Born { asked, presence, since, .. } => self.enter_newborn(key, &asked, presence, since),
            LaneOp::LeavePattern { conn } => self.leave_by_pattern(key, conn),
            LaneOp::Unname { conn } => self.unname(key, conn),
            LaneOp::Group(op) => self.run_group(key, op),
            LaneOp::Ended { by } => self.end_lane(key, by),
        }
    }

    /// Lets a publish be appended while the lane goes on with those that follow it.
    pub(super) fn await_append(&mut self, key: Key, ticket: Ticket, publish: Box<PublishOp>) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.appending.push_back((ticket, publish));
            self.waiting.insert(ticket, key);
        }
    }

    /// Takes what a store tells.
    pub(crate) fn hear(&mut self, told: Told) {
        match told {
            Told::Answer(ticket, answer) => self.complete(ticket, answer),
            Told::Fed { topic, position, body } => self.fed(&topic, position, &body),
            Told::Work { topic, group } => self.restock(&topic, group),
            Told::Moved { topic, reason, head, durability } => self.moved(&topic, reason, head, durability),
            Told::Deleted { topic, by } => {
                if let Some(key) = self.by_topic.get(&topic) {
                    self.ask_lane(*key, LaneOp::Ended { by });
                }
            }
        }
    }

    /// Goes on with `then` once the store has answered: now, or when the answer comes.
    pub(crate) fn answered<T>(
        &mut self,
        key: Key,
        ticket: Ticket,
        pending: Pending,
        progress: Progress<T>,
        then: impl FnOnce(&mut Self, Key, Pending, Result<T, StoreError>),
    ) {
        match progress {
            Progress::Done(result) => then(self, key, pending, result),
            Progress::Later => {
                #[cfg(any(test, feature = "sabotage"))]
                if self.sabotages(crate::sim::Sabotage::JoinReadsThenRegisters) && matches!(pending, Pending::Op(LaneOp::Join(_))) {
                    self.loose.insert(ticket, (key, pending));
                    return;
                }
                if let Some(lane) = self.lanes.get_mut(key) {
                    match pending {
                        Pending::Op(LaneOp::Group(op)) if op.passes() => lane.grouping.push_back((ticket, op)),
                        pending @ (Pending::Open | Pending::Follow(_) | Pending::Op(_)) => lane.waiting = Some((ticket, pending)),
                    }
                    self.waiting.insert(ticket, key);
                }
            }
        }
    }

    /// Takes a store's late answer, and goes on with what the lane has queued meanwhile.
    pub(crate) fn complete(&mut self, ticket: Ticket, answer: Answer) {
        #[cfg(any(test, feature = "sabotage"))]
        if let (Some((key, pending)), Answer::Read(page)) = (self.loose.remove(&ticket), &answer) {
            return self.read(key, pending, page.clone());
        }
        let Some(key) = self.waiting.remove(&ticket) else { return };
        self.settle_answer(key, ticket, answer);
        while let Some(lane) = self.lanes.get_mut(key) {
            if !lane.queue.front().is_some_and(|op| lane.is_free_for(op)) {
                break;
            }
            let Some(op) = lane.queue.pop_front() else { break };
            self.run(key, op);
        }
    }

    fn settle_answer(&mut self, key: Key, ticket: Ticket, answer: Answer) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Answer::Appended(result) = answer {
            let Some(at) = lane.appending.iter().position(|(appending, _)| *appending == ticket) else { return };
            let Some((_, mut publish)) = lane.appending.remove(at) else { return };
            return self.published(key, &mut publish, result);
        }
        if let Some(at) = lane.grouping.iter().position(|(asked, _)| *asked == ticket) {
            let (Some((_, op)), Answer::Group(result)) = (lane.grouping.remove(at), answer) else { return };
            return self.group_answered(key, Pending::Op(LaneOp::Group(op)), result);
        }
        let Some((_, pending)) = lane.waiting.take() else { return };
        match answer {
            Answer::Opened(result) => self.opened(key, pending, result),
            Answer::Followed(result) => self.followed(key, pending, result),
            Answer::Read(result) => self.read(key, pending, result),
            Answer::Deleted(result) => self.deleted(key, pending, result),
            Answer::Group(result) => self.group_answered(key, pending, result),
            Answer::Appended(_) => unreachable!("these were settled before"),
        }
    }

    /// Goes on with whatever asked for a page.
    pub(crate) fn read(&mut self, key: Key, pending: Pending, page: Result<Page, StoreError>) {
        match pending {
            Pending::Op(LaneOp::Join(join)) => self.joined(key, &join, page),
            Pending::Op(LaneOp::CatchUp { conn, from }) => self.caught_up(key, conn, from, page),
            Pending::Op(LaneOp::History { asked, args, epoch }) => self.history_read(key, asked, args, epoch, page),
            Pending::Op(LaneOp::Info { asked, .. }) => self.info_read(key, asked, page),
            other @ (Pending::Open | Pending::Follow(_) | Pending::Op(_)) => unreachable!("only these read, not {other:?}"),
        }
    }

    /// Whether a test wants this promise broken.
    #[cfg(any(test, feature = "sabotage"))]
    pub(crate) fn sabotages(&self, sabotage: crate::sim::Sabotage) -> bool {
        self.shared.sabotages(sabotage)
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Answers that a request is not carried out, and lets telemetry know.
    pub(crate) fn refuse(&mut self, asked: &Asked, topic: Option<Topic>, refusal: &Refusal) {
        self.shared.tell_refused(asked, topic, refusal.code);
        self.egress.refuse(asked, refusal);
    }

    /// Answers that the store could not do it.
    pub(crate) fn refuse_store(&mut self, asked: &Asked, topic: Option<Topic>, error: &StoreError) {
        self.refuse(asked, topic, &error.refusal());
    }

    /// Takes a connection out of a lane without an answer: it is gone.
    fn part(&mut self, key: Key, conn: ConnId) {
        self.part_groups(key, conn);
        self.remove_member(key, conn);
    }
}
