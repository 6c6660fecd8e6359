//! Looks at all logs at once, and what else is due for all of them together.

use std::sync::atomic::Ordering::Relaxed;

use arqonbus_protocol::Topic;

use super::catalogue::ENTER_AGAIN_MS;
use super::desk::Job;
use super::log::Place;
use super::script::{Ends, Look};
use super::{Looking, RedisStore};
use crate::clock::Moment;
use crate::storage::Told;

impl RedisStore {
    /// Looks at all logs at once: the last message of one may be what is missing.
    pub(super) fn look_at_all(&mut self, now: Moment) {
        self.heads_due = now.plus_ms(self.head_check_ms);
        if self.is_down {
            return;
        }
        self.take_back();
        self.tell_class();
        for topic in self.groups.topics() {
            self.tell_work(topic, None);
        }
        let looks = self.looks();
        if looks.is_empty() || self.keeps_holes() {
            return;
        }
        self.looking = match self.looking {
            Looking::Not => {
                self.ask(Job::AllHeads(looks));
                Looking::Once
            }
            Looking::Once | Looking::Again => Looking::Again,
        };
    }

    /// Notices may have been lost, or Redis may be another one.
    pub(super) fn interrupted(&mut self, now: Moment) {
        let is_new = self.looking == Looking::Not;
        self.look_at_all(now);
        if is_new {
            self.enter_all(now);
        }
    }

    pub(super) fn all_seen(&mut self, heads: Vec<(Topic, Ends)>, now: Moment) {
        for (topic, ends) in heads {
            self.seen(&topic, ends, now);
        }
    }

    /// Enters all logs into the catalogue again: Redis may be another one, and what stands there has its time.
    pub(super) fn enter_all(&mut self, now: Moment) {
        self.enter_due = now.plus_ms(ENTER_AGAIN_MS);
        let looks = self.looks();
        if !looks.is_empty() && !self.is_down {
            self.ask(Job::Enter(looks));
        }
    }

    fn looks(&self) -> Vec<Look> {
        self.logs.iter().filter(|(_, log)| log.place == Place::Redis).map(|(topic, log)| self.look(topic, log)).collect()
    }

    /// Lets acks say what they survive, where Redis was configured anew.
    fn tell_class(&mut self) {
        let fsync = self.fsync.load(Relaxed);
        if std::mem::replace(&mut self.told_fsync, fsync) == fsync {
            return;
        }
        for (topic, log) in self.logs.iter().filter(|(_, log)| log.place == Place::Redis) {
            let durability = self.class(&log.settings);
            self.out.push_back(Told::Moved { topic: *topic, reason: None, head: log.position(log.told), durability });
        }
        self.wake();
    }
}
