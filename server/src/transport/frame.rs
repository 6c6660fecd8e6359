//! WebSocket frames (RFC 6455 §5) as a server sees them: masked ones in, unmasked ones out.

use arqonbus_protocol::CloseCode;
use bytes::{BufMut, Bytes, BytesMut};

/// A frame header from us is at most this long: 2 bytes and 8 of length.
pub(crate) const HEADER_OUT_BYTES_MAX: usize = 10;
/// Payload of a control frame (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// A receive buffer larger than this is given back once it is empty.
const KEEP_BUFFER_BYTES: usize = 4 * 1024;
/// A fragment of fewer bytes is tiny: it costs more than it carries.
const TINY_FRAGMENT_BYTES: usize = 32;
/// Tiny fragments of one message. Others are bounded by the size of the message; empty ones by nothing else.
const TINY_FRAGMENTS_MAX: u32 = 10_000;

/// What an opcode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// A whole text message, whose UTF-8 is checked.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// A ping, with what its pong repeats.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// The peer closes, with the code that answers it.
    Close(u16),
}

/// Takes bytes as they come off the socket and gives whole messages.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The beginning of a frame that has not come whole.
    partial: Vec<u8>,
    /// A message in fragments: its opcode, what has come of it, how many tiny ones were among them.
    assembly: Option<Box<(Opcode, Vec<u8>, u32)>>,
}

struct Header {
    fin: bool,
    opcode: Opcode,
    /// Header bytes, mask included.
    bytes: usize,
    payload_bytes: usize,
    mask: [u8; 4],
}

