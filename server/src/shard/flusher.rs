//! What is done to many connections, a few at a time, so that what comes in meanwhile is seen: outboxes are filled, and written to sockets,
//! where it joins the next write.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::Core;
use super::courier::Bells;
use crate::fanout::connection::Flushed;
use crate::slots::Key;

/// Connections that are written to before the shard looks at its sockets again.
const CONNECTIONS_AT_ONCE: usize = 16;

/// Flushes whatever gets dirty, for ever.
pub(crate) async fn run(core: Rc<RefCell<Core>>, bells: Rc<Bells>, gather_ms: u64) {
    loop {
        bells.flush.notified().await;
        if gather_ms > 0 {
            tokio::time::sleep(Duration::from_millis(gather_ms)).await;
        }
        let mut round = std::mem::take(&mut core.borrow_mut().edge.dirty);
        while !round.is_empty() {
            for keys in round.chunks(CONNECTIONS_AT_ONCE) {
                flush(&mut core.borrow_mut(), &bells, keys);
                tokio::task::yield_now().await;
            }
            round = std::mem::take(&mut core.borrow_mut().edge.dirty);
        }
    }
}

/// Gives large audiences what they are owed, a slice at a time, for ever.
pub(crate) async fn give_slices(core: Rc<RefCell<Core>>, bells: Rc<Bells>) {
    loop {
        bells.slices.notified().await;
        while slice(&mut core.borrow_mut(), &bells) {
            tokio::task::yield_now().await;
        }
    }
}

/// Gives the next slice; gives whether there are more.
pub(crate) fn slice(core: &mut Core, bells: &Bells) -> bool {
    core.tick();
    core.edge.next_slice();
    core.carry();
    bells.ring(core);
    core.edge.audiences.are_behind()
}

pub(crate) fn flush(core: &mut Core, bells: &Bells, keys: &[Key]) {
    let now = core.shared.clock.now();
    let mut total = 0;
    for key in keys {
        let Some(conn) = core.edge.connections.get_mut(*key) else { continue };
        conn.dirty = false;
        if conn.outbox.blocked_since.is_some() {
            continue;
        }
        let (flushed, written) = conn.flush(None, now);
        total += written;
        match flushed {
            Flushed::Empty => {
                if conn.paused {
                    conn.wake();
                }
                core.edge.ask_page(*key);
            }
            // Its own task waits for the socket, or ends.
            Flushed::Blocked => conn.wake(),
            Flushed::Broken => core.edge.cut(*key),
        }
    }
    core.shared.metrics.bytes_out.add(total);
    if !core.edge.asks.is_empty() {
        core.tick();
        core.carry();
        bells.ring(core);
    }
}
