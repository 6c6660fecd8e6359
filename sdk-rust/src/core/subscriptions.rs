//! Subscriptions: joined, rejoined with positions, repaired where messages are missing.

use arqonbus_protocol::{Gap, Group, JoinArgs, JoinResult, LeaveArgs, MessageId, Pattern, Position, Topic, TopicPosition};

use super::SubscriptionId;
use super::feed::{Feed, Meeting};
use super::jobs::Work;
use super::table::{Seed, Table};

/// Topics that one pattern subscription follows; past it the subscription ends, because positions could not be kept.
pub const PATTERN_TOPICS_MAX: usize = 65_536;
/// Topics whose subscribers are remembered for speed.
const ROUTES_MAX: usize = 65_536;
/// Bytes that one position takes in a join command, at most.
const POSITION_BYTES_MAX: usize = 220;
/// Milliseconds between two repairs of one subscription, doubled each time it finds another hole without a delivered message between.
const REPAIR_MS: u64 = 100;
/// The longest wait between two repairs.
const REPAIR_MS_MAX: u64 = 10_000;

/// What an application joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Joining {
    /// A topic, or all topics that match.
    pub pattern: Pattern,
    /// Begin after this position; for one topic.
    pub since: Option<Position>,
    /// Begin with the last so many messages.
    pub replay: Option<u32>,
    /// Resume a pattern.
    pub positions: Option<Vec<TopicPosition>>,
    /// Whether to be told who joins and leaves.
    pub presence: bool,
    /// Share the messages with this work group of one topic.
    pub group: Option<Group>,
    /// Jobs that may be held unsettled, where the group is joined.
    pub max_in_flight: Option<u32>,
}

impl Joining {
    /// Joins from now on.
    #[must_use]
    pub fn new(pattern: impl Into<Pattern>) -> Self {
        Self { pattern: pattern.into(), since: None, replay: None, positions: None, presence: false, group: None, max_in_flight: None }
    }

    /// What undoes the join.
    pub(crate) fn leaving(&self) -> LeaveArgs {
        LeaveArgs { group: self.group, ..LeaveArgs::new(self.pattern) }
    }
}

/// Where a subscription stands with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// To be joined as soon as there is a connection, and not before this moment.
    Due(u64),
    /// The join with this id is under way; nothing is delivered before its answer.
    Asked(MessageId),
    /// Messages are delivered.
    Live,
    /// Left for a while, because the application is slow; its position is kept.
    Paused,
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) joining: Joining,
    pub(crate) phase: Phase,
    /// Until when the first join must have been answered.
    pub(crate) deadline: Option<u64>,
    /// When the join under way must have been answered.
    pub(crate) asked_until: u64,
    pub(crate) joined_before: bool,
    /// Whether the server may have it as a member: then a repair leaves first.
    pub(crate) member: bool,
    pub(crate) repairs: u32,
    feeds: Table<Topic, Feed>,
    /// What it holds, where it is of a work group: then it follows no feed.
    pub(crate) work: Option<Work>,
    /// Whether all topics of the pattern were listed: then one that is not known begins at its first message.
    complete: bool,
}

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// By id, which grows.
    all: Vec<(SubscriptionId, Subscription)>,
    /// Who follows a topic; filled on demand, emptied when subscriptions come or go.
    routes: Table<Topic, Vec<SubscriptionId>>,
    seed: Seed,
    /// Leaves without an answer.
    pub(crate) leaves: Table<MessageId, ()>,
    /// Nothing is due before this.
    alarm: Option<u64>,
}

