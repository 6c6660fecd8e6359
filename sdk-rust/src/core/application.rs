//! What the application asks for.

use arqonbus_protocol::limits::ENVELOPE_BYTES_MAX;
use arqonbus_protocol::{Command, CommandArgs, JoinArgs, LeaveArgs, MessageId, RawJson, Request, encode_command};

use super::calls::Asker;
use super::publishes::Interest;
use super::subscriptions::Phase;
use super::{CallId, Core, Declined, EndReason, Event, Joining, Outgoing, SubscriptionId};

impl Core {
    /// Publishes; the outcome comes as [`Event::Published`].
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn publish(&mut self, outgoing: &Outgoing, now: u64) -> Result<CallId, Declined> {
        self.enqueue(outgoing, Interest::Ack, now)
    }

    /// Publishes without asking for an ack; only a refusal is told, as [`Event::Refused`]. While there is no connection it waits
    /// in the same bounded queue, or is declined where `wait` is false.
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn publish_nowait(&mut self, outgoing: &Outgoing, wait: bool, now: u64) -> Result<(), Declined> {
        if !wait && self.live().is_none() {
            return Err(Declined::NotConnected);
        }
        self.enqueue(outgoing, Interest::Nothing, now).map(|_| ())
    }

    /// Sends a request; the reply comes as [`Event::Replied`].
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn request(&mut self, outgoing: &Outgoing, now: u64) -> Result<CallId, Declined> {
        if !self.has_room_for_calls() {
            return Err(Declined::Full);
        }
        self.enqueue(outgoing, Interest::Reply, now)
    }

    /// Sends a command; the result comes as [`Event::Answered`].
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn command(&mut self, command: Command, timeout_ms: Option<u64>, now: u64) -> Result<CallId, Declined> {
        let name = command.name();
        self.command_with(name, timeout_ms, now, |id| Request { id: Some(id), command }.encode())
    }

    /// Sends a command whose arguments are JSON already; `name` is of `a-z` and `_`. The result comes as [`Event::Answered`].
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn command_json(&mut self, name: &str, args: RawJson<'_>, timeout_ms: Option<u64>, now: u64) -> Result<CallId, Declined> {
        self.command_with(name, timeout_ms, now, |id| encode_command(Some(&id), name, &args))
    }

    fn command_with(&mut self, name: &str, timeout_ms: Option<u64>, now: u64, encode: impl FnOnce(MessageId) -> String) -> Result<CallId, Declined> {
        self.check_open()?;
        if !self.has_room_for_calls() {
            return Err(Declined::Full);
        }
        let call = CallId(self.make_call());
        let id = self.make_id(now);
        let deadline = now.saturating_add(timeout_ms.unwrap_or(self.config.request_timeout_ms));
        self.calls.push(Asker::Application(call), id, name, encode(id), deadline);
        self.flush(now);
        Ok(call)
    }

    /// Joins a topic or pattern; what comes of it is told by events with this id.
    ///
    /// # Errors
    /// [`Declined`], where it was not taken.
    pub fn join(&mut self, joining: Joining, now: u64) -> Result<SubscriptionId, Declined> {
        self.check_open()?;
        if self.subscriptions.len() >= self.config.subscriptions_max {
            return Err(Declined::Full);
        }
        if joining.group.is_some() && joining.pattern.as_topic().is_none() {
            return Err(Declined::NotATopic);
        }
        if self.subscriptions.has(&joining) {
            return Err(Declined::AlreadyJoined);
        }
        let id = SubscriptionId(self.make_call());
        self.subscriptions.insert(id, joining, now.saturating_add(self.config.request_timeout_ms));
        self.subscriptions.wake_at(now);
        self.flush(now);
        Ok(id)
    }

    /// Leaves; the last event is [`Event::Ended`].
    pub fn leave(&mut self, id: SubscriptionId, now: u64) {
        if self.subscriptions.by_id(id).is_some() {
            self.quit(id, EndReason::Left, now);
        }
    }

    /// Stops the delivery of a subscription whose application is slow; its position is kept, and the server's history holds what comes.
    pub fn pause(&mut self, id: SubscriptionId, now: u64) {
        let Some(subscription) = self.subscriptions.by_id(id) else { return };
        // Before its first reply there is no position to go on from.
        if !subscription.joined_before || subscription.phase == Phase::Paused {
            return;
        }
        subscription.phase = Phase::Paused;
        let (member, leaving) = (std::mem::take(&mut subscription.member), subscription.joining.leaving());
        if member {
            self.send_leave(&leaving, now);
        }
        self.lose_jobs(id);
    }

    /// Goes on with a paused subscription, from its last position.
    pub fn resume(&mut self, id: SubscriptionId, now: u64) {
        let Some(subscription) = self.subscriptions.by_id(id) else { return };
        if subscription.phase == Phase::Paused {
            subscription.phase = Phase::Due(now);
            self.subscriptions.wake_at(now);
            self.flush(now);
        }
    }

