//! What the server says, and where it goes.

use arqonbus_protocol::{
    Delivery, ErrorCode, Event as Envelope, EventBody, Gap, JoinResult, Position, PublishResult, RawJson, Refusal, Response, Retry, ServerEnvelope,
    Target, Topic,
};

use super::calls::Asker;
use super::feed::Meeting;
use super::subscriptions::Phase;
use super::{Core, EndReason, Event, Failure, SubscriptionId};
use crate::Message;

impl Core {
    /// Takes one text frame.
    pub fn handle_frame(&mut self, text: &str, now: u64) {
        self.handle_alive(now);
        if self.is_batching() {
            for line in text.split('\n').filter(|line| !line.trim_ascii().is_empty()) {
                self.take_envelope(line, now);
            }
        } else {
            self.take_envelope(text, now);
        }
        self.flush(now);
    }

    /// Meets `count` messages of one topic that follow each other, whose texts the driver keeps: the usual case, in short. Gives the one
    /// subscription that takes all of them, each the next and with nothing else to tell. Otherwise `None`, and nothing has changed:
    /// then they have to come in as a frame. Not for replies, nor for messages with `exclude_sender`.
    pub fn handle_run(&mut self, topic: &Topic, first: Position, count: u64, now: u64) -> Option<SubscriptionId> {
        let (id, subscription) = self.subscriptions.only_follower(topic)?;
        if subscription.phase != Phase::Live || !subscription.meet_run(topic, first, count) {
            return None;
        }
        self.handle_alive(now);
        Some(id)
    }

    /// Takes a frame that is not even JSON.
    pub fn handle_nonsense(&mut self, now: u64) {
        if self.phase.has_socket() {
            self.misbehaved("not an envelope: not JSON", now);
            self.flush(now);
        }
    }

    fn take_envelope(&mut self, text: &str, now: u64) {
        match ServerEnvelope::decode(text) {
            Ok(ServerEnvelope::Message(delivery)) => self.on_message(&delivery, now),
            Ok(ServerEnvelope::Response(response)) => self.on_response(response, now),
            Ok(ServerEnvelope::Event(event)) => self.on_event(&event, now),
            Ok(ServerEnvelope::Error(error)) => self.events.push_back(Event::Refused(error.error)),
            Err(malformed) => self.misbehaved(&format!("not an envelope: {malformed}"), now),
        }
    }

    fn on_message(&mut self, delivery: &Delivery<'_>, now: u64) {
        let head = &delivery.head;
        if let Some(correlation) = &head.correlation_id
            && let Some(call) = self.calls.reply(correlation)
        {
            self.publishes.forget(correlation);
            self.events.push_back(Event::Replied { call, outcome: Ok(Message::from_delivery(delivery)) });
            return;
        }
        match (&head.target, delivery.job) {
            (Target::Topic(topic), Some(job)) => self.on_job(topic, job, delivery),
            (Target::Topic(topic), None) => self.on_topic_message(topic, delivery, now),
            (Target::Room(_) | Target::Client(_) | Target::User(_) | Target::Everyone, _) => {
                self.on_inbox_message(Message::from_delivery(delivery));
            }
        }
    }

    fn on_topic_message(&mut self, topic: &Topic, delivery: &Delivery<'_>, now: u64) {
        let own = delivery.head.exclude_sender && self.is_own(&delivery.head.sender);
        let mut message = None;
        let mut nth = 0;
        let mut overfull = None;
        while let Some((id, subscription)) = self.subscriptions.follower(topic, nth) {
            nth += 1;
            if subscription.phase != Phase::Live {
                continue;
            }
            let meeting = match delivery.head.position {
                Some(position) => subscription.meet(topic, position, own),
                None if own => Meeting::Old,
                None => Meeting::Next(None),
            };
            match meeting {
                Meeting::Next(gap) => {
                    if let Some(gap) = gap {
                        self.events.push_back(Event::Gap { subscription: id, topic: *topic, gap });
                    }
                    let message = message.get_or_insert_with(|| Message::from_delivery(delivery)).clone();
                    self.events.push_back(Event::Message { subscription: id, message });
                }
                Meeting::Old => {}
                Meeting::Hole => {
                    let at = subscription.repair(now);
                    self.subscriptions.wake_at(at);
                    continue;
                }
            }
            if subscription.topics() > super::PATTERN_TOPICS_MAX {
                overfull = Some(id);
            }
        }
        if let Some(id) = overfull {
            self.quit(id, EndReason::TooManyTopics, now);
        }
    }

    fn on_response(&mut self, response: Response<'_>, now: u64) {
        let Response { request_id, outcome } = response;
        if self.publishes.knows(&request_id) {
            return self.on_published(&request_id, outcome, now);
        }
        if self.on_introduced(&request_id, &outcome, now) {
            return;
        }
        if let Some(id) = self.subscriptions.asked_by(&request_id) {
            return self.on_joined(id, outcome, now);
        }
        if self.subscriptions.leaves.remove(&request_id).is_some() {
            return;
        }
        if let Err(refusal) = &outcome
            && refusal.code == ErrorCode::Draining
            && self.calls.postpone(&request_id)
        {
            return self.on_draining(refusal.retry_after_ms, now);
        }
        match (self.calls.answer(&request_id), outcome) {
            (Some(Asker::Jobs(batch)), outcome) => self.on_settled(batch, outcome, now),
            (Some(Asker::Application(call)), outcome) => {
                let outcome = outcome.map(|raw| raw.as_str().to_owned()).map_err(Failure::from);
                self.events.push_back(Event::Answered { call, outcome });
            }
            (Some(Asker::Core) | None, Err(refusal)) => self.events.push_back(Event::Refused(refusal)),
            // A sign of life, or an answer that came too late for anybody to wait for it.
            (Some(Asker::Core) | None, Ok(_)) => {}
        }
    }

