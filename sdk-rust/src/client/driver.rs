//! The one task that owns socket and core: inputs in, orders out, nothing else.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use arqonbus_protocol::{Command, JoinResult, PublishResult};
use futures_util::{Sink, Stream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::Error;
use super::builder::{TokenProvider, TokenWait};
use super::clock::Clock;
use super::queue::{Item, Queue};
use super::socket::{self, Closing, Opening, Socket};
use crate::Message;
use crate::core::{CallId, Core, Event, Fault, Joining, Outgoing, Output, State, SubscriptionId};

/// Frames read before the driver looks at its other duties.
const READS_MAX: usize = 128;
/// Publishes taken before the driver looks at its other duties; they share frames and one flush.
const WORK_MAX: usize = 512;
/// Turns before the driver lets other tasks of its thread run.
const TURNS_MAX: usize = 8;
/// Bytes of frames that wait for the socket; past it no publishes are taken, so that callers wait instead.
const OUTGOING_BYTES_MAX: usize = 1024 * 1024;

/// The answer to one call.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Messages to send, in the order of the calls.
pub(crate) enum Work {
    Publish(Outgoing, Reply<PublishResult>),
    Nowait(Outgoing),
    Request(Outgoing, Reply<Message>),
}

impl Work {
    fn bytes(&self) -> usize {
        match self {
            Self::Publish(outgoing, _) | Self::Nowait(outgoing) | Self::Request(outgoing, _) => {
                outgoing.payload.len() + outgoing.headers.as_ref().map_or(0, String::len)
            }
        }
    }
}

/// Everything else. Apart, so that a full publish queue does not keep anybody from leaving or closing.
pub(crate) enum Control {
    Command(Command, Option<u64>, Reply<String>),
    Join(Joining, Arc<Queue>, Reply<JoinResult>),
    Inbox(Arc<Queue>),
    Token(String),
    Wake,
    Drain,
    Close,
}

/// What the application sees of the connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<State>,
    pub(crate) identity: watch::Sender<Option<super::Identity>>,
    pub(crate) fault: OnceLock<Fault>,
    pub(crate) last_loss: watch::Sender<Option<String>>,
    pub(crate) refusals: tokio::sync::broadcast::Sender<arqonbus_protocol::Refusal>,
}

struct Joined {
    queue: Arc<Queue>,
    first: Option<Reply<JoinResult>>,
    paused: bool,
}

/// The driver: a future that ends when the client is closed and the socket has said goodbye.
pub(crate) struct Driver {
    core: Core,
    clock: Clock,
    shared: Arc<Shared>,
    provider: Option<TokenProvider>,
    work: mpsc::Receiver<Work>,
    control: mpsc::Receiver<Control>,
    attention: mpsc::Receiver<()>,
    opening: Option<Opening>,
    token: Option<TokenWait>,
    socket: Option<Socket>,
    closing: Option<Closing>,
    outgoing: VecDeque<Frame>,
    outgoing_bytes: usize,
    unflushed: bool,
    timer: Pin<Box<Sleep>>,
    until: Option<u64>,
    publishes: HashMap<CallId, Reply<PublishResult>>,
    requests: HashMap<CallId, Reply<Message>>,
    commands: HashMap<CallId, Reply<String>>,
    subscriptions: HashMap<SubscriptionId, Joined>,
    inboxes: Vec<Arc<Queue>>,
    /// Subscriptions whose queue was filled and has not half drained since.
    full: Vec<SubscriptionId>,
    work_open: bool,
    control_open: bool,
    /// Work that found no room.
    held: Option<Work>,
    /// Whether a drain begins when no work is left on the line.
    finishing: bool,
}

/// Where the handles reach the driver.
pub(crate) struct Lines {
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) attention: mpsc::Receiver<()>,
}

impl Driver {
    pub(crate) fn new(core: Core, clock: Clock, shared: Arc<Shared>, provider: Option<TokenProvider>, lines: Lines) -> Self {
        let Lines { work, control, attention } = lines;
        Self {
            core,
            clock,
            shared,
            provider,
            work,
            control,
            attention,
            opening: None,
            token: None,
            socket: None,
            closing: None,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            unflushed: false,
            timer: Box::pin(tokio::time::sleep_until(clock.instant(0))),
            until: None,
            publishes: HashMap::new(),
            requests: HashMap::new(),
            commands: HashMap::new(),
            subscriptions: HashMap::new(),
            inboxes: Vec::new(),
            full: Vec::new(),
            work_open: true,
            control_open: true,
            held: None,
            finishing: false,
        }
    }