    pub(super) fn check_open(&self) -> Result<(), Declined> {
        if self.is_open_for_work() { Ok(()) } else { Err(Declined::Closing) }
    }

    fn enqueue(&mut self, outgoing: &Outgoing, interest: Interest, now: u64) -> Result<CallId, Declined> {
        self.check_open()?;
        let limit = self.live().map_or(ENVELOPE_BYTES_MAX, |live| live.envelope_bytes_max);
        if outgoing.payload.len() + outgoing.headers.as_ref().map_or(0, String::len) > limit {
            return Err(Declined::TooLarge { limit });
        }
        let call = CallId(self.make_call());
        let needs_id = interest != Interest::Nothing || outgoing.exclude_sender;
        let id = outgoing.id.or_else(|| needs_id.then(|| self.make_id(now)));
        let timeout_ms = if interest == Interest::Reply { self.config.request_timeout_ms } else { self.config.publish_timeout_ms };
        let deadline = now.saturating_add(outgoing.timeout_ms.unwrap_or(timeout_ms));
        self.publishes.push(call, outgoing, id, interest, deadline, &self.config)?;
        if let (Interest::Reply, Some(id)) = (interest, id) {
            self.calls.expect_reply(id, call, deadline);
        }
        self.flush(now);
        Ok(call)
    }

    /// Sends the joins that are due.
    pub(super) fn flush_joins(&mut self, now: u64) {
        if !self.subscriptions.is_due(now) {
            return;
        }
        let envelope_bytes_max = self.live().map_or(ENVELOPE_BYTES_MAX, |live| live.envelope_bytes_max);
        let due: Vec<SubscriptionId> = (self.subscriptions.iter_mut())
            .filter(|(_, subscription)| matches!(subscription.phase, Phase::Due(at) if at <= now))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            let request = self.make_id(now);
            let asked_until = now + self.config.request_timeout_ms;
            let Some(subscription) = self.subscriptions.by_id(id) else { continue };
            subscription.phase = Phase::Asked(request);
            subscription.asked_until = asked_until;
            let left = std::mem::replace(&mut subscription.member, true).then_some(subscription.joining.leaving());
            let args: JoinArgs = subscription.join_args(envelope_bytes_max);
            if let Some(leaving) = left {
                self.send_leave(&leaving, now);
            }
            self.wire.send(&encode_command(Some(&request), JoinArgs::NAME, &args));
        }
        self.subscriptions.rest();
    }

    /// Gives up joins whose time is over: a first one ends; a later one means that the connection does not work.
    pub(super) fn expire_joins(&mut self, now: u64) {
        if !self.subscriptions.is_due(now) {
            return;
        }
        let mut stuck = false;
        let mut ended = Vec::new();
        for (id, subscription) in self.subscriptions.iter_mut() {
            if subscription.deadline.is_some_and(|deadline| deadline <= now) {
                ended.push(id);
            } else if matches!(subscription.phase, Phase::Asked(_)) && subscription.asked_until <= now {
                stuck = true;
            }
        }
        for id in ended {
            self.quit(id, EndReason::TimedOut, now);
        }
        self.subscriptions.rest();
        if stuck {
            self.misbehaved("a join was not answered in time", now);
        }
    }

    /// Ends a subscription from this side.
    pub(super) fn quit(&mut self, id: SubscriptionId, reason: EndReason, now: u64) {
        let Some(subscription) = self.subscriptions.by_id(id) else { return };
        let (member, leaving) = (subscription.member, subscription.joining.leaving());
        if member {
            self.send_leave(&leaving, now);
        }
        self.end_subscription(id, reason);
    }

    /// Leaves everything, as part of a drain.
    pub(super) fn leave_all(&mut self, now: u64) {
        for id in self.subscriptions.ids() {
            let Some(subscription) = self.subscriptions.by_id(id) else { continue };
            let (member, leaving) = (std::mem::take(&mut subscription.member), subscription.joining.leaving());
            subscription.phase = Phase::Paused;
            if member {
                self.send_leave(&leaving, now);
            }
        }
    }

    pub(super) fn end_subscription(&mut self, id: SubscriptionId, reason: EndReason) {
        if self.subscriptions.remove(id).is_some() {
            self.events.push_back(Event::Ended { subscription: id, reason });
        }
    }

    /// What an answer to a leave says changes nothing here, so it is only counted.
    fn send_leave(&mut self, args: &LeaveArgs, now: u64) {
        if self.live().is_none() {
            return;
        }
        // What is left behind is not held any more: what was said of it goes first.
        self.flush_settlings();
        let id = self.make_id(now);
        self.subscriptions.leaves.insert(id, ());
        self.wire.send(&encode_command(Some(&id), LeaveArgs::NAME, &args));
    }
}
