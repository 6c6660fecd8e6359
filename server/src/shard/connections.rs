//! The task of one connection: reads, lets the core work, and writes where the flusher met a full socket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::Core;
use super::courier::{Bells, unclogged};
use crate::fanout::connection::{Connection, Flushed, Sink};
use crate::slots::Key;
use crate::telemetry::Ended;

/// What a connection's task woke up for.
pub(crate) enum Woke {
    /// So many bytes are in the shard's scratch buffer, and were handled.
    Received,
    /// The socket is done with.
    Ended(Ended),
}

/// Serves one connection until it ends. `early` came with the handshake.
pub(crate) async fn serve(core: Rc<RefCell<Core>>, bells: Rc<Bells>, key: Key, early: Bytes) {
    for chunk in early.chunks(super::core::READ_BYTES) {
        let core = &mut *core.borrow_mut();
        core.scratch[..chunk.len()].copy_from_slice(chunk);
        core.received(key, chunk.len());
        bells.ring(core);
    }
    // It is a part of the handshake's buffer, and would keep all of that for as long as the connection lives.
    drop(early);
    let ended = loop {
        match poll_fn(|cx| poll(&mut core.borrow_mut(), &bells, key, cx)).await {
            Woke::Received => unclogged(&core, &bells).await,
            Woke::Ended(ended) => break ended,
        }
    };
    let core = &mut *core.borrow_mut();
    core.closed(key, ended);
    bells.ring(core);
}

pub(crate) fn poll(core: &mut Core, bells: &Bells, key: Key, cx: &mut Context<'_>) -> Poll<Woke> {
    let now = core.shared.clock.now();
    let pause_bytes = core.shared.config.limits.outbox_bytes / 4;
    let Some(conn) = core.edge.connections.get_mut(key) else { return Poll::Ready(Woke::Ended(Ended::Lost)) };
    if !conn.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        conn.waker = Some(cx.waker().clone());
    }
    if conn.cut {
        return Poll::Ready(Woke::Ended(Ended::Lost));
    }
    if conn.outbox.blocked_since.is_some() || conn.closing.is_some() {
        let (flushed, written) = conn.flush(Some(cx), now);
        core.shared.metrics.bytes_out.add(written);
        match flushed {
            Flushed::Broken => return Poll::Ready(Woke::Ended(Ended::Lost)),
            Flushed::Empty => {
                core.edge.ask_page(key);
                core.carry();
                bells.ring(core);
            }
            Flushed::Blocked => {}
        }
    }
    let Some(conn) = core.edge.connections.get_mut(key) else { return Poll::Ready(Woke::Ended(Ended::Lost)) };
    if conn.closing.is_some() && conn.outbox.is_empty() {
        ready!(poll_shut(conn, cx));
    }
    // Whoever does not take answers asks no further questions: its socket fills up, and it has to wait.
    conn.paused = conn.closing.is_none() && conn.outbox.queued_bytes() > pause_bytes;
    if conn.paused {
        return Poll::Pending;
    }
    poll_read(core, bells, key, cx)
}

/// Shuts our side down once, after the close frame.
fn poll_shut(conn: &mut Connection, cx: &mut Context<'_>) -> Poll<()> {
    let Sink::Socket(socket) = &mut conn.sink else { return Poll::Ready(()) };
    if let Some(closing) = conn.closing.as_mut().filter(|closing| !closing.shut) {
        // A failure to shut down is met again by the read that follows.
        let _ = ready!(socket.poll_shutdown(cx));
        closing.shut = true;
    }
    Poll::Ready(())
}

fn poll_read(core: &mut Core, bells: &Bells, key: Key, cx: &mut Context<'_>) -> Poll<Woke> {
    let Core { edge, scratch, .. } = core;
    let Some(Connection { sink: Sink::Socket(socket), closing, .. }) = edge.connections.get_mut(key) else {
        return Poll::Ready(Woke::Ended(Ended::Lost));
    };
    if closing.is_none() {
        // Only a layered stream holds written bytes back.
        let _ = socket.poll_flush(cx);
    }
    let length = match ready!(socket.poll_read(cx, scratch)) {
        Ok(0) | Err(_) => return Poll::Ready(Woke::Ended(Ended::Lost)),
        Ok(length) => length,
    };
    core.received(key, length);
    answer_first(core, key);
    bells.ring(core);
    Poll::Ready(Woke::Received)
}

/// Writes the sender's own answers before anybody else is served: acks do not wait for a fan-out.
fn answer_first(core: &mut Core, key: Key) {
    let now = core.edge.now;
    let Some(conn) = core.edge.connections.get_mut(key).filter(|conn| conn.outbox.blocked_since.is_none()) else { return };
    let (flushed, written) = conn.flush(None, now);
    core.shared.metrics.bytes_out.add(written);
    if flushed != Flushed::Empty {
        conn.wake();
    }
}
