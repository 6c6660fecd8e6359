//! The one task that owns socket and core: inputs in, orders out, nothing else.

mod deliver;
mod io;
mod lines;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use arqonbus_protocol::{JoinResult, PublishResult, Refusal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Message as Frame;

pub(crate) use lines::{Control, Lines, Work};

use super::builder::{TokenProvider, TokenWait};
use super::clock::Clock;
use super::queue::{Item, Queue};
use super::socket::{self, Closing, Opening, Socket, Trust};
use super::{Error, Identity};
use crate::Message;
use crate::core::{CallId, Core, EndReason, Fault, Output, State, SubscriptionId};
use deliver::answer;
use lines::Reply;

/// Turns before the driver lets other tasks of its thread run.
const TURNS_MAX: usize = 8;

/// What the application sees of the connection.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: watch::Sender<State>,
    pub(crate) identity: watch::Sender<Option<Identity>>,
    pub(crate) fault: OnceLock<Fault>,
    pub(crate) last_loss: watch::Sender<Option<String>>,
    pub(crate) refusals: broadcast::Sender<Refusal>,
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
    trust: Trust,
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
    settlings: HashMap<CallId, Reply<()>>,
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

impl Driver {
    pub(crate) fn new(core: Core, clock: Clock, shared: Arc<Shared>, provider: Option<TokenProvider>, trust: Trust, lines: Lines) -> Self {
        let Lines { work, control, attention } = lines;
        Self {
            core,
            clock,
            shared,
            provider,
            trust,
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
            settlings: HashMap::new(),
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
                Output::Open { url } => self.opening = Some(socket::open(url, self.trust.clone())),
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
        if !self.has_inbox() {
            self.core.close_inbox();
        }
        true
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
}

impl Drop for Driver {
    /// A task that ends before its client is closed, with its runtime or by a panic, leaves nobody who waits for it.
    fn drop(&mut self) {
        if self.core.state() == State::Closed {
            return;
        }
        // What the core had taken may have been sent.
        forget(&mut self.publishes);
        forget(&mut self.requests);
        forget(&mut self.commands);
        forget(&mut self.settlings);
        let fault = self.shared.fault.get_or_init(|| Fault::Unreachable("the task of this client has ended".to_owned()));
        for queue in self.subscriptions.values().map(|joined| &joined.queue).chain(&self.inboxes) {
            queue.push(Item::Ended(EndReason::Closed(fault.clone())));
        }
        self.shared.state.send_replace(State::Closed);
    }
}

fn forget<T>(calls: &mut HashMap<CallId, Reply<T>>) {
    for (_, reply) in calls.drain() {
        answer(reply, Err(Error::Unknown));
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