    fn on_published(&mut self, id: &arqonbus_protocol::MessageId, outcome: Result<RawJson<'_>, Refusal>, now: u64) {
        let outcome = match outcome.map(|raw| raw.read::<PublishResult>()) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err((at, why))) => return self.misbehaved(&format!("a publish result does not fit: {why} at {at}"), now),
            Err(refusal) if refusal.code == ErrorCode::Draining => {
                self.publishes.postpone(id);
                return self.on_draining(refusal.retry_after_ms, now);
            }
            Err(refusal) => Err(refusal),
        };
        let Some(settled) = self.publishes.answer(id, outcome) else { return };
        if let (true, Target::Topic(topic), Ok(PublishResult { position: Some(position), .. })) =
            (settled.exclude_sender, &settled.target, &settled.outcome)
        {
            let (topic, position) = (*topic, *position);
            self.skip_own(&topic, position);
        }
        self.settle(settled);
    }

    /// This position will not be delivered to us, because it is our own.
    fn skip_own(&mut self, topic: &Topic, position: Position) {
        let mut nth = 0;
        while let Some((_, subscription)) = self.subscriptions.follower(topic, nth) {
            nth += 1;
            subscription.skip(topic, position);
        }
    }

    fn on_joined(&mut self, id: SubscriptionId, outcome: Result<RawJson<'_>, Refusal>, now: u64) {
        let refusal = match outcome.map(|raw| raw.read::<JoinResult>()) {
            Ok(Ok(result)) => return self.begin_delivery(id, result, now),
            Ok(Err((at, why))) => return self.misbehaved(&format!("a join result does not fit: {why} at {at}"), now),
            Err(refusal) => refusal,
        };
        let jitter = self.rng.up_to(1_000);
        let Some(subscription) = self.subscriptions.by_id(id) else { return };
        subscription.member = false;
        if refusal.code == ErrorCode::Draining {
            subscription.phase = Phase::Due(0);
            return self.on_draining(refusal.retry_after_ms, now);
        }
        if subscription.joined_before && refusal.retry != Retry::Never {
            // It was allowed before: an overloaded server or store gets time, and the position is kept.
            let at = now + refusal.retry_after_ms.unwrap_or(1_000) + jitter;
            subscription.phase = Phase::Due(at);
            return self.subscriptions.wake_at(at);
        }
        self.end_subscription(id, EndReason::Refused(refusal));
    }

    fn begin_delivery(&mut self, id: SubscriptionId, result: JoinResult, now: u64) {
        let Some(subscription) = self.subscriptions.by_id(id) else { return };
        let again = subscription.joined_before;
        let Some(overdue) = subscription.joined(&result) else {
            return self.quit(id, EndReason::TooManyTopics, now);
        };
        self.events.push_back(Event::Joined { subscription: id, result, again });
        self.events.extend(overdue.into_iter().map(|(topic, gap)| Event::Gap { subscription: id, topic, gap }));
    }

    fn on_event(&mut self, event: &Envelope<'_>, now: u64) {
        let body = match event.body() {
            Ok(Some(body)) => body,
            // A newer server tells more than this version knows.
            Ok(None) => return,
            Err(refusal) => return self.misbehaved(&format!("an event does not fit: {refusal}"), now),
        };
        match (body, event.topic) {
            (EventBody::Welcome(welcome), _) => self.on_welcome(&welcome, now),
            (EventBody::Gap(gap), Some(topic)) => match event.group {
                Some(group) => self.on_group_gap(&topic, &group, gap),
                None => self.on_gap(&topic, gap),
            },
            (EventBody::Joined(presence), Some(topic)) => self.on_presence(&topic, true, &presence),
            (EventBody::Left(presence), Some(topic)) => self.on_presence(&topic, false, &presence),
            (EventBody::Deleted(deleted), Some(topic)) => self.on_deleted(&topic, deleted.by),
            (EventBody::Gap(_) | EventBody::Joined(_) | EventBody::Left(_) | EventBody::Deleted(_), None) => {
                self.misbehaved("an event about a topic names none", now);
            }
        }
    }

    fn on_gap(&mut self, topic: &Topic, gap: Gap) {
        let mut nth = 0;
        while let Some((id, subscription)) = self.subscriptions.follower(topic, nth) {
            nth += 1;
            if subscription.phase == Phase::Live
                && let Some(gap) = subscription.gap(topic, gap)
            {
                self.events.push_back(Event::Gap { subscription: id, topic: *topic, gap });
            }
        }
    }

    fn on_presence(&mut self, topic: &Topic, joined: bool, presence: &arqonbus_protocol::Presence) {
        let mut nth = 0;
        while let Some((id, subscription)) = self.subscriptions.follower(topic, nth) {
            nth += 1;
            if subscription.phase == Phase::Live && subscription.joining.presence {
                self.events.push_back(Event::Presence { subscription: id, topic: *topic, joined, presence: presence.clone() });
            }
        }
    }

    fn on_deleted(&mut self, topic: &Topic, by: arqonbus_protocol::ClientId) {
        let mut ended = self.subscriptions.workers_of(topic);
        let mut nth = 0;
        while let Some((id, subscription)) = self.subscriptions.follower(topic, nth) {
            nth += 1;
            if subscription.phase != Phase::Live {
                continue;
            }
            if subscription.is_exact() {
                ended.push(id);
            } else {
                subscription.forget(topic);
                self.events.push_back(Event::Deleted { subscription: id, topic: *topic, by });
            }
        }
        for id in ended {
            self.end_subscription(id, EndReason::Deleted { by });
        }
    }
}
