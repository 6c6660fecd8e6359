//! What the handles ask of the driver, and how much of it is taken.

use std::sync::Arc;
use std::task::{Context, Poll};

use arqonbus_protocol::{Command, ErrorCode, JoinResult, PublishResult, Refusal};
use tokio::sync::{mpsc, oneshot};

use super::deliver::answer;
use super::{Driver, Joined};
use crate::Message;
use crate::client::Error;
use crate::client::queue::{Item, Queue};
use crate::core::{Declined, JobRef, Joining, Outgoing, Settling, State};

/// Publishes taken before the driver looks at its other duties; they share frames and one flush.
const WORK_MAX: usize = 512;
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
    Settle(JobRef, Settling, Reply<()>),
    Inbox(Arc<Queue>),
    Token(String),
    Wake,
    Drain,
    Close,
}

/// Where the handles reach the driver.
pub(crate) struct Lines {
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) attention: mpsc::Receiver<()>,
}

impl Driver {
    pub(super) fn poll_control(&mut self, cx: &mut Context<'_>) -> bool {
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

    pub(super) fn take_control(&mut self, control: Control) {
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
            Control::Settle(job, settling, reply) => match self.core.settle_job(job, settling, now) {
                Ok(call) => drop(self.settlings.insert(call, reply)),
                Err(declined) => answer(reply, Err(self.closed_or(declined.into()))),
            },
            Control::Inbox(queue) if self.core.state() == State::Closed => {
                queue.push(Item::Ended(self.end_reason()));
            }
            Control::Inbox(queue) => {
                self.inboxes.push(queue);
                self.core.open_inbox();
            }
            Control::Token(token) => self.core.set_token(token, now),
            Control::Wake => self.core.wake(now),
            Control::Drain => self.finish(),
            Control::Close => self.core.close(now),
        }
    }

    pub(super) fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
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
    pub(super) fn finish(&mut self) {
        self.work.close();
        self.finishing = true;
        if !self.work_open && self.held.is_none() {
            self.core.drain(self.clock.now());
        }
    }

    pub(super) fn takes_work(&self) -> bool {
        self.held.is_none()
            && (self.core.state() == State::Closed
                || (self.outgoing_bytes < OUTGOING_BYTES_MAX && self.core.has_room(0) && self.core.has_room_for_calls()))
    }

    pub(super) fn take_work(&mut self, work: Work) {
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
    pub(super) fn refuse_unheard(&self, declined: &Declined) {
        let code = match declined {
            Declined::TooLarge { .. } => ErrorCode::TooLarge,
            Declined::Full | Declined::Closing | Declined::NotATopic | Declined::AlreadyJoined | Declined::IdInFlight | Declined::NotConnected => {
                ErrorCode::Overloaded
            }
        };
        let _nobody_listens = self.shared.refusals.send(Refusal::new(code, declined.to_string()));
    }

    /// A closed client says why it is closed.
    pub(super) fn closed_or(&self, error: Error) -> Error {
        match (error, self.shared.fault.get()) {
            (Error::Closed(_), Some(fault)) => Error::Closed(fault.clone()),
            (error, _) => error,
        }
    }
}
