//! Commands and replies that are waited for.

use std::collections::VecDeque;

use arqonbus_protocol::MessageId;

use super::table::Table;
use super::wire::Wire;
use super::{CallId, Failure};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The application.
    Application(CallId),
    /// The core, for jobs that the application settles; by the number of their batch.
    Jobs(u64),
    /// The core itself, as a sign of life or to refresh credentials.
    Core,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    id: MessageId,
    asker: Asker,
    text: String,
    deadline: u64,
    /// Sent on this connection.
    sent: bool,
    /// Sent on any connection: it may have been carried out.
    ever_sent: bool,
    /// Whether carrying it out twice is the same as once; otherwise it is not sent again.
    repeatable: bool,
}

/// Commands without an answer yet, in the order of their calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    commands: VecDeque<Pending>,
    by_id: Table<MessageId, u64>,
    next: u64,
    /// No deadline is before this.
    deadline: Option<u64>,
    /// Requests that were sent as messages and wait for a reply: by message id.
    replies: Table<MessageId, (CallId, u64)>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.commands.len() + self.replies.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the application waits for an answer; the core's own questions do not count.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.replies.is_empty() || self.commands.iter().any(|pending| pending.asker != Asker::Core)
    }

    /// Takes a command that is written already.
    pub(crate) fn push(&mut self, asker: Asker, id: MessageId, name: &str, text: String, deadline: u64) {
        let repeatable = !matches!(name, "delete_channel" | "disconnect" | "ack" | "nack");
        self.note(deadline);
        self.by_id.insert(id, self.next);
        self.commands.push_back(Pending { number: self.next, id, asker, text, deadline, sent: false, ever_sent: false, repeatable });
        self.next += 1;
    }

    pub(crate) fn expect_reply(&mut self, id: MessageId, call: CallId, deadline: u64) {
        self.note(deadline);
        self.replies.insert(id, (call, deadline));
    }

    fn note(&mut self, deadline: u64) {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
    }

    pub(crate) fn transmit(&mut self, wire: &mut Wire) {
        for pending in self.commands.iter_mut().filter(|pending| !pending.sent) {
            wire.send(&pending.text);
            pending.sent = true;
            pending.ever_sent = true;
        }
    }

    /// The connection is lost: what can be repeated goes again, the rest is given up. The core's own questions are void.
    pub(crate) fn rewind(&mut self) -> Vec<(Asker, Failure)> {
        let lost: Vec<u64> = (self.commands.iter())
            .filter(|pending| pending.asker == Asker::Core || (pending.sent && !pending.repeatable))
            .map(|pending| pending.number)
            .collect();
        for pending in &mut self.commands {
            pending.sent = false;
        }
        lost.into_iter().filter_map(|number| self.take(number)).map(|pending| (pending.asker, Failure::Unknown)).collect()
    }

    /// Takes the asker of an answer.
    pub(crate) fn answer(&mut self, id: &MessageId) -> Option<Asker> {
        let number = *self.by_id.get(id)?;
        self.take(number).map(|pending| pending.asker)
    }

    /// Sends a command again on the next connection: the server is shutting down and did not carry it out.
    pub(crate) fn postpone(&mut self, id: &MessageId) -> bool {
        let Some(index) = self.by_id.get(id).and_then(|number| self.index(*number)) else { return false };
        self.commands[index].sent = false;
        true
    }

    pub(crate) fn reply(&mut self, id: &MessageId) -> Option<CallId> {
        let reply = self.replies.remove(id).map(|(call, _)| call);
        self.rest();
        reply
    }

    /// With nobody waiting, nothing is due.
    fn rest(&mut self) {
        if self.is_empty() {
            self.deadline = None;
        }
    }

    pub(crate) fn forget_reply(&mut self, call: CallId) {
        let waiting = self.replies.iter().find(|(_, (waiting, _))| *waiting == call).map(|(id, _)| *id);
        if let Some(id) = waiting {
            self.reply(&id);
        }
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Commands, then replies, whose time is over.
    pub(crate) fn expire(&mut self, now: u64) -> (Vec<(Asker, Failure)>, Vec<CallId>) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return (Vec::new(), Vec::new());
        }
        let due: Vec<u64> = self.commands.iter().filter(|pending| pending.deadline <= now).map(|pending| pending.number).collect();
        let commands = due.into_iter().filter_map(|number| self.give_up(number)).collect();
        let late: Vec<MessageId> = self.replies.iter().filter(|(_, (_, deadline))| *deadline <= now).map(|(id, _)| *id).collect();
        let replies = late.iter().filter_map(|id| self.reply(id)).collect();
        self.deadline = (self.commands.iter().map(|pending| pending.deadline)).chain(self.replies.iter().map(|(_, (_, deadline))| *deadline)).min();
        (commands, replies)
    }

    /// All of them, because the client is closed.
    pub(crate) fn abandon(&mut self) -> (Vec<(Asker, Failure)>, Vec<CallId>) {
        let all: Vec<u64> = self.commands.iter().map(|pending| pending.number).collect();
        let commands = all.into_iter().filter_map(|number| self.give_up(number)).collect();
        let replies = self.replies.iter().map(|(_, (call, _))| *call).collect();
        self.replies.clear();
        (commands, replies)
    }

    fn give_up(&mut self, number: u64) -> Option<(Asker, Failure)> {
        let pending = self.take(number)?;
        let failure = if pending.ever_sent { Failure::Unknown } else { Failure::NotSent };
        Some((pending.asker, failure))
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.commands.binary_search_by_key(&number, |pending| pending.number).ok()
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.commands.remove(self.index(number)?)?;
        self.by_id.remove(&pending.id);
        self.rest();
        Some(pending)
    }
}
