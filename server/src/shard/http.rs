//! Envelopes that came over HTTP: a connection without a socket, which asks one thing at a time.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Core;
use super::courier::{Bells, unclogged};
use crate::fanout::connection::Sink;
use crate::session::Channel;
use crate::telemetry::Ended;

/// The envelopes of one request, and where their answers go, in the same order.
pub(crate) struct HttpJob {
    pub(crate) envelopes: Vec<Bytes>,
    pub(crate) answers: oneshot::Sender<Vec<Bytes>>,
}

/// Carries out one request.
pub(crate) async fn serve(core: Rc<RefCell<Core>>, bells: Rc<Bells>, job: HttpJob) {
    let (sink, mut stream) = mpsc::channel(1);
    let key = core.borrow_mut().open(Sink::Http(sink), Channel::Http, None, None);
    let mut answers = Vec::with_capacity(job.envelopes.len());
    for envelope in &job.envelopes {
        {
            let core = &mut *core.borrow_mut();
            // The body was checked to be UTF-8 before it was cut into lines.
            core.http(key, std::str::from_utf8(envelope).unwrap_or_default());
            bells.ring(core);
        }
        unclogged(&core, &bells).await;
        // Every envelope has one answer; none comes where the shard ends.
        let Some(answer) = stream.recv().await else { break };
        answers.push(answer);
    }
    let core = &mut *core.borrow_mut();
    core.closed(key, Ended::ByPeer);
    bells.ring(core);
    // Where nobody waits any more, the work is done all the same.
    let _ = job.answers.send(answers);
}
