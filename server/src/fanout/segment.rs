//! Envelopes that several connections share, as frames: made once in each of the two forms, the batched one only where it is needed.

use arqonbus_protocol::limits::BATCH_BYTES_MAX;
use bytes::{Bytes, BytesMut};

use crate::transport::frame::{HEADER_OUT_BYTES_MAX, Opcode, after_header, put_header};

/// Envelopes in one frame each, shared.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    bytes: Bytes,
    count: u32,
}

/// Envelopes that wait to be fanned out together, written as frames as they come: no list of them is needed, and no second copy.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    count: u32,
    /// What was taken the last time had so many bytes: the next is likely to have as many.
    last_bytes: u32,
}

/// Envelopes and their frames in the forms that were asked for.
#[derive(Debug)]
pub(super) struct Segment {
    plain: Frames,
    batched: Option<Bytes>,
}

impl Gathered {
    pub(crate) fn push(&mut self, body: &[u8]) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(self.last_bytes as usize);
        }
        put_header(&mut self.bytes, Opcode::Text, body.len());
        self.bytes.extend_from_slice(body);
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn take(&mut self) -> Frames {
        let bytes = std::mem::take(&mut self.bytes);
        self.last_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Frames { bytes: bytes.into(), count: std::mem::take(&mut self.count) }
    }
}

impl Frames {
    /// The frame of one envelope.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self { bytes: plain([body].into_iter()), count: 1 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn bodies(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (body, others) = after_header(rest)?;
            rest = others;
            Some(body)
        })
    }
}

impl Segment {
    pub(super) fn new(plain: Frames) -> Self {
        Self { plain, batched: None }
    }

    pub(super) fn messages(&self) -> u64 {
        u64::from(self.plain.count)
    }

    /// The envelopes as whole frames: one each, or with `batch` as many in one as fit.
    pub(super) fn frames(&mut self, batch: bool) -> Bytes {
        if !batch {
            return self.plain.bytes.clone();
        }
        self.batched.get_or_insert_with(|| batched(self.plain.bodies())).clone()
    }
}

/// Envelopes for one connection, as whole frames: one each, or with `batch` as many in one as fit.
pub(super) fn frames(bodies: &[Bytes], batch: bool) -> Bytes {
    let bodies = bodies.iter().map(|body| &body[..]);
    if batch { batched(bodies) } else { plain(bodies) }
}

fn plain<'a>(bodies: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut out = BytesMut::with_capacity(bodies.clone().map(|body| body.len() + HEADER_OUT_BYTES_MAX).sum());
    for body in bodies {
        put_header(&mut out, Opcode::Text, body.len());
        out.extend_from_slice(body);
    }
    out.freeze()
}

fn batched<'a>(bodies: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut out = BytesMut::with_capacity(bodies.clone().map(|body| body.len() + 1).sum::<usize>() + HEADER_OUT_BYTES_MAX);
    let mut rest = bodies;
    while let Some(first) = rest.next() {
        let mut payload_bytes = first.len();
        let fitting = rest.clone().take_while(|body| {
            let fits = payload_bytes + 1 + body.len() <= BATCH_BYTES_MAX;
            payload_bytes += if fits { 1 + body.len() } else { 0 };
            fits
        });
        let count = fitting.count();
        put_header(&mut out, Opcode::Text, payload_bytes);
        out.extend_from_slice(first);
        for body in rest.by_ref().take(count) {
            out.extend_from_slice(b"\n");
            out.extend_from_slice(body);
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::frame::frame;

    fn gather(bodies: &[&[u8]]) -> Segment {
        let mut gathered = Gathered::default();
        for body in bodies {
            gathered.push(body);
        }
        let frames = gathered.take();
        assert!(gathered.is_empty() && frames.bodies().eq(bodies.iter().copied()));
        Segment::new(frames)
    }

    #[test]
    fn both_forms_hold_every_envelope_in_order() {
        let bodies: [&[u8]; 4] = [b"a", b"bb", &[b'c'; 200], &[b'd'; 70_000]];
        let plain = bodies.map(|body| frame(Opcode::Text, body)).concat();
        let short = [&b"a\nbb\n"[..], bodies[2]].concat();
        let batched = [frame(Opcode::Text, &short), frame(Opcode::Text, bodies[3])].concat();
        let mut segment = gather(&bodies);
        assert_eq!((segment.frames(false), segment.frames(true), segment.messages()), (plain.clone().into(), batched.clone().into(), 4));
        let bodies = bodies.map(Bytes::copy_from_slice);
        assert_eq!((frames(&bodies, false), frames(&bodies, true)), (plain.into(), batched.into()));
    }

    #[test]
    fn a_batch_is_split_at_its_bound() {
        let large = vec![b'x'; BATCH_BYTES_MAX / 2];
        let frames = gather(&[&large, &large, &large]).frames(true);
        assert_eq!(frames, [frame(Opcode::Text, &large), frame(Opcode::Text, &large), frame(Opcode::Text, &large)].concat());
    }
}
