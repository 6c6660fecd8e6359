//! The driver and its socket: opening, reading unless somebody is too slow, writing, letting go.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::Driver;
use crate::client::socket;

/// Frames read before the driver looks at its other duties.
const READS_MAX: usize = 128;

impl Driver {
    /// Lets go of the socket, with a close frame where there is a code.
    pub(super) fn hang_up(&mut self, code: Option<u16>) {
        self.opening = None;
        let left = std::mem::take(&mut self.outgoing);
        self.outgoing_bytes = 0;
        self.unflushed = false;
        if let Some(socket) = self.socket.take() {
            self.closing = Some(socket::close(socket, left, code));
        }
    }

    pub(super) fn poll_opening(&mut self, cx: &mut Context<'_>) -> bool {
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

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
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
    pub(super) fn must_hold(&mut self) -> bool {
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

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
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

    pub(super) fn try_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, tokio_tungstenite::tungstenite::Error>> {
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
}
