//! The client without I/O: inputs go in with the time, orders and events come out.
//!
//! A driver owns the socket and the clock. It hands in what happens (`handle_open`, `handle_frame`, `handle_close`, `handle_timeout`
//! and the application's calls) and after each of them takes [`Core::poll_output`] until it says [`Output::Wait`]. Time is milliseconds
//! of any clock that does not go back; randomness is a seed. So the same core serves every SDK, and every run can be repeated.
//!
//! ```
//! use arqonbus_client::core::{Config, Core, Output};
//!
//! let mut core = Core::new(Config::new("ws://127.0.0.1:9100"), 7);
//! core.connect(0);
//! let first = std::iter::from_fn(|| Some(core.poll_output())).find(|output| !matches!(output, Output::Event(_)));
//! assert!(matches!(first, Some(Output::Open { .. })));
//! ```

mod application;
mod calls;
mod config;
mod feed;
mod inbound;
mod jobs;
mod link;
mod mailbox;
mod output;
mod phase;
mod publishes;
mod rng;
mod subscriptions;
mod table;
mod wire;

use std::collections::VecDeque;

use arqonbus_protocol::{ClientId, MessageId, UserId};

pub use config::{Backoff, Config};
pub use jobs::{JobRef, Settling};
pub use output::{CallId, Declined, EndReason, Event, Failure, Fault, Output, State, SubscriptionId};
pub use phase::OpenError;
pub use publishes::{Outgoing, RESEND_WINDOW_MS};
pub use subscriptions::{Joining, PATTERN_TOPICS_MAX};

use calls::{Asker, Calls};
use jobs::Settlings;
use mailbox::Mailbox;
use phase::{Finishing, Phase};
use publishes::Publishes;
use rng::Rng;
use subscriptions::Subscriptions;
use wire::Wire;

/// The client core.
#[derive(Debug)]
pub struct Core {
    config: Config,
    rng: Rng,
    phase: Phase,
    told: State,
    finishing: Option<Finishing>,
    identity: Identity,
    /// Attempts since the last success.
    attempts: u32,
    /// Connections in a row that the server closed soon and with the wish for back-off.
    short_lives: u32,
    wire: Wire,
    events: VecDeque<Event>,
    publishes: Publishes,
    calls: Calls,
    subscriptions: Subscriptions,
    mailbox: Mailbox,
    settlings: Settlings,
    next_call: u64,
}

/// Who the server says this is.
#[derive(Debug, Default)]
struct Identity {
    client: Option<ClientId>,
    /// Earlier ids of this core, for messages that it sent under them.
    former: VecDeque<ClientId>,
    user: Option<UserId>,
    resume: Option<String>,
    connected_before: bool,
}

impl Core {
    /// A core that does nothing until [`Core::connect`].
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let subscriptions = Subscriptions::new(rng.next_u64());
        Self {
            config,
            rng,
            phase: Phase::Idle,
            told: State::Idle,
            finishing: None,
            identity: Identity::default(),
            attempts: 0,
            short_lives: 0,
            wire: Wire::default(),
            events: VecDeque::new(),
            publishes: Publishes::default(),
            calls: Calls::default(),
            subscriptions,
            mailbox: Mailbox::default(),
            settlings: Settlings::default(),
            next_call: 0,
        }
    }

    /// Begins to connect; once.
    pub fn connect(&mut self, now: u64) {
        if matches!(self.phase, Phase::Idle) {
            self.attempt(now);
        }
    }

    /// Says that time has passed.
    pub fn handle_timeout(&mut self, now: u64) {
        self.expire(now);
        self.tick_link(now);
        self.flush(now);
    }

    /// Takes the next thing to do. [`Output::Wait`] is the last one until another input.
    pub fn poll_output(&mut self) -> Output {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        let state = self.state();
        if state != self.told {
            self.told = state;
            return Output::Event(Event::State(state));
        }
        self.flush_settlings();
        self.wire.pop().unwrap_or_else(|| Output::Wait { until: self.alarm() })
    }

    /// How the connection is.
    #[must_use]
    pub fn state(&self) -> State {
        match (&self.phase, &self.finishing) {
            (Phase::Closed, _) => State::Closed,
            (_, Some(_)) => State::Draining,
            (Phase::Idle, None) => State::Idle,
            (Phase::Token { .. } | Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Introducing { .. }, None) => State::Connecting,
            (Phase::Connected(_), None) => State::Connected,
            (Phase::Waiting { .. }, None) => State::Waiting,
        }
    }

    /// This client's identity, once it has one.
    #[must_use]
    pub fn client(&self) -> Option<ClientId> {
        self.identity.client
    }

    /// Whether the application waits for an answer of the server.
    #[must_use]
    pub fn is_awaiting(&self) -> bool {
        self.publishes.is_awaiting() || self.calls.is_awaiting() || self.subscriptions.is_joining()
    }

    /// Whether a publish of so many bytes would be taken now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.publishes.has_room(bytes + 1_024, &self.config)
    }

    /// Whether a command or request would be taken now.
    #[must_use]
    pub fn has_room_for_calls(&self) -> bool {
        self.calls.len() < self.config.unanswered_max
    }

    fn expire(&mut self, now: u64) {
        for settled in self.publishes.expire(now) {
            self.settle(settled);
        }
        let (commands, replies) = self.calls.expire(now);
        self.fail_calls(commands, replies);
        self.expire_joins(now);
    }

    /// Sends what may be sent, and goes on with a drain.
    fn flush(&mut self, now: u64) {
        if self.is_sending() {
            self.flush_joins(now);
            self.calls.transmit(&mut self.wire);
            self.publishes.transmit(&mut self.wire, now);
        }
        self.finish(now);
    }

    /// Whether new work goes out: connected, and not to a server that is shutting down.
    fn is_sending(&self) -> bool {
        self.live().is_some_and(|live| live.reconnect_at.is_none())
    }

    /// The earliest moment at which something is due.
    fn alarm(&self) -> Option<u64> {
        if matches!(self.phase, Phase::Closed) {
            return None;
        }
        let finishing = self.finishing.as_ref().map(|finishing| finishing.deadline);
        [self.phase.alarm(), self.publishes.deadline(), self.calls.deadline(), self.subscriptions.alarm(self.is_sending()), finishing]
            .into_iter()
            .flatten()
            .min()
    }

    fn make_id(&mut self, now: u64) -> MessageId {
        MessageId::ulid(self.config.unix_ms_at_zero.saturating_add(now), self.rng.next_u128())
    }

    fn make_call(&mut self) -> u64 {
        self.next_call += 1;
        self.next_call
    }

    fn is_own(&self, sender: &ClientId) -> bool {
        self.identity.client.as_ref() == Some(sender) || self.identity.former.contains(sender)
    }

    fn fail_calls(&mut self, commands: Vec<(Asker, Failure)>, replies: Vec<CallId>) {
        for (asker, failure) in commands {
            match asker {
                Asker::Application(call) => self.events.push_back(Event::Answered { call, outcome: Err(failure) }),
                Asker::Jobs(batch) => self.fail_settling(batch, &failure),
                Asker::Core => {}
            }
        }
        self.events.extend(replies.into_iter().map(|call| Event::Replied { call, outcome: Err(Failure::Unknown) }));
    }
}
