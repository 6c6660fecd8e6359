//! Envelopes that several connections share, as frames: made once in each of the two forms, and only in those that are needed.

use arqonbus_protocol::limits::BATCH_BYTES_MAX;
use bytes::{Bytes, BytesMut};

use crate::transport::frame::{HEADER_OUT_BYTES_MAX, Opcode, put_header};

/// Envelopes and their frames.
#[derive(Debug)]
pub(crate) struct Segment<B> {
    bodies: B,
    plain: Option<Bytes>,
    batched: Option<Bytes>,
}

impl<B: AsRef<[Bytes]>> Segment<B> {
    pub(crate) fn new(bodies: B) -> Self {
        Self { bodies, plain: None, batched: None }
    }

    pub(crate) fn bodies(&self) -> &[Bytes] {
        self.bodies.as_ref()
    }

    /// The envelopes as whole frames: one each, or with `batch` as many in one as fit.
    pub(crate) fn frames(&mut self, batch: bool) -> Bytes {
        let (form, make): (_, fn(&[Bytes]) -> Bytes) = if batch { (&mut self.batched, batched) } else { (&mut self.plain, plain) };
        form.get_or_insert_with(|| make(self.bodies.as_ref())).clone()
    }
}

fn plain(bodies: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(bodies.iter().map(|body| body.len() + HEADER_OUT_BYTES_MAX).sum());
    for body in bodies {
        put_header(&mut out, Opcode::Text, body.len());
        out.extend_from_slice(body);
    }
    out.freeze()
}

fn batched(bodies: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(bodies.iter().map(|body| body.len() + 1).sum::<usize>() + HEADER_OUT_BYTES_MAX);
    let mut rest = bodies;
    while let Some((first, others)) = rest.split_first() {
        let mut payload_bytes = first.len();
        let fitting = others.iter().take_while(|body| {
            let fits = payload_bytes + 1 + body.len() <= BATCH_BYTES_MAX;
            payload_bytes += if fits { 1 + body.len() } else { 0 };
            fits
        });
        let count = 1 + fitting.count();
        put_header(&mut out, Opcode::Text, payload_bytes);
        out.extend_from_slice(first);
        for body in &others[..count - 1] {
            out.extend_from_slice(b"\n");
            out.extend_from_slice(body);
        }
        rest = &rest[count..];
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::frame::frame;

    #[test]
    fn both_forms_hold_every_envelope_in_order() {
        let bodies: Vec<Bytes> = [&b"a"[..], b"bb", b"ccc"].map(Bytes::from_static).into();
        let mut segment = Segment::new(&bodies);
        assert_eq!(segment.frames(false), [frame(Opcode::Text, b"a"), frame(Opcode::Text, b"bb"), frame(Opcode::Text, b"ccc")].concat());
        assert_eq!(segment.frames(true), frame(Opcode::Text, b"a\nbb\nccc"));
    }

    #[test]
    fn a_batch_is_split_at_its_bound() {
        let large = Bytes::from(vec![b'x'; BATCH_BYTES_MAX / 2]);
        let bodies = vec![large.clone(), large.clone(), large.clone()];
        let frames = Segment::new(&bodies).frames(true);
        assert_eq!(frames, [frame(Opcode::Text, &large), frame(Opcode::Text, &large), frame(Opcode::Text, &large)].concat());
    }
}