    /// One turn over everything that can be ready; true where something was.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = self.poll_opening(cx);
        progress |= self.poll_token(cx);
        progress |= self.poll_read(cx);
        progress |= self.poll_attention(cx);
        progress |= self.poll_control(cx);
        progress |= self.poll_work(cx);
        progress |= self.poll_timer(cx);
        // What an order began, such as a socket or a search for a token, has to be polled once.
        progress |= self.pump();
        progress |= self.poll_write(cx);
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(cx).is_ready()
        {
            self.closing = None;
        }
        progress
    }

    fn is_over(&self) -> bool {
        self.core.state() == State::Closed && self.socket.is_none() && self.closing.is_none()
    }

    /// Carries out all orders of the core; true where there were some.
    fn pump(&mut self) -> bool {
        let mut progress = false;
        loop {
            match self.core.poll_output() {
                Output::Open { url } => self.opening = Some(socket::open(url)),
                Output::Transmit(text) => {
                    self.outgoing_bytes += text.len();
                    self.outgoing.push_back(Frame::text(text));
                }
                Output::Close { code } => self.hang_up(Some(code)),
                Output::Event(event) => self.tell(event),
                Output::Wait { until } => {
                    self.until = until;
                    return progress;
                }
            }
            progress = true;
        }
    }

    /// Lets go of the socket, with a close frame where there is a code.
    fn hang_up(&mut self, code: Option<u16>) {
        self.opening = None;
        let left = std::mem::take(&mut self.outgoing);
        self.outgoing_bytes = 0;
        self.unflushed = false;
        if let Some(socket) = self.socket.take() {
            self.closing = Some(socket::close(socket, left, code));
        }
    }

    fn poll_opening(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(opening) = &mut self.opening else { return false };
        let Poll::Ready(opened) = opening.as_mut().poll(cx) else { return false };
        self.opening = None;
        let now = self.clock.now();
        match opened {
            Ok(socket) => {
                self.socket = Some(socket);
                self.core.handle_open(now);
            }
            Err(error) => self.core.handle_open_error(error, now),
        }
        true
    }

    fn poll_token(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(token) = &mut self.token else { return false };
        let Poll::Ready(found) = token.as_mut().poll(cx) else { return false };
        self.token = None;
        match found {
            Ok(token) => self.core.set_token(token, self.clock.now()),
            Err(why) => self.core.token_failed(why, self.clock.now()),
        }
        true
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for _ in 0..READS_MAX {
            if self.must_hold() {
                break;
            }
            let Some(socket) = &mut self.socket else { break };
            let Poll::Ready(frame) = Pin::new(socket).poll_next(cx) else { break };
            progress = true;
            let now = self.clock.now();
            match frame {
                Some(Ok(Frame::Text(text))) => self.core.handle_frame(&text, now),
                Some(Ok(Frame::Ping(_))) => {
                    // tungstenite has queued the pong; it leaves with the next flush.
                    self.unflushed = true;
                    self.core.handle_alive(now);
                }
                Some(Ok(Frame::Pong(_) | Frame::Frame(_))) => self.core.handle_alive(now),
                Some(Ok(Frame::Close(frame))) => {
                    self.hang_up(None);
                    self.core.handle_close(frame.map(|frame| frame.code.into()), now);
                }
                // A binary frame is none of the protocol; it counts as a lost connection, as any error does.
                Some(Ok(Frame::Binary(_)) | Err(_)) | None => {
                    self.socket = None;
                    self.hang_up(None);
                    self.core.handle_close(None, now);
                }
            }
            // At once, so that full queues are seen before the next frame.
            self.pump();
        }
        progress
    }

    /// Whether the socket is left unread because an application is slow. While an answer is waited for it is read on, because the
    /// answer is behind the messages; a queue whose reserve is used up then pauses its subscription.
    fn must_hold(&mut self) -> bool {
        if self.full.is_empty() {
            return false;
        }
        let subscriptions = &self.subscriptions;
        self.full.retain(|id| subscriptions.get(id).is_some_and(|joined| !joined.paused && !joined.queue.has_drained()));
        if self.full.is_empty() {
            return false;
        }
        let now = self.clock.now();
        if !self.core.is_awaiting() {
            self.core.handle_backpressure(now);
            return true;
        }
        for id in &self.full {
            if let Some(joined) = self.subscriptions.get_mut(id)
                && joined.queue.is_overfull()
            {
                joined.paused = !joined.queue.has_drained();
                self.core.pause(*id, now);
            }
        }
        false
    }

    fn poll_attention(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Poll::Ready(Some(())) = self.attention.poll_recv(cx) {
            progress = true;
        }
        if !progress {
            return false;
        }
        let now = self.clock.now();
        for (id, joined) in &mut self.subscriptions {
            if joined.queue.is_reader_gone() {
                self.core.leave(*id, now);
            } else if joined.paused && joined.queue.has_drained() {
                joined.paused = false;
                self.core.resume(*id, now);
            }
        }
        self.inboxes.retain(|inbox| !inbox.is_reader_gone());
        true
    }

    fn poll_control(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.control_open && self.core.has_room_for_calls() {
            match self.control.poll_recv(cx) {
                Poll::Ready(Some(control)) => self.take_control(control),
                Poll::Ready(None) => {
                    // Nobody holds a handle any more.
                    self.control_open = false;
                    self.finish();
                }
                Poll::Pending => break,
            }
            progress = true;
        }
        progress
    }

    fn take_control(&mut self, control: Control) {
        let now = self.clock.now();
        match control {
            Control::Command(command, timeout_ms, reply) => match self.core.command(command, timeout_ms, now) {
                Ok(call) => drop(self.commands.insert(call, reply)),
                Err(declined) => answer(reply, Err(self.closed_or(declined.into()))),
            },
            Control::Join(joining, queue, reply) => match self.core.join(joining, now) {
                // Whoever asked gave up before the driver came to it.
                Ok(id) if queue.is_reader_gone() => self.core.leave(id, now),
                Ok(id) => drop(self.subscriptions.insert(id, Joined { queue, first: Some(reply), paused: false })),
                Err(declined) => answer(reply, Err(self.closed_or(declined.into()))),
            },
            Control::Inbox(queue) if self.core.state() == State::Closed => {
                queue.push(Item::Ended(self.end_reason()));
            }
            Control::Inbox(queue) => self.inboxes.push(queue),
            Control::Token(token) => self.core.set_token(token, now),
            Control::Wake => self.core.wake(now),
            Control::Drain => self.finish(),
            Control::Close => self.core.close(now),
        }
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut taken = 0;
        if let Some(work) = self.held.take() {
            self.take_work(work);
            if self.finishing && self.held.is_none() {
                self.finish();
            }
        }
        while self.work_open && taken < WORK_MAX && self.takes_work() {
            match self.work.poll_recv(cx) {
                Poll::Ready(Some(work)) => self.take_work(work),
                Poll::Ready(None) => {
                    self.work_open = false;
                    if self.finishing {
                        self.finish();
                    }
                }
                Poll::Pending => break,
            }
            taken += 1;
        }
        taken > 0
    }

    /// Drains, once all that was handed over before is taken.
    fn finish(&mut self) {
        self.work.close();
        self.finishing = true;
        if !self.work_open && self.held.is_none() {
            self.core.drain(self.clock.now());
        }
    }

    fn takes_work(&self) -> bool {
        self.held.is_none()
            && (self.core.state() == State::Closed
                || (self.outgoing_bytes < OUTGOING_BYTES_MAX && self.core.has_room(0) && self.core.has_room_for_calls()))
    }

    fn take_work(&mut self, work: Work) {
        if self.core.state() != State::Closed && !self.core.has_room(work.bytes()) {
            // Its caller waits until acks have made room.
            self.held = Some(work);
            return;
        }
        let now = self.clock.now();
        match work {
            Work::Publish(outgoing, reply) => match self.core.publish(&outgoing, now) {
                Ok(call) => drop(self.publishes.insert(call, reply)),
                Err(declined) => answer(reply, Err(self.closed_or(declined.into()))),
            },
            Work::Request(outgoing, reply) => match self.core.request(&outgoing, now) {
                Ok(call) => drop(self.requests.insert(call, reply)),
                Err(declined) => answer(reply, Err(self.closed_or(declined.into()))),
            },
            Work::Nowait(outgoing) => {
                if let Err(declined) = self.core.publish_nowait(&outgoing, true, now) {
                    self.refuse_unheard(&declined);
                }
            }
        }
    }

    /// A publish that nobody waits for was not taken.
    fn refuse_unheard(&self, declined: &crate::core::Declined) {
        let code = match declined {
            crate::core::Declined::TooLarge { .. } => arqonbus_protocol::ErrorCode::TooLarge,
            crate::core::Declined::Full
            | crate::core::Declined::Closing
            | crate::core::Declined::AlreadyJoined
            | crate::core::Declined::IdInFlight
            | crate::core::Declined::NotConnected => arqonbus_protocol::ErrorCode::Overloaded,
        };
        let _nobody_listens = self.shared.refusals.send(arqonbus_protocol::Refusal::new(code, declined.to_string()));
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(until) = self.until else { return false };
        let at = self.clock.instant(until);
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.core.handle_timeout(self.clock.now().max(until));
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        match self.try_write(cx) {
            Poll::Ready(Ok(progress)) => progress,
            Poll::Pending => false,
            Poll::Ready(Err(_)) => {
                // A server that hangs up says why in a close frame, which may still be unread.
                self.unflushed = false;
                self.outgoing.clear();
                self.outgoing_bytes = 0;
                false
            }
        }
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, tokio_tungstenite::tungstenite::Error>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(false)) };
        let mut progress = false;
        while !self.outgoing.is_empty() {
            ready!(Pin::new(&mut *socket).poll_ready(cx))?;
            let Some(frame) = self.outgoing.pop_front() else { break };
            self.outgoing_bytes -= frame.len();
            Pin::new(&mut *socket).start_send(frame)?;
            self.unflushed = true;
            progress = true;
        }
        if self.unflushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(progress))
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::State(State::Closed) => {}
            Event::State(state) => drop(self.shared.state.send_replace(state)),
            Event::Connected { client, user, resumed } => drop(self.shared.identity.send_replace(Some(super::Identity { client, user, resumed }))),
            Event::Lost { why } => drop(self.shared.last_loss.send_replace(Some(why))),
            Event::Closed(fault) => self.on_closed(fault),
            Event::TokenNeeded => self.token = self.provider.as_ref().map(|provider| provider()),
            Event::Joined { subscription, result, again: _ } => {
                if let Some(first) = self.subscriptions.get_mut(&subscription).and_then(|joined| joined.first.take()) {
                    answer(first, Ok(result));
                }
            }
            Event::Message { subscription, message } => self.push(subscription, Item::Message(message)),
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
            Event::Inbox(message) => {
                for inbox in &self.inboxes {
                    inbox.push(Item::Message(message.clone()));
                }
            }
            Event::Published { call, outcome } => settle(&mut self.publishes, call, outcome),
            Event::Replied { call, outcome } => settle(&mut self.requests, call, outcome),
            Event::Answered { call, outcome } => settle(&mut self.commands, call, outcome),
            Event::Refused(refusal) => drop(self.shared.refusals.send(refusal)),
        }
    }

    fn push(&mut self, subscription: SubscriptionId, item: Item) {
        if let Some(joined) = self.subscriptions.get(&subscription)
            && joined.queue.push(item)
            && !self.full.contains(&subscription)
        {
            self.full.push(subscription);
        }
    }

    fn on_closed(&mut self, fault: Fault) {
        // The reason stands before anybody can see that it is over.
        let _said_once = self.shared.fault.set(fault);
        self.shared.state.send_replace(State::Closed);
        for inbox in std::mem::take(&mut self.inboxes) {
            inbox.push(Item::Ended(self.end_reason()));
        }
    }

    fn end_reason(&self) -> crate::core::EndReason {
        crate::core::EndReason::Closed(self.shared.fault.get().cloned().unwrap_or(Fault::Closed))
    }

    /// A closed client says why it is closed.
    fn closed_or(&self, error: Error) -> Error {
        match (error, self.shared.fault.get()) {
            (Error::Closed(_), Some(fault)) => Error::Closed(fault.clone()),
            (error, _) => error,
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS_MAX {
            let progress = self.turn(cx);
            if self.is_over() {
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn settle<T>(waiting: &mut HashMap<CallId, Reply<T>>, call: CallId, outcome: Result<T, crate::core::Failure>) {
    if let Some(reply) = waiting.remove(&call) {
        answer(reply, outcome.map_err(Into::into));
    }
}

/// Whoever asked may have stopped waiting.
fn answer<T>(reply: Reply<T>, outcome: Result<T, Error>) {
    let _not_waited_for = reply.send(outcome);
}