impl Decoder {
    /// Takes `input`, unmasks it in place, and hands every whole message to `receive`, which says whether to go on.
    ///
    /// # Errors
    /// The code to close with; nothing more is decoded after it.
    pub(crate) fn feed(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
        mut receive: impl FnMut(Incoming<'_>) -> bool,
    ) -> Result<(), CloseCode> {
        let mut rest = input;
        if !self.partial.is_empty() {
            let (taken, goes_on) = self.complete(rest, message_bytes_max, &mut receive)?;
            rest = &mut rest[taken..];
            if !goes_on {
                return Ok(());
            }
        }
        let (used, _) = self.decode(rest, message_bytes_max, &mut receive)?;
        self.partial.extend_from_slice(&rest[used..]);
        Ok(())
    }

    /// Takes as much of `input` as the frame in `partial` lacks, and no more: what follows is decoded where it lies. Gives how much that was, and whether
    /// to go on.
    fn complete(
        &mut self,
        input: &[u8],
        message_bytes_max: usize,
        receive: &mut impl FnMut(Incoming<'_>) -> bool,
    ) -> Result<(usize, bool), CloseCode> {
        let mut taken = 0;
        loop {
            let header = self.header(&self.partial, message_bytes_max)?;
            // A header is completed byte by byte: its length is not known before.
            let lacking = header.map_or(1, |header| header.bytes + header.payload_bytes - self.partial.len());
            if lacking == 0 {
                break;
            }
            let more = &input[taken..input.len().min(taken + lacking)];
            if more.is_empty() {
                return Ok((taken, true));
            }
            self.partial.extend_from_slice(more);
            taken += more.len();
        }
        let mut buffer = std::mem::take(&mut self.partial);
        let (_, goes_on) = self.decode(&mut buffer, message_bytes_max, receive)?;
        if buffer.capacity() <= KEEP_BUFFER_BYTES {
            buffer.clear();
            self.partial = buffer;
        }
        Ok((taken, goes_on))
    }

    /// Decodes whole frames from the start of `bytes`; gives how many bytes they took, and whether to go on.
    fn decode(
        &mut self,
        bytes: &mut [u8],
        message_bytes_max: usize,
        receive: &mut impl FnMut(Incoming<'_>) -> bool,
    ) -> Result<(usize, bool), CloseCode> {
        let mut at = 0;
        while let Some(header) = self.header(&bytes[at..], message_bytes_max)? {
            let start = at + header.bytes;
            let end = start + header.payload_bytes;
            if end > bytes.len() {
                break;
            }
            unmask(&mut bytes[start..end], header.mask);
            at = end;
            if !self.frame(&header, &bytes[start..end], receive)? {
                return Ok((bytes.len(), false));
            }
        }
        Ok((at, true))
    }

    /// The header at the start of `bytes`, where it is there; refused where its message would be too large.
    fn header(&self, bytes: &[u8], message_bytes_max: usize) -> Result<Option<Header>, CloseCode> {
        let Some(header) = parse_header(bytes)? else { return Ok(None) };
        let assembled = self.assembly.as_ref().map_or(0, |assembly| assembly.1.len());
        if header.payload_bytes > message_bytes_max.saturating_sub(assembled) && !header.opcode.is_control() {
            return Err(CloseCode::TooLarge);
        }
        Ok(Some(header))
    }

    fn frame(&mut self, header: &Header, payload: &[u8], receive: &mut impl FnMut(Incoming<'_>) -> bool) -> Result<bool, CloseCode> {
        match (header.opcode, header.fin) {
            (Opcode::Ping, _) => Ok(receive(Incoming::Ping(payload))),
            (Opcode::Pong, _) => Ok(receive(Incoming::Pong)),
            (Opcode::Close, _) => Ok(receive(Incoming::Close(close_answer(payload)?))),
            (Opcode::Text | Opcode::Binary, _) if self.assembly.is_some() => Err(CloseCode::Protocol),
            (opcode @ (Opcode::Text | Opcode::Binary), true) => whole(opcode, payload, receive),
            (opcode @ (Opcode::Text | Opcode::Binary), false) => {
                self.assembly = Some(Box::new((opcode, payload.to_vec(), 0)));
                Ok(true)
            }
            (Opcode::Continuation, fin) => {
                let assembly = self.assembly.as_mut().ok_or(CloseCode::Protocol)?;
                assembly.1.extend_from_slice(payload);
                assembly.2 += u32::from(payload.len() < TINY_FRAGMENT_BYTES);
                if assembly.2 > TINY_FRAGMENTS_MAX {
                    return Err(CloseCode::TooLarge);
                }
                match self.assembly.take_if(|_| fin) {
                    Some(done) => whole(done.0, &done.1, receive),
                    None => Ok(true),
                }
            }
        }
    }

    /// Bytes that are held for this connection.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.capacity() + self.assembly.as_ref().map_or(0, |assembly| assembly.1.capacity())
    }
}

impl Opcode {
    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

fn whole(opcode: Opcode, payload: &[u8], receive: &mut impl FnMut(Incoming<'_>) -> bool) -> Result<bool, CloseCode> {
    if opcode == Opcode::Binary {
        return Ok(receive(Incoming::Binary(payload)));
    }
    let text = std::str::from_utf8(payload).map_err(|_| CloseCode::InvalidText)?;
    Ok(receive(Incoming::Text(text)))
}

/// Reads a frame header; `None` while it has not come whole.
fn parse_header(bytes: &[u8]) -> Result<Option<Header>, CloseCode> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x70 != 0 || second & 0x80 == 0 {
        return Err(CloseCode::Protocol);
    }
    let opcode = match first & 0x0F {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xA => Opcode::Pong,
        _ => return Err(CloseCode::Protocol),
    };
    let (length_bytes, short) = match second & 0x7F {
        126 => (2, None),
        127 => (8, None),
        short => (0, Some(u64::from(short))),
    };
    let fin = first & 0x80 != 0;
    if opcode.is_control() && (!fin || short.is_none_or(|length| length > CONTROL_BYTES_MAX as u64)) {
        return Err(CloseCode::Protocol);
    }
    let header_bytes = 2 + length_bytes + 4;
    let Some(rest) = bytes.get(2..header_bytes) else { return Ok(None) };
    let (length, mask) = rest.split_at(length_bytes);
    let length = short.unwrap_or_else(|| length.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)));
    // RFC 6455 §5.2: the shortest encoding, and no 64-bit length with the highest bit.
    let minimal = match length_bytes {
        2 => length >= 126,
        8 => length > 0xFFFF && length >> 63 == 0,
        _ => true,
    };
    if !minimal {
        return Err(CloseCode::Protocol);
    }
    let payload_bytes = usize::try_from(length).map_err(|_| CloseCode::TooLarge)?;
    let mask = mask.try_into().expect("the slice has four bytes");
    Ok(Some(Header { fin, opcode, bytes: header_bytes, payload_bytes, mask }))
}

/// Checks a close frame's payload and gives the code that answers it (RFC 6455 §5.5.1, §7.4).
fn close_answer(payload: &[u8]) -> Result<u16, CloseCode> {
    let (code, reason) = match *payload {
        [] => return Ok(CloseCode::Normal.code()),
        [_] => return Err(CloseCode::Protocol),
        [high, low, ref reason @ ..] => (u16::from_be_bytes([high, low]), reason),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(CloseCode::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| CloseCode::InvalidText)?;
    Ok(code)
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Appends the header of a final, unmasked frame.
pub(crate) fn put_header(out: &mut impl BufMut, opcode: Opcode, payload_bytes: usize) {
    out.put_u8(
        0x80 | match opcode {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        },
    );
    match payload_bytes {
        0..=125 => out.put_u8(payload_bytes as u8),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(payload_bytes as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload_bytes as u64);
        }
    }
}

/// The payload of the frame of ours that `frames` begins with, and what follows it; `None` at the end.
pub(crate) fn after_header(frames: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header_bytes, length) = match *frames {
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [_, 127, ref rest @ ..] => (HEADER_OUT_BYTES_MAX, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        [_, short, ..] => (2, usize::from(short)),
        [] | [_] => return None,
    };
    frames.get(header_bytes..)?.split_at_checked(length)
}

/// A whole frame of its own.
pub(crate) fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_OUT_BYTES_MAX + payload.len());
    put_header(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out.freeze()
}

/// A close frame.
pub(crate) fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(Opcode::Close, &payload)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
