//! Switches that take a mechanism away, so that a test can show that it would notice.

use arqonbus_protocol::Topic;

use super::desk::Job;
use super::group_script::Question;
use super::log::{Feed, Place, Placed};
use super::{RedisStore, Waiting};
use crate::clock::Moment;
use crate::sim::Sabotage;
use crate::storage::{Outcome, Whose};

impl RedisStore {
    /// Whether a new epoch is told.
    pub(super) fn says_epochs(&self) -> bool {
        self.sabotage != Some(Sabotage::NoEpochGap)
    }

    /// Whether an outage is told.
    pub(super) fn says_degraded(&self) -> bool {
        self.sabotage != Some(Sabotage::DegradeSilently)
    }

    /// Whether what is missing stays so.
    pub(super) fn keeps_holes(&self) -> bool {
        matches!(self.sabotage, Some(Sabotage::DropNoticesForGood | Sabotage::KeepHoles))
    }

    /// Whether a message waits for those before it.
    pub(super) fn keeps_order(&self) -> bool {
        self.sabotage != Some(Sabotage::DeliverAsTheyCome)
    }

    /// Gives back what was not written, unless it is acknowledged as if it were.
    pub(super) fn unless_acked(&mut self, topic: &Topic, unwritten: Vec<Waiting>, now: Moment) -> Vec<Waiting> {
        if self.sabotage != Some(Sabotage::AckUnwritten) {
            return unwritten;
        }
        let Some(log) = self.logs.get_mut(topic).filter(|log| log.place == Place::Redis) else { return unwritten };
        for Waiting { ticket, item, .. } in unwritten {
            if let Some(ticket) = ticket {
                log.place(log.known + 1, Placed::Own(ticket, item));
            }
        }
        self.advance(topic, now);
        Vec::new()
    }

    /// Follows the feed of a topic that nobody hears.
    pub(super) fn follow_anyway(&mut self, topic: &Topic) {
        if let Some(log) = self.logs.get_mut(topic).filter(|_| self.sabotage == Some(Sabotage::FollowAll)) {
            log.feed = Feed::Here;
            self.ask_for_feed(topic);
        }
    }

    /// Lets go of a feed that somebody waits for.
    pub(super) fn drop_feed(&mut self, topic: &Topic) {
        if self.sabotage == Some(Sabotage::FollowNothing) {
            self.ask(Job::Unfollow(*topic));
        }
    }

    /// Whether what Redis has missed or lost stays so.
    pub(super) fn is_forgetful(&self) -> bool {
        self.sabotage == Some(Sabotage::ForgetOnOutage)
    }

    /// What is asked about a group instead of what should be; nothing where it is not asked at all.
    pub(super) fn asks_instead(&self, question: Question) -> Option<Question> {
        let again = Outcome::Again { delay_ms: 0, reason: None };
        match (self.sabotage, question) {
            (Some(Sabotage::ForgetAcks), Question::Settle { holder, epoch, seqs, outcome: Outcome::Done }) => {
                Some(Question::Settle { holder, epoch, seqs, outcome: again })
            }
            (Some(Sabotage::LoseJobsOfTheDead), Question::Free(Whose::Of(_))) => None,
            (_, question) => Some(question),
        }
    }

    /// Whether this notice, one of a hundred, is lost.
    pub(super) fn drops_notice(&mut self) -> bool {
        if !matches!(self.sabotage, Some(Sabotage::DropNotices | Sabotage::DropNoticesForGood)) {
            return false;
        }
        self.nonce = self.nonce.wrapping_add(1);
        self.nonce.is_multiple_of(100)
    }
}
