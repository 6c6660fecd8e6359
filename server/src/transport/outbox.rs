//! What waits to be written to one connection: shared frames and envelopes of its own, bounded, written many at a time.

use std::collections::VecDeque;
use std::io::IoSlice;

use arqonbus_protocol::limits::BATCH_BYTES_MAX;
use bytes::{Buf, Bytes, BytesMut};

use super::frame::{HEADER_OUT_BYTES_MAX, Opcode, put_header};
use crate::clock::Moment;

/// Pieces handed to one vectored write.
pub(crate) const SLICES_MAX: usize = 64;

/// A drained queue with room for more pieces than these is given back: most connections are idle, and a burst is rare.
const KEEP_PIECES: usize = 8;

/// The queue between the bus and one socket. Every piece in it consists of whole frames.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Bytes>,
    pieces_bytes: usize,
    /// Whether a part of the first piece is written.
    started: bool,
    /// Envelopes for this connection alone: whole frames, or with batching one frame whose header is still to be written.
    own: BytesMut,
    /// Since when the socket has taken nothing.
    pub(crate) blocked_since: Option<Moment>,
}

impl Outbox {
    /// Queues one envelope for this connection alone. With `batch` it shares a frame with its neighbours.
    pub(crate) fn push_own(&mut self, body: &[u8], batch: bool) {
        if !batch {
            put_header(&mut self.own, Opcode::Text, body.len());
        } else if self.own.len() + body.len() > BATCH_BYTES_MAX {
            self.seal(batch);
        }
        if batch {
            // The header's size depends on what is still to come, so its room is kept free.
            let separator: &[u8] = if self.own.is_empty() { &[0; HEADER_OUT_BYTES_MAX] } else { b"\n" };
            self.own.extend_from_slice(separator);
        }
        self.own.extend_from_slice(body);
    }

    /// Queues whole frames, shared with other connections or not.
    pub(crate) fn push_frames(&mut self, frames: Bytes, batch: bool) {
        self.seal(batch);
        self.push_piece(frames);
    }

    /// Ends the frame of own envelopes, so that all that waits can be written.
    pub(crate) fn seal(&mut self, batch: bool) {
        if self.own.is_empty() {
            return;
        }
        let mut own = std::mem::take(&mut self.own);
        if batch {
            let mut header = Vec::with_capacity(HEADER_OUT_BYTES_MAX);
            put_header(&mut header, Opcode::Text, own.len() - HEADER_OUT_BYTES_MAX);
            own.advance(HEADER_OUT_BYTES_MAX - header.len());
            own[..header.len()].copy_from_slice(&header);
        }
        self.push_piece(own.freeze());
    }

    fn push_piece(&mut self, piece: Bytes) {
        self.pieces_bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Forgets what waits, as far as the frames allow: the reader is too slow to be given it.
    pub(crate) fn forget_unstarted(&mut self) {
        self.own = BytesMut::new();
        self.pieces.truncate(usize::from(self.started));
        self.pieces_bytes = self.pieces.iter().map(Bytes::len).sum();
    }

    /// Bytes that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.pieces_bytes + self.own.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.own.is_empty()
    }

    /// Points `slices` at the first pieces, for a vectored write; gives how many there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        self.pieces.len().min(SLICES_MAX)
    }

    /// Forgets `written` bytes; gives back the memory that a burst took.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.blocked_since = None;
        self.pieces_bytes -= written;
        while let Some(front) = self.pieces.front_mut().filter(|_| written > 0) {
            if front.len() > written {
                front.advance(written);
                self.started = true;
                return;
            }
            written -= front.len();
            self.started = false;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() && self.pieces.capacity() > KEEP_PIECES {
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::frame::frame;

    fn drain(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while !outbox.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = outbox.slices(&mut slices);
            let taken: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            outbox.advance(taken.len());
            written.extend(taken);
        }
        written
    }

    #[test]
    fn order_is_kept_between_own_and_shared_frames() {
        let shared = frame(Opcode::Text, b"shared");
        for step in [1, 3, 1_000] {
            let mut plain = Outbox::default();
            plain.push_own(b"a", false);
            plain.push_own(b"b", false);
            plain.push_frames(shared.clone(), false);
            plain.push_own(b"c", false);
            plain.seal(false);
            let frames = [frame(Opcode::Text, b"a"), frame(Opcode::Text, b"b"), shared.clone(), frame(Opcode::Text, b"c")].concat();
            assert_eq!(plain.queued_bytes(), frames.len());
            assert_eq!(drain(&mut plain, step), frames);
            assert_eq!(plain.queued_bytes(), 0);
        }
    }

    #[test]
    fn batched_envelopes_share_a_frame_up_to_its_bound() {
        let mut outbox = Outbox::default();
        outbox.push_own(b"a", true);
        outbox.push_own(b"b", true);
        outbox.seal(true);
        assert_eq!(drain(&mut outbox, 1_000), frame(Opcode::Text, b"a\nb"));
        let body = vec![b'x'; BATCH_BYTES_MAX - 100];
        outbox.push_own(&body, true);
        outbox.push_own(&body, true);
        outbox.seal(true);
        assert_eq!(drain(&mut outbox, usize::MAX), [frame(Opcode::Text, &body), frame(Opcode::Text, &body)].concat());
    }

    #[test]
    fn a_started_frame_survives_forgetting() {
        let (first, second) = (frame(Opcode::Text, b"first"), frame(Opcode::Text, b"second"));
        let mut outbox = Outbox::default();
        outbox.push_frames(first.clone(), false);
        outbox.push_frames(second, false);
        outbox.advance(3);
        outbox.forget_unstarted();
        assert_eq!(outbox.queued_bytes(), first.len() - 3);
        assert_eq!(drain(&mut outbox, 1_000), first[3..]);
        outbox.forget_unstarted();
        assert!(outbox.is_empty());
    }
}
