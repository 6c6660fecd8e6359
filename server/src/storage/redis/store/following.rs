//! From which of a topic's messages on this node is told what other nodes append, and until when.
//!
//! Only topics that somebody here hears have their feed followed. The order is: wish for the notices, wait until Redis has confirmed them, look at the
//! head. So every message is either before that head, and for whoever reads the past, or comes as a notice.

use arqonbus_protocol::Topic;

use super::RedisStore;
use super::desk::{Failure, Followed, Job};
use super::log::{Feed, Place};
use crate::clock::Moment;
use crate::config::OnOutage;
use crate::storage::{Answer, Progress, StoreError, Ticket, Told};

impl RedisStore {
    pub(super) fn begin_to_follow(&mut self, topic: &Topic, now: Moment, ticket: Ticket) -> Progress<()> {
        let Some(log) = self.logs.get_mut(topic) else { return Progress::Done(Err(Self::not_open())) };
        match log.place {
            Place::Opening(_) => return Progress::Done(Err(Self::not_open())),
            Place::Redis if self.is_down && self.on_outage == OnOutage::Reject => {
                return Progress::Done(Err(StoreError::Unavailable("Redis is away".into())));
            }
            Place::Redis if self.is_down => {
                log.feed = Feed::Here;
                self.move_to_memory(topic, now);
            }
            Place::Redis => {
                log.feed = Feed::Coming(ticket);
                self.ask_for_feed(topic);
                return Progress::Later;
            }
            // Nobody else writes there. The feed is asked for when the log is given back to Redis.
            Place::Memory | Place::Healing => log.feed = Feed::Here,
            // From where the log was when it was given back: what is missed until the notices come shows as a hole.
            Place::Restoring => {
                log.feed = Feed::Here;
                self.ask_for_feed(topic);
            }
        }
        Progress::Done(Ok(()))
    }

    pub(super) fn ask_for_feed(&mut self, topic: &Topic) {
        let look = self.look(topic, &self.logs[topic]);
        self.ask(Job::Follow(look));
    }

    pub(super) fn end_to_follow(&mut self, topic: &Topic) {
        if let Some(log) = self.logs.get_mut(topic).filter(|log| log.feed != Feed::Away) {
            log.unfollow();
            self.ask(Job::Unfollow(*topic));
        }
    }

    pub(super) fn followed(&mut self, topic: &Topic, followed: Result<Followed, Failure>, now: Moment) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        let Followed { ends, confirmed } = match followed {
            Ok(followed) => followed,
            Err(failure) => return self.not_followed(topic, &failure, now),
        };
        match (log.place, log.feed) {
            (Place::Redis, Feed::Coming(_)) if log.is_past(ends.epoch) => self.ask_for_feed(topic),
            (Place::Redis, Feed::Coming(ticket)) => {
                self.follow_epoch(topic, ends.epoch, ends.start);
                let Some(log) = self.logs.get_mut(topic) else { return };
                log.begin_at(ends);
                (log.feed, log.follows) = (Feed::Here, confirmed);
                let (early, head, settings) = (log.take_early(), log.position(ends.head), log.settings.clone());
                self.out.push_back(Told::Moved { topic: *topic, reason: None, head, durability: self.class(&settings) });
                self.tell(ticket, Answer::Followed(Ok(())));
                self.drop_feed(topic);
                for notice in early {
                    self.noticed(topic, notice, now);
                }
            }
            (_, Feed::Here) => {
                log.follows = confirmed;
                self.seen(topic, ends, now);
            }
            // It went elsewhere meanwhile, or nobody wants it any more.
            (_, Feed::Away | Feed::Coming(_)) => {}
        }
    }

    fn not_followed(&mut self, topic: &Topic, failure: &Failure, now: Moment) {
        if failure.outage {
            self.fail(now);
        }
        let Some(log) = self.logs.get_mut(topic) else { return };
        let (Place::Redis, Feed::Coming(ticket)) = (log.place, log.feed) else { return };
        if failure.outage && self.on_outage == OnOutage::Degrade {
            return self.move_to_memory(topic, now);
        }
        self.end_to_follow(topic);
        self.tell(ticket, Answer::Followed(Err(StoreError::Unavailable(failure.why.clone()))));
    }

    /// A log goes to memory: there it is followed at once.
    pub(super) fn follow_in_memory(&mut self, topic: &Topic) {
        let Some(log) = self.logs.get_mut(topic) else { return };
        if let Feed::Coming(ticket) = log.feed {
            log.feed = Feed::Here;
            log.take_early();
            self.tell(ticket, Answer::Followed(Ok(())));
        }
    }
}
