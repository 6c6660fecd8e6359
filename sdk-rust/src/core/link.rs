//! The connection: attempts, the introduction, signs of life, loss, drain and end.

use arqonbus_protocol::json::{Introduction, Write};
use arqonbus_protocol::{
    CloseCode, CommandArgs, ConnectArgs, ConnectResult, ErrorCode, MessageId, PROTOCOL_VERSION, PingArgs, RawJson, RefreshArgs, Refusal, Retry,
    Welcome, encode_command, limits,
};

use super::calls::Asker;
use super::phase::{Finishing, Live, OpenError, Phase};
use super::{Core, EndReason, Event, Failure, Fault};

/// The longest heartbeat that still notices a dead peer within 33 s.
const HEARTBEAT_MS_MAX: u64 = 16_000;
/// How long a connection has to live before a close "with back-off" begins from the first wait again.
const SETTLED_MS: u64 = 10_000;
/// How long acks are waited for, after the moment at which a draining server wants this client to move.
const MOVE_GRACE_MS: u64 = 2_000;
/// How long a sign of life may take after [`Core::wake`].
const WAKE_PATIENCE_MS: u64 = 5_000;
/// When to come back to a server that drains and does not say when.
const DRAINING_MS: u64 = 1_000;
/// Earlier identities that are remembered.
const FORMER_MAX: usize = 8;

impl Core {
    /// Says that the socket is open. The server speaks first.
    pub fn handle_open(&mut self, now: u64) {
        if matches!(self.phase, Phase::Opening { .. }) {
            self.phase = Phase::Greeting { deadline: now + self.config.handshake_timeout_ms };
        }
    }

    /// Says that the socket did not open.
    pub fn handle_open_error(&mut self, error: OpenError, now: u64) {
        if !matches!(self.phase, Phase::Opening { .. }) {
            return;
        }
        if error.permanent {
            self.end(Fault::Unreachable(error.why), None);
        } else {
            self.lose(error.why, error.retry_after_ms.map(|ms| now + ms), now);
        }
    }

    /// Says that the socket is closed: by a close frame with a code, or lost without one.
    pub fn handle_close(&mut self, code: Option<u16>, now: u64) {
        if !self.phase.has_socket() {
            return;
        }
        self.wire.abandon();
        let Some(code) = code else { return self.lose("the connection was lost".to_owned(), None, now) };
        if !CloseCode::comes_back(code) {
            return self.end(Fault::ClosedByServer(code), None);
        }
        // 41xx: the server was not content, so a short life does not count as a success.
        let short = self.live().is_some_and(|live| now.saturating_sub(live.since) < SETTLED_MS);
        self.short_lives = if short && (4100..4200).contains(&code) { self.short_lives + 1 } else { 0 };
        let hint = if (4200..4300).contains(&code) { Some(now) } else { None };
        self.lose(format!("closed by the server with code {code}"), hint, now);
    }

    /// Gives the token that was asked for, or a new one: a live connection is refreshed with it.
    pub fn set_token(&mut self, token: impl Into<String>, now: u64) {
        let token = token.into();
        self.config.token = Some(token.clone());
        match self.phase {
            Phase::Token { .. } => self.open(now),
            Phase::Connected(_) => {
                self.ask(RefreshArgs::NAME, &RefreshArgs { token }, now);
                self.flush(now);
            }
            Phase::Idle | Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Introducing { .. } | Phase::Waiting { .. } | Phase::Closed => {}
        }
    }

    /// Says that no token was found this time.
    pub fn token_failed(&mut self, why: impl Into<String>, now: u64) {
        if matches!(self.phase, Phase::Token { .. }) {
            self.lose(format!("no token: {}", why.into()), None, now);
        }
    }

    /// Says that the machine or page has slept, or that the network came back: looks at once whether the connection lives.
    pub fn wake(&mut self, now: u64) {
        match &mut self.phase {
            Phase::Waiting { until, hinted: false } => *until = now,
            Phase::Connected(live) if live.lost_at.is_none_or(|at| at > now + WAKE_PATIENCE_MS) => {
                live.lost_at = Some(now + WAKE_PATIENCE_MS);
                self.ask(PingArgs::NAME, &PingArgs::default(), now);
            }
            Phase::Idle
            | Phase::Token { .. }
            | Phase::Opening { .. }
            | Phase::Greeting { .. }
            | Phase::Introducing { .. }
            | Phase::Connected(_)
            | Phase::Waiting { .. }
            | Phase::Closed => {}
        }
        self.handle_timeout(now);
    }

