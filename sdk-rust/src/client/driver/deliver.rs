//! Events of the core, brought to whom they concern.

use std::collections::HashMap;

use super::Driver;
use super::lines::Reply;
use crate::client::queue::Item;
use crate::client::{Error, Identity};
use crate::core::{CallId, EndReason, Event, Failure, Fault, State, SubscriptionId};

impl Driver {
    pub(super) fn tell(&mut self, event: Event) {
        match event {
            Event::State(State::Closed) => {}
            Event::State(state) => drop(self.shared.state.send_replace(state)),
            Event::Connected { client, user, resumed } => drop(self.shared.identity.send_replace(Some(Identity { client, user, resumed }))),
            Event::Lost { why } => drop(self.shared.last_loss.send_replace(Some(why))),
            Event::Closed(fault) => self.on_closed(fault),
            Event::TokenNeeded => self.token = self.provider.as_ref().map(|provider| provider()),
            Event::Joined { subscription, result, again: _ } => {
                if let Some(first) = self.subscriptions.get_mut(&subscription).and_then(|joined| joined.first.take()) {
                    answer(first, Ok(result));
                }
            }
            Event::Message { subscription, message } => self.push(subscription, Item::Message(message)),
            Event::Job { job, message } => self.push(job.subscription, Item::Job { message, job }),
            Event::JobsLost { subscription, jobs } => self.push(subscription, Item::JobsLost(jobs)),
            Event::Settled { call, outcome } => settle(&mut self.settlings, call, outcome),
            Event::Gap { subscription, topic, gap } => self.push(subscription, Item::Gap { topic, gap }),
            Event::Presence { subscription, topic, joined, presence } => self.push(subscription, Item::Presence { topic, joined, presence }),
            Event::Deleted { subscription, topic, by } => self.push(subscription, Item::Deleted { topic, by }),
            Event::Ended { subscription, reason } => {
                let Some(mut joined) = self.subscriptions.remove(&subscription) else { return };
                match joined.first.take() {
                    Some(first) => answer(first, Err(reason.into())),
                    None => {
                        joined.queue.push(Item::Ended(reason));
                    }
                }
            }
            Event::Inbox(message) if self.has_inbox() => self.push_inboxes(&Item::Message(message)),
            Event::Missed { count } if self.has_inbox() => self.push_inboxes(&Item::Missed(count)),
            Event::Inbox(message) => self.core.take_back(message),
            Event::Missed { count } => self.core.take_back_missed(count),
            Event::Published { call, outcome } => settle(&mut self.publishes, call, outcome),
            Event::Replied { call, outcome } => settle(&mut self.requests, call, outcome),
            Event::Answered { call, outcome } => settle(&mut self.commands, call, outcome),
            Event::Refused(refusal) => drop(self.shared.refusals.send(refusal)),
        }
    }

    /// Forgets inboxes that nobody reads any more; gives whether there are others.
    pub(super) fn has_inbox(&mut self) -> bool {
        self.inboxes.retain(|inbox| !inbox.is_reader_gone());
        !self.inboxes.is_empty()
    }

    fn push_inboxes(&self, item: &Item) {
        for inbox in &self.inboxes {
            inbox.push(item.clone());
        }
    }

    pub(super) fn push(&mut self, subscription: SubscriptionId, item: Item) {
        if let Some(joined) = self.subscriptions.get(&subscription)
            && joined.queue.push(item)
            && !self.full.contains(&subscription)
        {
            self.full.push(subscription);
        }
    }

    pub(super) fn on_closed(&mut self, fault: Fault) {
        // The reason stands before anybody can see that it is over.
        let _said_once = self.shared.fault.set(fault);
        self.shared.state.send_replace(State::Closed);
        for inbox in std::mem::take(&mut self.inboxes) {
            inbox.push(Item::Ended(self.end_reason()));
        }
    }

    pub(super) fn end_reason(&self) -> EndReason {
        EndReason::Closed(self.shared.fault.get().cloned().unwrap_or(Fault::Closed))
    }
}

fn settle<T>(waiting: &mut HashMap<CallId, Reply<T>>, call: CallId, outcome: Result<T, Failure>) {
    if let Some(reply) = waiting.remove(&call) {
        answer(reply, outcome.map_err(Into::into));
    }
}

/// Whoever asked may have stopped waiting.
pub(super) fn answer<T>(reply: Reply<T>, outcome: Result<T, Error>) {
    let _not_waited_for = reply.send(outcome);
}
