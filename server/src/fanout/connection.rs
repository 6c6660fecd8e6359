//! One connection as its shard sees it: socket, outbox, session, and what it is a member of.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use arqonbus_protocol::{CloseCode, Group, Position};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Gather;
use crate::clock::Moment;
use crate::routing::LaneId;
use crate::session::Session;
use crate::telemetry::Ended;
use crate::transport::frame::{self, Decoder, Opcode};
use crate::transport::outbox::{Outbox, SLICES_MAX};
use crate::transport::socket::Socket;

/// A place among the connections that a server may have; given back when it is dropped.
pub(crate) type Place = Box<dyn Send>;

/// Where a connection's envelopes go.
pub(crate) enum Sink {
    /// Into frames, through the outbox.
    Socket(Socket),
    /// To the task that answers one HTTP request.
    Http(mpsc::Sender<Bytes>),
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) sink: Sink,
    pub(crate) session: Session,
    pub(crate) decoder: Decoder,
    pub(crate) outbox: Outbox,
    /// Lanes that it is in, and whether it named them itself.
    pub(crate) lanes: Vec<(LaneId, bool)>,
    /// Work groups that it is in.
    pub(crate) groups: Vec<(LaneId, Group)>,
    /// Lanes whose past it is still being given, and up to where it was.
    pub(crate) catching: Vec<(LaneId, Position)>,
    /// The page that was asked for; one at a time, so that pages do not flood the outbox.
    pub(crate) page_asked: Option<(LaneId, Position)>,
    pub(crate) gathers: Vec<(u32, Gather)>,
    /// Frames of live messages that wait for the answer to a pattern join.
    pub(crate) held: Vec<Bytes>,
    pub(crate) last_heard: Moment,
    pub(crate) pinged: bool,
    /// Whether it is on the list of connections to be flushed.
    pub(crate) dirty: bool,
    pub(crate) waker: Option<Waker>,
    /// It is not read from until its outbox has drained.
    pub(crate) paused: bool,
    pub(crate) closing: Option<Closing>,
    /// Given up: its task ends it without further words.
    pub(crate) cut: bool,
    /// Gives the connection's place back.
    pub(crate) _place: Option<Place>,
}

/// A connection on its way out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Closing {
    pub(crate) ended: Ended,
    pub(crate) since: Moment,
    /// Our side of the stream is shut; what comes is read and thrown away, so that the close frame is not lost to a reset.
    pub(crate) shut: bool,
}

/// How far a flush came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    Empty,
    Blocked,
    Broken,
}

impl Connection {
    pub(crate) fn new(sink: Sink, session: Session, place: Option<Place>, now: Moment) -> Self {
        Self {
            sink,
            session,
            decoder: Decoder::default(),
            outbox: Outbox::default(),
            lanes: Vec::new(),
            groups: Vec::new(),
            catching: Vec::new(),
            page_asked: None,
            gathers: Vec::new(),
            held: Vec::new(),
            last_heard: now,
            pinged: false,
            dirty: false,
            waker: None,
            paused: false,
            closing: None,
            cut: false,
            _place: place,
        }
    }

    /// Queues one envelope. Gives false where the receiver is gone.
    pub(crate) fn push_own(&mut self, body: &[u8]) {
        match &self.sink {
            Sink::Socket(_) if self.closing.is_none() => self.outbox.push_own(body, self.session.batch),
            Sink::Socket(_) => {}
            // The task asks for one answer at a time and has room for it; where it is gone, nobody waits.
            Sink::Http(answers) => drop(answers.try_send(Bytes::copy_from_slice(body))),
        }
    }

    /// Queues shared frames; behind the answer to a pattern join where one is awaited.
    pub(crate) fn push_frames(&mut self, frames: Bytes) {
        if self.closing.is_some() {
            return;
        }
        if self.gathers.iter().any(|(_, gather)| gather.is_join()) {
            self.held.push(frames);
        } else {
            self.outbox.push_frames(frames, self.session.batch);
        }
    }

    /// Up to where a lane's past was given to it, while it is being given.
    pub(crate) fn given(&self, lane: LaneId) -> Option<Position> {
        self.catching.iter().chain(&self.page_asked).find(|(other, _)| *other == lane).map(|(_, from)| *from)
    }

    /// Topics joined by name, work groups, and patterns.
    pub(crate) fn joins(&self) -> usize {
        self.lanes.iter().filter(|(_, exact)| *exact).count() + self.groups.len() + self.session.patterns.len()
    }

    /// Bytes that wait, held ones too.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes() + self.held.iter().map(Bytes::len).sum::<usize>()
    }

    /// Begins to close: what is queued still goes out, then the close frame; a slow reader's queue does not.
    pub(crate) fn close(&mut self, code: u16, reason: &str, ended: Ended, now: Moment) {
        if self.closing.is_some() {
            return;
        }
        let batch = self.session.batch;
        if matches!(ended, Ended::Closed(CloseCode::SlowConsumer)) {
            self.outbox.forget_unstarted();
        }
        self.outbox.push_frames(frame::close_frame(code, reason), batch);
        self.closing = Some(Closing { ended, since: now, shut: false });
        self.wake();
    }

    /// Queues a control frame.
    pub(crate) fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.closing.is_none() {
            self.outbox.push_frames(frame::frame(opcode, payload), self.session.batch);
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Writes what the socket takes. With `cx`, its task is woken once the socket takes more; without, the caller sees to that.
    pub(crate) fn flush(&mut self, mut cx: Option<&mut Context<'_>>, now: Moment) -> (Flushed, u64) {
        let Sink::Socket(socket) = &mut self.sink else { return (Flushed::Empty, 0) };
        self.outbox.seal(self.session.batch);
        let mut total = 0;
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.outbox.slices(&mut slices);
            let written = match &mut cx {
                Some(cx) => socket.poll_write(cx, &slices[..count]),
                None => match socket.try_write(&slices[..count]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    written => Poll::Ready(written),
                },
            };
            match written {
                Poll::Ready(Ok(written)) if written > 0 => {
                    total += written as u64;
                    self.outbox.advance(written);
                }
                Poll::Ready(_) => return (Flushed::Broken, total),
                Poll::Pending => {
                    self.outbox.blocked_since.get_or_insert(now);
                    return (Flushed::Blocked, total);
                }
            }
        }
        (Flushed::Empty, total)
    }
}