impl Subscriptions {
    /// None yet; `seed` keeps its maps from being filled with collisions.
    pub(crate) fn new(seed: u64) -> Self {
        let seed = Seed(seed);
        Self { routes: Table::new(seed), seed, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether the same was joined.
    pub(crate) fn has(&self, joining: &Joining) -> bool {
        self.all.iter().any(|(_, known)| known.joining.pattern == joining.pattern && known.joining.group == joining.group)
    }

    /// The subscription of a work group.
    pub(crate) fn worker(&mut self, topic: &Topic, group: &Group) -> Option<(SubscriptionId, &mut Subscription)> {
        let of = |work: &Work| work.topic == *topic && work.group == *group;
        self.all.iter_mut().find(|(_, subscription)| subscription.work.as_ref().is_some_and(of)).map(|(id, subscription)| (*id, subscription))
    }

    /// The subscriptions of all work groups of a topic that have an answer to their join.
    pub(crate) fn workers_of(&self, topic: &Topic) -> Vec<SubscriptionId> {
        let of =
            |subscription: &Subscription| subscription.phase == Phase::Live && subscription.work.as_ref().is_some_and(|work| work.topic == *topic);
        self.all.iter().filter(|(_, subscription)| of(subscription)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn insert(&mut self, id: SubscriptionId, joining: Joining, deadline: u64) {
        self.routes.clear();
        self.all.push((id, Subscription::new(joining, deadline, self.seed)));
    }

    pub(crate) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        self.routes.clear();
        self.index(id).map(|index| self.all.remove(index).1)
    }

    pub(crate) fn by_id(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.index(id).map(|index| &mut self.all[index].1)
    }

    fn index(&self, id: SubscriptionId) -> Option<usize> {
        self.all.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    pub(crate) fn ids(&self) -> Vec<SubscriptionId> {
        self.all.iter().map(|(id, _)| *id).collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SubscriptionId, &mut Subscription)> {
        self.all.iter_mut().map(|(id, subscription)| (*id, subscription))
    }

    /// Whether the answer to a join is waited for.
    pub(crate) fn is_joining(&self) -> bool {
        self.all.iter().any(|(_, subscription)| matches!(subscription.phase, Phase::Asked(_)))
    }

    /// Something is due at this moment.
    pub(crate) fn wake_at(&mut self, at: u64) {
        self.alarm = Some(self.alarm.map_or(at, |known| known.min(at)));
    }

    /// Whether something may be due.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.alarm.is_some_and(|at| at <= now)
    }

    /// Finds out anew when something is due.
    pub(crate) fn rest(&mut self) {
        self.alarm = self.all.iter().filter_map(|(_, subscription)| subscription.alarm(true)).min();
    }

    /// When something is due. Without a connection joins wait for it, and only time-outs count.
    pub(crate) fn alarm(&self, connected: bool) -> Option<u64> {
        if connected { self.alarm } else { self.all.iter().filter_map(|(_, subscription)| subscription.alarm(false)).min() }
    }

    /// The subscription whose join has this id.
    pub(crate) fn asked_by(&self, request: &MessageId) -> Option<SubscriptionId> {
        self.all.iter().find(|(_, subscription)| subscription.phase == Phase::Asked(*request)).map(|(id, _)| *id)
    }

    /// The nth follower of a topic; asked one by one, so that each can be changed without a copy of the list.
    pub(crate) fn follower(&mut self, topic: &Topic, nth: usize) -> Option<(SubscriptionId, &mut Subscription)> {
        let id = match self.routes.get(topic) {
            Some(followers) => *followers.get(nth)?,
            None => *self.find_followers(topic).get(nth)?,
        };
        self.by_id(id).map(|subscription| (id, subscription))
    }

    /// The follower of a topic that has no other.
    pub(crate) fn only_follower(&mut self, topic: &Topic) -> Option<(SubscriptionId, &mut Subscription)> {
        let followers = match self.routes.get(topic) {
            Some(followers) => followers.as_slice(),
            None => self.find_followers(topic),
        };
        let &[id] = followers else { return None };
        self.by_id(id).map(|subscription| (id, subscription))
    }

    fn find_followers(&mut self, topic: &Topic) -> &[SubscriptionId] {
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        let follows = |subscription: &Subscription| subscription.work.is_none() && subscription.joining.pattern.matches(topic);
        let followers = self.all.iter().filter(|(_, subscription)| follows(subscription)).map(|(id, _)| *id).collect();
        self.routes.get_or_insert_with(*topic, || followers)
    }

    /// The connection is lost: all that is not paused has to be joined again.
    pub(crate) fn rewind(&mut self) {
        self.leaves.clear();
        self.alarm = Some(0);
        for (_, subscription) in &mut self.all {
            subscription.member = false;
            if subscription.phase != Phase::Paused {
                subscription.phase = Phase::Due(0);
            }
        }
    }
}

impl Subscription {
    fn new(joining: Joining, deadline: u64, seed: Seed) -> Self {
        let mut feeds = Table::new(seed);
        let topic = joining.pattern.as_topic();
        let work = topic.zip(joining.group).map(|(topic, group)| Work::new(topic, group));
        if let Some(topic) = topic.filter(|_| work.is_none()) {
            feeds.insert(topic, Feed::default());
        }
        Self {
            joining,
            phase: Phase::Due(0),
            deadline: Some(deadline),
            asked_until: u64::MAX,
            joined_before: false,
            member: false,
            repairs: 0,
            feeds,
            work,
            complete: false,
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.joining.pattern.as_topic().is_some()
    }

    /// The arguments of the next join: as the application said at first, then from where it stands.
    pub(crate) fn join_args(&mut self, envelope_bytes_max: usize) -> JoinArgs {
        let mut args = JoinArgs::new(self.joining.pattern);
        args.presence = self.joining.presence;
        (args.group, args.max_in_flight) = (self.joining.group, self.joining.max_in_flight);
        self.forget_asked();
        if !self.joined_before {
            args.since = self.joining.since;
            args.replay = self.joining.replay;
            args.positions.clone_from(&self.joining.positions);
        } else if let Some(work) = &self.work {
            args.since = work.at();
        } else if let Some(topic) = self.joining.pattern.as_topic() {
            args.since = self.feeds.get(&topic).and_then(Feed::at);
        } else {
            let known = self.feeds.iter().filter_map(|(topic, feed)| feed.at().map(|at| position_of(topic, at)));
            // What does not fit is given from its first held message, and what comes twice is dropped.
            args.positions = Some(known.take(envelope_bytes_max.saturating_sub(1_024) / POSITION_BYTES_MAX).collect());
        }
        if let (Some(topic), Some(since)) = (self.joining.pattern.as_topic(), args.since) {
            self.feed(topic).asked = Some(since);
        }
        for known in args.positions.iter().flatten() {
            self.feed(known.topic()).asked = Some(known.position());
        }
        args
    }

    /// Takes the answer to a join. Gives the gaps to be told now; `None` where it lists more topics than can be followed.
    pub(crate) fn joined(&mut self, result: &JoinResult) -> Option<Vec<(Topic, Gap)>> {
        let mut overdue = Vec::new();
        self.phase = Phase::Live;
        self.deadline = None;
        for start in &result.topics {
            let topic = start.topic();
            let may_be_born = self.joined_before && self.complete;
            let feed = self.feeds.get_or_insert_with(topic, Feed::default);
            let asked = feed.asked.take();
            if let Some(work) = &mut self.work {
                overdue.extend(work.start(start.start, result.group.as_ref(), asked).map(|gap| (topic, gap)));
                continue;
            }
            // Born while we were away: all its messages are wanted.
            let is_born = may_be_born && asked.is_none() && feed.at().is_none();
            let asked = if is_born { Some(Position { seq: 0, ..start.start }) } else { asked };
            overdue.extend(feed.start(start.start, asked).map(|gap| (topic, gap)));
        }
        self.forget_asked();
        self.complete = result.complete && (self.complete || !self.joined_before);
        self.joined_before = true;
        (self.feeds.len() <= PATTERN_TOPICS_MAX).then_some(overdue)
    }

    /// Meets a message of one of its topics.
    pub(crate) fn meet(&mut self, topic: &Topic, position: Position, own: bool) -> Meeting {
        let complete = self.complete;
        let feed = self.feed(*topic);
        if feed.at().is_none() && (position.seq == 1 || !complete) {
            feed.begin_before(position);
        }
        let meeting = feed.meet(position, own);
        if matches!(meeting, Meeting::Next(_)) {
            self.repairs = 0;
        }
        meeting
    }

    /// Meets messages that follow each other. False, and nothing has changed, unless each is the next.
    pub(crate) fn meet_run(&mut self, topic: &Topic, first: Position, count: u64) -> bool {
        let met = self.feeds.get_mut(topic).is_some_and(|feed| feed.meet_run(first, count));
        if met {
            self.repairs = 0;
        }
        met
    }

    pub(crate) fn gap(&mut self, topic: &Topic, gap: Gap) -> Option<Gap> {
        self.feed(*topic).gap(gap)
    }

    pub(crate) fn skip(&mut self, topic: &Topic, position: Position) {
        self.feed(*topic).skip(position);
    }

    pub(crate) fn forget(&mut self, topic: &Topic) {
        self.feeds.remove(topic);
    }

    fn feed(&mut self, topic: Topic) -> &mut Feed {
        self.feeds.get_or_insert_with(topic, Feed::default)
    }

    fn forget_asked(&mut self) {
        for feed in self.feeds.values_mut() {
            feed.asked = None;
        }
    }

    pub(crate) fn topics(&self) -> usize {
        self.feeds.len()
    }

    /// Plans to leave and join again from the last position; at once the first time, then with growing waits.
    pub(crate) fn repair(&mut self, now: u64) -> u64 {
        let wait = if self.repairs == 0 { 0 } else { (REPAIR_MS << self.repairs.min(10)).min(REPAIR_MS_MAX) };
        self.repairs += 1;
        self.phase = Phase::Due(now + wait);
        now + wait
    }

    fn alarm(&self, connected: bool) -> Option<u64> {
        let phase = match self.phase {
            Phase::Due(at) => connected.then_some(at),
            Phase::Asked(_) => Some(self.asked_until),
            Phase::Live | Phase::Paused => None,
        };
        [phase, self.deadline].into_iter().flatten().min()
    }
}

fn position_of(topic: &Topic, at: Position) -> TopicPosition {
    TopicPosition { room: topic.room, channel: topic.channel, epoch: at.epoch, seq: at.seq }
}
