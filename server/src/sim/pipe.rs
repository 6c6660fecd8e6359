//! A stream in memory: the socket of a simulated connection, seen from both ends.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The far end of a simulated socket; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// On its way to the server.
    up: VecDeque<u8>,
    /// Written by the server and not taken.
    down: Vec<u8>,
    /// Bytes of `down` that fit; none for as many as come.
    window: Option<usize>,
    /// The peer sends no more, or is gone.
    ended: bool,
    /// The peer is gone: what is written to it fails.
    broken: bool,
    /// The server sends no more.
    shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.up.extend(bytes);
        state.wake_reader();
    }

    pub(super) fn take(&self) -> Vec<u8> {
        let mut state = self.state();
        state.wake_writer();
        std::mem::take(&mut state.down)
    }

    pub(super) fn set_window(&self, window: Option<usize>) {
        let mut state = self.state();
        state.window = window;
        state.wake_writer();
    }

    /// The peer is gone; what it sent before is still read.
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.ended = true;
        state.broken = true;
        state.wake_reader();
        state.wake_writer();
    }

    pub(super) fn is_shut(&self) -> bool {
        self.state().shut
    }
}

impl State {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.up.is_empty() && !state.ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = state.up.len().min(buffer.remaining());
        buffer.put_slice(&state.up.drain(..length).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.window.map_or(usize::MAX, |window| window.saturating_sub(state.down.len()));
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = room.min(bytes.len());
        state.down.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().shut = true;
        Poll::Ready(Ok(()))
    }
}