    /// Says that the driver does not read on purpose, because the application is slow: silence is not death then.
    pub fn handle_backpressure(&mut self, now: u64) {
        if let Phase::Connected(live) = &mut self.phase {
            let due = now >= live.heard_at + live.heartbeat_ms;
            live.lost_at = None;
            if due {
                live.heard_at = now;
                // The server wants a byte of us, and reads though we do not.
                self.ask(PingArgs::NAME, &PingArgs::default(), now);
                self.flush(now);
            }
        }
    }

    /// Takes no new work, waits for what is in flight, leaves, and closes.
    pub fn drain(&mut self, now: u64) {
        if self.finishing.is_none() && !matches!(self.phase, Phase::Closed) {
            self.finishing = Some(Finishing { deadline: now + self.config.drain_timeout_ms, leaving: false });
            self.flush(now);
        }
    }

    /// Closes at once: what is in flight is `Unknown`.
    pub fn close(&mut self, _now: u64) {
        self.end(Fault::Closed, Some(CloseCode::Normal));
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Connected(live) => Some(live),
            Phase::Idle
            | Phase::Token { .. }
            | Phase::Opening { .. }
            | Phase::Greeting { .. }
            | Phase::Introducing { .. }
            | Phase::Waiting { .. }
            | Phase::Closed => None,
        }
    }

    /// Whether frames are split at line breaks.
    #[must_use]
    pub fn is_batching(&self) -> bool {
        self.live().is_some_and(|live| live.batch)
    }

    /// Says that something came that is no frame of text, such as a ping: any byte is a sign of life.
    pub fn handle_alive(&mut self, now: u64) {
        if let Phase::Connected(live) = &mut self.phase {
            live.heard_at = now;
            live.lost_at = None;
        }
    }

    pub(super) fn attempt(&mut self, now: u64) {
        if self.config.token_provider {
            self.phase = Phase::Token { deadline: now + self.config.open_timeout_ms };
            self.events.push_back(Event::TokenNeeded);
        } else {
            self.open(now);
        }
    }

    fn open(&mut self, now: u64) {
        self.phase = Phase::Opening { deadline: now + self.config.open_timeout_ms };
        self.wire.open(&self.config.url);
    }

    /// Does what the passing of time asks of the connection.
    pub(super) fn tick_link(&mut self, now: u64) {
        if self.phase.alarm().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.phase {
            Phase::Idle | Phase::Closed => {}
            Phase::Token { .. } => self.lose("no token in time".to_owned(), None, now),
            Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Introducing { .. } => {
                self.drop_socket(CloseCode::GoingAway);
                self.lose("the server did not answer in time".to_owned(), None, now);
            }
            Phase::Waiting { .. } => self.attempt(now),
            Phase::Connected(live) if live.reconnect_at.is_some_and(|at| at <= now) => {
                if !live.put_off && self.publishes.is_awaiting() {
                    // Answers owed are on their way.
                    live.put_off = true;
                    live.reconnect_at = Some(now + MOVE_GRACE_MS);
                    return;
                }
                self.drop_socket(CloseCode::Normal);
                self.lose("the server is shutting down".to_owned(), Some(now), now);
            }
            Phase::Connected(live) if live.lost_at.is_some_and(|at| at <= now) => {
                self.drop_socket(CloseCode::NoPong);
                self.lose("no sign of life".to_owned(), None, now);
            }
            Phase::Connected(live) => {
                live.lost_at = Some(now + live.heartbeat_ms);
                self.ask(PingArgs::NAME, &PingArgs::default(), now);
            }
        }
    }

    pub(super) fn on_welcome(&mut self, welcome: &Welcome, now: u64) {
        if matches!(self.phase, Phase::Greeting { .. }) {
            if let Some(draining) = &welcome.draining {
                self.drop_socket(CloseCode::Normal);
                return self.lose("the server is shutting down".to_owned(), Some(now + draining.reconnect_after_ms), now);
            }
            if !welcome.protocols.contains(&PROTOCOL_VERSION) {
                let refusal = Refusal::new(ErrorCode::Unsupported, "the server speaks other versions of the protocol");
                return self.end(Fault::Refused(refusal), Some(CloseCode::Version));
            }
            return self.introduce(usize::try_from(welcome.limits.envelope_bytes).unwrap_or(limits::ENVELOPE_BYTES_MAX), now);
        }
        match &welcome.draining {
            Some(draining) => self.on_draining(Some(draining.reconnect_after_ms), now),
            None => {
                if let Phase::Connected(live) = &mut self.phase {
                    live.reconnect_at = None;
                }
            }
        }
    }

    /// The server is shutting down: new work waits, and we move when it says.
    pub(super) fn on_draining(&mut self, after_ms: Option<u64>, now: u64) {
        let at = now + after_ms.unwrap_or(DRAINING_MS);
        if let Phase::Connected(live) = &mut self.phase {
            live.reconnect_at = Some(live.reconnect_at.map_or(at, |known| known.min(at)));
        }
    }

    fn introduce(&mut self, envelope_bytes_max: usize, now: u64) {
        let request = self.make_id(now);
        let args = ConnectArgs {
            protocol: Some(PROTOCOL_VERSION),
            token: self.config.token.clone(),
            name: self.config.name.clone(),
            kind: self.config.kind.clone(),
            user: self.config.user,
            batch: self.config.batch,
            resume: self.identity.resume.clone(),
            metadata: None,
            agent: Some(self.config.agent.clone()),
        };
        let introduction = Introduction { args, metadata: self.config.metadata.as_deref().map(RawJson::from_encoder) };
        self.wire.send(&encode_command(Some(&request), ConnectArgs::NAME, &introduction));
        self.phase = Phase::Introducing { deadline: now + self.config.handshake_timeout_ms, request, envelope_bytes_max };
    }

    /// Takes the answer to `connect`. False where this answers something else.
    pub(super) fn on_introduced(&mut self, id: &MessageId, outcome: &Result<RawJson<'_>, Refusal>, now: u64) -> bool {
        let Phase::Introducing { request, envelope_bytes_max, .. } = self.phase else { return false };
        if request != *id {
            return false;
        }
        match outcome.as_ref().map(RawJson::read::<ConnectResult>) {
            Ok(Ok(result)) => self.welcome_in(result, envelope_bytes_max, now),
            Ok(Err((at, why))) => self.misbehaved(&format!("the answer to connect does not fit: {why} at {at}"), now),
            Err(refusal) if refusal.retry == Retry::Never => self.end(Fault::Refused(refusal.clone()), Some(CloseCode::Normal)),
            Err(refusal) => {
                self.drop_socket(CloseCode::Normal);
                self.lose(format!("refused: {refusal}"), refusal.retry_after_ms.map(|ms| now + ms), now);
            }
        }
        true
    }

    fn welcome_in(&mut self, result: ConnectResult, envelope_bytes_max: usize, now: u64) {
        let same = match (&self.identity.user, &result.user) {
            (Some(before), Some(now)) => before == now,
            _ => self.identity.client == Some(result.client),
        };
        for settled in self.publishes.forsake(same || !self.identity.connected_before, now) {
            self.settle(settled);
        }
        if let Some(before) = self.identity.client.replace(result.client).filter(|before| *before != result.client) {
            self.identity.former.push_back(before);
            if self.identity.former.len() > FORMER_MAX {
                self.identity.former.pop_front();
            }
        }
        self.identity.user = result.user;
        self.identity.resume = Some(result.resume);
        self.identity.connected_before = true;
        self.attempts = 0;
        if result.batch {
            self.wire.start_batching();
        }
        let heartbeat_ms = if result.heartbeat_ms == 0 { limits::HEARTBEAT_MS } else { result.heartbeat_ms.min(HEARTBEAT_MS_MAX) };
        self.phase = Phase::Connected(Live {
            since: now,
            heartbeat_ms,
            heard_at: now,
            lost_at: None,
            reconnect_at: None,
            put_off: false,
            envelope_bytes_max,
            batch: result.batch,
        });
        self.events.push_back(Event::Connected { client: result.client, user: result.user, resumed: result.resumed });
    }

    /// The peer said what no server of this version says.
    pub(super) fn misbehaved(&mut self, why: &str, now: u64) {
        self.drop_socket(CloseCode::Protocol);
        self.lose(why.to_owned(), None, now);
    }

    fn drop_socket(&mut self, code: CloseCode) {
        self.wire.abandon();
        self.wire.close(code.code());
    }

    /// A question of the core itself; its answer is a sign of life.
    fn ask(&mut self, name: &str, args: &dyn Write, now: u64) {
        let id = self.make_id(now);
        self.calls.push(Asker::Core, id, name, encode_command(Some(&id), name, args), now + self.config.request_timeout_ms);
        self.calls.transmit(&mut self.wire);
    }

    /// The connection is lost or did not come about: waits for another attempt.
    fn lose(&mut self, why: String, hint: Option<u64>, now: u64) {
        let hint = hint.or(self.live().and_then(|live| live.reconnect_at));
        self.publishes.rewind();
        self.subscriptions.rewind();
        let lost = self.calls.rewind();
        self.lose_all_jobs();
        self.fail_calls(lost, Vec::new());
        let bound = self.config.backoff.bound_ms(self.attempts + self.short_lives);
        self.attempts += 1;
        if !self.identity.connected_before && self.config.first_attempts_max > 0 && self.attempts >= self.config.first_attempts_max {
            return self.end(Fault::Unreachable(why), None);
        }
        let until = hint.unwrap_or_else(|| now + self.rng.up_to(bound));
        self.phase = Phase::Waiting { until, hinted: hint.is_some_and(|at| at > now) };
        self.events.push_back(Event::Lost { why });
        self.finish(now);
    }

    /// Goes on with a drain, where one is under way.
    pub(super) fn finish(&mut self, now: u64) {
        if self.finishing.is_some() {
            self.flush_settlings();
        }
        if self.finishing.is_some() && self.live().is_some() && self.publishes.is_unsure() {
            // What nobody waits for may still be refused: that is told before the end.
            self.publishes.be_sure();
            self.ask(PingArgs::NAME, &PingArgs { settled: true }, now);
        }
        let Some(finishing) = &mut self.finishing else { return };
        let idle = self.publishes.is_empty() && self.calls.is_empty();
        if now >= finishing.deadline || (idle && !matches!(self.phase, Phase::Connected(_))) {
            return self.end(Fault::Closed, Some(CloseCode::Normal));
        }
        if idle && !finishing.leaving {
            finishing.leaving = true;
            self.leave_all(now);
        }
        if idle && self.subscriptions.leaves.is_empty() {
            self.end(Fault::Closed, Some(CloseCode::Normal));
        }
    }

    /// Ends for good. With a code, an open socket is closed with it.
    pub(super) fn end(&mut self, fault: Fault, code: Option<CloseCode>) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if let Some(code) = code.filter(|_| self.phase.has_socket()) {
            self.wire.close(code.code());
        }
        self.phase = Phase::Closed;
        for settled in self.publishes.abandon() {
            self.settle(settled);
        }
        let (commands, replies) = self.calls.abandon();
        self.lose_all_jobs();
        self.fail_calls(commands, replies);
        for subscription in self.subscriptions.ids() {
            self.end_subscription(subscription, EndReason::Closed(fault.clone()));
        }
        self.events.push_back(Event::State(super::State::Closed));
        self.told = super::State::Closed;
        self.events.push_back(Event::Closed(fault));
    }

    /// Whether new work is taken.
    pub(super) fn is_open_for_work(&self) -> bool {
        self.finishing.is_none() && !matches!(self.phase, Phase::Closed)
    }

    pub(super) fn settle(&mut self, settled: super::publishes::Settled) {
        if matches!(settled.outcome, Err(Failure::Rejected(_) | Failure::Unknown | Failure::NotSent)) {
            self.calls.forget_reply(settled.call);
        }
        self.events.extend(settled.into_event());
    }
}
