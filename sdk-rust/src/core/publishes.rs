//! Publishes in flight: sent in order, resent in order under their ids, resolved once.

use std::collections::VecDeque;

use arqonbus_protocol::{ErrorCode, MessageId, PublishResult, RawJson, Refusal, Target};

use super::table::Table;
use super::wire::Wire;
use super::{CallId, Config, Declined, Event, Failure};

/// A publish older than this when the connection comes back is not sent again: the server's deduplication window (2 min) might
/// have passed, and the message be stored twice.
pub const RESEND_WINDOW_MS: u64 = 100_000;

/// A message on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where it goes.
    pub target: Target,
    /// The payload: one JSON value.
    pub payload: String,
    /// An object of strings as JSON.
    pub headers: Option<String>,
    /// The idempotency key; the core makes one where there is none.
    pub id: Option<MessageId>,
    /// The message that this one answers.
    pub correlation_id: Option<MessageId>,
    /// Whether this connection is left out of the delivery.
    pub exclude_sender: bool,
    /// Milliseconds until the outcome is given up; the configured time where there is none.
    pub timeout_ms: Option<u64>,
}

impl Outgoing {
    /// A payload for a target, and nothing else.
    #[must_use]
    pub fn new(target: impl Into<Target>, payload: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            payload: payload.into(),
            headers: None,
            id: None,
            correlation_id: None,
            exclude_sender: false,
            timeout_ms: None,
        }
    }

    pub(crate) fn encode(&self, id: Option<MessageId>, ack: bool, request: bool) -> String {
        let publish = arqonbus_protocol::Publish {
            id,
            target: self.target,
            payload: RawJson::from_encoder(&self.payload),
            headers: self.headers.as_deref().map(RawJson::from_encoder),
            correlation_id: self.correlation_id,
            request,
            ack,
            exclude_sender: self.exclude_sender,
        };
        publish.encode()
    }
}

/// What the application hears of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Its outcome.
    Ack,
    /// Nothing; without an ack it is forgotten once it is sent.
    Nothing,
    /// The reply to it.
    Reply,
}

#[derive(Debug)]
struct Entry {
    call: CallId,
    id: Option<MessageId>,
    interest: Interest,
    text: String,
    deadline: u64,
    /// When it was first sent; none while it is certainly not stored.
    sent_at: Option<u64>,
    target: Target,
    exclude_sender: bool,
    resolved: bool,
}

/// What an answer settled.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) call: CallId,
    pub(crate) interest: Interest,
    pub(crate) target: Target,
    pub(crate) exclude_sender: bool,
    pub(crate) outcome: Result<PublishResult, Failure>,
}

/// The queue. Entries are numbered without end; `first` is the number of the front one.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    entries: VecDeque<Entry>,
    first: u64,
    /// The number of the first entry that was not sent on this connection.
    unsent: u64,
    by_id: Table<MessageId, u64>,
    live: usize,
    bytes: usize,
    /// Whether something was sent on this connection, and the server not asked since, of which only a refusal would be heard.
    is_unsure: bool,
    /// No entry's deadline is before this.
    deadline: Option<u64>,
}

impl Publishes {
    /// Takes a publish at the end of the queue.
    pub(crate) fn push(
        &mut self,
        call: CallId,
        outgoing: &Outgoing,
        id: Option<MessageId>,
        interest: Interest,
        deadline: u64,
        config: &Config,
    ) -> Result<(), Declined> {
        // `exclude_sender` implies an ack on the wire: its position is the one that will not be seen.
        let ack = interest != Interest::Nothing || outgoing.exclude_sender;
        let text = outgoing.encode(id, ack, interest == Interest::Reply);
        if !self.has_room(text.len(), config) {
            return Err(Declined::Full);
        }
        let number = self.first + self.entries.len() as u64;
        if let Some(id) = id
            && ack
        {
            if self.by_id.contains(&id) {
                return Err(Declined::IdInFlight);
            }
            self.by_id.insert(id, number);
        }
        self.live += 1;
        self.bytes += text.len();
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        let (target, exclude_sender) = (outgoing.target, outgoing.exclude_sender);
        self.entries.push_back(Entry {
            call,
            id: id.filter(|_| ack),
            interest,
            text,
            deadline,
            sent_at: None,
            target,
            exclude_sender,
            resolved: false,
        });
        Ok(())
    }

    pub(crate) fn has_room(&self, bytes: usize, config: &Config) -> bool {
        // One publish always fits, however large.
        self.live == 0 || (self.live < config.in_flight_max && self.bytes + bytes <= config.in_flight_bytes_max)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether some publish was sent and is not answered.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.entries.iter().take((self.unsent - self.first) as usize).any(|entry| !entry.resolved)
    }

    /// Sends all that was not sent on this connection.
    pub(crate) fn transmit(&mut self, wire: &mut Wire, now: u64) {
        let end = self.first + self.entries.len() as u64;
        while self.unsent < end {
            let number = self.unsent;
            self.unsent += 1;
            let entry = &mut self.entries[(number - self.first) as usize];
            if entry.resolved {
                continue;
            }
            wire.send(&entry.text);
            entry.sent_at.get_or_insert(now);
            if entry.id.is_none() {
                self.is_unsure = true;
                self.resolve(number);
            }
        }
    }

