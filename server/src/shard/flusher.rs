//! Writes outboxes to sockets, a few connections at a time, so that what comes in meanwhile is seen and joins the next write.

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