    /// The connection is lost: all that is unanswered goes again, from the start.
    pub(crate) fn rewind(&mut self) {
        self.unsent = self.first;
        // What would be told of it was lost with the connection.
        self.is_unsure = false;
    }

    /// Whether the server may still refuse something that nobody waits for, once all is sent and answered.
    pub(crate) fn is_unsure(&self) -> bool {
        self.is_unsure && self.is_empty()
    }

    /// The server is asked when it is through with what was sent.
    pub(crate) fn be_sure(&mut self) {
        self.is_unsure = false;
    }

    /// What must not be sent again: its deduplication is not certain any more. Called before [`Self::transmit`] on a new connection.
    pub(crate) fn forsake(&mut self, same_identity: bool, now: u64) -> Vec<Settled> {
        self.settle_where(|entry| entry.sent_at.is_some_and(|at| !same_identity || now.saturating_sub(at) > RESEND_WINDOW_MS))
    }

    /// Settles what is due.
    pub(crate) fn expire(&mut self, now: u64) -> Vec<Settled> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let due = self.settle_where(|entry| entry.deadline <= now);
        self.deadline = self.entries.iter().filter(|entry| !entry.resolved).map(|entry| entry.deadline).min();
        due
    }

    /// Settles all, because the client is closed.
    pub(crate) fn abandon(&mut self) -> Vec<Settled> {
        self.settle_where(|_| true)
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Takes the server's answer; `None` where it answers nothing here.
    pub(crate) fn answer(&mut self, id: &MessageId, outcome: Result<PublishResult, Refusal>) -> Option<Settled> {
        let number = *self.by_id.get(id)?;
        let settled = self.settle(number, outcome.map_err(Failure::from));
        self.resolve(number);
        Some(settled)
    }

    /// Keeps a publish that a server refused because it is shutting down: it goes again on the next connection.
    pub(crate) fn postpone(&mut self, id: &MessageId) -> bool {
        let Some(number) = self.by_id.get(id) else { return false };
        self.entries[(*number - self.first) as usize].sent_at = None;
        true
    }

    pub(crate) fn knows(&self, id: &MessageId) -> bool {
        self.by_id.contains(id)
    }

    /// A reply came, perhaps before the ack: the request needs no resending.
    pub(crate) fn forget(&mut self, id: &MessageId) {
        if let Some(number) = self.by_id.get(id).copied() {
            self.resolve(number);
        }
    }

    fn settle(&self, number: u64, outcome: Result<PublishResult, Failure>) -> Settled {
        let entry = &self.entries[(number - self.first) as usize];
        Settled { call: entry.call, interest: entry.interest, target: entry.target, exclude_sender: entry.exclude_sender, outcome }
    }

    fn settle_where(&mut self, mut chosen: impl FnMut(&Entry) -> bool) -> Vec<Settled> {
        let mut settled = Vec::new();
        let (start, end) = (self.first, self.first + self.entries.len() as u64);
        for number in start..end {
            let entry = &self.entries[(number - start) as usize];
            if !entry.resolved && chosen(entry) {
                let failure = if entry.sent_at.is_some() { Failure::Unknown } else { Failure::NotSent };
                settled.push((number, failure));
            }
        }
        // Resolving pops from the front, so it comes after the walk.
        settled
            .into_iter()
            .map(|(number, failure)| {
                let one = self.settle(number, Err(failure));
                self.resolve(number);
                one
            })
            .collect()
    }

    fn resolve(&mut self, number: u64) {
        let entry = &mut self.entries[(number - self.first) as usize];
        entry.resolved = true;
        self.live -= 1;
        self.bytes -= entry.text.len();
        entry.text = String::new();
        if let Some(id) = entry.id.take() {
            self.by_id.remove(&id);
        }
        while self.entries.front().is_some_and(|front| front.resolved) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.unsent = self.unsent.max(self.first);
        if self.live == 0 {
            self.deadline = None;
        }
    }
}

impl Settled {
    /// The event for the application; none where it did not ask.
    pub(crate) fn into_event(self) -> Option<Event> {
        match (self.interest, self.outcome) {
            (Interest::Ack, outcome) => Some(Event::Published { call: self.call, outcome }),
            (Interest::Reply, Err(failure)) => Some(Event::Replied { call: self.call, outcome: Err(failure) }),
            (Interest::Nothing, Err(Failure::Rejected(refusal))) => Some(Event::Refused(refusal)),
            // Nobody waits for it, and still it is not dropped in silence.
            (Interest::Nothing, Err(Failure::NotSent)) => {
                Some(Event::Refused(Refusal::new(ErrorCode::Overloaded, "a publish without ack was not sent before its time")))
            }
            // The reply to an accepted request is still to come.
            (Interest::Reply | Interest::Nothing, _) => None,
        }
    }
}
